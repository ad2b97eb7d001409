"""Each row or file that cannot be read is one line with file, row and field, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import os

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_mlc.data import hub_splits
from hf_mlc.data.loading import load_splits
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError
from tests.data.small_files import ROWS, error_of, jsonl, loaded


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


GOOD = b'{"text": "t", "labels": ["a"]}\n'


@pytest.mark.parametrize(
    ("second_line", "message"),
    [
        (b'{"text": "t",', "d.jsonl, row 2: not JSON ("),
        (b"[1]", "d.jsonl, row 2: a JSON array instead of an object"),
        (b"null", "d.jsonl, row 2: a JSON null instead of an object"),
        (b"[" * 100_000, "d.jsonl, row 2: not JSON ("),
        (b'{"labels": []}', "d.jsonl, row 2, field 'text': no such column; found: 'labels'"),
        (b'{"text": "t"}', "d.jsonl, row 2, field 'labels': no such column; found: 'text'"),
        (b'{"text": null, "labels": []}', "d.jsonl, row 2, field 'text': the text is null"),
        (b'{"text": 3, "labels": []}', "d.jsonl, row 2, field 'text': the text is an integer: 3"),
        (b'{"text": "\\ud800", "labels": []}', "d.jsonl, row 2, field 'text': half a surrogate pair"),
        (b'{"text": "t", "labels": "a"}', "d.jsonl, row 2, field 'labels': the labels are a string: a"),
        (b'{"text": "t", "labels": null}', "d.jsonl, row 2, field 'labels': the labels are null"),
        (b'{"text": "t", "labels": {"a": 1}}', "d.jsonl, row 2, field 'labels': the labels are an object"),
        (b'{"text": "t", "labels": [1.5]}', "d.jsonl, row 2, field 'labels': a label is a float: 1.5"),
        (b'{"text": "t", "labels": [null]}', "d.jsonl, row 2, field 'labels': a label is null"),
        (b'{"text": "t", "labels": [true]}', "d.jsonl, row 2, field 'labels': a label is a boolean"),
        (b'{"text": "t", "labels": [{"name": "a"}]}', "d.jsonl, row 2, field 'labels': a label is an object"),
        (b'{"text": "t", "labels": ["b", " "]}', "d.jsonl, row 2, field 'labels': an empty label ' '"),
        (b'{"text": "t", "labels": ["\\ud800"]}', "d.jsonl, row 2, field 'labels': half a surrogate pair"),
        (b'{"text": "t", "labels": [1]}', "d.jsonl, row 2, field 'labels': the label 1 where the labels before it"),
        (b'{"text": "t\xff", "labels": []}', "d.jsonl, row 2: not UTF-8: byte 0xff at position 11 of line 2"),
    ],
)
def test_a_bad_line_is_reported_with_file_row_and_field(tmp_path, second_line, message):
    path = tmp_path / "d.jsonl"
    path.write_bytes(GOOD + second_line + b"\n" + GOOD)
    assert error_of(path).startswith(message)


def test_a_huge_integer_is_reported(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": [2**63]}])
    assert error_of(path).startswith("d.jsonl, row 1, field 'labels': the label 9223372036854775808 is too large")


ZEROS_AND_ONES = (
    "field 'labels': looks like a table of zeros and ones: lists of 4 that hold nothing else; accepted: lists of names or of ids; "
    "of a column of 0 and 1 a label --label_columns"
)


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet", "train.csv"])
def test_rows_of_zeros_and_ones_are_no_lists_of_ids(tmp_path, name):
    rows = [{"text": "t", "labels": labels} for labels in ([0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0])]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    elif name.endswith("csv"):
        lines = [f't,"{row["labels"]}"\n' for row in rows]
        (tmp_path / name).write_text("text,labels\n" + "".join(lines), encoding="utf-8")
    else:
        jsonl(tmp_path / name, rows)
    assert error_of(tmp_path / name) == f"{name}, {ZEROS_AND_ONES}"


def test_a_test_split_of_zeros_and_ones_is_seen_too(tmp_path):
    jsonl(tmp_path / "train.jsonl", [{"text": "t", "labels": [0, 3]}])
    jsonl(tmp_path / "test.jsonl", [{"text": "t", "labels": [0, 1, 0, 1]}])
    assert ZEROS_AND_ONES in error_of(tmp_path)
    assert len(load_splits(tmp_path, skip=["test"])["train"]) == 1


@pytest.mark.parametrize(
    "lists",
    [
        [[0], [1], [0]],
        [[0, 1], [1, 0], [0, 1]],
        [[], [0, 1], []],
        [[0, 1, 2], [0, 1, 3]],
        [[0, 1, 1], [0, 1]],  # a label twice is merged and counted
        [[], [0, 0, 1], [0, 1, 1]],
        [["0", "1", "0"], ["1", "1", "0"]],
    ],
)
def test_ids_that_are_no_row_of_a_table_pass(tmp_path, lists):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": labels} for labels in lists])
    assert [row["labels"] for row in loaded(path)] == lists


def test_a_hundred_rows_are_looked_at(tmp_path):
    rows = [{"text": "t", "labels": [0, 1, 1]}] * 99
    assert len(loaded(jsonl(tmp_path / "d.jsonl", [*rows, {"text": "t", "labels": []}]))) == 100
    assert "lists of 3" in error_of(jsonl(tmp_path / "e.jsonl", [*rows, rows[0], {"text": "t", "labels": []}]))


def test_zeros_and_ones_on_the_hub_are_no_ids(monkeypatch):
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(datasets.Value("int8"))})
    rows = {"text": ["s", "t"], "labels": [[0, 1, 0, 1], [1, 0, 0, 1]]}
    there = {"train": datasets.Dataset.from_dict(rows, features=features)}
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: there)
    with pytest.raises(UserError) as caught:
        load_splits("org/x")
    assert str(caught.value) == f"org/x[train], {ZEROS_AND_ONES}"


def test_kinds_of_labels_mixed_in_one_first_row_are_reported(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"text": "t", "labels": [1, "a"]}])
    assert error_of(path).startswith("d.jsonl, row 1, field 'labels': strings and integers mixed")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("text,labels\nt,a\nt,a,b\n", "d.csv, row 2: 3 fields under a header of 2"),
        ('text,labels\nt,a\n"t,a\n', "d.csv, row 2: not CSV ("),
        ("text;labels\nt;a\n", "d.csv, row 1, field 'text': no such column; found: 'text;labels'"),
        ("text,text,labels\nt,t,a\n", "d.csv, field 'text': two columns of this name"),
    ],
)
def test_a_bad_csv_is_reported(tmp_path, body, message):
    path = tmp_path / "d.csv"
    path.write_text(body, encoding="utf-8")
    assert error_of(path).startswith(message)


def test_a_csv_in_another_encoding_is_reported_with_its_line(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes("text,labels\nok,a\ncafé,a\n".encode("latin-1"))
    assert error_of(path).startswith("d.csv, row 3: not UTF-8: byte 0xe9 at position 3 of line 3")


def test_a_json_array_is_told_from_json_lines(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
    assert error_of(path).startswith("d.json, row 1: a JSON array, not JSON Lines; accepted: one JSON object a line")


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.jsonl.gz"])
def test_an_empty_file_is_an_error(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"text,labels\n" if "csv" in name else b"\n\n")
    assert error_of(path).startswith(f"{name}: an empty file: no rows")


@pytest.mark.parametrize("name", ["d.jsonl.gz", "d.parquet.gz"])
def test_an_archive_that_is_cut_short_is_an_error(tmp_path, name):
    path = tmp_path / name
    rows = [dict(ROWS[0], text=os.urandom(5000).hex()) for _ in range(10)]
    data = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    path.write_bytes(data[: len(data) // 2])
    assert "the archive is cut short" in error_of(path)
    path.write_bytes(b"not gzip")
    assert "not a sound gzip archive" in error_of(path)


def test_a_parquet_file_that_is_cut_short_is_an_error(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert error_of(path).startswith("d.parquet: not readable as Parquet")


def test_null_texts_in_parquet_are_reported(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist([ROWS[0], {"text": None, "labels": ["a"]}]), path)
    assert error_of(path).startswith("d.parquet, row 2, field 'text': the text is null")
    pq.write_table(pa.Table.from_pylist([{"body": "b"}]), path)
    assert error_of(path).startswith("d.parquet, row 1, field 'text': no such column; found: 'body'")


def test_an_unsupported_ending_is_an_error(tmp_path):
    path = tmp_path / "d.xlsx"
    path.write_bytes(b"x")
    assert error_of(path).startswith("d.xlsx: unsupported file ending '.xlsx'; accepted: .jsonl, .json, .csv")


def test_a_failed_load_leaves_no_half_written_split(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [ROWS[0], {"text": "t"}])
    error_of(path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    jsonl(path, ROWS)
    assert loaded(path) == ROWS


def test_columns_without_a_name_are_an_error():
    with pytest.raises(UserError, match="no text column"):
        Columns(text=[])
    with pytest.raises(UserError, match="an empty separator"):
        Columns(labels_separator="")
