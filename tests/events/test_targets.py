"""Rows of a history and the set that came next: which events are targets, of which part, and what their rows hold."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import datasets
import pytest

from hf_mlc.data import Columns, fingerprint, load_splits
from hf_mlc.data.storing import file_of
from hf_mlc.errors import UserError
from hf_mlc.events.settings import EventSettings
from hf_mlc.events.targets import all_labels, count_events, split_read, target_rows, target_sets
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.event_rows import events_of
from hf_mlc.modeling.processing_events import EventProcessor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sequences(tmp_path):
    """Splits of users, each a list of `(time, labels)` or `(time, labels, amount)`, or a whole row."""

    def make(**users_of) -> datasets.DatasetDict:
        for split, users in users_of.items():
            lines = []
            for name, events in users.items():
                row = events if isinstance(events, dict) else {"events": [event(*one) for one in events]}
                lines.append(json.dumps({"id": name, **row}) + "\n")
            (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        return load_splits(tmp_path, columns=Columns(events="events"), splits=list(users_of))

    return make


def event(time, labels, *amount) -> dict:
    """Of `"ab"` the labels a and b."""
    return {"time": time, "labels": list(labels)} | dict(zip(("amount",), amount, strict=False))


def run(number: int, start: float = 0) -> list[tuple[float, str]]:
    """So many events, each of a label of its own."""
    return [(start + place, chr(97 + place)) for place in range(number)]


def shown(rows) -> list[tuple[str, str, str]]:
    """Of each row its id, its history and its target: `("u@2", "a b", "c")`."""
    return [
        (
            row["id"],
            " ".join("".join(sorted(one["labels"])) for one in events_of(row["events"])),
            "".join(sorted(row["labels"])),
        )
        for row in rows
    ]


# -- which events are targets


def test_every_event_with_one_before_it_is_a_target(sequences):
    splits = sequences(test={"u": [(0, "a"), (3, "bc"), (4, "a")], "v": [(9, "c"), (7, "b")]})
    rows = target_rows(splits, EventSettings())["test"]
    assert shown(rows) == [("u@1", "a", "bc"), ("u@2", "a bc", "a"), ("v@1", "b", "c")]
    assert [row["events"]["target_time"] for row in rows] == [3, 4, 9]
    assert [row["events"]["user"] for row in rows] == ["u", "u", "v"]
    assert file_of(rows, "?").endswith("test.jsonl")


def test_a_history_is_as_long_as_it_is_asked_for(sequences):
    splits = sequences(test={"u": run(5)})
    rows = target_rows(splits, EventSettings(min_history=2, max_history=3))["test"]
    assert shown(rows) == [("u@2", "a b", "c"), ("u@3", "a b c", "d"), ("u@4", "b c d", "e")]
    rows = target_rows(splits, EventSettings(min_history=0, max_history=1))["test"]
    assert shown(rows)[:2] == [("u@0", "", "a"), ("u@1", "a", "b")]


def test_the_last_event_alone(sequences):
    splits = sequences(train={"u": run(4), "v": run(2), "w": run(1)}, test={"x": run(3)})
    settings = EventSettings(targets="last", train_targets="next", validation_fraction=0.4)
    rows = target_rows(splits, settings)
    assert {len(rows["train"]), len(rows["validation"])} == {3, 1} or {
        len(rows["train"]),
        len(rows["validation"]),
    } == {1}
    assert shown(rows["test"]) == [("x@2", "a b", "c")]
    assert shown(target_rows(splits, EventSettings(targets="last"), parts=["test"])["test"]) == shown(rows["test"])


def test_rows_that_have_their_next_set_are_kept(sequences):
    given = {"events": [event(0, "a"), event(1, "b"), event(2, "c")], "labels": ["d", "e", "d"]}
    splits = sequences(train={"u": given, "v": {**given, "labels": []}, "w": {"events": [], "labels": ["a"]}})
    settings = EventSettings(targets="column", max_history=2)
    rows = target_rows(datasets.DatasetDict(train=splits["train"], validation=splits["train"]), settings)["train"]
    assert shown(rows) == [("u", "b c", "de"), ("v", "b c", "")]
    assert rows[0]["labels"] == ["d", "e"] and rows[0]["events"]["target_time"] is None
    none = sequences(train={"u": {"events": [event(0, "a")]}}, validation={"v": {"events": [event(0, "a")]}})
    with pytest.raises(
        UserError, match=r"train.jsonl, field 'labels': no row has a next set; accepted: a labels column"
    ):
        target_rows(none, settings)


def test_events_of_one_period_are_one(sequences):
    hours = [(0.1, "a", 1), (0.9, "ab", 2), (1 + 10 / 24, "c", 3), (1 + 10.5 / 24, "a", 4), (4, "d", 5)]
    splits = sequences(test={"u": hours})

    def merged(period: str) -> list:
        row = target_rows(splits, EventSettings(merge=period, targets="last"))["test"][0]["events"]
        return [row["times"], "".join(row["labels"]), row["amounts"], row["target_time"]]

    assert merged("none")[0] == [0.1, 0.9, 1 + 10 / 24, 1 + 10.5 / 24]
    assert merged("hour")[1:3] == ["aabca", [1, 2, 2, 3, 4]] and merged("hour")[0][2] == pytest.approx(1 + 10 / 24)
    assert merged("day") == [[0, 1], "abca", [3, 2, 3, 4], 4]
    # 1970-01-01 was a Thursday: the week began on Monday before, and Monday after is day 4
    assert merged("week") == [[-3], "abc", [7, 2, 3], 4]


def test_the_time_to_predict_for_is_that_of_its_period(sequences):
    """As the processor has it in prediction: the target's day, and not an hour of it."""
    given = {"events": [event("2024-05-01T08:00", "a"), event("2024-05-02T10:00", "b")], "labels": ["c"]}
    given["target_time"] = "2024-05-03T18:00"
    splits = sequences(test={"u": given})
    settings = EventSettings(targets="column", merge="day")
    (row,) = target_rows(splits, settings)["test"]
    processor = EventProcessor(["a", "b"], time_kind="date", uses_target_time=True, settings=settings.to_dict())
    (stored,), (raw,) = processor.encode([row["events"]], is_flat=True), processor.encode([given])
    assert stored["target_gaps"] == raw["target_gaps"] == 1.0


