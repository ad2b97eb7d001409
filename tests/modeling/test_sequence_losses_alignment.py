"""Alignments of labels to steps against an enumeration of all orders; assignments against scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET, PAD, label_sets, sets_of_sequences
from hf_mlc.modeling.sequence_losses import (
    align_minimal,
    align_predicted,
    cheapest_assignment,
    prediction_roll_out,
    sequence_cross_entropy,
)

from .toy_decoder import LABEL_IDS, LABELS, NONE, ToyDecoder, V, logs


def least_loss(log_probs_TV: torch.Tensor, labels: list[int], fixed: dict[int, int]) -> float:
    """Over all orders of the labels in which step `t` has label `fixed[t]`."""
    return min(
        -sum(log_probs_TV[place, label + LABEL_OFFSET].item() for place, label in enumerate(order))
        - log_probs_TV[len(labels), EOS].item()
        for order in itertools.permutations(labels)
        if all(order[place] == label for place, label in fixed.items())
    )


@pytest.mark.parametrize("seed", range(30))
def test_alignments_are_the_best_of_all_orders(seed):
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(3, 6, 8 + LABEL_OFFSET, generator=generator).double().log_softmax(2)
    label_ids = torch.stack([torch.randperm(8, generator=generator)[:5] for _ in range(3)])
    label_ids[1, 3:], label_ids[2, 1:] = NONE, NONE
    minimal, predicted = align_minimal(log_probs, label_ids), align_predicted(log_probs, label_ids)
    for row in range(3):
        labels = [label for label in label_ids[row].tolist() if label >= 0]
        best = least_loss(log_probs[row], labels, {})
        assert sequence_cross_entropy(log_probs[row : row + 1], minimal[row : row + 1]).item() == pytest.approx(best)

        fixed: dict[int, int] = {}
        for place in range(len(labels)):
            label = log_probs[row, place, LABEL_OFFSET:].argmax().item()
            if label in labels and label not in fixed.values():
                fixed[place] = label
        best = least_loss(log_probs[row], labels, fixed)
        assert sequence_cross_entropy(log_probs[row : row + 1], predicted[row : row + 1]).item() == pytest.approx(best)
        assert all(predicted[row, place] == label + LABEL_OFFSET for place, label in fixed.items())
    for aligned in (minimal, predicted):
        assert torch.equal(sets_of_sequences(aligned, 8), label_sets(label_ids, 8))
        assert [(row != PAD).sum().item() for row in aligned] == [6, 4, 2]


def test_alignments_by_hand():
    # labels 0 and 1 (ids 3 and 4). Step 1 predicts label 0 with 0.4; but 1 at step 1 and 0 at step 2 cost less together.
    log_probs = torch.tensor(
        [[logs(0, 0, 0.05, 0.4, 0.35, 0.2), logs(0, 0, 0.05, 0.3, 0.05, 0.6), logs(0, 0, 0.7, 0.1, 0.1, 0.1)]]
    )
    label_ids = torch.tensor([[1, 0, 1]])
    assert align_minimal(log_probs, label_ids).tolist() == [[4, 3, EOS]]  # 0.35 * 0.3 > 0.4 * 0.05
    assert align_predicted(log_probs, label_ids).tolist() == [[3, 4, EOS]]
    # what was written counts, not what was most probable: here a wrong label, then label 0
    written = torch.tensor([[5, 3, EOS]])
    assert align_predicted(log_probs, label_ids, written).tolist() == [[4, 3, EOS]]
    assert align_predicted(log_probs, label_ids, torch.tensor([[3, 3, EOS]])).tolist() == [[3, 4, EOS]]


@pytest.mark.parametrize("align", [align_minimal, align_predicted])
def test_the_order_in_the_data_changes_no_alignment_even_where_costs_are_equal(align):
    flat = torch.zeros(1, 4, V).log_softmax(2)
    aligned = {tuple(align(flat, torch.tensor([ids]))[0].tolist()) for ids in itertools.permutations([0, 2, 3])}
    assert len(aligned) == 1
    torch.manual_seed(2)
    log_probs = torch.randn(1, 4, V).log_softmax(2)
    aligned = {
        tuple(align(log_probs, torch.tensor([ids]))[0].tolist()) for ids in itertools.permutations([0, 2, 3, NONE])
    }
    assert len(aligned) == 1


@pytest.mark.parametrize("align", [align_minimal, align_predicted])
def test_no_labels_are_the_end_alone_and_too_few_steps_are_refused(align):
    log_probs = torch.zeros(2, 3, V).log_softmax(2)
    assert align(log_probs, torch.tensor([[NONE, NONE], [NONE, NONE]])).tolist() == [[EOS], [EOS]]
    with pytest.raises(
        ValueError, match="`log_probs` must have a step for each label and one for the end, 4 in all, found 3"
    ):
        align(log_probs, torch.tensor([[0, 1, 2], [1, 1, 1]]))


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_what_a_decoder_writes_by_itself_can_always_be_aligned(seed, repeats):
    decoder = ToyDecoder(seed, scale=4.0, repeats=repeats)
    counts = LABELS.sum(dim=1)
    out = prediction_roll_out(decoder.step, decoder.state(4), counts)
    assert out.log_probs_BTV.shape == (4, 4, V) and out.mask_BT.sum(dim=1).tolist() == [3, 2, 1, 4]
    assert (out.written_BT == EOS).int().argmax(dim=1).tolist() == counts.tolist()
    predicted = align_predicted(out.log_probs_BTV, LABEL_IDS, out.written_BT)
    minimal = align_minimal(out.log_probs_BTV, LABEL_IDS)
    losses = [sequence_cross_entropy(out.log_probs_BTV, sequences) for sequences in (minimal, predicted)]
    # a label that the mask forbids from some step on is asked for no later
    assert all(torch.isfinite(loss) for loss in losses) and losses[0] <= losses[1] + 1e-9
    for row in range(4):
        alone = prediction_roll_out(decoder.step, decoder.state(1), counts[row : row + 1])
        assert out.written_BT[row, : counts[row] + 1].tolist() == alone.written_BT[0].tolist()
        step = decoder.log_probs(alone.written_BT[0].tolist())
        torch.testing.assert_close(out.log_probs_BTV[row, : len(step)], step)


def test_training_by_alignment_finds_an_order_and_its_gradient_is_that_of_the_sequence():
    decoder = ToyDecoder(1)
    optimizer = torch.optim.Adam([decoder.by_last], lr=0.1)
    losses = []
    for _ in range(150):
        out = prediction_roll_out(decoder.step, decoder.state(4), LABELS.sum(dim=1))
        sequences = align_predicted(out.log_probs_BTV, LABEL_IDS, out.written_BT)
        loss = sequence_cross_entropy(
            out.log_probs_BTV[:1], sequences[:1]
        )  # one document: an order can be learnt by heart
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1 and losses[-1] < 0.1


# -- assignment ---------------------------------------------------------------------------------------------------------


def cost_of(costs: np.ndarray, columns: list[int]) -> float:
    assert len(set(columns)) == len(columns) == len(costs)
    return sum(costs[row][column] for row, column in enumerate(columns))


@pytest.mark.parametrize("seed", range(60))
def test_the_assignment_costs_what_that_of_scipy_costs(seed):
    optimize = pytest.importorskip("scipy.optimize")
    chance = np.random.default_rng(seed)
    num_rows = int(chance.integers(1, 31))
    num_columns = num_rows + int(chance.integers(0, 5)) * (seed % 2)
    kind = seed % 4
    if kind == 0:  # of any sign
        costs = chance.normal(size=(num_rows, num_columns)) * 10
    elif kind == 1:  # many equal ones
        costs = chance.integers(0, 4, size=(num_rows, num_columns)).astype(float)
    elif kind == 2:  # as log-probabilities are
        costs = -np.log(chance.dirichlet(np.full(num_columns, 0.1), size=num_rows) + 1e-30)
    else:  # much that is forbidden, the diagonal not
        costs = chance.random((num_rows, num_columns))
        costs[chance.random(costs.shape) < 0.6] = math.inf
        costs[np.arange(num_rows), np.arange(num_rows)] = 5.0
    rows, columns = optimize.linear_sum_assignment(costs)
    found = cost_of(costs, cheapest_assignment(costs.tolist()))
    assert found == pytest.approx(costs[rows, columns].sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_the_assignment_is_the_best_of_all(seed):
    chance = np.random.default_rng(100 + seed)
    costs = chance.random((4, 6))
    best = min(cost_of(costs, list(columns)) for columns in itertools.permutations(range(6), 4))
    assert cost_of(costs, cheapest_assignment(costs.tolist())) == pytest.approx(best)


def test_assignments_by_hand_and_none_at_all():
    # the cheapest cell, (0, 0), is not in the cheapest assignment
    assert cheapest_assignment([[1, 2], [2, 8]]) == [1, 0]
    assert cheapest_assignment([[4, 1, 3], [2, 0, 5], [3, 2, 2]]) == [1, 0, 2]
    assert cheapest_assignment([]) == []
    assert cheapest_assignment([[7.0]]) == [0]
    # no way around what is forbidden: an assignment all the same, and the rest of it is the best
    assert sorted(cheapest_assignment([[math.inf, math.nan], [math.inf, math.inf]])) == [0, 1]
    assert cheapest_assignment([[math.inf] * 3, [1.0, 2.0, 3.0], [1.0, 5.0, 9.0]]) == [2, 1, 0]
    with pytest.raises(ValueError, match="a column for each row, found 2 rows and 1 columns"):
        cheapest_assignment([[1.0], [2.0]])
