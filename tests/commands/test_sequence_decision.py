"""A model that writes label sequences, by the commands: its sets decide, its order is told, and no test row had a say in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.explaining.methods import explain_labels
from hf_mlc.inference import load_model, predict_texts, sequences_of_texts
from tests.commands.conftest import QUIET, read_jsonl


WORDS = {"corn": "grain", "oil": "crude", "profit": "earn", "gold": "metal", "ship": "trade"}
SIZES = {"train": 60, "validation": 20, "test": 20}
# no 0 among them: what is chosen shows
BIASES = (-1.0, 0.75)


def write_split(path: Path, size: int, seed: int) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(size):
        count = 1 + int(torch.randint(3, (1,), generator=generator))
        words = [list(WORDS)[place] for place in torch.randperm(len(WORDS), generator=generator)[:count]]
        labels = [WORDS[word] for word in words]
        rows.append({"id": f"{path.stem}-{number}", "text": "the price of " + " and ".join(words), "labels": labels})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """The same corpus twice; in the second one the test rows' labels have changed places."""
    made = []
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"words-{number}")
        for seed, (split, size) in enumerate(SIZES.items()):
            rows = write_split(folder / f"{split}.jsonl", size, seed)
        if number:
            labels = [row["labels"] for row in rows]
            moved = [{**row, "labels": labels[place - 7]} for place, row in enumerate(rows)]
            (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in moved), encoding="utf-8")
        made.append(folder)
    return made


