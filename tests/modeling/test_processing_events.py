"""The processor of histories: what each form of them becomes, what is cut, merged, left out and refused."""

from __future__ import annotations

import datetime
import json
import math

import numpy as np
import pytest
import torch

from hf_mlc.modeling.event_rows import EventRowError, flat_events
from hf_mlc.modeling.processing_events import EventProcessor, is_list_of_events, listed_histories, nearest


NAMES = ["bread", "jam", "milk", "tea"]
HISTORY = [
    {"time": 10, "labels": ["tea"], "amount": 1},
    {"time": 14, "labels": ["milk", "bread"], "amount": [5, 2]},
    {"time": 15, "labels": ["tea", "bread", "milk"], "amount": [1, 2, 3]},
]
MONDAY = datetime.date(2024, 5, 6)


def small(**changes) -> EventProcessor:
    settings = {"label_names": NAMES, "gap_values": [0.0, 1.0, 5.0]}
    return EventProcessor(**{**settings, **changes})


def of(processor: EventProcessor, *histories) -> dict:
    return {name: values.tolist() for name, values in processor(list(histories)).items()}


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_tensor_of_a_history_by_hand():
    processor = small(
        amount_edges=[2.0, 4.0], users={"ann": 1, "bob": 2}, uses_target_time=True, median_gap=9, look_back=2
    )
    batch = processor([{"user": "bob", "events": HISTORY, "target_time": 17.5}, {"id": "zoe", "events": HISTORY[:1]}])
    assert {name: (values.dtype, values.tolist()) for name, values in batch.items()} == {
        "event_ids": (torch.int64, [[[0, 2, -100], [0, 2, 3]], [[3, -100, -100], [-100] * 3]]),
        "event_mask": (torch.bool, [[True, True], [True, False]]),
        "event_gaps": (torch.float32, [[4.0, 1.0], [0.0, 0.0]]),  # 14 - 10, although the event at 10 is not kept
        "event_times": (torch.float32, [[0.0, 1.0], [0.0, 0.0]]),
        "event_gap_ids": (torch.int64, [[3, 2], [1, 0]]),  # 4 is nearer to 5 than to 1
        "event_amount_bins": (torch.int64, [[[1, 2, -100], [1, 1, 0]], [[0, -100, -100], [-100] * 3]]),
        "user_ids": (torch.int64, [2, 0]),
        "target_gaps": (torch.float32, [2.5, 9.0]),
    }


def test_what_a_model_does_not_read_is_not_there():
    assert set(small()([HISTORY])) == {"event_ids", "event_mask", "event_gaps", "event_times", "event_gap_ids"}


@pytest.mark.parametrize("look_back", [None, 1, 2, 3, 4])
def test_the_last_events_are_kept(look_back):
    batch = of(small(look_back=look_back), HISTORY)
    kept = min(3, look_back or 3)
    assert batch["event_mask"] == [[True] * kept]
    assert batch["event_gaps"] == [[0.0, 4.0, 1.0][-kept:]]
    assert batch["event_times"][0] == [time - [10, 14, 15][-kept] for time in [10, 14, 15][-kept:]]


def test_the_events_before_the_window_say_no_more_than_one_gap():
    """So a row of look_back + 1 events, which training holds, is read as the whole history."""
    processor = small(look_back=2, amount_edges=[2.0])
    earlier = [{"time": -100, "labels": ["jam"], "amount": 7}]
    assert same(processor([HISTORY]), processor([earlier + HISTORY]))
    assert not same(processor([HISTORY]), processor([HISTORY[1:]]))  # there the first event has none before it


def test_one_history_or_several_lists_or_objects_or_the_flat_form():
    processor, many = small(), small()([HISTORY])
    flat, _ = flat_events(HISTORY)
    for given in (
        HISTORY,
        {"events": HISTORY},
        [{"events": HISTORY}],
        (HISTORY,),
        flat,
        [flat],
        {"id": "7", "events": flat, "labels": ["tea"]},  # a row of a data set
        HISTORY[::-1],
    ):
        assert same(processor(given), many)
    arrays = processor([HISTORY], return_tensors="np")
    assert isinstance(arrays["event_ids"], np.ndarray) and arrays["event_ids"].dtype == np.int64
    with pytest.raises(ValueError, match="`return_tensors` must be 'pt' or 'np', found 'tf'"):
        processor([HISTORY], return_tensors="tf")


