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
