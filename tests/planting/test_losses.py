"""Grades, nDCG and the two ranking losses, against numbers worked out by hand and scikit-learn."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from hf_mlc.planting.approx_ndcg import approx_ndcg_loss
from hf_mlc.planting.grades import exponential_gains, graded_targets
from hf_mlc.planting.lambda_rank import lambda_rank_loss
from hf_mlc.planting.ndcg import ndcg


LOG2_3 = math.log2(3)


def everything(scores):
    return torch.ones(scores.shape, dtype=torch.bool)


def test_grades_fall_with_the_logarithm_of_the_rank_and_are_equal_for_ties():
    values = np.array([[0.9, 0.5, 0.5, 0.5, 0.2, 0.0], [0.3, 0.3, 0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    # V = 16, grades up to 5: log2(1 + rank) / 4 of the way: rank 0 -> 5, rank 1 -> 4, rank 4 -> 5 - log2(5) = 2.68
    grades = graded_targets(values, vocab_size=16, num_grades=5)
    assert grades.tolist() == [[5, 4, 4, 4, 3, 0], [5, 5, 0, 0, 0, 0]]


def test_gains_are_safe_for_any_number_of_grades():
    gains = exponential_gains(torch.tensor([0.0, 100.0, 101.0]), highest=101.0)
    assert gains.tolist() == [0.0, 0.5, 1.0]
    assert torch.isfinite(gains.half()).all()


@pytest.mark.parametrize("k", [None, 1, 3, 50])
def test_ndcg_is_scikit_learns(k):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    scores, gains = torch.randn(6, 9, generator=generator), torch.rand(6, 9, generator=generator)
    mask = torch.rand(6, 9, generator=generator) < 0.8
    found = ndcg(scores, gains, mask, k)
    for row in range(6):
        inside = mask[row]
        expected = metrics.ndcg_score(gains[row, inside][None], scores[row, inside][None], k=k)
        assert found[row].item() == pytest.approx(expected, rel=1e-5)


def test_a_list_without_gains_has_no_ndcg():
    found = ndcg(torch.randn(2, 3), torch.tensor([[0.0, 0, 0], [0, 1, 0]]), torch.ones(2, 3, dtype=torch.bool))
    assert found[0].isnan() and not found[1].isnan()


def test_lambda_rank_on_one_pair():
    # grades 2 and 1 of 2: gains 1 - 1/4 and 1/2 - 1/4; the better one stands second: discounts 1/log2(3) and 1
    scores, grades = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]])
    ideal = 0.75 + 0.25 / LOG2_3
    weight = 0.5 * (1 - 1 / LOG2_3) / ideal
    expected = weight * math.log(1 + math.exp(0.5))
    loss = lambda_rank_loss(scores, grades, everything(scores), highest_grade=2.0)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_lambda_ranks_gradient_is_the_lambdas():
    scores = torch.tensor([[0.3, -0.2, 1.0]], requires_grad=True)
    grades = torch.tensor([[3.0, 0.0, 1.0]])
    lambda_rank_loss(scores, grades, everything(scores), sigma=0.5, k=15, highest_grade=3.0).backward()
    # places by score: 2, 3, 1
    gain, place = [1 - 1 / 8, 0.0, 1 / 4 - 1 / 8], [2, 3, 1]
    ideal = gain[0] + gain[2] / LOG2_3
    values, expected = scores.detach()[0].tolist(), [0.0, 0.0, 0.0]
    for i, j in ((0, 1), (0, 2), (2, 1)):
        weight = abs(gain[i] - gain[j]) * abs(1 / math.log2(1 + place[i]) - 1 / math.log2(1 + place[j])) / ideal
        push = 0.5 * weight / (1 + math.exp(0.5 * (values[i] - values[j])))
        expected[i] -= push
        expected[j] += push
    np.testing.assert_allclose(scores.grad[0].numpy(), expected, rtol=1e-5)
    assert scores.grad[0, 0] < 0 < scores.grad[0, 1]  # a step down the gradient lifts the best and lowers the worst


def test_the_normaliser_of_lambda_rank_is_cut_at_k():
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    grades = torch.tensor([[2.0, 1.0, 0.0]])
    whole, cut = (lambda_rank_loss(scores, grades, everything(scores), k=k, highest_grade=2.0) for k in (2, 1))
    assert (cut / whole).item() == pytest.approx((0.75 + 0.25 / LOG2_3) / 0.75, rel=1e-6)


def test_approx_ndcg_by_hand():
    # gains 2 and 1, scores 0 and 0.1, alpha 10: sigmoid(1) = .731; places 1.731 and 1.269
    scores, gains = torch.tensor([[0.0, 0.1]]), torch.tensor([[2.0, 1.0]])
    above = 1 / (1 + math.exp(-1))
    found = 2 / math.log2(1 + 1 + above) + 1 / math.log2(1 + 2 - above)
    expected = 1 - found / (2 + 1 / LOG2_3)
    assert approx_ndcg_loss(scores, gains, everything(scores)).item() == pytest.approx(expected, rel=1e-5)


def test_approx_ndcg_comes_to_ndcg_where_scores_are_far_apart():
    generator = torch.Generator().manual_seed(1)
    scores = torch.stack([torch.randperm(7, generator=generator).float() * 5 for _ in range(4)])
    gains, mask = torch.rand(4, 7, generator=generator), torch.rand(4, 7, generator=generator) < 0.7
    mask[:, 0] = True
    expected = 1 - ndcg(scores, gains, mask).mean()
    assert approx_ndcg_loss(scores, gains, mask).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("loss", [lambda_rank_loss, approx_ndcg_loss])
def test_lists_do_not_meet_and_padding_does_not_count(loss):
    generator = torch.Generator().manual_seed(2)
    scores, grades = torch.randn(3, 5, generator=generator), torch.randint(0, 4, (3, 5), generator=generator).float()
    grades[:, 0] = 4.0
    single = [loss(scores[[row]], grades[[row]], everything(scores[[row]])) for row in range(3)]
    assert loss(scores, grades, everything(scores)).item() == pytest.approx(sum(single).item() / 3, rel=1e-5)

    wide = torch.cat([scores, 100 * torch.ones(3, 2)], dim=1).requires_grad_()
    mask = torch.cat([everything(scores), torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    padded = loss(wide, torch.cat([grades, 9 * torch.ones(3, 2)], dim=1), mask)
    assert padded.item() == pytest.approx(loss(scores, grades, everything(scores)).item(), rel=1e-5)
    padded.backward()
    assert (wide.grad[:, 5:] == 0).all() and (wide.grad[:, :5] != 0).any()


@pytest.mark.parametrize("loss", [lambda_rank_loss, approx_ndcg_loss])
def test_a_list_of_one_grade_asks_for_nothing(loss):
    scores = torch.randn(2, 4, requires_grad=True)
    loss(scores, torch.zeros(2, 4), everything(scores)).backward()
    assert (scores.grad == 0).all()


@pytest.mark.parametrize("loss, rate", [(lambda_rank_loss, 5.0), (partial(approx_ndcg_loss, alpha=1.0), 1.0)])
def test_going_down_the_gradient_sorts_a_list(loss, rate):
    torch.manual_seed(0)
    grades = torch.tensor([[3.0, 0.0, 2.0, 1.0, 4.0]])
    scores = (0.1 * torch.randn(1, 5)).requires_grad_()
    for _ in range(300):
        (gradient,) = torch.autograd.grad(loss(scores, grades, everything(scores)), scores)
        scores.data -= rate * gradient
    assert scores[0].argsort(descending=True).tolist() == [4, 0, 2, 3, 1]
