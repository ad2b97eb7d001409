"""The ensemble command: what it writes, what opens it, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_mlc.cli import main as cli
from hf_mlc.commands.card import main as card
from hf_mlc.commands.ensemble import main as ensemble
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model, score_texts
from hf_mlc.thresholds import tune_thresholds
from tests.commands.conftest import QUIET, SMALL_MODEL, read_jsonl
from tests.common.small_lanet import save_event_model


@pytest.fixture(scope="module")
def other(corpus, tmp_path_factory):
    """A model of another seed and encoder than `trained`, with the same rows and so the same tokenizer."""
    folder = tmp_path_factory.mktemp("other") / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), "--num_train_epochs", "2", "--seed", "7"]
    assert run(train, [*arguments, *SMALL_MODEL, "--encoder", "convolution", *QUIET]) == 0
    return folder


@pytest.fixture(scope="module")
def together(corpus, trained, other, tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "model"
    arguments = ["--models", str(trained), str(other), "--output_dir", str(folder), "--dataset_name", str(corpus)]
    assert cli(["ensemble", *arguments]) == 0
    return folder


def refused(capsys, *arguments) -> str:
    capsys.readouterr()
    assert run(ensemble, list(map(str, arguments))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("hf-mlc: error: ")
    return lines[-1]


def test_its_scores_are_the_mean_of_the_models(corpus, trained, other, together):
    texts = [row["text"] for row in read_jsonl(corpus / "test.jsonl")][:9]
    one, two, both = (score_texts(load_model(str(folder)), texts) for folder in (trained, other, together))
    torch.testing.assert_close(both, (one + two) / 2, atol=1e-6, rtol=1e-5)
    assert (one - two).abs().max() > 0.01


def test_the_folder_says_what_it_is_made_of_and_holds_tuned_thresholds(corpus, trained, other, together):
    found = json.loads((together / "results.json").read_text(encoding="utf-8"))
    assert found["model_type"] == "ensemble" and found["parameters"] > 0 and found["decision"] == "thresholds"
    assert [member["model_type"] for member in found["members"]] == ["plant", "plant"]
    assert [member["weight"] for member in found["members"]] == [0.5, 0.5]
    assert all(member["weights"].startswith("sha256:") for member in found["members"])
    assert found["data"]["rows"] == {"validation": 60} and found["thresholds"]["num_documents"] == 60
    loaded = load_model(str(together))
    assert loaded.model.config.thresholds == found["thresholds"]["thresholds"]
    assert loaded.label_space.num_documents == 160
    written = (together / "results.json").read_text(encoding="utf-8") + (together / "config.json").read_text("utf-8")
    assert str(trained.parent) not in written
    # the code of every architecture travels with the weights, and nothing pickled
    names = {file.name for file in together.iterdir()}
    assert {"modeling_ensemble.py", "modeling_plant.py", "modeling_sgm.py", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_the_thresholds_are_those_of_the_averaged_scores(corpus, together):
    loaded, rows = load_model(str(together)), read_jsonl(corpus / "validation.jsonl")
    space, scores = loaded.label_space, score_texts(loaded, [row["text"] for row in rows])
    targets = torch.zeros(len(rows), len(space))
    for cells, row in zip(targets, rows, strict=True):
        cells[torch.from_numpy(space.encode_known(row["labels"])[0])] = 1.0
    choice = tune_thresholds(scores, targets, kind="auto", train_counts=space.counts)
    assert loaded.model.config.thresholds == pytest.approx(choice.thresholds, abs=1e-5)
    assert loaded.model.config.min_labels == choice.min_labels


def test_the_other_commands_take_it(corpus, together, tmp_path, capsys):
    measured = tmp_path / "metrics.json"
    assert run(evaluate, ["--model", str(together), "--dataset_name", str(corpus), "--output", str(measured)]) == 0
    assert json.loads(measured.read_text(encoding="utf-8"))["metrics"]["f1_micro"] > 0
    answers = tmp_path / "answers.jsonl"
    arguments = ["--model", str(together), "--input", str(corpus / "test.jsonl"), "--output", str(answers)]
    assert run(predict, [*arguments, "--explain", "true"]) == 0
    assert len(read_jsonl(answers)) == 40
    assert run(card, ["--model", str(together)]) == 0
    assert "ensemble" in (together / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sequence_models(corpus, tmp_path_factory):
    """Two small models that write label sequences, of two seeds."""
    folders = [tmp_path_factory.mktemp("sgm") / str(seed) for seed in (1, 2)]
    for folder in folders:
        arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), "--seed", folder.name, *QUIET]
        sizes = ["--hidden_size", "16", "--decoder_size", "16", "--num_beams", "3", "--max_labels", "4"]
        steps = ["--max_steps", "10", "--learning_rate", "0.01", "--max_length", "40"]
        assert run(train, [*arguments, "--model_type", "sgm", *sizes, *steps]) == 0
    return folders


def test_sequence_models_together_decide_on_sets_as_each_does(corpus, sequence_models, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--models", *map(str, sequence_models), "--dataset_name", str(corpus), "--output_dir", str(out)]
    metric = "f1_micro+subset_accuracy"
    assert run(ensemble, [*arguments, "--threshold_metric", metric]) == 0
    said = capsys.readouterr().err
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    mean = (found["validation"]["f1_micro"] + found["validation"]["subset_accuracy"]) / 2
    assert found["decision"] == "sequence" and f"its own sets (decision: sequence): {metric} {mean:.4f}" in said
    loaded, texts = load_model(str(out)), [row["text"] for row in read_jsonl(corpus / "validation.jsonl")]
    assert loaded.model.decides_on_sets
    measured = tmp_path / "metrics.json"
    arguments = [
        "--model",
        str(out),
        "--dataset_name",
        str(corpus),
        "--split",
        "validation",
        "--output",
        str(measured),
    ]
    assert run(evaluate, arguments) == 0
    metrics = json.loads(measured.read_text(encoding="utf-8"))["metrics"]
    assert metrics["subset_accuracy"] == pytest.approx(found["validation"]["subset_accuracy"])
    assert metrics["f1_micro"] == pytest.approx(found["validation"]["f1_micro"])
    parts = [score_texts(load_model(str(folder)), texts[:5]) for folder in sequence_models]
    torch.testing.assert_close(score_texts(loaded, texts[:5]), sum(parts) / 2, atol=1e-5, rtol=1e-4)


def write_table(folder: Path) -> Path:
    """Rows of a label each but every third, which has none, as its second number says."""
    folder.mkdir()
    for seed, (split, number) in enumerate({"train": 90, "validation": 60, "test": 40}.items()):
        draw = np.random.default_rng(seed)
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
            for row in range(number):
                first, second = draw.normal(size=2)
                labels = [] if row % 3 == 0 else ["a" if first > 0 else "b"]
                stream.write(json.dumps({"features": [first, second + 6 * (not labels)], "labels": labels}) + "\n")
    return folder


def test_chains_of_label_relations_vote_and_keep_their_smallest_set(tmp_path, capsys):
    data, out, models = write_table(tmp_path / "table"), tmp_path / "out", [tmp_path / "1", tmp_path / "2"]
    for folder in models:
        arguments = ["--dataset_name", str(data), "--features_column", "features", "--output_dir", str(folder), *QUIET]
        sizes = ["--model_type", "msdn", "--hidden_size", "8", "--kernel_sizes", "[2]"]
        sizes += [
            "--learning_rate",
            "0.02",
            "--min_labels",
            "1",
        ]  # which doesn't suit these rows: thresholds would have 0
        assert run(train, [*arguments, *sizes, "--num_train_epochs", "6", "--seed", folder.name]) == 0
    arguments = ["--models", *map(str, models), "--dataset_name", str(data), "--features_column", "features"]
    assert run(ensemble, [*arguments, "--output_dir", str(out), "--threshold_metric", "f1_micro"]) == 0
    assert "its own sets (decision: sets): f1_micro" in capsys.readouterr().err
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    loaded = load_model(str(out))
    assert found["decision"] == "sets" and loaded.model.decides_on_sets and loaded.model.config.min_labels == 1
    measured = tmp_path / "metrics.json"
    arguments = ["--model", str(out), "--dataset_name", str(data), "--split", "validation", "--output", str(measured)]
    assert run(evaluate, arguments) == 0
    metrics = json.loads(measured.read_text(encoding="utf-8"))["metrics"]
    assert metrics["subset_accuracy"] == pytest.approx(found["validation"]["subset_accuracy"])
    assert metrics["f1_micro"] == pytest.approx(found["validation"]["f1_micro"])


def test_without_a_data_set_the_thresholds_are_the_mean_of_the_models(trained, other, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--models", str(trained), str(other), "--output_dir", str(out), "--weights", "3", "1"]
    assert run(ensemble, arguments) == 0
    assert "the mean of the models'" in capsys.readouterr().err
    configs = [load_model(str(folder)).model.config for folder in (trained, other, out)]
    one, two, both = (torch.as_tensor(config.thresholds, dtype=torch.float64) for config in configs)
    torch.testing.assert_close(both, 0.75 * one + 0.25 * two)
    assert configs[2].member_weights == [3.0, 1.0]
    assert configs[2].min_labels == min(config.min_labels for config in configs[:2])


def test_rows_that_did_not_choose_the_models_are_pointed_out(corpus, trained, other, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join((corpus / "train.jsonl").read_text(encoding="utf-8").splitlines(True)[:30]), encoding="utf-8"
    )
    arguments = ["--models", str(trained), str(other), "--output_dir", str(tmp_path / "out")]
    assert run(ensemble, [*arguments, "--validation_file", str(rows)]) == 0
    assert f"{trained} was validated on other rows" in capsys.readouterr().err


def test_rows_that_a_member_was_trained_on_after_they_chose_it_are_refused(corpus, trained, copy_of, tmp_path, capsys):
    folder = copy_of(trained)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (folder / "results.json").write_text(json.dumps({**results, "refit": {"seconds": 1.0}}), encoding="utf-8")
    arguments = ("--models", folder, trained, "--dataset_name", corpus, "--output_dir", tmp_path / "out")
    assert "was trained on these rows as well (refit)" in refused(capsys, *arguments)
    assert not (tmp_path / "out").exists()


def test_members_that_do_not_go_together_are_refused_in_one_line(corpus, trained, together, copy_of, tmp_path, capsys):
    out = tmp_path / "out"
    base = ["--output_dir", out, "--models", trained]
    renamed = copy_of(trained)
    config = json.loads((renamed / "config.json").read_text(encoding="utf-8"))
    names = config["id2label"]
    names["0"], names["1"] = names["1"], names["0"]
    config["label2id"] = {name: int(number) for number, name in names.items()}
    (renamed / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert f"label 0 is '{names['0']}', of {trained} '{names['1']}'" in refused(capsys, *base, renamed)

    shorter = tmp_path / "shorter"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(shorter), "--max_steps", "1", *SMALL_MODEL, *QUIET]
    assert run(train, [*arguments, "--max_length", "64"]) == 0
    assert f"{shorter}, field 'models': has another tokenizer than {trained}" in refused(capsys, *base, shorter)
    words = copy_of(shorter)
    content = json.loads((words / "tokenizer_config.json").read_text(encoding="utf-8"))
    (words / "tokenizer_config.json").write_text(json.dumps({**content, "model_max_length": 128}), encoding="utf-8")
    assert run(ensemble, list(map(str, [*base, words]))) == 0  # but for its length it is the same

    out = tmp_path / "more"
    base = ["--output_dir", out, "--models", trained]
    assert "found 1; accepted: two models or more" in refused(capsys, *base)
    shop = save_event_model(tmp_path / "shop")
    for models in ([shop, shop], [trained, shop]):
        found = refused(capsys, "--output_dir", tmp_path / "none", "--models", *models)
        assert (
            f"{shop}, field 'models': is of the type 'lanet'; accepted: a model of the type plant or sgm or msdn"
            in found
        )
    assert "is of the type 'ensemble'" in refused(capsys, *base, together)
    assert "no such" in refused(capsys, *base, tmp_path / "none")
    assert "found 1 for 2 models" in refused(capsys, *base, trained, "--weights", "1")
    assert "not all 0" in refused(capsys, *base, trained, "--weights", "0", "0")
    assert "needs members that write label sequences" in refused(capsys, *base, trained, "--decision", "sequence")
    assert "'decision': found 'vote'" in refused(capsys, *base, trained, "--decision", "vote")
    assert "is not empty" in refused(capsys, "--models", trained, trained, "--output_dir", together)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "train.jsonl").write_text((corpus / "train.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    assert "would be others for each seed" in refused(capsys, *base, trained, "--dataset_name", alone)
    (alone / "validation.jsonl").write_text('{"text": 3, "labels": []}\n', encoding="utf-8")
    said = refused(capsys, *base, trained, "--dataset_name", alone)
    assert "validation.jsonl, row 1, field 'text'" in said and "seed" not in said
    assert not out.exists()


def test_it_is_made_of_trained_models_and_not_trained(corpus, together, tmp_path, capsys):
    base = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "out"), *QUIET]
    for arguments in (["--model_type", "ensemble"], ["--model_name_or_path", str(together)]):
        assert run(train, [*base, *arguments]) == 2
        assert "a model of the type 'ensemble' isn't trained" in capsys.readouterr().err
