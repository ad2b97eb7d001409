"""Each loss of sequences against hand-worked numbers, an enumeration of everything, or scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.label_sequences import (
    BOS,
    EOS,
    LABEL_OFFSET,
    PAD,
    label_sets,
    ordered_sequences,
    sets_of_sequences,
)
from hf_mlc.modeling.sequence_losses import (
    align_minimal,
    align_predicted,
    alive_and_scores,
    cheapest_assignment,
    log_misses,
    ocd_roll_out,
    ocd_targets,
    prediction_roll_out,
    sequence_cross_entropy,
    set_bce,
    soft_cross_entropy,
)


L = 4
V = L + LABEL_OFFSET
NONE = -100
LABEL_IDS = torch.tensor([[2, 0, 2], [1, NONE, NONE], [NONE, NONE, NONE], [3, 1, 0]])
LABELS = label_sets(LABEL_IDS, L)


def logs(*probabilities: float) -> list[float]:
    return [math.log(p) if p else -math.inf for p in probabilities]


class ToyDecoder:
    """A decoder whose logits hang on the label before and on the place, and that repeats no label."""

    def __init__(self, seed: int = 0, *, num_labels: int = L, scale: float = 1.5, repeats: bool = False):
        generator = torch.Generator().manual_seed(seed)
        size = num_labels + LABEL_OFFSET
        self.by_last = (torch.randn(size, size, generator=generator, dtype=torch.float64) * scale).requires_grad_()
        self.by_place = torch.randn(50, size, generator=generator, dtype=torch.float64) * scale
        self.repeats = repeats

    def state(self, num_documents: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(num_documents, len(self.by_last), dtype=torch.bool), 0

    def step(self, last_B: torch.Tensor, state: tuple[torch.Tensor, int]):
        used_BV, place = state
        if not self.repeats:
            used_BV = used_BV.scatter(1, last_B[:, None], True)
        forbidden_BV = used_BV.clone()
        forbidden_BV[:, [PAD, BOS]], forbidden_BV[:, EOS] = True, False
        logits_BV = self.by_last[last_B] + self.by_place[place]
        return logits_BV.masked_fill(forbidden_BV, -math.inf).log_softmax(1), (used_BV, place + 1)

    def log_probs(self, sequence: list[int]) -> torch.Tensor:
        """(T, V): each step's, given what is written before it."""
        state, last, steps = self.state(1), BOS, []
        for token in sequence:
            log_probs_1V, state = self.step(torch.tensor([last]), state)
            steps.append(log_probs_1V[0])
            last = token
        return torch.stack(steps)


# -- a given order ----------------------------------------------------------------------------------------------------


def test_sequence_cross_entropy_is_minus_the_log_probability_of_the_sequence():
    log_probs = torch.tensor(
        [
            [logs(0, 0, 0.5, 0.25, 0.25), logs(0, 0, 0.125, 0, 0.875), logs(0, 0, 0.5, 0, 0.5)],
            [logs(0, 0, 0.2, 0.4, 0.4), logs(0, 0, 0.1, 0.9, 0), logs(0, 0, 1, 0, 0)],
        ]
    )
    sequences = torch.tensor([[3, 2, 0], [2, 0, 0]])
    # the first: 1/4 * 1/8, the second: 1/5; what comes after the end is not read
    expected = (math.log(32) + math.log(5)) / 2
    assert sequence_cross_entropy(log_probs, sequences).item() == pytest.approx(expected, rel=1e-6)
    assert sequence_cross_entropy(log_probs, sequences[:, :2]).item() == pytest.approx(expected, rel=1e-6)
    accumulated = sequence_cross_entropy(log_probs, sequences, num_items_in_batch=8).item()
    assert accumulated == pytest.approx(expected / 4, rel=1e-6)


