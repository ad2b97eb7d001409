"""Where runs happen: each in a process of its own, or one after the other in a shared one.

Started alone, a run's peak memory is the arm's and nothing is left from the run before; but starting costs some seconds of
imports, more than a small table takes to train. A shared process pays them once. If a run kills it, that run has failed and the
next one gets a fresh process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path


ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false"}


class Alone:
    """A process for every run."""

    def do(self, job_file: Path, log_file: Path) -> int:
        """Does the job in the file, what it prints going into the log; returns its exit status."""
        with log_file.open("w", encoding="utf-8") as log:
            process = subprocess.run(
                [sys.executable, "-m", "hf_mlc.comparing.one_run", str(job_file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT},
                check=False,
            )
        return process.returncode

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_) -> None:
        pass


class Shared(Alone):
    """One process for many runs (`hf_mlc.comparing.shared_runs`)."""

    def __init__(self):
        self._process: subprocess.Popen | None = None

    def do(self, job_file: Path, log_file: Path) -> int:
        """As [`Alone.do`]; of a run that ended the process, that process's exit status."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hf_mlc.comparing.shared_runs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **ENVIRONMENT},
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
