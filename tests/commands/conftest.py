"""A small corpus and a small trained model, made once for the tests of commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data.demo_notes import write_demo_corpus
from hf_mlc.events.demo import generate_customers, write_demo_purchases


SMALL_MODEL = ["--hidden_size", "32", "--encoder", "bag_of_words", "--learning_rate", "0.01", "--max_length", "128"]
QUIET = ["--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Train, validation and test files of synthetic notes."""
    folder = tmp_path_factory.mktemp("corpus")
    write_demo_corpus(folder, num_train=160, num_validation=60, num_test=40)
    (folder / "label_descriptions.json").unlink()
    return folder


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory) -> Path:
    """The folder of a model trained for two epochs on `corpus`, test split read at the end."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(folder), "--num_train_epochs", "2"]
    assert run(train, [*arguments, *SMALL_MODEL, *QUIET, "--do_predict", "true"]) == 0
    return folder


@pytest.fixture
def copy_of(tmp_path):
    """`copy_of(folder)` is a copy that a test may spoil."""

    def copied(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / f"copy-of-{folder.name}"))

    return copied


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def purchases(tmp_path_factory) -> Path:
    """A long table of a made-up shop: 40 customers with 6 to 20 visits."""
    return write_demo_purchases(tmp_path_factory.mktemp("shop"), num_customers=40)["purchases"]


@pytest.fixture(scope="session")
def histories(tmp_path_factory) -> Path:
    """Train, validation and test files of the same shop, a line a customer; other customers in each."""
    folder = tmp_path_factory.mktemp("histories")
    customers = list(generate_customers(40))
    for split, part in (("train", customers[:24]), ("validation", customers[24:32]), ("test", customers[32:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def next_basket(purchases, tmp_path_factory) -> Path:
    """The folder of a small LANET, windowed, with amounts and user tokens, trained on `purchases`, split by time."""
    from tests.commands.event_runs import LONG, train_on  # it takes its constants from here

    return train_on(purchases, tmp_path_factory.mktemp("next-basket") / "model", "--user_tokens", "true", *LONG)
