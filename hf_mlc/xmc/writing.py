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
    lines = (
        f"{','.join(map(str, _plain(label_ids)))} {_pairs(indices, values)}" for indices, values, label_ids in rows
    )
    return _write(Path(file), lines, shape)


def write_matrix(
    file: str | Path, rows: Iterable[tuple[Sequence[int], Sequence[float]]], shape: tuple[int, int]
) -> Path:
    """As [`write_rows`], of rows without labels: `N V`, and features and values alone.

    Args:
        file (`str` or `Path`): its folder is made if missing.
        rows (iterable of `(indices, values)`): read once, one at a time; as many as `shape` says.
        shape (`(int, int)`): the numbers of rows and features.
    """
    return _write(Path(file), (_pairs(indices, values) for indices, values in rows), shape)


def _write(file: Path, lines: Iterable[str], shape: Sequence[int]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, binary=True) as raw:
        if file.suffix == ".gz":  # without name and time in the header, so that the same rows are the same bytes
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4) as stream:
                _write_lines(stream, lines, shape)
        else:
            _write_lines(raw, lines, shape)
    return file


def _write_lines(stream, lines: Iterable[str], shape: Sequence[int]) -> None:
    stream.write(f"{' '.join(map(str, shape))}\n".encode())
    for line in lines:
        stream.write(f"{line}\n".encode())


def _pairs(indices, values) -> str:
    # with nine digits a float32 is the same when it is read again
    return " ".join(f"{index}:{value:.9g}" for index, value in zip(_plain(indices), _plain(values), strict=True))


def _plain(values):
    return values.tolist() if hasattr(values, "tolist") else values
