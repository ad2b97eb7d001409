"""Raw rows out of JSON Lines, CSV, Parquet files and texts of sparse rows, plain or gzipped, one at a time.

Each row comes with its number, counted from 1, so that whatever is wrong with it can be reported as FILE, row N: the
line in JSON Lines (blank lines are skipped, and counted), the record without the header in CSV, the row in Parquet and in
texts of sparse rows ([`hf_mlc.data.sparse_text`]).
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from hf_mlc.data.rows import Columns
from hf_mlc.data.sparse_text import Shape, shape_in, sparse_text_rows
from hf_mlc.errors import UserError


FORMATS = {
    **{".jsonl": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"},
    **{".txt": "sparse", ".svm": "sparse", ".libsvm": "sparse", ".svmlight": "sparse"},
}
_ACCEPTED = ", ".join(FORMATS) + ", each plain or with .gz"
_BOM = b"\xef\xbb\xbf"
# rows of a Parquet file that are Python objects at one time
_PARQUET_BATCH = 256


def format_of(file: str | Path) -> str | None:
    """`"jsonl"`, `"csv"`, `"parquet"` or `"sparse"` by the file's name; None for any other."""
    return FORMATS.get(ending_of(file))


def ending_of(file: str | Path) -> str:
    """The last ending of a file's name but .gz, in lower case: `.txt` for `rows.svm.TXT.gz`; empty where it has none."""
    path = Path(file)
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def stem_of(file: str | Path) -> str:
    """The file's name without the endings of its format: `train` for `train.jsonl.gz`."""
    name = Path(file).name
    for ending in (".gz", *FORMATS):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def check_file(file: str | Path):
    """`UserError` unless this is a file of a format that can be read."""
    path = Path(file)
    if not path.exists():
        raise UserError("no such file", file=path, accepted=_ACCEPTED)
    if not path.is_file():
        raise UserError("not a file", file=path, accepted=_ACCEPTED)
    if format_of(path) is None:
        raise UserError(
            f"unsupported file ending {''.join(path.suffixes) or '(none)'!r}", file=path, accepted=_ACCEPTED
        )


