"""Tables that are not what they look like: numbers that are names, columns that come and go, rows that nobody can read."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.prepare_arff import main as prepare_arff
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model, score_texts
from tests.commands.conftest import QUIET, read_jsonl


ARGUMENTS = ["--model_type", "msdn", "--hidden_size", "8", "--num_train_epochs", "1", *QUIET]
LABELS = ["--label_columns", "A", "B"]
# seven spellings; as numbers they would be four
CODES = ["01234", "1234", "00077", "1E5", "100000", "1.50", "1.5"]


def write_table(file: Path, number: int, *, extra: dict | None = None, change: dict | None = None, **columns) -> Path:
    """Rows of `zip`, `age` and two labels, and of further columns; `change` puts other values into single rows."""
    draw = random.Random(file.name)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["zip", "age", *columns, *(extra or {}), "A", "B"])
        writer.writeheader()
        for place in range(number):
            code = CODES[place % len(CODES)]
            row = {"zip": code, "age": draw.randint(18, 90), "A": int(code in CODES[:2]), "B": draw.randint(0, 1)}
            row |= {name: values(place) for name, values in columns.items()}
            writer.writerow({**row, **(extra or {}), **(change or {}).get(place, {})})
    return file


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_table(folder / "train.csv", 70)
    write_table(folder / "validation.csv", 14)
    write_table(folder / "test.csv", 14)
    return folder


def train_on(folder: Path, *arguments: str) -> int:
    return run(train, [*ARGUMENTS, "--output_dir", str(folder.parent / "out"), *arguments])


def last_error(capsys) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("declared", ["argument", "feature file"])
def test_categories_that_look_like_numbers_are_the_same_in_training_evaluation_and_prediction(
    data, declared, capsys, tmp_path
):
    more = ["--category_columns", "zip"]
    if declared == "feature file":
        more = []
        types = {"feature_names": ["zip", "age"], "feature_types": ["category", "num"]}
        (data / "features.json").write_text(json.dumps(types))
    columns = ["--feature_columns", "zip", "age", *LABELS]
    assert train_on(data, "--dataset_name", str(data), *columns, *more, "--do_predict", "true") == 0
    model = str(tmp_path / "out")
    extractor = load_model(model).processor
    assert sorted(extractor.categories["zip"]) == sorted(CODES)
    measured = json.loads((tmp_path / "out" / "results.json").read_text())["test"]
    assert run(evaluate, ["--model", model, "--dataset_name", str(data), "--output", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["metrics"]["f1_micro"] == pytest.approx(measured["f1_micro"])
    assert run(predict, ["--model", model, "--input", str(data / "test.csv"), "--output", str(tmp_path / "p")]) == 0
    assert "training didn't have" not in capsys.readouterr().err


def test_a_column_that_only_the_test_file_has_is_passed_over(data, tmp_path):
    write_table(data / "test.csv", 14, extra={"note": "later"})
    assert train_on(data, "--dataset_name", str(data), "--feature_columns", "*", *LABELS, "--do_predict", "true") == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["test"]
    arguments = ["--model", str(tmp_path / "out"), "--dataset_name", str(data), "--feature_columns", "*"]
    assert run(evaluate, arguments) == 0


def test_a_run_that_stops_at_the_test_split_goes_on_once_it_is_mended(data, tmp_path, capsys):
    write_table(data / "test.csv", 14, change={5: {"age": "old"}})
    arguments = ["--dataset_name", str(data), "--feature_columns", "*", *LABELS, "--do_predict", "true"]
    assert train_on(data, *arguments) == 2
    error = last_error(capsys)
    assert error.startswith(f"hf-mlc: error: {data}/test.csv, row 6, field 'age': found 'old' in a column of numbers")
    assert not (tmp_path / "out" / "results.json").exists()
    write_table(data / "test.csv", 14)
    assert train_on(data, *arguments) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["training"]["resumed"] and results["test"]["f1_micro"] >= 0
    assert load_model(str(tmp_path / "out")).processor.feature_names == ["zip", "age"]


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (60, "'old' in a feature with 62 numbers"),
        (59, "'old' in a column of numbers"),
        (7, "'old' in a column of numbers"),
    ],
)
def test_a_bad_training_row_is_named_by_its_number_in_the_file_wherever_validation_was_set_aside(
    tmp_path, capsys, number, found
):
    file = write_table(tmp_path / "train.csv", 70, change={number - 1: {"age": "old"}})
    assert train_on(file, "--train_file", str(file), "--feature_columns", "*", *LABELS) == 2
    # row 60 is one that is fitted on; rows 7 and 59 were set aside, and are only encoded
    assert last_error(capsys).startswith(f"hf-mlc: error: {file}, row {number}, field 'age': found {found}")


ARFF = (
    "@relation r\n@attribute size numeric\n@attribute rare {0,1}\n@attribute hot {0,1}\n@attribute cold {0,1}\n@data\n"
)
XML = '<labels><label name="hot"/><label name="rare"/><label name="cold"/></labels>'


@pytest.mark.parametrize("named", ["--dataset_name", "--train_file"])
def test_prepared_arff_keeps_its_labels_their_order_and_its_features(tmp_path, named):
    rows = "".join(f"{i % 9},0,{i % 2},{i % 3 == 0:d}\n" for i in range(40))
    (tmp_path / "a.arff").write_text(ARFF + rows)
    (tmp_path / "a.xml").write_text(XML)
    files = ["--arff", str(tmp_path / "a.arff"), "--xml", str(tmp_path / "a.xml")]
    assert run(prepare_arff, [*files, "--output_dir", str(tmp_path / "d")]) == 0
    prepared = tmp_path / "d" / "data"
    assert set(json.loads((prepared / "features.json").read_text())) == {"feature_names", "feature_types"}
    place = prepared if named == "--dataset_name" else prepared / "train.jsonl.gz"
    assert train_on(tmp_path / "d", named, str(place)) == 0
    loaded = load_model(str(tmp_path / "out"))
    assert loaded.label_space.names == ["hot", "rare", "cold"]  # "rare" stands in no row
    assert loaded.processor.feature_names == ["size"]


@pytest.mark.parametrize(
    ("name", "value"), [("missing_values", "mean"), ("category_columns", "zip"), ("max_categories", "5")]
)
def test_a_trained_model_keeps_what_its_rows_are_read_through(data, tmp_path, capsys, name, value):
    columns = ["--dataset_name", str(data), "--feature_columns", "zip", "age", *LABELS]
    assert train_on(data, *columns) == 0
    on = ["--model_name_or_path", str(tmp_path / "out"), "--output_dir", str(tmp_path / "on"), *QUIET]
    assert run(train, [*on, *columns, f"--{name}", value]) == 2
    expected = f"hf-mlc: error: field '{name}': the trained model has its own feature extractor; accepted: none beside"
    assert last_error(capsys).startswith(expected)


def test_an_architecture_of_texts_is_refused_before_anything_is_read(tmp_path, capsys):
    arguments = ["--dataset_name", str(tmp_path), "--feature_columns", "*", "--output_dir", str(tmp_path / "out")]
    assert run(train, [*arguments, *QUIET]) == 2
    expected = "hf-mlc: error: field 'model_type': plant reads no table rows; accepted: --model_type msdn"
    assert last_error(capsys) == expected


def test_a_column_of_names_is_said_in_one_line(tmp_path, capsys):
    file = write_table(tmp_path / "train.csv", 70, name=lambda i: f"n{i}", gap=lambda i: ["NA", "nan", "7"][i % 3])
    assert train_on(file, "--train_file", str(file), "--feature_columns", "*", *LABELS) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sum("a column each; is it a name, a date" in line for line in lines) == 1
    assert any(line.startswith("feature 'name': 63 categories in 63 rows") for line in lines)
    extractor = load_model(str(tmp_path / "out")).processor
    assert "gap" not in extractor.categories and "gap" in extractor.missing


def test_columns_may_be_called_as_the_parts_of_a_sparse_row(tmp_path):
    names = {"indices": lambda i: i % 5, "values": lambda i: ["x", "y"][i % 2]}
    file = write_table(tmp_path / "train.csv", 70, **names)
    columns = ["--feature_columns", "indices", "values", *LABELS]
    assert train_on(file, "--train_file", str(file), *columns) == 0
    model = str(tmp_path / "out")
    assert load_model(model).processor.feature_names == ["indices", "values"]
    assert run(evaluate, ["--model", model, "--dataset_name", str(file), "--split", "train"]) == 0
    assert run(predict, ["--model", model, "--input", str(file), "--output", str(tmp_path / "p")]) == 0
    assert len(read_jsonl(tmp_path / "p")) == 70


def test_rows_of_prediction_and_evaluation_may_have_an_id_column(data, tmp_path, capsys):
    assert train_on(data, "--dataset_name", str(data), "--feature_columns", "age", *LABELS) == 0
    write_table(data / "test.csv", 3, key=lambda i: f"k{i}")
    model, output = str(tmp_path / "out"), tmp_path / "p"
    files = ["--model", model, "--input", str(data / "test.csv"), "--output", str(output)]
    assert run(predict, [*files, "--id_column", "key"]) == 0
    assert [row["id"] for row in read_jsonl(output)] == ["k0", "k1", "k2"]
    assert run(evaluate, ["--model", model, "--dataset_name", str(data), "--id_column", "key"]) == 0
    assert run(evaluate, ["--model", model, "--dataset_name", str(data), "--id_column", "no"]) == 2
    assert "field 'no': no such column" in last_error(capsys)


@pytest.mark.parametrize("absent", ["zero", "missing"])
def test_what_json_lines_leave_out_means_the_same_in_training_evaluation_and_prediction(tmp_path, capsys, absent):
    draw = random.Random(0)
    lines = []
    for place in range(60):
        row = {"age": draw.randint(18, 90), "colour": draw.choice(["red", "blue"]), "A": place % 2, "B": place % 3 % 2}
        for name, every in (("age", 3), ("colour", 4)):
            if place % every == 0:
                del row[name]
        lines.append(json.dumps(row) + "\n")
    for name, part in (("train", lines), ("validation", lines[:20]), ("test", lines[:20])):
        (tmp_path / f"{name}.jsonl").write_text("".join(part))
    command = ["--dataset_name", str(tmp_path), "--feature_columns", "age", "colour", *LABELS, "--do_predict", "true"]
    assert train_on(tmp_path / "d", *command) == 2
    assert "row 1, field 'age': no such column; found: 'A', 'B'; accepted: " in (error := last_error(capsys))
    assert "--absent_features zero or missing in training" in error
    assert train_on(tmp_path / "d", *command, "--absent_features", absent) == 0
    loaded, measured = load_model(str(tmp_path / "out")), tmp_path / "m.json"
    extractor = loaded.processor
    assert extractor.missing == (["age", "colour"] if absent == "missing" else [])
    assert extractor.categories == {"colour": ["0"] * (absent == "zero") + ["blue", "red"]}
    arguments = ["--model", str(tmp_path / "out"), "--dataset_name", str(tmp_path), "--output", str(measured)]
    assert run(evaluate, arguments) == 0
    expected = json.loads((tmp_path / "out" / "results.json").read_text())["test"]["f1_micro"]
    assert json.loads(measured.read_text())["metrics"]["f1_micro"] == pytest.approx(expected)
    files = ["--input", str(tmp_path / "test.jsonl"), "--output", str(tmp_path / "p"), "--top_k", "2"]
    assert run(predict, ["--model", str(tmp_path / "out"), *files]) == 0
    assert "training didn't have" not in capsys.readouterr().err
    # the library takes the rows as they are
    rows = [{name: row[name] for name in ("age", "colour") if name in row} for row in map(json.loads, lines[:20])]
    for answer, scores in zip(read_jsonl(tmp_path / "p"), score_texts(loaded, rows).tolist(), strict=True):
        found = {entry["label"]: entry["score"] for entry in answer["labels"]}
        assert found == pytest.approx(dict(zip("AB", scores, strict=True)), abs=1e-5)


def test_a_new_model_of_tables_learns_at_a_rate_of_its_own(tmp_path, capsys):
    draw = random.Random(0)
    rows = [["a", "b", "A", "B"]]
    for _ in range(400):
        a, b = draw.random(), draw.random()
        rows.append([a, b, int(a > 0.7), int(b > 0.7)])
    file = tmp_path / "train.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    scores = {}
    for name, more in (("own", []), ("given", ["--learning_rate", "5e-5"])):
        out = ["--output_dir", str(tmp_path / name), "--model_type", "msdn", "--num_train_epochs", "3", *QUIET]
        assert run(train, [*out, "--train_file", str(file), "--feature_columns", "*", *LABELS, *more]) == 0
        results = json.loads((tmp_path / name / "results.json").read_text())
        scores[name] = results["validation"]
        assert results["recipe"]["learning_rate"] == (0.001 if name == "own" else 5e-5)
        said = "learning_rate: 0.001, since none is given and the model is new" in capsys.readouterr().err
        assert said == (name == "own")
    assert scores["own"]["f1_micro"] > 0.85 and scores["own"]["loss"] < scores["given"]["loss"] / 1.5


@pytest.mark.parametrize("names", [("0", "1"), ("2019", "2020")])
def test_columns_that_are_called_by_numbers_are_columns(tmp_path, names):
    draw = random.Random(0)
    rows = [f"{draw.gauss(50, 2)},{draw.gauss(0, 1)},{n % 2},{n % 3 % 2}" for n in range(30)]
    file = tmp_path / "numbered.csv"
    file.write_text("\n".join([f"{','.join(names)},A,B", *rows]) + "\n", encoding="utf-8")
    command = [*ARGUMENTS, "--train_file", str(file), "--output_dir", str(tmp_path / "out")]
    assert run(train, [*command, "--feature_columns", "*", *LABELS]) == 0
    extractor = load_model(str(tmp_path / "out")).processor
    assert extractor.feature_names == list(names) and extractor.input_size == 2
    assert extractor.means[0] == pytest.approx(50, abs=2)  # centred, as no sparse row is
    answers = tmp_path / "answers.jsonl"
    assert run(predict, ["--model", str(tmp_path / "out"), "--input", str(file), "--output", str(answers)]) == 0
    assert len(read_jsonl(answers)) == 30
