"""A cache of `datasets` for one piece of work, gone when that is done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets


@contextmanager
def own_cache() -> Iterator[None]:
    """Inside, `datasets` caches in a folder that is empty at first and gone afterwards: rows are read and encoded anew, and none of
    them stay in the user's cache."""
    kept = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="hf_mlc-cache-") as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = kept
