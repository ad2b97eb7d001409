"""Label lists that are rows of a table of zeros and ones where names or ids belong: as ids they would be 0 and 1 in every row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from hf_mlc.errors import UserError


LOOKED_AT = 100  # rows


def check_not_multi_hot(
    label_lists: Iterable[Sequence[str | int]], *, field: str, accepted: str, file: str | None = None
) -> None:
    """`UserError` where all of the first rows are lists of one length above 2 that hold 0 and 1 and nothing else.

    Ids without repeats never look like that, since three of them can't all be 0 or 1; nor does a row without labels.

    Args:
        label_lists (iterable of lists): the labels of each row, names or ids; read up to the first that is no such list.
        field, accepted, file: of the error.
    """
    width = None
    for labels in islice(label_lists, LOOKED_AT):
        width = len(labels) if width is None else width
        if width < 3 or len(labels) != width or not all(label in (0, 1) for label in labels):
            return
    if width is not None:
        problem = f"looks like a table of zeros and ones: lists of {width} that hold nothing else"
        raise UserError(problem, file=file, field=field, accepted=accepted)
