"""Events of one hour, day or week as one event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .event_rows import events_of, flat_entries


PERIODS = ("none", "hour", "day", "week")
_LENGTHS = {"hour": 1 / 24, "day": 1.0, "week": 7.0}  # days
_MONDAY = 3.0  # 1970-01-01 was a Thursday: three days after the beginning of a week
# a time of day in days isn't exact in binary: ten o'clock may come out a billionth of a second early
_EARLY = 1e-7


def period_start(time: float, period: str) -> float:
    """When the period began that a time lies in; both are days since 1970-01-01 UTC.

    Args:
        time (`float`): the time.
        period (`str`): `"hour"`, `"day"` or `"week"`, which begins on Monday, all in UTC.
    """
    length, offset = _LENGTHS[period], _MONDAY if period == "week" else 0.0
    return math.floor((time + offset) / length + _EARLY) * length - offset


def merged_events(flat: Mapping[str, Any], period: str) -> dict[str, Any]:
    """A history in the flat form ([`~hf_mlc.modeling.event_rows.flat_events`]) with the events of one period as one, at its beginning.

    A label counts once in it, with amounts added; the time to predict for becomes the beginning of its own period. What is merged once
    does not change when it is merged again.

    Args:
        flat (`dict`): its times count days.
        period (`str`): one of `PERIODS`.
    """
    if period == "none":
        return dict(flat)
    entries = [
        (period_start(event["time"], period), event["labels"], event.get("amount")) for event in events_of(flat)
    ]
    merged = flat_entries(entries)
    target_time = flat.get("target_time")
    if target_time is not None:
        target_time = period_start(target_time, period)
    parts = {name: merged[name] for name in ("times", "sizes", "labels", "amounts")}
    return {**flat, **parts, "target_time": target_time}


def period_after(time: float, gap: float, period: str) -> float:
    """When the period begins that is so long after the one that a time lies in: whole periods, the nearest number of them, one at least.

    Args:
        time, gap (`float`): in days; of a gap that was rounded on its way, such as a float32, the number of periods is still right.
        period (`str`): as of [`period_start`].
    """
    length = _LENGTHS[period]
    periods = max(1, math.floor(gap / length + 0.5))
    # the middle of that period: rounding can't lead out of it
    return period_start(period_start(time, period) + (periods + 0.5) * length, period)


__all__ = ["PERIODS", "merged_events", "period_after", "period_start"]
