"""Linear machines for the read-out: against scikit-learn's own answers, and what is held out of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hf_mlc.planting.linear_models import BIN, WIDEST, cross_fit, fit_linear_models, log_odds_scale


svm = pytest.importorskip("sklearn.svm")
N, V, L = 60, 20, 5


@pytest.fixture(scope="module")
def tables():
    """Documents of length 1 and labels that lean on some of their tokens; label 3 is everywhere, label 4 nowhere."""
    rng = np.random.default_rng(0)
    features = rng.random((N, V)) * (rng.random((N, V)) < 0.4)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    labels = (features[:, :L] + 0.1 * rng.standard_normal((N, L)) > 0.15).astype(np.int32)
    labels[:, 3], labels[:, 4] = 1, 0
    return sparse.csr_array(features.astype(np.float32)), sparse.csr_array(labels)


def test_margins_are_those_of_liblinear_where_every_weight_is_kept(tables):
    features, labels = tables
    models = fit_linear_models(features, labels, num_tokens=V)
    for label in range(3):
        machine = svm.LinearSVC(C=1.0, tol=0.01, random_state=0).fit(features, labels.toarray()[:, label])
        expected = machine.decision_function(features)
        np.testing.assert_allclose(models.margins(features)[:, label], expected, atol=1e-5)
    assert (models.bias[3:] == [1, -1]).all() and (models.token_ids[3:] == -1).all()


def test_of_each_label_the_largest_weights_of_either_sign_are_kept(tables):
    features, labels = tables
    whole, few = (fit_linear_models(features, labels, num_tokens=number) for number in (V, 6))
    np.testing.assert_array_equal(few.token_ids, whole.token_ids[:, :6])
    np.testing.assert_array_equal(few.weights, whole.weights[:, :6])
    assert (np.diff(np.abs(whole.weights[:3]), axis=1) <= 0).all()
    assert whole.weights[:3].min() < 0 < whole.weights[:3].max()


def test_more_places_than_words_stay_empty(tables):
    features, labels = tables
    models = fit_linear_models(features, labels, num_tokens=V + 4)
    assert (models.token_ids[:, V:] == -1).all() and not models.weights[:, V:].any()


def test_several_processes_find_what_one_finds(tables):
    features, labels = tables
    labels = sparse.csr_array(np.tile(labels.toarray()[:, :3], (1, 30)))  # more than one block
    one, two = (fit_linear_models(features, labels, num_tokens=6, processes=number) for number in (1, 2))
    np.testing.assert_array_equal(one.token_ids, two.token_ids)
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_a_fold_is_answered_by_machines_that_have_not_seen_it(tables):
    features, labels = tables
    folds = np.arange(N) % 3
    alone = labels.toarray()
    alone[:, 2] = 0
    alone[0, 2] = 1  # a label of one document, in fold 0
    fitted = cross_fit(features, sparse.csr_array(alone), folds, num_folds=3, num_tokens=V)
    assert fitted.whole.weights[2].any() and fitted.held_out[1].weights[2].any()
    assert not fitted.held_out[0].weights[2].any()
    others = np.flatnonzero(folds != 1)
    expected = fit_linear_models(features[others], sparse.csr_array(alone)[others], num_tokens=V)
    scaled = expected.scaled(fitted.slope, fitted.intercept)
    np.testing.assert_array_equal(fitted.held_out[1].weights, scaled.weights)
    np.testing.assert_array_equal(fitted.held_out[1].bias, scaled.bias)


def centres() -> np.ndarray:
    return np.arange(-WIDEST, WIDEST + BIN / 2, BIN)


def test_the_scale_makes_log_odds_of_margins():
    margins = centres()
    density = np.exp(-(margins**2)) * 1e8
    probability = 1 / (1 + np.exp(-(3.0 * margins - 1.5)))
    slope, intercept = log_odds_scale(np.stack([density * (1 - probability), density * probability]))
    assert (slope, intercept) == pytest.approx((3.0, -1.5), abs=0.01)


def test_margins_that_say_nothing_get_no_slope(caplog):
    density = np.exp(-(centres() ** 2)) * 1e6
    backwards = 1 / (1 + np.exp(centres()))
    slope, intercept = log_odds_scale(np.stack([density * (1 - backwards), density * backwards]))
    assert slope == 0 and intercept == pytest.approx(0, abs=1e-3)


def test_separable_margins_keep_a_finite_slope():
    counts = np.zeros((2, len(centres())))
    counts[0, 0], counts[1, -1] = 10, 10
    slope, _ = log_odds_scale(counts)
    assert 0 < slope * WIDEST < 5  # Platt's targets: 11 / 12, not 1
