"""Shared fixtures. Nothing here or below may touch the network."""

from __future__ import annotations

import os
from pathlib import Path


# before any Hugging Face library is imported: their constants are read at import
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest


ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("HF_MLC_DATA", ROOT / "../shared/data")).resolve()


@pytest.fixture
def real_data():
    """`real_data("reuters21578")` is that data set's folder; the test skips where it is not at hand."""

    def folder(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            pytest.skip(f"the data set {name} is not at hand (looked in {DATA}; set HF_MLC_DATA)")
        return path

    return folder
