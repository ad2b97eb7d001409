"""Histories as they are loaded: from rows of their own, from a long table, from the Hub; and what is refused."""

from __future__ import annotations

import datetime
import gzip
import json
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_mlc.data import check_splits, fingerprint, hub_splits
from hf_mlc.data.contents.events import EventForm
from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.loading import load_splits
from hf_mlc.data.rows import Columns, checked_row
from hf_mlc.data.values import RowForm
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_events import EventProcessor
from tests.data.test_loading import jsonl


LONG = Columns(event_user="who", event_time="when", event_label="what", event_amount="much")
CSV = "who,when,what,much\nu,2024-01-02,tea,1\nv,2024-01-01,milk,2.5\nu,2024-01-01,tea,3\nu,2024-01-02,tea,4\nu,2024-01-02,jam,0\n"
HISTORIES = [
    {
        "user": "u",
        "times": [19723, 19724],
        "sizes": [1, 2],
        "labels": ["tea", "tea", "jam"],
        "amounts": [3, 5, 0],
        "target_time": None,
        "unsorted": 1,
        "merged": 0,
    },
    {
        "user": "v",
        "times": [19723],
        "sizes": [1],
        "labels": ["milk"],
        "amounts": [2.5],
        "target_time": None,
        "unsorted": 0,
        "merged": 0,
    },
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def loaded(path, columns=None) -> datasets.Dataset:
    return load_splits(path, columns=columns or Columns(events="events"))["train"]


def error_of(path, columns=None) -> str:
    with pytest.raises(UserError) as caught:
        loaded(path, columns)
    return str(caught.value).replace(f"{path.parent}/", "")


def long_csv(path: Path, text: str = CSV) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# -- a row a history


def test_a_row_of_events_is_stored_flat(tmp_path):
    events = [{"time": 5, "labels": ["b", "a"]}, {"time": 2, "labels": ["a"]}, {"time": 2, "labels": ["c"]}]
    rows = loaded(jsonl(tmp_path / "d.jsonl", [{"id": "u", "events": events}, {"events": []}]))
    assert rows[0] == {
        "id": "u",
        "events": {
            "user": "u",
            "times": [2, 5],
            "sizes": [2, 2],
            "labels": ["a", "c", "b", "a"],
            "amounts": [],
            "target_time": None,
            "unsorted": 1,
            "merged": 1,
        },
        "labels": [],
    }
    # the row's number is its name, and nobody's
    assert rows[1]["id"] == "2" and rows[1]["events"]["user"] is None and rows[1]["events"]["times"] == []


BESIDE = [
    {"user": "ann", "events": [{"time": 1, "labels": ["a"]}], "target_time": 9},
    {"id": "r2", "user": 17, "events": [{"time": 1, "labels": ["a"]}], "target_time": None},
    {"id": "r3", "events": [{"time": 1, "labels": ["a"]}]},
]


def test_user_and_target_time_stand_beside_the_events(tmp_path, monkeypatch):
    rows = loaded(jsonl(tmp_path / "d.jsonl", BESIDE))
    assert [(row["id"], row["events"]["user"], row["events"]["target_time"]) for row in rows] == [
        ("1", "ann", 9),
        ("r2", "17", None),
        ("r3", "r3", None),
    ]
    # what a processor makes of the same objects
    processor = EventProcessor()
    assert [(flat["user"], flat["target_time"]) for flat in map(processor.flat, BESIDE)] == [
        ("ann", 9),
        ("17", None),
        ("r3", None),
    ]
    table = pa.table({name: [BESIDE[0][name]] for name in BESIDE[0]})
    pq.write_table(table, tmp_path / "d.parquet")
    assert loaded(tmp_path / "d.parquet")["events"][:] == rows["events"][:1]
    data = datasets.Dataset.from_list(BESIDE[:1])
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    assert load_splits("org/x", columns=Columns(events="events"))["train"]["events"][:] == rows["events"][:1]


def test_a_user_named_by_a_float_has_the_same_name_as_the_row(tmp_path):
    events = [{"time": 1, "labels": ["a"]}]
    ids = (17.0, float("nan"))
    rows = loaded(jsonl(tmp_path / "d.jsonl", [{"id": name, "events": events} for name in ids]))
    assert [(row["id"], row["events"]["user"]) for row in rows] == [("17", "17"), ("2", None)]


def test_of_a_csv_an_empty_field_beside_the_events_is_none(tmp_path):
    path = tmp_path / "d.csv"
    events = '"[{""time"": 1, ""labels"": [""a""]}]"'
    path.write_text(f"user,target_time,events\nann,9,{events}\n,,{events}\n")
    assert [(row["user"], row["target_time"]) for row in loaded(path)["events"]] == [("ann", 9), (None, None)]
    path.write_text(f"user,target_time,events\nann,1_0,{events}\n")
    assert error_of(path).startswith("d.csv, row 1, field 'target_time': the time is a string: 1_0")


def test_labels_of_a_row_are_read_where_there_are_some_and_ids_stay_integers(tmp_path):
    rows = [{"events": [{"time": "2024-01-01", "labels": [3, 1]}], "labels": [1]}, {"events": []}]
    read = loaded(jsonl(tmp_path / "d.jsonl", rows))
    assert read["labels"][:] == [[1], []] and read[0]["events"]["labels"] == [3, 1]
    assert read.features["labels"].feature.dtype == "int64" == read.features["events"]["labels"].feature.dtype


def test_the_form_is_that_of_the_first_history_with_an_event(tmp_path):
    rows = [{"events": []}, {"events": [{"time": 1, "labels": [7]}]}]
    assert loaded(jsonl(tmp_path / "d.jsonl", rows)).features["labels"].feature.dtype == "int64"
    rows = [{"events": []}, {"events": []}]
    assert loaded(jsonl(tmp_path / "e.jsonl", rows)).features["labels"].feature.dtype == "string"


def test_stored_rows_written_to_a_file_are_read_as_they_were(tmp_path):
    first = loaded(long_csv(tmp_path / "d.csv"), LONG)
    again = loaded(jsonl(tmp_path / "again.jsonl", first.to_list()))
    assert fingerprint(again) == fingerprint(first)
    first.to_parquet(tmp_path / "again.parquet")
    assert fingerprint(loaded(tmp_path / "again.parquet")) == fingerprint(first)


def test_parquet_holds_lists_of_events_with_points_in_time(tmp_path):
    events = [[{"time": datetime.datetime(1970, 1, 2, 12), "labels": ["a"], "amount": 2.0}], []]
    pq.write_table(pa.table({"events": events, "other": [1, 2]}), tmp_path / "d.parquet")
    history = loaded(tmp_path / "d.parquet")[0]["events"]
    assert (history["times"], history["amounts"]) == ([1.5], [2])


def test_a_csv_may_hold_events_as_json(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('id,events\nu,"[{""time"": 1, ""labels"": [""a""]}]"\n')
    assert loaded(path)[0]["events"]["labels"] == ["a"]
    path.write_text("id,events\nu,a\n")
    assert error_of(path).startswith(
        "d.csv, row 1, field 'events': the history is a string: a; accepted: a list of events in"
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"events": 7}, "d.jsonl, row 2, field 'events': the history is an integer: 7"),
        ({}, "d.jsonl, row 2, field 'events': no such column"),
        (
            {"events": [{"time": "1/2/3", "labels": ["a"]}]},
            "d.jsonl, row 2, field 'events[0].time': the time is a string",
        ),
        (
            {"events": [{"time": "2024-01-01", "labels": ["a"]}]},
            "d.jsonl, row 2, field 'events[0].time': the time is a date (2024-01-01), and other times are numbers",
        ),
        (
            {"events": [{"time": 1, "labels": [1]}]},
            "d.jsonl, row 2, field 'events': the label 1 where the labels before",
        ),
        ({"events": [{"time": 1, "labels": ["\ud800"]}]}, "d.jsonl, row 2, field 'events': half a surrogate pair"),
        ({"events": [], "labels": [1]}, "d.jsonl, row 2, field 'labels': the label 1 where the labels before it are"),
        ({"events": [], "user": {"name": "u"}}, "d.jsonl, row 2, field 'user': the user is an object"),
        (
            {"events": [], "target_time": "2024-01-01"},
            "d.jsonl, row 2, field 'target_time': the time is a date (2024-01-01), and other times are numbers",
        ),
        ({"events": [], "labels": None}, "d.jsonl, row 2, field 'labels': the labels are null"),
    ],
)
def test_a_bad_row_is_one_line(tmp_path, second, message):
    first = {"events": [{"time": 1, "labels": ["a"]}]}
    assert error_of(jsonl(tmp_path / "d.jsonl", [first, second])).startswith(message)


