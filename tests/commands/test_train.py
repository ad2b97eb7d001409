"""The train command: what it leaves behind, resuming after a kill, several processes, no look at the test split."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data import train_tokenizer
from hf_mlc.data.demo_notes import DEMO_CODES
from hf_mlc.inference import load_model
from hf_mlc.labels import LabelSpace
from tests.commands.conftest import QUIET, SMALL_MODEL


ROOT = Path(__file__).parents[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_training_leaves_a_model_that_loads_with_its_decision_rule_and_its_results(trained):
    loaded = load_model(str(trained))
    found = results(trained)
    assert loaded.model.config.thresholds == found["thresholds"]["thresholds"]
    assert loaded.model.config.min_labels == found["thresholds"]["min_labels"]
    assert loaded.label_space.num_documents == 160
    assert found["data"]["rows"] == {"train": 160, "validation": 60, "test": 40}
    assert found["recipe"]["hidden_size"] == 32
    assert found["seed"] == 42 and found["parameters"] > 0 and found["training"]["peak_memory_bytes"] > 0
    assert {"f1_micro", "f1_macro", "subset_accuracy", "p@1"} <= found["test"].keys()
    assert "tuned_f1_micro" in found["validation"] and "tuned_f1_micro" not in found["test"]
    assert not [name for name in os.listdir(trained) if name.endswith((".bin", ".pt", ".pkl"))]


def test_a_recipe_gives_the_arguments_and_the_command_line_overrides_it(corpus, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "encoder: bag_of_words\nhidden_size: 32\nnum_train_epochs: 1\nranking_ks: [1, 2]\nseed: 7\nmax_steps: 2\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    arguments = ["--config", str(recipe), "--dataset_name", str(corpus), "--output_dir", str(out)]
    assert run(train, [*arguments, "--hidden_size", "16", *QUIET]) == 0
    found = results(out)
    assert found["seed"] == 7 and found["recipe"]["hidden_size"] == 16 and found["training"]["steps"] == 2
    assert load_model(str(out)).model.config.hidden_size == 16
    assert "p@2" in found["validation"] and "p@3" not in found["validation"]


def test_permuted_test_labels_change_nothing_but_the_test_metrics(corpus, trained, tmp_path):
    other = tmp_path / "permuted"
    other.mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (other / name).write_bytes((corpus / name).read_bytes())
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = [row["labels"] for row in rows]
    permuted = [{**row, "labels": label} for row, label in zip(rows, labels[1:] + labels[:1], strict=True)]
    (other / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in permuted), encoding="utf-8")
    out = tmp_path / "model"
    arguments = ["--dataset_name", str(other), "--output_dir", str(out), "--num_train_epochs", "2"]
    assert run(train, [*arguments, *SMALL_MODEL, *QUIET, "--do_predict", "true"]) == 0

    ours, theirs = results(trained), results(out)
    for key in ("thresholds", "parameters"):
        assert ours[key] == theirs[key]
    timings = ("runtime", "samples_per_second", "steps_per_second")
    assert {k: v for k, v in ours["validation"].items() if k not in timings} == {
        k: v for k, v in theirs["validation"].items() if k not in timings
    }
    assert all(torch.equal(value, weights(out)[name]) for name, value in weights(trained).items())
    assert ours["test"]["f1_micro"] != theirs["test"]["f1_micro"]
    assert ours["data"]["fingerprints"]["test"] != theirs["data"]["fingerprints"]["test"]


def _command(corpus: Path, out: Path, *more: str) -> list[str]:
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET]
    return [sys.executable, str(ROOT / "scripts/train.py"), *arguments, *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_a_killed_run_resumed_ends_with_the_weights_of_an_unbroken_one(corpus, tmp_path):
    # 160 rows in batches of 8 are 20 steps an epoch: of the checkpoints every 7, the fifth is in the middle of the second
    steps = ["--per_device_train_batch_size", "8", "--num_train_epochs", "8"]
    saving = ["--eval_strategy", "steps", "--eval_steps", "7", "--save_strategy", "steps", "--save_steps", "7"]
    arguments = [*steps, *saving, "--save_total_limit", "3"]
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    subprocess.run(_command(corpus, unbroken, *arguments), check=True, env=_environment(), capture_output=True)

    process = subprocess.Popen(
        _command(corpus, broken, *arguments), env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not list(broken.glob("checkpoint-35/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline, "ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (broken / "results.json").exists()

    again = subprocess.run(
        _command(corpus, broken, *arguments, "--resume_from_checkpoint"),
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert results(broken)["training"]["resumed"] and not results(unbroken)["training"]["resumed"]
    assert results(broken)["training"]["steps"] == results(unbroken)["training"]["steps"] == 160
    assert results(broken)["training"]["total_seconds"] >= results(broken)["training"]["seconds"]
    assert (
        results(broken)["training"]["cpu_seconds"] > results(broken)["training"]["before_resuming"]["cpu_seconds"] > 0
    )
    ours = weights(broken)
    for name, value in weights(unbroken).items():
        assert torch.equal(value, ours[name]), name
    assert results(broken)["thresholds"] == results(unbroken)["thresholds"]


def test_an_unfinished_run_goes_on_by_itself_and_a_finished_one_is_not_overwritten(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--num_train_epochs", "2"]
    assert run(train, base) == 0
    before = weights(out)
    assert run(train, base) == 2
    assert "holds a finished run" in capsys.readouterr().err

    (out / "results.json").unlink()  # as if it had been killed after its last checkpoint
    assert run(train, [*base, "--learning_rate", "0.5"]) == 2
    assert "other arguments" in capsys.readouterr().err
    assert run(train, base) == 0
    assert results(out)["training"]["resumed"]
    assert all(torch.equal(value, before[name]) for name, value in weights(out).items())


def test_a_run_does_not_go_on_with_other_data(corpus, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(corpus, data)
    base = ["--dataset_name", str(data), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--max_steps", "40"]
    assert run(train, base) == 0
    (out / "results.json").unlink()
    rows = (data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (data / "train.jsonl").write_text("".join(rows[::-1]), encoding="utf-8")
    assert run(train, base) == 2
    assert "other data" in capsys.readouterr().err
    assert run(train, [*base, "--resume_from_checkpoint"]) == 0

    (out / "results.json").unlink()
    (data / "train.jsonl").write_text("".join(rows).replace('"I10"', '"I10-renamed"'), encoding="utf-8")
    assert run(train, [*base, "--resume_from_checkpoint"]) == 2
    assert "other labels" in capsys.readouterr().err


def test_overwriting_leaves_nothing_of_the_old_run(corpus, tmp_path):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET]
    assert run(train, [*base, "--num_train_epochs", "2"]) == 0
    assert (out / "checkpoint-40").exists()
    assert run(train, [*base, "--num_train_epochs", "1", "--overwrite_output"]) == 0
    assert [folder.name for folder in out.glob("checkpoint-*")] == ["checkpoint-20"]
    assert not results(out)["training"]["resumed"]


def test_early_stopping_remembers_its_patience_over_a_resume(corpus, tmp_path):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--learning_rate", "0"]
    base += ["--num_train_epochs", "6", "--early_stopping_patience", "3", "--save_total_limit", "6"]
    assert run(train, base) == 0
    # nothing is learnt: the first evaluation stays the best, and three more end the run
    assert results(out)["training"]["steps"] == 80
    # none of the evaluation that ended it: who went on from there would train on
    assert sorted(folder.name for folder in out.glob("checkpoint-*")) == [
        "checkpoint-20",
        "checkpoint-40",
        "checkpoint-60",
    ]
    for number in ((), (60,)):  # killed after its end, and after the second evaluation
        (out / "results.json").unlink()
        for one in number:
            shutil.rmtree(out / f"checkpoint-{one}")
        assert run(train, base) == 0
        assert results(out)["training"]["resumed"] and results(out)["training"]["steps"] == 80


def test_a_moved_run_still_ends_with_its_best_weights(corpus, tmp_path, capsys):
    out, moved = tmp_path / "out", tmp_path / "moved"
    base = ["--dataset_name", str(corpus), *SMALL_MODEL, *QUIET, "--learning_rate", "0", "--num_train_epochs", "3"]
    base += ["--save_total_limit", "3"]
    assert run(train, [*base, "--output_dir", str(out)]) == 0
    (out / "results.json").unlink()
    out.rename(moved)
    best, last = moved / "checkpoint-20", moved / "checkpoint-60"  # nothing was learnt: the first is the best
    zeros = {name: torch.zeros_like(value) for name, value in weights(last).items()}
    save_file(zeros, last / "model.safetensors", metadata={"format": "pt"})
    assert run(train, [*base, "--output_dir", str(moved)]) == 0
    expected, found = weights(best), weights(moved)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    (moved / "results.json").unlink()
    shutil.rmtree(best)
    shutil.move(moved, out)
    assert run(train, [*base, "--output_dir", str(out)]) == 2
    assert "checkpoint-20" in capsys.readouterr().err


def test_the_checkpoint_is_picked_by_the_metric_that_thresholds_are_tuned_for(corpus, tmp_path):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--max_steps", "20"]
    assert run(train, [*base, "--threshold_metric", "f1_macro"]) == 0
    found = results(out)
    assert found["thresholds"]["metric"] == "f1_macro"
    assert found["training"]["best_tuned_f1_macro"] == found["history"][-1]["eval_tuned_f1_macro"]


def test_a_new_model_of_texts_learns_at_a_rate_of_its_own(corpus, trained, tmp_path, capsys):
    """transformers' own rate is one of fine-tuning; a small new encoder learns nothing by it in a few epochs."""
    few = [
        "--dataset_name",
        str(corpus),
        "--output_dir",
        str(tmp_path / "out"),
        "--max_steps",
        "1",
        "--overwrite_output",
    ]
    few += ["--use_cpu", "true", "--report_to", "none", "--disable_tqdm", "true"]
    said = "learning_rate: 0.001, since none is given and the model is new"
    small = {"plant": ["--hidden_size", "8"], "sgm": ["--model_type", "sgm", "--hidden_size", "8", "--num_beams", "1"]}
    for words in small.values():
        assert run(train, [*few, *words]) == 0
        assert said in capsys.readouterr().err
        assert json.loads((tmp_path / "out" / "results.json").read_text())["recipe"]["learning_rate"] == 0.001
    transformer = [
        "--encoder",
        "transformer",
        "--hidden_size",
        "8",
        "--num_hidden_layers",
        "1",
        "--intermediate_size",
        "8",
    ]
    for words in (
        transformer,
        ["--hidden_size", "8", "--learning_rate", "5e-5"],
        ["--model_name_or_path", str(trained)],
    ):
        assert run(train, [*few, *words]) == 0
        assert "since none is given" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num_train_epochs", "-1"], "field 'num_train_epochs': found -1.0; accepted: 0 or more"),
        (["--per_device_train_batch_size", "0"], "field 'per_device_train_batch_size': found 0; accepted: 1 or more"),
        (["--gradient_accumulation_steps", "0"], "field 'gradient_accumulation_steps': found 0; accepted: 1 or more"),
        (["--text_column", "bdoy"], "field 'bdoy': no such column; found: 'id', 'text', 'labels', 'evidence'; accepted: a column name, said by text_column"),
        (["--model_type", "msdn", "--text_column", "text"], "the model reads table rows; accepted: an encoder of texts beside it, as --encoder convolution"),
        (["--model_type", "msdn", "--encoder", "mlp", "--text_column", "text"], "accepted: none beside --encoder mlp"),
    ],
)  # fmt: skip
def test_an_argument_that_can_not_be_is_one_line_before_anything_is_trained(corpus, tmp_path, capsys, words, message):
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_neither_tokens_nor_paths_are_recorded(corpus, trained, tmp_path):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--max_steps", "1"]
    assert run(train, [*base, "--hub_token", "hf_secret", "--learning-rate", "0.25"]) == 0
    for name in ("run.json", "results.json"):
        written = (out / name).read_text(encoding="utf-8")
        assert "hf_secret" not in written and str(tmp_path) not in written and str(corpus.parent) not in written
    assert results(out)["recipe"]["learning_rate"] == 0.25
    assert results(out)["recipe"]["dataset_name"] == corpus.name


