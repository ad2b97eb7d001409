"""How a split is stored: the columns that all splits have, where its rows came from, and the key of its Arrow file in the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import datasets

from hf_mlc.data.contents.features import StoredOtherwise
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError


# part of the cache key: raise it when the rows that come out of the same file change
ROWS_VERSION = 2


def features_of(label_type: type, columns: Columns) -> datasets.Features:
    """`id`, what the rows hold, `labels`: as the splits of every data set are stored.

    Args:
        label_type (`type`): `str` or `int`.
        columns ([`Columns`]): which columns hold what.
    """
    label = datasets.Value("int64" if label_type is int else "string")
    content = columns.content
    return datasets.Features(
        {"id": datasets.Value("string"), content.column: content.feature(columns), "labels": datasets.List(label)}
    )


def with_file(split: datasets.Dataset, shown_as: str) -> datasets.Dataset:
    """The split itself, which now says where its rows come from ([`file_of`]), and so does every choice of its rows."""
    split.info.description = shown_as
    return split


def file_of(split: datasets.Dataset, name: str) -> str:
    """The file, the folder or the Hub data set that the rows of a split were loaded from, for error messages.

    Args:
        split (`datasets.Dataset`): as [`~hf_mlc.data.loading.load_splits`] gives it, or some of its rows.
        name (`str`): what it is called where it came from somewhere else.
    """
    return split.info.description or name


@contextlib.contextmanager
def causes_raised() -> Iterator[None]:
    """What a generator of rows raised, in place of what `datasets` makes of it."""
    try:
        yield
    except datasets.exceptions.DatasetGenerationError as failure:
        if isinstance(failure.__cause__, (UserError, StoredOtherwise)):
            raise failure.__cause__ from None
        raise
