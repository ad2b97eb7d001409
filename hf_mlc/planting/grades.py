"""From values to grades: how relevant a token is to a label, as learning to rank wants it.

Only the order of a label's tokens counts, on a scale where the first places are far apart and the last ones close: values of
different labels can't be compared, and of a thousand tokens it is the first few that attention should find.

Shape legend: L labels, K stored tokens a label.
"""

from __future__ import annotations

import numpy as np
import torch

from hf_mlc.planting.statistics import TokenLabelStore


def graded_targets(values_LK: np.ndarray, vocab_size: int, num_grades: int = 16) -> np.ndarray:
    """Grades of each label's stored tokens: `num_grades` for the best, less by equal steps of the logarithm of the rank.

        grade = 1 + round((num_grades - 1) (1 - log(1 + rank) / log(vocab_size)))

    and 0 for tokens that are not stored. Equal values have equal grades, those of the first of them: otherwise the order
    in which ties happen to be sorted would be taught. (The authors' code has 101 such steps; with gains of 2^grade nothing
    beyond the sixth token would then count.)

    Args:
        values_LK (`np.ndarray` of shape `(L, K)`): descending in each row; 0 where there is no token.
        vocab_size (`int`): V, the number of tokens that are ranked.
        num_grades (`int`, *optional*, defaults to 16): the highest grade.

    Returns:
        `np.ndarray` of shape `(L, K)`: float32 whole numbers, 1 ... `num_grades`, and 0 where there is no token.
    """
    num_tokens = values_LK.shape[1]
    ranks_LK = np.broadcast_to(np.arange(num_tokens), values_LK.shape)
    is_first_LK = np.ones(values_LK.shape, dtype=bool)
    is_first_LK[:, 1:] = values_LK[:, 1:] < values_LK[:, :-1]
    # the rank of the first of equals: ranks of those that are not first are set to 0 and carried on from the left
    ranks_LK = np.maximum.accumulate(np.where(is_first_LK, ranks_LK, 0), axis=1)
    share_LK = 1.0 - np.log1p(ranks_LK) / np.log(max(vocab_size, num_tokens, 2))
    grades_LK = 1.0 + np.round((num_grades - 1) * share_LK)
    return np.where(values_LK > 0, grades_LK, 0.0).astype(np.float32)


def exponential_gains(grades: torch.Tensor, highest: float) -> torch.Tensor:
    """`2^(grade - highest) - 2^(-highest)`: from 0 for grade 0 to almost 1.

    What a list gains is always divided by the most that it could, so that the common factor 2^-highest changes nothing,
    and 2^101 would be beyond float16.
    """
    return torch.exp2(grades - highest) - 2.0**-highest


class GradeTable:
    """The grade of any pair of a token and a label; 0 for what is not stored.

    Args:
        store ([`~hf_mlc.planting.statistics.TokenLabelStore`]): the tokens that stand for each label.
        num_grades (`int`, *optional*, defaults to 16): see [`graded_targets`].

    Attributes: `label_ids`, the labels that have a stored token; `num_grades`, `vocab_size`.
    """

    def __init__(self, store: TokenLabelStore, num_grades: int = 16):
        self.num_grades, self.vocab_size = num_grades, store.vocab_size
        is_stored_LK = store.token_ids >= 0
        labels_P, places_P = np.nonzero(is_stored_LK)
        keys_P = self.keys(store.token_ids[labels_P, places_P], labels_P)
        order_P = np.argsort(keys_P)
        self._keys_P = keys_P[order_P]
        self._grades_P = graded_targets(store.values, store.vocab_size, num_grades)[labels_P, places_P][order_P]
        self.label_ids = np.flatnonzero(is_stored_LK.any(axis=1))

    def keys(self, token_ids: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
        """A number for each pair, int64; the two shapes are broadcast to each other."""
        return np.asarray(label_ids, np.int64) * self.vocab_size + token_ids

    def of_keys(self, keys: np.ndarray) -> np.ndarray:
        """The grades of pairs by their numbers, float32 of the same shape."""
        if not len(self._keys_P):
            return np.zeros(keys.shape, np.float32)
        places = np.minimum(np.searchsorted(self._keys_P, keys), len(self._keys_P) - 1)
        return np.where(self._keys_P[places] == keys, self._grades_P[places], np.float32(0.0))
