from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from hf_mlc.metrics import curves


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_areas_agree_with_scikit_learn_with_and_without_ties(levels):
    generator = np.random.default_rng(levels)
    for _ in range(20):
        scores = (generator.integers(0, levels, 80) / levels).astype(np.float32)
        truth = generator.random(80) < 0.2
        truth[0], truth[1] = True, False
        assert curves.roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
        assert curves.average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))


def test_areas_as_computed_by_hand():
    scores, truth = np.array([0.9, 0.8, 0.8, 0.1]), np.array([0, 1, 0, 1])
    # pairs (positive, negative): (.8,.9) 0, (.8,.8) 1/2, (.1,.9) 0, (.1,.8) 0: 0.5 of 4
    assert curves.roc_auc(scores, truth) == pytest.approx(0.125)
    # at .8: three taken, one right, recall 1/2; at .1: four taken, two right: 1/2 * 1/3 + 1/2 * 2/4
    assert curves.average_precision(scores, truth) == pytest.approx(5 / 12)


def test_areas_are_undefined_without_a_positive_or_a_negative():
    scores = np.array([0.2, 0.4])
    assert np.isnan(curves.roc_auc(scores, np.array([0, 0]))) and np.isnan(curves.roc_auc(scores, np.array([1, 1])))
    assert np.isnan(curves.average_precision(scores, np.array([0, 0])))
    assert curves.average_precision(scores, np.array([1, 1])) == 1.0


def test_bins_keep_the_order_of_scores_and_tell_small_scores_apart():
    scores = torch.tensor([0.0, 1e-12, 1e-6, 2e-6, 1e-3, 0.5, 0.999, 0.999999, 1.0])
    bins = curves.score_bins(scores, 2048)
    assert (bins.diff() >= 0).all() and bins[0] == 0 and bins[-1] == 2047
    assert bins[2] < bins[3] < bins[4] < bins[5] < bins[6] < bins[7]


@pytest.mark.parametrize("num_bins", [1, 3, 16])
def test_bounds_hold_whatever_the_order_inside_a_bin(num_bins):
    generator = np.random.default_rng(num_bins)
    for _ in range(60):
        num_cells = int(generator.integers(2, 40))
        bins = generator.integers(0, num_bins, num_cells)
        truth = generator.random(num_cells) < generator.random()
        truth[0], truth[1] = True, False
        # any order inside a bin, with or without ties
        scores = bins + generator.integers(0, 3, num_cells) / 4
        positives, negatives = (np.bincount(bins[truth == t], minlength=num_bins) for t in (1, 0))
        for exact, bounds in (
            (curves.roc_auc, curves.roc_auc_bounds),
            (curves.average_precision, curves.average_precision_bounds),
        ):
            lowest, highest = bounds(positives, negatives)
            assert lowest - 1e-9 <= exact(scores, truth) <= highest + 1e-9


def test_bounds_are_reached_in_one_bin():
    # one bin, 2 positives and 2 negatives: AUC anything from 0 to 1; AP from (1/3 + 2/4)/2 to 1
    assert curves.roc_auc_bounds(np.array([2]), np.array([2])) == (0.0, 1.0)
    lowest, highest = curves.average_precision_bounds(np.array([2]), np.array([2]))
    assert (lowest, highest) == (pytest.approx(5 / 12), pytest.approx(1.0))


def test_bounds_close_where_bins_separate():
    # bins: 1 negative | 1 positive | 1 negative | 1 positive (highest): AP = (1 + 2/3)/2, AUC = 3/4
    positives, negatives = np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0])
    assert curves.average_precision_bounds(positives, negatives) == (pytest.approx(5 / 6), pytest.approx(5 / 6))
    assert curves.roc_auc_bounds(positives, negatives) == (0.75, 0.75)


def test_points_of_the_precision_recall_curve_by_hand():
    # bins from low to high: (positives, negatives) = (0, 4), (0, 0), (1, 2), (0, 0), (2, 0)
    positives, negatives = np.array([0, 0, 1, 0, 2]), np.array([4, 0, 2, 0, 0])
    thresholds, precision, recall = curves.precision_recall_points(positives, negatives, num_points=10)
    assert precision == pytest.approx([1.0, 3 / 5, 3 / 9])
    assert recall == pytest.approx([2 / 3, 1.0, 1.0])
    # borders of the bins 4, 2 and 0 on the logit scale, 6.4 wide from -16; below the lowest there is nothing
    assert thresholds == pytest.approx([1 / (1 + np.exp(-9.6)), 1 / (1 + np.exp(3.2)), 0.0])


def test_every_point_that_is_kept_lies_on_the_exact_curve():
    generator = np.random.default_rng(3)
    scores, truth = generator.random(20_000).astype(np.float32) ** 4, generator.random(20_000) < 0.1
    scores[truth] = np.sqrt(scores[truth])
    bins = curves.score_bins(torch.from_numpy(scores), 4096).numpy()
    positives, negatives = (np.bincount(bins[truth == target], minlength=4096) for target in (True, False))
    thresholds, precision, recall = curves.precision_recall_points(positives, negatives, num_points=50)
    assert 25 < len(thresholds) <= 50 and (np.diff(thresholds) < 0).all() and recall[-1] == 1
    for threshold, p, r in zip(thresholds[:-1], precision, recall, strict=False):
        taken = bins >= round((np.log(threshold / (1 - threshold)) + 16) * 4096 / 32)  # from the bin's lower border on
        assert truth[taken].mean() == pytest.approx(p) and truth[taken].sum() / truth.sum() == pytest.approx(r)
    # no stretch of the curve is left without a point
    assert np.hypot(np.diff(precision), np.diff(recall)).max() < 0.12


def test_there_is_no_precision_recall_curve_without_a_positive():
    for part in curves.precision_recall_points(np.zeros(5), np.ones(5), num_points=10):
        assert part.shape == (0,)
