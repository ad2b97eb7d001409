"""Scores kept for AUC and average precision: whole while they fit a budget, then as histograms.

Shape legend: B documents of one batch, N documents so far, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from hf_mlc.metrics.batch import UNKNOWN
from hf_mlc.metrics.curves import (
    average_precision_bounds,
    pooled_areas,
    precision_recall_points,
    roc_auc_and_average_precision,
    roc_auc_bounds,
    score_bins,
)
from hf_mlc.metrics.row_store import BYTES_PER_CELL, Rows, RowStore


MICRO_BINS = 65_536  # one histogram for all labels together costs nothing: bins of 1/2048 on the logit scale


class ScoreStore:
    """Collects dense scores with their truth and answers with AUC and average precision.

    Whether the answer is exact depends on the number of documents alone, never on how they came in batches.

    Memory: what is kept stays within the budget. The exact answer is worked out piece by piece and takes as much again
    at most, less for large data; turning into histograms fills them while the scores are still there. All in all, no
    more than twice the budget, and 40 MB.

    Args:
        num_labels (`int`): L.
        budget_bytes (`int`): room for exact scores (5 bytes a cell), and after that for the histograms of the single
            labels (8 bytes a label and bin); where those do not fit, only the micro areas are left.
        num_bins (`int`): bins of a label's histogram.
    """

    def __init__(self, num_labels: int, *, budget_bytes: int, num_bins: int):
        self.num_labels, self.budget_bytes, self.num_bins = num_labels, budget_bytes, num_bins
        self.rows = RowStore(num_labels)
        self.num_documents = 0
        self.exact = True
        self.histograms_L: np.ndarray | None = None  # (2, L, bins): negatives, positives
        self.histograms_micro: np.ndarray | None = None  # (2, MICRO_BINS)

    def add(self, scores_BL: torch.Tensor, truth_BL: torch.Tensor) -> None:
        """Takes scores (float32, in [0, 1]) and truth (int8: 1, 0, -100 unknown) of shape `(B, L)`."""
        self.num_documents += len(scores_BL)
        if self.exact and self.num_documents * self.num_labels * BYTES_PER_CELL > self.budget_bytes:
            self._start_histograms()
        if self.exact:
            # copies: the caller may reuse its buffers
            true_B, ids_M = (truth_BL == 1).sum(dim=1).cpu().numpy(), (truth_BL == 1).nonzero()[:, 1].cpu().numpy()
            self.rows.add(Rows(scores_BL.cpu().numpy().copy(), truth_BL.cpu().numpy().copy(), None, true_B), ids_M)
        else:
            self._count(scores_BL, truth_BL)

    def merge(self, other: ScoreStore) -> None:
        """Adds what another store has seen."""
        total = self.num_documents + other.num_documents
        fits = total * self.num_labels * BYTES_PER_CELL <= self.budget_bytes
        if self.exact and not (other.exact and fits):
            self._start_histograms()
        if self.exact:
            self.rows = RowStore.joined([self.rows, other.rows])
        elif other.exact:
            for rows in other.rows.blocks:
                self._count(torch.from_numpy(rows.scores_BS), torch.from_numpy(rows.truth_BS))
        else:
            self.histograms_micro += other.histograms_micro
            if self.histograms_L is not None:
                self.histograms_L += other.histograms_L
        self.num_documents = total

    def micro(self) -> dict[str, tuple[float, float]]:
        """{"auc": (value, error), "ap": (value, error)} of all cells as one ranking; the error is 0 where exact, and
        the true value lies within value ± error. NaN where undefined."""
        if self.exact:
            auc, precision = pooled_areas(self._known_cells, at_once=self.rows.work_cells)
            return {"auc": (auc, 0.0), "ap": (precision, 0.0)}
        negatives, positives = self.histograms_micro
        return {
            "auc": tuple(float(part) for part in _middle(*roc_auc_bounds(positives, negatives))),
            "ap": tuple(float(part) for part in _middle(*average_precision_bounds(positives, negatives))),
        }

    def micro_curve(self, num_points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Thresholds, precision and recall of all cells as one ranking: [`precision_recall_points`]."""
        histograms = self.histograms_micro
        if self.exact:
            histograms = np.zeros((2, MICRO_BINS), np.int64)
            for scores, truth in self._known_cells():
                bins = score_bins(torch.from_numpy(scores), MICRO_BINS).numpy()
                for target in (0, 1):
                    histograms[target] += np.bincount(bins[truth == target], minlength=MICRO_BINS)
        negatives, positives = histograms
        return precision_recall_points(positives, negatives, num_points=num_points)

    def per_label(self) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
        """The same for each label, arrays of shape (L,); `None` where the labels' histograms did not fit."""
        if self.exact:
            areas_2L = np.full((2, self.num_labels), np.nan)
            for label, scores_N, truth_N in self.rows.columns(np.flatnonzero(self.rows.num_true_L)):
                known_N = truth_N != UNKNOWN
                areas_2L[:, label] = roc_auc_and_average_precision(scores_N[known_N], truth_N[known_N])
            return {"auc": (areas_2L[0], np.zeros(self.num_labels)), "ap": (areas_2L[1], np.zeros(self.num_labels))}
        if self.histograms_L is None:
            return None
        answers = {"auc": ([], []), "ap": ([], [])}
        for start in range(0, self.num_labels, 256):  # the bounds need float64 copies
            negatives, positives = self.histograms_L[:, start : start + 256]
            for name, bounds in (("auc", roc_auc_bounds), ("ap", average_precision_bounds)):
                for parts, part in zip(answers[name], _middle(*bounds(positives, negatives)), strict=True):
                    parts.append(part)
        return {name: (np.concatenate(values), np.concatenate(errors)) for name, (values, errors) in answers.items()}

    def _known_cells(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _, piece in self.rows.pieces():
            known_BS = piece.truth_BS != UNKNOWN
            yield piece.scores_BS[known_BS], piece.truth_BS[known_BS] == 1

    def _start_histograms(self) -> None:
        self.exact = False
        self.histograms_micro = np.zeros((2, MICRO_BINS), np.int64)
        if 2 * 4 * self.num_labels * self.num_bins <= self.budget_bytes:
            self.histograms_L = np.zeros((2, self.num_labels, self.num_bins), np.uint32)
        while self.rows.blocks:
            rows = self.rows.blocks.pop()
            self._count(torch.from_numpy(rows.scores_BS), torch.from_numpy(rows.truth_BS))

    def _count(self, scores_BL: torch.Tensor, truth_BL: torch.Tensor) -> None:
        rows_per_step = max(1, 2**18 // self.num_labels)  # some ten working copies of 8 bytes
        for start in range(0, len(scores_BL), rows_per_step):
            scores, truth = scores_BL[start : start + rows_per_step], truth_BL[start : start + rows_per_step]
            labels = torch.arange(self.num_labels, device=scores.device).expand_as(scores)
            for target in (0, 1):
                of_target = truth == target
                counts = torch.bincount(score_bins(scores[of_target], MICRO_BINS), minlength=MICRO_BINS)
                self.histograms_micro[target] += counts.cpu().numpy()
                if self.histograms_L is not None:
                    cells = labels[of_target] * self.num_bins + score_bins(scores[of_target], self.num_bins)
                    cells, counts = cells.unique(return_counts=True)
                    histogram = self.histograms_L[target].reshape(-1)
                    histogram[cells.cpu().numpy()] += counts.cpu().numpy().astype(np.uint32)


def _middle(lowest: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (lowest + highest) / 2, (highest - lowest) / 2
