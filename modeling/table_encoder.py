"""The encoder of table rows: numbers to vectors of their own where asked for, then linear layers.

A linear layer cuts a number's range with straight lines only; a number that has become several, each about a part of its range
or a frequency of its own, can be read in any shape. Two such embeddings stand here, both of Gorishniy, Rubachev and Babenko,
"On Embeddings for Numerical Features in Tabular Deep Learning" (NeurIPS 2022), written from the paper:

- piecewise linear: the range is cut into bins at quantiles of the training rows, and number t of a column says how far its
  value has come through bin t: 0 before it, 1 behind it, and linear in between (equation 1 there);
- periodic: sin and cos of 2 pi c x, with frequencies c that are learned, from a normal distribution at first.

On either one may stand a linear layer with ReLU, a different one for each column ("LR" there).

Shape legend: B rows, P columns of the input, N numeric columns (the first ones), T bins or 2 x frequencies, E width of a column's
embedding, H width of the encoder.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import logging


logger = logging.get_logger(__name__)

UNFILLED_REACH = 3.0  # standard deviations to either side that bins cover until they are filled in


class EncodedDocument(NamedTuple):
    """What an encoder of whole documents makes of each: `vector` (B, H); the states `(B, T, D)` and attentions of the layers below
    it, where it has some and they were asked for."""

    vector: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class PiecewiseLinearEmbedding(nn.Module):
    """Each column's value as T numbers in [0, 1], one a bin; bins that a column hasn't got stay 0.

    Beyond the training rows' range the numbers stay at 0 or 1. (In the paper the outermost two go on linearly, so that a narrow
    outermost bin can make a number of any size of a value that is a little out of range.)

    Buffers:
        edges (`torch.FloatTensor` of shape `(N, T + 1)`): each column's edges, rising; where a column has fewer bins, the last
            edge is repeated. Until they are filled in (`fill_edges`), edges that a standard normal column would have. They stay
            float32 in a model of half precision: rounded edges would move values to other bins.
    """

    def __init__(self, config):
        super().__init__()
        # persistent: a model without its edges can't be read
        self.register_buffer("edges", torch.empty(config.numeric_size, config.numeric_bins + 1))
        self.numbers_per_column = config.numeric_bins
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Edges at evenly spaced probabilities of a standard normal distribution, cut at three deviations."""
        # the default type may be half precision, in which there is no `ndtri`
        shares_E = torch.linspace(0, 1, self.edges.shape[1], dtype=torch.float32)
        normal_E = torch.special.ndtri(shares_E).clamp(-UNFILLED_REACH, UNFILLED_REACH)
        init.copy_(self.edges, normal_E.expand(self.edges.shape))

    @torch.no_grad()
    def fill_edges(self, edges_NE: torch.Tensor) -> None:
        """Takes the bins' edges over.

        Args:
            edges_NE (`torch.Tensor` of shape `(N, T + 1)`): finite, not falling along a row.

        Raises:
            `ValueError`: another shape, a number that isn't finite, an edge below the one before.
        """
        if edges_NE.shape != self.edges.shape:
            raise ValueError(f"`edges` must be of shape {tuple(self.edges.shape)}, found {tuple(edges_NE.shape)}")
        if not edges_NE.isfinite().all() or (edges_NE.diff(dim=1) < 0).any():
            raise ValueError("`edges` must be finite and must not fall along a row, found others")
        self.edges.copy_(edges_NE)

    def _apply(self, fn, recurse=True):
        before, made = self.edges, super()._apply(fn, recurse)
        if self.edges.dtype != before.dtype:
            self.edges = before.to(self.edges.device)
        return made

    def forward(self, values_BN: torch.Tensor) -> torch.Tensor:
        edges_NE = self.edges.float()  # where they were loaded in half precision
        lower_NT, width_NT = edges_NE[:, :-1], edges_NE.diff(dim=1)
        is_bin_NT = width_NT > 0
        ways_BNT = (values_BN.float()[..., None] - lower_NT) / width_NT.where(is_bin_NT, 1.0)
        return ways_BNT.clamp(0, 1) * is_bin_NT


class PeriodicEmbedding(nn.Module):
    """Each column's value as sin and cos of several frequencies of the column's own.

    Parameters:
        frequencies (`(N, K)`): learned; normal at first, with the deviation `config.numeric_frequency_std`: how finely the embedding
            tells values apart, which the paper tunes between 0.01 and 100.
    """

    def __init__(self, config):
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(config.numeric_size, config.numeric_frequencies))
        self.std = config.numeric_frequency_std
        self.numbers_per_column = 2 * config.numeric_frequencies
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.frequencies, std=self.std)

    def forward(self, values_BN: torch.Tensor) -> torch.Tensor:
        # float32: of a large phase half precision keeps nothing
        phases_BNK = 2 * math.pi * values_BN.float()[..., None] * self.frequencies.float()
        return torch.cat([phases_BNK.sin(), phases_BNK.cos()], dim=-1)


