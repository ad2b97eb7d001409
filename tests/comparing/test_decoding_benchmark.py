"""The benchmark of decoding counts what it says it counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_sgm_takes_as_many_steps_as_labels_and_one_and_a_chain_asks_every_label():
    pytest.importorskip("sklearn")
    script = Path(__file__).parents[2] / "benchmarks" / "decoding.py"
    words = ["--labels", "8", "40", "--cardinality", "1", "3", "--documents", "3", "--width", "8", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, env=environment, check=True
    )
    found = json.loads(done.stdout)
    assert [(row["labels"], row["cardinality"], row["steps"]) for row in found["sgm"]] == [
        (8, 1, 2),
        (8, 3, 4),
        (40, 1, 2),
        (40, 3, 4),
    ]
    assert [(row["labels"], row["steps"]) for row in found["classifier-chain"]] == [(8, 8), (40, 40)]
