"""The train command with planting: what it plants from which rows, and a run that is cut short."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.commands.running import run, write_json
from hf_mlc.commands.train import main as train
from hf_mlc.data import load_splits
from hf_mlc.inference import load_model
from hf_mlc.language_modeling import read_head
from hf_mlc.planting import planting_fingerprint
from hf_mlc.planting.cache import read_cache
from tests.commands.conftest import QUIET, SMALL_MODEL
from tests.commands.test_train import _command, _environment, _free_port


PLANTED = [*SMALL_MODEL, *QUIET, "--planting", "attention", "--rank_size", "8", "--stored_tokens", "16"]
PLANTED += ["--ranker_epochs", "5", "--num_train_epochs", "2"]


@pytest.fixture(scope="module")
def planted(corpus, tmp_path_factory):
    """The folder of a planted model."""
    folder = tmp_path_factory.mktemp("planted") / "model"
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED]) == 0
    return folder


def test_a_planted_model_knows_which_rows_its_statistics_are_of(corpus, planted):
    loaded = load_model(str(planted))
    rows = load_splits(str(corpus))["train"]
    assert loaded.model.config.planting_fingerprint == planting_fingerprint(rows, loaded.tokenizer)
    found = json.loads((planted / "results.json").read_text(encoding="utf-8"))["planting"]
    assert found["documents"] == 160 and found["ranker"]["ndcg@15"] > 0
    assert not (planted / "planting.json").exists()


def test_permuted_evaluation_labels_change_no_plant(corpus, planted, tmp_path):
    other = tmp_path / "permuted"
    other.mkdir()
    for split in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        if split != "train":
            labels = [row["labels"] for row in rows]
            rows = [{**row, "labels": label} for row, label in zip(rows, labels[1:] + labels[:1], strict=True)]
        (other / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["--dataset_name", str(other), "--output_dir", str(tmp_path / "model"), *PLANTED]
    assert run(train, arguments) == 0
    one, two = load_file(planted / "model.safetensors"), load_file(tmp_path / "model" / "model.safetensors")
    for name in ("tokens", "values"):
        assert torch.equal(one[f"decoder.mutual_information.{name}"], two[f"decoder.mutual_information.{name}"])


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_weights_of_an_unbroken_one(corpus, planted, tmp_path):
    folder = tmp_path / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED]
    assert run(train, arguments) == 0
    (folder / "results.json").unlink()  # as if it had been cut short after the first epoch
    _, last = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    assert run(train, arguments) == 0
    one, two = load_file(planted / "model.safetensors"), load_file(folder / "model.safetensors")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_frozen_ranker_is_saved_as_it_was_planted(corpus, planted, tmp_path):
    folders = [tmp_path / "frozen", tmp_path / "long"]
    for folder, epochs in zip(folders, ("1", "3"), strict=True):
        arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED, "--planting_freeze", "true"]
        assert run(train, [*arguments, "--num_train_epochs", epochs]) == 0
    weights = [load_file(folder / "model.safetensors") for folder in folders]
    name = "decoder.ranked.token_factors"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], load_file(planted / "model.safetensors")[name])


def test_a_run_killed_while_it_plants_begins_anew_and_ends_the_same(corpus, planted, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED]
    with monkeypatch.context() as patched:
        patched.setattr(
            "hf_mlc.planting.planting.train_ranker", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            train(arguments)
    assert not (folder / "planting.json").exists()
    assert run(train, arguments) == 0
    one, two = load_file(planted / "model.safetensors"), load_file(folder / "model.safetensors")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_refit_is_planted_from_all_the_rows_that_it_is_trained_on(corpus, tmp_path):
    folder = tmp_path / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED, "--refit", "true"]
    assert run(train, arguments) == 0
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    fingerprint = load_model(str(folder)).model.config.planting_fingerprint
    assert results["planting"]["documents"] == fingerprint["num_documents"] == results["refit"]["rows"] == 220


def test_a_refit_that_finds_both_its_plants_in_the_cache_says_what_both_cost(corpus, tmp_path):
    arguments = ["--dataset_name", str(corpus), *PLANTED, "--refit", "true", "--num_train_epochs", "1"]
    arguments += ["--planting_cache", str(tmp_path / "cache")]
    found = []
    for name in ("first", "second"):
        assert run(train, [*arguments, "--output_dir", str(tmp_path / name)]) == 0
        found.append(json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8"))["planting"])
    costs = [read_cache(file)[3] for file in (tmp_path / "cache").iterdir()]
    assert "from_cache" not in found[0] and len(costs) == 2, costs
    expected = {name: pytest.approx(sum(cost[name] for cost in costs)) for name in ("seconds", "cpu_seconds")}
    assert found[1]["from_cache"] == expected


def test_arguments_that_nothing_reads_are_told(corpus, tmp_path, capsys):
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "model"), *SMALL_MODEL, *QUIET]
    arguments += ["--num_train_epochs", "1", "--planting_smoothing", "1", "--rank_size", "8"]
    assert run(train, arguments) == 0
    assert "without effect here: planting_smoothing, rank_size\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "64", "--stateful"], "'window': found 64, and texts are cut at 64 tokens"),
        (["--stateful"], "`stateful` is about what stands before the `window`, found none"),
        (
            ["--encoder", "awd_lstm", "--recurrent_size", "8", "--ranked_tokens", "expected"],
            "'ranked_tokens': found expected, and no language model to expect a token",
        ),
        (["--ranked_attention", "false", "--planting_control", "idf"], "'planting_control': found idf"),
        (["--planting_fingerprint", "{}"], "unknown argument '--planting_fingerprint'"),
    ],
)
def test_what_would_silently_be_something_else_is_refused_in_one_line(corpus, tmp_path, capsys, arguments, message):
    folder = tmp_path / "model"
    settings = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED, "--max_length", "64"]
    assert run(train, [*settings, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1] and "Traceback" not in error


def test_the_ranker_scores_what_the_language_model_of_the_run_expects(corpus, tmp_path):
    folder = tmp_path / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *PLANTED, "--encoder", "awd_lstm"]
    arguments += ["--recurrent_size", "16", "--hidden_size", "16", "--num_hidden_layers", "1", "--max_length", "64"]
    arguments += ["--num_train_epochs", "1", "--language_model_epochs", "1", "--ranked_tokens", "expected"]
    assert run(train, arguments) == 0
    model = load_model(str(folder)).model
    head = read_head(folder / "language_model")
    assert torch.equal(model.expected.bias, head[1]) and head[1].abs().sum() > 0


MACHINES = ["--planted_readout", "1", "--readout_source", "linear_svm", "--readout_folds", "2"]
MACHINES += ["--shortlist_size", "3", "--ranked_attention", "false"]
SEQUENCES = ["--model_type", "sgm", "--hidden_size", "16", "--embedding_size", "16", "--num_beams", "2", *QUIET]
SEQUENCES += ["--linear_readout", "true", "--readout_folds", "2", "--readout_tokens", "50"]
SEQUENCES += ["--num_train_epochs", "2", "--learning_rate", "0.01", "--max_length", "64"]


@pytest.mark.parametrize("model", [[*PLANTED, *MACHINES], SEQUENCES], ids=["plant", "sgm"])
def test_a_run_with_machines_that_goes_on_from_a_checkpoint_ends_as_an_unbroken_one(corpus, tmp_path, model):
    pytest.importorskip("sklearn")
    found = []
    for name in ("whole", "broken", "cleared"):
        folder = tmp_path / name
        arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), *model]
        if name != "whole":
            with pytest.MonkeyPatch.context() as patched:  # stopped after the first epoch, its machines still there
                patched.setattr("hf_mlc.commands.train.write_json", _stops_at_results)
                with pytest.raises(KeyboardInterrupt):
                    train(arguments)
            checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
            shutil.rmtree(checkpoints[-1])
            (kept,) = (folder / "planting").iterdir()
            if name == "cleared":  # as after a run that had ended
                kept.unlink()
        assert run(train, arguments) == 0
        assert not (folder / "planting").exists() and not (folder / "planting.json").exists()
        found.append(load_file(folder / "model.safetensors"))
    for other in found[1:]:
        assert found[0].keys() == other.keys() and all(torch.equal(found[0][key], other[key]) for key in other)
    facts = json.loads((tmp_path / "broken" / "results.json").read_text(encoding="utf-8"))["planting"]
    assert facts["readout"]["folds"] == 2 and facts["readout"]["slope"] > 0
    config = json.loads((tmp_path / "broken" / "config.json").read_text(encoding="utf-8"))
    assert config["planting_fingerprint"]["num_documents"] == facts["documents"] == 160
    assert any(name.endswith("readout.weight") and weight.any() for name, weight in found[0].items())


def _stops_at_results(file, content) -> None:
    if file.name == "results.json":
        raise KeyboardInterrupt
    write_json(file, content)


def test_training_that_goes_on_from_machines_keeps_them_and_says_what_that_means(corpus, tmp_path, capsys):
    pytest.importorskip("sklearn")
    base = ["--dataset_name", str(corpus), *SEQUENCES, "--num_train_epochs", "1"]
    assert run(train, [*base, "--output_dir", str(tmp_path / "first")]) == 0
    more = ["--model_name_or_path", str(tmp_path / "first"), "--output_dir", str(tmp_path / "second"), *QUIET]
    assert run(train, ["--dataset_name", str(corpus), *more, "--num_train_epochs", "1"]) == 0
    assert "the linear machines are kept, and answer rows they were fitted on better" in capsys.readouterr().err
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    for name in ("weight", "tokens", "bias", "idf"):
        assert torch.equal(first[f"encoder.readout.{name}"], second[f"encoder.readout.{name}"])
    assert not torch.equal(first["decoder.output.weight"], second["decoder.output.weight"])


def test_two_processes_with_machines_train_as_one(corpus, tmp_path):
    pytest.importorskip("sklearn")
    same = [*PLANTED, *MACHINES, "--optim", "sgd", "--learning_rate", "0.5", "--max_grad_norm", "0"]
    same += ["--word_dropout", "0", "--embedding_dropout", "0", "--hidden_dropout", "0"]
    same += ["--load_best_model_at_end", "false"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(train, [*_command(corpus, one)[2:], *same, "--per_device_train_batch_size", "8"]) == 0
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    command = _command(corpus, two, *same, "--per_device_train_batch_size", "4", "--ddp_backend", "gloo")
    done = subprocess.run(
        [command[0], *launcher, *command[1:]], env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert torch.equal(ours["decoder.readout.weight"], theirs["decoder.readout.weight"])
    for name, value in ours.items():
        torch.testing.assert_close(
            value, theirs[name], rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert not (two / "planting").exists()


def test_two_processes_are_planted_as_one(corpus, planted, tmp_path):
    folder = tmp_path / "two"
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    command = [*_command(corpus, folder)[:1], *launcher, *_command(corpus, folder)[1:], *PLANTED]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = [json.loads((path / "results.json").read_text(encoding="utf-8"))["planting"] for path in (planted, folder)]
    assert facts[0]["ranker"]["history"] == facts[1]["ranker"]["history"]
    one, two = load_file(planted / "model.safetensors"), load_file(folder / "model.safetensors")
    for name in ("tokens", "values"):
        assert torch.equal(one[f"decoder.mutual_information.{name}"], two[f"decoder.mutual_information.{name}"])
    assert load_model(str(folder)).model.config.planting_fingerprint["num_documents"] == 160
