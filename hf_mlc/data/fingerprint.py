"""What data a result was measured on, in one short string."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import datasets


def fingerprint(dataset: datasets.Dataset) -> str:
    """SHA-256 over the rows (id, text, labels) of a split, in order.

    It depends on nothing but those values: not on how Arrow cuts them, on caches, on other columns or on the machine. A
    picture counts by its file's name without folders and its size in bytes: reading a hundred thousand of them
    takes minutes, and a folder is one machine's.

    Returns:
        `str`: `"sha256:"` and 64 hexadecimal digits.
    """
    columns = [name for name in ("id", "text", "image", "labels") if name in dataset.column_names]
    digest = hashlib.sha256()
    for batch in dataset.with_format(None).select_columns(columns).iter(batch_size=1000):
        for row in zip(*(batch[name] for name in columns), strict=True):
            row = [_picture(value) if name == "image" else value for name, value in zip(columns, row, strict=True)]
            # JSON in ASCII holds no bare line end, so one ends a row beyond doubt
            digest.update(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _picture(image: dict[str, Any]) -> list[Any]:
    content, path = image["bytes"], image["path"]
    return [os.path.basename(path or ""), os.path.getsize(path) if content is None else len(content)]
