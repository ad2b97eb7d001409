"""Histories of events, a row a user: from rows that hold the list of their events, or gathered from a long table.

| the data have | what is read |
| --- | --- |
| a column of lists (`Columns(events=...)`), `[{"time": ..., "labels": [...], "amount": ...}]` | a row of each |
| a long table (`Columns(event_user=..., event_time=..., event_label=...)`), a row a label | a row a user, in order of appearance |

Beside a list of events a row may hold `user`, whose they are (the row's id otherwise, where it has one), and
`target_time`, the time to predict for.

A data set stores events flat ([`hf_mlc.modeling.event_rows`]), and may hold the flat form itself. Of a long table
entries are kept until its end, since users may come mixed; what that costs `benchmarks/long_table.py` prints.
"""

from __future__ import annotations

import datetime
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import datasets

from hf_mlc.data.contents.content import Content
from hf_mlc.data.values import RowForm, name_in, number_in, storable, value_of, what
from hf_mlc.errors import UserError
from hf_mlc.modeling.event_rows import EventRowError, checked_amount, flat_entries, flat_events, time_of


if TYPE_CHECKING:
    from hf_mlc.data.rows import Columns


# columns of a row that holds a history, where it has them
_BESIDE = ("user", "target_time")


@dataclass(frozen=True)
class EventForm:
    """What the events of a data set have in common.

    Args:
        time_kind (`str`, *optional*): `"date"` (times are days since 1970-01-01 UTC) or `"number"`; `None` while there
            was no event.
        label_type (`type`, *optional*): `str` or `int`, likewise.
    """

    time_kind: str | None = None
    label_type: type | None = None


