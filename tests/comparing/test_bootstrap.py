"""The paired bootstrap, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hf_mlc.comparing.bootstrap import Bootstrap
from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.comparing.scores import RunScores
from hf_mlc.errors import UserError


def run_with_hits(hits: list[int]) -> ResampledMetrics:
    """Two labels, of which each document has the first; `p@1` of a document is 1 where the first scores higher."""
    scores = np.array([[0.9, 0.1] if hit else [0.1, 0.9] for hit in hits], np.float32)
    documents = np.arange(len(hits))
    true = np.stack([documents, np.zeros_like(documents)]).astype(np.int32)
    return ResampledMetrics(
        RunScores(np.zeros((len(hits), 0), np.int32), scores, np.zeros((2, 0), np.int32), true, np.array([3, 1]))
    )


def test_one_of_two_documents_better_is_a_half_between_none_and_all():
    # drawn twice each: (1st, 1st) differs by 0, a mix by 1/2, (2nd, 2nd) by 1, with shares 1/4, 1/2, 1/4
    bootstrap = Bootstrap(2, [0], num_resamples=4000)
    found = bootstrap.interval("p@1", {0: run_with_hits([1, 1])}, {0: run_with_hits([1, 0])})
    assert found.difference == 0.5 and found.num_seeds == 1
    assert found.low == pytest.approx(0, abs=0.03) and found.high == pytest.approx(1, abs=0.03)
    assert not found.clear_of_zero or found.low > 0


@pytest.mark.parametrize("num_documents", [101, 128, 199, 250, 322])
@pytest.mark.parametrize("better", [1, 2, 3])
def test_a_few_documents_that_a_resample_may_miss_leave_0_in_the_interval(num_documents, better):
    # each is missed with a probability of 1/e: the lowest 2.5 % of resamples have none of up to three, and differ by exactly 0
    hits = [1, 0] * num_documents
    first, second = run_with_hits([1] * better + hits[: num_documents - better]), None
    second = run_with_hits([0] * better + hits[: num_documents - better])
    for one, other in ((first, second), (second, first)):
        found = Bootstrap(num_documents, [0]).interval("p@1", {0: one}, {0: other})
        assert not found.clear_of_zero and 0 in (found.low, found.high)


def test_a_difference_in_every_document_has_an_interval_of_no_width():
    bootstrap = Bootstrap(3, [0, 1], num_resamples=50)
    better, worse = run_with_hits([1, 1, 1]), run_with_hits([0, 0, 0])
    found = bootstrap.interval("p@1", {0: better, 1: better}, {0: worse, 1: worse})
    assert (found.difference, found.low, found.high) == pytest.approx((1, 1, 1))
    assert found.clear_of_zero


def test_seeds_are_drawn_too():
    # no doubt about documents, much about seeds: both, one or none of the drawn two is the better one
    better, worse = run_with_hits([1, 1]), run_with_hits([0, 0])
    found = Bootstrap(2, [3, 7], num_resamples=4000).interval("p@1", {3: better, 7: worse}, {3: worse, 7: worse})
    assert found.difference == 0.5
    assert found.low == pytest.approx(0, abs=0.03) and found.high == pytest.approx(1, abs=0.03)


def test_both_arms_get_the_same_documents():
    # each is better on one document: paired, the difference of two halves is 0 only on average
    runs = ({0: run_with_hits([1, 0])}, {0: run_with_hits([1, 0])})
    found = Bootstrap(2, [0], num_resamples=100).interval("p@1", *runs)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_a_missing_seed_gives_no_interval_and_other_documents_are_an_error():
    bootstrap = Bootstrap(2, [0, 1], num_resamples=10)
    assert bootstrap.interval("p@1", {0: run_with_hits([1, 1])}, {0: run_with_hits([1, 1])}) is None
    with pytest.raises(UserError, match="3 documents"):
        Bootstrap(2, [0], num_resamples=10).interval("p@1", {0: run_with_hits([1, 1, 1])}, {0: run_with_hits([1, 1])})


def test_a_run_that_is_gone_is_never_taken_for_another_in_its_place_in_memory():
    bootstrap = Bootstrap(2, [0], num_resamples=10)
    for hits, expected in ([1, 1], 1.0), ([0, 0], 0.0), ([1, 1], 1.0):
        assert bootstrap.interval("p@1", {0: run_with_hits(hits)}, {0: run_with_hits([0, 0])}).difference == expected


def test_a_metric_that_needs_all_scores_has_no_interval_where_only_the_best_were_kept():
    ids, scores = np.array([[0], [1]], np.int32), np.array([[0.9], [0.8]], np.float32)
    pairs = np.array([[0, 1], [0, 0]], np.int32)
    run = ResampledMetrics(RunScores(ids, scores, pairs, pairs, np.array([3, 1])))
    bootstrap = Bootstrap(2, [0], num_resamples=10)
    assert bootstrap.interval("ap_macro@1-5", {0: run}, {0: run}) is None
    assert bootstrap.interval("f1_macro@1-5", {0: run}, {0: run}) is not None


def test_intervals_of_rare_labels_hold_what_new_documents_would_give():
    # 300 labels, each in one document of 100; one arm finds a third of the pairs, the other few
    rng = np.random.default_rng(0)

    def drawn_runs() -> tuple[ResampledMetrics, ResampledMetrics]:
        true_NL = rng.random((50, 300)) < 0.01
        draws_NL = rng.random(true_NL.shape)
        none, counts = np.zeros((50, 0), np.int32), np.ones(300, int)
        chosen = [np.stack(np.nonzero(true_NL & (draws_NL < share))).astype(np.int32) for share in (0.33, 0.05)]
        true = np.stack(np.nonzero(true_NL)).astype(np.int32)
        first, second = (ResampledMetrics(RunScores(none, draws_NL, pairs, true, counts)) for pairs in chosen)
        return first, second

    found = [
        Bootstrap(50, [0], num_resamples=300, seed=n).interval("f1_macro", {0: first}, {0: second})
        for n, (first, second) in enumerate(drawn_runs() for _ in range(150))
    ]
    expected = np.mean([interval.difference for interval in found])
    held = np.mean([interval.low <= expected <= interval.high for interval in found])
    assert held >= 0.9  # of resampled documents' own macro-F1, moved to the measured one, it was 0.76


def test_of_many_documents_groups_are_drawn(monkeypatch):
    hits = np.random.default_rng(1).integers(0, 2, 400).tolist()
    runs = ({0: run_with_hits(hits)}, {0: run_with_hits([0] * 400)})
    exact = Bootstrap(400, [0]).interval("p@1", *runs)
    monkeypatch.setattr("hf_mlc.comparing.bootstrap.MOST_GROUPS", 100)
    grouped = Bootstrap(400, [0]).interval("p@1", *runs)
    assert grouped.difference == exact.difference == pytest.approx(np.mean(hits))
    assert grouped.low == pytest.approx(exact.low, abs=0.02) and grouped.high == pytest.approx(exact.high, abs=0.02)
