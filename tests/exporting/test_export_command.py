"""`export` from the command line, and the other commands on what it wrote."""

from __future__ import annotations

import json
import sys

import pytest

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.export import main as export
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from tests.exporting.conftest import TEXTS


@pytest.fixture(scope="module")
def saved(loaded, tmp_path_factory):
    """The folder that a training run would leave."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def _predicted(model, tmp_path, *arguments):
    rows = [json.dumps({"id": place, "text": text}) for place, text in enumerate(TEXTS) if text]
    (tmp_path / "in.jsonl").write_text("\n".join(rows), encoding="utf-8")
    output = tmp_path / "out.jsonl"
    assert run(predict, ["--model", str(model), "--input", str(tmp_path / "in.jsonl"), "--output", str(output)]) == 0
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_a_model_is_exported_and_predicts_the_same(saved, tmp_path, capsys):
    assert run(export, ["--model", str(saved), "--output", str(tmp_path / "onnx")]) == 0
    said = capsys.readouterr().err
    assert "ONNX" in said and "MB, float32" in said and "logits differ by" in said
    found, expected = _predicted(tmp_path / "onnx", tmp_path), _predicted(saved, tmp_path)
    for row, other in zip(found, expected, strict=True):
        assert row["id"] == other["id"]
        assert [entry["label"] for entry in row["labels"]] == [entry["label"] for entry in other["labels"]]


def test_evaluate_gives_the_same_metrics_and_says_that_they_are_of_another_file(saved, exported, tmp_path):
    rows = [{"text": text, "labels": ["label 1", f"label {place % 5}"]} for place, text in enumerate(TEXTS)]
    data = tmp_path / "test.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = []
    for model in (saved, exported):
        words = ["--model", str(model), "--dataset_name", str(tmp_path), "--output", str(tmp_path / "metrics")]
        assert run(evaluate, words) == 0
        found.append(json.loads((tmp_path / "metrics").read_text(encoding="utf-8")))
    ours, onnx = found
    assert onnx["metrics"] == pytest.approx(ours["metrics"]) and 0 < ours["metrics"]["f1_micro"] < 1
    # so that a card of the torch model doesn't take the metrics of its int8 tables for its own
    assert onnx["weights"].startswith("sha256:") and onnx["weights"] != ours["weights"]


def test_explanations_ask_for_the_torch_model(exported, tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "w2"}), encoding="utf-8")
    assert run(predict, ["--model", str(exported), "--input", str(tmp_path / "in.jsonl"), "--explain"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "is an export to ONNX; accepted: the model that it was made from" in said


def test_int8_tables_are_said(saved, tmp_path, capsys):
    assert run(export, ["--model", str(saved), "--output", str(tmp_path / "onnx"), "--int8", "--opset", "21"]) == 0
    assert "MB, 3 int8 tables" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--opset", "7"], "field 'opset': found 7"),
        (["--model", "no/such/folder"], "no such folder"),
        (["--output", "{saved}"], "is not empty"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(saved, tmp_path, capsys, arguments, line):
    arguments = [argument.format(saved=saved) for argument in arguments]
    before = sorted(file.name for file in saved.iterdir())
    assert run(export, ["--model", str(saved), "--output", str(tmp_path / "onnx"), *arguments]) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if "error" in text]
    assert line in said
    assert not list(tmp_path.iterdir()) and sorted(file.name for file in saved.iterdir()) == before


def test_without_the_extra_nothing_is_loaded(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(export, ["--model", str(saved), "--output", str(tmp_path / "onnx")]) == 2
    assert "onnxscript is not installed; accepted: pip install hf_mlc[onnx]" in capsys.readouterr().err