class EventsContent(Content):
    """A history in the flat form of [`hf_mlc.modeling.event_rows`], as [`EventsContent.feature`] stores it."""

    column, noun = "events", "histories"
    needs_labels = False  # most often the next set is made of the events themselves

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        if columns.event_user is None:
            return () if columns.events is None else (columns.events,)
        long = (columns.event_user, columns.event_time, columns.event_label)
        return long if columns.event_amount is None else (*long, columns.event_amount)

    def also_read(self, columns: Columns) -> tuple[str, ...]:
        return () if columns.events is None else (columns.events, *_BESIDE)

    def formed(self, columns: Columns, rows: Iterable[tuple[int, Mapping[str, Any]]], form: RowForm) -> Columns:
        """As the first row with an event says."""
        if columns.event_form is not None and columns.event_form.label_type is not None:
            return columns
        known = columns.event_form or EventForm()
        for number, raw in rows:
            if _is_long(raw, columns):
                entry = _entry(raw, columns, form, row=number, kind=known.time_kind)
                return replace(columns, event_form=EventForm(entry.kind, type(entry.label)))
            flat, kind = self._read(raw, columns, form, row=number)
            if flat["labels"]:
                return replace(columns, event_form=EventForm(kind or known.time_kind, type(flat["labels"][0])))
        return replace(columns, event_form=EventForm(known.time_kind, str))

    def label_type(self, columns: Columns) -> type | None:
        return None if columns.event_form is None else columns.event_form.label_type

    def gathers(self, columns: Columns) -> bool:
        return columns.event_user is not None

    def gathered(
        self, rows: Iterable[tuple[int, Mapping[str, Any]]], columns: Columns, form: RowForm
    ) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """A row a user of a long table; rows that hold a history pass as they are."""
        if not self.gathers(columns):
            yield from rows
            return
        users: dict[str, _Entries] = {}
        codes: dict[str | int, int] = {}  # label -> its place in `labels`
        labels: list[str | int] = []
        known = columns.event_form or EventForm()
        kind, label_type = known.time_kind, known.label_type
        for number, raw in rows:
            if not _is_long(raw, columns) and columns.events in raw:
                yield number, raw
                continue
            entry = _entry(raw, columns, form, row=number, kind=kind)
            if label_type is not None and not isinstance(entry.label, label_type):
                raise _other_type(entry.label, label_type, form, row=number, field=columns.event_label)
            kind, label_type = entry.kind, type(entry.label)
            if entry.label not in codes:
                codes[entry.label] = len(labels)
                labels.append(entry.label)
            if entry.user not in users:
                users[entry.user] = _Entries(first_row=number)
            users[entry.user].add(entry.time, codes[entry.label], entry.amount)
        for user, entries in users.items():
            flat = flat_entries(list(entries.events(labels)), user=user)
            # rows of one time are how a long table writes an event of several labels: none of them was merged
            yield entries.first_row, {"id": user, self.column: _Gathered(flat | {"merged": 0})}

    def checked(self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> dict[str, Any]:
        gathered = raw.get(self.column)
        if isinstance(gathered, _Gathered):
            return dict(gathered)
        if _is_long(raw, columns):
            accepted = "a history a row, or a file of the long table"
            raise UserError("a row of a long table by itself", file=form.file, row=row, accepted=accepted)
        return self._read(raw, columns, form, row=row)[0]

    def _read(
        self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int
    ) -> tuple[dict[str, Any], str | None]:
        name = columns.events or self.column
        if name not in raw and columns.event_user is not None:
            for missing in self.columns_of(columns):
                value_of(raw, missing, form, row=row, said_by="events_column or user_column")
        value = value_of(raw, name, form, row=row)
        if isinstance(value, str) and form.is_csv:
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                accepted = "a list of events in JSON; --user_column, --time_column, --label_column of a long table"
                raise UserError(
                    f"the history is {what(value)}", file=form.file, row=row, field=name, accepted=accepted
                ) from None
        if _is_transposed(value):
            value = [dict(zip(value, event, strict=True)) for event in zip(*value.values(), strict=True)]
        known = columns.event_form or EventForm()
        user, target_time = (_beside(raw, column, form) for column in _BESIDE)
        if user is None:
            user = name_in(_beside(raw, columns.id_column, form))
        else:
            user = _checked_name(user, "user", "user", form, row=row)
        try:
            flat, kind = flat_events(
                value, time_kind=known.time_kind, field=name, user=None if user is None else str(user)
            )
            if target_time is not None:
                flat["target_time"], kind = time_of(_number_in_csv(target_time, form), kind=kind, field="target_time")
        except EventRowError as error:
            raise _of_user(error, form, row=row) from None
        label_type = known.label_type or form.label_type
        for label in flat["labels"]:
            if label_type is not None and not isinstance(label, label_type):
                raise _other_type(label, label_type, form, row=row, field=name)
            _check_storable(label, form, row=row, field=name)
        return flat, kind

    def feature(self, columns: Columns) -> dict[str, Any]:
        is_int = self.label_type(columns) is int
        return event_feature("int64" if is_int else "string")

    def sameness(self, value: dict[str, Any]) -> str | None:
        return None if not value["sizes"] else json.dumps(self.printed(value))

    def printed(self, value: dict[str, Any]) -> list[Any]:
        return [value[name] for name in ("user", "times", "sizes", "labels", "amounts", "target_time")]


def event_feature(label: str) -> dict[str, Any]:
    """How Arrow stores a history.

    Args:
        label (`str`): `"string"` or `"int64"`.
    """
    return {
        "user": datasets.Value("string"),
        "times": datasets.List(datasets.Value("float64")),
        "sizes": datasets.List(datasets.Value("int32")),
        "labels": datasets.List(datasets.Value(label)),
        "amounts": datasets.List(datasets.Value("float32")),
        "target_time": datasets.Value("float64"),
        "unsorted": datasets.Value("int32"),
        "merged": datasets.Value("int32"),
    }


class _Gathered(dict):
    """A history that was gathered from checked rows of a long table."""


@dataclass
class _Entry:
    user: str
    time: float
    kind: str
    label: str | int
    amount: float | None


@dataclass
class _Entries:
    """The rows of one user in a long table, in as little memory as they need."""

    first_row: int
    times: array = field(default_factory=lambda: array("d"))
    codes: array = field(default_factory=lambda: array("q"))
    amounts: array = field(default_factory=lambda: array("f"))

    def add(self, time: float, code: int, amount: float | None) -> None:
        self.times.append(time)
        self.codes.append(code)
        if amount is not None:
            self.amounts.append(amount)

    def events(self, labels: Sequence[str | int]) -> Iterator[tuple[float, list[str | int], list[float] | None]]:
        for place, (time, code) in enumerate(zip(self.times, self.codes, strict=True)):
            yield time, [labels[code]], [self.amounts[place]] if self.amounts else None


def _is_transposed(value: Any) -> bool:
    """Whether these are events as `datasets` keeps a `Sequence` of objects: a list of times, a list of their labels."""
    if not isinstance(value, dict) or not {"time", "labels"} <= set(value):
        return False
    return all(isinstance(part, list) and len(part) == len(value["time"]) for part in value.values())


def _is_long(raw: Mapping[str, Any], columns: Columns) -> bool:
    """Whether a raw row is one of the long table: it holds that table's columns, or nothing else is named."""
    if columns.event_user is None:
        return False
    return columns.events is None or all(
        name in raw for name in (columns.event_user, columns.event_time, columns.event_label)
    )


def _entry(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int, kind: str | None = None) -> _Entry:
    user = _checked_name(
        value_of(raw, columns.event_user, form, row=row, said_by="user_column"),
        "user",
        columns.event_user,
        form,
        row=row,
    )
    label = value_of(raw, columns.event_label, form, row=row, said_by="label_column")
    label = _checked_name(label, "label", columns.event_label, form, row=row)
    if form.is_csv:
        user, label = user.strip(), label.strip()
    try:
        time = value_of(raw, columns.event_time, form, row=row, said_by="time_column")
        if columns.event_time_format is None:
            time = _number_in_csv(time, form)
        else:
            time = _date_of(time, columns, form, row=row)
        time, found = time_of(time, kind=kind, field=columns.event_time)
        amount = None
        if columns.event_amount is not None:
            amount = _number_in_csv(value_of(raw, columns.event_amount, form, row=row, said_by="amount_column"), form)
            amount = checked_amount(amount, columns.event_amount)
    except EventRowError as error:
        raise _of_user(error, form, row=row) from None
    return _Entry(str(user), time, found, label, amount)


def _checked_name(value: Any, noun: str, field: str, form: RowForm, *, row: int) -> str | int:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        accepted = "a string or an integer"
        raise UserError(f"the {noun} is {what(value)}", file=form.file, row=row, field=field, accepted=accepted)
    _check_storable(value, form, row=row, field=field)
    return value


def _beside(raw: Mapping[str, Any], column: str, form: RowForm) -> Any:
    """What stands beside a history, or `None`; of a CSV an empty field is that."""
    value = raw.get(column)
    return value.strip() or None if form.is_csv and isinstance(value, str) else value


def _date_of(value: Any, columns: Columns, form: RowForm, *, row: int) -> datetime.datetime:
    if isinstance(value, datetime.date):  # of Parquet, read already
        return value
    if isinstance(value, int) and not isinstance(value, bool):  # such as 20240531
        value = str(value)
    try:
        return datetime.datetime.strptime(value.strip(), columns.event_time_format)
    except (ValueError, AttributeError):
        raise UserError(
            f"the time is {what(value)}",
            file=form.file,
            row=row,
            field=columns.event_time,
            accepted=f"dates as time_format says: {columns.event_time_format}",
        ) from None


def _number_in_csv(value: Any, form: RowForm) -> Any:
    """Of a CSV, where all are strings, the number that one spells; anything else as it is."""
    if not form.is_csv:
        return value
    number = number_in(value)
    if number is None:
        return value.strip()
    return number if math.isfinite(number) else value


def _check_storable(value: str | int, form: RowForm, *, row: int, field: str) -> None:
    if isinstance(value, str):
        storable(value, form, row=row, field=field)
    elif not -(2**63) <= value < 2**63:
        raise UserError("an integer too large", file=form.file, row=row, field=field, accepted="64-bit integers")


def _of_user(error: EventRowError, form: RowForm, *, row: int) -> UserError:
    return UserError(error.problem, file=form.file, row=row, field=error.field, accepted=error.accepted)


def _other_type(label: Any, label_type: type, form: RowForm, *, row: int, field: str) -> UserError:
    kinds = {str: "strings", int: "integers"}
    return UserError(
        f"the label {label!r} where the labels before it are {kinds[label_type]}",
        file=form.file,
        row=row,
        field=field,
        accepted="one kind of label",
    )


__all__ = ["EventForm", "EventsContent", "event_feature"]
