"""Splits that are in memory: a DataFrame of pandas, a data set of `datasets`, or several of these by their splits' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa

from hf_mlc.data.contents.features import ALL
from hf_mlc.data.hub_splits import checked_splits
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError


ACCEPTED = (
    "a file, a folder, a Hub id, a DataFrame of pandas, a Dataset or DatasetDict of datasets, or a dict of these by split; "
    "lists go in by datasets.Dataset.from_dict"
)
_ONE_SPLIT = (pd.DataFrame, datasets.Dataset)


def is_in_memory(data: Any) -> bool:
    """Whether these are rows, rather than the name of a file, a folder or a data set of the Hub."""
    return isinstance(data, (*_ONE_SPLIT, Mapping))


def load_memory_splits(
    data: pd.DataFrame | datasets.Dataset | Mapping[str, pd.DataFrame | datasets.Dataset],
    columns: Columns,
    splits: Sequence[str] | Mapping[str, str] | None,
    skip: Sequence[str],
    max_samples: Mapping[str, int],
) -> datasets.DatasetDict:
    """The rows of data in memory, checked and stored; arguments as [`~hf_mlc.data.loading.load_splits`] takes them.

    Raises:
        `UserError`: see the table of [`hf_mlc.data.loading`]; a column of a DataFrame that holds values of several kinds.
    """
    name = type(data).__name__ if isinstance(data, (datasets.DatasetDict, *_ONE_SPLIT)) else "data"
    of_splits = {"train": data} if isinstance(data, _ONE_SPLIT) else data
    raw = {str(split): _as_dataset(rows, columns, shown_as=f"{name}[{split}]") for split, rows in of_splits.items()}
    return checked_splits(raw, name, columns, splits, skip, max_samples)


def _as_dataset(rows: Any, columns: Columns, *, shown_as: str) -> datasets.Dataset:
    if isinstance(rows, datasets.Dataset):
        return rows.with_format(None)
    if not isinstance(rows, pd.DataFrame):
        accepted = "a DataFrame or a Dataset; of lists, datasets.Dataset.from_dict makes one"
        raise UserError(f"found {type(rows).__name__}", file=shown_as, accepted=accepted)
    if ALL not in columns.content_columns:  # columns that nobody asked for may hold what Arrow can't
        names = list(rows.columns)
        missing = next((name for name in columns.required if name not in names), None)
        if missing is not None:
            found = ", ".join(repr(name) for name in names[:10]) or "none"
            raise UserError(
                f"no such column; found: {found}", file=shown_as, field=missing, accepted="a column name, by Columns"
            )
        rows = rows[[name for name in dict.fromkeys(names) if name in columns.wanted]]
    try:
        return datasets.Dataset.from_pandas(rows, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        accepted = "columns with names of their own, and values of one kind in each"
        said = ": ".join(str(one) for one in error.args)  # Arrow says the column in an argument of its own
        raise UserError(f"no table ({said})", file=shown_as, accepted=accepted) from None
