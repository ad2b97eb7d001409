"""A history of events as it comes (a list, or the flat form that data sets store) in one form: sorted, each label once.

The flat form holds event i as `sizes[i]` consecutive entries of `labels` and, where there are amounts, of `amounts`:

    {"user": "u7", "times": [0.0, 3.0], "sizes": [2, 1], "labels": ["a", "b", "a"], "amounts": [], "target_time": None}

Times are numbers as they are, or dates as days since 1970-01-01 UTC; a data set has one of both.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any


DATES, NUMBERS = "date", "number"
"""Kinds of times."""

FLAT = ("times", "sizes", "labels")
"""Keys that the flat form always has."""

# sums and differences of this many are far from the end of float32, in which amounts and gaps are stored
LARGEST = 1e30
"""How far from 0 a time or an amount may be."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_DAY = datetime.timedelta(days=1)
_EVENT = "an object with 'time', 'labels' and, if it has amounts, 'amount'"
_TIME = "a number, an ISO 8601 date or date-time (2024-05-31T08:30); of a long table also what --time_format says"


class EventRowError(ValueError):
    """What is wrong with a history: one line that names field, what was found, what is accepted.

    Args:
        problem (`str`): what was found.
        field (`str`, *optional*): where: `events[3].time`.
        accepted (`str`, *optional*): what would have been accepted.
        row (`int`, *optional*): counted from 1, of several histories.
    """

    def __init__(self, problem: str, *, field: str | None = None, accepted: str | None = None, row: int | None = None):
        self.problem, self.field, self.accepted, self.row = problem, field, accepted, row
        place = ", ".join([f"row {row}"] * (row is not None) + [f"field '{field}'"] * (field is not None))
        super().__init__((f"{place}: " if place else "") + problem + (f"; accepted: {accepted}" if accepted else ""))


def flat_events(
    history: Any, *, time_kind: str | None = None, field: str = "events", user: str | None = None
) -> tuple[dict[str, Any], str | None]:
    """A history in the flat form, and the kind of its times.

    Args:
        history (`list[dict]` or `dict`): events `{"time", "labels", "amount"?}`, where the amount is one number, which
            then is that of each of the event's labels, or a list with one a label; or the flat form; or `{"user"?,
            "events", "target_time"?}`.
        time_kind (`str`, *optional*): `"date"` or `"number"`, where it is known; times of the other kind are then an
            error. Of the flat form times are taken as they are.
        field (`str`, *optional*, defaults to `"events"`): what error messages call the history.
        user (`str`, *optional*): whose it is, where the history doesn't say so itself.

    Returns:
        The flat form, with two counts more: `unsorted`, events that stood after a later one, and `merged`, events that
        fell into one with another of the same time. Events are sorted by time; of a label that stands twice in an event
        amounts are added. An event without labels is an error, a history without events isn't. The kind is `None` where
        there is no time to see it from.

    Raises:
        `EventRowError`: a time that can't be read or is no finite number, a label that is empty or neither string nor
            integer, strings and integers mixed, an amount that is negative or no finite number, amounts of some events
            only, a time or an amount of more than `LARGEST`.
    """
    target_time = None
    if isinstance(history, Mapping) and not set(FLAT) <= set(history):
        if "events" not in history:
            raise EventRowError(
                f"the history is {_what(history)}", field=field, accepted=f"a list of events: {_EVENT}"
            )
        user = user if history.get("user") is None else history["user"]
        target_time, history = history.get("target_time"), history["events"]
        if target_time is not None:
            target_time, time_kind = time_of(target_time, kind=time_kind, field="target_time")
    if isinstance(history, Mapping):
        flat = _checked_flat(history, field, user)
        return flat if target_time is None else flat | {"target_time": target_time}, time_kind
    history = _listed(history)
    if not isinstance(history, (list, tuple)):
        raise EventRowError(f"the history is {_what(history)}", field=field, accepted=f"a list of events: {_EVENT}")
    entries: list[tuple[float, list[Any], list[float] | None]] = []
    for place, event in enumerate(history):
        where = f"{field}[{place}]"
        if not isinstance(event, Mapping):
            raise EventRowError(f"an event is {_what(event)}", field=where, accepted=_EVENT)
        for name in ("time", "labels"):
            if name not in event:
                raise EventRowError(f"an event without '{name}'", field=where, accepted=_EVENT)
        time, time_kind = time_of(event["time"], kind=time_kind, field=f"{where}.time")
        labels = _checked_labels(event["labels"], f"{where}.labels")
        entries.append((time, labels, _checked_amounts(event.get("amount"), labels, f"{where}.amount")))
    return flat_entries(entries, user=user, target_time=target_time, field=field), time_kind


