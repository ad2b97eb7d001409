from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from hf_mlc.metrics import counting


@pytest.fixture
def sets():
    """Truth and prediction, 60 documents x 8 labels; label 7 never true, label 6 never predicted, some empty rows."""
    generator = np.random.default_rng(0)
    truth, predicted = generator.random((2, 60, 8)) < 0.3
    truth[:, 7] = False
    predicted[:, 6] = False
    truth[:5], predicted[:3] = False, False
    return truth, predicted


def _counts(truth, predicted, axis=0):
    return (truth & predicted).sum(axis), predicted.sum(axis), truth.sum(axis)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_f1_precision_and_recall_agree_with_scikit_learn(sets, average):
    truth, predicted = sets
    tp, num_predicted, support = _counts(truth, predicted)
    expected = sk.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)[:3]
    if average == "micro":
        measured = (
            counting.precision_micro(tp, num_predicted),
            counting.recall_micro(tp, support),
            counting.f1_micro(tp, num_predicted, support),
        )
    else:
        measured = (
            counting.precision_per_label(tp, num_predicted).mean(),
            counting.recall_per_label(tp, support).mean(),
            counting.f1_macro(tp, num_predicted, support),
        )
    assert measured == pytest.approx(expected)


def test_per_label_f1_agrees_with_scikit_learn(sets):
    truth, predicted = sets
    expected = sk.f1_score(truth, predicted, average=None, zero_division=0)
    np.testing.assert_allclose(counting.f1_per_label(*_counts(truth, predicted)), expected)


def test_f1_of_documents_agrees_with_scikit_learn_where_empty_equals_empty_is_right(sets):
    truth, predicted = sets
    expected = sk.f1_score(truth, predicted, average="samples", zero_division=1)
    assert counting.f1_per_document(*_counts(truth, predicted, axis=1)).mean() == pytest.approx(expected)
    assert sk.f1_score(truth, predicted, average="samples", zero_division=0) < expected  # the fixture has such rows


def test_hamming_loss_and_exact_match_agree_with_scikit_learn(sets):
    truth, predicted = sets
    loss = counting.hamming_loss(*_counts(truth, predicted), truth.size)
    assert loss == pytest.approx(sk.hamming_loss(truth, predicted))
    exact = counting.exact_match(*_counts(truth, predicted, axis=1))
    assert exact.mean() == pytest.approx(sk.accuracy_score(truth, predicted)) and exact.any()


def test_the_three_macro_f1s_differ_as_computed_by_hand():
    # label 0: tp 1, predicted 2, true 1: P 1/2, R 1, F 2/3; label 1: tp 1, predicted 1, true 2: P 1, R 1/2, F 2/3;
    # label 2: predicted once, never true: 0, 0, 0; label 3: neither: 0, 0, 0
    tp, predicted, support = np.array([1, 1, 0, 0]), np.array([2, 1, 1, 0]), np.array([1, 2, 0, 0])
    assert counting.f1_macro(tp, predicted, support) == pytest.approx((2 / 3 + 2 / 3) / 4)
    assert counting.f1_macro_present(tp, predicted, support) == pytest.approx(2 / 3)
    # mean P = 1.5/4, mean R = 1.5/4, so their harmonic mean is 0.375
    assert counting.f1_macro_caml(tp, predicted, support) == pytest.approx(0.375)


def test_caml_f1_is_not_the_mean_of_f1s():
    # P = (1 + 0.1)/2 = 0.55, R = (0.1 + 1)/2 = 0.55, so 0.55; each label's F1 is 2*1*0.1/1.1 = 0.1818
    tp, predicted, support = np.array([1, 1]), np.array([1, 10]), np.array([10, 1])
    assert counting.f1_macro_caml(tp, predicted, support) == pytest.approx(0.55)
    assert counting.f1_macro(tp, predicted, support) == pytest.approx(2 / 11)


def test_nothing_true_and_nothing_predicted_counts_zero_and_f1_of_present_labels_is_undefined():
    nothing = np.zeros(3, int)
    assert counting.f1_micro(nothing, nothing, nothing) == 0.0
    assert counting.f1_macro_caml(nothing, nothing, nothing) == 0.0
    assert counting.f1_macro_present(nothing, nothing, nothing) is None


@pytest.mark.parametrize("num_labels", [4, 1000])  # a pass over all labels, and over the ids alone
def test_labels_are_counted_as_often_as_they_stand_there(num_labels):
    counts_L = np.zeros(num_labels, np.int64)
    counts_L[1] = 5
    counting.count_ids(counts_L, np.array([3, 1, 3, 3]))
    assert counts_L[:4].tolist() == [0, 6, 0, 3] and counts_L.sum() == 9
    counting.count_ids(counts_L, np.zeros(0, np.int64))
    assert counts_L.sum() == 9
