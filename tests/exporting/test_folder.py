"""The exported folder: what is in it, and that it appears whole or not at all."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.errors import UserError
from hf_mlc.exporting import export_onnx, folder, load_onnx
from hf_mlc.exporting.graph import traced
from hf_mlc.inference import LoadedModel, encode_texts, predict_texts
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from tests.exporting.conftest import TEXTS, small_model


def test_the_folder_holds_graph_configuration_and_tokenizer_and_no_code(exported, exported_int8):
    for path in (exported, exported_int8):
        names = {file.name for file in path.iterdir()}
        assert names == {"model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json"}


def test_the_configuration_holds_labels_and_thresholds(loaded, exported):
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    assert list(config["id2label"].values()) == loaded.label_space.names
    assert config["thresholds"] == loaded.model.config.thresholds
    assert config["min_labels"] == 1
    assert "auto_map" not in config and "custom_pipelines" not in config


def test_exporting_changes_nothing_of_the_model(loaded, exported_int8):
    fresh = small_model()
    for name, tensor in fresh.model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])
    assert loaded.model.config._auto_class == type(loaded.model.config)._auto_class


def test_logits_that_differ_leave_nothing_behind(loaded, tmp_path, monkeypatch):
    other = copy.deepcopy(loaded.model)
    with torch.no_grad():
        other.decoder.bias[2] += 0.001
    monkeypatch.setattr(folder, "traced", lambda model, opset: traced(other, opset=opset))
    with pytest.raises(UserError, match=r"logits differ from the model's by 0.001; accepted: a difference of at most"):
        export_onnx(loaded, tmp_path / "deep" / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(loaded, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"is not empty \(it holds mine.txt\); accepted: a new or an empty folder"):
        export_onnx(loaded, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(loaded, tmp_path):
    report = export_onnx(loaded, tmp_path)
    assert (tmp_path / "model.onnx").stat().st_size == report.onnx_bytes
    assert report.torch_bytes == (5 * 32 + 5 * 32 + 5 + 40 * 32) * 4
    assert report.max_logit_difference < 1e-4


@pytest.mark.parametrize("int8", [False, True])
def test_weights_too_large_for_one_file_lie_beside_it(loaded, exported, exported_int8, tmp_path, monkeypatch, int8):
    # float32 tables of 6,400 bytes are too large, int8 tables of 1,800 are not
    monkeypatch.setattr(folder, "MAX_BYTES_INSIDE", 4000)
    export_onnx(loaded, tmp_path / "out", int8=int8)
    assert (tmp_path / "out" / "model.onnx.data").exists() is not int8
    batch = encode_texts(loaded, TEXTS)
    same = load_onnx(exported_int8 if int8 else exported).model(**batch).logits
    assert torch.equal(load_onnx(tmp_path / "out").model(**batch).logits, same)


def test_a_model_in_half_precision_is_exported_as_float32(loaded, tmp_path):
    half = LoadedModel(copy.deepcopy(loaded.model).to(torch.bfloat16), loaded.tokenizer, loaded.label_space)
    report = export_onnx(half, tmp_path / "out")
    assert report.max_logit_difference < 1e-4
    assert report.torch_bytes == sum(parameter.numel() * 2 for parameter in half.model.parameters())
    assert half.model.dtype == torch.bfloat16
    batch = encode_texts(loaded, TEXTS)
    with torch.no_grad():
        expected = copy.deepcopy(half.model).float()(**batch).logits
    assert (load_onnx(tmp_path / "out").model(**batch).logits - expected).abs().max() < 1e-4


def test_many_labels_keep_their_names_in_a_file_of_their_own(tmp_path):
    many = small_model(num_labels=20_001, hidden_size=4, label_space_file="labels.json")
    export_onnx(many, tmp_path / "out")
    assert (tmp_path / "out" / "labels.json").exists()
    again = load_onnx(tmp_path / "out")
    assert again.label_space.names == many.label_space.names
    assert len(again.predict(["w2 w3"], top_k=20_001)[0]) == 20_001


def test_an_export_is_not_exported_again(exported, tmp_path):
    with pytest.raises(UserError, match="is an export already"):
        export_onnx(load_onnx(exported), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def shortlisting(loaded, **settings) -> LoadedModel:
    """The same tokenizer and labels, before a LightDXML with an index of random vectors and lists of two labels."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "embed_dim": 8, "shortlist_size": 2, "id2label": loaded.model.config.id2label}
    model = LightDxmlForMultiLabelClassification(LightDxmlConfig(**sizes, **settings)).eval()
    model.set_index(torch.randn(5, 8))
    return LoadedModel(model, loaded.tokenizer, loaded.label_space)


