"""Pictures that the tests draw."""

from __future__ import annotations

import datasets
import pytest


pytest.importorskip("PIL", reason='Pillow is not installed (pip install "hf_mlc[images]")')


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