def test_of_a_trained_model_the_loss_may_change_and_its_sizes_may_not(corpus, trained, tmp_path, capsys):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *QUIET, "--max_steps", "1"]
    base += ["--model_name_or_path", str(trained), "--max_length", "64"]
    assert run(train, [*base, "--hidden_size", "64"]) == 2
    assert "hidden_size" in capsys.readouterr().err
    assert run(train, [*base, "--loss", "focal"]) == 0
    loaded = load_model(str(out))
    assert loaded.model.config.loss == "focal" and loaded.tokenizer.model_max_length == 64


def test_a_pretrained_encoder_is_trained_in_full_precision(corpus, tmp_path):
    folder, out = tmp_path / "bert", tmp_path / "out"
    tokenizer = train_tokenizer(
        (json.loads(line)["text"] for line in (corpus / "train.jsonl").open(encoding="utf-8")), max_length=64
    )
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    backbone = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).half()
    backbone.save_pretrained(folder)
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *QUIET, "--max_length", "64"]
    assert run(train, [*base, "--text_encoder", str(folder), "--max_steps", "1", "--learning_rate", "1e-6"]) == 0
    saved = weights(out)
    name = "embeddings.word_embeddings.weight"
    assert saved[f"encoder.backbone.{name}"].dtype == torch.float32
    # one step of 1e-6 away from the pretrained weights: they were loaded, not initialised anew
    torch.testing.assert_close(
        saved[f"encoder.backbone.{name}"], backbone.state_dict()[name].float(), atol=2e-6, rtol=0
    )
    # further training reads as much of a text as the encoder can, though nobody says it again
    base = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "further"), *QUIET, "--max_steps", "1"]
    assert run(train, [*base, "--model_name_or_path", str(out)]) == 0


