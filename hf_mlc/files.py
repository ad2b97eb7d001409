"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
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
        try:
            beside.replace(path)
        except OSError as error:
            # a mount point, as a container has them of files too: only what it holds can be replaced
            if error.errno != errno.EBUSY:
                raise
            shutil.copyfile(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: str | Path, *, replaces: bool = False) -> Iterator[Path]:
    """A folder that appears under `path`, new or in the place of an empty one, only once everything was written.

    It is written beside its place, or beside the first folder of the path that is to be made, and renamed. A mount point, or a folder
    in one that can't be written into, can't be renamed: there it is written into a hidden folder inside, and what it holds is
    moved up, one by one. After an error nothing is left behind, and what was there before still is.

    Args:
        path (`str` or `Path`): where it is to be.
        replaces (`bool`, *optional*, defaults to `False`): take the place of a folder that holds something too.
    """
    path = Path(path).resolve()
    nearest = path
    while not nearest.parent.is_dir():
        nearest = nearest.parent
    place = path if path.is_dir() and not _can_be_renamed(path) else nearest.parent
    with tempfile.TemporaryDirectory(dir=place, prefix=f".{path.name}.") as hidden:
        inside, before = Path(hidden, "new", path.name), Path(hidden, "before")
        inside.mkdir(parents=True)
        yield inside
        path.parent.mkdir(parents=True, exist_ok=True)
        if place == path:
            _exchange_contents(path, inside, before, besides=Path(hidden), replaces=replaces)
            return
        try:
            _rename_over(path, inside, before, replaces=replaces)
        except OSError as error:
            if error.errno != errno.EBUSY:  # a mount of the same file system doesn't look like one
                raise
            _exchange_contents(path, inside, before, besides=None, replaces=replaces)


def _can_be_renamed(path: Path) -> bool:
    return not os.path.ismount(path) and os.access(path.parent, os.W_OK | os.X_OK)


def _rename_over(path: Path, inside: Path, before: Path, *, replaces: bool) -> None:
    """`inside` takes the place of `path`, which is kept as `before` where it holds something."""
    if not replaces or not path.exists() or not any(path.iterdir()):
        inside.replace(path)
        return
    path.replace(before)
    try:
        inside.replace(path)
    except OSError:
        before.replace(path)
        raise


def _exchange_contents(path: Path, inside: Path, before: Path, *, besides: Path | None, replaces: bool) -> None:
    """What `path` holds, `besides` one folder, goes into `before`, and what `inside` holds into `path`; after an error it goes back."""
    there = [child for child in path.iterdir() if child != besides]
    if there and not replaces:  # as renaming would say
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
    before.mkdir()
    moves = [(child, before / child.name) for child in there]
    moves += [(child, path / child.name) for child in sorted(inside.iterdir())]
    begun = []
    try:
        for source, target in moves:
            begun.append((source, target))
            _move(source, target)
    except BaseException:
        for source, target in reversed(begun):
            if os.path.lexists(target):  # under its name it is whole, and of its source a part may be gone
                _remove(source)
                _move(target, source)
            _remove(_on_its_way(target))
        raise


def _move(source: Path, target: Path) -> None:
    """Renames, or copies where that would be onto another mount; the target has its name once it is whole, and only then the source
    goes."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = _on_its_way(target)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, copy, symlinks=True)
        else:
            shutil.copy2(source, copy, follow_symlinks=False)
        copy.rename(target)
        _remove(source)


def _on_its_way(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
