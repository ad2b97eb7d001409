"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def written_whole(path: str | Path, *, binary: bool = False) -> Iterator[IO]:
    """A text file (UTF-8), or a file of bytes, that appears under `path` only once everything was written.

    It is written beside its place and renamed at the end: after an error, or a kill, what was there before still is.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        how = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
        with beside.open(**how) as stream:
            yield stream
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
