"""Mean, deviation and range of every column of a table, in one pass over blocks of rows.

Shape legend: B rows of a block, F columns.
"""

from __future__ import annotations

import numpy as np


class ColumnStatistics:
    """What is known of F columns of numbers after some rows; blocks are merged as Chan, Golub and LeVeque (1979) do.

    Args:
        num_columns (`int`): F.

    Attributes:
        num_numbers, num_missing (`np.ndarray` of shape `(F,)`): cells that held a number, and cells that held nothing.
    """

    def __init__(self, num_columns: int):
        self.num_numbers = np.zeros(num_columns, dtype=np.int64)
        self.num_missing = np.zeros(num_columns, dtype=np.int64)
        self.means = np.zeros(num_columns)
        self._squares = np.zeros(num_columns)  # sum of squared distances from the mean
        self._least = np.full(num_columns, np.inf)
        self._most = np.full(num_columns, -np.inf)
        self._of_zeros_and_ones = np.ones(num_columns, dtype=bool)

    def update(self, numbers_BF: np.ndarray, left_out_BF: np.ndarray | None = None) -> None:
        """Counts a block.

        Args:
            numbers_BF (`np.ndarray` of shape `(B, F)`): NaN where the value is missing.
            left_out_BF (`np.ndarray` of shape `(B, F)`, *optional*): cells that are neither numbers nor missing.
        """
        is_missing_BF = np.isnan(numbers_BF)
        counted_BF = ~is_missing_BF
        if left_out_BF is not None:
            counted_BF &= ~left_out_BF
            is_missing_BF &= ~left_out_BF
        count_F = counted_BF.sum(axis=0)
        known_BF = np.where(counted_BF, numbers_BF, 0.0)
        mean_F = known_BF.sum(axis=0) / np.maximum(count_F, 1)
        squares_F = (np.where(counted_BF, numbers_BF - mean_F, 0.0) ** 2).sum(axis=0)
        total_F = np.maximum(self.num_numbers + count_F, 1)
        distance_F = mean_F - self.means
        self._squares += squares_F + distance_F**2 * self.num_numbers * count_F / total_F
        self.means = self.means + distance_F * count_F / total_F
        self._least = np.minimum(self._least, np.where(counted_BF, numbers_BF, np.inf).min(axis=0))
        self._most = np.maximum(self._most, np.where(counted_BF, numbers_BF, -np.inf).max(axis=0))
        self._of_zeros_and_ones &= ((known_BF == 0) | (known_BF == 1)).all(axis=0)
        self.num_numbers += count_F
        self.num_missing += is_missing_BF.sum(axis=0)

    def scaling(self, *, sparse: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is subtracted from each column, what it is divided by (0: it is constant), and what a missing value becomes.

        Args:
            sparse (`bool`): scale and don't centre, so that zero stays zero.
        """
        is_constant_F = ~(self._least < self._most)
        deviations_F = np.sqrt(self._squares / np.maximum(self.num_numbers, 1))
        is_constant_F |= deviations_F == 0  # values so close that their squared distance is none
        uncentred_F = self._of_zeros_and_ones | sparse
        means_F = np.where(uncentred_F, 0.0, self.means)
        scales_F = np.where(self._of_zeros_and_ones, 1.0, deviations_F)
        scales_F[is_constant_F] = 0.0
        fills_F = np.where(uncentred_F & ~is_constant_F, self.means / np.where(is_constant_F, 1.0, scales_F), 0.0)
        return means_F, scales_F, fills_F