# -- splits by user


def test_validation_users_are_drawn_and_are_no_training_users(sequences):
    splits = sequences(train={f"u{place}": run(2 + place % 3) for place in range(20)} | {"one": run(1)})

    def users(rows) -> dict[str, set[str]]:
        return {part: {history["user"] for history in found["events"]} for part, found in rows.items()}

    found = users(target_rows(splits, EventSettings(validation_fraction=0.25, seed=1)))
    assert len(found["validation"]) == 5 and not found["train"] & found["validation"]
    assert found["train"] | found["validation"] == {f"u{place}" for place in range(20)}
    assert users(target_rows(splits, EventSettings(validation_fraction=0.25, seed=1))) == found
    assert users(target_rows(splits, EventSettings(validation_fraction=0.25, seed=2))) != found


@pytest.mark.parametrize("targets", ["column", "next"])
def test_all_rows_of_a_user_are_drawn_together(tmp_path, targets):
    lines = [
        {"id": f"r{row}", "user": f"u{row % 10}", "events": [event(time, "ab"[time % 2]) for time in range(2 + row)]}
        | ({"labels": ["c"]} if targets == "column" else {})
        for row in range(30)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    splits = load_splits(tmp_path, columns=Columns(events="events"), splits=["train"])
    rows = target_rows(splits, EventSettings(targets=targets, validation_fraction=0.3))
    users = {part: {history["user"] for history in rows[part]["events"]} for part in rows}
    assert len(users["validation"]) == 3 and len(users["train"]) == 7 and not users["train"] & users["validation"]
    if targets == "column":
        assert (len(rows["train"]), len(rows["validation"])) == (21, 9)


def test_a_row_without_a_user_is_one_by_itself(tmp_path, caplog):
    lines = "".join(json.dumps({"events": [event(*one) for one in run(3)]}) + "\n" for _ in range(4))
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    logging.getLogger("transformers").propagate = True
    with caplog.at_level("WARNING"):
        rows = target_rows(load_splits(tmp_path, columns=Columns(events="events")), EventSettings(targets="last"))
    assert "users stand in" not in caplog.text
    assert [len(part) for part in rows.values()] == [3, 1, 4]
    assert rows["test"]["id"][:] == ["1@2", "2@2", "3@2", "4@2"]  # named by the row, and nobody's
    assert [history["user"] for history in rows["test"]["events"]] == [None] * 4


@pytest.mark.parametrize("seed", range(5))
def test_drawn_users_have_a_target_under_the_settings(sequences, seed):
    splits = sequences(train={f"u{place}": run(2 if place % 10 else 6) for place in range(30)})
    rows = target_rows(splits, EventSettings(min_history=5, validation_fraction=0.34, seed=seed))
    assert {part: len(rows[part]) for part in rows} == {"train": 2, "validation": 1}


def test_where_none_are_drawn_all_users_train(sequences):
    splits = sequences(train={f"u{place}": run(2) for place in range(20)})
    drawn, none = EventSettings(), EventSettings(validation_fraction=None)
    assert list(target_rows(splits, none)) == ["train"] and len(target_rows(splits, none)["train"]) == 20
    assert split_read(none, "validation") == "validation" and split_read(drawn, "validation") == "train"
    alone = {part: target_rows(splits, drawn, parts=[part])[part]["id"][:] for part in ("train", "validation")}
    assert len(alone["train"]) == 18 and set(alone["train"] + alone["validation"]) == {f"u{i}@1" for i in range(20)}


def test_a_validation_split_that_is_there_is_taken(sequences):
    splits = sequences(train={"u": run(3)}, validation={"v": run(2)}, test={"w": run(2)})
    rows = target_rows(splits, EventSettings())
    assert list(rows) == ["train", "validation", "test"] and shown(rows["validation"]) == [("v@1", "a", "b")]
    assert list(target_rows(splits, EventSettings(), parts=["validation"])) == ["validation"]


def test_one_user_cannot_be_on_both_sides(sequences):
    with pytest.raises(UserError, match=r"train.jsonl, field 'validation_fraction': 1 users with targets"):
        target_rows(sequences(train={"u": run(3), "v": run(1)}), EventSettings())


def test_users_of_two_splits_are_warned_of(sequences, caplog):
    splits = sequences(train={"u": run(3), "v": run(2)}, validation={"u": run(2)})
    logging.getLogger("transformers").propagate = True
    with caplog.at_level("WARNING"):
        target_rows(splits, EventSettings())
    assert "1 users stand in train and in validation" in caplog.text


# -- splits by time


def test_targets_of_each_user_are_cut_by_time_and_histories_reach_back(sequences):
    splits = sequences(train={"u": run(11), "v": run(2, 100), "w": run(7)})
    rows = target_rows(splits, EventSettings(split_by="time", max_history=2))
    found = {part: [row["id"] for row in rows[part]] for part in rows}
    # of 10 targets 7, 1.7 more rounded, and the rest; of 1 the one; of 6 4.2, 1.02 and the rest
    assert found["train"] == [*(f"u@{i}" for i in range(1, 8)), "v@1", *(f"w@{i}" for i in range(1, 5))]
    assert found["validation"] == ["u@8", "u@9", "w@5"] and found["test"] == ["u@10", "w@6"]
    assert shown(rows["test"])[0] == ("u@10", "i j", "k")  # two events before it, a target of validation among them


def test_no_event_is_a_target_twice_and_training_never_sees_a_later_target(sequences):
    splits = sequences(train={f"u{n}": run(n, n) for n in range(2, 14)})
    for settings in (
        EventSettings(split_by="time"),
        EventSettings(split_by="time", fractions=(0.4, 0.3, 0.3), min_history=2),
        EventSettings(split_by="time", time_cuts=(8, 12)),
    ):
        rows = target_rows(splits, settings)
        ids = [row_id for part in rows.values() for row_id in part["id"]]
        targets = sum(max(0, n - settings.min_history) for n in range(2, 14))
        assert len(ids) == len(set(ids)) == targets
        latest = {}
        for part in rows:
            for row in rows[part]:
                user, time = row["events"]["user"], row["events"]["target_time"]
                assert max(row["events"]["times"]) < time  # the history ends before its target
                assert time > latest.get(user, -1)  # and parts follow each other in time
                latest[user] = time


def test_a_user_of_two_rows_is_not_cut_twice(sequences):
    twice = {
        name: {"user": "u", "events": [event(*one) for one in run(4, start)]} for name, start in (("a", 0), ("b", 20))
    }
    splits = sequences(train={**twice, "c": run(4), "d": run(4)})  # rows without a user are by themselves
    with pytest.raises(
        UserError, match=r"row 2, field 'user': the user 'u' has a row already, row 1; accepted: all events"
    ):
        target_rows(splits, EventSettings(split_by="time"))
    cut = target_rows(splits, EventSettings(split_by="time", time_cuts=(2, 22)))
    assert {row_id[0] for row_id in cut["test"]["id"]} == {"b"}


def test_a_merged_event_that_a_cut_goes_through_is_no_training_target(sequences):
    days = [("2024-05-01", "a"), ("2024-05-08", "b"), ("2024-05-14", "c"), ("2024-05-18", "d"), ("2024-05-27", "e")]
    settings = EventSettings(split_by="time", time_cuts=("2024-05-15", "2024-05-22"), merge="week")
    rows = target_rows(sequences(train={"u": days}), settings)
    assert {part: [row[2] for row in shown(rows[part])] for part in rows} == {
        "train": ["b"],
        "validation": ["cd"],
        "test": ["e"],
    }


def test_cuts_of_all_users_at_once(sequences):
    splits = sequences(train={"u": run(5), "v": run(3, 2)})
    rows = target_rows(splits, EventSettings(split_by="time", time_cuts=(2, 4)))
    assert {part: rows[part]["id"][:] for part in rows} == {
        "train": ["u@1"],
        "validation": ["u@2", "u@3", "v@1"],
        "test": ["u@4", "v@2"],
    }


def test_the_parts_of_one_file_are_the_same_whatever_it_is_called(sequences):
    settings = EventSettings(split_by="time", fractions=(0.5, 0.25, 0.25))
    splits = sequences(train={"u": run(9)})
    both = target_rows(splits, settings)
    alone = target_rows(datasets.DatasetDict(test=splits["train"]), settings, parts=["test"])
    assert list(alone) == ["test"] and fingerprint(alone["test"]) == fingerprint(both["test"])
    assert split_read(settings, "test") == "train" and split_read(EventSettings(), "test") == "test"


def test_splits_that_make_no_sense_are_one_line(sequences):
    splits = sequences(train={"u": run(3)}, test={"v": run(3)})
    with pytest.raises(
        UserError, match="field 'split_by': 2 splits: train, test; accepted: one file that is split by"
    ):
        target_rows(splits, EventSettings(split_by="time"))
    settings = EventSettings(split_by="time", fractions=(0.5, 0.5, 0))
    assert list(target_rows(sequences(train={"u": run(3)}), settings)) == ["train", "validation"]
    with pytest.raises(UserError, match="field 'fractions': nothing for test; accepted: a fraction of more than 0"):
        target_rows(sequences(train={"u": run(3)}), settings, parts=["test"])


def test_a_part_without_a_target_says_what_the_others_got(sequences):
    splits = sequences(train={"u": run(2), "v": run(3)})
    by_time = EventSettings(split_by="time")
    found = r"train.jsonl, field 'events': no target for test \(train: 2, validation: 1, test: 0\)"
    with pytest.raises(UserError, match=f"{found}; accepted: longer sequences, or other split_fractions"):
        target_rows(splits, by_time, parts=["test"])
    with pytest.raises(UserError, match=r"no target for train \(train: 0, .* test: 3\).* or other time_cuts"):
        target_rows(splits, replace(by_time, time_cuts=(-2, -1)))
    with pytest.raises(UserError, match=r"no target for train \(.*test: 0\); accepted: users with at least 9 events"):
        target_rows(splits, replace(by_time, min_events=9))


# -- a row a sequence


def test_a_sequence_is_one_training_row(sequences):
    splits = sequences(train={"u": run(5), "v": run(2)}, validation={"w": run(3)})
    rows = target_rows(splits, EventSettings(rows="sequence"))
    assert shown(rows["train"]) == [("u@4", "a b c d", "e"), ("v@1", "a", "b")]
    assert rows["validation"]["id"][:] == ["w@1", "w@2"]  # measured as ever
    splits = sequences(train={"u": run(11)})
    by_time = target_rows(splits, EventSettings(rows="sequence", split_by="time"))
    assert shown(by_time["train"]) == [("u@7", "a b c d e f g", "h")]  # nothing of a later part


@pytest.mark.parametrize("most", range(1, 8))
def test_every_event_but_the_first_is_a_target_of_one_piece(sequences, most):
    splits = sequences(train={"u": run(7)}, validation={"w": run(3)})
    settings = EventSettings(rows="sequence", max_history=most)
    rows = target_rows(splits, settings)["train"]
    assert all(len(history["sizes"]) <= most for history in rows["events"])
    assert sorted(label for labels in target_sets(rows, settings) for label in labels) == list("bcdefg")
    alone = target_rows(splits, replace(settings, rows="target"))["train"]
    assert list(target_sets(alone, EventSettings())) == alone["labels"][:]


@pytest.mark.parametrize("most", range(1, 8))
def test_with_a_next_set_of_its_own_a_long_sequence_is_cut_into_pieces_too(sequences, most):
    row = {"events": [event(*one) for one in run(7)], "labels": ["x"]}
    splits = sequences(train={"u": row}, validation={"v": row})
    settings = EventSettings(targets="column", rows="sequence", max_history=most)
    rows = target_rows(splits, settings)["train"]
    assert all(len(history["sizes"]) <= most for history in rows["events"])
    assert sorted(label for labels in target_sets(rows, settings) for label in labels) == list("bcdefgx")


def test_pieces_do_not_hide_that_no_row_has_a_next_set(sequences):
    splits = sequences(train={"u": {"events": [event(*one) for one in run(7)]}}, validation={"v": run(2)})
    with pytest.raises(UserError, match="field 'labels': no row has a next set"):
        target_rows(splits, EventSettings(targets="column", rows="sequence", max_history=3))


# -- labels, counts, cache


def test_the_label_space_holds_labels_of_histories_and_counts_targets(sequences):
    splits = sequences(train={"u": [(0, "xa"), (1, "b"), (2, "b")]}, validation={"w": run(3)})
    rows = target_rows(splits, EventSettings())["train"]
    space = LabelSpace.from_label_lists(all_labels(rows)).counted(rows["labels"])
    assert (space.names, space.counts.tolist(), space.num_documents) == (["a", "b", "x"], [0, 2, 0], 2)


def test_what_became_of_sequences_is_counted(sequences):
    users = {
        "u": [(2.5, "a"), (2.1, "b"), (2.1, "c"), (3, "d")],
        "one": run(1),
        "none": [],
    }
    splits = sequences(test=users)
    counts = count_events(splits["test"], EventSettings(merge="day"))
    assert counts.to_dict() == {
        "users": 3,
        "events": 4,
        "unsorted": 1,
        "merged_times": 1,
        "merged_periods": 1,
        "users_left_out": 2,
        "users_of_one_event": 1,
    }
    assert str(counts) == (
        "3 users, 4 events; 1 out of order, sorted; 1 merged with one of the same time; 1 merged with one of the same period;"
        " 2 users left out for too few events (1 with one event)"
    )
    assert len(target_rows(splits, EventSettings(merge="day"))["test"]) == 1
    with pytest.raises(UserError, match="users with at least 4 events"):
        target_rows(splits, EventSettings(min_events=4))


def test_the_same_rows_are_not_made_twice(sequences):
    splits = sequences(train={"u": run(9)})
    settings = EventSettings(split_by="time")
    first, again = target_rows(splits, settings), target_rows(splits, settings)
    assert first["train"].cache_files == again["train"].cache_files
    other = target_rows(splits, EventSettings(split_by="time", max_history=1))
    assert fingerprint(other["train"]) != fingerprint(first["train"])


def test_later_events_and_the_targets_own_labels_change_no_history(sequences):
    """The leak of the published evaluation: a score that knows its answer."""
    before = sequences(test={"u": [(0, "a"), (1, "b"), (2, "c"), (3, "d")]})
    rows = target_rows(before, EventSettings())["test"]
    changed = target_rows(sequences(test={"u": [(0, "a"), (1, "b"), (2, "xyz"), (3, "w")]}), EventSettings())["test"]
    for place in range(2):  # the targets b and c
        old, new = rows[place]["events"], changed[place]["events"]
        assert old == new


def test_real_invoices_give_the_rows_that_were_counted_before(real_data):
    folder = real_data("online-retail")
    splits = load_splits(folder, columns=Columns(events="events"), splits=["test"])
    settings = EventSettings(split_by="time", merge="day", min_events=7, max_history=4)
    rows, counts = target_rows(splits, settings), count_events(splits["test"], settings)
    days = {}
    for row in splits["test"]:
        days[row["id"]] = len({int(time) for time in row["events"]["times"]})
    kept = [number for number in days.values() if number >= 7]
    assert sum(map(len, rows.values())) == sum(number - 1 for number in kept)
    assert counts.users_left_out == len(days) - len(kept)
    shares = [len(rows[part]) / sum(map(len, rows.values())) for part in rows]
    assert shares == pytest.approx([0.7, 0.17, 0.13], abs=0.03)
