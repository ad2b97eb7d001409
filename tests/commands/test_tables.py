"""Tables through the commands: a CSV with named columns, to a model, its measures and its predictions."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model, score_texts
from tests.commands.conftest import QUIET, read_jsonl


HEADER = ["id", "age", "income", "work", "smoker", "retired", "poor"]
FEATURES = ["age", "income", "work", "smoker"]


def write_rows(file: Path, number: int, *, seed: int, change: dict[int, dict[str, str]] | None = None) -> Path:
    """Rows in which age and work say who is retired, and income who is poor."""
    draw = random.Random(seed)
    rows = []
    for place in range(number):
        age, work, income = draw.randint(20, 90), draw.choice(["private", "public"]), round(draw.lognormvariate(10, 1))
        row = dict(
            zip(HEADER, [f"r{place}", age, income, work, draw.randint(0, 1), 0, int(income < 20_000)], strict=True)
        )
        row["retired"] = int(age > (65 if work == "private" else 60))
        row["age"] = "" if draw.random() < 0.1 else age
        rows.append({**row, **(change or {}).get(place, {})})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    write_rows(folder / "train.csv", 160, seed=0)
    write_rows(folder / "validation.csv", 40, seed=1)
    write_rows(folder / "test.csv", 40, seed=2, change={3: {"work": "moon"}})
    return folder


ARGUMENTS = ["--model_type", "msdn", "--hidden_size", "32", "--learning_rate", "0.02", "--num_train_epochs", "4"]
LABELS = ["--label_columns", "retired", "poor"]


@pytest.fixture(scope="module")
def trained_table(table, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained-table") / "model"
    data = ["--dataset_name", str(table), "--feature_columns", "*", *LABELS, "--output_dir", str(folder)]
    assert run(train, [*ARGUMENTS, *data, *QUIET, "--do_predict", "true"]) == 0
    return folder


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_a_trained_folder_holds_what_its_rows_are_read_through(trained_table):
    loaded = load_model(str(trained_table))
    extractor = loaded.processor
    assert extractor.feature_names == FEATURES and extractor.named_columns
    assert extractor.kinds == ["numeric", "numeric", "category", "numeric"]
    assert extractor.missing == ["age"] and extractor.categories == {"work": ["private", "public"]}
    assert loaded.model.config.input_size == extractor.input_size == 6
    assert loaded.model.config.numeric_size == 3
    assert loaded.label_space.names == ["retired", "poor"]  # the order of --label_columns
    assert loaded.tokenizer is None and loaded.kind.name == "table"


def test_means_are_those_of_the_training_rows_alone(table, trained_table):
    ages = [float(row["age"]) for row in csv.DictReader((table / "train.csv").open()) if row["age"]]
    assert load_model(str(trained_table)).processor.means[0] == pytest.approx(sum(ages) / len(ages))


def test_it_learns_something(trained_table):
    assert results_of(trained_table)["test"]["f1_micro"] > 0.6


def test_evaluate_measures_what_train_measured_and_says_what_was_unseen(table, trained_table, tmp_path, capsys):
    arguments = ["--model", str(trained_table), "--dataset_name", str(table)]  # the model knows its label columns
    assert run(evaluate, [*arguments, "--output", str(tmp_path / "m.json")]) == 0
    measured = json.loads((tmp_path / "m.json").read_text())
    for name in ("f1_micro", "subset_accuracy", "hamming_loss"):
        assert measured["metrics"][name] == pytest.approx(results_of(trained_table)["test"][name], abs=1e-6)
    assert measured["fingerprint"] == results_of(trained_table)["data"]["fingerprints"]["test"]
    assert "1 values that training didn't have count as none (work: 1)" in capsys.readouterr().err


def test_predict_reads_the_columns_it_was_trained_with(table, trained_table, tmp_path):
    output = tmp_path / "out.jsonl"
    arguments = ["--model", str(trained_table), "--input", str(table / "test.csv"), "--output", str(output)]
    assert run(predict, [*arguments, "--top_k", "2", "--pool_size", "7"]) == 0
    answers = read_jsonl(output)
    assert [answer["id"] for answer in answers] == [f"r{i}" for i in range(40)]
    loaded = load_model(str(trained_table))
    rows = [{name: row[name] for name in FEATURES} for row in csv.DictReader((table / "test.csv").open())]
    for answer, scores in zip(answers, score_texts(loaded, rows).tolist(), strict=True):
        expected = dict(zip(["retired", "poor"], scores, strict=True))
        assert {entry["label"]: entry["score"] for entry in answer["labels"]} == pytest.approx(expected, abs=1e-5)


def test_predict_takes_json_lines_in_which_the_features_are_an_object(trained_table, tmp_path):
    row = {"age": 70, "income": 100_000, "work": "public", "smoker": 0}
    (tmp_path / "plain.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "nested.jsonl").write_text(json.dumps({"person": row}) + "\n")
    outputs = []
    for name, more in (("plain", []), ("nested", ["--features_column", "person"])):
        outputs.append(tmp_path / f"{name}.out")
        files = ["--input", str(tmp_path / f"{name}.jsonl"), "--output", str(outputs[-1])]
        assert run(predict, ["--model", str(trained_table), *files, "--top_k", "2", *more]) == 0
    assert read_jsonl(outputs[0]) == read_jsonl(outputs[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income": "lots"}, "row r8, field 'income': found 'lots' in a column of numbers; accepted: a number;"),
        (
            {"income": ""},
            "row r8, field 'income': the value is missing; accepted: a value, since none is missing in training",
        ),
        ({"smoker": "inf"}, "row r8, field 'smoker': found an infinite number"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_line_with_file_row_and_field(
    trained_table, tmp_path, capsys, change, message
):
    file = write_rows(tmp_path / "new.csv", 10, seed=3, change={8: change})
    assert run(predict, ["--model", str(trained_table), "--input", str(file), "--pool_size", "4"]) == 2
    assert f"hf-mlc: error: {file}, {message}" in capsys.readouterr().err
    output = tmp_path / "m.json"
    arguments = ["--model", str(trained_table), "--dataset_name", str(file), "--split", "train", *LABELS]
    assert run(evaluate, [*arguments, "--output", str(output)]) == 2
    assert f"{file}[train], {message}" in capsys.readouterr().err and not output.exists()


def test_a_missing_column_is_one_line(table, trained_table, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("age,income\n1,2\n")
    assert run(predict, ["--model", str(trained_table), "--input", str(tmp_path / "new.csv")]) == 2
    assert "new.csv, row 1, field 'work': no such column; found: 'age', 'income'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (5, {"retired": "2"}, "train.csv, row 6, field 'retired': the label is a string: 2; accepted: 0 or 1"),
        (5, {"income": "n/a"}, "train.csv, row r5, field 'income': found 'n/a' in a feature with 29 numbers"),
        (5, {"income": "inf"}, "train.csv, row r5, field 'income': found an infinite number"),
    ],
)
def test_training_rows_that_cannot_be_read_are_one_line_and_nothing_is_written(
    tmp_path, capsys, place, change, message
):
    write_rows(tmp_path / "train.csv", 30, seed=4, change={place: change})
    write_rows(tmp_path / "validation.csv", 10, seed=5)
    data = ["--dataset_name", str(tmp_path), "--feature_columns", *FEATURES, *LABELS]
    assert run(train, [*ARGUMENTS, *data, *QUIET, "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hf-mlc: error: ") and message in error
    assert not (tmp_path / "out").exists()


def test_positions_categories_and_a_feature_file(tmp_path):
    draw = random.Random(0)
    rows = [{"features": [draw.random(), draw.choice("345")], "labels": ["a"] * (place % 2)} for place in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "features.json").write_text(json.dumps({"feature_names": ["size", "gear"]}))
    data = ["--dataset_name", str(tmp_path), "--category_columns", "gear", "--output_dir", str(tmp_path / "out")]
    assert run(train, [*ARGUMENTS, *data, *QUIET, "--numeric_embedding", "piecewise_linear"]) == 0
    loaded = load_model(str(tmp_path / "out"))
    assert loaded.processor.feature_names == ["size", "gear"]
    assert loaded.processor.categories == {"gear": ["3", "4", "5"]}
    assert results_of(tmp_path / "out")["numeric_bins"]["columns"] == 1


def test_rows_typed_one_by_one_are_answered(trained_table, monkeypatch, capsys, tmp_path):
    row = json.dumps({"age": None, "income": 30_000, "work": "private", "smoker": 1})
    stdin = tmp_path / "stdin"
    stdin.write_text(f"{row}\n{row}\n")
    with stdin.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(predict, ["--model", str(trained_table), "--top_k", "1"]) == 0
    answers = [json.loads(line) for line in io.StringIO(capsys.readouterr().out)]
    assert [answer["id"] for answer in answers] == ["1", "2"]
    assert answers[0]["labels"] == answers[1]["labels"] and len(answers[0]["labels"]) == 1
