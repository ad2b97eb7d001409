"""What a command does around its work: a user's mistake is one line and exit status 2; files appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from huggingface_hub.errors import HFValidationError, StrictDataclassError
from transformers.utils import logging

from hf_mlc.errors import UserError


logger = logging.get_logger(__name__)


def run(command: Callable[[list[str]], None], arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    A `UserError`, or a configuration value that transformers refuses, is printed as one line; anything else is a defect
    of ours and keeps its traceback.
    """
    try:
        command(sys.argv[1:] if arguments is None else arguments)
    except (UserError, StrictDataclassError, HFValidationError) as error:
        sys.stderr.write(f"hf-mlc: error: {' '.join(str(error).split())}\n")
        return 2
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[IO[str]]:
    """A text file that appears under `path` only once everything was written; an error leaves what was there before."""
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError("no such folder", file=path.parent, field="output")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as stream:
            yield stream
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes one JSON object, indented, whole or not at all."""
    with written_whole(path) as stream:
        json.dump(content, stream, ensure_ascii=False, indent=2)
        stream.write("\n")


def say(text: str) -> None:
    """One message of a command to its user, on standard error: standard output is for results."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