def test_no_history_no_event_and_no_known_label():
    processor = small(look_back=2, uses_target_time=True, amount_edges=[2.0], users=["u"])
    none = processor([])
    assert none["event_ids"].shape == (0, 1, 1) and none["user_ids"].shape == (0,)
    empty = of(processor, [])
    assert empty["event_ids"] == [[[-100]]] and empty["event_mask"] == [[False]] and empty["target_gaps"] == [1.0]
    assert of(processor, {"events": []}) == empty
    # something happened, though it has no name: the gap after it is right
    unknown = of(processor, [{"time": 0, "labels": ["gin"]}, {"time": 5, "labels": ["tea"]}])
    assert unknown["event_ids"] == [[[-100], [3]]] and unknown["event_gaps"] == [[0.0, 5.0]]
    assert processor.unseen_counts == {"gin": 1}


def test_a_batch_mate_changes_nothing_but_padding():
    processor = small(amount_edges=[2.0, 4.0], users=["u"], uses_target_time=True)
    long = [{"time": time, "labels": NAMES, "amount": time} for time in range(7)]
    alone, together = processor([HISTORY]), processor([long, HISTORY, []])
    assert alone["event_ids"].shape == (1, 3, 3) and together["event_ids"].shape == (3, 7, 4)
    for name, values in alone.items():
        own = tuple(slice(size) for size in values.shape[1:])
        assert torch.equal(together[name][1][own], values[0]), name
        is_padding = torch.ones_like(together[name][1], dtype=torch.bool)
        is_padding[own] = False
        padding = -100 if name in ("event_ids", "event_amount_bins") else 0
        assert (together[name][1][is_padding] == padding).all(), name


def test_labels_are_known_by_name_or_id():
    by_name = small(label_names=["10", "7"])
    assert of(by_name, [{"time": 0, "labels": [7, 10]}])["event_ids"] == [[[0, 1]]]
    assert of(by_name, [{"time": 0, "labels": ["7", "07"]}])["event_ids"] == [[[1]]]
    by_id = small(integers_are_ids=True)
    assert of(by_id, [{"time": 0, "labels": [3, 4, -1]}])["event_ids"] == [[[3]]]
    # two spellings of one label in a CSV: one label, its amounts added
    both = small(integers_are_ids=True, amount_edges=[3.0])
    batch = of(both, [{"time": 0, "labels": ["tea", "3"], "amount": [2, 1]}])
    assert batch["event_ids"] == [[[3]]] and batch["event_amount_bins"] == [[[1]]]
    assert by_name.unseen_counts == {"07": 1} and by_id.unseen_counts == {"4": 1, "-1": 1}


def test_a_label_twice_in_an_event_and_two_events_at_one_time_are_one_with_amounts_added():
    processor = small(amount_edges=[2.5, 9.5])
    apart = [
        {"time": 3, "labels": ["tea", "tea"], "amount": [1, 1]},
        {"time": 3, "labels": ["tea", "jam"], "amount": [1, 9]},
    ]
    batch = of(processor, apart)
    assert batch["event_ids"] == [[[1, 3]]] and batch["event_amount_bins"] == [[[1, 1]]]


def test_amounts_on_an_edge_belong_to_the_bin_above_and_missing_ones_to_none():
    processor = small(amount_edges=[0.1, 4.0])
    event = {"time": 0, "labels": NAMES, "amount": [0, 0.1, 4, 1e9]}
    assert of(processor, [event])["event_amount_bins"] == [[[0, 1, 2, 2]]] and processor.num_amount_bins == 3
    flat, _ = flat_events([event])
    stored = {**flat, "amounts": np.array(flat["amounts"], dtype=np.float32).tolist()}  # as Arrow has them
    # the edge was fitted on stored amounts; whoever hands in 0.1 means that amount
    edge = small(amount_edges=[float(np.float32(0.1)), 4.0])
    assert of(edge, stored) == of(edge, [event])
    assert of(processor, [{"time": 0, "labels": ["tea"]}])["event_amount_bins"] == [[[-100]]]
    assert small(amount_edges=[]).num_amount_bins == 1 and small().num_amount_bins == 0
    assert of(small(amount_edges=[]), [event])["event_amount_bins"] == [[[0, 0, 0, 0]]]


