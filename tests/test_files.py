"""Files that appear whole or not at all, in the place of a file, a link, or what is neither."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from hf_mlc.files import folder_written_whole, written_whole


def test_after_an_error_what_was_there_still_is(tmp_path):
    file = tmp_path / "found.txt"
    file.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), written_whole(file) as stream:
        stream.write("new")
        raise ZeroDivisionError
    assert file.read_text(encoding="utf-8") == "old" and os.listdir(tmp_path) == ["found.txt"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link.txt", tmp_path / "there" / "target.txt"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    with written_whole(link) as stream:
        stream.write("new")
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "new"


def test_into_a_pipe_is_written(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    with written_whole(pipe) as stream:
        stream.write("found")
    reader.join(timeout=30)
    assert read == ["found"] and pipe.is_fifo()


def no_renaming_of(monkeypatch, *places: Path) -> None:
    """As the kernel does with mount points: neither these folders or files can be renamed, nor others over them."""
    rename = os.replace

    def replace(source, target, **more):
        if {Path(source), Path(target)} & set(places):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(source), None, str(target))
        rename(source, target, **more)

    monkeypatch.setattr(os, "replace", replace)


@pytest.fixture(params=["mount point", "mount point of the same file system", "folder of others"])
def fixed(request, tmp_path, monkeypatch) -> Path:
    """An empty folder that can be written into, but not renamed."""
    folder = tmp_path / "out"
    folder.mkdir()
    no_renaming_of(monkeypatch, folder)
    if request.param == "mount point":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    elif request.param == "folder of others":
        allowed, make = os.access, os.mkdir

        def mkdir(path, *more, **named):
            if Path(path).parent == tmp_path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            make(path, *more, **named)

        monkeypatch.setattr(os, "mkdir", mkdir)
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and allowed(path, mode))
    return folder


def filled(folder: Path, word: str) -> None:
    (folder / "rows").mkdir()
    (folder / "rows" / "train.txt").write_text(word, encoding="utf-8")
    (folder / f"{word}.txt").write_text(word, encoding="utf-8")


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in files}


def test_into_a_folder_that_cannot_be_renamed_its_content_is_moved(fixed, tmp_path):
    number = fixed.stat().st_ino
    with folder_written_whole(fixed) as inside:
        filled(inside, "new")
        assert contents(fixed).keys() & {"new.txt", "rows/train.txt"} == set()  # nothing is there before all is
    assert contents(fixed) == {"new.txt": "new", "rows/train.txt": "new"}
    assert fixed.stat().st_ino == number and os.listdir(tmp_path) == ["out"] and len(os.listdir(fixed)) == 2


def test_in_such_a_folder_too_what_was_there_is_replaced_when_asked_and_never_else(fixed):
    filled(fixed, "old")
    with pytest.raises(OSError, match="not empty"), folder_written_whole(fixed) as inside:
        filled(inside, "new")
    assert contents(fixed) == {"old.txt": "old", "rows/train.txt": "old"} and len(os.listdir(fixed)) == 2
    with folder_written_whole(fixed, replaces=True) as inside:
        filled(inside, "new")
    assert contents(fixed) == {"new.txt": "new", "rows/train.txt": "new"} and len(os.listdir(fixed)) == 2


@pytest.mark.parametrize("fails", ["the work", "the last move"])
def test_after_an_error_such_a_folder_holds_what_it_did(fixed, monkeypatch, fails):
    filled(fixed, "old")
    if fails == "the last move":
        rename, copy = os.rename, shutil.copyfile

        def other_device(source, target, **more):
            if Path(target).parent == fixed and "new" in Path(source).parts:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target, **more)

        def full_disk(source, target, **more):  # "rows" comes after "new.txt", and has its folder by now
            copy(source, target, **more)
            if Path(source).name == "train.txt" and "new" in Path(source).parts:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "rename", other_device)
        monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises((ZeroDivisionError, OSError)), folder_written_whole(fixed, replaces=True) as inside:
        filled(inside, "new")
        if fails == "the work":
            raise ZeroDivisionError
    assert contents(fixed) == {"old.txt": "old", "rows/train.txt": "old"} and len(os.listdir(fixed)) == 2


@pytest.mark.parametrize("interrupted", ["old", "new"])
def test_nothing_is_lost_where_a_copy_is_there_and_its_source_half_gone(fixed, monkeypatch, interrupted):
    """Onto another mount moving is copying, then removing, and both can be cut short."""
    filled(fixed, "old")
    (fixed / "rows" / "test.txt").write_text("old", encoding="utf-8")
    rename, remove, cut = os.rename, shutil.rmtree, []

    def other_device(source, target, **more):
        if Path(source).suffix != ".part" and fixed in (Path(source).parent, Path(target).parent):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **more)

    def stopped(folder, *more, **named):
        is_old = Path(folder).parent == fixed
        if Path(folder).name == "rows" and is_old == (interrupted == "old") and not cut:
            cut.append(folder)
            Path(folder, "train.txt").unlink()
            raise KeyboardInterrupt
        remove(folder, *more, **named)

    monkeypatch.setattr(os, "rename", other_device)
    monkeypatch.setattr(shutil, "rmtree", stopped)
    with pytest.raises(KeyboardInterrupt), folder_written_whole(fixed, replaces=True) as inside:
        filled(inside, "new")
    assert cut and contents(fixed) == {"old.txt": "old", "rows/train.txt": "old", "rows/test.txt": "old"}
    assert len(os.listdir(fixed)) == 2


def test_a_file_that_is_a_mount_point_gets_the_content(tmp_path, monkeypatch):
    file = tmp_path / "found.txt"
    file.write_text("old, and longer", encoding="utf-8")
    no_renaming_of(monkeypatch, file)
    number = file.stat().st_ino
    with written_whole(file) as stream:
        stream.write("new")
    assert file.read_text(encoding="utf-8") == "new" and file.stat().st_ino == number
    assert os.listdir(tmp_path) == ["found.txt"]
