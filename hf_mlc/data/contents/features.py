"""Rows of a table: numbers, strings and nothing, by position or by name.

How a row looks in the data decides how Arrow stores it; one look at the first rows says which ([`TableForm`]):

| layout | a row in the data | what `datasets` gives |
| --- | --- | --- |
| `list` | `[0.5, 1, null]` | the same |
| `indices` | `{"3": 1.5, "7": 2}` or `{"indices": [3, 7], "values": [1.5, 2]}` | `{"indices": [3, 7], "values": [1.5, 2.0]}` |
| `object` | `{"age": 39, "work": "private"}`, or columns of their own | the same, every name in every row |
| `names` | objects that don't hold every name (`absent`) | `{"names": [...], "values": [...]}` |

Values are stored as numbers, and in a table with strings all as strings, as they are written. So a sparse table stays as
small as it is. Where a feature is known to be one of categories (`Columns.as_written`) they are strings from the start: as
numbers the categories 01234 and 1234 would be one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import datasets

from hf_mlc.data.contents.content import Content
from hf_mlc.data.values import RowForm, storable, value_of, what
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_table import is_index, number_of, of_decimal, sparse_keys


if TYPE_CHECKING:
    from hf_mlc.data.rows import Columns


ALL = "*"
# rows looked at for one that shows the layout: sparse ones may be empty
_LOOKED_AT = 1000
_ROW_INDEX = re.compile(r"__index_level_\d+__")
_ACCEPTED = "a list of values, or an object of names (or positions) and values"
_ABSENT = "--absent_features zero or missing"


@dataclass(frozen=True)
class TableForm:
    """How the rows of a table are stored.

    Args:
        layout (`str`): see the table of this module.
        names (`tuple[str, ...]`, *optional*): of `object`, the features.
        width (`int`, *optional*): of `list`, the number of values.
        of_numbers (`bool`, *optional*, defaults to `True`): whether values are stored as numbers, not as strings.
    """

    layout: Literal["list", "indices", "object", "names"]
    names: tuple[str, ...] = ()
    width: int | None = None
    of_numbers: bool = True


class CheckedSparseRow(dict):
    """`{"indices", "values"}` whose reader has checked that positions are ascending whole numbers and values finite ones."""


class FeaturesContent(Content):
    """A row of a table, as [`~hf_mlc.modeling.processing_table.TableFeatureExtractor`] takes it."""

    column, noun = "features", "table rows"

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        if columns.features is None:
            return ()
        return (columns.features,) if isinstance(columns.features, str) else tuple(columns.features)

    def resolved(self, columns: Columns, names: Sequence[str], *, file: Any) -> Columns:
        """`"*"` becomes the columns that are neither labels nor the id; the row numbers that pandas writes into Parquet are none."""
        if columns.features != ALL:
            return columns
        others = {columns.id_column, *(columns.label_columns or ()), columns.labels}
        features = tuple(name for name in names if name not in others and not _ROW_INDEX.fullmatch(name))
        twice = [name for name in features if features.count(name) > 1]
        if twice:
            raise UserError("two columns of this name", file=file, field=twice[0], accepted="each column name once")
        if any(not name.strip() for name in features):
            accepted = "names, or --feature_columns with those that are features"
            raise UserError("a column without a name", file=file, field="feature_columns", accepted=accepted)
        if not features:
            raise UserError(
                "no column beside labels and id", file=file, field="feature_columns", accepted="one or more"
            )
        return replace(columns, features=features)

    def formed(self, columns: Columns, rows: Iterable[tuple[int, Mapping[str, Any]]], form: RowForm) -> Columns:
        if columns.table is not None:
            return columns
        table = self._form(columns, rows, form)
        return replace(columns, table=replace(table, of_numbers=not columns.as_written))

    def _form(self, columns: Columns, rows: Iterable[tuple[int, Mapping[str, Any]]], form: RowForm) -> TableForm:
        if not isinstance(columns.features, str):
            return TableForm("object", names=tuple(columns.features))
        for number, raw in islice(rows, _LOOKED_AT):
            item = self.checked(raw, columns, form, row=number)
            if isinstance(item, list):
                return TableForm("list", width=len(item))
            listed = sparse_keys(item)
            if not item or (listed and not item["values"]):
                continue
            if listed == "indices" or all(is_index(name) for name in item):
                return TableForm("indices")
            if listed == "names" or columns.absent != "error":
                return TableForm("names")
            return TableForm("object", names=tuple(item))
        return TableForm("indices")

    def checked(self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> Any:
        if not isinstance(columns.features, str):
            item = {
                name: _scalar(_cell(raw, name, columns, form, row=row), form, row=row, field=name)
                for name in columns.features
            }
        else:
            said_by = "features_column or feature_columns"
            item = value_of(raw, columns.features, form, row=row, said_by=said_by)
            item = _checked_value(item, columns.features, form, row=row)
        if columns.table is not None:
            _check_form(item, columns, form, row=row)
        return item

    def feature(self, columns: Columns) -> Any:
        table = columns.table
        value = datasets.Value("float64" if table.of_numbers else "string")
        if table.layout == "list":
            return datasets.List(value)
        if table.layout == "object":
            return dict.fromkeys(table.names, value)
        keys = datasets.Value("int32" if table.layout == "indices" else "string")
        return {table.layout: datasets.List(keys), "values": datasets.List(value)}

    def stored(self, item: Any, columns: Columns) -> Any:
        table = columns.table
        if isinstance(item, CheckedSparseRow) and table.layout == "indices" and table.of_numbers:
            return dict(item)
        store = _as_number if table.of_numbers else _as_string
        try:
            if table.layout == "list":
                return [store(value) for value in item]
            if table.layout == "object":
                return {name: store(item[name]) for name in table.names}
            keys, values = _keys_and_values(item, table.layout)
            return {table.layout: keys, "values": [store(value) for value in values]}
        except _IsString:
            raise StoredOtherwise(replace(columns, table=replace(table, of_numbers=False))) from None

    def sameness(self, value: Any) -> str | None:
        is_empty = isinstance(value, dict) and sparse_keys(value) and not value["values"]
        return None if is_empty else json.dumps(self.printed(value))

    def printed(self, value: Any) -> Any:
        """Numbers as numbers and names in order, however the rows around this one made Arrow store it."""
        if isinstance(value, list):
            return [_as_printed(entry) for entry in value]
        keys = sparse_keys(value)
        if keys:
            entries = sorted(zip(value[keys], value["values"], strict=True), key=lambda entry: entry[0])
            numbers = value["values"]
            if set(map(type, numbers)) <= {float} and math.isfinite(sum(numbers)):  # as most are, of a million rows
                return dict(entries)
            return {key: _as_printed(entry) for key, entry in entries}
        return {name: _as_printed(value[name]) for name in sorted(value)}


class StoredOtherwise(Exception):
    """What was stored so far doesn't do for a row that came: begin again with these `columns`."""

    def __init__(self, columns: Columns):
        super().__init__("the rows must be stored in another form")
        self.columns = columns


