from __future__ import annotations

import numpy as np
import pytest

from hf_mlc.metrics import MultiLabelMetrics, staircase
from hf_mlc.metrics.row_store import Rows, RowStore


def test_threshold_between_separates_neighbours_in_float32():
    assert staircase.threshold_between(0.75, 0.25) == 0.5
    lower = np.float32(0.3)
    upper = np.nextafter(lower, np.float32(1))
    threshold = np.float32(staircase.threshold_between(upper, lower))
    assert upper >= threshold > lower


def test_no_threshold_exceeds_one_so_a_score_of_one_is_always_predicted():
    # 1 wrong, .9 right, .1 wrong. Without the wrong one F1 would be 0 as well; with it and .9: 2/(2+1)
    scores, truth = np.array([1.0, 0.9, 0.1], np.float32), np.array([False, True, False])
    assert staircase.best_f1_threshold(scores, truth, 1) == (pytest.approx(0.5), pytest.approx(2 / 3))
    # nothing right at all: as little as can be, which is the score of 1
    threshold, f1 = staircase.best_f1_threshold(scores, np.zeros(3, bool), 1)
    assert 0.9 < threshold <= 1.0 and f1 == 0.0


def test_best_f1_threshold_as_computed_by_hand():
    # taken from the top: .9 right 2/(1+3), .8 wrong 2/(2+3), .7 right 4/(3+3), .2 wrong, .1 right 6/(5+3)
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1], np.float32)
    truth = np.array([True, False, True, False, True])
    assert staircase.best_f1_threshold(scores, truth, 3) == (pytest.approx(0.05), pytest.approx(0.75))
    # with a fourth one that has no score: 2/5, 2/6, 4/7, 4/8, 6/9
    assert staircase.best_f1_threshold(scores, truth, 4)[1] == pytest.approx(6 / 9)
    # without the last one: 2/(1+2), 2/(2+2), 4/(3+2), so between .7 and .2
    assert staircase.best_f1_threshold(scores[:4], truth[:4], 2) == (pytest.approx(0.45), pytest.approx(0.8))


def test_best_f1_threshold_takes_equal_scores_together():
    # .5 right and .5 wrong can only come together: 2/(2+1) = 2/3
    scores, truth = np.array([0.5, 0.5, 0.1], np.float32), np.array([True, False, False])
    assert staircase.best_f1_threshold(scores, truth, 1) == (pytest.approx(0.3), pytest.approx(2 / 3))


def _store(scores, truth):
    store = RowStore(np.shape(scores)[1])
    truth = np.array(truth, np.int8)
    store.add(Rows(np.array(scores, np.float32), truth, None, (truth == 1).sum(axis=1)), np.nonzero(truth == 1)[1])
    return store


def test_the_guaranteed_label_is_the_best_one_also_where_its_truth_is_unknown():
    # document 0: .9 twice, the first of them; document 1: unknown and best, so nothing of it counts
    store = _store([[0.2, 0.9, 0.9], [0.5, 0.4, 0.1]], [[0, 1, 0], [-100, 0, 0]])
    # nothing but label 1 of document 0, which is right
    assert staircase.Search(store, ("f1_micro",), 1).run() == (pytest.approx(0.95), 1.0)


def test_equal_scores_fall_together():
    # scores .5 (true), .5 (false), .5 (true): all at once 2*2/(3+2)
    store = _store([[0.5, 0.5, 0.5]], [[1, 0, 1]])
    for metric in ("f1_micro", "f1_samples"):
        assert staircase.Search(store, (metric,), 0).run() == (0.25, pytest.approx(0.8))


@pytest.mark.parametrize("kind", ["wide", "narrow", "few", "equal"])
@pytest.mark.parametrize(
    "metrics", [("f1_micro",), ("f1_macro",), ("f1_samples",), ("f1_micro", "f1_macro", "subset_accuracy")]
)
def test_narrowing_finds_what_a_look_at_every_score_finds(metrics, kind, monkeypatch):
    # so little to work on that ranges are divided several times and looked at in several runs
    monkeypatch.setattr(RowStore, "work_cells", 60)
    generator = np.random.default_rng(len(metrics))
    truth = (generator.random((60, 8)) < 0.2).astype(np.int8)
    scores = {
        "wide": lambda: np.clip(generator.random((60, 8)) + 0.3 * truth, 0, 1),
        "narrow": lambda: 0.5 + 1e-5 * generator.random((60, 8)),
        "few": lambda: generator.integers(0, 6, (60, 8)) / 5,
        "equal": lambda: np.full((60, 8), 0.25),
    }[kind]().astype(np.float32)
    for min_labels in (0, 1):
        threshold, value = staircase.Search(_store(scores, truth), metrics, min_labels).run()
        values = {}
        for cut in [*np.unique(scores).tolist(), 1.0, threshold]:
            measured = MultiLabelMetrics(8, thresholds=cut, min_labels=min_labels, score_budget_mb=0)
            measured.update(scores, truth)
            result = measured.compute()
            values[cut] = np.mean([result[name] for name in metrics])
        assert value == pytest.approx(max(values.values()), abs=1e-11)
        assert values[threshold] == pytest.approx(value, abs=1e-11) and 0 <= threshold <= 1
