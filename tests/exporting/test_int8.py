"""Int8 tables: hand-computed rows, and a graph that computes with exactly the rounded weights."""

from __future__ import annotations

import copy

import numpy as np
import onnx_ir
import pytest
import torch

from hf_mlc.exporting import load_onnx
from hf_mlc.exporting.graph import traced
from hf_mlc.exporting.int8 import quantize_rows, quantize_tables
from hf_mlc.exporting.running import OnnxClassifier, open_session
from hf_mlc.inference import encode_texts
from hf_mlc.modeling.configuration_plant import PlantConfig
from tests.exporting.conftest import TEXTS, small_model


def test_rows_get_a_scale_of_their_own():
    # 2.54 / 127 = 0.02: 127, -64, 1; 12.7 / 127 = 0.1: 0.26 rounds to 3 tenths; zeros stay zeros
    table = np.array([[2.54, -1.28, 0.02], [0.26, -12.7, 0.0], [0.0, 0.0, 0.0]], np.float32)
    quantized, scale = quantize_rows(table)
    assert quantized.dtype == np.int8 and quantized.tolist() == [[127, -64, 1], [3, -127, 0], [0, 0, 0]]
    np.testing.assert_allclose(scale, [0.02, 0.1, 1.0], rtol=1e-6)


def test_a_transposed_table_gets_the_same_numbers():
    table = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    quantized, scale = quantize_rows(table)
    turned, same_scale = quantize_rows(table.T, axis=1)
    assert (quantized == turned.T).all() and (same_scale == scale).all()


def test_no_weight_moves_by_more_than_half_a_step():
    table = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    quantized, scale = quantize_rows(table)
    assert (np.abs(quantized * scale[:, None] - table) <= scale[:, None] / 2 * 1.001).all()


def test_the_graph_computes_with_the_rounded_weights(loaded, exported_int8):
    rounded = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for parameter in (rounded.decoder.query, rounded.decoder.weight, rounded.get_input_embeddings().weight):
            quantized, scale = quantize_rows(parameter.numpy())
            parameter.copy_(torch.from_numpy(quantized * scale[:, None]))
        batch = encode_texts(loaded, TEXTS)
        found = load_onnx(exported_int8).model(**batch).logits
        assert (found - rounded(**batch).logits).abs().max() < 1e-4
        assert (found - loaded.model(**batch).logits).abs().max() > 1e-3  # and not with the others


def test_an_answer_does_not_depend_on_the_batch(loaded, exported_int8):
    session = load_onnx(exported_int8).model
    together = session(**encode_texts(loaded, TEXTS)).logits
    for row, text in enumerate(TEXTS):
        alone = session(**encode_texts(loaded, [text])).logits[0]
        assert (together[row] - alone).abs().max() < 1e-5


def test_label_tables_and_word_embedding_are_stored_in_a_byte_a_weight(exported, exported_int8):
    sizes = {}
    for folder in (exported, exported_int8):
        values = onnx_ir.load(folder / "model.onnx").graph.initializers.values()
        stored = [value for value in values if len(value.shape) == 2 or value.name.endswith(".scale")]
        sizes[folder.name] = sum(value.const_value.nbytes for value in stored)
    rows = 5 + 5 + 40
    assert sizes == {"float32": rows * 32 * 4, "int8": rows * (32 + 4)}


@pytest.mark.parametrize("row_counts", [{7}, {40}])
def test_only_the_tables_asked_for_are_stored_as_int8(row_counts, tmp_path):
    loaded = small_model(num_labels=7)
    program = traced(loaded.model)
    assert quantize_tables(program, row_counts) == {7: 2, 40: 1}[min(row_counts)]
    shapes = {
        tuple(value.shape) for value in program.graph.initializers.values() if value.dtype == onnx_ir.DataType.INT8
    }
    assert shapes == {(min(row_counts), 32)}
    onnx_ir.save(program, tmp_path / "model.onnx")
    session = OnnxClassifier(open_session(tmp_path / "model.onnx"), PlantConfig(num_labels=7))
    batch = encode_texts(loaded, TEXTS)
    with torch.no_grad():
        assert (session(**batch).logits - loaded.model(**batch).logits).abs().max() < 0.5