class _IsString(Exception):
    pass


def _cell(raw: Mapping[str, Any], name: str, columns: Columns, form: RowForm, *, row: int) -> Any:
    """What stands in a feature's own column, or what `Columns.absent` says of an object of JSON without it."""
    if not form.is_json:  # what a header or a schema lacks, every row lacks: a slip
        return value_of(raw, name, form, row=row)
    if name not in raw and columns.absent != "error":
        return 0 if columns.absent == "zero" else None
    accepted = f"a column name; or, where rows leave features out, {_ABSENT} in training"
    return value_of(raw, name, form, row=row, accepted=accepted)


def _checked_value(value: Any, field: str, form: RowForm, *, row: int) -> Any:
    if isinstance(value, CheckedSparseRow):
        return value

    def error(problem: str, accepted: str = _ACCEPTED) -> UserError:
        return UserError(problem, file=form.file, row=row, field=field, accepted=accepted)

    if isinstance(value, str) and form.is_csv:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            accepted = "a list or an object in JSON; --feature_columns where each feature has a column"
            raise error(f"the features are {what(value)}", accepted) from None
    if isinstance(value, (list, tuple)):
        return [_scalar(entry, form, row=row, field=f"{field}[{place}]") for place, entry in enumerate(value)]
    if not isinstance(value, dict):
        raise error(f"the features are {what(value)}")
    keys = sparse_keys(value)
    if keys:
        if not all(isinstance(value[name], (list, tuple)) for name in value):
            raise error(f"'{keys}' and 'values' are no lists")
        if len(value[keys]) != len(value["values"]):
            raise error(f"{len(value[keys])} {keys} and {len(value['values'])} values", "as many of both")
        _check_keys(value[keys], keys, error)
        entries = zip(value[keys], value["values"], strict=True)
        return {
            keys: list(value[keys]),
            "values": [_scalar(entry, form, row=row, field=f"{field}[{key}]") for key, entry in entries],
        }
    return {
        storable(name, form, row=row, field=field): _scalar(entry, form, row=row, field=f"{field}[{name}]")
        for name, entry in value.items()
    }


