"""Losses of sequences against hand-worked numbers or an enumeration of everything: a given order, and what all losses share."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET, PAD, ordered_sequences, sets_of_sequences
from hf_mlc.modeling.sequence_losses import ocd_targets, sequence_cross_entropy, set_bce, soft_cross_entropy

from .toy_decoder import LABEL_IDS, LABELS, L, ToyDecoder, V, logs


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


# -- all of them ------------------------------------------------------------------------------------------------------


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
