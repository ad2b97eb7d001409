"""Exported graphs give the numbers of the torch model, whatever the batch looks like."""

from __future__ import annotations

import logging
import re
import sys

import onnx_ir
import pytest
import torch
from torch import nn

from hf_mlc.errors import UserError
from hf_mlc.exporting.graph import check_installed, check_opset, traced
from hf_mlc.exporting.running import OnnxClassifier, open_session
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.text_encoder import BagOfWordsEncoder
from tests.common.plant_tester import PlantModelTester
from tests.exporting.conftest import small_model, spread_out


ENCODERS = {
    "bag_of_words": {},
    "convolution": {"document_context": True},
    "gru": {},
    "lstm": {},
    "awd_lstm": {},
    "transformer": {},
}
PLANTED = {
    "planted": {"mutual_information_topk": 2, "ranked_topk": 3},
    "planted-window": {"window": 4, "attention_mix": "learned", "planted_readout": 2.0, "ranked_topk": 20},
    "planted-shortlist": {"planted_readout": 1.0, "readout_source": "linear_svm", "shortlist_size": 3},
    "planted-expected": {"ranked_tokens": "expected", "ranked_topk": 3},
}


def _tester(name: str) -> PlantModelTester:
    encoder = "awd_lstm" if name == "planted-expected" else "bag_of_words"
    return (
        PlantModelTester(encoder=encoder, planted=PLANTED[name]) if name in PLANTED else PlantModelTester(encoder=name)
    )


@pytest.fixture(scope="module", params=[*ENCODERS, *PLANTED])
def pair(request, tmp_path_factory):
    """A tester, its torch model and that model's graph in a session."""
    tester = _tester(request.param)
    torch.manual_seed(0)
    model = tester.model_class(tester.get_config(embedding_std=1.0, **ENCODERS.get(request.param, {}))).eval()
    tester.prepare(model)
    spread_out(model)
    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx_ir.save(traced(model), file)
    return tester, model, OnnxClassifier(open_session(file, num_threads=1), model.config)


def _largest_difference(pair, documents, **padding) -> float:
    tester, model, session = pair
    batch = tester.collate(documents, **padding)
    with torch.no_grad():
        expected = model(**batch).logits
    assert expected.std() > 0.1
    found = session(**batch).logits
    assert found.shape == expected.shape
    return (found - expected).abs().max().item()


@pytest.mark.parametrize("padding", PlantModelTester.paddings)
@pytest.mark.parametrize("extra", [0, 1, 12])
def test_padding_in_any_place_gives_the_numbers_of_torch(pair, padding, extra):
    assert _largest_difference(pair, pair[0].documents(4), padding=padding, extra=extra) < 1e-4


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30, 64])
def test_one_document_of_any_length_gives_the_numbers_of_torch(pair, length):
    document = tuple(range(2, 34)) * 2
    assert _largest_difference(pair, [document[:length]]) < 1e-4


@pytest.mark.parametrize("rows", [1, 2, 3, 33])
def test_a_batch_of_any_size_gives_the_numbers_of_torch(pair, rows):
    assert _largest_difference(pair, pair[0].documents(rows)) < 1e-4


@pytest.mark.parametrize("documents", [[()], [(), ()], [(5, 6, 7), ()], [(), (5,), (8, 9, 3, 4)]])
@pytest.mark.parametrize("extra", [0, 5])
def test_empty_documents_give_the_numbers_of_torch(pair, documents, extra):
    assert _largest_difference(pair, documents, extra=extra) < 1e-4


def test_an_empty_document_gets_the_output_bias(pair):
    tester, model, session = pair
    logits = session(**tester.collate([()])).logits
    assert torch.allclose(logits[0], model.decoder.bias, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"window": 4, "stateful": True}, "before its window (`stateful`) can't be exported"),
        ({"compat": "xcube"}, "`compat='xcube'` is for comparisons and can't be exported"),
    ],
)
def test_what_no_graph_can_hold_is_refused_in_one_line(fields, reason):
    tester = PlantModelTester(encoder="bag_of_words", planted=fields)
    with pytest.raises(UserError) as refusal:
        traced(tester.model_class(tester.get_config()).eval())
    assert reason in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("min_labels", [0, 1])
def test_guesses_refined_together_are_exported_whatever_the_smallest_set_is(min_labels, tmp_path):
    settings = {"variant": "parallel", "label_mask_rate": 1.0, "min_labels": min_labels}
    config = MsdnConfig(encoder="bag_of_words", vocab_size=20, hidden_size=8, num_labels=4, **settings)
    torch.manual_seed(0)
    model = MsdnForMultiLabelClassification(config).eval()
    torch.nn.init.normal_(model.relations.output.weight)  # they start where they do nothing
    onnx_ir.save(traced(model), tmp_path / "model.onnx")
    session = OnnxClassifier(open_session(tmp_path / "model.onnx", num_threads=1), config)
    batch = {"input_ids": torch.tensor([[4, 5, 6], [7, 0, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}
    with torch.no_grad():
        expected = model(**batch).logits
    torch.testing.assert_close(session(**batch).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_the_exporter_keeps_its_advice_to_itself(encoder, caplog, capfd, recwarn):
    tester = PlantModelTester(encoder=encoder)
    traced(tester.model_class(tester.get_config(num_hidden_layers=1)).eval())
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert tuple(capfd.readouterr()) == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


def test_an_older_version_of_the_operators_can_be_written(loaded, tmp_path):
    program = traced(loaded.model, opset=18)
    assert program.opset_imports[""] == 18
    onnx_ir.save(program, tmp_path / "model.onnx")
    session = OnnxClassifier(open_session(tmp_path / "model.onnx"), loaded.model.config)
    batch = {"input_ids": torch.tensor([[2, 3, 4]]), "attention_mask": torch.tensor([[1, 1, 0]])}
    with torch.no_grad():
        assert torch.allclose(session(**batch).logits, loaded.model(**batch).logits, atol=1e-4)


@pytest.mark.parametrize("opset", [0, 17, 1000])
def test_a_version_of_the_operators_that_cannot_be_written_is_refused(opset):
    with pytest.raises(UserError, match=rf"opset.*{opset}.*accepted: 18 to \d+"):
        check_opset(opset)


def test_a_forward_that_looks_at_its_values_is_refused_in_one_line(monkeypatch):
    def encode(self, embedded_BTE, mask_BT):
        return [embedded_BTE * (2 if mask_BT.sum() > 3 else 1)]

    monkeypatch.setattr(BagOfWordsEncoder, "encode", encode)
    forward = nn.GRU.forward
    with pytest.raises(UserError, match="its forward can't be exported to ONNX") as refusal:
        traced(small_model().model)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500
    assert nn.GRU.forward is forward


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_one_line_names_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed; accepted: pip install hf_mlc\[onnx\]"):
        check_installed()


@pytest.mark.parametrize(
    ("version", "enough"), [("2.6.0+cpu", False), ("2.7.1", False), ("2.8.0", True), ("2.13.0+cpu", True)]
)
def test_a_torch_without_the_operators_is_one_line(version, enough, monkeypatch):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion(version))
    if enough:
        return check_installed()
    with pytest.raises(
        UserError, match=rf"exporting needs torch 2.8, found {re.escape(version)}; accepted: pip install"
    ):
        check_installed()