# -- a long table


def test_rows_of_a_user_become_one_history(tmp_path):
    path = long_csv(tmp_path / "d.csv")
    rows = loaded(path, LONG)
    assert rows["id"][:] == ["u", "v"] and rows["events"][:] == HISTORIES and rows["labels"][:] == [[], []]
    # what `predict` reads
    assert [row["events"] for row in iterate_rows(path, LONG)] == HISTORIES


def test_a_long_table_in_parquet_gives_the_same(tmp_path):
    records = [line.split(",") for line in CSV.splitlines()[1:]]
    table = {
        "who": [user for user, *_ in records],
        "when": [datetime.date.fromisoformat(time) for _, time, *_ in records],
        "what": [label for *_, label, _ in records],
        "much": [float(amount) for *_, amount in records],
        "other": list(range(len(records))),
    }
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    assert loaded(tmp_path / "d.parquet", LONG)["events"][:] == HISTORIES


@pytest.mark.parametrize("most", [None, 1])
def test_a_long_table_of_the_hub_gives_the_same(tmp_path, monkeypatch, most):
    data = datasets.Dataset.from_csv(str(long_csv(tmp_path / "d.csv")))
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    most_of = {} if most is None else {"train": most}
    rows = load_splits("org/x", columns=LONG, max_samples=most_of)["train"]
    assert rows["events"][:] == HISTORIES[:most]  # users are counted, not rows of the table


