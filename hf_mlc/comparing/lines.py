"""The lines of a comparison's file, one finished run each: written as runs end, and what a run cut short goes on from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.metrics.buckets import BUCKETS, is_measured


# what the tables are made of
_READ = ("metrics", "documents", "fingerprint", "train_seconds", "predict_ms", "model_bytes")
_KEY = ("claim", "dataset", "arm", "seed", "train_size", "split", "settings")


def key_of(line: Mapping[str, Any]) -> tuple:
    """What tells one run from another: two lines of one key are of the same run."""
    return tuple(line[name] for name in _KEY)


def newest(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of several lines of one run, which differ in settings or rows, the last; each in the place of the first."""
    found = {tuple(line[name] for name in _KEY if name != "settings"): line for line in lines}
    return list(found.values())


def unmeasured_buckets(metrics: Iterable[str], lines: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The metrics by training documents of a label that no line has anything of, since no measured document has such a label; by
    bucket.

    Args:
        metrics (iterable of `str`): names of metrics: `"f1_micro"`, `"f1_macro@1-5"`.
        lines (iterable of `dict`): of the runs.
    """
    found, measured = {}, [line["metrics"] for line in lines]
    for name in metrics:
        _, at, bucket = name.rpartition("@")
        if not at or bucket not in BUCKETS:
            continue
        # a number other than 0 is one of some document, whatever else a line has
        if not any(values.get(name) or is_measured(bucket, values) for values in measured):
            found.setdefault(bucket, []).append(name)
    return found


def settings_hash(*settings: Any) -> str:
    """Twelve hexadecimal digits of all that decides a run besides its name and seed."""
    written = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(written.encode("utf-8")).hexdigest()[:12]


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """The runs in a file, none where there is no file; a last line without its end was being written when the machine
    stopped, and is left out.

    Raises:
        `UserError`: another line is no JSON object of a run.
    """
    path = Path(path)
    if not path.exists():
        return []
    lines = []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    for row, text in enumerate(whole, start=1):
        try:
            line = json.loads(text)
            key_of(line), [line[name] for name in _READ]
        except (ValueError, KeyError, TypeError):
            raise UserError("no line of a comparison", file=path, row=row, accepted="what `compare` wrote") from None
        lines.append(line)
    return lines


def append_line(path: str | Path, line: Mapping[str, Any]) -> None:
    """Adds one run at the end of the file, in the place of a half-written one."""
    path = Path(path)
    with path.open("ab+") as stream:
        stream.seek(0)
        content = stream.read()
        stream.truncate(content.rfind(b"\n") + 1)
        stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
