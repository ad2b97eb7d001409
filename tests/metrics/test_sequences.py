from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy, kendalltau

from hf_mlc.errors import UserError
from hf_mlc.metrics.sequences import (
    SequenceMetrics,
    attention_entropy,
    kendall_tau_b,
    normalised_position_deviation,
    position_deviation,
    reference_sequence,
)


def test_the_reference_is_by_rank_and_each_label_once():
    # label 2 has rank 0, label 0 rank 1; 1 and 3 tie
    assert reference_sequence([3, 0, 1, 0, 2], [1, 5, 0, 5]) == [2, 0, 1, 3]


@pytest.mark.parametrize(
    ("predicted", "reference", "deviation", "normalised"),
    [
        ([4, 7, 1], [4, 7, 1], 0.0, 0.0),
        ([1, 7, 4], [4, 7, 1], 4 / 3, 2 / 3),  # 2, 0, 2 of at most 2
        ([9, 4], [4], 1.0, 1.0),  # 4 stands at 1, is due at 0; at most 1
        ([4, 8, 9, 7], [7, 4], 2.0, 2 / 3),  # |0 - 1|, |3 - 0| of at most 3
        ([4], [4], 0.0, 0.0),  # nothing to deviate by
        ([4], [7], None, None),
        ([], [7], None, None),
        ([], [], None, None),
    ],
)
def test_position_deviation_is_that_worked_out_by_hand(predicted, reference, deviation, normalised):
    assert position_deviation(predicted, reference) == pytest.approx(deviation)
    assert normalised_position_deviation(predicted, reference) == pytest.approx(normalised)


def test_the_widest_deviation_is_1_normalised():
    assert normalised_position_deviation([1, 2, 3, 0], [0]) == 1.0


@pytest.mark.parametrize("ties", [False, True])
def test_kendall_tau_b_is_scipys(ties):
    rng = np.random.default_rng(0)
    for length in range(2, 12):
        first, second = rng.permutation(length), rng.permutation(length)
        if ties:
            first, second = first // 2, second // 3
        expected = kendalltau(first, second, variant="b").statistic
        found = kendall_tau_b(first, second)
        assert (found is None and math.isnan(expected)) or found == pytest.approx(expected)


def test_kendall_tau_b_of_what_has_no_order_is_undefined():
    assert kendall_tau_b([1], [1]) is None and kendall_tau_b([], []) is None
    assert kendall_tau_b([0, 1], [3, 3]) is None and math.isnan(kendalltau([0, 1], [3, 3]).statistic)


def test_attention_entropy_is_scipys_and_0_and_ln_m_at_its_ends():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 3))
    assert attention_entropy(weights) == pytest.approx(entropy(weights, axis=-1))
    edges = np.array([[[1.0, 0, 0, 0], [0.25] * 4, [0.0] * 4]])
    found = attention_entropy(edges)
    assert found == pytest.approx(np.array([[0, math.log(4), 0]])) and not np.signbit(found).any()


# four documents; ranks are the label ids
PREDICTED = [[0, 1, 2], [2, 0], [3], []]
TRUE = [[2, 1, 0], [0, 2, 1], [1], [3]]


def test_the_means_are_those_worked_out_by_hand():
    metrics = SequenceMetrics(range(4), training_sets=[frozenset({0, 1, 2}), frozenset({1}), frozenset({3})])
    metrics.update(PREDICTED, TRUE)
    assert metrics.compute() == pytest.approx(
        {
            "sequence_cardinality": 6 / 4,
            "true_cardinality": 8 / 4,
            "repeating_sequences": 0.0,
            "coverage": 5 / 8,
            # first: 0; second: |0 - 2|, |1 - 0|; the others have no label in common
            "position_deviation": (0 + 3 / 2) / 2,
            "position_deviation_normalised": (0 + 3 / 4) / 2,
            "kendall_tau_b": (1 - 1) / 2,
            "exact_order": 1 / 2,
            "exact_sequence": 1 / 4,
            "unseen_sets": 2 / 4,  # {0, 2} and the empty one
            "unseen_sets_true": 0.0,
        }
    )
    assert metrics.facts() == {"documents": 4, "with_common_labels": 2, "with_two_common_labels": 2}


