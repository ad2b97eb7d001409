"""Publishing in processes of its own, many times in a second: one process imports everything, and forks for each job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data.demo_notes import write_demo_corpus
from tests.local_hub import LocalHub


# reads jobs from standard input, one JSON object a line; answers each with its exit status
_WORKER = """
import json, os, sys, time, traceback
import torch, hf_mlc, hf_mlc.cli
import hf_mlc.cards.writing, hf_mlc.commands.publish, hf_mlc.commands.train, hf_mlc.publishing.pushing
from hf_mlc.commands.running import run

def work(job):
    os.environ.update(job["environment"])
    if not job["patient"]:
        time.sleep = lambda seconds: None  # the client's retries, all of them, without the seconds between
    if not job["run_snippet"]:
        hf_mlc.cards.writing.printed_by_snippet = lambda facts: None
    if "words" in job:
        return run(hf_mlc.cli.importlib.import_module(f"hf_mlc.commands.{job['words'][0]}").main, job["words"][1:])
    sys.argv[1:] = job["arguments"]
    exec(compile(job["snippet"], "snippet", "exec"), {"__name__": "__main__"})
    return 0

print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if (child := os.fork()) == 0:
        status = 1
        try:
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(job[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
            status = work(job)
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


_UPLOAD = """
import json, pathlib, sys
from hf_mlc.commands.running import run
from hf_mlc.publishing import upload_staged
staged, repo_id, arguments = sys.argv[1:]
def upload(_):
    print(upload_staged(pathlib.Path(staged), repo_id, **json.loads(arguments)).url)
sys.exit(run(upload))
"""


class Outcome(NamedTuple):
    """How a job ended."""

    status: int
    stdout: str
    stderr: str


class Publisher:
    """One local Hub for many tests, each of which has a repository of its own there, and what publishes to it.

    Args:
        folder (`Path`): for the Hub's state and the processes' home.
    """

    def __init__(self, folder: Path):
        self.folder, self.count = folder, 0
        self.hub = LocalHub(folder / "hub")
        self.home = folder / "home"

    def __enter__(self) -> Publisher:
        self.hub.__enter__()
        self.home.mkdir()
        self.worker = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER],
            env=self.hub.environment(self.home, OMP_NUM_THREADS="1"),
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.worker.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_) -> None:
        self.worker.stdin.close()
        self.worker.wait(timeout=30)
        self.hub.__exit__()

    def repo_id(self) -> str:
        """The id of a repository that isn't there yet."""
        self.count += 1
        return f"org/model-{self.count}"

    def command(self, *words: object, patient: bool = True, run_snippet: bool = False, **environment: str) -> Outcome:
        """`hf-mlc WORDS`.

        Args:
            words (`object`): verb and arguments.
            patient (`bool`, *optional*, defaults to `True`): otherwise the client doesn't wait before it tries again.
            run_snippet (`bool`, *optional*, defaults to `False`): let cards show what their snippet prints, which takes
                seconds.
            environment (`str`): variables, the token among them.
        """
        return self._do({"words": [str(word) for word in words]}, patient, environment, run_snippet=run_snippet)

    def snippet(self, snippet: str, *arguments: object, patient: bool = True, **environment: str) -> Outcome:
        """A piece of Python; `arguments` are its `sys.argv[1:]`."""
        return self._do({"snippet": snippet, "arguments": [str(word) for word in arguments]}, patient, environment)

    def upload(
        self,
        staged: Path,
        repo_id: str,
        *,
        patient: bool = True,
        environment: dict[str, str] | None = None,
        **arguments: object,
    ) -> Outcome:
        """`upload_staged`: all of `publish` but the making of the folder; prints the page's address."""
        given = json.dumps(arguments)
        return self.snippet(_UPLOAD, staged, repo_id, given, patient=patient, **(environment or {}))

    def _do(self, job: dict, patient: bool, environment: dict[str, str], *, run_snippet: bool = False) -> Outcome:
        job |= {"patient": patient, "environment": environment, "run_snippet": run_snippet}
        job |= {name: str(self.folder / name) for name in ("stdout", "stderr")}
        self.worker.stdin.write(json.dumps(job) + "\n")
        self.worker.stdin.flush()
        status = int(self.worker.stdout.readline())
        return Outcome(status, *((self.folder / name).read_text() for name in ("stdout", "stderr")))


@pytest.fixture(scope="session")
def one_publisher(tmp_path_factory):
    with Publisher(tmp_path_factory.mktemp("publisher")) as publisher:
        yield publisher


@pytest.fixture
def publisher(one_publisher):
    """The session's `Publisher`, with no fault left over and an empty log."""
    one_publisher.hub.repair()
    one_publisher.hub.requests.clear()
    yield one_publisher
    assert one_publisher.hub.strays == []


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory) -> Path:
    """Some of the notes of `make demo`."""
    folder = tmp_path_factory.mktemp("demo-corpus")
    write_demo_corpus(folder, num_train=120, num_validation=40, num_test=40)
    return folder


@pytest.fixture(scope="session")
def demo_model(demo_corpus, tmp_path_factory) -> Path:
    """What `train` writes: the demo's recipe in small."""
    folder = tmp_path_factory.mktemp("demo-model") / "model"
    assert run(train, [*train_words(demo_corpus, folder), "--do_predict", "true"]) == 0
    return folder


def train_words(corpus: Path, folder: Path, *more: str) -> list[str]:
    """Arguments of a run that takes a few seconds."""
    small = "--hidden_size 16 --max_length 64 --learning_rate 0.01 --num_train_epochs 2 --threshold_kind global"
    quiet = "--disable_tqdm true --report_to none --use_cpu true"
    return ["--dataset_name", str(corpus), "--output_dir", str(folder), *small.split(), *quiet.split(), *more]
