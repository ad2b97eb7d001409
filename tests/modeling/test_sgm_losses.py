"""How an SGM is trained: each of its losses, the order of the labels, the auxiliary head beside."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.label_sequences import BOS, EOS
from tests.common.sgm_tester import SgmModelTester

from .model_tester import build, some_targets


def sequence_cost(model, batch, sequences) -> torch.Tensor:
    """`-log p` of each document's sequence, from the steps' distributions one by one."""
    memory, costs = model.encode(**batch), []
    for row, sequence in enumerate(sequences):
        one = memory.select(torch.tensor([row]))
        state, last, cost = model.decoder.initial_state(one), BOS, torch.zeros(())
        for token in sequence:
            log_probs, state = model.decoder.step(torch.tensor([last]), state, one)
            cost, last = cost - log_probs[0, token], token
        costs.append(cost)
    return torch.stack(costs)


def test_the_loss_is_the_sequences_negative_log_probability_in_the_order_of_the_ranks():
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    targets = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 1, 1, 0]])
    # rank of labels 0 ... 4; so the order is 3, 0, 4, 2, 1
    model = build(tester, label_ranks=[1, 4, 3, 0, 2], label_order="given")
    by_hand = [[3, 7, 4, EOS], [EOS], [6, EOS], [6, 3, 5, EOS]]  # label l is l + 3
    with torch.no_grad():
        expected = sequence_cost(model, batch, by_hand)
        torch.testing.assert_close(model(**batch, labels=targets).loss, expected.mean())
        found = model(**batch, labels=targets, num_items_in_batch=16).loss
        torch.testing.assert_close(found, expected.sum() / 16)


def test_ranks_that_were_not_given_are_the_labels_numbers_and_random_ones_change_in_training_only():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), torch.ones(4, 5)
    model = build(tester, label_order="random")
    with torch.no_grad():
        evaluated = model(**batch, labels=targets).loss
        torch.testing.assert_close(evaluated, sequence_cost(model, batch, [[3, 4, 5, 6, 7, EOS]] * 4).mean())
        model.train()
        losses = {round(model(**batch, labels=targets).loss.item(), 6) for _ in range(8)}
    assert len(losses) > 1


@pytest.mark.parametrize("order", ["frequency", "random"])
@pytest.mark.parametrize("loss", ["sequence_ce", "ocd", "alignment", "set_bce"])
def test_an_id_that_is_no_label_is_refused_in_the_same_words_by_every_loss(loss, order):
    tester = SgmModelTester(sequence_loss=loss, label_order=order)
    batch, model = tester.collate(tester.documents()), build(tester).train()
    with pytest.raises(ValueError, match=r"`label_ids` must lie in 0 ... 4 \(negative: none\), found 5"):
        model(**batch, label_ids=torch.tensor([[0], [-100], [5], [4]]))


def test_the_order_is_made_a_tensor_once_and_again_when_it_changes():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), torch.ones(4, 5)
    model = build(tester, label_ranks=[0, 1, 2, 3, 4])
    names = set(model.state_dict())
    with torch.no_grad():
        model(**batch, labels=targets)
        kept = model._kept_ranks[1]
        model(**batch, labels=targets)
        assert model._kept_ranks[1] is kept and set(model.state_dict()) == names
        model.config.label_ranks.reverse()  # in place
        found = model(**batch, labels=targets).loss
        torch.testing.assert_close(found, sequence_cost(model, batch, [[7, 6, 5, 4, 3, EOS]] * 4).mean())


def test_the_auxiliary_heads_loss_is_added_as_a_sum_over_labels():
    tester = SgmModelTester()
    batch, targets = tester.collate(tester.documents()), some_targets(tester, 4)
    plain, joint = build(tester, auxiliary_weight=1e-9), build(tester, auxiliary_weight=0.25)
    with torch.no_grad():
        logits = joint(**batch, output_sequences=True).auxiliary_logits
        cells = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        expected = plain(**batch, labels=targets).loss + 0.25 * cells.sum(dim=1).mean()
        torch.testing.assert_close(joint(**batch, labels=targets).loss, expected)
        for reduction in ("mean", "sum"):
            joint.config.loss_reduction = reduction
            torch.testing.assert_close(joint(**batch, labels=targets).loss, expected)


LOSSES = (
    {"sequence_loss": "sequence_ce"},
    {"sequence_loss": "ocd"},
    {"sequence_loss": "alignment", "label_order": "dynamic"},
    {"sequence_loss": "alignment", "alignment": "minimal"},
    {"sequence_loss": "set_bce"},
    {"sequence_loss": "sequence_ce", "set_bce_weight": 0.5, "auxiliary_weight": 0.1},
    {"sequence_loss": "ocd", "set_bce_weight": 0.5},
    {"sequence_loss": "sequence_ce", "repeat_mask": False},
)


@pytest.mark.parametrize("settings", LOSSES, ids=lambda settings: "-".join(map(str, settings.values())))
def test_every_loss_teaches_the_sets_of_a_toy_problem(settings):
    tester = SgmModelTester(num_hidden_layers=1, **settings)
    model, batch = build(tester).train(), tester.collate(tester.documents())
    targets = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 1, 1, 0]])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    losses = []
    for _ in range(40):
        loss = model(**batch, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])  # the order-free target can't fall below its own entropy
    written = [sorted(set(labels)) for labels in model.label_sequences(batch)]
    assert written == [[0, 1, 4], [], [3], [0, 2, 3]]
    with torch.no_grad():
        assert torch.equal(model(**batch).logits > 0, targets.bool())


def test_the_order_free_targets_of_evaluation_are_not_random():
    tester = SgmModelTester(sequence_loss="ocd", ocd_sample_rate=1.0)
    model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
    with torch.no_grad():
        assert len({model(**batch, labels=targets).loss.item() for _ in range(4)}) == 1
        model.train()
        assert len({model(**batch, labels=targets).loss.item() for _ in range(4)}) > 1


def test_training_makes_no_search_and_its_logits_are_of_the_teachers_sequence():
    tester = SgmModelTester()
    model, batch = build(tester).train(), tester.collate(tester.documents())
    output = model(**batch, labels=torch.eye(5)[:4], output_sequences=False)
    assert output.sequences is None
    assert output.logits.shape == (4, 5)
    assert not output.logits.requires_grad
    assert model(**batch).logits.shape == (4, 5)  # without targets there is no teacher
