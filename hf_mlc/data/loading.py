"""A data set from the Hub, from local files or in memory, as a `DatasetDict` of `train` / `validation` / `test`.

Every split has the columns `id` (string), `text` (string) and `labels` (a list of strings, or of int64 where the data
holds ids); where the rows are no texts ([`hf_mlc.data.contents`]), their own column takes the place of `text`: of pictures
(`Columns(image=...)`) `image`: `{"path", "bytes"}`, undecoded; of tables (`Columns(features=...)`) `features`; of histories
(`Columns(events=...)`, or `Columns(event_user=...)` of a long table) `events`. Local files are streamed row by row into an
Arrow file in the cache of `datasets`, so memory does not grow with them (a long table's entries apart, which are kept as numbers), and
every row is checked on the way; a file that has not changed is not read again.

Where the rows are is found by [`hf_mlc.data.finding`]; they are read and stored by [`hf_mlc.data.file_splits`] and
[`hf_mlc.data.hub_splits`]; those that are in memory are taken up by [`hf_mlc.data.memory_splits`].

What is decided about rows that are not as one would wish (counts: [`~hf_mlc.data.checking.DataReport`]):

| case | answer |
| --- | --- |
| a line that is no JSON, no object; a CSV record of the wrong width; bytes that are no UTF-8 | error: file, row |
| an archive or a Parquet file that is broken or cut short, an empty file, an unsupported ending | error: file |
| a column that is not there; a text or labels that are null; a label that is no string or integer | error: file, row, field |
| strings and integers mixed as labels | error: file, row, field |
| lists of zeros and ones, all of one length above 2, where names or ids belong | error: file, field |
| a picture that is not there, is no picture, is an address on the net | error: file, row, field |
| a label column that holds something else than 0 or 1 | error: file, row, field |
| a history: a time, a label or an amount that is none, an event without labels, amounts of some events only | error: file, row, field |
| events out of order; several at one time; a label twice in an event | sorted; merged; merged, amounts added; the first two counted |
| a history without events | kept and counted; its user has no target |
| of a text of sparse rows, a first line that lies, a label or feature out of range, features out of order | error: file, row |
| table rows of another width than the first, a feature that is not there, an infinite number | error: file, row, field |
| empty text | kept and counted; the model gets no evidence |
| empty label set | kept and counted; a row of zeros |
| a label twice in a row | merged when encoded; counted |
| white space around the labels of a separated string; nothing between two separators | stripped; no label |
| white space around the labels of a list | kept: part of the name |
| an id that is no string or integer | error where its column was named: file, row, field; else kept as a string, of null the row's number |
| an id twice in a split; a training text that stands in another split too | kept; counted, with a warning |
| no label in the whole training split | error |
| one label in the whole training split | allowed, with a warning |
| training labels that look like lists in one string, or differ in capitals or white space alone | kept, with a warning |
| a label in validation or test that the label space lacks | counted and skipped; an error with `strict=True` |
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from hf_mlc.data.file_splits import formed_of_file, load_file_splits
from hf_mlc.data.finding import check_split_names, files_of_splits, is_local, training_file
from hf_mlc.data.hub_splits import column_names_of_hub, formed_of_hub, load_hub_splits
from hf_mlc.data.memory_splits import ACCEPTED, is_in_memory, load_memory_splits
from hf_mlc.data.reading import check_file, column_names_of
from hf_mlc.data.rows import Columns
from hf_mlc.errors import MissingSplitError, UserError


if TYPE_CHECKING:
    import pandas as pd

_ONE_SOURCE = "either dataset_name or train_file / validation_file / test_file"


def load_splits(
    dataset_name: str
    | Path
    | pd.DataFrame
    | datasets.Dataset
    | Mapping[str, pd.DataFrame | datasets.Dataset]
    | None = None,
    *,
    config_name: str | None = None,
    revision: str | None = None,
    train_file: str | Path | None = None,
    validation_file: str | Path | None = None,
    test_file: str | Path | None = None,
    columns: Columns | None = None,
    splits: Sequence[str] | Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
    max_samples: Mapping[str, int] | None = None,
    cache_dir: str | Path | None = None,
) -> datasets.DatasetDict:
    """Loads the splits of a data set.

    Args:
        dataset_name (`str`, `Path`, `pandas.DataFrame`, `datasets.Dataset` or a `dict` of the last two, *optional*):
            a local file (which is then the training split), a local folder with a file a split, or a Hub id; or rows in memory,
            which are the training split too, or by the names of their splits (a `DatasetDict`). In a folder, on the Hub and in a dict,
            splits are found by name: `train*`, `valid*` / `val*` / `dev*`, `test*`; a file may be cut into shards
            (`train-00000-of-00002.parquet`). Pictures in memory are in the rows, or their files relative to `Columns.image_folder`.
        config_name (`str`, *optional*): the configuration of a Hub data set.
        revision (`str`, *optional*): its commit, branch or tag.
        train_file, validation_file, test_file (`str` or `Path`, *optional*): local files, instead of `dataset_name`.
        columns ([`Columns`], *optional*): which columns hold text, labels and ids.
        splits (`list[str]` or `dict[str, str]`, *optional*): which of `train`, `validation`, `test` to read; the
            others are not opened. As a dict it also says what they are called in the data:
            `{"train": "staylevel.train"}`. Without it: all there are, among them `train`.
        skip (`list[str]`, *optional*): splits that are not to be opened even where they are there.
        max_samples (`dict[str, int]`, *optional*): the first so many rows of a split, by split.
        cache_dir (`str` or `Path`, *optional*): where the Arrow files are kept, instead of the cache of `datasets`.

    Returns:
        `datasets.DatasetDict`: in the order train, validation, test.

    Raises:
        `UserError`: see the table at the top of this file.
    """
    columns = columns or Columns()
    if columns.labels is None:
        raise UserError("no labels column", field="labels", accepted="a column name")
    max_samples = dict(max_samples or {})
    check_split_names([*(splits or ()), *skip, *max_samples])
    for split, most in max_samples.items():
        if most < 1:
            raise UserError(f"{most} rows of {split}", field="max_samples", accepted="1 or more")
    given = {"train": train_file, "validation": validation_file, "test": test_file}
    files = {split: [Path(file)] for split, file in given.items() if file is not None}
    if (dataset_name is None) == (not files):
        raise UserError(
            "no data set" if not files else "both a data set and files of splits",
            field="dataset_name",
            accepted=_ONE_SOURCE,
        )
    if dataset_name is not None:
        in_memory = is_in_memory(dataset_name)
        if not in_memory and not isinstance(dataset_name, (str, os.PathLike)):
            raise UserError(f"found {type(dataset_name).__name__}", field="dataset_name", accepted=ACCEPTED)
        if not in_memory and not is_local(dataset_name):
            return load_hub_splits(
                str(dataset_name), config_name, revision, columns, splits, skip, max_samples, cache_dir
            )
        for name, value in (("config_name", config_name), ("revision", revision)):
            if value is not None:
                where = "rows in memory" if in_memory else "files on this machine"
                raise UserError(
                    f"found '{value}', which {where} don't have",
                    file=None if in_memory else dataset_name,
                    field=name,
                    accepted=f"a Hub id, or {where.split()[0]} without it",
                )
        if in_memory:
            return load_memory_splits(dataset_name, columns, splits, skip, max_samples)
        files = files_of_splits(Path(dataset_name), splits)
    elif splits is not None:
        if missing := [split for split in splits if split not in files]:
            raise MissingSplitError(f"no file for the split {missing[0]!r}", accepted=f"{missing[0]}_file")
        files = {split: files[split] for split in files if split in splits}
    files = {split: found for split, found in files.items() if split not in skip}
    return load_file_splits(files, columns, max_samples, cache_dir)


def formed_columns(
    dataset_name: str | Path | None = None,
    *,
    config_name: str | None = None,
    revision: str | None = None,
    train_file: str | Path | None = None,
    columns: Columns,
) -> Columns:
    """`columns` with what the first training rows of a data set say of how all rows are read and stored.

    Args:
        dataset_name, config_name, revision, train_file: as [`load_splits`] takes them.
        columns ([`Columns`]): which columns hold what.

    Raises:
        `UserError`: no such data set, no training split; the first rows can't be read.
    """
    if dataset_name is None or is_local(dataset_name):
        file = training_file(dataset_name, train_file)
        if file is None:
            raise UserError("no data set", field="dataset_name", accepted=_ONE_SOURCE)
        check_file(file)
        return formed_of_file(file, columns)
    return formed_of_hub(str(dataset_name), config_name, revision, columns)


def column_names(
    dataset_name: str | Path, split: str, *, config_name: str | None = None, revision: str | None = None
) -> list[str]:
    """The columns that a split of a data set has; of JSON Lines the keys of the first row.

    Args:
        dataset_name, config_name, revision: as [`load_splits`] takes them.
        split (`str`): `train`, `validation` or `test`.

    Raises:
        `UserError`: no such data set, no such split.
    """
    if is_local(dataset_name):
        file = files_of_splits(Path(dataset_name), [split])[split][0]
        check_file(file)
        return column_names_of(file)
    return column_names_of_hub(str(dataset_name), config_name, revision, split)
