"""What a run of `train` finds in its folder, or is told to start from, and mistakes that must cost no earlier work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model
from tests.commands.conftest import QUIET, SMALL_MODEL, read_jsonl


SHORT = [*SMALL_MODEL, *QUIET, "--max_steps", "2"]
WITH_CHECKPOINTS = ["--save_strategy", "steps", "--save_steps", "1", "--eval_strategy", "steps", "--eval_steps", "1"]


@pytest.fixture
def trained(corpus, tmp_path) -> Path:
    """A finished run with its checkpoints."""
    out = tmp_path / "out"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *SHORT, *WITH_CHECKPOINTS]
    assert run(train, arguments) == 0
    assert (out / "checkpoint-2").is_dir() and (out / "results.json").is_file()
    return out


@pytest.mark.parametrize("mistake", ["no such data", "starts from inside", "goes on with what is deleted"])
def test_a_mistake_beside_overwrite_output_leaves_the_earlier_run_alone(corpus, trained, capsys, mistake):
    data, checkpoint = str(corpus), str(trained / "checkpoint-2")
    arguments, message = {
        "no such data": (["--dataset_name", f"{data}/typo.csv", *SHORT], "no such file"),
        "starts from inside": (
            ["--dataset_name", data, *QUIET, "--model_name_or_path", checkpoint],
            "'model_name_or_path': would be deleted",
        ),
        "goes on with what is deleted": (
            ["--dataset_name", data, *SHORT, "--resume_from_checkpoint", checkpoint],
            "'resume_from_checkpoint': goes on with a run",
        ),
    }[mistake]
    before = {file.relative_to(trained) for file in trained.rglob("*")}
    assert run(train, [*arguments, "--output_dir", str(trained), "--overwrite_output"]) == 2
    assert message in capsys.readouterr().err
    assert {file.relative_to(trained) for file in trained.rglob("*")} == before


def test_what_a_card_shows_of_weights_goes_with_them(corpus, trained):
    for name in ("label_attention.json", "examples.json"):
        (trained / name).write_text("{}", encoding="utf-8")
    (trained / "card.yaml").write_text("description: ours\n", encoding="utf-8")
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(trained), *SHORT]
    assert run(train, [*arguments, "--overwrite_output"]) == 0
    assert not (trained / "label_attention.json").exists() and not (trained / "examples.json").exists()
    assert not (trained / "checkpoint-1").exists() and (trained / "card.yaml").exists()


def test_a_checkpoint_of_other_labels_is_refused_in_a_folder_of_its_own_too(corpus, trained, tmp_path, capsys):
    data = shutil.copytree(corpus, tmp_path / "other")
    rows = [{**row, "labels": [f"{label} too" for label in row["labels"]]} for row in read_jsonl(data / "train.jsonl")]
    for split in ("train", "validation"):
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["--dataset_name", str(data), "--output_dir", str(tmp_path / "new"), *SHORT]
    assert run(train, [*arguments, "--resume_from_checkpoint", str(trained / "checkpoint-1")]) == 2
    assert "checkpoint-1: holds the weights of a run with other labels" in capsys.readouterr().err


def test_one_file_has_no_test_rows_and_its_validation_rows_are_found_again(corpus, tmp_path, capsys):
    data, out = shutil.copy(corpus / "train.jsonl", tmp_path / "news.jsonl"), tmp_path / "out"
    arguments = ["--dataset_name", str(data), "--output_dir", str(out), *QUIET, "--max_steps", "2"]
    arguments += ["--model_type", "sgm", "--hidden_size", "8", "--decoder_size", "8"]
    assert run(train, [*arguments, "--do_predict", "true"]) == 2
    assert "'do_predict': one file, of training rows: no test rows to measure" in capsys.readouterr().err
    assert not (out / "model.safetensors").exists()
    assert run(train, arguments) == 0
    command = ["--model", str(out), "--dataset_name", str(data), "--split", "train"]
    assert run(evaluate, [*command, "--output", str(tmp_path / "metrics.json")]) == 0
    assert "doesn't hold the rows that the model was trained on" not in capsys.readouterr().err


def test_test_rows_that_stand_in_training_are_told(corpus, tmp_path, caplog):
    data = shutil.copytree(corpus, tmp_path / "data")
    shutil.copy(data / "train.jsonl", data / "test.jsonl")
    arguments = ["--dataset_name", str(data), "--output_dir", str(tmp_path / "out"), *SHORT]
    assert run(train, [*arguments, "--do_predict", "true"]) == 0
    assert "test: 160 of 160 texts stand in train too" in caplog.text


def test_a_trained_model_reads_on_as_much_of_a_text_as_it_did(corpus, tmp_path, capsys):
    first = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "first"), *SHORT, "--max_length", "16"]
    assert run(train, first) == 0
    on = ["--dataset_name", str(corpus), *QUIET, "--max_steps", "1", "--model_name_or_path", str(tmp_path / "first")]
    assert run(train, [*on, "--output_dir", str(tmp_path / "on")]) == 0
    assert load_model(str(tmp_path / "on")).tokenizer.model_max_length == 16
    capsys.readouterr()
    for name, value in (("tokenizer_kind", "bpe"), ("label_file", str(tmp_path / "on" / "labels.json"))):
        assert run(train, [*on, "--output_dir", str(tmp_path / "other"), f"--{name}", value]) == 2
        told = capsys.readouterr().err
        assert f"'{name}'" in told and "none beside --model_name_or_path" in told


def test_rows_set_aside_are_as_few_as_asked(corpus, tmp_path):
    arguments = ["--train_file", str(corpus / "train.jsonl"), "--output_dir", str(tmp_path / "out"), *SHORT]
    assert run(train, [*arguments, "--max_eval_samples", "5"]) == 0
    data = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["data"]
    assert data["rows"] == {"train": 144, "validation": 5}