def test_a_label_file_brings_labels_that_training_never_saw(corpus, tmp_path):
    out, names = tmp_path / "out", sorted(DEMO_CODES)
    LabelSpace.from_names(names).save(tmp_path / "labels.json")
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--max_steps", "1"]
    assert run(train, [*base, "--label_file", str(tmp_path / "labels.json")]) == 0
    loaded = load_model(str(out))
    assert loaded.label_space.names == names and (loaded.label_space.counts == 0).any()


def test_the_test_split_is_not_opened_unless_it_is_to_be_measured(corpus, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(corpus, data)
    (data / "test.jsonl").write_text("this is no JSON\n", encoding="utf-8")
    base = ["--dataset_name", str(data), *SMALL_MODEL, *QUIET, "--max_steps", "1"]
    assert run(train, [*base, "--output_dir", str(out)]) == 0
    assert run(train, [*base, "--output_dir", str(tmp_path / "other"), "--do_predict", "true"]) == 2
    assert "test.jsonl, row 1" in capsys.readouterr().err


def test_a_checkpoint_cut_short_is_passed_over(corpus, tmp_path):
    out = tmp_path / "out"
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--num_train_epochs", "2"]
    assert run(train, base) == 0
    before = weights(out)
    last = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    state = last / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:100])
    (out / "results.json").unlink()
    assert run(train, base) == 0
    assert all(torch.equal(value, before[name]) for name, value in weights(out).items())


