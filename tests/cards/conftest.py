"""A tiny model with labels that Markdown would trip over, and the files that runs leave beside one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.data import train_tokenizer
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


LABELS = ["plain", "a|b", "<script>alert(1)</script>", "tick`s", "<!-- hf_mlc: end -->", "*star* _under_"]
COUNTS = [60, 30, 12, 3, 1, 0]
TEXTS = ["wheat and corn", "oil", "crude oil and gas", "net profit | loss", "a `b` <c>", "gold"]
RESULTS = {
    "model_type": "plant",
    "seed": 7,
    "recipe": {
        "model_type": "plant",
        "learning_rate": 0.003,
        "hidden_size": 8,
        "max_length": 64,
        "num_train_epochs": 3.0,
    },
    "data": {
        "source": "news",
        "rows": {"train": 100, "validation": 20},
        "fingerprints": {"train": "sha256:11", "validation": "sha256:22"},
        "labels": 6,
    },
    "parameters": 1234,
    "training": {
        "seconds": 12.3,
        "cpu_seconds": 20.5,
        "epochs": 3.0,
        "steps": 40,
        "best_step": 30,
        "peak_memory_bytes": 500_000_000,
        "processes": 1,
    },
    "hardware": {"machine": "x86_64", "cores": 2, "device": "cpu"},
    "versions": {"python": "3.11.2", "hf_mlc": "0.1.0"},
    "thresholds": {"kind": "global", "thresholds": 0.4, "min_labels": 1, "metric": "f1_micro", "num_documents": 20},
    "validation": {"loss": 0.1, "f1_micro": 0.5, "precision_micro": 0.5, "recall_micro": 0.5, "tuned_f1_micro": 0.6},
    "test": None,
}
WORDS = {
    "pretty_name": "News | of <today>",
    "license": "apache-2.0",
    "language": ["en"],
    "dataset": {"name": "Made-up news", "url": "https://example.org/news", "license": "cc-by-4.0"},
    "show_examples": True,
    "widget": [{"text": 'Wheat "rose" | corn `fell` <b>', "title": "Grain"}],
    "summary": "A tiny model.",
    "intended_use": ["Tests."],
    "risks": "It was never trained.",
    "known_issues": ["Everything."],
}


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory) -> Path:
    """config.json, weights, tokenizer and results.json; nothing else is to be changed in it."""
    folder = tmp_path_factory.mktemp("cards") / "tiny-news"
    tokenizer = train_tokenizer(TEXTS, min_frequency=1, max_length=64)
    config = PlantConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        num_labels=len(LABELS),
        hidden_size=8,
        encoder="bag_of_words",
        thresholds=0.4,
        min_labels=1,
    )
    store_label_space(config, LabelSpace(LABELS, COUNTS, 100))
    PlantForMultiLabelClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def measured(saved_model, tmp_path_factory) -> Path:
    """What `evaluate` writes about the model on a few rows."""
    folder = tmp_path_factory.mktemp("measured")
    rows = [{"text": text, "labels": [LABELS[place % 5]]} for place, text in enumerate(TEXTS * 4)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output = folder / "metrics.json"
    arguments = [
        "--model",
        str(saved_model),
        "--dataset_name",
        str(folder),
        "--split",
        "test",
        "--output",
        str(output),
    ]
    assert run(evaluate, arguments) == 0
    return output


@pytest.fixture
def model_folder(saved_model, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved_model, tmp_path / "tiny-news"))


@pytest.fixture
def card_folder(measured, tmp_path) -> Path:
    """model_cards/NAME with everything in it: card.yaml, metrics.json, a baseline that is ahead here and behind there."""
    folder = tmp_path / "model_cards" / "tiny-news"
    folder.mkdir(parents=True)
    shutil.copy(measured, folder)
    evaluation = json.loads(measured.read_text(encoding="utf-8"))
    better = dict.fromkeys(evaluation["metrics"], 0.0) | {"f1_micro": 1.0, "hamming_loss": 0.0}
    baseline = {
        "system": "guess|ing",
        "test": better,
        "curve": evaluation["curve"],
        "threshold_metric": "f1_micro",
        "seed": 7,
        "fingerprints": {"train": "sha256:11", "test": evaluation["fingerprint"]},
    }
    write(folder, **{"baseline.json": baseline, "examples.json": {"examples": {"a|b": "net | profit `x` <y>"}}})
    write(folder, **{"recipe.yaml": RESULTS["recipe"], "card.yaml": WORDS})
    return folder


def write(folder: Path, **files) -> None:
    """Files of JSON or YAML, by name."""
    for name, content in files.items():
        text = yaml.safe_dump(content) if name.endswith(".yaml") else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8")


def read(path: Path) -> dict:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
