"""`--override`: the same weights answer by another search for one command."""

from __future__ import annotations

import json

import pytest

from hf_mlc.commands.answer_settings import override
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.errors import UserError
from tests.commands.conftest import read_jsonl
from tests.common.small_sgm import LABELS, TEXTS, small_sgm


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    loaded = small_sgm()
    folder = tmp_path_factory.mktemp("model")
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("rows") / "test.jsonl"
    file.write_text("".join(json.dumps({"text": text, "labels": LABELS[:2]}) + "\n" for text in TEXTS))
    return str(file)


def answers(model: str, rows: str, output, *words: str) -> list[list[str]]:
    assert run(predict, ["--model", model, "--input", rows, "--output", str(output), *words]) == 0
    return [sorted(entry["label"] for entry in row["labels"]) for row in read_jsonl(output)]


def test_predictions_follow_and_the_model_stays_what_it_was(model, rows, tmp_path):
    own = answers(model, rows, tmp_path / "own.jsonl")
    one = answers(model, rows, tmp_path / "one.jsonl", "--override", "min_labels=1", "max-labels=1")
    assert {len(labels) for labels in one} == {1} and min(len(labels) for labels in own) >= 2
    assert answers(model, rows, tmp_path / "again.jsonl") == own


def test_an_evaluation_says_what_was_overridden(model, rows, tmp_path):
    file = tmp_path / "metrics.json"
    arguments = ["--model", model, "--dataset_name", rows, "--output", str(file), "--deletion_documents", "0"]
    assert run(evaluate, [*arguments, "--override", "num_beams=1", "min_labels=4"]) == 0
    found = json.loads(file.read_text())
    assert found["decision"]["override"] == {"num_beams": 1, "min_labels": 4}
    assert found["metrics"]["recall_micro"] == 1.0  # all four labels
    assert run(evaluate, arguments) == 0
    assert "override" not in json.loads(file.read_text())["decision"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("num_beams", "field 'override': found 'num_beams'; accepted: NAME=VALUE of decision, scores, num_beams"),
        ("decoding=greedy", "field 'override': a model of the type 'sgm' has no 'decoding'"),
        ("hidden_size=3", "field 'override': a model of the type 'sgm' has no 'hidden_size'"),
        ("num_beams=many", "field 'num_beams': found 'many'; accepted: INT"),
        ("decision=best", "field 'decision': found 'best'; accepted: {sequence,expected_f1,thresholds}"),
        ("min_labels=9", "`min_labels` must be at most the 4 labels, found 9"),
    ],
)
def test_what_can_not_be_overridden_is_one_line(model, rows, tmp_path, capsys, word, message):
    output = tmp_path / "out.jsonl"
    assert run(predict, ["--model", model, "--input", rows, "--output", str(output), "--override", word]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1] and not output.exists()


def test_a_graph_answers_as_it_was_exported():
    class Graph:
        config = small_sgm().model.config

    with pytest.raises(UserError, match="given with a graph, whose answers are fixed"):
        override(type("Loaded", (), {"model": Graph()})(), ["num_beams=1"])
