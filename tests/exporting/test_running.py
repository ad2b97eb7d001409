"""An export answers as the torch model does, and says what is wrong with a folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.exporting import load_onnx, running
from hf_mlc.inference import encode_texts, load_model, predict_texts, score_texts
from tests.exporting.conftest import TEXTS


PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    """An export that a test may spoil."""
    return Path(shutil.copytree(exported, tmp_path / "copied"))


def _same(answers, expected):
    assert [[entry["label"] for entry in answer] for answer in answers] == [
        [entry["label"] for entry in answer] for answer in expected
    ]
    for answer, wanted in zip(answers, expected, strict=True):
        for entry, other in zip(answer, wanted, strict=True):
            assert entry["score"] == pytest.approx(other["score"], abs=2e-6)


@pytest.mark.parametrize(
    "rule",
    [{}, {"top_k": 2}, {"top_k": 99}, {"threshold": 0.5}, {"threshold": 0.9999}, {"threshold": 0.2, "top_k": 3}],
)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_answers_are_those_of_the_torch_model(loaded, exported, rule, batch_size):
    expected = list(predict_texts(loaded, TEXTS, **rule))
    assert len({tuple(entry["label"] for entry in answer) for answer in expected}) > 1 or rule["threshold"] > 0.9
    _same(load_onnx(exported, num_threads=1).predict(TEXTS, **rule, batch_size=batch_size), expected)


def test_the_tuned_rule_gives_every_document_a_label(exported):
    assert all(load_onnx(exported).predict(TEXTS))  # min_labels is 1
    assert load_onnx(exported).predict(TEXTS, threshold=1.0) == [[]] * len(TEXTS)


def test_load_model_opens_an_export_where_scores_are_enough(loaded, exported):
    with pytest.raises(UserError, match="is an export to ONNX; accepted: the model that it was made from"):
        load_model(str(exported))
    opened = load_model(str(exported), allow_onnx=True)
    assert isinstance(opened, running.OnnxModel)
    assert (score_texts(opened, TEXTS) - score_texts(loaded, TEXTS)).abs().max() < 1e-6


def test_weights_of_torch_come_first_where_a_folder_has_both(loaded, copied):
    loaded.model.save_pretrained(copied)
    assert not isinstance(load_model(str(copied), allow_onnx=True), running.OnnxModel)


def test_documents_that_do_not_fit_together_are_run_one_after_another(loaded, exported, monkeypatch):
    session = load_onnx(exported).model
    batch = encode_texts(loaded, TEXTS)
    together = session(**batch).logits
    monkeypatch.setattr(running, "MAX_ATTENTION_CELLS", 5 * 8 * 2)  # labels x tokens x 2 documents
    runs = []
    run = session.session.run
    session.session = type(
        "Counted", (), {"run": lambda self, names, feed: runs.append(len(feed["input_ids"])) or run(names, feed)}
    )()
    assert (session(**batch).logits - together).abs().max() < 1e-5
    assert runs == [2, 2, 2]


def test_explanations_are_refused_in_one_line(exported):
    with pytest.raises(UserError, match="doesn't tell from which tokens"):
        list(predict_texts(load_onnx(exported), TEXTS, explain=5))


def test_a_graph_that_is_cut_short_is_refused_in_one_line(copied):
    graph = copied / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"model.onnx, field 'model': onnxruntime can't open it"):
        load_onnx(copied)


def test_a_configuration_of_other_labels_is_refused(copied):
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config.update(id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}, thresholds=0.5)
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"to \[5\] logits, and 2 labels in config.json"):
        load_onnx(copied)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("model.onnx", "there is no model.onnx"),
        ("config.json", "no readable config.json"),
        ("tokenizer.json", "no token"),
    ],
)
def test_a_missing_file_is_named(copied, missing, reason):
    (copied / missing).unlink()
    with pytest.raises(UserError, match=reason):
        load_onnx(copied)


def test_a_device_that_is_not_there_is_refused(exported):
    with pytest.raises(UserError, match=r"field 'providers': found Abacus; accepted: .*CPUExecutionProvider"):
        load_onnx(exported, providers=["Abacus"])


def test_without_onnxruntime_one_line_names_the_extra(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime is not installed; accepted: pip install hf_mlc\[onnx\]"):
        load_onnx(exported)


def test_the_snippet_of_the_page_gives_the_same_answers_without_torch_and_this_package(loaded, exported, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (snippet,) = [block for block in blocks if "from tokenizers import" in block]
    texts = [text for text in TEXTS if text]
    program = [
        "import sys",
        "class Absent:",
        "    def find_spec(self, name, path=None, target=None):",
        "        if name.partition('.')[0] in ('torch', 'transformers', 'hf_mlc'):",
        "            raise ModuleNotFoundError(name)",
        "sys.meta_path.insert(0, Absent())",
        snippet.replace('"plant-onnx"', repr(str(exported))).replace('["chest pain and fever"]', repr(texts)),
        "print(json.dumps(answers))",
    ]
    (tmp_path / "program.py").write_text("\n".join(program), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-I", "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    expected = [{entry["label"] for entry in answer} for answer in predict_texts(loaded, texts)]
    assert [set(answer) for answer in json.loads(result.stdout)] == expected
    scores = dict(entry for answer in json.loads(result.stdout) for entry in answer.items())
    assert all(0 <= score <= 1 for score in scores.values()) and torch.tensor(list(scores.values())).std() > 0
