"""Int8 tables: a graph's label tables and word embedding as 8-bit integers with a scale a row.

A row w becomes q = round(w / s), s = max|w| / 127, and is read as s q: each weight is off by s / 2 at most. Only what is
stored is rounded; the products stay float32. The integer products of onnxruntime's `quantize_dynamic` were tried instead:
its scale of the activations is one for the whole batch, so that a document's scores depend on its neighbours, and
it leaves the label queries, which stand on the left of their product, as they are.

Shape legend: R rows (labels or tokens), D width.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    import onnx_ir


def quantize_rows(table_RD: np.ndarray, *, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Int8 values of the table's shape and the float32 scale `(R,)` of each row; a row of zeros stays one.

    Args:
        table_RD (`np.ndarray` of shape `(R, D)`): float32.
        axis (`int`, *optional*, defaults to 0): where the rows are counted; 1 for a table that is stored transposed.
    """
    scale_R = np.abs(table_RD).max(axis=1 - axis).astype(np.float32) / np.float32(127)
    scale_R[scale_R == 0] = 1
    return np.rint(table_RD / np.expand_dims(scale_R, 1 - axis)).astype(np.int8), scale_R


def quantize_tables(program: onnx_ir.Model, row_counts: Collection[int]) -> int:
    """Replaces every float32 matrix that has one of `row_counts` rows by int8 and scales; returns how many.

    Rows that are looked up one by one (`Gather`) are widened after the look-up, others where the table is read.

    Args:
        program (`onnx_ir.Model`): changed in place.
        row_counts (`Collection[int]`): the number of labels, the number of tokens.
    """
    import onnx_ir as ir

    tables = 0
    for value in list(program.graph.initializers.values()):
        if value.dtype != ir.DataType.FLOAT or len(value.shape) != 2:
            continue
        axis = next((axis for axis in (0, 1) if value.shape[axis] in row_counts), None)
        if axis is None:
            continue
        quantized, scale = quantize_rows(value.const_value.numpy(), axis=axis)
        _replace(program.graph, value, quantized, scale, axis)
        tables += 1
    return tables


def _replace(graph: onnx_ir.Graph, table: onnx_ir.Value, quantized: np.ndarray, scale: np.ndarray, axis: int) -> None:
    import onnx_ir as ir

    stored = _initializer(graph, f"{table.name}.int8", quantized)
    scales = _initializer(graph, f"{table.name}.scale", scale)
    widened = None
    for node, place in list(table.uses()):
        if node.op_type == "Gather" and place == 0 and axis == 0 and node.attributes.get_int("axis", 0) == 0:
            rows, row_scales = (ir.node("Gather", [of, node.inputs[1]]) for of in (stored, scales))
            floats = ir.node("Cast", rows.outputs, attributes={"to": ir.DataType.FLOAT})
            last = _initializer(graph, f"{table.name}.last_axis", np.array([-1]))
            column = ir.node("Unsqueeze", [row_scales.outputs[0], last])
            product = ir.node("Mul", [floats.outputs[0], column.outputs[0]])
            graph.insert_before(node, [rows, row_scales, floats, column, product])
            _take_over(product.outputs[0], node.outputs[0])
            graph.remove(node, safe=True)
            continue
        if widened is None:
            widened = ir.node("DequantizeLinear", [stored, scales], attributes={"axis": axis})
            widened.outputs[0].shape, widened.outputs[0].dtype = table.shape, table.dtype
            graph.insert_before(graph[0], widened)
        node.replace_input_with(place, widened.outputs[0])
    del graph.initializers[table.name]


def _take_over(new: onnx_ir.Value, old: onnx_ir.Value) -> None:
    new.shape, new.dtype = old.shape, old.dtype
    old.replace_all_uses_with(new)


def _initializer(graph: onnx_ir.Graph, name: str, array: np.ndarray) -> onnx_ir.Value:
    import onnx_ir as ir

    if name in graph.initializers:
        return graph.initializers[name]
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.dtype, value.shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
    graph.register_initializer(value)
    return value