def test_shortlists_are_refused_before_the_folder_appears_and_all_labels_are_not(loaded, tmp_path):
    with pytest.raises(UserError, match=r"scores a shortlist of each text.*train --scoring all") as refusal:
        export_onnx(shortlisting(loaded), tmp_path / "deep" / "out")
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())
    whole = shortlisting(loaded, scoring="all")
    export_onnx(whole, tmp_path / "out")
    texts = TEXTS[:1] + TEXTS[2:4]
    names = [[entry["label"] for entry in answer] for answer in load_onnx(tmp_path / "out").predict(texts, top_k=3)]
    assert names == [[entry["label"] for entry in answer] for answer in predict_texts(whole, texts, top_k=3)]


def test_logits_that_are_not_of_all_labels_are_refused(loaded, tmp_path, monkeypatch):
    forward = type(loaded.model).forward

    def without_the_last(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        output.logits = output.logits[:, :-1]
        return output

    monkeypatch.setattr(type(loaded.model), "forward", without_the_last)
    with pytest.raises(UserError, match="gives 4 logits a text; accepted: one of each of the 5 labels"):
        export_onnx(loaded, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_sets_of_a_parallel_model_are_answered_by_the_export_whatever_its_thresholds_are(loaded, tmp_path):
    torch.manual_seed(0)
    config = MsdnConfig(
        encoder="bag_of_words", vocab_size=40, hidden_size=8, variant="parallel", label_mask_rate=1.0,
        id2label=loaded.model.config.id2label, decision="sets", thresholds=[0.999] * 5,
    )  # fmt: skip
    model = MsdnForMultiLabelClassification(config).eval()
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)  # of 0 the logits of an empty text would lie on the edge itself
    sets = LoadedModel(model, loaded.tokenizer, loaded.label_space)
    export_onnx(sets, tmp_path / "out")
    again = load_onnx(tmp_path / "out")
    saved = again.model.config
    assert (saved.decision, saved.thresholds, again.model.decides_on_sets) == ("thresholds", 0.5, False)
    assert (config.decision, config.thresholds) == ("sets", [0.999] * 5)  # the model's own stays
    names = [[entry["label"] for entry in answer] for answer in again.predict(TEXTS)]
    assert names == [[entry["label"] for entry in answer] for answer in predict_texts(sets, TEXTS)] and any(names)
    # evaluate says which rule it was, of an export with the old configuration too
    (tmp_path / "test.jsonl").write_text('{"text": "w2 w3", "labels": ["label 1"]}\n', encoding="utf-8")
    file, written = tmp_path / "metrics.json", tmp_path / "out" / "config.json"
    for changes in ({}, {"decision": "sets", "thresholds": 0.75}):
        written.write_text(json.dumps(json.loads(written.read_text(encoding="utf-8")) | changes), encoding="utf-8")
        words = ["--model", str(tmp_path / "out"), "--dataset_name", str(tmp_path / "test.jsonl"), "--split", "train"]
        assert run(evaluate, [*words, "--output", str(file)]) == 0
        rule = {"thresholds": changes.get("thresholds", 0.5), "min_labels": 0, "tuned": True}
        assert json.loads(file.read_text(encoding="utf-8"))["decision"] == rule
