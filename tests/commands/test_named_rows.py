"""A row that predict or evaluate can't read is called what its answer would be called: by its id, or its number in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from tests.common.small_msdn import NAMES, ROWS, save_table_model


COLUMNS = ["--feature_columns", *ROWS[0]]
OLD = {**ROWS[0], "age": "old"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_table_model(tmp_path_factory.mktemp("small") / "model")


def write(file: Path, *rows: dict | None) -> Path:
    """Rows as JSON Lines; `None` is a blank line."""
    lines = ["" if row is None else json.dumps({"labels": NAMES[:1], **row}) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("rows", "more", "named"),
    [
        ([ROWS[0], None, None, ROWS[1], OLD], [], "5"),  # as reading counts: blank lines are lines
        ([ROWS[0], ROWS[1], {"id": "anna", **OLD}], [], "anna"),
        ([{"key": f"k{place}", **row} for place, row in enumerate([*ROWS, OLD])], ["--id_column", "key"], "k3"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_as_its_answer_would_be(model, tmp_path, capsys, rows, more, named):
    file = write(tmp_path / "new.jsonl", *rows)
    # small pools and batches: the row is the first of one, the last of another
    for size in ("1", "2", "9"):
        words = ["--model", str(model), *COLUMNS, *more, "--batch_size", size]
        assert run(predict, [*words, "--input", str(file), "--pool_size", size]) == 2
        assert f"hf-mlc: error: {file}, row {named}, field 'age': found 'old'" in capsys.readouterr().err
        assert run(evaluate, [*words, "--dataset_name", str(file), "--split", "train"]) == 2
        assert f"hf-mlc: error: {file}[train], row {named}, field 'age': found 'old'" in capsys.readouterr().err


def test_a_line_of_standard_input_is_named_by_its_number_there(model, tmp_path, monkeypatch, capsys):
    file = write(tmp_path / "stdin", None, ROWS[0], None, OLD)
    with file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(predict, ["--model", str(model), *COLUMNS]) == 2
    assert "hf-mlc: error: standard input, row 4, field 'age': found 'old'" in capsys.readouterr().err


def test_a_row_with_an_unknown_label_is_named_so_too(model, tmp_path, capsys):
    file = write(tmp_path / "new.jsonl", ROWS[0], None, {**ROWS[1], "labels": ["blue"]})
    words = ["--model", str(model), *COLUMNS, "--dataset_name", str(file), "--split", "train", "--strict", "true"]
    assert run(evaluate, words) == 2
    assert f"hf-mlc: error: {file}, row 3, field 'labels': label 'blue' is not" in capsys.readouterr().err
