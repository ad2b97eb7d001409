"""The bins of piecewise linear embeddings of numbers: quantiles of the training rows, filled into a model before training.

Shape legend: R rows, N numeric columns, T bins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.table_encoder import PiecewiseLinearEmbedding


MOST_NUMBERS = 2**26  # held at once, 256 MiB: of larger tables the quantiles are those of rows drawn from them
FEWEST_ROWS = 1000  # drawn however many columns there are
ROWS_AT_ONCE = 1024
COLUMNS_AT_ONCE = 256


def quantile_edges(values_RN: np.ndarray, num_bins: int) -> np.ndarray:
    """Edges of bins that hold equally many of a column's values each, float32 `(N, T + 1)`.

    A value that many rows have is several quantiles at once and stays one edge: such a column has fewer bins, and its last edge
    is repeated. A column of one value has none.

    Args:
        values_RN (`np.ndarray` of shape `(R, N)`): finite; one row or more.
        num_bins (`int`): T.
    """
    edges_NE = np.empty((values_RN.shape[1], num_bins + 1), np.float32)
    shares_E = np.linspace(0, 1, num_bins + 1)
    for start in range(0, values_RN.shape[1], COLUMNS_AT_ONCE):
        block = values_RN[:, start : start + COLUMNS_AT_ONCE]
        # values that rows have: half way between 0 and 1 a column of these has no edge
        quantiles_EN = np.quantile(block, shares_E, axis=0, method="lower")
        for column, quantiles_E in enumerate(quantiles_EN.T.astype(np.float32), start):
            own = np.unique(quantiles_E)
            edges_NE[column, : len(own)], edges_NE[column, len(own) :] = own, own[-1]
    return edges_NE


def fill_bins(
    model: MultiLabelPreTrainedModel,
    rows: Dataset,
    collator: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]],
    *,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Fills the bins of a new model; does nothing for a model without any.

    Args:
        model (`MultiLabelPreTrainedModel`): new; a trained one keeps the bins that it was trained with.
        rows (`Dataset`): encoded TRAINING rows, with those of validation only where these are trained on as well (a refit).
        collator (callable): what makes batches of them, for training too.
        seed (`int`, *optional*, defaults to 0): of the rows that are drawn where all would be too many to hold.

    Returns:
        `dict`: for results.json: how many `rows` were looked at, the `columns`, and the `bins` that they have on average.
    """
    parts = [module for module in model.modules() if isinstance(module, PiecewiseLinearEmbedding)]
    if not parts:
        return None
    num_columns = parts[0].edges.shape[0]
    places = np.arange(len(rows))
    most_rows = max(MOST_NUMBERS // num_columns, FEWEST_ROWS)
    if len(rows) > most_rows:
        places = np.sort(np.random.default_rng(seed).choice(len(rows), most_rows, replace=False))
    values_RN = np.empty((len(places), num_columns), np.float32)
    for start in range(0, len(places), ROWS_AT_ONCE):
        chosen = places[start : start + ROWS_AT_ONCE]
        batch = collator([rows[int(place)] for place in chosen])
        values_RN[start : start + len(chosen)] = batch["input_features"][:, :num_columns].numpy()
    for part in parts:
        edges_NE = quantile_edges(values_RN, part.edges.shape[1] - 1)
        part.fill_edges(torch.from_numpy(edges_NE))
    bins = float((np.diff(edges_NE, axis=1) > 0).sum() / num_columns)
    return {"rows": len(places), "columns": num_columns, "bins": round(bins, 3)}
