"""A process of a run's own, and one that several share: what becomes of runs that fail, and of its own end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest

from hf_mlc.comparing import runs
from hf_mlc.comparing.claim import find_claim
from hf_mlc.comparing.processes import STARTER, Alone, Shared


@pytest.fixture
def wrong(tmp_path):
    """The file of a job that no runner does."""
    rows = {
        "train": "", "validation": "", "labels": "", "measured": "", "split": "test", "text_column": [], "fingerprints": {},
        "num_train": 0,
    }  # fmt: skip
    job = {"runner": "nothing", "settings": {}, "rows": rows, "seed": 0, "environments": "", "where": {"model": ""}}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    return file


def test_a_run_in_a_process_of_its_own_leaves_its_status_and_what_it_printed(wrong, tmp_path):
    with Alone() as processes:
        assert processes.do(wrong, tmp_path / "log") == 2
        assert "hf-mlc: error" in (tmp_path / "log").read_text() and "'nothing'" in (tmp_path / "log").read_text()


def test_a_shared_process_goes_on_after_a_users_mistake_and_a_new_one_after_its_death(wrong, tmp_path):
    log = tmp_path / "log"
    with Shared() as processes:
        assert processes.do(wrong, log) == 2
        assert "hf-mlc: error" in log.read_text() and "'nothing'" in log.read_text()
        first = processes._process.pid
        assert processes.do(wrong, tmp_path / "second") == 2 and processes._process.pid == first
        assert (tmp_path / "second").read_text() == log.read_text()  # each log is its run's
        processes._process.kill()
        processes._process.wait()
        assert processes.do(wrong, tmp_path / "third") == -9
        # a defect: its traceback is in the log, and the next run will not meet what it left behind
        assert processes.do(tmp_path / "missing.json", log) == 1
        assert "FileNotFoundError" in log.read_text() and processes._process is None


@pytest.mark.skipif(sys.platform == "win32", reason="a parent's number stays on Windows")
def test_a_run_ends_with_the_process_that_started_it():
    run = (
        "import time; from hf_mlc.comparing.processes import end_with_starter; end_with_starter(); print('running', flush=True); "
        "time.sleep(600)"
    )
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {run!r}])"
    process = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "running\n"
    process.kill()
    assert process.communicate(timeout=60)[0] == ""  # the pipe is the run's too, and is closed when that has ended


@pytest.mark.skipif(sys.platform == "win32", reason="a parent's number stays on Windows")
def test_a_run_whose_starter_ended_before_it_could_look_ends_too():
    run = "import time; from hf_mlc.comparing.processes import end_with_starter; end_with_starter(); time.sleep(600)"
    # its parent is this process, which is not the one that is said to have started it
    environment = {**os.environ, STARTER: str(os.getpid() + 1)}
    assert subprocess.run([sys.executable, "-c", run], env=environment, timeout=60, check=False).returncode == 1


@pytest.mark.parametrize(("claim", "expected"), [("msdn", "Shared"), ("plant", "Alone")])
def test_runs_of_small_tables_share_a_process_and_others_have_their_own(claim, expected, notes, tmp_path, monkeypatch):
    made, found = [], find_claim(claim)
    for name in ("Alone", "Shared"):
        monkeypatch.setattr(runs, name, lambda name=name: nullcontext(made.append(name)))
    data = replace(found.own_data, name="notes", folder=str(notes))
    plan = runs.Plan(found, data, [], [], [None], "test", tmp_path, tmp_path / "lines.jsonl", {}, tmp_path)
    assert runs.run_all(plan, command=None) == ([], [])
    assert made == [expected]
