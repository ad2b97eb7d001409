"""Which tokens and which labels each document has, as sparse tables of 0 and 1.

Shape legend: N documents, V tokens of the vocabulary, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from hf_mlc.errors import UserError


def count_tokens(
    documents_input_ids: Iterable[Sequence[int]], vocab_size: int, excluded_ids: Iterable[int] = ()
) -> sparse.csr_array:
    """Presence of tokens in documents: how often a token occurs in one counts for nothing.

    Args:
        documents_input_ids (iterable of sequences of `int`): token ids of the N documents, any lengths; read once.
        vocab_size (`int`): V.
        excluded_ids (iterable of `int`, *optional*): tokens that are no text (padding, unknown, `[CLS]` and the like).

    Returns:
        `scipy.sparse.csr_array` of shape `(N, V)`, int32, 1 where the token occurs; the ids of a row are sorted.

    Raises:
        `UserError`: on a token id outside 0 ... V-1, naming the row (counted from 1).
    """
    return presence(documents_input_ids, vocab_size, excluded_ids, field="input_ids")


def count_labels(documents_label_ids: Iterable[Sequence[int]], num_labels: int) -> sparse.csr_array:
    """Labels of documents; -100, which pads lists of ids, is skipped.

    Args:
        documents_label_ids (iterable of sequences of `int`): label ids of the N documents, in the order of their tokens.
        num_labels (`int`): L.

    Returns:
        `scipy.sparse.csr_array` of shape `(N, L)`, int32, 1 where the document has the label.

    Raises:
        `UserError`: on a label id outside 0 ... L-1, naming the row (counted from 1).
    """
    return presence(documents_label_ids, num_labels, (-100,), field="label_ids")


def presence(rows: Iterable[Sequence[int]], width: int, excluded: Iterable[int], *, field: str) -> sparse.csr_array:
    """Rows of ids as a table of 0 and 1, `(N, width)`."""
    excluded = np.fromiter(excluded, dtype=np.int64)
    parts, ends = [], [0]
    for number, row in enumerate(rows, start=1):
        ids = np.unique(np.asarray(row, dtype=np.int64))
        if excluded.size:
            ids = ids[~np.isin(ids, excluded)]
        if ids.size and (ids[0] < 0 or ids[-1] >= width):
            found = int(ids[0] if ids[0] < 0 else ids[-1])
            raise UserError(f"the id {found}", row=number, field=field, accepted=f"0 to {width - 1}")
        parts.append(ids.astype(np.int32))
        ends.append(ends[-1] + len(ids))
    indices = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    ones = np.ones(len(indices), np.int32)
    pointers = np.array(ends, dtype=np.int32 if ends[-1] < 2**31 else np.int64)
    return sparse.csr_array((ones, indices, pointers), shape=(len(parts), width))
