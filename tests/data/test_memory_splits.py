"""Rows in memory: frames and data sets come out as files do, and what can't be taken is one line."""

from __future__ import annotations

import re

import datasets
import pandas as pd
import pytest

from hf_mlc.data import Columns, load_splits
from hf_mlc.errors import UserError


FRAME = pd.DataFrame({"text": ["one", "", "three"], "labels": [["b", "a"], [], ("c",)], "other": [1, "a", {}]})
ROWS = [
    {"id": "1", "text": "one", "labels": ["b", "a"]},
    {"id": "2", "text": "", "labels": []},
    {"id": "3", "text": "three", "labels": ["c"]},
]


def line_of(data, **arguments) -> str:
    with pytest.raises(UserError) as caught:
        load_splits(data, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_frame_is_the_training_split_and_its_other_columns_are_left_alone():
    splits = load_splits(FRAME)
    assert list(splits) == ["train"] and splits["train"].to_list() == ROWS


def test_a_frames_index_is_no_id_and_a_column_of_that_name_is():
    assert load_splits(FRAME.set_index(pd.Index([7, 8, 9])))["train"]["id"][:] == ["1", "2", "3"]
    assert load_splits(FRAME.assign(id=["x", "y", "z"]))["train"]["id"][:] == ["x", "y", "z"]


def test_a_data_set_is_taken_as_it_is_and_not_changed():
    data = datasets.Dataset.from_list(ROWS)
    assert load_splits(data)["train"].to_list() == ROWS
    assert load_splits(data.with_format("torch"))["train"].to_list() == ROWS
    assert data.to_list() == ROWS and not data.info.description


@pytest.mark.parametrize("kind", [dict, datasets.DatasetDict])
def test_splits_are_found_by_name(kind):
    data = datasets.Dataset.from_list(ROWS)
    given = kind({"test": data.select([2]), "dev": data.select([1]), "train": data, "unused": data})
    splits = load_splits(given)
    assert {name: split["text"][:] for name, split in splits.items()} == {
        "train": ["one", "", "three"],
        "validation": [""],
        "test": ["three"],
    }
    assert list(load_splits(given, splits={"train": "unused"}, max_samples={"train": 2})["train"]["id"]) == ["1", "2"]


def test_frames_of_several_splits():
    splits = load_splits({"train": FRAME, "validation": FRAME[:1]})
    assert splits["validation"].to_list() == ROWS[:1]


def test_columns_are_named_as_of_files():
    frame = pd.DataFrame({"title": ["t", "u"], "body": ["one", "two"], "x": [1, 0], "y": [True, False]})
    columns = Columns(text=["title", "body"], label_columns=["x", "y"])
    assert load_splits(frame, columns=columns)["train"].to_list() == [
        {"id": "1", "text": "t\none", "labels": ["x", "y"]},
        {"id": "2", "text": "u\ntwo", "labels": []},
    ]
    strings = pd.DataFrame({"text": ["one"], "labels": ["a; b"]})
    assert load_splits(strings, columns=Columns(labels_separator=";"))["train"]["labels"][:] == [["a", "b"]]


def test_ids_stay_integers():
    frame = pd.DataFrame({"text": ["one", "two"], "labels": [[], [7, 3]]})
    assert load_splits(frame)["train"]["labels"][:] == [[], [7, 3]]


def test_a_table():
    frame = pd.DataFrame({"age": [30.0, None], "work": ["public", "private"], "poor": [0, 1]})
    found = load_splits(frame, columns=Columns(features="*", label_columns=["poor"]))["train"]
    assert [(row["features"]["work"], row["labels"]) for row in found] == [("public", []), ("private", ["poor"])]
    assert found[1]["features"]["age"] is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "field 'dataset_name': found int; accepted: a file, a folder, a Hub id, a DataFrame"),
        ([{"text": "one"}], "field 'dataset_name': found list; accepted: .*; lists go in by datasets.Dataset.from_dict"),
        ({"text": ["one"], "labels": [[]]}, r"data\[text\]: found list; accepted: .*from_dict"),
        ({}, "data: no split 'train'"),
        ({"dev": FRAME}, "data: no split 'train'; found: dev"),
        (FRAME.drop(columns="text"), r"DataFrame\[train\], field 'text': no such column; found: 'labels', 'other'"),
        (FRAME[:0], r"DataFrame\[train\]: an empty split"),
        (FRAME.assign(text=["one", None, "x"]), r"DataFrame\[train\], row 2, field 'text': the text is null"),
        (FRAME.assign(labels=[["a"], [3], []]), r"DataFrame\[train\]: no table \(.*column labels"),
        (FRAME.assign(labels=[[1, 0, 1]] * 3), r"DataFrame\[train\], field 'labels': looks like a table of zeros"),
        (pd.DataFrame([["a", "b", []]], columns=["text", "text", "labels"]), r"no table \(Duplicate column names"),
        (datasets.Dataset.from_list(ROWS).to_iterable_dataset(), "found IterableDataset"),
        (datasets.Dataset.from_list(ROWS).remove_columns("labels"), r"Dataset\[train\], row 1, field 'labels': no such"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_one_line(data, message):
    assert re.search(message, line_of(data))


def test_what_only_files_or_the_hub_have_is_refused():
    assert line_of(FRAME, revision="main").startswith(
        "field 'revision': found 'main', which rows in memory don't have"
    )
    assert "both a data set and files" in line_of(FRAME, train_file="train.jsonl")
