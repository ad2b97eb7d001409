"""Metrics of label sets as functions of one threshold: staircases with steps at the scores, searched exactly.

A cell is a (document, label) pair with its score. A score of infinity marks a cell that is predicted at any threshold.

Shape legend: N documents, L labels, C cells, G groups of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hf_mlc.metrics.ranking import top_k


@dataclass
class Cells:
    """The cells whose truth is known, flat.

    Args:
        rows_C (`np.ndarray` of shape `(C,)`): their documents.
        ids_C (`np.ndarray` of shape `(C,)`): their labels.
        scores_C (`np.ndarray` of shape `(C,)`): float32.
        truth_C (`np.ndarray` of shape `(C,)`): bool.
        first_C (`np.ndarray` of shape `(C,)`): bool; the document's best label, which `min_labels=1` always predicts.
        num_true_N (`np.ndarray` of shape `(N,)`): true labels of each document, with or without a cell.
        num_true_L (`np.ndarray` of shape `(L,)`): true documents of each label, likewise.
    """

    rows_C: np.ndarray
    ids_C: np.ndarray
    scores_C: np.ndarray
    truth_C: np.ndarray
    first_C: np.ndarray
    num_true_N: np.ndarray
    num_true_L: np.ndarray

    def with_min_labels(self, min_labels: int) -> np.ndarray:
        """Scores of shape (C,) in which the labels that `min_labels` (0 or 1) guarantees are infinite."""
        return np.where(self.first_C, np.float32(np.inf), self.scores_C) if min_labels else self.scores_C


def make_cells(scores_BS, truth_BS, candidate_ids_BS, num_true_B: np.ndarray, num_true_L: np.ndarray) -> Cells:
    """Flattens scores and truth (1, 0, -100 unknown or no label), torch tensors of shape `(B, S)`."""
    first_B1, _ = top_k(
        scores_BS,
        1,
        candidate_ids_BS=candidate_ids_BS,
        mask_BS=None if candidate_ids_BS is None else candidate_ids_BS >= 0,
    )
    first_BS = torch.zeros_like(truth_BS, dtype=torch.bool)
    # a row without any column to rank has -1 there: nothing is first in it
    first_BS.scatter_(1, first_B1.clamp(min=0), first_B1 >= 0)
    num_rows, num_columns = scores_BS.shape
    rows_C = np.repeat(np.arange(num_rows, dtype=np.int32), num_columns)
    if candidate_ids_BS is None:
        ids_C = np.tile(np.arange(num_columns, dtype=np.int32), num_rows)
    else:
        ids_C = candidate_ids_BS.to(torch.int32).cpu().numpy().reshape(-1)
    cells = [rows_C, ids_C]
    cells += [values.cpu().numpy().reshape(-1) for values in (scores_BS, truth_BS == 1, first_BS)]
    known_C = (truth_BS >= 0).cpu().numpy().reshape(-1)
    if not known_C.all():  # mostly they all are, and the copies are large
        cells = [values[known_C] for values in cells]
    return Cells(*cells, num_true_B, num_true_L)


def join_cells(parts: list[Cells]) -> Cells:
    """The cells of several batches, their documents counted on."""
    starts = np.cumsum([0] + [len(part.num_true_N) for part in parts[:-1]])
    return Cells(
        rows_C=np.concatenate([part.rows_C + np.int32(start) for part, start in zip(parts, starts, strict=True)]),
        ids_C=np.concatenate([part.ids_C for part in parts]),
        scores_C=np.concatenate([part.scores_C for part in parts]),
        truth_C=np.concatenate([part.truth_C for part in parts]),
        first_C=np.concatenate([part.first_C for part in parts]),
        num_true_N=np.concatenate([part.num_true_N for part in parts]),
        num_true_L=np.sum([part.num_true_L for part in parts], axis=0),
    )


def threshold_between(upper: float, lower: float) -> float:
    """Halfway between two neighbouring scores, rounded to float32 so that `upper` reaches it and `lower` does not.
    An infinite `upper` counts as 1."""
    lower = np.float32(lower)
    upper = np.float32(1.0) if np.isinf(upper) else np.float32(upper)
    if lower == upper == 1:  # nothing but guaranteed cells, which need no score
        return float(np.nextafter(lower, np.float32(2.0)))
    middle = np.float32((float(upper) + float(lower)) / 2)
    return float(middle if middle > lower else upper)


def best_f1_threshold(scores: np.ndarray, truth: np.ndarray, num_true: int) -> tuple[float, float]:
    """The threshold t that maximises F1(t) = 2 tp(t) / (predicted(t) + true), with everything at or above t
    predicted. Exact: between two positives F1 only falls, so one of the positives' scores is the lowest one predicted.

    Args:
        scores (`np.ndarray` of shape `(C,)`): float32; infinite where predicted at any threshold.
        truth (`np.ndarray` of shape `(C,)`): bool.
        num_true (`int`): true ones, with or without a score.

    Returns:
        the threshold, halfway to the next lower score (0 where there is none), and its F1. Of equally good ones the
        highest.
    """
    ascending = np.sort(scores)
    # the guaranteed cells alone are a choice as well
    lowest_predicted = np.unique(np.append(scores[truth], np.float32(np.inf)))
    positives = np.sort(scores[truth])
    starts = np.searchsorted(ascending, lowest_predicted, side="left")
    predicted = len(ascending) - starts
    tp = len(positives) - np.searchsorted(positives, lowest_predicted, side="left")
    f1 = 2.0 * tp / np.maximum(predicted + num_true, 1)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    lower = ascending[starts[best] - 1] if starts[best] > 0 else 0.0
    return threshold_between(lowest_predicted[best], lower), float(f1[best])


@dataclass
class Steps:
    """A staircase: `start` with nothing predicted, plus the `change_E` of every event whose `scores_E` reaches t."""

    start: float
    scores_E: np.ndarray
    change_E: np.ndarray


def f1_steps(
    groups_C: np.ndarray, scores_C: np.ndarray, truth_C: np.ndarray, num_true_G: np.ndarray, *, empty: float
) -> Steps:
    """Mean over G groups of 2 tp / (predicted + true): of documents (`f1_samples`, `empty`=1: the F1 of predicting
    nothing where nothing is true) or of labels (`f1_macro`, `empty`=0)."""
    # group, falling score and truth in one number, since sorting numbers is many times faster than sorting by keys; the
    # bits of floats from 0 on are ordered as the floats are
    bits_C = (scores_C + np.float32(0.0)).view(np.int32)  # + 0 turns -0.0, whose bits are negative, into 0.0
    packed_C = (groups_C.astype(np.int64) << 32) | (np.int64(0x7FFFFFFF) - bits_C << 1) | truth_C
    packed_C.sort()
    groups, truth = packed_C >> 32, (packed_C & 1).astype(bool)
    scores = (0x7FFFFFFF - ((packed_C >> 1) & 0x7FFFFFFF)).astype(np.int32).view(np.float32)
    starts = np.concatenate([[0], np.bincount(groups, minlength=len(num_true_G)).cumsum()])
    tp = np.concatenate([[0], truth.cumsum()])
    predicted = np.arange(1, len(groups) + 1) - starts[groups]
    f1 = 2.0 * (tp[1:] - tp[starts[groups]]) / (predicted + num_true_G[groups])
    nothing_G = np.where(num_true_G == 0, empty, 0.0)
    before = np.concatenate([[0.0], f1[:-1]])
    before[predicted == 1] = nothing_G[groups[predicted == 1]]
    change = (f1 - before) / len(num_true_G)
    moved = change != 0  # nothing happens above a group's best true cell
    return Steps(nothing_G.mean(), scores[moved], change[moved])


def exact_match_steps(rows_C: np.ndarray, scores_C: np.ndarray, truth_C: np.ndarray, num_true_N: np.ndarray) -> Steps:
    """Share of documents whose set is exactly right: those with t at or below their lowest true score and above their
    highest false one."""
    num_documents = len(num_true_N)
    rows, scores = torch.from_numpy(rows_C.astype(np.int64)), torch.from_numpy(scores_C)
    truth = torch.from_numpy(truth_C)
    lowest_N = torch.full((num_documents,), float("inf")).scatter_reduce_(0, rows[truth], scores[truth], "amin")
    highest_N = torch.full((num_documents,), -1.0).scatter_reduce_(0, rows[~truth], scores[~truth], "amax")
    lowest_N, highest_N = lowest_N.numpy(), highest_N.numpy()
    without_N = num_true_N == 0
    reachable_N = np.bincount(rows_C[truth_C], minlength=num_documents) == num_true_N
    entered_N = reachable_N & ~without_N & (lowest_N > highest_N)
    left_N = (entered_N | without_N) & (highest_N >= 0)
    scores_E = np.concatenate([lowest_N[entered_N], highest_N[left_N]])
    change_E = np.concatenate([np.ones(entered_N.sum()), -np.ones(left_N.sum())])
    return Steps(without_N.mean(), scores_E, change_E / num_documents)


def best_step(staircases: list[Steps]) -> tuple[float, float]:
    """The threshold that maximises the mean of some staircases, halfway between the steps around it, and that maximum;
    of equally good ones the highest."""
    scores = np.concatenate([steps.scores_E for steps in staircases])
    change = np.concatenate([steps.change_E for steps in staircases]) / len(staircases)
    start = float(np.mean([steps.start for steps in staircases]))
    # an infinite score, so that "only what is guaranteed" is always the first choice
    scores, change = np.append(scores, np.float32(np.inf)), np.append(change, 0.0)
    order = np.argsort(-scores)
    scores, values = scores[order], start + change[order].cumsum()
    last_of_equals = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    # sums of a million changes differ in their last digits where they should be equal: round before comparing
    best = int(np.argmax(values[last_of_equals].round(12)))
    position = last_of_equals[best]
    lower = scores[position + 1] if position + 1 < len(scores) else 0.0
    return threshold_between(scores[position], lower), float(values[position])