def test_events_of_the_hub_may_be_a_sequence_of_objects(monkeypatch):
    event = {"time": datasets.Value("int64"), "labels": datasets.List(datasets.Value("string"))}
    features = datasets.Features({"events": datasets.Sequence(event)})
    transposed = [{"time": [2, 1], "labels": [["b"], ["a", "c"]]}, {"time": [], "labels": []}]
    data = datasets.Dataset.from_dict({"events": transposed}, features=features)
    assert data[0]["events"] == transposed[0]
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    rows = load_splits("org/x", columns=Columns(events="events"))["train"]
    assert [(history["times"], history["labels"]) for history in rows["events"]] == [
        ([1, 2], ["a", "c", "b"]),
        ([], []),
    ]


def test_a_bad_row_of_the_hub_is_one_line(tmp_path, monkeypatch):
    data = datasets.Dataset.from_csv(str(long_csv(tmp_path / "d.csv", CSV + "u,2024-01-01,tea,-1\n")))
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    with pytest.raises(UserError, match=r"^org/x\[train\], row 6, field 'much': the amount is a float: -1.0"):
        load_splits("org/x", columns=LONG)


def test_histories_come_from_the_hub_too(monkeypatch):
    events = [[{"time": 1, "labels": [5]}, {"time": 0, "labels": [4]}], [{"time": 3, "labels": [4]}]]
    data = datasets.Dataset.from_dict({"id": ["u", "v"], "events": events})
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    rows = load_splits("org/x", columns=Columns(events="events"))["train"]
    assert [history["labels"] for history in rows["events"]] == [[4, 5], [4]] and rows["labels"][:] == [[], []]
    assert rows.features["labels"].feature.dtype == "int64"


