"""How rows are made of sequences: settings travel as JSON, and what makes no sense is refused."""

from __future__ import annotations

import json

import pytest

from hf_mlc.errors import UserError
from hf_mlc.events.settings import EventSettings, cut_of


@pytest.mark.parametrize(
    "settings",
    [
        EventSettings(),
        EventSettings(validation_fraction=None),
        EventSettings(split_by="time", fractions=(0.5, 0.25, 0.25), merge="week", max_history=4, rows="sequence"),
        EventSettings(split_by="time", time_cuts=("2011-06-01", "2011-09-01"), train_targets="next", targets="last"),
    ],
)
def test_settings_travel_as_json(settings):
    assert EventSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_cuts_are_numbers_or_dates():
    assert EventSettings(split_by="time", time_cuts=("1970-01-02", "1970-01-03T12:00")).time_cuts == (1, 2.5)
    assert EventSettings(split_by="time", time_cuts=["3", 4]).time_cuts == (3, 4)
    assert cut_of("1970-01-02", kind="date") == (1, "date")
    for cut, kind in (("20240502", "date"), ("2024-05-02", "number")):
        with pytest.raises(UserError, match=f"field 'time_cuts': the time is .*, and other times are {kind}s"):
            cut_of(cut, kind=kind)


def test_whether_validation_users_are_drawn_is_a_setting():
    assert EventSettings().draws_validation and not EventSettings(validation_fraction=None).draws_validation
    assert not EventSettings(split_by="time").draws_validation


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": "first"}, "field 'targets': found 'first'; accepted: next, last, column"),
        ({"train_targets": "column"}, "field 'train_targets': found 'column'; accepted: next, last"),
        ({"split_by": "user"}, "field 'split_by': found 'user'; accepted: given, time"),
        ({"merge": "month"}, "field 'merge': found 'month'; accepted: none, hour, day, week"),
        ({"rows": "user"}, "field 'rows': found 'user'; accepted: target, sequence"),
        ({"min_history": -1}, "field 'min_history': found -1; accepted: a whole number from 0 on"),
        ({"max_history": 0}, "field 'max_history': found 0; accepted: a whole number from 1 on"),
        ({"min_events": True}, "field 'min_events': found True"),
        ({"seed": None}, "field 'seed': found None"),
        ({"validation_fraction": 1}, "field 'validation_fraction': found 1; accepted: between 0 and 1"),
        ({"fractions": (0.7, 0.2)}, "field 'fractions': found \\[0.7, 0.2\\]; accepted: three numbers with the sum 1"),
        ({"fractions": (0.7, 0.2, 0.2)}, "field 'fractions'"),
        ({"fractions": (0, 0.5, 0.5)}, "field 'fractions'"),
        ({"fractions": "abc"}, "field 'fractions': found 'abc'"),
        ({"time_cuts": (1, 2)}, "field 'time_cuts': times beside split_by given; accepted: split_by time"),
        ({"time_cuts": (2, 1), "split_by": "time"}, "field 'time_cuts': found \\[2, 1\\]; accepted: two times"),
        ({"time_cuts": (1,), "split_by": "time"}, "field 'time_cuts'"),
        ({"time_cuts": ("soon", 1), "split_by": "time"}, "field 'time_cuts': the time is a string: soon"),
        ({"time_cuts": ("1_0", 20), "split_by": "time"}, "field 'time_cuts': the time is a string: 1_0"),
        ({"time_cuts": (3, "2024-05-01"), "split_by": "time"}, "field 'time_cuts': the time is a date"),
        ({"rows": "sequence", "min_history": 2}, "field 'min_history': 2 beside rows sequence; accepted: 1"),
        ({"time_cuts": ("nan", 1), "split_by": "time"}, "field 'time_cuts': the time is a float: nan"),
        ({"targets": "column", "split_by": "time"}, "field 'split_by': time beside targets column"),
        ({"targets": "column", "train_targets": "last"}, "field 'train_targets': last beside targets column"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        EventSettings(**arguments)


def test_a_setting_that_is_none_is_one_line():
    with pytest.raises(UserError, match="field 'window': no such setting; accepted: targets, train_targets"):
        EventSettings.from_dict({"window": 3})
