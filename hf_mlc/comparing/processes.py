"""Where runs happen: each in a process of its own, or one after the other in a shared one.

Started alone, a run's peak memory is the arm's and nothing is left from the run before; but starting costs some seconds of
imports, more than a small table takes to train. A shared process pays them once. If a run kills it, that run has failed and the
next one gets a fresh process.

`python -m hf_mlc.comparing.processes` is the shared process. On standard input it is given a line a run, a JSON list of the job's
file and the log's; when the run has ended it writes the exit status that a process of the run's own would have had.

Both end with the process that started them: nobody would take what they made.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path


ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false"}
STARTER = "HF_MLC_STARTER"  # environment variable: the process that started a run


class Alone:
    """A process for every run."""

    def do(self, job_file: Path, log_file: Path) -> int:
        """Does the job in the file, what it prints going into the log; returns its exit status."""
        with log_file.open("w", encoding="utf-8") as log:
            process = subprocess.run(
                [sys.executable, "-m", "hf_mlc.comparing.one_run", str(job_file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                check=False,
            )
        return process.returncode

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_) -> None:
        pass


class Shared(Alone):
    """One process for many runs: `do_runs`."""

    def __init__(self):
        self._process: subprocess.Popen | None = None

    def do(self, job_file: Path, log_file: Path) -> int:
        """As [`Alone.do`]; of a run that ended the process, that process's exit status."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hf_mlc.comparing.processes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=_environment(),
            )
        log_file.touch()  # also where the process dies before it can open it
        try:
            self._process.stdin.write(json.dumps([str(job_file), str(log_file)]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            return self._end() or 1
        status = int(answer)
        if status not in (0, 2):  # a defect: what it left in the process should not meet the next run
            self._end()
        return status

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        status = process.wait()
        process.stdout.close()
        return status

    def __exit__(self, *_) -> None:
        self._end()


def _environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT, STARTER: str(os.getpid())}


def end_with_starter() -> None:
    """Ends this process within a second of the one that started it, also where that was killed in the middle of a run.

    Seen by the parent's number, which on Windows stays: there a run goes on to its end. The starter says its own number, because it may
    have ended while this process was importing.
    """
    starter = int(os.environ.get(STARTER) or os.getppid())

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(0.5)
        os._exit(1)  # threads of a training would keep a normal end waiting

    threading.Thread(target=watch, daemon=True).start()


def do_runs() -> None:
    """What the shared process does, until its input ends."""
    from hf_mlc.commands.running import run  # torch and transformers, that who starts the process need not wait for
    from hf_mlc.comparing.one_run import main as one_run

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    kept = os.dup(1), os.dup(2)
    for line in sys.stdin:
        job_file, log_file = json.loads(line)
        with open(log_file, "w", encoding="utf-8") as log:
            # the numbers, not the objects: what C code prints belongs in the log, too
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                status = run(one_run, [job_file])
            except Exception:  # a defect of ours, or of another's code, in this run; the caller is told by the status
                traceback.print_exc()
                status = 1
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
        gc.collect()
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    end_with_starter()
    do_runs()
