"""What the tests of commands over events share: arguments of small runs, and a run."""

from __future__ import annotations

import json
from pathlib import Path

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from tests.commands.conftest import QUIET


SMALL = [
    "--model_type",
    "lanet",
    "--embed_dim",
    "8",
    "--num_layers",
    "1",
    "--num_heads",
    "2",
    "--learning_rate",
    "0.01",
]
SMALL += ["--num_train_epochs", "4", "--do_predict", "true"]
# the columns of a long table of the demo, as arguments of `Columns` less their prefix, and as those of a command
TABLE = {"user": "customer", "time": "day", "label": "item", "amount": "quantity"}
LONG = [word for name, column in TABLE.items() for word in (f"--{name}_column", column)]


def train_on(source: Path, output: Path, *more: str) -> Path:
    """The folder of a small model, trained on a file or on a folder of splits."""
    data = ["--dataset_name" if source.is_dir() else "--train_file", str(source), "--output_dir", str(output)]
    assert run(train, [*SMALL, *data, *QUIET, *more]) == 0
    return output


def results_of(folder: Path) -> dict:
    """What `train` measured."""
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))
