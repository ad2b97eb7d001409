"""Events of one period as one: where a period begins, and that nothing is lost."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from hf_mlc.modeling.event_periods import merged_events, period_after, period_start
from hf_mlc.modeling.event_rows import events_of, flat_events


MONDAY = datetime.date(2024, 5, 6)


@pytest.mark.parametrize("period", ["hour", "day", "week"])
def test_a_period_begins_on_the_hour_at_midnight_or_on_monday_and_merging_twice_is_merging_once(period):
    day = (MONDAY - datetime.date(1970, 1, 1)).days
    first_of = {"hour": day + 10 / 24, "day": day, "week": day}[period]
    last_of = {"hour": day + 10.999 / 24, "day": day + 0.999, "week": day + 6.999}[period]
    assert period_start(day + 10 / 24, period) == pytest.approx(first_of, abs=1e-6)
    assert period_start(last_of, period) == period_start(day + 10 / 24, period)
    for hour in range(24 * 8):  # no beginning of an hour falls into the hour before
        start = period_start(day + hour / 24, "hour")
        assert start == pytest.approx(day + hour / 24, abs=1e-6) and period_start(start, "hour") == start
    flat, _ = flat_events([{"time": day + hour / 24, "labels": ["tea"], "amount": 1} for hour in range(0, 24 * 15, 5)])
    once = merged_events(flat, period)
    assert merged_events(once, period) == once and len(once["times"]) < 72 + (period == "hour")
    assert sum(once["amounts"]) == 72
    assert merged_events(flat, "none") == flat


@pytest.mark.parametrize(("period", "most"), [("hour", 200), ("day", 400), ("week", 60)])
def test_the_period_after_a_gap_is_the_same_for_a_rounded_gap(period, most):
    day = (MONDAY - datetime.date(1970, 1, 1)).days
    length = {"hour": 1 / 24, "day": 1.0, "week": 7.0}[period]
    for number in range(1, most):
        exact = number * length
        for gap in (exact, float(np.float32(exact)), exact * (1 - 1e-6), exact * (1 + 1e-6)):
            assert period_after(day, gap, period) == pytest.approx(day + exact, abs=1e-6)
    # an event in the same period would be none of its own
    assert period_after(day, 0.1 * length, period) == pytest.approx(day + length, abs=1e-6)
    assert period_after(day, 2.4 * length, period) == pytest.approx(day + 2 * length, abs=1e-6)


def test_labels_of_a_period_count_once_with_their_amounts_added():
    monday = (MONDAY - datetime.date(1970, 1, 1)).days
    visits = [
        {"time": monday + 0.3, "labels": ["tea"], "amount": 2},
        {"time": monday + 0.8, "labels": ["tea", "milk"], "amount": [2, 1]},
        {"time": monday + 7, "labels": ["tea"], "amount": 1},
    ]
    flat, _ = flat_events({"user": "ann", "events": visits, "target_time": monday + 8.5})
    merged = merged_events(flat, "week")
    assert events_of(merged) == [
        {"time": monday, "labels": ["tea", "milk"], "amount": [4, 1]},
        {"time": monday + 7, "labels": ["tea"], "amount": [1]},
    ]
    assert merged["user"] == "ann" and merged["target_time"] == monday + 7
    assert flat["sizes"] == [1, 2, 1]  # what was given is as it was
    without = merged_events(
        flat_events([{"time": 0.1, "labels": ["tea"]}, {"time": 0.2, "labels": ["tea"]}])[0], "day"
    )
    assert without["labels"] == ["tea"] and without["amounts"] == []
