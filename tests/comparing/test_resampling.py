"""Metrics under document weights: those of `hf_mlc.metrics` with weights of 1, and of repeated documents otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.comparing.scores import KEPT, RunScores, ScoreCollector
from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics


N, L = 37, 23
NAMES = [
    "f1_micro", "f1_macro", "f1_macro_present", "precision_micro", "recall_micro", "ap_macro", "f1_macro@1-5",
    "f1_micro@6-20", "ap_macro@1-5", "ap_macro@6-20", "p@1", "p@3", "r@5", "ndcg@5",
    "subset_accuracy", "f1_samples", "hamming_loss",
]  # fmt: skip
RULE = {"thresholds": 0.6, "min_labels": 1}


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    scores_NL = rng.integers(0, 12, (N, L)).astype(np.float32) / 12  # many equal scores
    truth_NL = (rng.random((N, L)) < 0.12).astype(np.int8)
    truth_NL[4] = 0  # a document without labels
    return scores_NL, truth_NL, rng.integers(0, 25, L)


def collected(scores_NL, truth_NL, counts, num_labels: int = L) -> RunScores:
    collector = ScoreCollector(len(scores_NL), num_labels, **RULE)
    order = np.random.default_rng(1).permutation(len(scores_NL))
    for part in np.array_split(order, 3):
        collector.add(part.tolist(), torch.from_numpy(scores_NL[part]))
    return collector.done([np.flatnonzero(row) for row in truth_NL], counts)


def measured(scores_NL, truth_NL, counts) -> dict[str, float]:
    metrics = MultiLabelMetrics(scores_NL.shape[1], train_counts=counts, num_train_documents=50, ks=(1, 3, 5), **RULE)
    metrics.update(scores_NL, truth_NL)
    return metrics.compute()


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_one_give_the_metric_and_other_weights_that_of_repeated_documents(name, case, tmp_path):
    scores_NL, truth_NL, counts = case
    collected(*case).save(tmp_path / "run.npz")
    resampled = ResampledMetrics(RunScores.load(tmp_path / "run.npz"))
    weights_RN = np.random.default_rng(2).multinomial(N, np.full(N, 1 / N), size=3).astype(np.float32)
    found = resampled.values(name, np.concatenate([np.ones((1, N), np.float32), weights_RN]))
    assert found[0] == pytest.approx(measured(*case)[name], abs=1e-6)
    for value, weights_N in zip(found[1:], weights_RN, strict=True):
        drawn = np.repeat(np.arange(N), weights_N.astype(int))
        assert value == pytest.approx(measured(scores_NL[drawn], truth_NL[drawn], counts)[name], abs=1e-6)


def test_of_many_labels_the_best_are_kept_and_ranking_and_counts_stay_exact(case, monkeypatch):
    monkeypatch.setattr("hf_mlc.comparing.scores.MOST_CELLS", 10)
    monkeypatch.setattr("hf_mlc.comparing.scores.KEPT", 7)
    resampled = ResampledMetrics(collected(*case))
    assert resampled.scores.scores_NK.shape == (N, 7) and KEPT == 100
    ones = np.ones((1, N), np.float32)
    for name in ("f1_micro", "f1_macro@1-5", "p@5", "ndcg@5"):
        assert resampled.values(name, ones)[0] == pytest.approx(measured(*case)[name], abs=1e-6)
    with pytest.raises(UserError, match="only the best labels"):
        resampled.values("ap_macro", ones)


def test_a_shortlist_is_the_same_as_scores_of_all_labels_with_nothing_elsewhere(case):
    scores_NL, truth_NL, counts = case
    ids_NK = np.argsort(-scores_NL, axis=1, kind="stable")[:, :9].copy()
    shortlist_NK = np.take_along_axis(scores_NL, ids_NK, axis=1)
    ids_NK[0, 5:] = -1  # padding
    collector = ScoreCollector(N, L, **RULE)
    collector.add(list(range(N)), torch.from_numpy(shortlist_NK), torch.from_numpy(ids_NK))
    short = collector.done([np.flatnonzero(row) for row in truth_NL], counts)
    elsewhere_NL = np.zeros_like(scores_NL)
    for row in range(N):
        kept = ids_NK[row] >= 0
        elsewhere_NL[row, ids_NK[row, kept]] = shortlist_NK[row, kept]
    whole = collected(elsewhere_NL, truth_NL, counts)
    assert np.array_equal(short.scores_NK, whole.scores_NK) and np.array_equal(short.chosen, whole.chosen)


def test_an_unknown_metric_is_refused(case):
    with pytest.raises(UserError, match="f1_weighted"):
        ResampledMetrics(collected(*case)).values("f1_weighted", np.ones((1, N)))
