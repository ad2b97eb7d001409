"""Histories as they come, in one form; and what is refused."""

from __future__ import annotations

import datetime
import decimal
import json

import pytest

from hf_mlc.modeling.event_rows import EventRowError, events_of, flat_events, time_of


def flat(*events, **arguments) -> dict:
    return flat_events(list(events), **arguments)[0]


def event(time, *labels, **amount) -> dict:
    return {"time": time, "labels": list(labels), **amount}


def error_of(history, **arguments) -> str:
    with pytest.raises(EventRowError) as caught:
        flat_events(history, **arguments)
    return str(caught.value)


# -- times


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("1970-01-02", 1),
        ("1970/01/02", 1),
        ("1970-01-01T12:00", 0.5),
        ("1970-01-01 06:00:00", 0.25),
        ("1970-01-02T01:00+01:00", 1),
        ("1970-01-02T00:00:00Z", 1),
        ("1969-12-31", -1),
        (datetime.date(1970, 1, 3), 2),
        (datetime.datetime(1970, 1, 1, 18), 0.75),
        (datetime.datetime(1970, 1, 1, 18, tzinfo=datetime.timezone(datetime.timedelta(hours=6))), 0.5),
    ],
)
def test_dates_are_days_in_utc(value, days):
    assert time_of(value) == (days, "date")


@pytest.mark.parametrize("value", [3, 3.0, -1.5, 0])
def test_numbers_stay(value):
    assert time_of(value) == (value, "number")


@pytest.mark.parametrize(
    "value", [None, True, "", "3", "soon", "20240531", "2024-13-01", "31.05.2024", "12/1/2010", [1], b"2024-01-01"]
)
def test_what_is_no_time_is_an_error(value):
    with pytest.raises(EventRowError, match=r"field 'time': the time is .*accepted: a number, an ISO 8601 date"):
        time_of(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, 1e39, -1e31])
def test_numbers_that_are_not_finite_are_an_error(value):
    with pytest.raises(EventRowError, match="accepted: a finite number"):
        time_of(value)


def test_a_data_set_has_one_kind_of_times():
    assert error_of([event(1, "a"), event("2024-01-01", "a")]).startswith(
        "field 'events[1].time': the time is a date (2024-01-01), and other times are numbers; accepted: numbers throughout"
    )
    assert "the time is a number (1), and other times are dates" in error_of([event(1, "a")], time_kind="date")


def test_not_a_time_of_pandas_is_an_error():
    pandas = pytest.importorskip("pandas")
    assert time_of(pandas.Timestamp("1970-01-02")) == (1, "date")
    with pytest.raises(EventRowError, match="the time is a NaTType"):
        time_of(pandas.NaT)


# -- histories


def test_events_are_sorted_and_those_of_one_time_are_one():
    found = flat(event(3, "a", amount=2), event(1, "b", amount=[1]), event(3, "b", "a", amount=[4, 5]), user="u")
    assert found == {
        "user": "u",
        "times": [1, 3],
        "sizes": [1, 2],
        "labels": ["b", "a", "b"],
        "amounts": [1, 7, 4],
        "target_time": None,
        "unsorted": 1,
        "merged": 1,
    }


def test_a_label_twice_counts_once_and_amounts_of_a_list_are_added():
    assert flat(event(0, "a", "b", "a", amount=[1, 2, 3]))["amounts"] == [4, 2]
    # of a whole event each label has the amount, and none has it twice
    assert flat(event(0, "a", "b", "a", amount=5))["amounts"] == [5, 5]
    assert flat(event(0, 7, 7))["labels"] == [7]


def test_numbers_and_arrays_of_numpy_are_taken_as_those_of_python():
    np = pytest.importorskip("numpy")
    events = [{"time": np.float32(1.5), "labels": np.array([4, 2]), "amount": np.array([1.0, 2.0])}]
    found = flat(*events)
    assert found["times"] == [1.5] and found["labels"] == [4, 2] and found["amounts"] == [1, 2]
    assert all(type(label) is int for label in found["labels"])
    assert flat_events(np.array([{"time": decimal.Decimal("2"), "labels": ("a",)}]))[0]["times"] == [2]
    assert flat_events({name: np.array(found[name]) for name in ("times", "sizes", "labels")})[0]["sizes"] == [2]


def test_a_history_may_hold_its_user_and_the_time_to_predict():
    found, kind = flat_events({"user": "u", "events": [event("1970-01-02", "a")], "target_time": "1970-01-05"})
    assert (found["user"], found["times"], found["target_time"], kind) == ("u", [1], 4, "date")
    assert flat_events({"user": None, "events": []}, user="7")[0]["user"] == "7"


def test_the_flat_form_is_taken_as_well_and_is_checked():
    once = flat(event(3, "a", "c"), event(1, "b"), user="u")
    again, _ = flat_events(json.loads(json.dumps(once)))
    assert again == once | {"unsorted": 0}
    assert events_of(once) == [event(1, "b"), event(3, "a", "c")]
    assert events_of(flat(event(1, "b", amount=2))) == [event(1, "b", amount=[2])]
    assert flat_events({"user": "u", "events": once, "target_time": 9})[0]["target_time"] == 9
    assert "2 times, 1 sizes with the sum 1" in error_of(once | {"sizes": [1]})
    assert "an event without labels" in error_of(once | {"sizes": [0, 3]})
    assert "2 amounts" in error_of(once | {"amounts": [1, 2]})
    assert "found a string" in error_of(once | {"times": "12"})


def test_a_history_without_events_is_one():
    assert flat_events([]) == (
        {"user": None, "times": [], "sizes": [], "labels": [], "amounts": [], "target_time": None}
        | {"unsorted": 0, "merged": 0},
        None,
    )


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (7, "field 'events': the history is an integer: 7; accepted: a list of events"),
        (None, "field 'events': the history is null"),
        ("x", "field 'events': the history is a string: x"),
        ({"event": []}, "field 'events': the history is an object"),
        ([7], "field 'events[0]': an event is an integer: 7; accepted: an object with 'time', 'labels'"),
        ([{"labels": ["a"]}], "field 'events[0]': an event without 'time'"),
        ([{"time": 1}], "field 'events[0]': an event without 'labels'"),
        ([event(1)], "field 'events[0].labels': an event without labels; accepted: 1 or more labels"),
        ([{"time": 1, "labels": "a"}], "field 'events[0].labels': the labels are a string: a"),
        ([event(1, " ")], "field 'events[0].labels': an empty label ' '"),
        ([event(1, True)], "field 'events[0].labels': a label is a boolean"),
        ([event(1, "a"), event(2, 1)], "field 'events': strings and integers mixed"),
        (
            [event(1, "a", amount=-1)],
            "field 'events[0].amount': the amount is an integer: -1; accepted: a number of 0 or",
        ),
        ([event(1, "a", amount=float("nan"))], "field 'events[0].amount': the amount is a float: nan"),
        ([event(1, "a", amount=[float("inf")])], "field 'events[0].amount': the amount is a float: inf"),
        (
            [event(1, "a", amount=1e39)],
            "field 'events[0].amount': the amount is a float: 1e+39; accepted: a number of 0 or more, at most 1e+30",
        ),
        ([event(1, "a", amount="3")], "field 'events[0].amount': the amount is a string: 3"),
        ([event(1, "a", amount=[1, 2])], "field 'events[0].amount': 2 amounts of 1 labels"),
        ([event(1, "a", amount=1), event(2, "a")], "field 'events[1].amount': no amount, and other events have one"),
    ],
)
def test_what_is_no_history_is_one_line(history, message):
    assert error_of(history).startswith(message)