def test_the_probabilities_of_all_sequences_sum_to_one():
    decoder = ToyDecoder()
    losses = []
    for size in range(L + 1):
        for labels in itertools.permutations(range(L), size):
            sequence = [label + LABEL_OFFSET for label in labels] + [EOS]
            losses.append(sequence_cross_entropy(decoder.log_probs(sequence)[None], torch.tensor([sequence])))
    assert len(losses) == 65  # 1 + 4 + 12 + 24 + 24
    assert torch.stack(losses).neg().exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_label_twice_in_the_data_leaves_the_loss_finite():
    # the trap: with the repeat mask the second one has probability 0
    decoder = ToyDecoder()
    twice = [5, 5, EOS]
    assert torch.isinf(sequence_cross_entropy(decoder.log_probs(twice)[None], torch.tensor([twice])))
    once = ordered_sequences(torch.tensor([[2, 2]]), torch.arange(L))
    assert torch.isfinite(sequence_cross_entropy(decoder.log_probs(once[0].tolist())[None], once))


# -- any order --------------------------------------------------------------------------------------------------------


def test_optimal_completion_spreads_over_what_is_missing_and_then_ends():
    remaining = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    expected = [[0, 0, 0, 0.5, 0, 0.5, 0], [0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0.25, 0.25, 0.25, 0.25]]
    assert ocd_targets(remaining).tolist() == expected
    assert ocd_targets(remaining[:, None].expand(3, 2, 4))[:, 1].tolist() == expected


def test_soft_cross_entropy_counts_the_masked_in_steps_and_nothing_impossible():
    log_probs = torch.tensor([[logs(0, 0, 0, 0.5, 0.25, 0.25), logs(0, 0, 0.5, 0, 0.5, 0), logs(0, 0, 0, 0, 0, 1)]])
    targets = torch.tensor([[[0, 0, 0, 0, 0.5, 0.5], [0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0]]])
    mask = torch.tensor([[True, True, False]])
    assert soft_cross_entropy(log_probs, targets, mask).item() == pytest.approx(math.log(4) + math.log(2), rel=1e-6)
    assert soft_cross_entropy(log_probs, targets, mask, num_items_in_batch=2).item() == pytest.approx(
        math.log(8) / 2, rel=1e-6
    )
    assert math.isinf(soft_cross_entropy(log_probs, targets, ~mask))  # the end where it can't be written


