"""The labels of rows as ids, in one way for every kind of input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hf_mlc.labels import LabelSpace


def encode_labels(
    lists: Iterable[Sequence[str | int]],
    label_space: LabelSpace,
    *,
    split: str,
    strict: bool = False,
    rows: Iterable[int] | None = None,
) -> tuple[list[np.ndarray], list[int]]:
    """Ids of each row's labels (sorted, each once), and how many of its labels the label space lacks.

    Args:
        lists (iterable of `list`): the labels of each row.
        label_space ([`~hf_mlc.labels.LabelSpace`]): the model's.
        split (`str`): `"train"`, in which an unknown label is always an error, or another, for the error message.
        strict (`bool`, *optional*, defaults to `False`): whether it is an error in other splits too.
        rows (iterable of `int`, *optional*): the rows' numbers, counted from 1; from 1 on if not given.

    Raises:
        `UserError`: naming split and row of a label that is not in the label space.
    """
    ids, unknown = [], []
    lists = list(lists)
    for row, labels in zip(range(1, len(lists) + 1) if rows is None else rows, lists, strict=True):
        known, missed = (
            (label_space.encode(labels, file=split, row=row), 0)
            if strict or split == "train"
            else label_space.encode_known(labels)
        )
        ids.append(known)
        unknown.append(missed)
    return ids, unknown