def test_a_gap_that_training_did_not_have_is_its_nearest():
    values = np.array([0.0, 1.0, 5.0])
    given = np.array([0.0, 0.5, 0.51, 1.0, 3.0, 3.01, 4.0, 1e9])
    assert nearest(values, given).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert nearest(np.array([4.0]), given).tolist() == [0] * 8


@pytest.mark.parametrize(("unit", "factor"), [("minute", 1440.0), ("hour", 24.0), ("day", 1.0), ("week", 1 / 7)])
def test_dates_are_measured_in_a_unit_and_numbers_in_their_own(unit, factor):
    processor = small(time_kind="date", time_unit=unit, uses_target_time=True)
    history = {
        "events": [{"time": "2024-05-06", "labels": ["tea"]}, {"time": "2024-05-07T12:00:00Z", "labels": ["tea"]}],
        "target_time": "2024-05-10 12:00",
    }
    batch = of(processor, history)
    assert batch["event_gaps"][0] == pytest.approx([0, 1.5 * factor])
    assert batch["event_times"][0] == pytest.approx([0, 1.5 * factor])
    assert batch["target_gaps"] == pytest.approx([3 * factor])
    as_dates = {
        "events": [
            {"time": MONDAY, "labels": ["tea"]},
            {"time": datetime.datetime(2024, 5, 7, 14, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), "labels": ["tea"]},
        ],
        "target_time": datetime.datetime(2024, 5, 10, 12),
    }  # fmt: skip
    assert of(processor, as_dates) == batch
    numbers = small(time_unit=unit)
    assert of(numbers, [{"time": 0, "labels": ["tea"]}, {"time": 1.5, "labels": ["tea"]}])["event_gaps"] == [[0, 1.5]]


def test_long_times_lose_nothing_before_the_gap_is_taken():
    seconds = 1.7e9
    history = [{"time": seconds, "labels": ["tea"]}, {"time": seconds + 1, "labels": ["tea"]}]
    assert of(small(), history)["event_gaps"] == [[0.0, 1.0]]


def test_events_of_one_period_become_one_as_in_training():
    settings = {"merge": "day"}
    processor = small(time_kind="date", settings=settings, amount_edges=[3.5], look_back=2)
    visits = [
        {"time": "2024-05-05 23:59", "labels": ["jam"], "amount": 9},
        {"time": "2024-05-06 08:00", "labels": ["tea"], "amount": 2},
        {"time": "2024-05-06 19:30", "labels": ["tea", "milk"], "amount": [2, 1]},
        {"time": "2024-05-08", "labels": ["bread"], "amount": 1},
    ]
    by_day = [
        {"time": "2024-05-05", "labels": ["jam"], "amount": 9},
        {"time": "2024-05-06", "labels": ["tea", "milk"], "amount": [4, 1]},
        {"time": "2024-05-08", "labels": ["bread"], "amount": 1},
    ]
    assert same(processor([visits]), processor([by_day]))
    assert of(processor, visits)["event_gaps"] == [[1.0, 2.0]]
    told = small(time_kind="date", settings=settings, uses_target_time=True)
    assert of(told, {"events": visits, "target_time": "2024-05-09 18:00"})["target_gaps"] == [
        1.0
    ]  # of days, as in training
    assert of(processor, visits)["event_amount_bins"] == [[[0, 1], [0, -100]]]


def test_a_longer_history_than_training_rows_have_is_cut_to_theirs():
    processor = small(settings={"max_history": 2})
    assert same(processor([HISTORY]), processor([HISTORY[1:]]))
    assert of(processor, HISTORY)["event_gaps"] == [[0.0, 1.0]]


