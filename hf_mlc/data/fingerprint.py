"""What data a result was measured on, in one short string."""

from __future__ import annotations

import hashlib
import json

import datasets


def fingerprint(dataset: datasets.Dataset) -> str:
    """SHA-256 over the rows (id, text, labels) of a split, in order.

    It depends on nothing but those values: not on how Arrow cuts them, on caches, on other columns or on the machine.

    Returns:
        `str`: `"sha256:"` and 64 hexadecimal digits.
    """
    columns = [name for name in ("id", "text", "labels") if name in dataset.column_names]
    digest = hashlib.sha256()
    for batch in dataset.with_format(None).select_columns(columns).iter(batch_size=1000):
        for row in zip(*(batch[name] for name in columns), strict=True):
            # JSON in ASCII holds no bare line end, so one ends a row beyond doubt
            digest.update(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
    return f"sha256:{digest.hexdigest()}"
