"""A data set from the Hub or from local files, as a `DatasetDict` of `train` / `validation` / `test`.

Every split has the columns `id` (string), `text` (string) and `labels` (a list of strings, or of int64 where the data
holds ids); where the rows are no texts ([`hf_mlc.data.contents`]), their own column takes the place of `text`: of pictures
(`Columns(image=...)`) `image`: `{"path", "bytes"}`, undecoded; of tables (`Columns(features=...)`) `features`; of histories
(`Columns(events=...)`, or `Columns(event_user=...)` of a long table) `events`. Local files are streamed row by row into an
Arrow file in the cache of `datasets`, so memory does not grow with them (a long table's entries apart, which are kept as numbers), and
every row is checked on the way; a file that has not changed is not read again.

What is decided about rows that are not as one would wish (counts: [`~hf_mlc.data.checking.DataReport`]):

| case | answer |
| --- | --- |
| a line that is no JSON, no object; a CSV record of the wrong width; bytes that are no UTF-8 | error: file, row |
| an archive or a Parquet file that is broken or cut short, an empty file, an unsupported ending | error: file |
| a column that is not there; a text or labels that are null; a label that is no string or integer | error: file, row, field |
| strings and integers mixed as labels | error: file, row, field |
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
| an id twice in a split; a training text that stands in another split too | kept; counted, with a warning |
| no label in the whole training split | error |
| one label in the whole training split | allowed, with a warning |
| a label in validation or test that the label space lacks | counted and skipped; an error with `strict=True` |
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from hf_mlc.data.contents import FEATURES
from hf_mlc.data.contents.features import ALL, StoredOtherwise
from hf_mlc.data.hub import load_from_hub
from hf_mlc.data.reading import (
    FORMATS,
    check_file,
    class_names_of,
    class_names_of_features,
    column_names_of,
    ending_of,
    format_of,
    read_raw_rows,
    shape_of,
    stem_of,
)
from hf_mlc.data.rows import Columns, checked_row
from hf_mlc.data.values import RowForm
from hf_mlc.errors import MissingSplitError, UserError


SPLITS = ("train", "validation", "test")

# what a file or a Hub split is called, followed by nothing or by a character that is no letter
_SPLIT_NAME = {
    "train": r"train(?:ing)?",
    "validation": r"valid(?:ation)?|val|dev(?:elopment)?",
    "test": r"test(?:ing)?",
}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
# after a name: nothing else, the number of a shard apart
_IS_WHOLE = r"(?:-\d{5}-of-\d{5})?$"
# part of the cache key: raise it when the rows that come out of the same file change
_ROWS_VERSION = 2


def load_splits(
    dataset_name: str | Path | None = None,
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
        dataset_name (`str` or `Path`, *optional*): a local file (which is then the training split), a local folder
            with a file a split, or a Hub id. In a folder, and on the Hub, splits are found by name: `train*`,
            `valid*` / `val*` / `dev*`, `test*`; a file may be cut into shards (`train-00000-of-00002.parquet`).
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
    _check_split_names([*(splits or ()), *skip, *max_samples])
    for split, most in max_samples.items():
        if most < 1:
            raise UserError(f"{most} rows of {split}", field="max_samples", accepted="1 or more")
    given = {"train": train_file, "validation": validation_file, "test": test_file}
    files = {split: [Path(file)] for split, file in given.items() if file is not None}
    if (dataset_name is None) == (not files):
        raise UserError(
            "no data set" if not files else "both a data set and files of splits",
            field="dataset_name",
            accepted="either dataset_name or train_file / validation_file / test_file",
        )
    if dataset_name is not None:
        if not _is_local(dataset_name):
            return _from_hub(str(dataset_name), config_name, revision, columns, splits, skip, max_samples, cache_dir)
        for name, value in (("config_name", config_name), ("revision", revision)):
            if value is not None:
                raise UserError(
                    f"found '{value}', which files on this machine don't have",
                    file=dataset_name,
                    field=name,
                    accepted="a Hub id, or files without it",
                )
        files = _files_of(Path(dataset_name), splits)
    elif splits is not None:
        if missing := [split for split in splits if split not in files]:
            raise MissingSplitError(f"no file for the split {missing[0]!r}", accepted=f"{missing[0]}_file")
        files = {split: files[split] for split in files if split in splits}
    files = {split: found for split, found in files.items() if split not in skip}
    return _from_files(files, columns, max_samples, cache_dir)


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
        columns, column_names_of(file) if ALL in columns.content_columns else (), file=file
    )


def _row_form(file: str | Path, columns: Columns, label_type: type | None = None) -> RowForm:
    return RowForm(
        file=file,
        is_csv=format_of(file) == "csv",
        class_names=None if columns.label_columns else class_names_of(file, columns.labels),
        label_type=label_type,
        folder=Path(file).parent,
    )


def _check_split_names(names: Sequence[str]):
    for name in names:
        if name not in SPLITS:
            raise UserError(f"unknown split {name!r}", field="splits", accepted=", ".join(SPLITS))


# -- local files


def _is_local(name: str | Path) -> bool:
    text = str(name)
    if Path(name).exists():
        return True
    # these can be no Hub id: a path with a mistake in it should not be looked for on the Hub
    looks_like_a_path = isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1
    if looks_like_a_path or format_of(text) is not None:
        raise UserError("no such file or folder", file=name, accepted="a local file, a local folder or a Hub id")
    return False


def _files_of(path: Path, splits: Sequence[str] | Mapping[str, str] | None) -> dict[str, list[Path]]:
    if path.is_file():
        check_file(path)
        if splits is None:
            return {"train": [path]}
        if len(splits) != 1:
            raise UserError("one file, several splits asked for", file=path, field="splits", accepted="one split")
        return {next(iter(splits)): [path]}
    found = sorted(file for file in path.iterdir() if file.is_file() and format_of(file) is not None)
    files_of: dict[str, list[Path]] = {}
    for split in SPLITS:
        name, ending = _SPLIT_NAME[split], r"(?![A-Za-z])"
        if isinstance(splits, Mapping):
            name, ending = re.escape(splits.get(split, "")), _IS_WHOLE
        matching = [file for file in found if re.match(f"(?:{name}){ending}", stem_of(file), re.IGNORECASE)]
        if matching := _without_other_texts(matching, f"(?:{name}){_IS_WHOLE}"):
            files_of[split] = matching
    wanted = ("train",) if splits is None else splits
    listing = ", ".join(file.name for file in found) or f"no file ending in {', '.join(FORMATS)}"
    for split in wanted:
        if split not in files_of:
            raise MissingSplitError(
                f"no file of the split {split!r}; found: {listing}",
                file=path,
                accepted="files called train*, validation* / valid* / val* / dev* and test*",
            )
    files_of = {split: files for split, files in files_of.items() if splits is None or split in splits}
    for split, files in files_of.items():
        if len(files) > 1 and not _are_shards(files):
            raise UserError(
                f"several files of the split {split!r}: {', '.join(file.name for file in files)}",
                file=path,
                accepted=f"one, or {split}_file or splits={{{split!r}: NAME}} to choose one",
            )
    return files_of


def _without_other_texts(files: list[Path], whole_name: str) -> list[Path]:
    """A .txt may be anything. It is rows if its first line says so, and taken for rows where it is called as the split is and
    no file of another format is: then what is wrong with it is said when it is read."""
    of_rows = [file for file in files if ending_of(file) != ".txt"]
    return [
        file
        for file in files
        if file in of_rows
        or _says_rows(file)
        or (not of_rows and re.match(whole_name, stem_of(file), re.IGNORECASE) is not None)
    ]


def _says_rows(file: Path) -> bool:
    try:
        return shape_of(file) is not None
    except UserError:
        return False


def _are_shards(files: list[Path]) -> bool:
    """Whether these are all of `NAME-00000-of-0000N`, in order."""
    places = [_SHARD.search(stem_of(file)) for file in files]
    if not all(places):
        return False
    names = {stem_of(file)[: place.start()] for file, place in zip(files, places, strict=True)}
    return len(names) == 1 and [(int(p[1]), int(p[2])) for p in places] == [(i, len(files)) for i in range(len(files))]


def _from_files(
    files_of: Mapping[str, list[Path]], columns: Columns, max_samples: Mapping[str, int], cache_dir: str | Path | None
) -> datasets.DatasetDict:
    for files in files_of.values():
        for file in files:
            check_file(file)
    first = next((file for files in files_of.values() for file in files), None)
    if first is not None:
        columns = _formed_of_file(first, columns)
    label_type = columns.content.label_type(columns)
    if label_type is None:
        label_type = _first_label_type([file for files in files_of.values() for file in files], columns)
    try:
        return _read_files(files_of, columns, label_type, max_samples, cache_dir)
    except StoredOtherwise as failure:
        return _read_files(files_of, failure.columns, label_type, max_samples, cache_dir)


def _formed_of_file(file: Path, columns: Columns) -> Columns:
    columns = _resolved(columns, file)
    return columns.content.formed(columns, read_raw_rows(file, columns), _row_form(file, columns))


def _from_file(split: datasets.Dataset, shown_as: str) -> datasets.Dataset:
    """The split itself, which now says where its rows come from ([`file_of`]), and so does every choice of its rows."""
    split.info.description = shown_as
    return split


def file_of(split: datasets.Dataset, name: str) -> str:
    """The file, the folder or the Hub data set that the rows of a split were loaded from, for error messages.

    Args:
        split (`datasets.Dataset`): as [`load_splits`] gives it, or some of its rows.
        name (`str`): what it is called where it came from somewhere else.
    """
    return split.info.description or name


def training_file(dataset_name: str | Path | None = None, train_file: str | Path | None = None) -> Path | None:
    """The first file of training rows, where they are files on this machine.

    Args:
        dataset_name, train_file: as [`load_splits`] takes them.
    """
    if dataset_name is None:
        return None if train_file is None else Path(train_file)
    return _files_of(Path(dataset_name), ["train"])["train"][0] if _is_local(dataset_name) else None


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
    if dataset_name is None or _is_local(dataset_name):
        file = training_file(dataset_name, train_file)
        check_file(file)
        return _formed_of_file(file, columns)
    raw = load_from_hub(str(dataset_name), config_name, revision=revision)
    name = _hub_split(raw, "train", None)
    if name is None:
        raise MissingSplitError(
            f"no split 'train'; found: {', '.join(raw)}", file=dataset_name, accepted="a data set with one"
        )
    return _formed_of_hub(raw[name], columns, shown_as=f"{dataset_name}[{name}]")


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
    if _is_local(dataset_name):
        file = _files_of(Path(dataset_name), [split])[split][0]
        check_file(file)
        return column_names_of(file)
    raw = load_from_hub(str(dataset_name), config_name, revision=revision)
    name = _hub_split(raw, split, None)
    return [] if name is None else raw[name].column_names


@contextlib.contextmanager
def causes_raised() -> Iterator[None]:
    """What a generator of rows raised, in place of what `datasets` makes of it."""
    try:
        yield
    except datasets.exceptions.DatasetGenerationError as failure:
        if isinstance(failure.__cause__, (UserError, StoredOtherwise)):
            raise failure.__cause__ from None
        raise


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
                features=_features(label_type, columns),
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
                    "version": _ROWS_VERSION,
                },
            )
        shown_as = str(files[0]) if len(files) == 1 else f"{files[0].parent}[{split}]"
        loaded[split] = _from_file(rows, shown_as)
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


def _features(label_type: type, columns: Columns) -> datasets.Features:
    label = datasets.Value("int64" if label_type is int else "string")
    content = columns.content
    return datasets.Features(
        {"id": datasets.Value("string"), content.column: content.feature(columns), "labels": datasets.List(label)}
    )


# -- the Hub


def _from_hub(
    name: str,
    config_name: str | None,
    revision: str | None,
    columns: Columns,
    splits: Sequence[str] | Mapping[str, str] | None,
    skip: Sequence[str],
    max_samples: Mapping[str, int],
    cache_dir: str | Path | None,
) -> datasets.DatasetDict:
    raw = load_from_hub(name, config_name, revision=revision, cache_dir=cache_dir)
    names = {split: _hub_split(raw, split, splits) for split in SPLITS}
    wanted = ("train",) if splits is None else splits
    for split in wanted:
        if names[split] is None:
            raise MissingSplitError(
                f"no split {split!r}; found: {', '.join(raw)}", file=name, accepted="splits={'train': NAME}"
            )
    asked = [split for split in (SPLITS if splits is None else splits) if split not in skip]
    chosen = [split for split in SPLITS if names[split] is not None and split in asked]
    data_of = {split: raw[names[split]] for split in chosen}
    makes_rows = columns.content.gathers(columns)
    for split in () if makes_rows else set(chosen) & set(max_samples):
        data_of[split] = data_of[split].select(range(min(max_samples[split], len(data_of[split]))))
    shown_as = {split: f"{name}[{names[split]}]" for split in chosen}
    if chosen:  # the first split says which columns are read and how all are stored
        columns = _formed_of_hub(data_of[chosen[0]], columns, shown_as=shown_as[chosen[0]])

    def checked(columns: Columns) -> datasets.DatasetDict:
        return datasets.DatasetDict(
            {
                split: _checked_hub_split(
                    data_of[split],
                    columns,
                    shown_as=shown_as[split],
                    most=max_samples.get(split) if makes_rows else None,
                )
                for split in chosen
            }
        )

    try:
        return checked(columns)
    except StoredOtherwise as failure:
        return checked(failure.columns)


def _hub_split(raw: datasets.DatasetDict, split: str, splits: Sequence[str] | Mapping[str, str] | None) -> str | None:
    if isinstance(splits, Mapping):
        return splits.get(split) if splits.get(split) in raw else None
    if split in raw:
        return split
    matching = [name for name in raw if re.fullmatch(_SPLIT_NAME[split], name)]
    return matching[0] if len(matching) == 1 else None


def _formed_of_hub(data: datasets.Dataset, columns: Columns, *, shown_as: str) -> Columns:
    columns = columns.content.resolved(columns, data.column_names, file=shown_as)
    data = _wanted_of_hub(data, columns)
    return columns.content.formed(columns, enumerate(data, start=1), _hub_form(data, columns, shown_as))


def _wanted_of_hub(data: datasets.Dataset, columns: Columns) -> datasets.Dataset:
    if set(columns.required) <= set(data.column_names):  # else the message lists all that there are
        data = data.select_columns([name for name in data.column_names if name in columns.wanted])
    return columns.content.of_hub(data, columns)


def _hub_form(data: datasets.Dataset, columns: Columns, shown_as: str) -> RowForm:
    class_names = None if columns.label_columns else class_names_of_features(data.features, columns.labels)
    inner = getattr(data.features.get(columns.labels), "feature", None)
    is_integer = class_names is None and not columns.label_columns and "int" in str(getattr(inner, "dtype", ""))
    label_type = columns.content.label_type(columns) or (int if is_integer else None)
    return RowForm(file=shown_as, class_names=class_names, label_type=label_type)


def _checked_hub_split(
    data: datasets.Dataset, columns: Columns, *, shown_as: str, most: int | None = None
) -> datasets.Dataset:
    if len(data) == 0:
        raise UserError("an empty split: no rows", file=shown_as, accepted="at least one row")
    data = _wanted_of_hub(data, columns)
    form = _hub_form(data, columns, shown_as)
    if columns.content.gathers(columns):
        return _from_file(_gathered_hub_split(data, columns, form, most), shown_as)
    checked = data.map(
        _checked_batch,
        batched=True,
        with_indices=True,
        remove_columns=data.column_names,
        features=_features(form.label_type or str, columns),
        fn_kwargs={"columns": columns, "form": form},
        desc=f"Checking {shown_as}",
    )
    return _from_file(checked, shown_as)


def _gathered_hub_split(data: datasets.Dataset, columns: Columns, form: RowForm, most: int | None) -> datasets.Dataset:
    """A split of which several rows make one; `most` counts what is made."""
    with causes_raised():
        return datasets.Dataset.from_generator(
            _gathered_rows,
            features=_features(form.label_type or str, columns),
            gen_kwargs={"data": data, "columns": columns, "form": form, "most": most, "version": _ROWS_VERSION},
        )


def _gathered_rows(
    data: datasets.Dataset, columns: Columns, form: RowForm, most: int | None, version: int
) -> Iterator[dict[str, Any]]:
    """The generator behind it; `version` only makes the key of the cache change with it."""
    content = columns.content
    for number, raw in islice(content.gathered(enumerate(data, start=1), columns, form), most):
        row = checked_row(raw, columns, form, row=number)
        row[content.column] = content.stored(row[content.column], columns)
        yield row


def _checked_batch(
    batch: Mapping[str, list[Any]], indices: list[int], *, columns: Columns, form: RowForm
) -> dict[str, list[Any]]:
    rows = [
        checked_row({name: values[i] for name, values in batch.items()}, columns, form, row=index + 1)
        for i, index in enumerate(indices)
    ]
    content = columns.content
    for row in rows:
        row[content.column] = content.stored(row[content.column], columns)
    return {name: [row[name] for row in rows] for name in rows[0]}
