"""Files of two rows, and what loading them gives or says."""

from __future__ import annotations

import gzip
import json

import pytest

from hf_mlc.data.loading import load_splits
from hf_mlc.errors import UserError


ROWS = [{"id": "x", "text": "one", "labels": ["b", "a"]}, {"id": "y", "text": "zwei ü", "labels": []}]


def jsonl(path, rows):
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def loaded(path, **arguments):
    return load_splits(path, **arguments)["train"].to_list()


def error_of(path, **arguments) -> str:
    with pytest.raises(UserError) as caught:
        load_splits(path, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}/", "")
