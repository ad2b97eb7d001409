"""Histories as a kind of input: their columns, rows made of sequences, remarks."""

from __future__ import annotations

import datasets
import pytest

from hf_mlc.commands.column_arguments import ColumnArguments
from hf_mlc.data import Columns
from hf_mlc.data.contents.events import EventForm
from hf_mlc.errors import UserError
from hf_mlc.events.settings import EventSettings
from hf_mlc.inputs import EVENTS
from hf_mlc.modeling.processing_events import EventProcessor
from tests.data.test_loading import jsonl
from tests.events.test_fitting import history, rows


LONG = {"user_column": "who", "time_column": "day", "label_column": "item"}


def columns(processor: EventProcessor | None = None, **arguments) -> dict:
    args = ColumnArguments(**arguments)
    return EVENTS.columns(args) if processor is None else EVENTS.columns_of(processor, args)


def test_the_columns_of_histories_and_of_a_long_table():
    long = {"event_user": "who", "event_time": "day", "event_label": "item"}
    assert columns() == {"events": "events"} and columns(events_column="visits") == {"events": "visits"}
    assert columns(**LONG) == long
    assert columns(**LONG, amount_column="n", time_format="%d/%m/%Y") == long | {
        "event_amount": "n",
        "event_time_format": "%d/%m/%Y",
    }
    assert columns(**LONG, events_column="visits") == long | {"events": "visits"}  # rows say which of both they are


def test_a_trained_model_knows_its_columns_and_takes_histories_too():
    long = {"event_user": "who", "event_time": "day", "event_label": "item"}
    of_dates, of_numbers = EventProcessor(columns=long, time_kind="date"), EventProcessor()
    dates, numbers = EventForm(time_kind="date"), EventForm(time_kind="number")
    assert columns(of_dates) == {"events": "events", **long, "event_form": dates}
    assert columns(of_dates, events_column="visits") == {"events": "visits", "event_form": dates}
    others = LONG | {"user_column": "customer"}
    assert columns(of_dates, **others) == long | {"event_user": "customer", "event_form": dates}
    assert columns(of_numbers) == {"events": "events", "event_form": numbers}
    # amounts that training read, and how it wrote times, are not forgotten where others are named
    more = {"event_amount": "n", "event_time_format": "%d/%m/%Y"}
    of_amounts = EventProcessor(columns=long | more, time_kind="date")
    others = {"event_user": "customer", "event_time_format": "%d/%m/%Y", "event_form": dates}
    assert columns(of_amounts, user_column="customer") == long | more | others
    assert columns(of_amounts, **LONG | {"user_column": "customer"}) == long | others  # a table that may have none
    assert columns(of_amounts, time_format="%Y") == long | more | {"event_time_format": "%Y", "event_form": dates}


def test_rows_are_made_as_the_processor_says():
    sequences = datasets.DatasetDict(train=rows(history(*range(10), user="ann"), history(0, user="bob")))
    assert EVENTS.row_settings(EventProcessor()) is None
    assert EVENTS.arranged(sequences, None) is sequences and EVENTS.split_read(None, "test") == "test"
    settings = EventSettings(split_by="time", max_history=3)
    processor = EventProcessor(settings=settings.to_dict())
    assert EVENTS.row_settings(processor) == settings and EVENTS.split_read(settings, "test") == "train"
    made = EVENTS.arranged(sequences, EVENTS.row_settings(processor))
    assert {name: part["id"][:] for name, part in made.items()} == {
        "train": [f"0@{place}" for place in range(1, 7)], "validation": ["0@7", "0@8"], "test": ["0@9"],
    }  # fmt: skip
    only = EVENTS.arranged(sequences, settings, parts=["test"])
    assert list(only) == ["test"] and only["test"][0]["events"]["times"] == [6.0, 7.0, 8.0]


def of_users(*users: str) -> list[dict]:
    return [{"id": user, "events": [{"time": time, "labels": ["a"]} for time in range(3)]} for user in users]


@pytest.mark.parametrize("has_validation", [True, False])
def test_splits_are_measured_as_training_had_them(tmp_path, has_validation):
    files = {"train": of_users(*map(str, range(20))), "validation": of_users("v"), "test": of_users("w", "x")}
    for split in files if has_validation else ("train", "test"):
        jsonl(tmp_path / f"{split}.jsonl", files[split])
    settings = EventSettings(targets="last", validation_fraction=None if has_validation else 0.1)
    processor, source = EventProcessor(settings=settings.to_dict()), {"columns": Columns(events="events")}
    found = {
        split: EVENTS.load(processor, tmp_path, splits=[split], **source)[split]["id"][:]
        for split in ("train", "validation", "test")
    }
    assert found["test"] == ["w@2", "x@2"] and (found["validation"] == ["v@2"]) is has_validation
    assert (len(found["train"]), len(found["validation"])) == ((20, 1) if has_validation else (18, 2))
    assert not set(found["train"]) & set(found["validation"])
    # a file that is given as the validation split is that
    file = jsonl(tmp_path / "other.jsonl", files["validation"])
    alone = EVENTS.load(processor, validation_file=file, splits=["validation"], **source)
    assert alone["validation"]["id"][:] == ["v@2"]


def test_what_training_did_not_have_is_said():
    processor = EventProcessor(["tea"], users=["ann"])
    EVENTS.batch(processor, [history(0, user="ann")])
    assert EVENTS.remarks(processor) == []
    EVENTS.batch(processor, [history(0, 1, labels=("gin", "tea"), user="bob"), history(0, labels="abcde", user="cid")])
    assert EVENTS.remarks(processor) == [
        "7 labels in histories that the model doesn't know are left out ('gin': 2, 'a': 1, 'b': 1, 'c': 1, 'd': 1, ...)",
        "2 histories of users that training didn't have",
    ]


def test_a_history_that_can_not_be_read_is_the_user_s_error():
    with pytest.raises(UserError, match=r"row 2, field 'events\[0\].labels': the labels are a string"):
        EVENTS.batch(EventProcessor(["tea"]), [history(0), [{"time": 0, "labels": "tea"}]])


def test_a_processor_of_something_else_is_one_line(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text('{"feature_extractor_type": "TableFeatureExtractor"}')
    with pytest.raises(UserError, match="no event processor "):
        EVENTS.load_processor(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"feature_extractor_type": "EventProcessor", "look_back": 0}')
    with pytest.raises(UserError, match=r"no event processor .*`look_back` must be 1 or more"):
        EVENTS.load_processor(tmp_path)