def test_times_that_are_written_otherwise_need_their_format(tmp_path):
    path = long_csv(tmp_path / "d.csv", "who,when,what,much\nu,12/1/2010 8:26,tea,1\n")
    assert "row 1, field 'when': the time is a string: 12/1/2010 8:26" in error_of(path, LONG)
    assert "--time_format" in error_of(path, LONG)
    columns = Columns(event_user="who", event_time="when", event_label="what", event_time_format="%m/%d/%Y %H:%M")
    assert loaded(path, columns)[0]["events"]["times"] == [14944 + (8 * 60 + 26) / 1440]
    path = long_csv(tmp_path / "e.csv", "who,when,what\nu,2010-12-01,tea\n")
    assert error_of(path, columns).endswith("accepted: dates as time_format says: %m/%d/%Y %H:%M")


def test_dates_of_parquet_are_read_whatever_the_format_and_digits_by_it(tmp_path):
    columns = Columns(event_user="who", event_time="when", event_label="what", event_time_format="%Y%m%d")
    for name, when in (("dates", datetime.date(2010, 12, 1)), ("digits", 20101201)):
        path = tmp_path / f"{name}.parquet"
        datasets.Dataset.from_dict({"who": ["u"], "when": [when], "what": ["tea"]}).to_parquet(path)
        assert loaded(path, columns)[0]["events"]["times"] == [14944]


def test_numbers_of_a_csv_are_times(tmp_path):
    path = long_csv(tmp_path / "d.csv", "who,when,what,much\n7,2.5, tea ,1e1\n7,-1,07,0\n")
    history = loaded(path, LONG)[0]["events"]
    assert (history["user"], history["times"], history["labels"]) == ("7", [-1, 2.5], ["07", "tea"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "u,2024-01-01,tea,-1",
            "d.csv, row 2, field 'much': the amount is a float: -1.0; accepted: a number of 0 or more",
        ),
        ("u,2024-01-01,tea,nan", "d.csv, row 2, field 'much': the amount is a string: nan"),
        ("u,2024-01-01,tea,", "d.csv, row 2, field 'much': the amount is a string: "),
        ("u,,tea,1", "d.csv, row 2, field 'when': the time is a string: "),
        ("u,20_24,tea,1", "d.csv, row 2, field 'when': the time is a string: 20_24"),
        ("u,2024-01-01,tea,1_000", "d.csv, row 2, field 'much': the amount is a string: 1_000; accepted: a number of"),
        ("u,2024-01-01,tea,1e39", "d.csv, row 2, field 'much': the amount is a float: 1e+39; accepted: a number of"),
        ("u,nan,tea,1", "d.csv, row 2, field 'when': the time is a string: nan"),
        ("u,3,tea,1", "d.csv, row 2, field 'when': the time is a number (3.0), and other times are dates"),
        ("u,2024-02-30,tea,1", "d.csv, row 2, field 'when': the time is a string: 2024-02-30"),
        ("u,2024-01-01, ,1", "d.csv, row 2, field 'what': the label is a string"),
        (",2024-01-01,tea,1", "d.csv, row 2, field 'who': the user is a string"),
    ],
)
def test_a_bad_row_of_a_long_table_is_one_line(tmp_path, line, message):
    path = long_csv(tmp_path / "d.csv", f"who,when,what,much\nu,2024-01-01,tea,1\n{line}\n")
    assert error_of(path, LONG).startswith(message)


def test_times_are_of_the_kind_that_training_had(tmp_path):
    dates = EventForm("date")
    path = long_csv(tmp_path / "d.csv", "who,when,what,much\nu,1,tea,1\nu,2,tea,1\n")
    message = "d.csv, row 1, field 'when': the time is a number (1.0), and other times are dates"
    assert error_of(path, replace(LONG, event_form=dates)).startswith(message)
    histories = jsonl(tmp_path / "d.jsonl", [{"events": [{"time": 1, "labels": ["tea"]}]}])
    message = "d.jsonl, row 1, field 'events[0].time': the time is a number (1), and other times are dates"
    assert error_of(histories, Columns(events="events", event_form=dates)).startswith(message)


