"""A table of the user's with a column a feature and a column a label, compared by way of its recipe."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from tests.commands.conftest import read_jsonl


FEATURES, LABELS = ["age", "height", "colour"], ["tall", "old"]
RECIPE = "model_type: msdn\nencoder: mlp\nhidden_size: 8\nnum_train_epochs: 2\nper_device_train_batch_size: 16\n"
RECIPE += "learning_rate: 0.01\neval_strategy: 'no'\nsave_strategy: 'no'\nload_best_model_at_end: false\n"
RECIPE += "threshold_kind: global\n"


def rows_of(split: str) -> list[dict]:
    generator = np.random.default_rng(len(split))
    rows = []
    for number in range(80 if split == "train" else 30):
        age, height = int(generator.integers(20, 80)), round(float(generator.normal(1.7, 0.1)), 2)
        labels = [name for name, has in zip(LABELS, (height > 1.7, age > 50), strict=True) if has]
        colour = ["red", "blue"][number % 2]
        rows.append({"features": {"age": age, "height": height, "colour": colour}, "labels": labels})
    return rows


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The same rows as JSON Lines of objects, and as CSV with a column each, in which a note is neither feature nor label."""
    objects, columns = tmp_path_factory.mktemp("objects"), tmp_path_factory.mktemp("columns")
    for split in ("train", "test"):
        rows = rows_of(split)
        lines = [json.dumps({"id": f"r{number}", **row}) for number, row in enumerate(rows)]
        (objects / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (columns / f"{split}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["nr", *FEATURES, *LABELS, "note"])
            for number, row in enumerate(rows):
                has = [int(name in row["labels"]) for name in LABELS]
                writer.writerow([f"r{number}", *row["features"].values(), *has, f"note {number}"])
    return objects, columns


def compared(folder: Path, recipe: str, tmp_path: Path) -> dict[str, dict]:
    file = tmp_path / f"{folder.name}.yaml"
    file.write_text(RECIPE + recipe, encoding="utf-8")
    output = tmp_path / f"{folder.name}.jsonl"
    arguments = ["msdn", "--dataset", str(folder), "--recipe", str(file), "--arms", "msdn-encoder-br,logistic-br"]
    arguments += ["--trials", "1", "--seeds", "1", "--resamples", "20", "--output", str(output)]
    assert run(compare, arguments) == 0
    return {line["arm"]: line for line in read_jsonl(output)}


def test_a_column_a_feature_gives_what_an_object_a_row_gives(folders, tmp_path):
    pytest.importorskip("sklearn")
    objects, columns = folders
    usual = compared(objects, "", tmp_path)
    own = compared(columns, f"feature_columns: {FEATURES}\nlabel_columns: {LABELS}\nid_column: nr\n", tmp_path)
    assert own.keys() == usual.keys() == {"msdn-encoder-br", "logistic-br"}
    for name, line in own.items():
        assert line["documents"] == 30 and line["metrics"] == usual[name]["metrics"]
    assert own["logistic-br"]["metrics"]["f1_micro"] > 0.8, "the features were read"


def test_all_other_columns_may_be_features(folders, tmp_path):
    pytest.importorskip("sklearn")
    _, columns = folders
    few = tmp_path / "few"
    few.mkdir()
    for split in ("train", "test"):
        with (columns / f"{split}.csv").open(encoding="utf-8") as stream:
            lines = [row[:-1] for row in csv.reader(stream)]
        with (few / f"{split}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(lines)
    named = compared(columns, f"feature_columns: {FEATURES}\nlabel_columns: {LABELS}\nid_column: nr\n", tmp_path)
    found = compared(few, f"feature_columns: '*'\nlabel_columns: {LABELS}\nid_column: nr\n", tmp_path)
    assert {name: line["metrics"] for name, line in found.items()} == {
        name: line["metrics"] for name, line in named.items()
    }
