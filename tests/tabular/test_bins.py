"""Bins at quantiles: by hand, columns with few values, tables too large to hold, and which rows they are made of."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from datasets import Dataset

from hf_mlc.modeling.table_encoder import TableEncoder
from hf_mlc.tabular import bins
from hf_mlc.tabular.bins import fill_bins, quantile_edges


def encoder(**given) -> TableEncoder:
    usual = {
        "input_size": 3, "numeric_size": 2, "numeric_embedding": "piecewise_linear", "numeric_bins": 4,
        "numeric_embedding_size": None, "hidden_size": 4, "num_hidden_layers": 1, "column_dropout": 0.0,
        "hidden_dropout": 0.0,
    }  # fmt: skip
    return TableEncoder(SimpleNamespace(**usual | given))


def table(values) -> Dataset:
    return Dataset.from_dict({"input_features": np.asarray(values, np.float32).tolist()})


def collate(rows) -> dict[str, torch.Tensor]:
    return {"input_features": torch.tensor([row["input_features"] for row in rows])}


def test_edges_hold_equally_many_values_each():
    found = quantile_edges(np.arange(101.0)[::-1, None], 4)
    np.testing.assert_array_equal(found, [[0, 25, 50, 75, 100]])


def test_a_column_has_as_many_bins_as_its_quantiles_differ():
    many_zeros = np.array([0.0] * 90 + list(range(1, 11)))
    columns = np.stack([many_zeros, np.full(100, 7.0), np.arange(100) % 2], axis=1)
    found = quantile_edges(columns, 4)
    # quarters of the first are all 0 but the last; a constant has no bin; 0 and 1 are the quartiles of the third
    np.testing.assert_array_equal(found, [[0, 10, 10, 10, 10], [7] * 5, [0, 1, 1, 1, 1]])


def test_many_columns_are_worked_through_in_blocks(monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 7))
    whole = quantile_edges(values, 5)
    monkeypatch.setattr(bins, "COLUMNS_AT_ONCE", 3)
    np.testing.assert_array_equal(quantile_edges(values, 5), whole)


def test_a_new_model_is_filled_from_the_rows_it_is_given():
    values = np.random.default_rng(0).normal(size=(300, 3))
    made = encoder()
    facts = fill_bins(made, table(values), collate)
    assert facts == {"rows": 300, "columns": 2, "bins": 4.0}
    np.testing.assert_allclose(made.numeric.numbers.edges, quantile_edges(values[:, :2], 4), rtol=1e-6)
    # a quarter of the training rows lies in each bin: they have come through 2.5 bins - 0.5 of them on average
    come = made.numeric.numbers(torch.tensor(values[:, :2], dtype=torch.float32)).sum(dim=2)
    torch.testing.assert_close(come.mean(dim=0), torch.tensor([2.0, 2.0]), atol=0.05, rtol=0)


def test_a_model_without_bins_is_left_alone():
    made = encoder(numeric_embedding="none")
    before = {name: value.clone() for name, value in made.state_dict().items()}
    assert fill_bins(made, table([[0.0, 1.0, 2.0]]), collate) is None
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_of_a_large_table_rows_are_drawn_by_the_seed(monkeypatch):
    values = np.random.default_rng(0).normal(size=(400, 3))
    monkeypatch.setattr(bins, "MOST_NUMBERS", 200)
    monkeypatch.setattr(bins, "FEWEST_ROWS", 10)
    edges = []
    for seed in (0, 0, 1):
        made = encoder()
        assert fill_bins(made, table(values), collate, seed=seed)["rows"] == 100
        edges.append(made.numeric.numbers.edges)
    assert torch.equal(edges[0], edges[1]) and not torch.equal(edges[0], edges[2])
