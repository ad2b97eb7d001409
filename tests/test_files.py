"""Files that appear whole or not at all, in the place of a file, a link, or what is neither."""

from __future__ import annotations

import os
import threading

import pytest

from hf_mlc.files import written_whole


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
