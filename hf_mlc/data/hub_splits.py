"""Splits that are a data set of the Hub: found by name there, their rows checked and stored like those of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from hf_mlc.data.contents.features import StoredOtherwise
from hf_mlc.data.finding import SPLITS, hub_split
from hf_mlc.data.hub import load_from_hub
from hf_mlc.data.multi_hot import check_not_multi_hot
from hf_mlc.data.reading import class_names_of_features
from hf_mlc.data.rows import IDS_OR_COLUMNS, Columns, checked_row
from hf_mlc.data.storing import ROWS_VERSION, causes_raised, features_of, with_file
from hf_mlc.data.values import RowForm
from hf_mlc.errors import MissingSplitError, UserError


def load_hub_splits(
    name: str,
    config_name: str | None,
    revision: str | None,
    columns: Columns,
    splits: Sequence[str] | Mapping[str, str] | None,
    skip: Sequence[str],
    max_samples: Mapping[str, int],
    cache_dir: str | Path | None,
) -> datasets.DatasetDict:
    """The rows of a data set of the Hub, checked and stored; arguments as [`~hf_mlc.data.loading.load_splits`] takes them."""
    raw = load_from_hub(name, config_name, revision=revision, cache_dir=cache_dir)
    return checked_splits(raw, name, columns, splits, skip, max_samples)


def checked_splits(
    raw: Mapping[str, datasets.Dataset],
    name: str,
    columns: Columns,
    splits: Sequence[str] | Mapping[str, str] | None,
    skip: Sequence[str],
    max_samples: Mapping[str, int],
) -> datasets.DatasetDict:
    """The wanted ones of the splits of a data set, their rows checked and stored.

    Args:
        raw (`dict[str, datasets.Dataset]`): all of them, by whatever names they have there.
        name (`str`): what messages call the data set.
        columns, splits, skip, max_samples: as [`~hf_mlc.data.loading.load_splits`] takes them.
    """
    names = {split: hub_split(raw, split, splits) for split in SPLITS}
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
        columns = _formed(data_of[chosen[0]], columns, shown_as=shown_as[chosen[0]])

    def checked(columns: Columns) -> datasets.DatasetDict:
        return datasets.DatasetDict(
            {
                split: _checked_split(
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


def formed_of_hub(name: str, config_name: str | None, revision: str | None, columns: Columns) -> Columns:
    """`columns` with what the first training rows say of how all rows are read and stored."""
    raw = load_from_hub(name, config_name, revision=revision)
    split = hub_split(raw, "train", None)
    if split is None:
        raise MissingSplitError(
            f"no split 'train'; found: {', '.join(raw)}", file=name, accepted="a data set with one"
        )
    return _formed(raw[split], columns, shown_as=f"{name}[{split}]")


def column_names_of_hub(name: str, config_name: str | None, revision: str | None, split: str) -> list[str]:
    """The columns of a split; none where there is no such split."""
    raw = load_from_hub(name, config_name, revision=revision)
    found = hub_split(raw, split, None)
    return [] if found is None else raw[found].column_names


def _formed(data: datasets.Dataset, columns: Columns, *, shown_as: str) -> Columns:
    columns = columns.content.resolved(columns, data.column_names, file=shown_as)
    data = _wanted(data, columns)
    return columns.content.formed(columns, enumerate(data, start=1), _row_form(data, columns, shown_as))


def _wanted(data: datasets.Dataset, columns: Columns) -> datasets.Dataset:
    if set(columns.required) <= set(data.column_names):  # else the message lists all that there are
        data = data.select_columns([name for name in data.column_names if name in columns.wanted])
    return columns.content.of_hub(data, columns)


def _row_form(data: datasets.Dataset, columns: Columns, shown_as: str) -> RowForm:
    class_names = None if columns.label_columns else class_names_of_features(data.features, columns.labels)
    inner = getattr(data.features.get(columns.labels), "feature", None)
    is_integer = class_names is None and not columns.label_columns and "int" in str(getattr(inner, "dtype", ""))
    label_type = columns.content.label_type(columns) or (int if is_integer else None)
    return RowForm(file=shown_as, class_names=class_names, label_type=label_type)


def _checked_split(
    data: datasets.Dataset, columns: Columns, *, shown_as: str, most: int | None = None
) -> datasets.Dataset:
    if len(data) == 0:
        raise UserError("an empty split: no rows", file=shown_as, accepted="at least one row")
    data = _wanted(data, columns)
    form = _row_form(data, columns, shown_as)
    if columns.content.gathers(columns):
        return with_file(_gathered_split(data, columns, form, most), shown_as)
    if form.label_type is int:
        lists = (checked_row(raw, columns, form, row=row)["labels"] for row, raw in enumerate(data, start=1))
        check_not_multi_hot(lists, file=shown_as, field=columns.labels, accepted=IDS_OR_COLUMNS)
    checked = data.map(
        _checked_batch,
        batched=True,
        with_indices=True,
        remove_columns=data.column_names,
        features=features_of(form.label_type or str, columns),
        fn_kwargs={"columns": columns, "form": form},
        desc=f"Checking {shown_as}",
    )
    return with_file(checked, shown_as)


def _gathered_split(data: datasets.Dataset, columns: Columns, form: RowForm, most: int | None) -> datasets.Dataset:
    """A split of which several rows make one; `most` counts what is made."""
    with causes_raised():
        return datasets.Dataset.from_generator(
            _gathered_rows,
            features=features_of(form.label_type or str, columns),
            gen_kwargs={"data": data, "columns": columns, "form": form, "most": most, "version": ROWS_VERSION},
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
