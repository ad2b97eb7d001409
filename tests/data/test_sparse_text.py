"""The repository's format of sparse rows and libsvm's: what is read of them, and what is wrong with a file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hf_mlc import load_splits
from hf_mlc.data import Columns, iterate_rows
from hf_mlc.data.reading import shape_of
from hf_mlc.errors import UserError


COLUMNS = Columns(features="features", absent="zero")
ROWS = "4 5 3\n0,2 0:1.5 3:-2e-1\n 4:1\n1 \n\n"


def read(path: Path, content: str | bytes, columns: Columns = COLUMNS) -> list[dict]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(iterate_rows(path, columns))


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz", "train.svm", "train.libsvm.gz", "train.svmlight"])
def test_rows_of_a_file_with_a_first_line(tmp_path, name):
    content = gzip.compress(ROWS.encode()) if name.endswith(".gz") else ROWS
    assert read(tmp_path / name, content) == [
        {"id": "1", "features": {"indices": [0, 3], "values": [1.5, -0.2]}, "labels": [0, 2]},
        {"id": "2", "features": {"indices": [4], "values": [1.0]}, "labels": []},
        {"id": "3", "features": {"indices": [], "values": []}, "labels": [1]},
        {"id": "4", "features": {"indices": [], "values": []}, "labels": []},
    ]
    assert shape_of(tmp_path / name) == (4, 5, 3)


def test_rows_of_libsvm_without_a_first_line(tmp_path):
    rows = read(tmp_path / "a.svm", "3 1:1 # why\r\n\n# nothing\n2:7\n12,3 70000:1\n")
    assert [(row["labels"], row["features"]["indices"]) for row in rows] == [([3], [1]), ([], [2]), ([12, 3], [70000])]
    assert shape_of(tmp_path / "a.svm") is None


def test_a_file_that_counts_features_from_one_holds_feature_v(tmp_path):
    assert read(tmp_path / "a.svm", "1 5 3\n0 1:1 5:1\n")[0]["features"]["indices"] == [1, 5]
    with pytest.raises(UserError, match=r"a.txt, row 1, field 'features': feature 5; accepted: 0 to 4 of the 5"):
        read(tmp_path / "a.txt", "1 5 3\n0 1:1 5:1\n")


def test_splits_of_a_folder_are_stored_as_sparse_rows_and_other_texts_beside_them_are_left_alone(tmp_path):
    (tmp_path / "train.txt").write_text(ROWS, encoding="utf-8")
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(b"1 5 3\n1 2:1\n"))
    (tmp_path / "test_notes.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "train_raw_texts.txt").write_text("no rows\n", encoding="utf-8")
    splits = load_splits(tmp_path, columns=COLUMNS, cache_dir=tmp_path / "cache")
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 4, "test": 1}
    assert splits["train"].features["features"].keys() == {"indices", "values"}
    assert splits["train"][0]["features"] == {"indices": [0, 3], "values": [1.5, -0.2]}
    assert splits["train"][0]["labels"] == [0, 2]
    first = load_splits(
        train_file=tmp_path / "train.txt", columns=COLUMNS, max_samples={"train": 2}, cache_dir=tmp_path / "c"
    )
    assert len(first["train"]) == 2


def test_the_last_ending_says_what_a_file_is(tmp_path):
    assert read(tmp_path / "a.txt.SVM", "0 1:1\n")[0]["labels"] == [0]
    assert read(tmp_path / "a.svm.TXT", ROWS)[0]["labels"] == [0, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.txt", b"0 1:1\n", "train.txt, row 1: the first line is '0 1:1'; accepted: N V L"),
        ("TRAIN.TXT", b"", "TRAIN.TXT, row 1: the first line is ''; accepted: N V L"),
        # without the time, which would stand in the name of the test and tell parallel workers apart
        (
            "train.txt.gz",
            gzip.compress(ROWS.encode(), mtime=0)[:-9],
            r"train.txt.gz, row \d: the archive is cut short",
        ),
        ("train-00000-of-00001.txt", b"0 1:1\n", "train-00000-of-00001.txt, row 1: the first line is '0 1:1'"),
    ],
)
def test_what_is_wrong_with_a_split_s_file_is_said_of_a_folder_too(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "test.txt").write_text(ROWS, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_splits(tmp_path, columns=COLUMNS, cache_dir=tmp_path / "cache")


def test_a_file_of_rows_is_found_whatever_the_case_of_its_ending(tmp_path):
    (tmp_path / "train.TXT").write_text(ROWS, encoding="utf-8")
    (tmp_path / "train_notes.TXT").write_text("no rows\n", encoding="utf-8")
    assert len(load_splits(tmp_path, columns=COLUMNS, cache_dir=tmp_path / "cache")["train"]) == 4


def test_a_model_of_texts_is_told_what_the_file_holds(tmp_path):
    accepted = "texts in .jsonl, .csv or .parquet"
    for name, content in (("train.txt", ROWS), ("train.svm", "0 1:1\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=f"{name}: holds sparse rows; accepted: --encoder features, or {accepted}"):
            load_splits(train_file=tmp_path / name, cache_dir=tmp_path / "cache")
    (tmp_path / "notes.txt").write_text("Dear all,\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"notes.txt: is a plain text; accepted: {accepted}"):
        list(iterate_rows(tmp_path / "notes.txt", Columns(labels=None)))


def test_rows_to_predict_on_need_no_labels(tmp_path):
    rows = read(tmp_path / "a.svm", "0:1\n3:2\n", Columns(features="features", labels=None))
    assert rows[1] == {"id": "2", "features": {"indices": [3], "values": [2.0]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0,2 0:1\n", "row 1: the first line is '0,2 0:1'; accepted: N V L"),
        ("", "row 1: the first line is ''; accepted: N V L"),
        ("2 5 3\n0 1:1\n", "the first line says 2 rows, there are 1; accepted: a whole file"),
        ("1 5 3\n0 1:1\n0 2:1\n", "row 2: the first line says 1 rows, and more follow"),
        ("1 5 3\n3 1:1\n", "row 1, field 'labels': the label '3'; accepted: 0 to 2"),
        ("1 5 3\n-1 1:1\n", "row 1, field 'labels': the label '-1'"),
        ("1 5 3\n0,x 1:1\n", "row 1, field 'labels': the label 'x'"),
        ("1 5 3\n0,,1 1:1\n", "row 1, field 'labels': the label ''"),
        ("1 5 3\n0 5:1\n", "row 1, field 'features': feature 5; accepted: 0 to 4 of the 5 that the first line says"),
        (
            "2 5 3\n0 1:1\n0 3:1 2:1\n",
            "row 2, field 'features': feature 2 after 3; accepted: features in ascending order",
        ),
        ("1 5 3\n0 3:1 3:1\n", "row 1, field 'features': feature 3 stands there twice"),
        ("1 5 3\n0 3:nan\n", "row 1, field 'features': the value 'nan' of feature 3; accepted: a finite number"),
        ("1 5 3\n0 3:1e999\n", "row 1, field 'features': the value '1e999' of feature 3"),
        ("1 5 3\n0 3:\n", "row 1, field 'features': the value '' of feature 3"),
        ("1 5 3\n0 3:1_0\n", "row 1, field 'features': the value '1_0' of feature 3"),
        ("1 5 3\n0 -3:1\n", "row 1, field 'features': found '-3:1'"),
        ("1 5 3\n0 1 3:1\n", "row 1, field 'features': found '1'; accepted: FEATURE:VALUE"),
        ("1 5 3\n0 1:2:3\n", "row 1, field 'features': the value '2:3' of feature 1"),
        (" 1:1\n", "row 1: the first line is"),
        ("1 0 3\n0 0:1\n", "row 1, field 'features': feature 0; accepted: none of the 0 that the first line says"),
        ("1 5 0\n0 1:1\n", "row 1, field 'labels': the label '0'; accepted: none"),
    ],
)
def test_a_file_that_is_broken_is_one_line(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / "a.txt", content)
    assert "a.txt" in str(caught.value)


def test_an_archive_that_is_cut_short_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"a\.svm\.gz, row \d+: the archive is cut short"):
        read(tmp_path / "a.svm.gz", gzip.compress(b"0 1:1\n" * 50)[:-9])
