"""The decoder as a predictor of a set against the formula and hand-worked numbers: scores of labels, binary cross-entropy on them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET
from hf_mlc.modeling.sequence_losses import alive_and_scores, log_misses, set_bce

from .toy_decoder import L, V


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