def test_two_processes_train_as_one(corpus, tmp_path):
    # plain SGD: Adam would blow the rounding of a nearly zero gradient up to a whole step
    same = ["--optim", "sgd", "--learning_rate", "0.5", "--word_dropout", "0", "--embedding_dropout", "0"]
    same += ["--hidden_dropout", "0", "--num_train_epochs", "2", "--max_grad_norm", "0"]
    same += ["--load_best_model_at_end", "false"]
    one, two = tmp_path / "one", tmp_path / "two"
    environment = _environment()
    single = _command(corpus, one, "--per_device_train_batch_size", "8", *same)
    subprocess.run(single, check=True, env=environment, capture_output=True)
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    double = _command(corpus, two, "--per_device_train_batch_size", "4", "--ddp_backend", "gloo", *same)
    done = subprocess.run(
        [double[0], *launcher, *double[1:]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert results(two)["training"]["processes"] == 2
    ours, theirs, after_one_epoch = weights(one), weights(two), weights(one / "checkpoint-20")
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(after_one_epoch[name], value) for name, value in ours.items())
    # what two processes gathered is what one counts: every validation row once (not so the evaluation loss, for which
    # transformers takes the rows that fill the last batch into account)
    output = tmp_path / "metrics.json"
    measured = ["--model", str(two), "--dataset_name", str(corpus), "--split", "validation", "--output", str(output)]
    assert run(evaluate, measured) == 0
    for name, value in json.loads(output.read_text(encoding="utf-8"))["metrics"].items():
        assert results(two)["validation"][name] == pytest.approx(value, abs=1e-6), name


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_bf16_and_label_ids_and_bpe_train_too(corpus, tmp_path):
    out = tmp_path / "out"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--max_steps", "3"]
    arguments += ["--bf16", "true", "--targets", "label_ids", "--tokenizer_kind", "bpe", "--pad_to_multiple_of", "8"]
    assert run(train, [*arguments, "--gradient_accumulation_steps", "2", "--threshold_kind", "global"]) == 0
    assert results(out)["validation"]["loss"] > 0
    assert isinstance(load_model(str(out)).model.config.thresholds, float)


def test_a_trained_model_can_be_trained_on(corpus, trained, tmp_path):
    out = tmp_path / "out"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *QUIET, "--max_steps", "2"]
    assert run(train, [*arguments, "--model_name_or_path", str(trained)]) == 0
    assert load_model(str(out)).label_space.names == load_model(str(trained)).label_space.names


