"""Splits that are files on this machine: their rows checked one at a time, and stored in an Arrow file that is kept while they don't change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from hf_mlc.data.contents import FEATURES
from hf_mlc.data.contents.features import ALL, StoredOtherwise
from hf_mlc.data.finding import SPLITS
from hf_mlc.data.multi_hot import check_not_multi_hot
from hf_mlc.data.reading import (
    check_file,
    class_names_of,
    column_names_of,
    ending_of,
    format_of,
    read_raw_rows,
    shape_of,
)
from hf_mlc.data.rows import IDS_OR_COLUMNS, Columns, checked_row
from hf_mlc.data.storing import ROWS_VERSION, causes_raised, features_of, with_file
from hf_mlc.data.values import RowForm
from hf_mlc.errors import UserError


def load_file_splits(
    files_of: Mapping[str, list[Path]], columns: Columns, max_samples: Mapping[str, int], cache_dir: str | Path | None
) -> datasets.DatasetDict:
    """The rows of files, checked and stored.

    Args:
        files_of (`dict[str, list[Path]]`): the files of each split, in order.
        columns ([`Columns`]): which columns hold what.
        max_samples (`dict[str, int]`): the first so many rows of a split, by split.
        cache_dir (`str` or `Path`, *optional*): where the Arrow files are kept, instead of the cache of `datasets`.

    Raises:
        `UserError`: see the table of [`hf_mlc.data.loading`].
    """
    for files in files_of.values():
        for file in files:
            check_file(file)
    first = next((file for files in files_of.values() for file in files), None)
    if first is not None:
        columns = formed_of_file(first, columns)
    label_type = columns.content.label_type(columns)
    if label_type is None:
        label_type = _first_label_type([file for files in files_of.values() for file in files], columns)
    if label_type is int and not columns.content.gathers(columns):
        for split, files in files_of.items():
            rows = islice(iterate_rows(files[0], columns, label_type=int), max_samples.get(split))
            lists = (row["labels"] for row in rows)
            check_not_multi_hot(lists, file=str(files[0]), field=columns.labels, accepted=IDS_OR_COLUMNS)
    try:
        return _read_files(files_of, columns, label_type, max_samples, cache_dir)
    except StoredOtherwise as failure:
        return _read_files(files_of, failure.columns, label_type, max_samples, cache_dir)


def formed_of_file(file: Path, columns: Columns) -> Columns:
    """`columns` with what the first rows of a file say of how all rows are read and stored."""
    columns = _resolved(columns, file)
    return columns.content.formed(columns, read_raw_rows(file, columns), _row_form(file, columns))


def iterate_rows(
    file: str | Path, columns: Columns | None = None, *, label_type: type | None = None
) -> Iterator[dict[str, Any]]:
    """The checked rows of one local file, one at a time: `{"id": str, "text": str, "labels": list}` ([`checked_row`]).

    Args:
        file (`str` or `Path`): JSON Lines, CSV, Parquet or a text of sparse rows, plain or gzipped.
        columns ([`Columns`], *optional*): which columns hold what; with `Columns(labels=None)` the rows come without the
            key `labels` (texts to predict on).
        label_type (`type`, *optional*): `str` or `int`, where it is known.

    Raises:
        `UserError`: naming file, row and field, when the row at fault is reached.
    """
    check_file(file)
    columns = _resolved(columns or Columns(), file)
    form = _row_form(file, columns, label_type)
    for number, raw in columns.content.gathered(read_raw_rows(file, columns), columns, form):
        row = checked_row(raw, columns, form, row=number)
        if form.label_type is None and row.get("labels"):
            form = replace(form, label_type=type(row["labels"][0]))
        yield row


def _resolved(columns: Columns, file: str | Path) -> Columns:
    """`columns` with the file's own names in place of what stands for several; `UserError` where its format has no such columns."""
    if format_of(file) == "sparse" and columns.content is not FEATURES:
        has_rows = ending_of(file) != ".txt" or shape_of(file) is not None
        texts = f"{columns.content.noun} in .jsonl, .csv or .parquet"
        raise UserError(
            "holds sparse rows" if has_rows else "is a plain text",
            file=file,
            accepted=f"--encoder features, or {texts}" if has_rows else texts,
        )
    return columns.content.resolved(
        columns, column_names_of(file, of_all_rows=True) if ALL in columns.content_columns else (), file=file
    )


def _row_form(file: str | Path, columns: Columns, label_type: type | None = None) -> RowForm:
    return RowForm(
        file=file,
        is_csv=format_of(file) == "csv",
        is_json=format_of(file) == "jsonl",
        class_names=None if columns.label_columns else class_names_of(file, columns.labels),
        label_type=label_type,
        folder=Path(file).parent,
    )


def _read_files(
    files_of: Mapping[str, list[Path]],
    columns: Columns,
    label_type: type,
    max_samples: Mapping[str, int],
    cache_dir: str | Path | None,
) -> datasets.DatasetDict:
    loaded = datasets.DatasetDict()
    for split in SPLITS:
        if split not in files_of:
            continue
        files = files_of[split]
        stats = [file.stat() for file in files]
        with causes_raised():
            rows = datasets.Dataset.from_generator(
                _rows_of_files,
                features=features_of(label_type, columns),
                cache_dir=str(cache_dir) if cache_dir is not None else None,
                split=datasets.NamedSplit(split),
                # tuples: a list would be taken for shards. All of this is the key of the cache.
                gen_kwargs={
                    "files": tuple(str(file.resolve()) for file in files),
                    "shown_as": tuple(str(file) for file in files),
                    "columns": columns,
                    "label_type": label_type.__name__,
                    "most": max_samples.get(split),
                    "state": tuple((stat.st_size, stat.st_mtime_ns) for stat in stats),
                    "version": ROWS_VERSION,
                },
            )
        shown_as = str(files[0]) if len(files) == 1 else f"{files[0].parent}[{split}]"
        loaded[split] = with_file(rows, shown_as)
    return loaded


def _rows_of_files(
    files: tuple[str, ...],
    shown_as: tuple[str, ...],
    columns: Columns,
    label_type: str,
    most: int | None,
    state: tuple[tuple[int, int], ...],
    version: int,
) -> Iterator[dict[str, Any]]:
    """The generator behind a split; `files`, `state` and `version` only make the key of the cache change with them."""
    number = 0
    content = columns.content
    users: set[str] | None = set() if content.gathers(columns) and len(shown_as) > 1 else None
    for file in shown_as:
        number_before = number
        rows = iterate_rows(file, columns, label_type={"str": str, "int": int}[label_type])
        for row in islice(rows, None if most is None else most - number):
            number += 1
            if users is not None:
                if row["id"] in users:
                    accepted = "all rows of a user in one file, or one file"
                    raise UserError(f"'{row['id']}' stands in an earlier shard too", file=file, accepted=accepted)
                users.add(row["id"])
            row[content.column] = content.stored(row[content.column], columns)
            yield row
        if number == number_before and number != most:
            raise UserError("an empty file: no rows", file=file, accepted="at least one row")


def _first_label_type(files: Sequence[Path], columns: Columns) -> type:
    """`str` or `int`, as the first label of the first file that has one; a few rows are read for it."""
    for file in files:
        for row in iterate_rows(file, columns):
            if row["labels"]:
                return type(row["labels"][0])
    return str