def test_gradients_through_impossible_ids_are_numbers():
    logits = torch.randn(2, 3, V, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    forbidden = torch.zeros(2, 3, V, dtype=torch.bool)
    forbidden[..., :2], forbidden[:, 1:, 3] = True, True
    log_probs = logits.masked_fill(forbidden, -math.inf).log_softmax(2)
    sequences = torch.tensor([[3, 4, 2], [2, 0, 0]])
    targets = ocd_targets(torch.tensor([[[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]]).bool()).expand(2, -1, -1)
    losses = (
        sequence_cross_entropy(log_probs, sequences),
        soft_cross_entropy(log_probs, targets, sequences != PAD),
        set_bce(log_probs.exp(), LABELS[:2], sequences != PAD),
    )
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert torch.isfinite(loss) and torch.isfinite(gradient).all()
        assert (gradient[forbidden] == 0).all() and (gradient[0, :2] != 0).any()


def expected_ocd_loss(
    decoder: ToyDecoder, labels: set[int], num_steps: int, prefix: tuple[int, ...] = ()
) -> torch.Tensor:
    """Of drawn prefixes, by enumeration of all of them."""
    log_probs = decoder.log_probs([*prefix, EOS])[-1]
    missing = [label for label in sorted(labels) if label + LABEL_OFFSET not in prefix]
    right = [label + LABEL_OFFSET for label in missing] or [EOS]
    loss = -log_probs[right].mean()
    if len(prefix) + 1 < num_steps:
        for token in range(LABEL_OFFSET, V):
            if torch.isfinite(log_probs[token]):
                loss = loss + log_probs[token].exp().detach() * expected_ocd_loss(
                    decoder, labels, num_steps, (*prefix, token)
                )
    return loss


def test_the_mean_over_drawn_prefixes_is_that_of_an_enumeration_and_so_is_its_gradient():
    torch.manual_seed(0)
    decoder, draws = ToyDecoder(scale=0.7), 6000
    labels = label_sets(torch.tensor([[0, 2]]).expand(draws, -1), L)
    out = ocd_roll_out(decoder.step, decoder.state(draws), labels, sample_rate=1.0, extra_steps=1)
    assert out.log_probs_BTV.shape[1] == 4  # two labels, the end, one more
    loss = soft_cross_entropy(out.log_probs_BTV, out.targets_BTV, out.mask_BT)
    expected = expected_ocd_loss(decoder, {0, 2}, num_steps=4)
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    (gradient,), (wanted,) = torch.autograd.grad(loss, decoder.by_last), torch.autograd.grad(expected, decoder.by_last)
    assert (gradient - wanted).norm() < 0.05 * wanted.norm()


def test_a_roll_out_of_best_ids_goes_by_what_is_missing():
    # from the beginning 4 (wrong), from 4 to 3 (right), from 3 to the end
    decoder = ToyDecoder(scale=0.0)
    with torch.no_grad():
        decoder.by_last[BOS, 4] = decoder.by_last[4, 3] = decoder.by_last[3, EOS] = 9.0
    out = ocd_roll_out(decoder.step, decoder.state(1), label_sets(torch.tensor([[0]]), L), sample_rate=0.0)
    assert out.written_BT.tolist() == [[4, 3, EOS]] and out.mask_BT.all()
    assert out.targets_BTV.argmax(dim=2).tolist() == [[3, 3, EOS]]
    # the same, and a label that is never written: on until the document's own number of steps, 2 + 1 + 3
    out = ocd_roll_out(
        decoder.step, decoder.state(2), label_sets(torch.tensor([[0, NONE], [0, 3]]), L), sample_rate=0.0
    )
    assert out.written_BT.tolist() == [[4, 3, EOS], [4, 3, EOS]]
    assert ocd_targets(torch.tensor([[False, False, False, True]]))[0].tolist() == out.targets_BTV[1, 2].tolist()


def test_a_roll_out_stops_after_the_documents_own_number_of_steps():
    decoder = ToyDecoder(num_labels=9)
    with torch.no_grad():
        decoder.by_last[:, EOS] = -50.0  # never ends of itself
    labels = label_sets(torch.tensor([[0, 5], [3, NONE]]), 9)
    out = ocd_roll_out(decoder.step, decoder.state(2), labels, sample_rate=0.0, extra_steps=2)
    assert out.mask_BT.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert out.written_BT[1, 4] == PAD


def test_a_roll_out_of_no_labels_is_right_to_end_at_once():
    decoder = ToyDecoder()
    out = ocd_roll_out(decoder.step, decoder.state(1), LABELS[2:3], sample_rate=0.0, extra_steps=0)
    assert out.targets_BTV.argmax(dim=2).tolist() == [[EOS]] and out.mask_BT.tolist() == [[True]]


@pytest.mark.parametrize("seed", range(5))
def test_a_roll_out_doesnt_hang_on_the_company_of_the_batch(seed):
    decoder = ToyDecoder(seed)
    together = ocd_roll_out(decoder.step, decoder.state(4), LABELS, sample_rate=0.0)
    total = soft_cross_entropy(together.log_probs_BTV, together.targets_BTV, together.mask_BT)
    losses = []
    for row in range(4):
        alone = ocd_roll_out(decoder.step, decoder.state(1), LABELS[row : row + 1], sample_rate=0.0)
        losses.append(soft_cross_entropy(alone.log_probs_BTV, alone.targets_BTV, alone.mask_BT))
        num_steps = alone.mask_BT.shape[1]
        assert torch.equal(alone.written_BT[0], together.written_BT[row, :num_steps])
    torch.testing.assert_close(total, torch.stack(losses).mean())


def test_the_share_of_drawn_ids_is_the_sample_rate():
    torch.manual_seed(0)
    decoder, draws = ToyDecoder(scale=0.0), 4000
    with torch.no_grad():
        decoder.by_last[BOS, 3] = 1.0
    labels = label_sets(torch.tensor([[0]]).expand(draws, -1), L)
    probability = decoder.log_probs([EOS])[0, 3].exp().item()  # 0.405 of five, the best
    for rate in (0.0, 0.25, 1.0):
        out = ocd_roll_out(decoder.step, decoder.state(draws), labels, sample_rate=rate)
        share = (out.written_BT[:, 0] == 3).double().mean().item()
        assert share == pytest.approx(1 - rate + rate * probability, abs=0.03)


def test_drawn_roll_outs_come_again_with_the_state_of_the_generator():
    decoder = ToyDecoder(scale=0.1)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = ocd_roll_out(decoder.step, decoder.state(4), LABELS)
    torch.set_rng_state(state)
    again = ocd_roll_out(decoder.step, decoder.state(4), LABELS)
    other = ocd_roll_out(decoder.step, decoder.state(4), LABELS)
    assert torch.equal(first.written_BT, again.written_BT)
    assert first.written_BT.tolist() != other.written_BT.tolist()


def test_a_decoder_without_repeat_mask_is_not_asked_for_what_it_has_written():
    decoder = ToyDecoder(scale=0.0, repeats=True)
    with torch.no_grad():
        decoder.by_last[:, 3] = 9.0  # label 0, over and over
    out = ocd_roll_out(decoder.step, decoder.state(1), label_sets(torch.tensor([[0]]), L), sample_rate=0.0)
    assert out.written_BT.tolist() == [[3] * 5]
    assert out.targets_BTV.argmax(dim=2).tolist() == [[3, EOS, EOS, EOS, EOS]]


# -- the order that suits the decoder -----------------------------------------------------------------------------------


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


# -- as a set -----------------------------------------------------------------------------------------------------------


def random_probs(seed: int = 0, *, scale: float = 1.0) -> torch.Tensor:
    """(3, 4, V), float64, nothing on padding and the beginning."""
    logits = torch.randn(3, 4, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    logits[..., :2] = -math.inf
    return logits.softmax(2)


def test_the_score_of_a_label_is_that_of_the_formula():
    probs = random_probs()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
    scores = alive_and_scores(probs, mask)
    for row, label in itertools.product(range(3), range(L)):
        miss, alive = 1.0, 1.0
        for place in range(int(mask[row].sum())):
            miss *= 1 - alive * probs[row, place, label + LABEL_OFFSET].item()
            alive *= 1 - probs[row, place, EOS].item()
        assert scores[row, label].item() == pytest.approx(1 - miss, abs=1e-12)
    torch.testing.assert_close(alive_and_scores(probs, torch.ones_like(mask)), alive_and_scores(probs))


def test_scores_of_a_decoder_that_is_sure_are_the_set_it_writes():
    # label 1, label 3, the end, and label 2 when it is too late
    written = torch.tensor([[4, 6, EOS, 5]])
    probs = F.one_hot(written, V).float()
    scores = alive_and_scores(probs)
    assert scores[0].tolist() == pytest.approx([0, 1, 0, 1], abs=2e-6) and (scores < 1).all()
    assert torch.isfinite(log_misses(probs)).all()


def test_set_bce_is_binary_cross_entropy_on_the_scores():
    probs, labels = random_probs(3), torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    scores = alive_and_scores(probs)
    expected = F.binary_cross_entropy(scores, labels.double(), reduction="none").sum() / 3
    assert set_bce(probs, labels).item() == pytest.approx(expected.item(), rel=1e-12)
    assert set_bce(probs, labels.bool(), num_labels=L).item() == pytest.approx(expected.item() / L, rel=1e-12)
    assert set_bce(probs, labels, num_items_in_batch=6).item() == pytest.approx(expected.item() / 2, rel=1e-12)
    unknown = labels.clone()
    unknown[2, 1:] = -100
    cells = F.binary_cross_entropy(scores, labels.double(), reduction="none")
    assert set_bce(probs, unknown).item() == pytest.approx((cells.sum() - cells[2, 1:].sum()).item() / 3, rel=1e-12)


def test_set_bce_by_hand():
    # one step for label 0 of 1/2, the end 1/4; then label 1 of 1/3: q = 1/2, and 3/4 * 1/3 = 1/4
    probs = torch.tensor([[[0, 0, 0.25, 0.5, 0.0, 0.25], [0, 0, 2 / 3, 0.0, 1 / 3, 0.0]]])
    torch.testing.assert_close(alive_and_scores(probs), torch.tensor([[0.5, 0.25, 0.25]]))
    # -log 1/2 - log 3/4 - log 1/4
    loss = set_bce(probs, torch.tensor([[1, 0, 1]]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(4 / 3) + math.log(4), rel=1e-6)


def test_gradients_of_every_loss_are_those_of_finite_differences():
    logits = torch.randn(2, 3, V - 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    sequences = torch.tensor([[4, 6, 2], [3, 2, 0]])
    labels = sets_of_sequences(sequences, L)
    targets = ocd_targets(torch.stack([labels, labels & (torch.arange(L) > 1), torch.zeros_like(labels)], dim=1))

    def log_probs(logits: torch.Tensor) -> torch.Tensor:
        impossible = torch.full((2, 3, 2), -math.inf, dtype=torch.float64)
        return torch.cat([impossible, logits.log_softmax(2)], dim=2)

    mask = sequences != PAD
    for loss in (
        lambda x: sequence_cross_entropy(log_probs(x), sequences),
        lambda x: soft_cross_entropy(log_probs(x), targets, mask),
        lambda x: set_bce(log_probs(x).exp(), labels, mask),
    ):
        assert torch.autograd.gradcheck(loss, (logits,))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [-80.0, -30.0, -12.0, 12.0, 14.5, 20.0])
def test_set_bce_stays_finite_and_keeps_unlearning_confident_mistakes(label, logit):
    """float32: a label at a probability next to 0 or to 1, whatever it should be."""
    logits = torch.zeros(1, 1, V)
    logits[..., :2] = -math.inf
    logits[..., LABEL_OFFSET] = logit
    logits.requires_grad_()
    loss = set_bce(logits.softmax(2), torch.tensor([[label, 0, 0, 0]]))
    loss.backward()
    gradient = logits.grad[0, 0]
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()
    is_mistake = (logit < 0) == (label == 1)
    if is_mistake and -69 < logit < 16:  # beyond, the probability is 0 or 1 in float32
        assert gradient[LABEL_OFFSET].item() * (0.5 - label) > 0.005


def test_two_halves_of_a_batch_are_the_whole():
    decoder = ToyDecoder(7)
    sequences = ordered_sequences(LABEL_IDS, torch.arange(L))
    log_probs = torch.stack([decoder.log_probs(row.tolist()) for row in sequences])
    targets, mask = ocd_targets(LABELS)[:, None].expand(-1, 4, -1), sequences != PAD
    mask[:, 1:] = False  # at the first step every label is missing still
    for whole, half in (
        (sequence_cross_entropy(log_probs, sequences), lambda rows: sequence_cross_entropy(log_probs[rows], sequences[rows], num_items_in_batch=4)),
        (soft_cross_entropy(log_probs, targets, mask), lambda rows: soft_cross_entropy(log_probs[rows], targets[rows], mask[rows], num_items_in_batch=4)),
        (set_bce(log_probs.exp(), LABELS), lambda rows: set_bce(log_probs[rows].exp(), LABELS[rows], num_items_in_batch=4)),
    ):  # fmt: skip
        torch.testing.assert_close(half(slice(0, 2)) + half(slice(2, 4)), whole)
