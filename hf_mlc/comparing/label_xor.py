"""The synthetic control of label relations: labels that are the exclusive or of two labels some way before them.

The first labels are signs of features, so that every model can have them; a later label says whether exactly one of the labels
`offsets` before it holds, and some of these answers are turned over. A model without relations between labels is right about a
later label as often as a coin. One whose relations reach less far than the largest offset is, too.

Shape legend: N rows, F features, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelXor:
    """The generator; its defaults are those of the paper note's control.

    Args:
        num_features (`int`, *optional*, defaults to 16): F, standard normal numbers.
        num_labels (`int`, *optional*, defaults to 20): L.
        num_roots (`int`, *optional*, defaults to 8): labels that are the sign of the feature in their place.
        offsets (`tuple[int, int]`, *optional*, defaults to `(1, 6)`): how far before a later label its two causes stand.
        flip_rate (`float`, *optional*, defaults to 0.03): share of later labels turned over.

    Example:
        >>> control = LabelXor()
        >>> round(control.best_subset_accuracy, 3)
        0.694
        >>> features_NF, labels_NL = control.draw(4000, seed=0)
        >>> features_NF.shape, labels_NL.shape
        ((4000, 16), (4000, 20))
    """

    num_features: int = 16
    num_labels: int = 20
    num_roots: int = 8
    offsets: tuple[int, int] = (1, 6)
    flip_rate: float = 0.03

    def __post_init__(self):
        if not max(self.offsets) <= self.num_roots <= min(self.num_features, self.num_labels) or min(self.offsets) < 1:
            raise ValueError(
                f"num_roots: found {self.num_roots} with offsets {self.offsets}; accepted: from the largest offset to the"
                " numbers of features and labels"
            )
        if not 0 <= self.flip_rate < 0.5:
            raise ValueError(f"flip_rate: found {self.flip_rate}; accepted: 0 up to below 0.5")

    @property
    def best_subset_accuracy(self) -> float:
        """The Bayes rate: who knows the rule is right about a row in which nothing was turned over."""
        return (1 - self.flip_rate) ** (self.num_labels - self.num_roots)

    def draw(self, num_rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features, float32 `(N, F)`, and labels, int8 `(N, L)`."""
        rng = np.random.default_rng(seed)
        features_NF = rng.standard_normal((num_rows, self.num_features)).astype(np.float32)
        labels_NL = np.zeros((num_rows, self.num_labels), np.int8)
        labels_NL[:, : self.num_roots] = features_NF[:, : self.num_roots] > 0
        near, far = self.offsets
        for label in range(self.num_roots, self.num_labels):
            turned_N = rng.random(num_rows) < self.flip_rate
            labels_NL[:, label] = labels_NL[:, label - near] ^ labels_NL[:, label - far] ^ turned_N
        return features_NF, labels_NL