def _check_keys(keys: Sequence[Any], kind: str, error) -> None:
    for key in keys:
        if kind == "indices" and (isinstance(key, str) or not is_index(key) or key >= 2**31):
            raise error(f"a position is {what(key)}", "whole numbers from 0 on")
        if kind == "names" and not isinstance(key, str):
            raise error(f"a feature's name is {what(key)}", "strings")
    if len(set(keys)) < len(keys):
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise error(f"{twice!r} stands there twice", "each feature once")


def _scalar(value: Any, form: RowForm, *, row: int, field: str) -> Any:
    if isinstance(value, str):
        return storable(value, form, row=row, field=field)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Decimal):
        value = of_decimal(value)
    if isinstance(value, (int, float)):
        if not math.isinf(number_of(value)):
            return value
        raise UserError("an infinite number", file=form.file, row=row, field=field, accepted="finite numbers")
    raise UserError(
        f"found {what(value)}", file=form.file, row=row, field=field, accepted="a number, a string or null"
    )


def _check_form(item: Any, columns: Columns, form: RowForm, *, row: int) -> None:
    table = columns.table
    field = columns.features if isinstance(columns.features, str) else "feature_columns"

    def error(problem: str, accepted: str, feature: str = field) -> UserError:
        return UserError(problem, file=form.file, row=row, field=feature, accepted=accepted)

    if isinstance(item, list) != (table.layout == "list"):
        found, before = ("a list", "objects") if isinstance(item, list) else ("an object", "lists")
        raise error(f"{found} where the rows before it are {before}", "one form in all rows")
    if table.layout == "list" and len(item) != table.width:
        raise error(f"{len(item)} values where the rows before it have {table.width}", f"{table.width} values")
    if table.layout == "indices" and not isinstance(item, CheckedSparseRow):
        for key in item["indices"] if sparse_keys(item) == "indices" else item:
            if not is_index(key) or int(key) >= 2**31:
                raise error(f"{key!r} where the rows before it hold positions", "whole numbers as keys")
    if table.layout == "object" and isinstance(columns.features, str):
        known = set(table.names)
        for name in table.names:
            if name not in item:
                accepted = f"every feature of the first row, null where it is missing; or {_ABSENT} in training"
                raise error("the feature is not there", accepted, feature=name)
        for name in item:
            if name not in known:
                raise error("the first row has no such feature", ", ".join(table.names[:8]), feature=name)


def _keys_and_values(item: Mapping[str, Any], layout: str) -> tuple[list[Any], list[Any]]:
    if sparse_keys(item) == layout:
        return list(item[layout]), list(item["values"])
    keys = list(item)
    return [int(key) for key in keys] if layout == "indices" else keys, list(item.values())


def _as_number(value: Any) -> float | None:
    try:
        number = number_of(value)
    except ValueError:
        raise _IsString from None
    if math.isinf(number) and isinstance(value, str):  # what "inf" stands for, the extractor will say
        raise _IsString
    return None if math.isnan(number) else number


def _as_printed(value: Any) -> float | str | None:
    try:
        return _as_number(value)
    except _IsString:
        return value


def _as_string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(int(value)) if isinstance(value, bool) else repr(value)
