"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from hf_mlc.errors import UserError


@contextlib.contextmanager
def written_whole(path: str | Path, *, binary: bool = False) -> Iterator[IO]:
    """A text file (UTF-8), or a file of bytes, that appears under `path` only once everything was written.

    It is written beside its place and renamed at the end: after an error, or a kill, what was there before still is. A link stays one, and
    what it points to is written; into what is no file, a pipe or a device, is written as one writes into these.
    """
    path = Path(path)
    how = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open(**how) as stream:
            yield stream
        return
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open(**how) as stream:
            yield stream
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: str | Path) -> Iterator[Path]:
    """A folder that appears under `path`, new or in the place of an empty one, only once everything was written.

    It is written beside its place, or beside the first folder of the path that is to be made: after an error nothing
    is left behind.
    """
    path = Path(path).resolve()
    nearest = path
    while not nearest.parent.is_dir():
        nearest = nearest.parent
    with tempfile.TemporaryDirectory(dir=nearest.parent, prefix=f".{path.name}.") as beside:
        inside = Path(beside, path.name)
        inside.mkdir()
        yield inside
        path.parent.mkdir(parents=True, exist_ok=True)
        inside.replace(path)


def check_new_folder(path: str | Path, *, field: str = "output") -> None:
    """`UserError` where something is in the way of a new folder; an empty one isn't."""
    path, accepted = Path(path), "a new or an empty folder"
    if path.exists() and not path.is_dir():
        raise UserError("is no folder", file=path, field=field, accepted=accepted)
    if path.exists() and (there := sorted(inside.name for inside in path.iterdir())):
        shown = ", ".join(there[:3]) + (", …" if len(there) > 3 else "")
        raise UserError(f"is not empty (it holds {shown})", file=path, field=field, accepted=accepted)


def write_files_once(contents: Mapping[Path, str]) -> None:
    """Writes files of made-up data, all into one folder; those that are there already with the same content are left alone.

    Args:
        contents (mapping of `Path` to `str`): the files, one at least, and what they hold; their folder is made if missing.

    Raises:
        `UserError`: the folder is a file, or holds one of the files with another content. Nothing is written then.
    """
    folder = next(iter(contents)).parent
    if folder.exists() and not folder.is_dir():
        raise UserError("is no folder", file=folder, accepted="a folder, or a path where one can be made")
    missing = {}
    for path, content in contents.items():
        if not path.exists():
            missing[path] = content
        elif not path.is_file() or path.read_bytes() != content.encode():
            raise UserError(
                "is there already, with another content",
                file=path,
                accepted="an empty folder, or one that holds these very files",
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in missing.items():
        with written_whole(path) as stream:
            stream.write(content)
