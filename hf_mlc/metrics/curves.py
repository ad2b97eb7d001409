"""Areas under the ROC and the precision-recall curve: exact from scores, and between two bounds from histograms.

Each function is pure on arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch


# Bins are equally wide in ln(p / (1 - p)), where the scores of rare labels spread out; on the probability scale nearly
# all of them would share the first bin. Beyond ±16 float32 probabilities can hardly be told from 0 and 1.
LOGIT_RANGE = 16.0


def roc_auc_and_average_precision(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Both areas of one ranking from one sort: [`roc_auc`] and [`average_precision`], NaN where undefined."""
    return pooled_areas(lambda: [(scores, truth.astype(bool))], at_once=len(scores))


def pooled_areas(
    pieces: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]], *, at_once: int
) -> tuple[float, float]:
    """[`roc_auc_and_average_precision`] of one ranking that comes in pieces, each sorted by itself; besides them it
    holds the positives' scores.

    Args:
        pieces: gives (scores, truth as bool), flat, the same ones at every call.
        at_once (`int`): how many positives to rank in one pass over the pieces.
    """
    num_cells = num_positive = 0
    for scores, truth in pieces():
        num_cells, num_positive = num_cells + len(scores), num_positive + np.count_nonzero(truth)
    num_negative = num_cells - num_positive
    positives, filled = np.empty(num_positive, scores.dtype), 0
    for scores, truth in pieces():
        some = scores[truth]
        positives[filled : filled + len(some)], filled = some, filled + len(some)
    positives.sort()
    if num_positive == 0:
        return float("nan"), float("nan")
    precision = outranked = 0.0
    for start in range(0, num_positive, at_once):
        some = positives[start : start + at_once]
        at_or_above, above = np.zeros((2, len(some)), np.int64)
        for scores, _ in pieces():
            scores = np.sort(scores)
            at_or_above += len(scores) - np.searchsorted(scores, some, side="left")
            above += len(scores) - np.searchsorted(scores, some, side="right")
        positives_at_or_above = num_positive - np.searchsorted(positives, some, side="left")
        positives_above = num_positive - np.searchsorted(positives, some, side="right")
        precision += float((positives_at_or_above / at_or_above).sum())
        # negatives above, and half of those with an equal score
        outranked += float(((above - positives_above) + (at_or_above - positives_at_or_above)).sum() / 2)
    auc = 1.0 - outranked / (num_positive * num_negative) if num_negative else float("nan")
    return auc, precision / num_positive


def roc_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """P(score of a positive > score of a negative) + P(equal) / 2 over all pairs (the Mann-Whitney form of the area
    under the ROC curve); NaN without a positive or without a negative.

    Args:
        scores (`np.ndarray` of shape `(N,)`): scores.
        truth (`np.ndarray` of shape `(N,)`): 1 or 0.
    """
    return roc_auc_and_average_precision(scores, truth)[0]


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Σ_n (R_n - R_{n-1}) P_n over the distinct scores n in falling order, P_n and R_n precision and recall of taking
    everything at or above n (no interpolation; equal scores enter together, as in scikit-learn); NaN without a positive.

    Args:
        scores (`np.ndarray` of shape `(N,)`): scores.
        truth (`np.ndarray` of shape `(N,)`): 1 or 0.
    """
    return roc_auc_and_average_precision(scores, truth)[1]


def score_bins(scores: torch.Tensor, num_bins: int) -> torch.Tensor:
    """The bin, 0 .. num_bins - 1, of each probability; bins are equally wide on the logit scale from -16 to 16 and the
    outermost ones take what lies beyond. Higher scores never fall into lower bins."""
    position = (torch.logit(scores.to(torch.float32)) + LOGIT_RANGE) * (num_bins / (2 * LOGIT_RANGE))
    return position.clamp_(0, num_bins - 1).to(torch.int64)


def roc_auc_bounds(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest [`roc_auc`] that scores with these histograms can have: pairs in different bins are
    decided, pairs in one bin could go either way. The middle is wrong by at most half the distance,
    Σ_b p_b n_b / (2 P N).

    Args:
        positives (`np.ndarray` of shape `(..., bins)`): positives a bin, bins in rising order of score.
        negatives (`np.ndarray` of shape `(..., bins)`): negatives a bin.

    Returns:
        two arrays of shape `(...)`, NaN without a positive or without a negative.
    """
    positives, negatives = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    pairs = positives.sum(-1) * negatives.sum(-1)
    below = negatives.cumsum(-1)
    highest = (positives * below).sum(-1)
    lowest = (positives * (below - negatives)).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return lowest / pairs, highest / pairs


def average_precision_bounds(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A lower and an upper bound of [`average_precision`] for scores with these histograms.

    With T positives and F negatives in higher bins, p and n in this one: no positive of the bin sees a precision above
    (T + p) / (T + F + p), and the j-th of them none below (T + j) / (T + F + n + j). The middle is wrong by at most
    half the distance.

    Args:
        positives (`np.ndarray` of shape `(..., bins)`): positives a bin, bins in rising order of score.
        negatives (`np.ndarray` of shape `(..., bins)`): negatives a bin.

    Returns:
        two arrays of shape `(...)`, NaN without a positive.
    """
    positives = np.asarray(positives, np.float64)[..., ::-1]
    negatives = np.asarray(negatives, np.float64)[..., ::-1]
    higher = positives.cumsum(-1) - positives
    wrong_above = negatives.cumsum(-1) - negatives
    wrong = wrong_above + negatives
    # Σ_{j=1..p} (T + j) / (T + W + j) = p - W Σ_{j=1..p} 1 / (T + W + j), a difference of harmonic numbers
    first, last = higher + wrong + 1.0, higher + positives + wrong + 1.0
    harmonic = torch.digamma(torch.from_numpy(last)) - torch.digamma(torch.from_numpy(first))
    lowest = (positives - wrong * harmonic.numpy()).sum(-1)
    taken = np.maximum(higher + positives + wrong_above, 1.0)
    highest = (positives * (higher + positives) / taken).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return lowest / positives.sum(-1), highest / positives.sum(-1)


def precision_recall_points(
    positives: np.ndarray, negatives: np.ndarray, *, num_points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A precision-recall curve thinned to some of its points; each that is left is exact.

    The candidates are the lower borders of the bins that hold a cell: precision and recall of taking every cell from there
    on. Of them those are kept that lie about equally far apart along the curve, the first and the last among them, so
    that neither a steep nor a flat part loses its shape.

    Args:
        positives (`np.ndarray` of shape `(bins,)`): positives a bin, bins in rising order of score.
        negatives (`np.ndarray` of shape `(bins,)`): negatives a bin.
        num_points (`int`): how many to keep at most, 2 or more.

    Returns:
        thresholds (scores, falling), precision and recall, each of shape `(points,)`; empty without a positive.
    """
    num_bins = len(positives)
    filled = np.flatnonzero(positives + negatives)[::-1]  # from the highest score on
    taken = (positives + negatives)[filled].cumsum()
    right = positives[filled].cumsum()
    if not len(filled) or right[-1] == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    precision, recall = right / taken, right / right[-1]
    length = np.append(0.0, np.hypot(np.diff(precision), np.diff(recall)).cumsum())
    kept = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], num_points)).clip(0, len(filled) - 1))
    border = (filled[kept] / num_bins - 0.5) * 2 * LOGIT_RANGE
    thresholds = np.where(filled[kept] == 0, 0.0, 1.0 / (1.0 + np.exp(-border)))  # the lowest bin has no border
    return thresholds, precision[kept], recall[kept]
