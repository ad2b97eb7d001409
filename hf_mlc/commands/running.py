"""What a command does around its work: a user's mistake is one line and exit status 2; outputs are checked beforehand."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError, StrictDataclassError
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole


logger = logging.get_logger(__name__)


def run(command: Callable[[list[str]], None], arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0 when the work is done, 2 after a user's mistake, 130 after Ctrl-C.

    A `UserError`, a configuration value that transformers refuses, or a full disk is printed as one line, and so is what a
    command says of itself where it is stopped, as the message of the `KeyboardInterrupt`; anything else is a defect of ours
    and keeps its traceback.
    """
    try:
        command(sys.argv[1:] if arguments is None else arguments)
    except (UserError, StrictDataclassError, HFValidationError) as error:
        line = " ".join(str(error).split())
        # of a refused configuration the user need not know which of its checks refused it
        line = re.sub(r"^Class validation error for validator '\w+': \w+: ", "", line)
        # nor of a broken picture which of the loader's processes opened it
        line = re.sub(r"^Caught \w+ in DataLoader worker process \d+\. .*? hf_mlc\.errors\.\w+: ", "", line)
        sys.stderr.write(f"hf-mlc: error: {line}\n")
        return 2
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"hf-mlc: error: {where}no space left on the disk; accepted: a disk with room\n")
        return 2
    except KeyboardInterrupt as stopped:
        begun = (
            "\n" if sys.stderr.isatty() else ""
        )  # a terminal has written ^C, and perhaps a progress bar, in the line
        sys.stderr.write(begun + "; ".join(["hf-mlc: stopped", *map(str, stopped.args)]) + "\n")
        return 130  # as shells say that a command was ended by it
    return 0


def check_output_folder(path: str | Path, *, field: str = "output_dir") -> None:
    """`UserError` unless `path` is a folder that can be written into, or one can be made there; makes nothing."""
    path = Path(path)
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        problem = "is no folder" if nearest == path else f"can't be made: {nearest} is no folder"
        raise UserError(problem, file=path, field=field, accepted="a folder, or a path where one can be made")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"no right to write in {nearest}", file=path, field=field, accepted="a folder to write into")


def check_output_file(path: str | Path, *, field: str = "output") -> None:
    """`UserError` unless a file can be written at `path`, in a folder that is there; writes nothing."""
    path = Path(path)
    if path.is_dir():
        raise UserError("is a folder", file=path, field=field, accepted="a file's path")
    if not path.parent.is_dir():
        raise UserError("no such folder", file=path.parent, field=field, accepted="a file's path in a folder")
    check_output_folder(path.parent, field=field)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes one JSON object, indented, whole or not at all."""
    with written_whole(path) as stream:
        json.dump(content, stream, ensure_ascii=False, indent=2)
        stream.write("\n")


def say(text: str) -> None:
    """One message of a command to its user, on standard error: standard output is for results."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
