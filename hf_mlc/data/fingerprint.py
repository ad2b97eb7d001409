"""What data a result was measured on, in one short string."""

from __future__ import annotations

import hashlib
import json

import datasets

from hf_mlc.data.contents import CONTENTS


def fingerprint(dataset: datasets.Dataset) -> str:
    """SHA-256 over the rows (id, text or what else they hold, labels) of a split, in order.

    It depends on nothing but those values: not on how Arrow cuts them, on caches, on other columns or on the machine. Of a
    picture, say, less counts than it holds ([`Content.printed`][hf_mlc.data.contents.content.Content.printed]).

    Returns:
        `str`: `"sha256:"` and 64 hexadecimal digits.
    """
    columns = [name for name in ("id", *CONTENTS, "labels") if name in dataset.column_names]
    digest = hashlib.sha256()
    for batch in dataset.with_format(None).select_columns(columns).iter(batch_size=1000):
        for row in zip(*(batch[name] for name in columns), strict=True):
            row = [
                CONTENTS[name].printed(value) if name in CONTENTS else value
                for name, value in zip(columns, row, strict=True)
            ]
            # JSON in ASCII holds no bare line end, so one ends a row beyond doubt
            digest.update(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
    return f"sha256:{digest.hexdigest()}"
