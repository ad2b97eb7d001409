"""MSDN over texts, end to end: train, evaluate, predict, the pipeline, and going on with other answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import pipeline

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from tests.commands.conftest import QUIET, read_jsonl


SMALL = ["--model_type", "msdn", "--encoder", "convolution", "--hidden_size", "16", "--max_length", "16"]
SMALL += ["--learning_rate", "0.02", "--per_device_train_batch_size", "4"]
WORDS = {"wheat": ["grain", "wheat"], "corn": ["grain", "corn"], "oil": ["crude"], "gold": ["gold"]}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """Texts that name one or two goods; of the labels "grain" comes with "wheat" and with "corn"."""
    folder = tmp_path_factory.mktemp("goods")
    pairs = [(one, other) for one in WORDS for other in WORDS]
    lines = []
    for one, other in pairs * 3:
        labels = sorted({*WORDS[one], *WORDS[other]})
        lines.append(json.dumps({"id": str(len(lines)), "text": f"report on {one} and {other}", "labels": labels}))
    for split, some in (("train", lines[:32]), ("validation", lines[32:40]), ("test", lines[40:])):
        (folder / f"{split}.jsonl").write_text("\n".join(some) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory) -> Path:
    """Two orders, the first of them by seriation."""
    folder = tmp_path_factory.mktemp("msdn") / "model"
    command = [
        "--dataset_name",
        str(rows),
        "--output_dir",
        str(folder),
        "--num_train_epochs",
        "6",
        "--num_orders",
        "2",
    ]
    assert run(train, [*command, "--label_order", "seriation", *SMALL, *QUIET, "--do_predict", "true"]) == 0
    return folder


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def test_training_keeps_orders_and_measures_the_sets_that_the_model_chooses(model):
    config = config_of(model)
    names = config["id2label"]
    first, second = (
        [names[str(label)] for label in sorted(range(5), key=ranks.__getitem__)] for ranks in config["label_ranks"]
    )
    assert sorted(first) == sorted(second) == ["corn", "crude", "gold", "grain", "wheat"]
    # "grain" occurs with both, which never need each other: it stands between them
    assert abs(first.index("grain") - first.index("wheat")) == abs(first.index("grain") - first.index("corn")) == 1
    results = json.loads((model / "results.json").read_text(encoding="utf-8"))
    assert results["test"]["subset_accuracy"] > 0.5
    # nobody asked for the label sets of the training rows
    assert results["known_sets"] is None and config["num_known_sets"] == 0


def test_evaluate_predict_and_pipeline_answer_with_those_sets(model, rows, tmp_path):
    expected = json.loads((model / "results.json").read_text(encoding="utf-8"))["test"]["subset_accuracy"]
    found, answers = tmp_path / "found.json", tmp_path / "answers.jsonl"
    assert run(evaluate, ["--model", str(model), "--dataset_name", str(rows), "--output", str(found)]) == 0
    measured = json.loads(found.read_text(encoding="utf-8"))["metrics"]
    assert measured["subset_accuracy"] == pytest.approx(expected, abs=1e-6)
    test_file = rows / "test.jsonl"
    assert run(predict, ["--model", str(model), "--input", str(test_file), "--output", str(answers)]) == 0
    predicted = [{entry["label"] for entry in row["labels"]} for row in read_jsonl(answers)]
    true = [set(row["labels"]) for row in read_jsonl(test_file)]
    share = sum(one == other for one, other in zip(predicted, true, strict=True)) / len(true)
    assert share == pytest.approx(expected, abs=1e-6)
    pipe = pipeline("multi-label-classification", model=str(model), device="cpu")
    piped = [{entry["label"] for entry in answer} for answer in pipe([row["text"] for row in read_jsonl(test_file)])]
    assert piped == predicted


def test_a_trained_model_goes_on_with_other_answers(model, rows, tmp_path, capsys):
    command = ["--model_name_or_path", str(model), "--dataset_name", str(rows), "--max_steps", "1", *QUIET]
    other = [
        "--decoding",
        "greedy",
        "--known_sets",
        "restrict",
        "--scores",
        "decoded",
        "--false_history_rate",
        "0.5",
        "--learning_rate",
        "1e-6",
    ]
    assert run(train, [*command, "--output_dir", str(tmp_path / "other"), *other]) == 0
    before, after = config_of(model), config_of(tmp_path / "other")
    assert (after["decoding"], after["scores"], after["false_history_rate"]) == ("greedy", "decoded", 0.5)
    assert after["known_sets"] == "restrict" and after["num_known_sets"] > 5
    assert after["label_ranks"] == before["label_ranks"]
    # what weights depend on can't be changed
    assert run(train, [*command, "--output_dir", str(tmp_path / "refused"), "--kernel_sizes", "[2]"]) == 2
    assert "a trained model's kernel_sizes can't be changed" in capsys.readouterr().err
    # nor what another architecture alone has
    assert run(train, [*command, "--output_dir", str(tmp_path / "refused"), "--end_bias", "1.0"]) == 2
    assert "field 'end_bias': a model of the type 'msdn' has none; accepted: " in capsys.readouterr().err
