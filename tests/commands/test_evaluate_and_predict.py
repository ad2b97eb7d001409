from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from hf_mlc.cli import main as cli
from hf_mlc.commands import predict as predict_command
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.inference import load_model, predict_texts, score_texts
from tests.commands.conftest import read_jsonl


def test_evaluate_repeats_the_test_metrics_that_training_wrote(corpus, trained, tmp_path):
    output = tmp_path / "metrics.json"
    arguments = ["--model", str(trained), "--dataset_name", str(corpus), "--split", "test", "--output", str(output)]
    assert run(evaluate, arguments) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    expected = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    for name, value in found["metrics"].items():
        assert value == pytest.approx(expected["test"][name], abs=1e-6), name
    assert found["documents"] == 40
    assert found["fingerprint"] == expected["data"]["fingerprints"]["test"]


def test_a_label_the_model_does_not_know_is_counted_and_skipped(trained, tmp_path):
    file, output = tmp_path / "test.jsonl", tmp_path / "metrics.json"
    rows = [{"text": "hypertension", "labels": ["I10", "Z99.9"]}, {"text": "cough", "labels": ["Z98.7"]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(evaluate, ["--model", str(trained), "--dataset_name", str(file), "--output", str(output)]) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["unknown_labels_skipped"] == 2


def test_predict_answers_every_row_in_order(corpus, trained, tmp_path):
    output = tmp_path / "out.jsonl"
    arguments = ["--model", str(trained), "--input", str(corpus / "test.jsonl"), "--output", str(output)]
    assert run(predict, [*arguments, "--top_k", "3", "--pool_size", "7"]) == 0
    rows, answers = read_jsonl(corpus / "test.jsonl"), read_jsonl(output)
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    loaded = load_model(str(trained))
    for row, answer in zip(rows, answers, strict=True):
        assert len(answer["labels"]) == 3
        scores = [item["score"] for item in answer["labels"]]
        assert scores == sorted(scores, reverse=True)
        alone = next(predict_texts(loaded, [row["text"]], top_k=3))
        assert [item["label"] for item in alone] == [item["label"] for item in answer["labels"]]


def test_thresholds_at_call_time_override_the_tuned_ones(trained):
    loaded = load_model(str(trained))
    everything = next(predict_texts(loaded, ["hypertension"], threshold=0.0))
    assert len(everything) == len(loaded.label_space)
    assert next(predict_texts(loaded, ["hypertension"], threshold=1.0)) == []
    assert len(next(predict_texts(loaded, ["hypertension"], threshold=0.0, top_k=2))) == 2
    tuned = [item["label"] for item in next(predict_texts(loaded, ["hypertension"]))]
    scores = score_texts(loaded, ["hypertension"])
    chosen = loaded.model.decide(scores)[0].nonzero().flatten().tolist()
    assert sorted(tuned) == sorted(loaded.label_space.names[i] for i in chosen)


def test_an_empty_text_is_answered_with_the_base_rates(trained):
    loaded = load_model(str(trained))
    empty, blank = score_texts(loaded, ["", " \n "])
    expected = loaded.model.decoder.bias.detach().sigmoid()
    assert (empty - expected).abs().max() < 1e-6 and (blank - expected).abs().max() < 1e-6


def test_predict_reads_standard_input_and_answers_line_by_line(trained, monkeypatch, capsys):
    lines = '{"text": "hypertension"}\n\n{"id": "b", "text": "cough and fever"}\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert run(predict, ["--model", str(trained), "--top_k", "1"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "b"]
    assert all(len(answer["labels"]) == 1 for answer in answers)


def test_a_line_that_is_typed_is_answered_before_the_next_one_comes(trained):
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_mlc.cli", "predict", "--model", str(trained), "--top_k", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for name in ("first", "second"):
        process.stdin.write(json.dumps({"id": name, "text": "shortness of breath"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == name  # standard input is still open here
    process.stdin.close()
    assert process.wait() == 0


def test_an_output_file_appears_whole_or_not_at_all(trained, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "fine"}\n{"txt": "broken"}\n', encoding="utf-8")
    output.write_text("what was here before\n", encoding="utf-8")
    arguments = ["--model", str(trained), "--input", str(source), "--output", str(output), "--pool_size", "1"]
    assert run(predict, arguments) == 2
    assert output.read_text(encoding="utf-8") == "what was here before\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_the_console_command_knows_its_verbs(trained, tmp_path, capsys):
    assert cli(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hf-mlc ")
    assert cli(["fly"]) == 2
    assert "accepted: train, evaluate, predict" in capsys.readouterr().err
    assert cli(["--help"]) == 0
    assert "evaluate" in capsys.readouterr().out
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\n', encoding="utf-8")
    assert cli(["predict", "--model", str(trained), "--input", str(source)]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "1"


def test_help_names_every_argument(capsys):
    with pytest.raises(SystemExit) as leaving:
        predict_command.main(["--help"])
    assert leaving.value.code == 0
    assert "--threshold" in capsys.readouterr().out