class ColumnLinear(nn.Module):
    """A linear layer with ReLU for each column: `(B, N, T)` to `(B, N, E)`."""

    def __init__(self, num_columns: int, in_size: int, out_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_columns, in_size, out_size))
        self.bias = nn.Parameter(torch.empty(num_columns, out_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Even in +-1 / sqrt(T), as `nn.Linear` does."""
        bound = self.weight.shape[1] ** -0.5
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(self, numbers_BNT: torch.Tensor) -> torch.Tensor:
        numbers_BNT = numbers_BNT.to(self.weight.dtype)
        return torch.relu(torch.einsum("bnt,nte->bne", numbers_BNT, self.weight) + self.bias)


class NumericEmbedding(nn.Module):
    """The numeric columns' values to one vector a row, `(B, N)` to `(B, width)`."""

    def __init__(self, config):
        super().__init__()
        kinds = {"piecewise_linear": PiecewiseLinearEmbedding, "periodic": PeriodicEmbedding}
        self.numbers = kinds[config.numeric_embedding](config)
        self.linear, size = None, self.numbers.numbers_per_column
        if config.numeric_embedding_size is not None:
            self.linear = ColumnLinear(config.numeric_size, size, config.numeric_embedding_size)
            size = config.numeric_embedding_size
        self.width = config.numeric_size * size

    def forward(self, values_BN: torch.Tensor) -> torch.Tensor:
        numbers_BNT = self.numbers(values_BN)
        return (numbers_BNT if self.linear is None else self.linear(numbers_BNT)).flatten(1)


class TableEncoder(nn.Module):
    """A table row to a vector: an embedding of its numbers where asked for, then `Linear - ReLU - Dropout` several times.

    The columns are those of `TableFeatureExtractor`: numeric ones first, then what needs no embedding (which values are missing,
    categories), which joins the embedded numbers as it is.
    """

    def __init__(self, config):
        super().__init__()
        self.input_size, self.numeric_size = config.input_size, config.numeric_size
        self.numeric, width = None, config.input_size
        if config.numeric_embedding != "none" and not config.numeric_size:
            logger.warning_once(
                f"`numeric_embedding` '{config.numeric_embedding}' changes nothing: `numeric_size` is 0."
            )
        if config.numeric_embedding != "none" and config.numeric_size:
            self.numeric = NumericEmbedding(config)
            width += self.numeric.width - config.numeric_size
        widths = [width] + [config.hidden_size] * config.num_hidden_layers
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise(widths))
        self.column_dropout, self.dropout = nn.Dropout(config.column_dropout), nn.Dropout(config.hidden_dropout)

    def encode(self, input_features: torch.Tensor | None = None, **kwargs) -> EncodedDocument:
        """Rows to vectors.

        Args:
            input_features (`torch.Tensor` of shape `(B, P)`): any float dtype, nothing missing.
            kwargs: what encoders of texts take; unread.

        Raises:
            `ValueError`: no rows, or rows of another width.
        """
        if input_features is None:
            raise ValueError("this model reads table rows: give `input_features`")
        if input_features.ndim != 2 or input_features.shape[1] != self.input_size:
            raise ValueError(
                f"`input_features` must be of shape (batch, {self.input_size}), found {tuple(input_features.shape)}"
            )
        values_BP = input_features.to(self.layers[0].weight.dtype)
        if self.numeric is not None:
            # embedded from the values as they were given: rounded to half precision they fall into other bins
            embedded_BW = self.numeric(input_features[:, : self.numeric_size]).to(values_BP.dtype)
            values_BP = torch.cat([embedded_BW, values_BP[:, self.numeric_size :]], dim=1)
        values_BP = self.column_dropout(values_BP)
        for layer in self.layers:
            values_BP = self.dropout(torch.relu(layer(values_BP)))
        return EncodedDocument(values_BP)

    def forward(self, input_features: torch.Tensor | None = None, **kwargs) -> torch.Tensor:
        """As `encode`; the vectors `(B, H)` alone."""
        return self.encode(input_features, **kwargs).vector


# modules that know how they start (`text_pooling.SELF_INITIALISED` has those of texts too)
SELF_INITIALISED = (PiecewiseLinearEmbedding, PeriodicEmbedding, ColumnLinear)


__all__ = [
    "SELF_INITIALISED",
    "ColumnLinear",
    "EncodedDocument",
    "NumericEmbedding",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "TableEncoder",
]
