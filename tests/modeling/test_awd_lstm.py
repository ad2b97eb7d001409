"""What is AWD-LSTM's own: its dropouts, the cut gradient, its sizes. The common tests are in test_modeling_plant.py."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from hf_mlc.modeling.awd_lstm import AwdLstmLayer, LockedDropout
from hf_mlc.modeling.configuration_plant import PlantConfig
from tests.common.plant_tester import PlantModelTester

from .model_tester import build, some_targets


pytestmark = pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated")  # the name before 5.2x
TESTER = PlantModelTester(encoder="awd_lstm")
DROPOUTS = {"embedding_dropout": 0.3, "input_dropout": 0.4, "hidden_dropout": 0.3, "weight_dropout": 0.5}


def test_its_sizes_are_those_of_ulmfit_unless_others_are_given(tmp_path):
    config = PlantConfig(encoder="awd_lstm")
    assert (config.hidden_size, config.recurrent_size, config.num_hidden_layers) == (400, 1152, 3)
    assert (config.embedding_dropout, config.word_dropout) == (0.05, 0.0)
    assert (PlantConfig().hidden_size, PlantConfig().num_hidden_layers, PlantConfig().word_dropout) == (256, 1, 0.1)
    # values that are another encoder's defaults come back too
    given = {"hidden_size": 256, "num_hidden_layers": 1, "word_dropout": 0.1, "embedding_dropout": 0.2}
    PlantConfig(encoder="awd_lstm", **given).save_pretrained(tmp_path)
    loaded = PlantConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in given} == given


def test_layers_lead_from_the_word_vectors_over_the_inner_width_to_the_outer_one():
    model = build(TESTER, embedding_size=20, num_hidden_layers=3)
    sizes = [(layer.network.input_size, layer.network.hidden_size) for layer in model.encoder.layers]
    assert sizes == [(20, 24), (24, 24), (24, 32)]


def test_every_weight_is_saved_once_under_torchs_own_name():
    names = [name for name, _ in build(TESTER, **DROPOUTS).encoder.layers[0].named_parameters()]
    assert names == [f"network.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def test_a_locked_dropout_drops_the_same_dimensions_at_all_tokens_of_a_document():
    torch.manual_seed(0)
    dropped_BTD = LockedDropout(0.5).train()(torch.ones(2, 6, 50))
    assert set(dropped_BTD.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped_BTD, dropped_BTD[:, :1].expand_as(dropped_BTD))
    assert not torch.equal(dropped_BTD[0], dropped_BTD[1])


def test_whole_words_are_dropped_wherever_they_stand():
    embeddings = build(TESTER, embedding_dropout=0.5, embedding_std=1.0).train().encoder.embeddings
    torch.manual_seed(0)
    tokens_BT = torch.arange(2, 40).repeat(2, 2)
    vectors_BTE = embeddings(tokens_BT, torch.ones_like(tokens_BT, dtype=torch.bool))
    zero_BT = (vectors_BTE == 0).all(dim=-1)
    assert 0 < zero_BT.sum() < zero_BT.numel()
    assert torch.equal(zero_BT[0], zero_BT[1]) and torch.equal(zero_BT[:, :38], zero_BT[:, 38:])
    kept_BTE = vectors_BTE[~zero_BT]
    torch.testing.assert_close(kept_BTE, 2 * embeddings.word_embeddings(tokens_BT)[~zero_BT])


def test_dropped_weights_from_state_to_state_act_in_training_only_and_still_learn():
    config = TESTER.get_config(weight_dropout=0.5)
    torch.manual_seed(0)
    layer, inputs_BTD = AwdLstmLayer(config, 8, 8), torch.randn(2, 5, 8)
    assert layer.eval().dropped_weight() is None
    expected = layer.network(inputs_BTD)[0]
    assert torch.equal(layer(inputs_BTD)[0], expected)
    weight = layer.train().dropped_weight()
    found = layer(inputs_BTD, weight)[0]
    # a plain network that was given the same weights
    plain = nn.LSTM(8, 8, batch_first=True)
    plain.load_state_dict({**layer.network.state_dict(), "weight_hh_l0": weight.detach()})
    torch.testing.assert_close(found, plain(inputs_BTD)[0])
    assert not torch.allclose(found, expected)
    found.sum().backward()
    gradient = layer.network.weight_hh_l0.grad
    assert (gradient[weight == 0] == 0).all() and (gradient[weight != 0] != 0).any()


def test_the_scale_multiplies_all_dropouts():
    encoder = build(TESTER, **DROPOUTS, dropout_scale=0.1).encoder
    found = [
        encoder.embeddings.row_dropout,
        encoder.input_dropout.p,
        encoder.dropout.p,
        encoder.layers[0].weight_dropout,
    ]
    assert found == pytest.approx([0.03, 0.04, 0.03, 0.05])
    with pytest.raises(StrictDataclassError, match="dropout_scale"):
        TESTER.get_config(**DROPOUTS, dropout_scale=2)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_in_chunks_the_result_is_the_same_and_the_gradient_ends_at_their_borders(checkpointing):
    whole, cut = build(TESTER).train(), build(TESTER, bptt_length=4).train()
    if checkpointing:
        cut.gradient_checkpointing_enable()
    vectors = torch.randn(2, 10, TESTER.hidden_size, generator=torch.Generator().manual_seed(0))
    reached = []
    for model in (whole, cut):
        given = vectors.clone().requires_grad_()
        state = model(inputs_embeds=given, output_hidden_states=True).hidden_states[-1]
        reached.append((state, torch.autograd.grad(state[0, 9].sum(), given)[0][0].abs().sum(dim=-1) > 0))
    torch.testing.assert_close(reached[1][0], reached[0][0])
    assert reached[0][1].all()
    assert reached[1][1].tolist() == [False] * 8 + [True] * 2  # the last chunk holds tokens 8 and 9


def test_recomputed_activations_see_the_dropouts_that_the_first_ones_saw():
    batch, targets = TESTER.collate(TESTER.documents()), some_targets(TESTER, 4)
    plain = build(TESTER, **DROPOUTS, bptt_length=3).train()
    recomputed = build(TESTER, **DROPOUTS, bptt_length=3).train()
    recomputed.gradient_checkpointing_enable()
    for model in (plain, recomputed):
        torch.manual_seed(1)
        model(**batch, labels=targets).loss.backward()
    for (name, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_reach_every_parameter_under_dropout():
    model = build(TESTER, **DROPOUTS).train()
    model(**TESTER.collate(TESTER.documents()), labels=some_targets(TESTER, 4)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