def test_a_history_goes_on_one_median_gap_later():
    processor = small(median_gap=3.0, amount_edges=[1.0, 2.0, 8.0], uses_target_time=True)
    asked = processor.followed({"user": "u", "events": HISTORY, "target_time": 16}, ["jam", "tea"])
    assert asked["times"] == [10, 14, 15, 16] and asked["target_time"] is None  # the time it was scored for
    followed = processor.followed({"user": "u", "events": HISTORY}, ["jam", "tea"])
    assert followed["times"] == [10, 14, 15, 18] and followed["labels"][-2:] == ["jam", "tea"]
    assert followed["user"] == "u" and followed["target_time"] is None
    batch = of(processor, followed)
    assert batch["event_ids"][0][-1] == [1, 3, -100] and batch["event_gaps"] == [[0, 4, 1, 3]]
    assert batch["event_amount_bins"][0][-1] == [2, 2, -100]  # of four bins the upper one of the middle
    assert processor.followed(HISTORY, []) == {**processor.flat(HISTORY), "target_time": None}
    assert processor.followed([], ["tea"])["times"] == [3.0]
    hours = small(time_kind="date", time_unit="hour", median_gap=12.0)
    assert hours.followed([{"time": MONDAY, "labels": ["tea"]}], ["tea"])["times"][1] % 1 == 0.5
    integers = small(label_names=["7", "x"])
    followed = integers.followed([{"time": 0, "labels": [7]}], ["x"])
    assert followed["labels"] == ["7", "x"] and of(integers, followed)["event_ids"] == [[[0], [1]]]
    ids = small(integers_are_ids=True).followed([{"time": 0, "labels": [0]}], ["tea"])
    assert ids["labels"] == [0, 3]
    without = processor.followed([{"time": 0, "labels": ["tea"]}], ["tea"])
    assert without["amounts"] == []  # one event's amount alone would be none


@pytest.mark.parametrize(("period", "day"), [("hour", 1 / 24), ("day", 1.0), ("week", 7.0)])
def test_an_event_that_follows_is_so_many_periods_later_as_the_median_says(period, day):
    for unit, factor in (("day", 1.0), ("hour", 24.0)):
        for number in (1, 2, 3, 5, 7, 11, 29):
            gap = float(np.float32(number * day * factor))  # as it is fitted
            processor = small(time_kind="date", time_unit=unit, median_gap=gap, settings={"merge": period})
            history = processor.flat([{"time": "2024-05-06 10:30", "labels": ["tea"]}])
            for _ in range(3):
                history = processor.followed(history, ["milk"], is_flat=True)
            assert processor.flat(history)["times"] == history["times"]
            assert of(processor, history)["event_gaps"][0][1:] == pytest.approx([gap] * 3, rel=1e-5)


def test_what_follows_a_flat_history_is_flat_and_no_longer_than_one():
    processor = small(settings={"max_history": 2}, amount_edges=[2.0])
    flat = processor.flat(HISTORY)
    followed = processor.followed(flat, ["jam"], is_flat=True)
    assert followed["times"] == [15, 16] and followed["labels"] == ["tea", "bread", "milk", "jam"]
    assert len(followed["amounts"]) == 4
    assert followed == processor.followed(HISTORY, ["jam"])


def test_another_label_list_makes_another_processor_and_leaves_this_one():
    processor = small()
    processor([[{"time": 0, "labels": ["gin"]}]])
    other = processor.with_labels(["tea", "gin"])
    assert of(other, HISTORY[:1])["event_ids"] == [[[0]]] and of(processor, HISTORY[:1])["event_ids"] == [[[3]]]
    assert other.unseen_counts == {} and processor.unseen_counts == {"gin": 1}


def test_users_are_counted_where_a_named_one_is_new():
    processor = small(users=["ann", "7"])
    assert processor.users == {"ann": 1, "7": 2} and processor.num_users == 2
    named = [{"user": "ann", "events": []}, {"user": 7, "events": []}, {"id": "zoe", "events": []}, HISTORY]
    assert of(processor, *named)["user_ids"] == [1, 2, 0, 0]
    assert processor.num_unseen_users == 1


def test_it_is_saved_whole_and_without_its_counts(tmp_path):
    processor = small(
        look_back=3, median_gap=2.5, amount_edges=[1.0, 2.5], users=["b", "a"], time_kind="date", time_unit="week",
        uses_target_time=True, settings={"merge": "week", "fractions": [0.7, 0.17, 0.13]}, columns={"event_user": "who"},
    )  # fmt: skip
    dated = [{**event, "time": MONDAY + datetime.timedelta(event["time"])} for event in HISTORY]
    before = processor([{"user": "a", "events": dated}])
    processor([[{"time": MONDAY, "labels": ["gin"]}]])
    processor.save_pretrained(tmp_path)
    loaded = EventProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict() and loaded.unseen_counts == {}
    assert same(loaded([{"user": "a", "events": dated}]), before)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert not [name for name in saved if name.startswith("_")] and "unseen_counts" not in saved