def flat_entries(
    entries: Sequence[tuple[float, Sequence[Any], Sequence[float] | None]],
    *,
    user: str | None = None,
    target_time: float | None = None,
    field: str = "events",
) -> dict[str, Any]:
    """The flat form of checked events, in any order.

    Args:
        entries (`list[tuple]`): time, labels and amounts (one a label, or `None`) of each event.
        user, target_time, field: as of [`flat_events`].
    """
    if len({amounts is None for _, _, amounts in entries}) > 1:
        place = next(place for place, (_, _, amounts) in enumerate(entries) if amounts is None)
        raise EventRowError(
            "no amount, and other events have one",
            field=f"{field}[{place}].amount",
            accepted="amounts of all events or of none",
        )
    has_amounts = bool(entries) and entries[0][2] is not None
    kinds = {isinstance(label, str) for _, labels, _ in entries for label in labels}
    if len(kinds) > 1:
        raise EventRowError("strings and integers mixed", field=field, accepted="one kind of label")
    latest, unsorted = -math.inf, set()
    for time, _, _ in entries:
        if time < latest:
            unsorted.add(time)
        latest = max(latest, time)
    amount_of: dict[float, dict[Any, float]] = {}  # time -> label -> amount
    for time, labels, amounts in sorted(entries, key=lambda entry: entry[0]):
        of_event = amount_of.setdefault(time, {})
        for label, amount in zip(labels, amounts or [0.0] * len(labels), strict=True):
            of_event[label] = of_event.get(label, 0.0) + amount
    return {
        "user": user,
        "times": list(amount_of),
        "sizes": [len(of_event) for of_event in amount_of.values()],
        "labels": [label for of_event in amount_of.values() for label in of_event],
        "amounts": [amount for of_event in amount_of.values() for amount in of_event.values()] if has_amounts else [],
        "target_time": target_time,
        "unsorted": len(unsorted),
        "merged": len(entries) - len(amount_of),
    }


def time_of(value: Any, *, kind: str | None = None, field: str = "time") -> tuple[float, str]:
    """A time as a number, and its kind.

    Args:
        value: an int or a float; a `date`, a `datetime`, or a string of one: ISO 8601, slashes in place of its hyphens
            too, with or without a time of day; without a zone it is UTC.
        kind (`str`, *optional*): `"date"` or `"number"`, where it is known.
        field (`str`, *optional*, defaults to `"time"`): for the error message.

    Returns:
        The number (of a date days since 1970-01-01 UTC), and `"date"` or `"number"`.

    Raises:
        `EventRowError`: it is neither, is not finite, is more than `LARGEST` from 0, or is of the other kind.
    """
    if _is_number(value):
        number = _finite(value)
        if number is None:
            accepted = f"a finite number, at most {LARGEST:g} from 0, or a date"
            raise EventRowError(f"the time is {_what(value)}", field=field, accepted=accepted)
        found = NUMBERS
    else:
        date = _date(value)
        if date is None:
            raise EventRowError(f"the time is {_what(value)}", field=field, accepted=_TIME)
        number, found = (date - _EPOCH) / _DAY, DATES
    if kind is not None and found != kind:
        named = {DATES: "a date", NUMBERS: "a number"}
        raise EventRowError(
            f"the time is {named[found]} ({_shortened(value)}), and other times are {kind}s",
            field=field,
            accepted=f"{kind}s throughout",
        )
    return number, found