@pytest.fixture(scope="module")
def models(folders, tmp_path_factory) -> list[Path]:
    """One trained on each, refitted on training and validation rows, with the test split read at the end."""
    made = []
    for number, folder in enumerate(folders):
        output = tmp_path_factory.mktemp(f"model-{number}") / "model"
        arguments = [
            "--model_type", "sgm", "--dataset_name", str(folder), "--output_dir", str(output), "--hidden_size", "24",
            "--learning_rate", "0.02", "--num_train_epochs", "4", "--per_device_train_batch_size", "10", "--num_beams", "3",
            "--max_length", "32", "--tokenizer_min_frequency", "1", "--eval_strategy", "no", "--save_strategy", "no",
            "--load_best_model_at_end", "false", "--end_biases", *map(str, BIASES), "--refit", "true", "--do_predict", "true",
        ]  # fmt: skip
        assert run(train, [*arguments, *QUIET]) == 0
        made.append(output)
    return made


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_other_test_labels_change_nothing_but_the_test_metrics(models):
    one, other = (results(folder) for folder in models)
    assert one["search"] == other["search"] and one["thresholds"] == other["thresholds"]
    timed = ("runtime", "per_second")
    first, second = (
        {name: value for name, value in found["validation"].items() if not name.endswith(timed)}
        for found in (one, other)
    )
    assert first == second
    assert [
        (models[0] / name).read_text() == (models[1] / name).read_text() for name in ("config.json", "tokenizer.json")
    ]
    first, second = (load_file(folder / "model.safetensors") for folder in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one["test"]["f1_micro"] > other["test"]["f1_micro"] + 0.1


def test_what_was_chosen_on_validation_is_in_the_results_and_in_the_refitted_model(models):
    found, config = results(models[0]), load_model(str(models[0])).model.config
    search = found["search"]
    assert config.end_bias == search["end_bias"] == max(search["tried"], key=lambda one: one["value"])["end_bias"]
    assert config.end_bias in BIASES and search["num_documents"] == SIZES["validation"]
    assert found["refit"]["rows"] == SIZES["train"] + SIZES["validation"]
    assert found["test"]["f1_micro"] > 0.5, "it has learned something"


@pytest.fixture(scope="module")
def loaded(models):
    return load_model(str(models[0]))


@pytest.fixture(scope="module")
def texts(folders) -> list[str]:
    return [row["text"] for row in read_jsonl(folders[0] / "test.jsonl")]


def test_the_answer_is_the_set_whose_sequence_is_told_on_demand(models, folders, loaded, tmp_path):
    file, output = folders[0] / "test.jsonl", tmp_path / "out.jsonl"
    assert run(predict, ["--model", str(models[0]), "--input", str(file), "--output", str(output), "--sequences"]) == 0
    answers = read_jsonl(output)
    assert [answer["id"] for answer in answers] == [f"test-{number}" for number in range(SIZES["test"])]
    for answer in answers:
        assert sorted(answer["sequence"]) == sorted(entry["label"] for entry in answer["labels"])
        scores = [entry["score"] for entry in answer["labels"]]
        assert scores == sorted(scores, reverse=True)
    # trained on the most frequent label first, most sequences follow that order
    ranks = dict(zip(loaded.label_space.names, loaded.model.config.label_ranks, strict=True))
    several = [[ranks[name] for name in answer["sequence"]] for answer in answers if len(answer["sequence"]) > 1]
    assert sum(row == sorted(row) for row in several) > len(several) / 2 > 0
    assert run(predict, ["--model", str(models[0]), "--input", str(file), "--output", str(output)]) == 0
    assert [answer.keys() for answer in read_jsonl(output)] == [{"id", "labels"}] * SIZES["test"]


def test_texts_one_by_one_have_the_same_sequences(loaded, texts):
    together = sequences_of_texts(loaded, texts, batch_size=7)
    assert together == [sequences_of_texts(loaded, [text])[0] for text in texts]


def test_evaluate_measures_the_sets_and_a_threshold_in_their_place(models, folders, tmp_path):
    found = {}
    for name, extra in {"sets": [], "all": ["--threshold", "0.0"]}.items():
        arguments = ["--model", str(models[0]), "--dataset_name", str(folders[0]), "--output", str(tmp_path / name)]
        assert run(evaluate, [*arguments, "--deletion_documents", "0", *extra]) == 0
        found[name] = json.loads((tmp_path / name).read_text())
    assert found["sets"]["decision"]["sets"] == "sequence" and "sets" not in found["all"]["decision"]
    tested = results(models[0])["test"]
    for metric in ("f1_micro", "subset_accuracy", "f1_samples"):
        assert found["sets"]["metrics"][metric] == pytest.approx(tested[metric])
    # two of 100 scores that differ by a rounding may change places in a loaded model, which moves it by 1e-4
    assert found["sets"]["metrics"]["ap_micro"] == pytest.approx(tested["ap_micro"], abs=5e-4)
    assert found["all"]["metrics"]["recall_micro"] == 1.0 > found["sets"]["metrics"]["recall_micro"]


def test_the_pipeline_gives_the_sets_too_and_thresholds_when_asked(models, loaded, texts):
    pipe = pipeline("multi-label-classification", model=str(models[0]), device="cpu")
    expected = list(predict_texts(loaded, texts))
    for text, answer, one in zip(texts[:6], expected, pipe(texts[:6]), strict=False):
        assert [entry["label"] for entry in one] == [entry["label"] for entry in answer]
        assert {e.label for e in explain_labels(loaded, text)} == {entry["label"] for entry in answer}
    assert all(len(answer) == len(WORDS) for answer in pipe(texts[:2], threshold=0.0))
    assert [len(answer) for answer in pipe(texts[:2], top_k=2)] == [2, 2]


@pytest.mark.parametrize("decision", ("sequence", "expected_f1", "thresholds"))
def test_each_decision_keeps_the_rules_of_the_search(loaded, texts, decision):
    config, before = loaded.model.config, dict(vars(loaded.model.config))
    try:
        config.decision, config.min_labels, config.max_labels = decision, 2, 2
        config.thresholds = 1.0
        config.label_exclusions = [[0, 1]]
        answers = list(predict_texts(loaded, texts))
        assert {len(answer) for answer in answers} == {2}
        if decision != "thresholds":  # which know nothing of exclusions
            for answer in answers:
                assert {entry["label"] for entry in answer} != {loaded.label_space.names[label] for label in (0, 1)}
    finally:
        vars(config).update(before)


def test_a_model_without_sequences_has_none_to_tell(trained, corpus, capsys):
    file = str(corpus / "test.jsonl")
    assert run(predict, ["--model", str(trained), "--input", file, "--sequences"]) == 2
    assert "sequences" in (said := capsys.readouterr().err) and "sgm" in said and len(said.splitlines()) == 1