# -- refused


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ([{"time": "soon", "labels": ["tea"]}], r"row 3, field 'events\[0\].time': the time is a string: soon"),
        ([{"time": math.nan, "labels": ["tea"]}], r"field 'events\[0\].time': the time is a float: nan"),
        ([{"time": None, "labels": ["tea"]}], r"field 'events\[0\].time': the time is null"),
        (
            [{"time": "2024-05-06", "labels": ["tea"]}],
            r"the time is a date \(2024-05-06\), and other times are numbers",
        ),
        ([{"time": 0}], r"row 3, field 'events\[0\]': an event without 'labels'"),
        ([{"time": 0, "labels": "tea"}], "the labels are a string: tea"),
        ([{"time": 0, "labels": []}], "an event without labels"),
        ([{"time": 0, "labels": ["tea"], "amount": -1}], "the amount is an integer: -1"),
        ([{"time": 0, "labels": ["tea"], "amount": math.nan}], "the amount is a float: nan"),
        ([{"time": 0, "labels": ["tea"], "amount": [1, 2]}], "2 amounts of 1 labels"),
        ({"events": HISTORY, "target_time": 14}, "row 3, field 'target_time': 14, before the last event's 15"),
        ({"user": "u"}, "row 3, field 'events': the history is"),
        ("tea", "row 3, field 'events': the history is a string"),
    ],
)
def test_a_history_that_can_not_be_read_is_one_line(history, problem):
    processor = small(uses_target_time=True)
    with pytest.raises(EventRowError, match=problem) as error:
        processor([HISTORY, {"events": []}, history])
    assert error.value.row == 3 and "\n" not in str(error.value)


def test_numbers_where_training_had_dates_are_one_line():
    with pytest.raises(EventRowError, match=r"row 1, .*the time is a number .*, and other times are dates"):
        small(time_kind="date")([HISTORY])


def test_a_list_of_events_is_one_history():
    event, whole = {"time": 0, "labels": ["tea"]}, {"events": []}
    for events in ([event], [event, event], [{"time": 0}], [{"labels": ["tea"]}]):
        assert is_list_of_events(events) and listed_histories(events) == [events]
    for histories in ([], [whole], [whole, event], [[event]], [[]], [{"times": [], "sizes": [], "labels": []}]):
        assert not is_list_of_events(histories) and listed_histories(histories) is histories
    assert listed_histories(whole) == [whole]


def test_a_data_frame_is_refused_by_its_name():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"who": ["ann"], "day": [0], "item": ["tea"]})
    with pytest.raises(EventRowError, match=r"histories are a DataFrame; accepted: a list of histories; the pipeline"):
        small()(table)


def test_no_list_of_histories_is_one_line():
    for given in ("tea", 5, None):
        with pytest.raises(EventRowError, match="accepted: a list of histories"):
            small()(given)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"label_names": ["a", "b", "a"]}, "`label_names` must be different names, found 'a' twice"),
        ({"gap_values": []}, "`gap_values` must be numbers from 0 on"),
        ({"gap_values": [1.0, 1.0]}, "`gap_values` must be finite numbers, ascending"),
        ({"gap_values": [-1.0, 1.0]}, "`gap_values` must be numbers from 0 on"),
        ({"amount_edges": [3.0, 1.0]}, "`amount_edges` must be finite numbers, ascending"),
        ({"amount_edges": [math.nan]}, "`amount_edges` must be finite numbers, ascending"),
        ({"look_back": 0}, "`look_back` must be 1 or more, or None, found 0"),
        ({"time_kind": "day"}, "`time_kind` must be one of date, number, found 'day'"),
        ({"time_unit": "year"}, "`time_unit` must be one of minute, hour, day, week, found 'year'"),
        ({"users": {"a": 1, "b": 1}}, "`users` must have the rows 1 ... U, each once"),
        ({"settings": {"merge": "month"}}, "`merge` must be one of none, hour, day, week, found 'month'"),
    ],
)
def test_a_setting_that_is_none_is_one_line(changes, problem):
    with pytest.raises(ValueError, match=problem.replace("...", r"\.\.\.")):
        small(**changes)
