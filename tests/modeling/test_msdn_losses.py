"""What an MSDN is trained on: which answers a logit sees, what training shows, the losses."""

from __future__ import annotations

import pytest
import torch

from .model_tester import some_targets
from .msdn_rows import RANKS, ROWS, mean_cross_entropy, small


@pytest.mark.parametrize("num_orders", [1, 2])
@pytest.mark.parametrize("reads", [False, True])
def test_no_logit_of_the_loss_sees_its_own_target_or_those_behind_it(num_orders, reads):
    ranks = [RANKS, [1, 4, 0, 2, 3]][:num_orders]
    model, batch = small(num_orders=num_orders, label_ranks=ranks, dilations=[2], document_relations=reads)
    output = model(**batch)
    base, inputs = output.base_logits[:1].detach(), output.relation_inputs[:1].detach() if reads else None
    sees = torch.zeros(num_orders, 5, 5, dtype=torch.bool)
    for seed in range(4):
        answers = torch.rand(1, 5, generator=torch.Generator().manual_seed(seed))
        jacobian = torch.autograd.functional.jacobian(lambda some: model.logits_given(base, some, inputs), answers)
        sees |= jacobian[0, :, :, 0] != 0
    for order, places in enumerate(ranks):
        for label in range(5):
            for other in range(5):
                assert sees[order, label, other] == (places[other] < places[label]), (label, other)


def test_smoothing_and_positive_weights_change_the_loss_and_never_the_history():
    for settings in ({"label_smoothing": 0.2}, {"use_pos_weight": True}, {"loss": "focal"}):
        model, batch = small(**settings)
        model.set_training_statistics(torch.tensor([1, 2, 3, 4, 5]), 10)
        targets = some_targets(ROWS, 6)
        with torch.no_grad():
            output = model(**batch, labels=targets)
            logits = model.logits_given(output.base_logits, targets)[:, 0]
            torch.testing.assert_close(output.loss, model.compute_loss(logits, labels=targets))


def test_in_training_the_logits_are_those_of_the_true_history_and_the_gradient_passes_through_them():
    model, batch = small(num_orders=2)
    targets = some_targets(ROWS, 6)
    output = model.train()(**batch, labels=targets)
    assert output.chosen is None
    torch.testing.assert_close(output.logits, model.logits_given(output.base_logits, targets).mean(dim=1))


def test_a_false_history_is_the_models_own_guess_in_training_alone():
    model, batch = small(false_history_rate=1.0)
    targets = some_targets(ROWS, 6)
    output = model.train()(**batch, labels=targets)
    guesses = (output.base_logits > 0).float()
    assert not torch.equal(guesses, targets)
    torch.testing.assert_close(output.logits, model.logits_given(output.base_logits, guesses)[:, 0])
    output = model.eval()(**batch, labels=targets)
    torch.testing.assert_close(output.loss, mean_cross_entropy(model, batch, targets, targets))
    model.config.false_history_rate = 0.5
    losses = {model.train()(**batch, labels=targets).loss.item() for _ in range(5)}
    assert len(losses) > 1


def test_shown_labels_cost_nothing_and_are_shown_in_training_alone():
    model, batch = small(variant="parallel", label_mask_rate=0.25)
    targets = some_targets(ROWS, 6)
    targets[5, 2] = -100
    seen = []
    refined = model._refined
    model._refined = lambda base, documents, shown=None: seen.append(shown) or refined(base, documents, shown)
    for _ in range(40):
        output = model.train()(**batch, labels=targets)
    shown = torch.stack(seen)
    assert ((shown == -1) | (shown == targets)).all()
    assert (shown[:, 5, 2] == -1).all()
    share = (shown == -1).float().mean()
    assert 0.55 < share < 0.7  # the mean of an even draw between 0.25 and 1, a bit more by the unknown cell
    hidden = targets.masked_fill(seen[-1] >= 0, -100)
    steps = refined(output.base_logits, model.encoder(**batch), seen[-1])
    losses = [model.compute_loss(output.base_logits, labels=targets)]
    losses += [model.compute_loss(logits[:, 0], labels=hidden) for logits in steps]
    torch.testing.assert_close(output.loss, torch.stack(losses).mean())
    seen.clear()
    model.eval()(**batch, labels=targets)
    assert seen[0] is None