def events_of(flat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The flat form as a list of events: `{"time", "labels"}`, and `"amount"`, a list, where there are amounts."""
    events, start = [], 0
    for time, size in zip(flat["times"], flat["sizes"], strict=True):
        event = {"time": time, "labels": list(flat["labels"][start : start + size])}
        if flat.get("amounts"):
            event["amount"] = list(flat["amounts"][start : start + size])
        events.append(event)
        start += size
    return events


def _checked_flat(flat: Mapping[str, Any], field: str, user: str | None) -> dict[str, Any]:
    lists = {name: _listed(flat.get(name)) for name in (*FLAT, "amounts")}
    lists["amounts"] = lists["amounts"] or []
    for name, values in lists.items():
        if not isinstance(values, (list, tuple)):
            raise EventRowError(f"found {_what(values)}", field=f"{field}.{name}", accepted="a list")
    times, sizes, labels, amounts = lists.values()
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        raise EventRowError("an event without labels", field=f"{field}.sizes", accepted="1 or more labels an event")
    if len(times) != len(sizes) or sum(sizes) != len(labels) or (amounts and len(amounts) != len(labels)):
        raise EventRowError(
            f"{len(times)} times, {len(sizes)} sizes with the sum {sum(sizes)}, {len(labels)} labels,"
            f" {len(amounts)} amounts",
            field=field,
            accepted="a size of each time, as many labels as their sum, as many amounts or none",
        )
    entries, start = [], 0
    for place, size in enumerate(sizes):
        time, _ = time_of(times[place], kind=NUMBERS, field=f"{field}.times[{place}]")
        of_event = _checked_labels(labels[start : start + size], f"{field}.labels")
        entries.append(
            (time, of_event, _checked_amounts(amounts[start : start + size] or None, of_event, f"{field}.amounts"))
        )
        start += size
    target_time = flat.get("target_time")
    if target_time is not None:
        target_time, _ = time_of(target_time, kind=NUMBERS, field=f"{field}.target_time")
    whose = flat.get("user")
    return flat_entries(entries, user=user if whose is None else whose, target_time=target_time, field=field)


def _checked_labels(labels: Any, field: str) -> list[str | int]:
    labels = _listed(labels)
    if not isinstance(labels, (list, tuple)):
        raise EventRowError(f"the labels are {_what(labels)}", field=field, accepted="a list of names or ids")
    if not labels:
        raise EventRowError(
            "an event without labels", field=field, accepted="1 or more labels; leave such an event out"
        )
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, (str, Integral)):
            raise EventRowError(f"a label is {_what(label)}", field=field, accepted="strings or integers")
        if isinstance(label, str) and not label.strip():
            raise EventRowError(f"an empty label {label!r}", field=field, accepted="names with a character")
    return [label if isinstance(label, str) else int(label) for label in labels]


def _checked_amounts(amount: Any, labels: list[Any], field: str) -> list[float] | None:
    """One amount a label; that of a whole event is each label's, once even where the label stands twice."""
    if amount is None:
        return None
    amount = _listed(amount)
    if isinstance(amount, (list, tuple)):
        if len(amount) != len(labels):
            raise EventRowError(
                f"{len(amount)} amounts of {len(labels)} labels", field=field, accepted="one number, or one a label"
            )
        return [checked_amount(one, field) for one in amount]
    whole, seen = checked_amount(amount, field), set()
    return [0.0 if label in seen or seen.add(label) else whole for label in labels]


def checked_amount(amount: Any, field: str) -> float:
    """An amount as a float, or an [`EventRowError`]."""
    number = _finite(amount) if _is_number(amount) else None
    if number is None or number < 0:
        accepted = f"a number of 0 or more, at most {LARGEST:g}"
        if number is not None:
            accepted += "; leave out what was given back, or take amounts without their sign"
        raise EventRowError(f"the amount is {_what(amount)}", field=field, accepted=accepted)
    return number


def _listed(values: Any) -> Any:
    """An array as a list; anything else as it is."""
    return values.tolist() if getattr(values, "ndim", 0) else values


def _is_number(value: Any) -> bool:
    """Whether it is a number, of Python, of NumPy or of a column of decimals."""
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _finite(value: Real | Decimal) -> float | None:
    """It as a float; `None` where it is NaN, infinite or more than `LARGEST`."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= LARGEST else None


def _date(value: Any) -> datetime.datetime | None:
    """A point in time, or `None`; `NaT` of pandas is none."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 7 and text[4] == text[7] == "/":
            text = text.replace("/", "-", 2)
        if len(text) < 10 or not text[:4].isdigit() or text[4] != "-":  # 20240531 is a number, not a date
            return None
        try:
            value = datetime.datetime.fromisoformat(text)
        except ValueError:
            return None
    if not isinstance(value, datetime.date) or value != value:
        return None
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value


def _what(value: Any) -> str:
    if value is None:
        return "null"
    kind = {dict: "an object", list: "a list", float: "a float", bool: "a boolean", int: "an integer", str: "a string"}
    return f"{kind.get(type(value), f'a {type(value).__name__}')}: {_shortened(value)}"


def _shortened(value: Any) -> str:
    try:
        shown = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a huge integer"
    return shown if len(shown) <= 60 else shown[:57] + "..."
