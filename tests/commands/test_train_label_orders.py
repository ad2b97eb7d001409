"""The train command fills in the order of labels, from training rows alone, before the first step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from tests.commands.conftest import QUIET


NAMES = ["corn", "crude", "grain", "wheat"]
SMALL = ["--model_type", "sgm", "--encoder", "gru", "--hidden_size", "8", "--max_steps", "1", "--num_beams", "1"]
SMALL += ["--max_length", "16"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """Training rows: wheat 4, grain 3, crude 2, corn 1 (twice in its row); of the validation rows all have crude."""
    folder = tmp_path_factory.mktemp("rows")
    labels = [
        ["wheat", "grain"],
        ["wheat", "grain"],
        ["wheat"],
        ["crude"],
        ["crude"],
        ["corn", "corn", "grain", "wheat"],
    ]
    for split, lists in (("train", labels), ("validation", [["crude"]] * 6)):
        lines = [
            json.dumps({"text": f"report {place} on {some[0]}", "labels": some}) for place, some in enumerate(lists)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def label_file(tmp_path) -> Path:
    file = tmp_path / "labels.json"
    names = ["wheat", "corn", "crude", "grain"]
    file.write_text(json.dumps({"names": names, "parents": {"wheat": "grain", "corn": "grain"}}), encoding="utf-8")
    return file


def trained_order(rows: Path, out: Path, *arguments: str) -> list[str]:
    """The labels in the order that the trained model's configuration holds."""
    command = ["--dataset_name", str(rows), "--output_dir", str(out), *SMALL, *arguments, *QUIET]
    assert run(train, command) == 0
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert sorted(config["label_ranks"]) == list(range(4))
    return sorted(config["label2id"], key=lambda name: config["label_ranks"][config["label2id"][name]])


def test_the_default_is_the_frequency_in_training_rows(rows, tmp_path):
    assert trained_order(rows, tmp_path / "out") == ["wheat", "grain", "crude", "corn"]


def test_parents_of_a_label_file_come_first(rows, label_file, tmp_path):
    arguments = ["--label_order", "topological", "--label_file", str(label_file)]
    assert trained_order(rows, tmp_path / "out", *arguments) == ["grain", "wheat", "crude", "corn"]


def test_the_given_order_is_that_of_the_label_file(rows, label_file, tmp_path):
    arguments = ["--label_order", "given", "--label_file", str(label_file)]
    assert trained_order(rows, tmp_path / "out", *arguments) == ["wheat", "corn", "crude", "grain"]


def test_a_second_training_on_all_rows_counts_them_all(rows, tmp_path):
    # crude: 2 training rows and 6 of validation
    assert trained_order(rows, tmp_path / "out", "--refit") == ["crude", "wheat", "grain", "corn"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--label_order", "topological"],
            "field 'label_order': found 'topological', but no label has a parent; accepted",
        ),
        (["--label_order", "given"], "field 'label_order': found 'given' but no order; accepted: label_ranks"),
        (["--label_ranks", "[0, 1, 2, 3]"], "field 'label_ranks': set, but label_order is 'frequency'; accepted"),
    ],
)
def test_an_order_that_needs_what_is_not_there_is_one_line_and_leaves_nothing(
    rows, tmp_path, capsys, arguments, message
):
    out = tmp_path / "out"
    command = ["--dataset_name", str(rows), "--output_dir", str(out), *SMALL, *arguments, *QUIET]
    assert run(train, command) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1] and not any("Traceback" in line for line in errors)
    assert not (out / "model.safetensors").exists()
