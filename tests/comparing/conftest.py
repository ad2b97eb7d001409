"""One small comparison, run once: two arms, two seeds, on a corpus that the package writes itself. Every comparison of these
tests has its runs in one process: a start is seconds of imports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from hf_mlc.comparing import runs
from hf_mlc.comparing.processes import Shared
from hf_mlc.data.demo_notes import write_demo_corpus


RECIPE = """\
model_type: plant
encoder: bag_of_words
hidden_size: 16
learning_rate: 0.02
max_length: 64
num_train_epochs: 2
per_device_train_batch_size: 16
threshold_kind: global
use_cpu: true
"""


@pytest.fixture(scope="session", autouse=True)
def _one_process() -> Iterator[None]:
    """In place of a process a run, and of one a comparison; both are tested in test_processes.py."""
    with Shared() as process, pytest.MonkeyPatch.context() as patch:
        for name in ("Alone", "Shared"):
            patch.setattr(runs, name, lambda: nullcontext(process))
        yield


class Compared(NamedTuple):
    """A finished comparison: where it lies and the arguments that made it."""

    output: Path
    arguments: list[str]


@pytest.fixture(scope="session")
def notes(tmp_path_factory) -> Path:
    """A folder with 120 training and 40 test notes, and no validation split."""
    folder = tmp_path_factory.mktemp("notes")
    write_demo_corpus(folder, num_train=120, num_validation=1, num_test=40)
    (folder / "validation.jsonl").unlink()
    (folder / "label_descriptions.json").unlink()
    return folder


@pytest.fixture(scope="session")
def finished(notes, tmp_path_factory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    output = folder / "claims.jsonl"
    arguments = ["plant", "--dataset", str(notes), "--recipe", str(folder / "recipe.yaml"), "--seeds", "2"]
    arguments += ["--arms", "plant-plain,tfidf-svm", "--resamples", "200", "--output"]
    assert run(compare, [*arguments, str(output)]) == 0
    return Compared(output, arguments)


@pytest.fixture
def compared(finished, tmp_path) -> Compared:
    """A copy that a test may spoil."""
    output = tmp_path / "claims.jsonl"
    shutil.copy(finished.output, output)
    shutil.copytree(finished.output.with_name("claims.scores"), tmp_path / "claims.scores")
    return Compared(output, [*finished.arguments, str(output)])
