"""How much each token says about each label, counted in the training documents.

A token and a label are two yes-or-no facts about a document; their mutual information says how much one tells of the
other (Roy and others, "PLANT", arXiv:2410.23066, which divides it as [`token_label_store`] does by default, to numbers
between 0 and 1). Only the best tokens of each label are kept: a table of all pairs would be 57,000 x 8,922 numbers.

Shape legend: N documents, V tokens of the vocabulary, L labels, K stored tokens a label, P pairs of a block of labels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from hf_mlc.errors import UserError
from hf_mlc.planting.presence import count_labels, count_tokens


Kind = Literal["jaccard", "raw"]
KINDS = ("jaccard", "raw")
# of a block of labels with all tokens: some twelve numbers a pair are alive, 1.6 GB
_PAIRS_AT_ONCE = 2**24


@dataclass(frozen=True)
class TokenLabelStore:
    """The best tokens of each label.

    Args:
        token_ids (`np.ndarray` of shape `(L, K)`): int32, each label's best tokens, best first; -1 where there are fewer.
        values (`np.ndarray` of shape `(L, K)`): float32, their values, descending; 0 where there are none.
        num_documents (`int`): N, the documents that were counted.
        vocab_size (`int`): V.
        kind (`str`): `"jaccard"`, values from 0 to 1, or `"raw"`, in nats.
    """

    token_ids: np.ndarray
    values: np.ndarray
    num_documents: int
    vocab_size: int
    kind: Kind

    @property
    def num_labels(self) -> int:
        """L."""
        return self.token_ids.shape[0]

    @property
    def num_tokens(self) -> int:
        """K."""
        return self.token_ids.shape[1]

    def to_sparse(self) -> sparse.csr_array:
        """The values as a sparse table `(L, V)`, float32; the ids of a row are sorted."""
        labels, places = np.nonzero(self.token_ids >= 0)
        content = (self.values[labels, places], (labels, self.token_ids[labels, places]))
        table = sparse.coo_array(content, shape=(self.num_labels, self.vocab_size)).tocsr()
        table.sort_indices()
        return table


def token_label_store(
    presence: sparse.csr_array,
    labels: sparse.csr_array,
    *,
    kind: Kind = "jaccard",
    num_tokens: int = 256,
    positive_only: bool = True,
    min_document_frequency: int = 1,
    smoothing: float = 2.0,
    block_size: int = 256,
    progress: bool = True,
) -> TokenLabelStore:
    r"""The K tokens of each label that share most with it, from presence per document.

    With the four shares p_ab of documents that have (or lack) token and label, natural logarithms and 0 log 0 = 0,

        I = sum_ab p_ab log(p_ab / (p_a. p_.b))          "raw"
        J = I / (H(token) + H(label) - I)                 "jaccard"

    J is 0 for what is independent and 1 for what always comes together. A token in every document or in none, and a label of
    every document or of none, tell nothing: they are not stored. Of equal values the rarer token comes first, then the
    smaller id.

    One document is no proof: a label seen once would give the full 1 to every word that only this document has. So values
    are shrunk to `value * n / (n + smoothing)`, n the documents that speak for the pair (those with both, or those with
    neither if they are fewer), as similarities are in Bell & Koren, "Scalable collaborative filtering with jointly derived
    neighborhood interpolation weights", ICDM 2007.

    Args:
        presence (`scipy.sparse.csr_array` of shape `(N, V)`): tokens of the TRAINING documents, 1 or absent
            ([`~hf_mlc.planting.presence.count_tokens`]).
        labels (`scipy.sparse.csr_array` of shape `(N, L)`): their labels ([`~hf_mlc.planting.presence.count_labels`]).
        kind (`str`, *optional*, defaults to `"jaccard"`): `"jaccard"`, which the paper uses, or `"raw"`.
        num_tokens (`int`, *optional*, defaults to 256): K.
        positive_only (`bool`, *optional*, defaults to `True`): drops tokens whose absence goes with the label, which
            share as much with it as those whose presence does.
        min_document_frequency (`int`, *optional*, defaults to 1): documents in which a token must occur.
        smoothing (`float`, *optional*, defaults to 2.0): documents against which n has to stand up; 0 leaves the values as
            the paper has them.
        block_size (`int`, *optional*, defaults to 256): labels at a time; it changes memory and time alone.
        progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Returns:
        [`TokenLabelStore`].

    Raises:
        `UserError`: no documents, tables that don't fit each other, entries other than 0 and 1, an unknown kind or a
            number out of range.
    """
    presence_NV, labels_NL = _checked(presence, "presence"), _checked(labels, "labels")
    num_documents, vocab_size = presence_NV.shape
    num_labels = labels_NL.shape[1]
    if labels_NL.shape[0] != num_documents or num_documents == 0:
        raise UserError(
            f"tokens of {num_documents} documents, labels of {labels_NL.shape[0]}", accepted="one row each a document"
        )
    if kind not in KINDS:
        raise UserError(f"mutual information of the kind {kind!r}", field="kind", accepted=", ".join(KINDS))
    for name, value, least in (
        ("num_tokens", num_tokens, 1),
        ("block_size", block_size, 1),
        ("min_document_frequency", min_document_frequency, 0),
        ("smoothing", smoothing, 0),
    ):
        if not value >= least:
            raise UserError(f"{value}", field=name, accepted=f"{least} or more")

    counts = _Counts(presence_NV, labels_NL)
    is_usable_V = counts.tokens_V >= min_document_frequency
    token_ids_LK = np.full((num_labels, num_tokens), -1, np.int32)
    values_LK = np.zeros((num_labels, num_tokens), np.float32)
    labels_LN = labels_NL.T.tocsr()
    if not positive_only:  # every pair counts, also those that never met
        block_size = min(block_size, max(1, _PAIRS_AT_ONCE // max(1, vocab_size)))
    starts = range(0, num_labels, block_size)
    for start in tqdm(starts, desc="Mutual information", unit=" blocks of labels", disable=not progress):
        both_bV = labels_LN[start : start + block_size] @ presence_NV
        if positive_only:
            rows_P = np.repeat(np.arange(both_bV.shape[0]), np.diff(both_bV.indptr))
            tokens_P, both_P = both_bV.indices, both_bV.data.astype(np.int64)
        else:
            rows_P, tokens_P = (places.ravel() for places in np.indices(both_bV.shape, dtype=np.int32))
            both_P = both_bV.toarray().ravel().astype(np.int64)
        kept_P = is_usable_V[tokens_P]
        if positive_only:
            # the sign of the association, in whole numbers: more often together than chance would have it
            by_chance_P = counts.tokens_V[tokens_P] * counts.labels_L[start + rows_P]
            kept_P &= both_P * num_documents > by_chance_P
        rows_P, tokens_P, both_P = rows_P[kept_P], tokens_P[kept_P], both_P[kept_P]
        values_P = counts.values(tokens_P, start + rows_P, both_P, kind, float(smoothing)).astype(np.float32)
        best_P, places_P = _best_of_rows(rows_P, values_P, (counts.tokens_V[tokens_P], tokens_P), num_tokens)
        token_ids_LK[start + rows_P[best_P], places_P] = tokens_P[best_P]
        values_LK[start + rows_P[best_P], places_P] = values_P[best_P]
    return TokenLabelStore(token_ids_LK, values_LK, num_documents, vocab_size, kind)


class _Counts:
    """How many documents have a token, a label; and x log x of every number that a count of documents can be.

    I and the entropies are sums of such terms. The table of them makes a pair cost eight look-ups and no logarithm, and
    equal counts give equal values to the last bit, wherever in a block they stand.
    """

    def __init__(self, presence_NV: sparse.csr_array, labels_NL: sparse.csr_array):
        self.num_documents = presence_NV.shape[0]
        self.tokens_V = np.bincount(presence_NV.indices, minlength=presence_NV.shape[1]).astype(np.int64)
        self.labels_L = np.bincount(labels_NL.indices, minlength=labels_NL.shape[1]).astype(np.int64)
        numbers = np.arange(self.num_documents + 1, dtype=np.float64)
        self.x_log_x = numbers * np.log(np.maximum(numbers, 1.0))

    def values(
        self, tokens_P: np.ndarray, labels_P: np.ndarray, both_P: np.ndarray, kind: Kind, smoothing: float
    ) -> np.ndarray:
        """The value of each pair, float64 `(P,)`; 0 where token or label tell nothing."""
        num, f = self.num_documents, self.x_log_x
        token_P, label_P = self.tokens_V[tokens_P], self.labels_L[labels_P]
        neither_P = num - token_P - label_P + both_P
        joint_P = f[both_P] + f[token_P - both_P] + f[label_P - both_P] + f[neither_P]
        margins_P = f[token_P] + f[num - token_P] + f[label_P] + f[num - label_P]
        values_P = np.maximum(joint_P - margins_P + f[num], 0.0) / num
        values_P[(token_P == 0) | (token_P == num) | (label_P == 0) | (label_P == num)] = 0.0
        if kind == "jaccard":
            # H(token) + H(label) - I is the entropy of both together
            together_P = (f[num] - joint_P) / num
            values_P = np.divide(values_P, together_P, out=np.zeros_like(values_P), where=together_P > 0)
        if smoothing == 0:
            return values_P
        is_positive_P = both_P * num > token_P * label_P
        speaking_P = np.where(
            is_positive_P, np.minimum(both_P, neither_P), np.minimum(token_P - both_P, label_P - both_P)
        )
        return values_P * (speaking_P / (speaking_P + smoothing))


def _best_of_rows(
    rows_P: np.ndarray, values_P: np.ndarray, ties: tuple[np.ndarray, ...], num_best: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are among the best of their row, and as the how-manieth, in order of rows and then of rank.

    `rows_P` ascends. Ties go to the smaller entry of `ties[0]`, then of `ties[1]`. Values of 0 are never among them.
    """
    candidates = []
    borders = np.searchsorted(rows_P, np.arange(rows_P[-1] + 2 if len(rows_P) else 1))
    for start, stop in itertools.pairwise(borders):
        values = values_P[start:stop]
        # sorting all of a long row would take longer than everything else here
        edge = np.partition(values, -num_best)[-num_best] if stop - start > num_best else 0.0
        candidates.append(start + np.flatnonzero((values >= edge) & (values > 0)))
    chosen = np.concatenate(candidates) if candidates else np.zeros(0, np.int64)
    order = np.lexsort((*(tie[chosen] for tie in reversed(ties)), -values_P[chosen], rows_P[chosen]))
    chosen = chosen[order]
    rows = rows_P[chosen]
    places = np.arange(len(chosen)) - np.searchsorted(rows, rows)
    return chosen[places < num_best], places[places < num_best]


def _checked(table: sparse.csr_array, name: str) -> sparse.csr_array:
    """The table with int32 ones: products are counts, and the smaller integers that a caller may keep would overflow."""
    table = sparse.csr_array(table)
    if not table.has_canonical_format:
        table = table.copy()
        table.sum_duplicates()
    if (table.data == 0).any():
        table = table.copy()
        table.eliminate_zeros()
    if (table.data != 1).any():
        raise UserError(f"the entry {table.data[table.data != 1][0]} in the table of {name}", accepted="0 and 1")
    return table if table.dtype == np.int32 else table.astype(np.int32)


__all__ = ["KINDS", "TokenLabelStore", "count_labels", "count_tokens", "token_label_store"]
