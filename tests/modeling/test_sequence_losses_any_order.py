"""Optimal completion against hand-worked numbers or an enumeration of all prefixes: its targets, its loss, its roll-outs."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD, label_sets
from hf_mlc.modeling.sequence_losses import ocd_roll_out, ocd_targets, soft_cross_entropy

from .toy_decoder import LABELS, NONE, L, ToyDecoder, V, logs


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
