"""Sparse rows as a file in the extreme-classification repository's format ([`hf_mlc.data.sparse_text`])."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from hf_mlc.files import written_whole


def write_rows(
    file: str | Path,
    rows: Iterable[tuple[Sequence[int], Sequence[float], Sequence[int]]],
    shape: tuple[int, int, int],
) -> Path:
    """Writes `N V L` and a line a row, plain or, by the file's ending .gz, packed; whole or not at all.

    Args:
        file (`str` or `Path`): its folder is made if missing.
        rows (iterable of `(indices, values, label_ids)`): read once, one at a time; as many as `shape` says.
        shape (`(int, int, int)`): the numbers of rows, features and labels.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as raw:
        if file.suffix == ".gz":  # without name and time in the header, so that the same rows are the same bytes
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4) as stream:
                _write(stream, rows, shape)
        else:
            _write(raw, rows, shape)
    return file


def _write(stream, rows, shape) -> None:
    stream.write(f"{shape[0]} {shape[1]} {shape[2]}\n".encode())
    for indices, values, label_ids in rows:
        # seven digits are a float32's
        pairs = " ".join(f"{index}:{value:.7g}" for index, value in zip(_plain(indices), _plain(values), strict=True))
        stream.write(f"{','.join(map(str, _plain(label_ids)))} {pairs}\n".encode())


def _plain(values):
    return values.tolist() if hasattr(values, "tolist") else values
