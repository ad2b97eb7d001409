"""The lists that a ranker learns from: tokens for one label, some that stand for it and many that might be taken for it.

A list of random tokens rarely holds one that matters. So a list is made of some of the label's stored tokens, of tokens of
the documents that have the label (what the good ones must be told from), and of random tokens of the vocabulary. Only some of
the stored ones: in a list that always held the best of them, the others would never be asked for, but a document that is
yet to come holds few of either.

Shape legend: B lists, T tokens of a list, L labels, K stored tokens a label, N documents, V tokens of the vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from hf_mlc.planting.grades import GradeTable
from hf_mlc.planting.statistics import TokenLabelStore


# a label's stored tokens are drawn with weights (1 + rank)^-STEEP
STEEP = 0.5


class TokenLists(NamedTuple):
    """Lists of one label each: `label_ids` `(B,)`, and `token_ids`, `grades`, `mask` of shape `(B, T)`."""

    label_ids: torch.LongTensor
    token_ids: torch.LongTensor
    grades: torch.FloatTensor
    mask: torch.BoolTensor

    def to(self, device: torch.device | str) -> TokenLists:
        """All of it on a device."""
        return TokenLists(*(tensor.to(device) for tensor in self))


class ListSampler:
    """Draws lists for labels; no pair of a token and a label that is held out is ever in a training list.

    Whether a pair is held out is a function of token, label and seed, so that nothing of the size V x L is kept.

    Args:
        store ([`~hf_mlc.planting.statistics.TokenLabelStore`]): the tokens that stand for each label.
        presence (`scipy.sparse.csr_array` of shape `(N, V)`): tokens of the documents that were counted.
        labels (`scipy.sparse.csr_array` of shape `(N, L)`): their labels.
        num_stored (`int`, *optional*, defaults to 16): stored tokens in a list, the better the likelier.
        num_met (`int`, *optional*, defaults to 24): tokens drawn from documents that have the label.
        num_random (`int`, *optional*, defaults to 24): tokens drawn from the vocabulary.
        num_grades (`int`, *optional*, defaults to 8): see [`~hf_mlc.planting.grades.graded_targets`].
        held_out (`float`, *optional*, defaults to 0.05): share of the pairs that is held out.
        seed (`int`, *optional*, defaults to 0): of the draws and of what is held out.
    """

    def __init__(
        self,
        store: TokenLabelStore,
        presence: sparse.csr_array,
        labels: sparse.csr_array,
        *,
        num_stored: int = 16,
        num_met: int = 24,
        num_random: int = 24,
        num_grades: int = 8,
        held_out: float = 0.05,
        seed: int = 0,
    ):
        self.num_stored = min(num_stored, store.num_tokens)
        self.num_met, self.num_random, self.held_out, self.seed = num_met, num_random, held_out, seed
        self.vocab_size = store.vocab_size
        self.token_ids_LK, self.grades = store.token_ids, GradeTable(store, num_grades)
        self.presence_NV, self.documents_LN = presence, sparse.csr_array(labels).T.tocsr()
        self.label_ids = self.grades.label_ids

    def training_lists(self, label_ids_B: np.ndarray, rng: np.random.Generator) -> TokenLists:
        """A fresh list for each of the labels, without held-out pairs."""
        return self._lists(label_ids_B, rng, self.num_stored, self.num_met, self.num_random, held_out=False)

    def held_out_lists(self, label_ids_B: np.ndarray, rng: np.random.Generator) -> TokenLists:
        """Lists of held-out pairs alone: all stored tokens of them, and as many met and random ones as are drawn."""
        draw = max(1, round(64 / max(self.held_out, 0.01)))
        return self._lists(label_ids_B, rng, self.token_ids_LK.shape[1], draw // 2, draw // 2, held_out=True)

    def _lists(
        self, label_ids_B: np.ndarray, rng: np.random.Generator, stored: int, met: int, random: int, *, held_out: bool
    ) -> TokenLists:
        parts = [
            self._stored(label_ids_B, stored, rng),
            self._met(label_ids_B, met, rng),
            rng.integers(0, self.vocab_size, (len(label_ids_B), random)),
        ]
        token_ids_BT = np.sort(np.concatenate(parts, axis=1), axis=1)
        mask_BT = token_ids_BT >= 0
        mask_BT[:, 1:] &= token_ids_BT[:, 1:] != token_ids_BT[:, :-1]  # drawn twice
        keys_BT = self.grades.keys(token_ids_BT, label_ids_B[:, None])
        mask_BT &= self._is_held_out(keys_BT) == held_out
        grades_BT = self.grades.of_keys(keys_BT)
        # close the gaps: the pairs of a list cost the square of its length
        order_BT = np.argsort(~mask_BT, axis=1, kind="stable")[:, : max(1, mask_BT.sum(axis=1).max(initial=0))]
        token_ids_BT, mask_BT, grades_BT = (
            np.take_along_axis(array, order_BT, axis=1) for array in (token_ids_BT, mask_BT, grades_BT)
        )
        return TokenLists(
            torch.from_numpy(label_ids_B.astype(np.int64)),
            torch.from_numpy(np.where(mask_BT, token_ids_BT, 0).astype(np.int64)),
            torch.from_numpy(np.where(mask_BT, grades_BT, 0).astype(np.float32)),
            torch.from_numpy(mask_BT),
        )

    def _stored(self, label_ids_B: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
        """Some of the label's stored tokens, the better the likelier; -1 where it has fewer."""
        token_ids_BK = self.token_ids_LK[label_ids_B].astype(np.int64)
        if number >= token_ids_BK.shape[1]:
            return token_ids_BK
        # Gumbel noise on the logarithms of weights: a draw without replacement
        weights_K = -STEEP * np.log1p(np.arange(token_ids_BK.shape[1]))
        keys_BK = weights_K + rng.gumbel(size=token_ids_BK.shape)
        keys_BK[token_ids_BK < 0] = -np.inf
        chosen_BT = np.argpartition(-keys_BK, number - 1, axis=1)[:, :number]
        return np.take_along_axis(token_ids_BK, chosen_BT, axis=1)

    def _met(self, label_ids_B: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
        """Tokens of random documents of the label, -1 where it has none or where the document is empty."""
        documents_BT = _random_entries(self.documents_LN, np.repeat(label_ids_B[:, None], number, axis=1), rng)
        tokens_BT = _random_entries(self.presence_NV, np.maximum(documents_BT, 0), rng)
        return np.where(documents_BT >= 0, tokens_BT, -1)

    def _is_held_out(self, keys_BT: np.ndarray) -> np.ndarray:
        """A fair coin for each key: the last step of splitmix64, whose bits are as good as random."""
        with np.errstate(over="ignore"):
            bits = keys_BT.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(self.seed + 1)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (bits ^ (bits >> np.uint64(31))) < np.uint64(int(self.held_out * (2**64 - 1)))


def _random_entries(table: sparse.csr_array, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The column of a random entry of each of the rows; -1 for a row without entries."""
    starts, ends = table.indptr[rows].astype(np.int64), table.indptr[rows + 1].astype(np.int64)
    if not len(table.indices):
        return np.full(rows.shape, -1, dtype=np.int64)
    places = starts + (rng.random(rows.shape) * (ends - starts)).astype(np.int64)
    return np.where(ends > starts, table.indices[np.minimum(places, len(table.indices) - 1)].astype(np.int64), -1)
