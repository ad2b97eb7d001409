"""What a row is labelled by: the interface behind which texts, pictures and whatever comes are all the same to loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import datasets

from hf_mlc.data.values import RowForm


if TYPE_CHECKING:
    from hf_mlc.data.rows import Columns


class Content(ABC):
    """One kind of content. There is one instance of each, in [`~hf_mlc.data.contents.CONTENTS`]; it holds nothing.

    Attributes:
        column (`str`): its column in every split that `load_splits` gives.
        noun (`str`): what several of it are called in messages and counts: "texts".
        needs_labels (`bool`): whether a row without a labels column is an error; where it isn't, that row has no labels.
    """

    column: ClassVar[str]
    noun: ClassVar[str]
    needs_labels: ClassVar[bool] = True

    @abstractmethod
    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        """The columns of the raw data that it is read from; empty where `columns` doesn't name it."""

    def also_read(self, columns: Columns) -> tuple[str, ...]:
        """Columns that are read where there are some, and needn't be there."""
        return ()

    @abstractmethod
    def checked(self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> Any:
        """What is kept of a raw row, or a `UserError` that names file, row and field."""

    @abstractmethod
    def feature(self, columns: Columns) -> Any:
        """How Arrow stores it: a feature of `datasets`."""

    def resolved(self, columns: Columns, names: Sequence[str], *, file: Any) -> Columns:
        """`columns` with names in place of what stands for several; `names` are the columns that there are in `file`."""
        return columns

    def formed(self, columns: Columns, rows: Iterable[tuple[int, Mapping[str, Any]]], form: RowForm) -> Columns:
        """`columns` with what the first of the numbered raw rows say of how the rows are to be stored."""
        return columns

    def label_type(self, columns: Columns) -> type | None:
        """`str` or `int`, where `formed` has seen labels; `None` where the labels column says it."""
        return None

    def gathers(self, columns: Columns) -> bool:
        """Whether several raw rows make one."""
        return False

    def gathered(
        self, rows: Iterable[tuple[int, Mapping[str, Any]]], columns: Columns, form: RowForm
    ) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The numbered raw rows as `checked` takes them, of all raw rows of a file; where `gathers` says so, made of several."""
        return iter(rows)

    def stored(self, value: Any, columns: Columns) -> Any:
        """What `checked` gave, as `feature` stores it."""
        return value

    def of_hub(self, data: datasets.Dataset, columns: Columns) -> datasets.Dataset:
        """A split from the Hub with raw values as `checked` takes them: nothing decoded that is kept encoded."""
        return data

    @abstractmethod
    def sameness(self, value: Any) -> str | None:
        """A string that two rows share if and only if they hold the same; `None` for one that holds nothing."""

    def printed(self, value: Any) -> Any:
        """The value in JSON's types, the same on every machine: what the fingerprint of a split is made of."""
        return value