def read_raw_rows(file: str | Path, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields `(row number, {column: value})`; columns that nobody asked for may be left out.

    Raises:
        `UserError`: on a missing file, an unsupported ending, an archive that is broken or cut short, bytes that are
            no UTF-8, a line that is no JSON object, a CSV record of the wrong width, a broken Parquet file.
    """
    check_file(file)
    path = Path(file)
    readers = {"jsonl": _jsonl_rows, "csv": _csv_rows, "parquet": _parquet_rows, "sparse": _sparse_rows}
    yield from readers[format_of(path)](path, columns)


def column_names_of(file: str | Path, *, of_all_rows: bool = False) -> list[str]:
    """The columns of a file: of its header or schema; of JSON Lines the keys of the first row, or those of all rows, each where it
    comes first."""
    path = Path(file)
    if format_of(path) == "parquet":
        with _opened(path) as stream, _parquet_errors(path):
            return pq.ParquetFile(_seekable(stream, path)).schema_arrow.names
    if format_of(path) == "csv":
        try:
            return [name.strip() for name in next(_records(path), [])]
        except csv.Error as failure:
            raise UserError(f"not CSV ({failure})", file=path, row=1, accepted="quotes that are closed") from None
    if format_of(path) == "sparse":
        return ["features", "labels"]
    rows = _jsonl_rows(path, Columns())
    return list(dict.fromkeys(name for _, row in (rows if of_all_rows else islice(rows, 1)) for name in row))


def shape_of(file: str | Path) -> Shape | None:
    """What the first line of a text of sparse rows says of them; `None` where it says nothing, and of other files."""
    if format_of(file) != "sparse":
        return None
    return next((shape_in(line) for _, line in numbered_lines(Path(file))), None)


def class_names_of(file: str | Path, column: str | None) -> tuple[str, ...] | None:
    """The names behind a Parquet column `List(ClassLabel)`, which `datasets` keeps in the file's schema."""
    if column is None or format_of(file) != "parquet":
        return None
    with _opened(Path(file)) as stream, _parquet_errors(Path(file)):
        schema = pq.ParquetFile(_seekable(stream, Path(file))).schema_arrow
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = ((written.get("info") or {}).get("features") or {}).get(column)
    if feature is None or column not in schema.names:
        return None
    # of this column alone: others may be of types that `datasets` does not know
    return class_names_of_features(datasets.Features.from_dict({column: feature}), column)


def class_names_of_features(features: datasets.Features, column: str) -> tuple[str, ...] | None:
    inner = getattr(features.get(column), "feature", None)
    return tuple(inner.names) if isinstance(inner, datasets.ClassLabel) else None


# -- formats


def _jsonl_rows(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path):
        if line.strip():
            yield number, json_row(line, file=path, row=number)


def json_row(line: str, *, file: str | Path, row: int) -> dict[str, Any]:
    """The object on a line of JSON Lines, or a `UserError` that names file and row."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as failure:
        is_array = row == 1 and line.lstrip().startswith("[")
        problem = "a JSON array, not JSON Lines" if is_array else f"not JSON ({failure})"
        raise UserError(problem, file=file, row=row, accepted="one JSON object a line") from None
    if not isinstance(value, dict):
        problem = f"a JSON {_JSON_KIND[type(value)]} instead of an object"
        raise UserError(problem, file=file, row=row, accepted="one JSON object a line")
    return value


_JSON_KIND = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _csv_rows(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    records = _records(path)
    number = 0
    try:
        header = next(records, None)
        if header is None:
            return
        header = [name.strip() for name in header]
        for name in columns.wanted:
            if header.count(name) > 1:
                raise UserError("two columns of this name", file=path, field=name, accepted="each column name once")
        for number, record in enumerate(records, start=1):
            if not record:  # a blank line
                continue
            if len(record) != len(header):
                raise UserError(
                    f"{len(record)} fields under a header of {len(header)}",
                    file=path,
                    row=number,
                    accepted="as many fields as the header has, with quotes around one that holds the delimiter",
                )
            yield number, dict(zip(header, record, strict=True))
    except csv.Error as failure:
        raise UserError(f"not CSV ({failure})", file=path, row=number + 1, accepted="quotes that are closed") from None


def _records(path: Path) -> Iterator[list[str]]:
    """The records of a CSV, its header first."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # Python's default, 128 KiB, is shorter than a long note
    delimiter = "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes] else ","
    return csv.reader((line for _, line in numbered_lines(path)), delimiter=delimiter, strict=True)


def _parquet_rows(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    with _opened(path) as stream, _parquet_errors(path):
        parquet = pq.ParquetFile(_seekable(stream, path))
        found = parquet.schema_arrow.names
        read = found  # if something is missing, the message lists all that there are
        if set(columns.required) <= set(found):
            read = [name for name in found if name in columns.wanted]
        for batch in parquet.iter_batches(batch_size=_PARQUET_BATCH, columns=read):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _sparse_rows(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    return sparse_text_rows(numbered_lines(path), file=path, headed=ending_of(path) == ".txt")


# -- bytes


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines, decoded; line ends are kept, since a quoted CSV field may hold them."""
    number = 0
    with _opened(path) as stream:
        while True:
            try:
                line = stream.readline()
            except (EOFError, gzip.BadGzipFile, zlib.error) as failure:
                raise _bad_archive(path, failure, row=number + 1) from None
            if not line:
                return
            number += 1
            yield number, decoded_line(line, number, file=path)


def decoded_line(line: bytes, number: int, *, file: str | Path) -> str:
    """A line as text, without the byte order mark of a first line, or a `UserError` that names file and row."""
    if number == 1:
        line = line.removeprefix(_BOM)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise UserError(
            f"not UTF-8: byte 0x{line[failure.start]:02x} at position {failure.start} of line {number}",
            file=file,
            row=number,
            accepted="UTF-8 text",
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # noqa: SIM115
    except OSError as failure:
        raise UserError(f"cannot be opened ({failure.strerror})", file=path, accepted="a readable file") from None
    with stream:
        yield stream


def _seekable(stream: BinaryIO, path: Path) -> BinaryIO:
    """Parquet is read from its end: a gzipped one is unpacked to an unnamed temporary file first."""
    if path.suffix.lower() != ".gz":
        return stream
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115  (its reader owns it; it is gone when that is)
    try:
        shutil.copyfileobj(stream, unpacked)
    except (EOFError, gzip.BadGzipFile, zlib.error) as failure:
        raise _bad_archive(path, failure) from None
    unpacked.seek(0)
    return unpacked


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as failure:
        first_line = str(failure).partition("\n")[0]
        raise UserError(
            f"not readable as Parquet ({first_line})", file=path, accepted="a whole Parquet file"
        ) from None


def _bad_archive(path: Path, failure: Exception, *, row: int | None = None) -> UserError:
    what = "the archive is cut short" if isinstance(failure, EOFError) else f"not a sound gzip archive ({failure})"
    return UserError(what, file=path, row=row, accepted="a whole .gz file")
