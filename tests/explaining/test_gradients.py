"""Completeness: whatever the encoder, integrated gradients sum to the difference of the logits."""

from __future__ import annotations

import pytest
import torch
from transformers import set_seed

from hf_mlc.explaining.gradients import integrated_gradients
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from tests.common.plant_tester import PlantModelTester


ENCODERS = ("bag_of_words", "convolution", "gru", "lstm", "awd_lstm", "transformer")
UNKNOWN = 1


def model_and_text(encoder: str):
    """Random weights, large enough that attention is far from uniform and the logits are far from linear."""
    set_seed(0)
    model = PlantModelTester(encoder=encoder)
    model = model.model_class(model.get_config(embedding_std=1.0)).eval()
    with torch.no_grad():
        if encoder in ("gru", "lstm", "awd_lstm"):
            for parameter in model.encoder.layers.parameters():
                parameter.mul_(4)
        model.decoder.query.mul_(20)
        model.decoder.weight.mul_(20)
    return model, torch.randint(2, 40, (1, 12)), torch.ones(1, 12, dtype=torch.long)


def logits(model, ids, mask, chosen):
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits[0, chosen]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_integrated_gradients_sum_to_the_difference_of_the_logits(encoder):
    model, ids, mask = model_and_text(encoder)
    chosen, baseline = torch.tensor([3, 0]), torch.full_like(ids, UNKNOWN)
    difference = logits(model, ids, mask, chosen) - logits(model, baseline, mask, chosen)
    assert difference.abs().min() > 0.1  # else there would be nothing to sum to

    fine = integrated_gradients(model, ids, mask, chosen, baseline, steps=200)
    error = (fine.weights_ST.sum(dim=1) - difference).abs() / difference.abs()
    # Gauss-Legendre is exact to rounding where the integrand is smooth; the kinks of the convolution's ReLUs leave
    # some thousandths at 200 points in this small net, whose few units weigh much
    assert error.max() < (1e-2 if encoder == "convolution" else 1e-4)
    assert fine.deltas_S == pytest.approx((fine.weights_ST.sum(dim=1) - difference).numpy(), abs=1e-4)

    # the tolerance is no formality: one point misses it by far
    coarse = integrated_gradients(model, ids, mask, chosen, baseline, steps=1)
    assert ((coarse.weights_ST.sum(dim=1) - difference).abs() / difference.abs()).min() > 0.05


def test_what_is_the_same_on_both_ends_of_the_path_weighs_nothing():
    model, ids, mask = model_and_text("transformer")
    baseline = torch.full_like(ids, UNKNOWN)
    baseline[0, 0], baseline[0, 11] = ids[0, 0], ids[0, 11]
    found = integrated_gradients(model, ids, mask, torch.tensor([1]), baseline, steps=5).weights_ST[0]
    assert found[0] == 0 and found[11] == 0 and (found[1:11] != 0).all()


def test_steps_are_cut_into_batches_without_changing_anything(monkeypatch):
    model, ids, mask = model_and_text("convolution")
    baseline, chosen = torch.full_like(ids, UNKNOWN), torch.tensor([2])
    whole = integrated_gradients(model, ids, mask, chosen, baseline, steps=20)
    monkeypatch.setattr("hf_mlc.explaining.gradients.TOKENS_AT_ONCE", 3 * 12)
    cut = integrated_gradients(model, ids, mask, chosen, baseline, steps=20)
    torch.testing.assert_close(cut.weights_ST, whole.weights_ST, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_logits_of_chosen_labels_are_those_of_the_whole_model(encoder):
    model, ids, mask = model_and_text(encoder)
    mask[0, 9:] = 0
    chosen = torch.tensor([4, 1, 1])
    expected = logits(model, ids, mask, chosen)
    with torch.no_grad():
        found = model.label_logits(chosen, input_ids=ids, attention_mask=mask)
        plain = MultiLabelPreTrainedModel.label_logits(model, chosen, input_ids=ids, attention_mask=mask)
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_token_contributions_sum_to_the_logits_less_the_bias(encoder):
    model, ids, mask = model_and_text(encoder)
    mask[0, 2] = 0
    with torch.no_grad():
        model.decoder.bias.copy_(torch.arange(5.0))
    chosen = torch.tensor([4, 0])
    shares = model.token_contributions(chosen, input_ids=ids, attention_mask=mask)
    assert shares.shape == (1, 2, 12) and (shares[0, :, 2] == 0).all()
    expected = logits(model, ids, mask, chosen) - torch.tensor([4.0, 0.0])
    torch.testing.assert_close(shares[0].sum(dim=1), expected, rtol=1e-4, atol=1e-4)