def test_a_column_that_is_not_there_is_one_line(tmp_path):
    path = long_csv(tmp_path / "d.csv", "who,when,label\nu,1,tea\n")
    assert error_of(path, LONG).startswith("d.csv, row 1, field 'what': no such column; found: 'who', 'when', 'label'")
    both = Columns(events="events", event_user="who", event_time="when", event_label="what")
    assert error_of(path, both).startswith("d.csv, row 1, field 'what': no such column")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_user": "u"}, "field 'time_column': a long table with user_column alone; accepted: user_column, time"),
        ({"event_amount": "n"}, "field 'user_column': a long table with amount_column alone"),
        ({"event_time_format": "%Y"}, "field 'user_column': a long table with time_format alone"),
        (
            {"event_user": "u", "event_time": "t", "event_label": "t"},
            "field 'time_column': 't' is another of them too",
        ),
        (
            {"event_user": "u", "event_time": "t", "event_label": "l", "id": "x"},
            "field 'id_column': of a long table the user is the id",
        ),
    ],
)
def test_columns_that_make_no_sense_are_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        Columns(**arguments)


def test_beside_a_column_of_events_the_rows_say_which_they_are(tmp_path):
    both = Columns(
        events="events", event_user="who", event_time="when", event_label="what", event_amount="much", labels=None
    )
    assert [row["events"] for row in iterate_rows(long_csv(tmp_path / "d.csv"), both)] == HISTORIES
    path = jsonl(tmp_path / "d.jsonl", [{"id": "u", "events": [{"time": 1, "labels": ["a"]}]}])
    assert [row["events"]["labels"] for row in iterate_rows(path, both)] == [["a"]]
    line = RowForm(file="standard input")
    assert checked_row({"events": []}, both, line, row=1)["events"]["times"] == []
    with pytest.raises(UserError, match="standard input, row 1: a row of a long table by itself"):
        checked_row({"who": "u", "when": 1, "what": "a", "much": 1}, both, line, row=1)


def test_a_user_in_two_shards_is_an_error(tmp_path):
    for shard in range(2):
        long_csv(tmp_path / f"train-{shard:05}-of-00002.csv")
    with pytest.raises(UserError, match=r"train-00001-of-00002.csv: 'u' stands in an earlier shard too"):
        loaded(tmp_path, LONG)


# -- counts and fingerprints


def test_histories_are_counted_as_such(tmp_path):
    rows = [{"id": "u", "events": [{"time": 1, "labels": ["a"]}], "labels": ["a"]}, {"id": "v", "events": []}]
    for name in ("train", "test"):
        jsonl(tmp_path / f"{name}.jsonl", rows)
    report = check_splits(load_splits(tmp_path, columns=Columns(events="events")))
    assert (report.splits["train"].empty, report.splits["test"].also_in_train) == (1, 1)
    assert "empty histories" in str(report)


def test_a_fingerprint_depends_on_what_a_history_holds_and_not_on_how_it_was_written(tmp_path):
    prints = []
    for place, events in enumerate(
        (
            [{"time": 1, "labels": ["a"]}, {"time": 2, "labels": ["b"]}],
            [{"time": 2, "labels": ["b"]}, {"time": 1, "labels": ["a", "a"]}],
            [{"time": 1, "labels": ["a"]}, {"time": 3, "labels": ["b"]}],
            [{"time": 1, "labels": ["a"], "amount": 1}, {"time": 2, "labels": ["b"], "amount": 1}],
        )
    ):
        prints.append(fingerprint(loaded(jsonl(tmp_path / f"{place}.jsonl", [{"id": "u", "events": events}]))))
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_the_real_invoices_are_read_whole(real_data):
    folder = real_data("online-retail")
    rows = loaded(folder / "test.jsonl.gz")
    with gzip.open(folder / "test.jsonl.gz") as stream:
        raw = [json.loads(line) for line in stream]
    assert rows["id"][:] == [row["id"] for row in raw]
    expected = sum(len({event["time"] for event in row["events"]}) for row in raw)
    assert sum(len(history["sizes"]) for history in rows["events"]) == expected
