"""Recurrent layers in an export: one ONNX node for any number of tokens.

`torch.export` runs a GRU or an LSTM token by token and so fixes the number of tokens of the sample input; ONNX has both
as operators (onnx/docs/Operators.md, GRU and LSTM), and `torch.onnx.ops` lets a module put them into the graph by name.

Shape legend: B documents, T tokens, E input width, H hidden width, G gates (3 of a GRU, 4 of an LSTM).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


# ONNX keeps the gates in another order than torch: z r n for torch's r z n, i o f g for torch's i f g o
GATES = {nn.GRU: (1, 0, 2), nn.LSTM: (0, 3, 1, 2)}
OPERATORS = {nn.GRU: "GRU", nn.LSTM: "LSTM"}


@contextlib.contextmanager
def recurrence_as_operators() -> Iterator[None]:
    """Inside, `nn.GRU` and `nn.LSTM` of one layer and one direction, batch first, are traced as ONNX operators."""
    originals = {kind: kind.forward for kind in GATES}
    try:
        for kind, original in originals.items():
            kind.forward = _as_operator(kind, original)
        yield
    finally:
        for kind, original in originals.items():
            kind.forward = original


def _as_operator(kind: type[nn.RNNBase], original):
    def forward(layer: nn.RNNBase, hidden_BTE: torch.Tensor, state=None):
        plain = layer.num_layers == 1 and not layer.bidirectional and not layer.proj_size
        if not plain or not layer.batch_first or not layer.bias or state is not None or hidden_BTE.ndim != 3:
            return original(layer, hidden_BTE, state)
        inputs_TBE = hidden_BTE.transpose(0, 1)
        tokens, documents, _ = inputs_TBE.shape
        states = len(GATES[kind]) - 2  # a GRU ends with one state, an LSTM with two
        output, *_ = torch.onnx.ops.symbolic_multi_out(
            OPERATORS[kind],
            (
                inputs_TBE,
                _reordered(layer.weight_ih_l0, kind)[None],
                _reordered(layer.weight_hh_l0, kind)[None],
                torch.cat([_reordered(layer.bias_ih_l0, kind), _reordered(layer.bias_hh_l0, kind)])[None],
            ),
            # torch multiplies by the reset gate after the linear map of the state, which ONNX calls so
            {"hidden_size": layer.hidden_size, **({"linear_before_reset": 1} if kind is nn.GRU else {})},
            dtypes=[hidden_BTE.dtype] * (1 + states),
            shapes=[(tokens, 1, documents, layer.hidden_size), *[(1, documents, layer.hidden_size)] * states],
            version=14,
        )
        return output.squeeze(1).transpose(0, 1), None

    return forward


def _reordered(weight_GH: torch.Tensor, kind: type[nn.RNNBase]) -> torch.Tensor:
    gates = weight_GH.detach().chunk(len(GATES[kind]))
    return torch.cat([gates[place] for place in GATES[kind]])
