"""Ctrl-C: one line that says how a training goes on, and the exit status that shells give."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.quick import fit
from hf_mlc.training.trainer import MultiLabelTrainer
from tests.commands.conftest import QUIET, SMALL_MODEL


SAVING = ["--save_strategy", "steps", "--save_steps", "2", "--eval_strategy", "steps", "--eval_steps", "2"]


@pytest.fixture
def stopped_in(monkeypatch):
    """`stopped_in(step)` has Ctrl-C pressed in that step of the trainings that follow, counted over all of them."""
    step_of_training = MultiLabelTrainer.training_step

    def stopped(last: int) -> None:
        done = iter(range(1, last))

        def step(*args, **kwargs):
            if next(done, None) is None:
                raise KeyboardInterrupt
            return step_of_training(*args, **kwargs)

        monkeypatch.setattr(MultiLabelTrainer, "training_step", step)

    yield stopped
    monkeypatch.undo()


def said(capsys) -> str:
    """The line that is printed last; no other is a traceback's."""
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return printed.splitlines()[-1]


def test_a_command_that_is_stopped_says_so_in_one_line(capsys):
    def stopped(arguments):
        raise KeyboardInterrupt

    assert run(stopped, []) == 130
    assert capsys.readouterr().err == "hf-mlc: stopped\n"


def test_ctrl_c_ends_a_process_with_the_status_of_shells(trained):
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_mlc.cli", "predict", "--model", str(trained), "--top_k", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # of jobs in the background it is ignored
    )
    process.stdin.write(json.dumps({"text": "shortness of breath"}) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == "1"  # it waits for the next line
    process.send_signal(signal.SIGINT)
    printed = process.communicate()[1]
    assert process.returncode == 130 and printed.splitlines()[-1] == "hf-mlc: stopped" and "Traceback" not in printed


def test_a_training_says_from_which_checkpoint_the_same_command_goes_on(
    corpus, tmp_path, stopped_in, capsys, monkeypatch
):
    out = tmp_path / "out"
    words = [
        "--dataset_name",
        str(corpus),
        "--output_dir",
        str(out),
        *SMALL_MODEL,
        *QUIET,
        *SAVING,
        "--max_steps",
        "6",
    ]
    stopped_in(2)
    assert run(train, words) == 130
    begins_anew = f"hf-mlc: stopped; there is no whole checkpoint in {out} yet: the same command starts over"
    assert said(capsys) == begins_anew
    stopped_in(4)
    assert run(train, words) == 130
    assert said(capsys) == f"hf-mlc: stopped; the same command goes on from {out / 'checkpoint-2'}"
    stopped_in(2)  # of what is left; it may be stopped again
    assert run(train, [*words, "--resume_from_checkpoint", str(out / "checkpoint-2")]) == 130
    further = "the same command with --resume_from_checkpoint last goes on from"
    assert said(capsys) == f"hf-mlc: stopped; {further} {out / 'checkpoint-2'}"
    stopped_in(3)
    assert run(train, [*words, "--overwrite_output"]) == 130
    further = "the same command without --overwrite_output goes on from"
    assert said(capsys) == f"hf-mlc: stopped; {further} {out / 'checkpoint-2'}"
    monkeypatch.undo()
    assert run(train, words) == 0
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["training"]["resumed"]


def test_a_second_training_goes_on_from_checkpoints_of_its_own(corpus, tmp_path, stopped_in, capsys, monkeypatch):
    out = tmp_path / "out"
    words = ["--dataset_name", str(corpus), "--output_dir", str(out), *SMALL_MODEL, *QUIET, *SAVING]
    # 160 rows are four steps, and with the 60 validation rows six
    words += ["--per_device_train_batch_size", "40", "--num_train_epochs", "1"]
    words += ["--load_best_model_at_end", "false", "--refit", "true"]
    stopped_in(4 + 3)
    assert run(train, words) == 130
    assert said(capsys) == f"hf-mlc: stopped; the same command goes on from {out / 'refit' / 'checkpoint-2'}"
    monkeypatch.undo()
    assert run(train, words) == 0
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["refit"]["resumed"]


def test_of_a_folder_that_is_gone_nothing_is_said(stopped_in):
    arguments = {"embed_dim": 8, "num_train_epochs": 1, "disable_tqdm": True, "use_cpu": True}
    stopped_in(1)
    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(["wheat", "oil", "gold", "tin"] * 5, [["a"], ["b"], ["c"], ["a", "b"]] * 5, **arguments)
    assert not stopped.value.args