def test_batches_do_not_matter():
    whole, parts = (SequenceMetrics([3, 1, 2, 0]) for _ in range(2))
    attention = np.random.default_rng(0).dirichlet(np.ones(5), size=(4, 4))
    whole.update(PREDICTED, TRUE, attention_BTM=attention, num_tokens_B=[5, 5, 5, 5])
    for row in range(4):
        parts.update(
            PREDICTED[row : row + 1], TRUE[row : row + 1], attention_BTM=attention[row : row + 1], num_tokens_B=[5]
        )
    assert parts.compute() == pytest.approx(whole.compute())


def test_the_mean_tau_is_scipys_over_the_documents_with_two_labels_in_common():
    rng = np.random.default_rng(1)
    ranks = rng.permutation(8).tolist()
    predicted = [rng.permutation(8)[: rng.integers(0, 7)].tolist() for _ in range(40)]
    true = [rng.permutation(8)[: rng.integers(0, 7)].tolist() for _ in range(40)]
    metrics = SequenceMetrics(ranks)
    metrics.update(predicted, true)
    taus = []
    for sequence, labels in zip(predicted, true, strict=True):
        common = [label for label in sequence if label in labels]
        if len(common) >= 2:
            taus.append(kendalltau(range(len(common)), [ranks[label] for label in common]).statistic)
    assert len(taus) == metrics.facts()["with_two_common_labels"] >= 10
    assert metrics.compute()["kendall_tau_b"] == pytest.approx(np.mean(taus))


def test_entropy_is_by_step_with_the_end_apart():
    metrics = SequenceMetrics()
    one, both = [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]
    # the first document: a label from one token, the end from two; the second: two labels, no step for the end
    attention = np.array([[one, both], [both, one]])
    metrics.update([[4], [1, 0]], [[4], [0]], attention_BTM=attention, num_tokens_B=[2, 3])
    found = {name: value for name, value in metrics.compute().items() if "entropy" in name}
    assert found == pytest.approx(
        {
            "attention_entropy@1": math.log(2) / 2,
            "attention_entropy@2": 0.0,
            "attention_entropy@end": math.log(2),
            "attention_entropy_share@1": math.log(2) / math.log(3) / 2,
            "attention_entropy_share@2": 0.0,
            "attention_entropy_share@end": 1.0,
        }
    )


def test_a_text_without_tokens_has_no_entropy_and_one_token_no_share():
    metrics = SequenceMetrics()
    metrics.update([[0], [0]], [[0], [0]], attention_BTM=np.array([[[0.0]], [[1.0]]]), num_tokens_B=[0, 1])
    found = metrics.compute()
    assert found["attention_entropy@1"] == 0.0 and "attention_entropy_share@1" not in found


def test_labels_that_tie_in_rank_may_come_in_either_order():
    metrics = SequenceMetrics([0, 1, 1])
    metrics.update([[0, 2, 1]], [[0, 1, 2]])
    found = metrics.compute()
    assert found["exact_order"] == 1.0
    assert found["kendall_tau_b"] == pytest.approx(kendalltau([0, 1, 2], [0, 1, 1]).statistic)


def test_without_order_or_training_sets_nothing_is_said_of_them():
    metrics = SequenceMetrics()
    metrics.update(PREDICTED, TRUE)
    assert metrics.compute() == {"sequence_cardinality": 1.5, "true_cardinality": 2.0, "repeating_sequences": 0.0}
    assert SequenceMetrics(range(4)).compute() == {}


def test_a_label_outside_the_order_is_refused():
    with pytest.raises(UserError, match="found the label 4"):
        SequenceMetrics(range(4)).update([[4]], [[1]])


def test_a_repeated_label_is_counted_and_stands_where_it_was_first_said():
    metrics = SequenceMetrics(range(3))
    metrics.update([[0, 1, 0, 1], [2]], [[0, 1], [2]])
    found = metrics.compute()
    assert found["repeating_sequences"] == 0.5 and found["sequence_cardinality"] == 1.5
    assert found["exact_sequence"] == 1.0 and found["position_deviation"] == 0.0
