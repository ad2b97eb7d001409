"""The encoder of table rows: its embeddings of numbers by hand, what joins them, what they refuse, how they are saved."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from transformers.utils import logging as transformers_logging

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.table_encoder import (
    ColumnLinear,
    EncodedDocument,
    NumericEmbedding,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    TableEncoder,
)
from hf_mlc.modeling.text_pooling import PooledTextEncoder, build_document_encoder


def settings(**given) -> SimpleNamespace:
    usual = {
        "encoder": "mlp",
        "input_size": 5,
        "numeric_size": 3,
        "numeric_embedding": "none",
        "numeric_bins": 4,
        "numeric_frequencies": 4,
        "numeric_embedding_size": None,
        "numeric_frequency_std": 0.5,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "column_dropout": 0.0,
        "hidden_dropout": 0.5,
    }
    return SimpleNamespace(**usual | given)


def test_piecewise_linear_numbers_equal_those_worked_out_by_hand():
    made = PiecewiseLinearEmbedding(settings(numeric_size=2))
    made.fill_edges(torch.tensor([[0.0, 1.0, 3.0, 4.0, 8.0], [-1.0, 1.0, 1.0, 1.0, 1.0]]))
    found = made(torch.tensor([[2.0, 0.0], [-5.0, 7.0], [3.0, 1.0], [9.0, -1.0]]))
    expected = [
        [[1.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]],  # half way through [1, 3]; half way through the one bin
        [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],  # before all edges; behind all: a bin that isn't there stays 0
        [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
        [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_piecewise_linear_numbers_add_up_to_a_function_that_only_rises():
    made = PiecewiseLinearEmbedding(settings(numeric_size=1, numeric_bins=7))
    values_B1 = torch.linspace(-4, 4, 200)[:, None]
    assert (made(values_B1).diff(dim=0) >= 0).all()
    # before they are filled in, the edges are a standard normal column's: as many values fall into each bin
    share = torch.distributions.Normal(0.0, 1.0).cdf(made.edges[0, 1:-1])
    torch.testing.assert_close(share, torch.arange(1, 7) / 7, atol=1e-5, rtol=0)


def test_edges_that_are_none_are_refused():
    made = PiecewiseLinearEmbedding(settings(numeric_size=1, numeric_bins=2))
    for edges, said in (
        ([[0.0, 1.0]], "shape"),
        ([[0.0, 1.0, 0.5]], "must not fall"),
        ([[0.0, 1.0, math.nan]], "must be finite"),
    ):
        with pytest.raises(ValueError, match=said):
            made.fill_edges(torch.tensor(edges))


def test_periodic_numbers_equal_those_worked_out_by_hand():
    made = PeriodicEmbedding(settings(numeric_size=1, numeric_frequencies=2))
    with torch.no_grad():
        made.frequencies.copy_(torch.tensor([[0.25, 1.0]]))
    # 2 pi 0.25 x 1 = pi / 2: sin 1, cos 0;  a whole turn: sin 0, cos 1
    torch.testing.assert_close(made(torch.tensor([[1.0]])), torch.tensor([[[1.0, 0.0, 0.0, 1.0]]]), atol=1e-6, rtol=0)


def test_frequencies_start_as_wide_as_was_asked_for():
    torch.manual_seed(0)
    made = PeriodicEmbedding(settings(numeric_size=50, numeric_frequencies=100, numeric_frequency_std=3.0))
    assert 2.9 < float(made.frequencies.detach().std()) < 3.1


def test_edges_stay_float32_in_a_model_of_half_precision():
    made = PiecewiseLinearEmbedding(settings(numeric_size=1, numeric_bins=2))
    made.fill_edges(torch.tensor([[0.0, 1.001, 2.003]]))
    edges = made.edges.clone()
    assert torch.equal(made.bfloat16().edges, edges)
    assert torch.equal(made.double().edges, edges) and made.edges.dtype == torch.float32


def test_an_embedding_of_no_number_is_pointed_out(caplog):
    transformers_logging.enable_propagation()
    TableEncoder(settings(numeric_embedding="piecewise_linear", numeric_size=0))
    transformers_logging.disable_propagation()
    assert "`numeric_embedding` 'piecewise_linear' changes nothing: `numeric_size` is 0" in caplog.text


@torch.no_grad()
def test_each_column_has_a_linear_layer_of_its_own():
    torch.manual_seed(0)
    made = ColumnLinear(3, 4, 2)
    numbers_BNT = torch.randn(5, 3, 4)
    alone = [torch.relu(numbers_BNT[:, n] @ made.weight[n] + made.bias[n]) for n in range(3)]
    torch.testing.assert_close(made(numbers_BNT), torch.stack(alone, dim=1))
    assert float(made.weight.abs().max()) <= 0.5  # 1 / sqrt(4)


@pytest.mark.parametrize(
    ("given", "width"),
    [
        ({}, 5),
        ({"numeric_embedding": "piecewise_linear"}, 3 * 4 + 2),
        ({"numeric_embedding": "piecewise_linear", "numeric_embedding_size": 6}, 3 * 6 + 2),
        ({"numeric_embedding": "periodic", "numeric_frequencies": 7}, 3 * 14 + 2),
        ({"numeric_embedding": "periodic", "numeric_embedding_size": 6}, 3 * 6 + 2),
        ({"numeric_embedding": "periodic", "numeric_size": 0}, 5),
    ],
)
def test_rows_become_vectors_and_every_part_learns(given, width):
    torch.manual_seed(0)
    made = TableEncoder(settings(hidden_dropout=0.0, **given))
    assert made.layers[0].in_features == width
    found = made(torch.randn(16, 5))
    assert found.shape == (16, 8)
    found.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in made.parameters())


@torch.no_grad()
def test_columns_that_are_no_numbers_pass_by_the_embedding():
    torch.manual_seed(0)
    made = TableEncoder(settings(numeric_embedding="piecewise_linear")).eval()
    seen = []
    made.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    rows_BP = torch.randn(4, 5)
    made(rows_BP)
    torch.testing.assert_close(seen[0][:, -2:], rows_BP[:, 3:])
    torch.testing.assert_close(seen[0][:, :-2], made.numeric.numbers(rows_BP[:, :3]).flatten(1))


def test_rows_of_another_width_and_no_rows_are_refused():
    made = TableEncoder(settings())
    with pytest.raises(ValueError, match=r"must be of shape \(batch, 5\), found \(2, 4\)"):
        made(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="give `input_features`"):
        made(input_ids=torch.zeros(2, 4, dtype=torch.long))


def test_dropout_is_of_training_alone():
    torch.manual_seed(0)
    made, rows_BP = TableEncoder(settings()), torch.randn(4, 5)
    assert not torch.equal(made(rows_BP), made(rows_BP))
    made.eval()
    assert torch.equal(made(rows_BP), made(rows_BP))
    assert isinstance(made.encode(rows_BP), EncodedDocument)


def test_column_dropout_leaves_out_what_the_first_layer_reads():
    torch.manual_seed(0)
    made = TableEncoder(settings(column_dropout=0.5, hidden_dropout=0.0, num_hidden_layers=1))
    read = []
    made.layers[0].register_forward_hook(lambda layer, inputs, output: read.append(inputs[0]))
    made(torch.ones(400, 5))
    assert set(read[0].unique().tolist()) == {0.0, 2.0} and 0.4 < read[0].bool().float().mean() < 0.6
    made.eval()(torch.ones(1, 5))
    assert read[1].eq(1).all()


@torch.no_grad()
def test_a_document_s_vector_does_not_depend_on_the_batch_and_half_precision_keeps_the_bins():
    torch.manual_seed(0)
    made = TableEncoder(settings(numeric_embedding="piecewise_linear", numeric_embedding_size=4)).eval()
    rows_BP = torch.randn(6, 5)
    torch.testing.assert_close(made(rows_BP)[2:3], made(rows_BP[2:3]))
    whole = made(rows_BP)
    torch.testing.assert_close(made.bfloat16()(rows_BP).float(), whole, atol=0.05, rtol=0.05)


def test_edges_are_saved_with_the_weights():
    made = TableEncoder(settings(numeric_embedding="piecewise_linear"))
    made.numeric.numbers.fill_edges(torch.arange(15.0).view(3, 5))
    again = TableEncoder(settings(numeric_embedding="piecewise_linear"))
    again.load_state_dict(made.state_dict())
    torch.testing.assert_close(again.numeric.numbers.edges, torch.arange(15.0).view(3, 5))


def test_the_encoder_of_a_configuration_is_the_one_it_names():
    assert isinstance(build_document_encoder(settings()), TableEncoder)
    texts = settings(
        encoder="bag_of_words", text_pooling="mean", vocab_size=9, pad_token_id=0, unk_token_id=1,
        embedding_dropout=0.0, word_dropout=0.0,
    )  # fmt: skip
    assert isinstance(build_document_encoder(texts), PooledTextEncoder)


def test_a_step_function_is_learned_through_bins_and_not_without_them():
    """What the embeddings are for: one linear layer on the bins' numbers fits any shape that a number alone can't."""
    torch.manual_seed(0)
    values_B1 = torch.rand(512, 1) * 6 - 3
    target_B = ((values_B1[:, 0] > -1) & (values_B1[:, 0] < 1)).float()
    errors = {}
    for kind in ("none", "piecewise_linear", "periodic"):
        config = settings(numeric_size=1, numeric_embedding=kind, numeric_bins=16)
        numbers = NumericEmbedding(config) if kind != "none" else torch.nn.Identity()
        features_BW = numbers(values_B1).detach()
        design_BW = torch.cat([features_BW, torch.ones(512, 1)], dim=1).double()
        solution = torch.linalg.lstsq(design_BW, target_B[:, None].double(), driver="gelsd").solution
        errors[kind] = float((design_BW @ solution - target_B[:, None]).square().mean())
    assert errors["none"] > 0.2 and errors["piecewise_linear"] < 0.03 and errors["periodic"] < 0.06, errors


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bins_are_saved_and_loaded_in_half_precision_with_their_edges_as_they_were(dtype, tmp_path):
    settings = {"encoder": "mlp", "input_size": 1, "numeric_size": 1, "hidden_size": 16, "num_labels": 4}
    model = MsdnForMultiLabelClassification(MsdnConfig(**settings, numeric_embedding="piecewise_linear"))
    bins = next(module for module in model.modules() if hasattr(module, "fill_edges"))
    edges = torch.linspace(-1, 1.001, bins.edges.shape[1]).expand(bins.edges.shape)
    bins.fill_edges(edges)
    model.save_pretrained(tmp_path / "single")
    model.to(dtype).save_pretrained(tmp_path / "half")
    for folder, asked in (("single", {"dtype": dtype}), ("half", {})):
        loaded = MsdnForMultiLabelClassification.from_pretrained(tmp_path / folder, **asked)
        assert loaded.dtype == dtype
        found = next(module for module in loaded.modules() if hasattr(module, "fill_edges")).edges
        assert found.dtype == torch.float32 and torch.equal(found, edges)