def test_a_csv_of_texts_and_labels_becomes_a_model(tmp_path):
    lines = ["text,labels"] + [
        f'"{word} of the day, number {i}",{label}'
        for i in range(30)
        for word, label in (("wheat", "grain;wheat"), ("barrel", "crude"), ("profit", "earn"))
    ]
    file, out = tmp_path / "news.csv", tmp_path / "out"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["--dataset_name", str(file), "--output_dir", str(out), *SMALL_MODEL, *QUIET]
    assert run(train, [*arguments, "--num_train_epochs", "10"]) == 0
    assert load_model(str(out)).label_space.names == ["crude", "earn", "grain", "wheat"]
    assert results(out)["data"]["rows"] == {"train": 81, "validation": 9}
    assert results(out)["validation"]["f1_micro"] == 1.0


def test_refitting_trains_on_validation_rows_too_and_keeps_what_they_chose(corpus, trained, tmp_path):
    out = tmp_path / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), "--num_train_epochs", "2", "--refit", "true"]
    assert run(train, [*arguments, *SMALL_MODEL, *QUIET, "--do_predict", "true"]) == 0
    ours, before = results(out), results(trained)
    assert ours["thresholds"] == before["thresholds"]
    assert (
        ours["validation"]["f1_micro"] == before["validation"]["f1_micro"]
    )  # of the first model, whose test rows it saw not
    assert ours["refit"]["rows"] == 160 + 60
    assert ours["refit"]["epochs"] == before["training"]["best_step"] / before["training"]["steps"] * 2
    loaded = load_model(str(out))
    assert loaded.label_space.num_documents == 220
    assert loaded.model.config.thresholds == before["thresholds"]["thresholds"]
    assert not torch.equal(weights(out)["decoder.weight"], weights(trained)["decoder.weight"])
    assert not (out / "refit").exists()


def test_refitting_stops_where_the_first_training_was_best_and_resumes_in_the_same_place(corpus, tmp_path):
    # four epochs of ten steps; the plan's learning rate falls to 0, and the best epoch is not the last one by force
    steps = ["--per_device_train_batch_size", "16", "--num_train_epochs", "4", "--metric_for_best_model", "loss"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(
        _command(corpus, whole, *steps, "--refit", "true"), check=True, env=_environment(), capture_output=True
    )
    process = subprocess.Popen(
        _command(corpus, killed, *steps, "--refit", "true"),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("refit/checkpoint-*/trainer_state.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists()
    subprocess.run(
        _command(corpus, killed, *steps, "--refit", "true"), check=True, env=_environment(), capture_output=True
    )
    assert all(torch.equal(value, weights(killed)[name]) for name, value in weights(whole).items())


def test_a_second_training_is_not_done_twice_because_of_what_comes_after_it(corpus, tmp_path, capsys):
    data, out = shutil.copytree(corpus, tmp_path / "data"), tmp_path / "out"
    (data / "test.jsonl").rename(tmp_path / "test.jsonl")
    base = ["--dataset_name", str(data), "--output_dir", str(out), *SMALL_MODEL, *QUIET, "--num_train_epochs", "2"]
    base += ["--refit", "true", "--do_predict", "true", "--save_strategy", "steps", "--save_steps", "5"]
    base += ["--eval_strategy", "steps", "--eval_steps", "5"]
    (data / "test.jsonl").write_text("{\n", encoding="utf-8")
    assert run(train, base) == 2  # no row
    after_second = weights(out)
    (tmp_path / "test.jsonl").rename(data / "test.jsonl")
    assert run(train, base) == 0
    ours = results(out)
    assert ours["training"]["resumed"] and ours["refit"]["resumed"]
    assert ours["refit"]["seconds"] >= ours["refit"]["before_resuming"]["seconds"] > 0
    assert all(torch.equal(value, after_second[name]) for name, value in weights(out).items())
    assert not (out / "refit").exists()
    assert "validation, before the second training" in capsys.readouterr().err


def test_two_processes_refit_too(corpus, tmp_path):
    out = tmp_path / "out"
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    command = _command(corpus, out, "--ddp_backend", "gloo", "--num_train_epochs", "1", "--refit", "true")
    done = subprocess.run(
        [command[0], *launcher, *command[1:]], env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # 160 rows and 220 rows in batches of 8, two at a time
    assert (results(out)["training"]["steps"], results(out)["refit"]["steps"]) == (10, 14)
    assert load_model(str(out)).label_space.num_documents == 220


@pytest.mark.parametrize("scheduler", ["reduce_lr_on_plateau", "greedy"])
def test_a_learning_rate_that_waits_for_metrics_cannot_be_refitted(corpus, tmp_path, capsys, scheduler):
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "out"), "--refit", "true", *QUIET]
    assert run(train, [*arguments, "--lr_scheduler_type", scheduler]) == 2
    assert f"found {scheduler}, which a second training" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
