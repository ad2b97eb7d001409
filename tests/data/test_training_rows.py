from __future__ import annotations

import json

import pytest

from hf_mlc.data import add_validation_split, fingerprint, load_splits
from hf_mlc.data.training_rows import label_sets, results_of, rows_of_training
from hf_mlc.labels import LabelSpace


ROWS = [{"text": f"text {number}", "labels": [["a"], ["b", "a"], []][number % 3]} for number in range(30)]
SPACE = LabelSpace(["a", "b"])


@pytest.fixture
def data(tmp_path):
    """`data(train=rows, ...)` is a function that loads named splits of a folder with these."""

    def made(**splits):
        for name, rows in splits.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        return lambda names: load_splits(tmp_path, splits=names)

    return made


def results(splits, **more) -> dict:
    return {"data": {"fingerprints": {name: fingerprint(rows) for name, rows in splits.items()}}, "seed": 3, **more}


def test_splits_that_are_there_are_taken_as_they_are(data):
    load = data(train=ROWS[:20], validation=ROWS[20:])
    found = rows_of_training(results(load(["train", "validation"])), load, SPACE)
    assert found["train"]["text"][:] == [row["text"] for row in ROWS[:20]]
    assert found["validation"]["text"][:] == [row["text"] for row in ROWS[20:]]


def test_rows_that_training_set_aside_are_set_aside_again(data):
    load = data(train=ROWS)
    splits, _ = add_validation_split(load(["train"]), SPACE, fraction=0.2, seed=3)
    found = rows_of_training(results(splits, recipe={"validation_fraction": 0.2}), load, SPACE)
    assert found["validation"]["text"][:] == splits["validation"]["text"][:] and len(found["train"]) == 24
    # with another seed these would be other rows
    assert rows_of_training(results(splits, recipe={"validation_fraction": 0.2}) | {"seed": 4}, load, SPACE) is None


def test_validation_rows_that_cannot_be_read_are_not_taken_for_none(data, tmp_path):
    load = data(train=ROWS)
    splits, _ = add_validation_split(load(["train"]), SPACE, fraction=0.2, seed=3)
    load = data(validation=[{"text": 3, "labels": []}])
    assert rows_of_training(results(splits, recipe={"validation_fraction": 0.2}), load, SPACE) is None


def test_other_data_is_told_from_that_of_the_training(data):
    load = data(train=ROWS[:20], validation=ROWS[20:])
    of_training = results(load(["train", "validation"]))
    assert rows_of_training(of_training, data(train=ROWS[:19], validation=ROWS[20:]), SPACE) is None
    assert rows_of_training({}, load, SPACE) is None
    assert rows_of_training({"data": None}, load, SPACE) is None


def test_data_without_a_training_split_or_with_strange_labels_is_other_data(data, tmp_path):
    of_training = {"data": {"fingerprints": {"train": "sha256:1", "validation": "sha256:2"}}}
    assert rows_of_training(of_training, data(test=ROWS), SPACE) is None
    assert rows_of_training(of_training, data(train=[{"text": "t", "labels": ["c"]}] * 20), SPACE) is None


def test_label_sets_are_of_the_rows_that_the_weights_have_seen(data):
    load = data(train=ROWS[:1], validation=ROWS[1:3])
    splits = load(["train", "validation"])
    assert label_sets({}, splits, SPACE) == {frozenset({0})}
    assert label_sets({"refit": {"rows": 3}}, splits, SPACE) == {frozenset({0}), frozenset({0, 1}), frozenset()}
    assert label_sets({}, splits, LabelSpace(["b"])) == {frozenset()}


def test_results_of_a_folder_without_any_are_empty(tmp_path):
    assert results_of(str(tmp_path)) == {}
    (tmp_path / "results.json").write_text("{", encoding="utf-8")
    assert results_of(str(tmp_path)) == {}
    (tmp_path / "results.json").write_text('{"seed": 1}', encoding="utf-8")
    assert results_of(str(tmp_path)) == {"seed": 1}
