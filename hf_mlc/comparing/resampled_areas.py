"""Areas under curves on many weightings of the documents at once: what doesn't depend on the weights is counted beforehand.

A cell is a document and a label. With all weights 1 every area is the one of that name in `hf_mlc.metrics.curves`.

Shape legend: N documents, L labels, R weightings, P cells that are true.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse


# of a true cell and a document: each takes about 30 bytes while the areas are made, so that these are some 3 GB
MOST_PAIRS = 100_000_000
_PAIRS_AT_ONCE = 2_000_000  # some 16 MB of numbers of each


class PooledAreas:
    """All cells as one ranking. Memory goes by true cells times documents, which should be `MOST_PAIRS` at most.

    Args:
        scores_NL (`np.ndarray`): the score of every cell.
        true_NL (`scipy.sparse.csr_array`): a 1 at each true cell.
    """

    def __init__(self, scores_NL: np.ndarray, true_NL: scipy.sparse.csr_array):
        rows_P, labels_P = true_NL.nonzero()
        order = np.argsort(
            scores_NL[rows_P, labels_P], kind="stable"
        )  # searching for rising values is several times faster
        self.rows_P, positives_P = rows_P[order], scores_NL[rows_P, labels_P][order]
        num_rows, num_labels = scores_NL.shape
        self.at_or_above_PN, self.true_at_or_above_PN = np.zeros((2, len(positives_P), num_rows), np.float32)
        above_PN = np.zeros((len(positives_P), num_rows), np.float32)
        self.num_true_N = np.bincount(self.rows_P, minlength=num_rows).astype(np.float64)
        self.num_labels = num_labels
        for row in range(num_rows):
            every = np.sort(scores_NL[row])
            true = np.sort(scores_NL[row, true_NL.indices[true_NL.indptr[row] : true_NL.indptr[row + 1]]])
            self.at_or_above_PN[:, row] = num_labels - np.searchsorted(every, positives_P, side="left")
            self.true_at_or_above_PN[:, row] = len(true) - np.searchsorted(true, positives_P, side="left")
            above_PN[:, row] = num_labels - np.searchsorted(every, positives_P, side="right")
            above_PN[:, row] -= len(true) - np.searchsorted(true, positives_P, side="right")
        # of each document's true cells and each document's false ones: pairs in the wrong order, equal scores half
        above_PN += self.at_or_above_PN - self.true_at_or_above_PN
        of_rows_NP = scipy.sparse.csr_array(
            (np.full(len(self.rows_P), 0.5), (self.rows_P, np.arange(len(self.rows_P)))), shape=(num_rows, len(self.rows_P))
        )  # fmt: skip
        self.outranked_NN = of_rows_NP @ above_PN.astype(np.float64)

    def auc(self, weights_RN: np.ndarray) -> np.ndarray:
        """Area under the ROC curve, float64 `(R,)`; NaN without a true or without a false cell.

        Args:
            weights_RN (`np.ndarray` of shape `(R, N)`): how often each document counts.
        """
        weights_RN = weights_RN.astype(np.float64)
        outranked_R = ((weights_RN @ self.outranked_NN) * weights_RN).sum(axis=1)
        pairs_R = (weights_RN @ self.num_true_N) * (weights_RN @ (self.num_labels - self.num_true_N))
        return 1 - np.divide(outranked_R, pairs_R, out=np.full(len(pairs_R), np.nan), where=pairs_R > 0)

    def average_precision(self, weights_RN: np.ndarray) -> np.ndarray:
        """Average precision, float64 `(R,)`; NaN without a true cell."""
        weights_NR = weights_RN.T.astype(np.float32)  # sums of whole numbers below 2^24 are exact
        total_R = np.zeros(len(weights_RN))
        at_once = max(1, _PAIRS_AT_ONCE // max(len(weights_RN), len(weights_NR), 1))
        for start in range(0, len(self.rows_P), at_once):
            part = slice(start, start + at_once)
            precision_PR = (self.true_at_or_above_PN[part] @ weights_NR) / np.maximum(
                self.at_or_above_PN[part] @ weights_NR, 1
            )
            total_R += (weights_NR[self.rows_P[part]] * precision_PR).sum(axis=0, dtype=np.float64)
        number_R = weights_RN.astype(np.float64) @ self.num_true_N
        return np.divide(total_R, number_R, out=np.full(len(number_R), np.nan), where=number_R > 0)


def aucs_of_labels(
    scores_NL: np.ndarray, true_NL: scipy.sparse.csr_array, weights_RN: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label by label the area under the ROC curve, NaN where it is undefined, and the weight of its true documents, `(R,)` each.

    Args:
        scores_NL (`np.ndarray`): the score of every cell.
        true_NL (`scipy.sparse.csr_array`): a 1 at each true cell.
        weights_RN (`np.ndarray` of shape `(R, N)`): how often each document counts.
    """
    columns, weights_NR = scipy.sparse.csc_array(true_NL), weights_RN.T.astype(np.float32)
    total_R = weights_RN.sum(axis=1, dtype=np.float64)
    for label in range(scores_NL.shape[1]):
        true_M = columns.indices[columns.indptr[label] : columns.indptr[label + 1]]
        positives_M1, scores_N = scores_NL[true_M, label][:, None], scores_NL[:, label]
        below_MN = (positives_M1 > scores_N) + 0.5 * (positives_M1 == scores_N).astype(np.float32)
        below_MN[:, true_M] = 0  # of the false ones alone, without a copy of their weights for each label
        weights_MR = weights_NR[true_M]
        ahead_R = ((below_MN @ weights_NR) * weights_MR).sum(axis=0, dtype=np.float64)
        positives_R = weights_MR.sum(axis=0, dtype=np.float64)
        pairs_R = positives_R * (total_R - positives_R)
        yield np.divide(ahead_R, pairs_R, out=np.full(len(pairs_R), np.nan), where=pairs_R > 0), positives_R
