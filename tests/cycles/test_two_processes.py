from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.cycles.two_processes import CASES, train_all


ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, Path]:
    """The folders of one process with batches of 8, and of two with batches of 4."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    done = subprocess.run(
        [sys.executable, *launcher, str(Path(__file__).with_name("two_processes.py")), str(two)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    train_all(one, batch_size=8)
    return one, two


@pytest.mark.parametrize("case", CASES)
def test_two_processes_come_to_the_weights_of_one(both, case):
    ours, theirs = (load_file(folder / case / "model.safetensors") for folder in both)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(
            theirs[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    first = load_file(both[0] / case / "checkpoint-5" / "model.safetensors")  # of the first of four epochs
    for name in ("classifier.weight", "encoder.embeddings.word_embeddings.weight", "residual.weight", "index_vectors"):
        assert (first[name] - ours[name]).abs().max() > 1e-3, f"{name} was trained no further"


@pytest.mark.parametrize("case", CASES)
def test_two_processes_write_the_shortlists_of_one_and_count_the_same_recall(both, case):
    negatives = CASES[case].get("negatives", "shortlist")
    for cycle in () if negatives == "all" else ("000", "001"):
        ours, theirs = (folder / case / "cycle" / cycle for folder in both)
        np.testing.assert_allclose(
            np.load(theirs / "vectors.npy"), np.load(ours / "vectors.npy"), rtol=1e-4, atol=1e-5
        )
        if negatives == "shortlist":
            assert np.array_equal(np.load(theirs / "shortlists.npy"), np.load(ours / "shortlists.npy"))
    counted = [json.loads((folder / case / "cycle" / "cycles.json").read_text(encoding="utf-8")) for folder in both]
    for mine, other in zip(*counted, strict=True):
        assert mine["cycle"] == other["cycle"]
        # against all labels a cycle is epochs alone, until the last
        assert ("validation" in mine) == (negatives != "all" or mine["cycle"] == "last")
        assert mine.get("validation", {}).get("recall@5") == other.get("validation", {}).get("recall@5")
