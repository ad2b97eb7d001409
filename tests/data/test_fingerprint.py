"""The fingerprint of a split: its values and nothing else."""

from __future__ import annotations

import hashlib

import datasets

from hf_mlc.data import fingerprint


ROWS = [{"id": str(i), "text": f"text ü {i}", "labels": ["a", "b"][: i % 3]} for i in range(20)]
FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "labels": datasets.List(datasets.Value("string")),
    }
)


def split(rows):
    return datasets.Dataset.from_list(rows, features=FEATURES)


def test_it_is_the_hash_of_the_rows_as_json_lines():
    rows = [{"id": "1", "text": "ü\n", "labels": ["a"]}, {"id": "2", "text": "", "labels": []}]
    lines = b'["1","\\u00fc\\n",["a"]]\n["2","",[]]\n'
    assert fingerprint(split(rows)) == "sha256:" + hashlib.sha256(lines).hexdigest()


def test_it_does_not_depend_on_how_arrow_holds_the_rows():
    whole = split(ROWS)
    expected = fingerprint(whole)
    chunked = datasets.concatenate_datasets([split(ROWS[:7]), split(ROWS[7:])])
    indexed = split(ROWS[::-1]).select(range(19, -1, -1))
    assert expected == fingerprint(chunked) == fingerprint(indexed) == fingerprint(whole.with_format("numpy"))
    assert expected == fingerprint(whole.add_column("length", list(range(20))))


def test_any_change_of_a_value_or_of_the_order_changes_it():
    expected = fingerprint(split(ROWS))
    for i, change in ((3, {"id": "x"}), (4, {"text": "x"}), (5, {"labels": ["b", "a"]}), (6, {"labels": ["a"]})):
        rows = [dict(row, **change) if n == i else row for n, row in enumerate(ROWS)]
        assert fingerprint(split(rows)) != expected
    assert fingerprint(split(ROWS[::-1])) != expected and fingerprint(split(ROWS[:-1])) != expected
