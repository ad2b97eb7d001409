"""Each loss against numbers worked out by hand or against torch."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.losses import (
    asymmetric,
    binary_cross_entropy,
    columns_of_targets,
    focal,
    reduce_cells,
    summed_cross_entropy,
    targets_from_ids,
    targets_of_candidates,
)


LOG_3 = math.log(3.0)  # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4
LOGITS = torch.tensor([[LOG_3, LOG_3, -LOG_3, -LOG_3]])
TARGETS = torch.tensor([[1.0, 0.0, 1.0, 0.0]])


def assert_cells(found: torch.Tensor, expected: list[float]):
    assert found[0].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_binary_cross_entropy_of_quarters():
    # -log 3/4, -log 1/4, -log 1/4, -log 3/4
    assert_cells(binary_cross_entropy(LOGITS, TARGETS), [0.287682, 1.386294, 1.386294, 0.287682])


def test_positive_weights_multiply_the_positives_alone():
    weights = torch.tensor([2.0, 5.0, 0.5, 5.0])
    # 2 * 0.287682, -, 0.5 * 1.386294, -
    assert_cells(binary_cross_entropy(LOGITS, TARGETS, pos_weight_S=weights), [0.575364, 1.386294, 0.693147, 0.287682])


def test_label_smoothing_moves_targets_to_both_sides():
    # s = 0.2: a positive becomes 0.9, a negative 0.1
    # 0.9 * 0.287682 + 0.1 * 1.386294 = 0.397543;  0.1 * 0.287682 + 0.9 * 1.386294 = 1.276433
    assert_cells(binary_cross_entropy(LOGITS, TARGETS, label_smoothing=0.2), [0.397543, 1.276433, 1.276433, 0.397543])


def test_focal_loss_of_quarters():
    # gamma 2: (1/4)^2 * 0.287682 = 0.0179801, (3/4)^2 * 1.386294 = 0.779790
    assert_cells(focal(LOGITS, TARGETS, gamma=2.0), [0.0179801, 0.779790, 0.779790, 0.0179801])


def test_asymmetric_loss_of_quarters():
    # positives, gamma+ = 1: (1/4) * 0.287682 = 0.0719205, (3/4) * 1.386294 = 1.039721
    # negatives, gamma- = 2, clip 0.05: q = 0.70: 0.49 * -log 0.30 = 0.589947;  q = 0.20: 0.04 * -log 0.80 = 0.00892574
    found = asymmetric(LOGITS, TARGETS, gamma_positive=1.0, gamma_negative=2.0, clip=0.05)
    assert_cells(found, [0.0719205, 0.589947, 1.039721, 0.00892574])


def test_asymmetric_loss_costs_nothing_under_the_margin():
    logits = torch.tensor([[-4.0]])  # p = 0.018 < 0.05
    assert asymmetric(logits, torch.zeros(1, 1), gamma_negative=4.0, clip=0.05).item() == 0.0


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_focal_without_gamma_is_binary_cross_entropy(scale):
    logits = torch.linspace(-scale, scale, 21)[None].requires_grad_()
    targets = (torch.arange(21) % 2).float()[None]
    torch.testing.assert_close(focal(logits, targets, gamma=0.0), binary_cross_entropy(logits, targets))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_asymmetric_without_gammas_and_clip_is_binary_cross_entropy_in_value_and_gradient(scale):
    targets = (torch.arange(21) % 2).float()[None]
    results = []
    for loss in (
        lambda x: asymmetric(x, targets, gamma_negative=0.0, clip=0.0),
        lambda x: binary_cross_entropy(x, targets),
    ):
        logits = torch.linspace(-scale, scale, 21)[None].requires_grad_()
        cells = loss(logits)
        cells.sum().backward()
        results.append((cells.detach(), logits.grad))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_asymmetric_gradients_stay_finite_at_every_logit(clip, gamma):
    logits = torch.tensor([[-200.0, -20.0, -4.0, 0.0, 4.0, 20.0, 200.0]]).requires_grad_()
    for target in (0.0, 1.0):
        cells = asymmetric(
            logits, torch.full_like(logits, target), gamma_positive=gamma, gamma_negative=gamma, clip=clip
        )
        (gradient,) = torch.autograd.grad(cells.sum(), logits)
        assert cells.isfinite().all()
        assert gradient.isfinite().all()
        assert (cells >= 0).all()


def test_a_confident_mistake_keeps_its_gradient_under_the_asymmetric_loss():
    # at a logit of 20 a float32 sigmoid is 1, and so is 1 minus it 0; the derivative of -log(1 - p) is p = 1
    logits = torch.tensor([[20.0]]).requires_grad_()
    asymmetric(logits, torch.zeros(1, 1), gamma_negative=0.0, clip=0.0).backward()
    assert logits.grad.item() == pytest.approx(1.0)


def test_reduction_is_a_mean_over_documents_of_the_sum_over_labels():
    cells, known = torch.tensor([[1.0, 2.0], [3.0, 100.0]]), torch.tensor([[True, True], [True, False]])
    # known cells sum to 6
    assert reduce_cells(cells, known, num_labels=None).item() == 3.0  # / 2 documents
    assert reduce_cells(cells, known, num_labels=2).item() == 1.5  # / 2 labels
    assert reduce_cells(cells, known, num_labels=2, num_items_in_batch=6).item() == 0.5  # / 6 documents of the step
    assert reduce_cells(cells, known, num_labels=None, num_items_in_batch=torch.tensor(4)).item() == 1.5


def test_targets_from_ids_skip_padding_and_forgive_repetition():
    ids = torch.tensor([[3, 1, -100], [-100, -100, -100], [0, 0, 2]])
    assert targets_from_ids(ids, 4).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]
    assert targets_from_ids(torch.empty(2, 0, dtype=torch.long), 3).tolist() == [[0, 0, 0]] * 2


def test_targets_of_a_shortlist_are_where_its_labels_are_the_documents():
    ids = torch.tensor([[7, 2, -100], [-100, -100, -100], [9, 0, 5]])
    candidates = torch.tensor([[2, 3, 7], [0, -100, 9], [5, 9, -100]])
    # the padding of a shortlist matches no padding of the targets
    assert targets_of_candidates(ids, candidates).tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0]]


def test_documents_without_room_for_a_label_have_no_target_in_a_shortlist():
    ids, none = torch.tensor([[0, 2], [1, -1]]), torch.zeros(2, 0, dtype=torch.long)
    assert targets_of_candidates(none, ids).tolist() == [[0, 0], [0, 0]]
    assert targets_of_candidates(none, torch.tensor([0, 2, 5])).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_shortlist_targets_equal_the_columns_of_the_multi_hot_row():
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (8, 6))
    ids[:, 4:] = -100
    candidates = torch.stack([torch.randperm(50)[:20] for _ in range(8)])
    expected = targets_from_ids(ids, 50).gather(1, candidates)
    assert torch.equal(targets_of_candidates(ids, candidates), expected)


def test_the_models_shortlist_loss_ignores_the_shortlists_padding():
    from tests.common.plant_tester import PlantModelTester

    tester = PlantModelTester()
    model = tester.model_class(tester.get_config(use_pos_weight=True))
    model.pos_weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    logits = torch.tensor([[LOG_3, 0.0, 9.0], [-LOG_3, 0.0, LOG_3]])
    candidates = torch.tensor([[3, 0, -100], [1, 2, 4]])
    ids = torch.tensor([[3, -100], [2, 1]])
    # row 0: label 3 positive, weight 4: 4 * 0.287682; label 0 negative: 0.693147; the padding costs nothing
    # row 1: label 1 positive, weight 2: 2 * 1.386294; label 2, weight 3: 3 * 0.693147; label 4 negative: 1.386294
    expected = (4 * 0.287682 + 0.693147 + 2 * 1.386294 + 3 * 0.693147 + 1.386294) / 5 / 2
    found = model.compute_loss(logits, label_ids=ids, candidate_ids=candidates)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    dense = F.one_hot(torch.tensor([3, 2]), 5)
    dense[1, 1] = 1
    assert torch.equal(model.compute_loss(logits, labels=dense, candidate_ids=candidates), found)
    # a cell that is unknown costs nothing in a shortlist either
    dense[1, 2] = -100
    found = model.compute_loss(logits, labels=dense, candidate_ids=candidates)
    assert found.item() == pytest.approx(expected - 3 * 0.693147 / 5 / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "cells"),
    [
        # L = 2, logits (log 3, log 3), targets (1, 0): the first two cells of the tests above
        ({"loss": "bce"}, (0.287682, 1.386294)),
        ({"loss": "bce", "label_smoothing": 0.2}, (0.397543, 1.276433)),
        ({"loss": "focal", "focal_gamma": 2}, (0.0179801, 0.779790)),
        (
            {"loss": "asymmetric", "asymmetric_gamma_positive": 1, "asymmetric_gamma_negative": 2},
            (0.0719205, 0.589947),
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_the_configuration_chooses_the_loss(settings, cells):
    from tests.common.plant_tester import PlantModelTester

    tester = PlantModelTester()
    model = tester.model_class(tester.get_config(num_labels=2, **settings))
    found = model.compute_loss(torch.full((1, 2), LOG_3), labels=torch.tensor([[1, 0]]))
    assert found.item() == pytest.approx(sum(cells) / 2, rel=1e-5)


def test_a_list_of_the_whole_batch_has_the_targets_of_lists_that_are_alike():
    ids = torch.tensor([[4, 1, -100], [-100, -100, -100], [9, 3, 4]])
    shared = torch.tensor([3, 9, -1, 1, 0, 4])
    expected = targets_of_candidates(ids, shared.expand(3, -1))
    assert expected.tolist() == [[0, 0, 0, 1, 0, 1], [0] * 6, [1, 1, 0, 0, 0, 1]]
    assert torch.equal(targets_of_candidates(ids, shared), expected)
    # 6 is one behind the last column
    assert columns_of_targets(ids, shared).tolist() == [[5, 3, 6], [6, 6, 6], [1, 0, 5]]


def test_a_list_of_the_whole_batch_may_be_empty():
    ids, nothing = torch.tensor([[4, -100], [2, 3]]), torch.zeros(0, dtype=torch.long)
    assert columns_of_targets(ids, nothing).tolist() == [[0, 0], [0, 0]]
    assert targets_of_candidates(ids, nothing).shape == (2, 0)
    assert summed_cross_entropy(torch.zeros(2, 0), columns_of_targets(ids, nothing)).item() == 0


def test_the_sum_of_all_cells_needs_no_target_a_cell():
    logits = torch.tensor([[LOG_3, -LOG_3, 50.0], [-60.0, 0.0, LOG_3]], requires_grad=True)
    # the first row's positives are columns 0 and 2, one of them given twice; the second has none
    columns = torch.tensor([[0, 2, 0], [3, 3, 3]])
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    expected = binary_cross_entropy(logits, targets).sum()
    found = summed_cross_entropy(logits, columns)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(total, logits)[0] for total in (found, expected)]
    torch.testing.assert_close(*gradients)
