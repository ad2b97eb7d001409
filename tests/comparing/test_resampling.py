"""Metrics under document weights: those of `hf_mlc.metrics` with weights of 1, and of repeated documents otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.comparing.bootstrap import Bootstrap
from hf_mlc.comparing.repeat_explore import repeat_and_explore
from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.comparing.scores import KEPT, RunScores, ScoreCollector
from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.metrics.ranking import inverse_propensities


N, L = 37, 23
NAMES = [
    "f1_micro", "f1_macro", "f1_macro_present", "precision_micro", "recall_micro", "ap_macro", "f1_macro@1-5",
    "f1_micro@6-20", "ap_macro@1-5", "ap_macro@6-20", "p@1", "p@3", "r@5", "ndcg@5",
    "r@10", "ndcg@10", "psp@1", "psp@5", "ndcg@5@1-5", "ndcg@3@6-20", "p@3@1-5", "psp@5@1-5", "r@5@6-20", "auc_micro", "auc_macro", "auc_weighted", "ap_micro",
    "subset_accuracy", "f1_samples", "hamming_loss",
]  # fmt: skip
TRAIN_DOCUMENTS = 50
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
    found = collector.done([np.flatnonzero(row) for row in truth_NL], counts)
    found.label_weights = inverse_propensities(counts, TRAIN_DOCUMENTS)
    return found


def measured(scores_NL, truth_NL, counts) -> dict[str, float]:
    metrics = MultiLabelMetrics(
        scores_NL.shape[1], train_counts=counts, num_train_documents=TRAIN_DOCUMENTS, ks=(1, 3, 5, 10), **RULE
    )
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


def test_without_the_weights_of_labels_there_is_no_psp(case):
    scores = collected(*case)
    scores.label_weights = None  # of an earlier version
    resampled = ResampledMetrics(scores)
    assert not resampled.has("psp@5") and resampled.has("p@5") and resampled.has("ndcg@5@1-5")
    run = {0: resampled}
    assert Bootstrap(N, [0]).interval("psp@5", run, run) is None


def test_of_many_labels_the_best_are_kept_and_ranking_and_counts_stay_exact(case, monkeypatch):
    monkeypatch.setattr("hf_mlc.comparing.scores.MOST_CELLS", 10)
    monkeypatch.setattr("hf_mlc.comparing.scores.KEPT", 7)
    resampled = ResampledMetrics(collected(*case))
    assert resampled.scores.scores_NK.shape == (N, 7) and KEPT == 100
    ones = np.ones((1, N), np.float32)
    for name in ("f1_micro", "f1_macro@1-5", "p@5", "ndcg@5"):
        assert resampled.values(name, ones)[0] == pytest.approx(measured(*case)[name], abs=1e-6)
    for name in ("ap_macro", "ap_micro", "auc_micro", "auc_weighted"):
        assert not resampled.has(name)
        with pytest.raises(UserError, match="only the best labels"):
            resampled.values(name, ones)


def test_a_run_of_ta_feng_keeps_every_score_and_areas_over_too_many_cells_are_not_resampled(case, monkeypatch):
    assert ScoreCollector(1_969, 4_935, **RULE).every_label and not ScoreCollector(6_000, 4_271, **RULE).every_label
    resampled = ResampledMetrics(collected(*case))
    monkeypatch.setattr("hf_mlc.comparing.resampling.MOST_PAIRS", int(case[1].sum()) * N)
    assert resampled.has("auc_micro") and resampled.has("ap_micro")
    monkeypatch.setattr("hf_mlc.comparing.resampling.MOST_PAIRS", int(case[1].sum()) * N - 1)
    assert [resampled.has(name) for name in ("auc_micro", "ap_micro", "auc_macro", "p@1")] == [
        False,
        False,
        True,
        True,
    ]
    run = {0: resampled}
    assert Bootstrap(N, [0]).interval("auc_micro", run, run) is None


def test_of_a_shortlist_all_is_known_but_what_the_other_labels_score(case):
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
    assert np.array_equal(short.chosen, whole.chosen) and not short.every_label
    assert (short.best(10)[0] >= 0).sum() == 5  # no label that nobody named
    listed, ones = ResampledMetrics(short), np.ones((1, N))
    assert not any(listed.has(name) for name in ("ap_macro", "auc_micro"))
    for name in ("p@3", "f1_micro", "subset_accuracy"):
        assert listed.values(name, ones) == pytest.approx(ResampledMetrics(whole).values(name, ones))


def test_a_shortlist_after_a_batch_of_all_scores_is_refused(case):
    collector = ScoreCollector(N, L, **RULE)
    scores_NL = torch.from_numpy(case[0])
    collector.add([0], scores_NL[:1])
    with pytest.raises(ValueError, match="all batches or none"):
        collector.add([1], scores_NL[1:2, :3], torch.tensor([[0, 1, 2]]))


def test_an_unknown_metric_is_refused(case):
    with pytest.raises(UserError, match="f1_weighted"):
        ResampledMetrics(collected(*case)).values("f1_weighted", np.ones((1, N)))


def test_areas_that_no_weighting_defines_are_nan_and_a_label_without_a_negative_has_no_part():
    scores_NL = np.array([[0.9, 0.4], [0.2, 0.6], [0.5, 0.5]], np.float32)
    resampled = ResampledMetrics(collected(scores_NL, np.array([[1, 0], [1, 1], [1, 0]]), np.ones(2), num_labels=2))
    weights_RN = np.array([[1, 1, 1], [1, 0, 1]], np.float32)  # the second leaves out the only document of label 1
    assert resampled.values("auc_macro", weights_RN).tolist() == pytest.approx([1, np.nan], nan_ok=True)
    # true .9 .2 .6 .5 against false .4 .5: of 8 pairs .2 loses 2, and .5 is even with .5
    assert resampled.values("auc_micro", weights_RN).tolist() == pytest.approx([1 - 2.5 / 8, 1 - 0.5 / 4])


def test_what_is_found_again_and_what_is_found_anew():
    scores_NL = np.linspace(1, 0, 13, dtype=np.float32)[None].repeat(3, 0)  # labels 0 to 9 are the first ten
    truth_NL = np.zeros((3, 13), np.int8)
    truth_NL[0, [0, 3, 11]] = 1  # 0 is held: found again; 3 is found anew, 11 is not
    truth_NL[1, 12] = 1  # held, and not found
    scores = collected(scores_NL, truth_NL, np.ones(13), num_labels=13)
    found = repeat_and_explore(scores, [np.array([0, 5]), np.array([12]), np.array([], np.int64)])
    assert found["repeat_r@10"] == pytest.approx((1 + 0) / 2)
    assert found["explore_r@10"] == pytest.approx(1 / 2)
    assert found["repeat_ndcg@10"] == pytest.approx((1 + 0) / 2)
    assert found["explore_ndcg@10"] == pytest.approx((1 / np.log2(5)) / (1 + 1 / np.log2(3)))
    nothing_anew = repeat_and_explore(scores, [np.arange(13)] * 3)
    assert set(nothing_anew) == {"repeat_r@10", "repeat_ndcg@10"}


def test_documents_that_belong_together_are_drawn_together(case):
    """Each document written down three times is no more evidence: the interval stays as wide as that of one copy."""
    scores_NL, truth_NL, counts = case
    better_NL = np.clip(scores_NL + 0.2 * truth_NL, 0, 1).astype(np.float32)
    once = {0: ResampledMetrics(collected(better_NL, truth_NL, counts))}, {0: ResampledMetrics(collected(*case))}
    copies = [np.repeat(part, 3, axis=0) for part in (better_NL, scores_NL, truth_NL)]
    thrice = tuple({0: ResampledMetrics(collected(part, copies[2], counts))} for part in copies[:2])

    ahead = measured(better_NL, truth_NL, counts)["auc_micro"] - measured(*case)["auc_micro"]

    def width(runs, **drawing) -> float:
        bootstrap = Bootstrap(runs[0][0].scores.num_documents, [0], **drawing)
        interval = bootstrap.interval("auc_micro", *runs)
        assert interval.difference == pytest.approx(ahead)
        return interval.high - interval.low

    whole = width(once)
    assert width(thrice, together=np.repeat(np.arange(N), 3)) == pytest.approx(whole, rel=0.02)
    assert width(thrice) < 0.7 * whole


def test_groups_are_kept_with_the_scores(case, tmp_path):
    scores = collected(*case)
    scores.save(tmp_path / "without.npz")
    assert RunScores.load(tmp_path / "without.npz").groups is None
    scores.groups = np.arange(N) // 3
    scores.save(tmp_path / "with.npz")
    assert RunScores.load(tmp_path / "with.npz").groups.tolist() == (np.arange(N) // 3).tolist()
