"""The train command puts rules that name labels into the model's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model, predict_texts
from tests.commands.conftest import QUIET


SMALL = ["--model_type", "sgm", "--encoder", "gru", "--hidden_size", "8", "--max_steps", "1", "--num_beams", "1"]
SMALL += ["--max_length", "16", "--label_order", "topological", "--min_labels", "2", "--threshold_kind", "none"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    for split in ("train", "validation"):
        lines = [
            json.dumps({"text": f"report {place}", "labels": labels})
            for place, labels in enumerate([["corn", "grain"], ["grain", "wheat"], ["crude"], ["earn"]])
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def rules(tmp_path) -> str:
    content = {"parents": {"wheat": ["grain"], "corn": "grain"}, "exclusions": [["crude", "earn"], ["corn", "wheat"]]}
    (tmp_path / "rules.json").write_text(json.dumps(content), encoding="utf-8")
    return str(tmp_path / "rules.json")


def train_with(rows: Path, out: Path, *arguments: str) -> int:
    return run(train, ["--dataset_name", str(rows), "--output_dir", str(out), *SMALL, *arguments, *QUIET])


def test_the_search_of_the_trained_model_follows_rules_that_name_labels(rows, rules, tmp_path):
    out = tmp_path / "out"
    assert train_with(rows, out, "--label_rules", rules) == 0
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    id_of = config["label2id"]
    assert config["label_parents"][id_of["wheat"]] == config["label_parents"][id_of["corn"]] == [id_of["grain"]]
    assert config["label_exclusions"] == [[id_of["crude"], id_of["earn"]], [id_of["corn"], id_of["wheat"]]]
    assert config["label_ranks"][id_of["grain"]] < config["label_ranks"][id_of["wheat"]]  # parents for the order, too
    for (*entries,) in predict_texts(load_model(str(out)), [f"report {place}" for place in range(9)]):
        found = {entry["label"] for entry in entries}
        assert len(found) >= 2 and not {"crude", "earn"} <= found
        assert "grain" in found or not found & {"corn", "wheat"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label_exclusions", "[[0, 1]]"], "field 'label_exclusions': given beside label_rules, which has it too"),
        (["--model_type", "plant"], "field 'label_rules': a model of the type 'plant' has no such rules"),
    ],
)
def test_rules_that_can_not_be_taken_up_are_one_line(rows, rules, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    if "plant" in arguments:
        command = ["--dataset_name", str(rows), "--output_dir", str(out), "--label_rules", rules, *arguments, *QUIET]
        assert run(train, command) == 2
    else:
        assert train_with(rows, out, "--label_rules", rules, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1] and not any("Traceback" in line for line in errors)
    assert not (out / "model.safetensors").exists()


def test_rules_may_be_given_to_a_trained_model(rows, rules, tmp_path):
    assert train_with(rows, tmp_path / "first") == 2  # topological without parents
    plain = [word for word in SMALL if word not in ("--label_order", "topological")]
    command = ["--dataset_name", str(rows), *plain, *QUIET]
    assert run(train, [*command, "--output_dir", str(tmp_path / "first")]) == 0
    again = ["--dataset_name", str(rows), "--model_name_or_path", str(tmp_path / "first"), "--label_rules", rules]
    assert run(train, [*again, "--output_dir", str(tmp_path / "second"), "--max_steps", "1", *QUIET]) == 0
    config = json.loads((tmp_path / "second" / "config.json").read_text(encoding="utf-8"))
    assert len(config["label_exclusions"]) == 2 and sum(map(len, config["label_parents"])) == 2
