"""The rows that a comparison over event sequences shares: by hand on a few customers, and counted on real ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from hf_mlc.comparing.claim import ClaimData, Sequences, find_claim
from hf_mlc.comparing.data import prepare_rows
from hf_mlc.comparing.event_rows import limited_history, most_frequent, without_last
from hf_mlc.errors import UserError
from tests.commands.conftest import read_jsonl


DATA = Path("/work/shared/data")
BY_TIME = {"split_by": "time", "merge": "day", "min_events": 4, "fractions": (0.5, 0.25, 0.25)}


def purchase(day: int, labels: str, amount: float | None = None, hour: int = 9) -> dict:
    event = {"time": f"2024-03-{day:02d} {hour:02d}:00:00", "labels": list(labels)}
    return event if amount is None else {**event, "amount": amount}


def write(folder: Path, **customers: list[dict]) -> Path:
    """A folder whose customers stand in two split files, half in each."""
    folder.mkdir(exist_ok=True)
    rows = [json.dumps({"id": name, "events": events}) for name, events in customers.items()]
    half = (len(rows) + 1) // 2
    (folder / "train.jsonl").write_text("\n".join(rows[:half]) + "\n", encoding="utf-8")
    (folder / "test.jsonl").write_text("\n".join(rows[half:]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def shop(tmp_path) -> Path:
    """Two customers of five days (four targets: two train, one validates, one is measured) and one of two days."""
    days = [purchase(1, "ab", 1.0), purchase(2, "ac", 2.0), purchase(3, "a", 3.0), purchase(4, "x", 4.0)]
    same_day = [purchase(5, "a", 5.0), purchase(5, "ay", 6.0, hour=17)]
    other = [
        purchase(day, labels, 1.0) for day, labels in zip(range(1, 6), ("c", "ab", "bz", "ac", "yy"), strict=True)
    ]
    return write(tmp_path / "shop", ann=[*days, *same_day], few=[purchase(1, "a"), purchase(2, "a")], bob=other)


def test_rows_of_one_history_without_a_name_are_one_user_s(tmp_path):
    folder = tmp_path / "nameless"
    folder.mkdir()
    history = [purchase(day, "ab") for day in (1, 2, 3, 4)]
    for split in ("train", "validation", "test"):
        rows = [json.dumps({"events": history})] * 2
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = made(folder, Sequences(settings={"targets": "next", "split_by": "given"}), tmp_path)
    users = {
        split: [history["user"] for history in found["events"]]
        for split, found in (("train", rows.read("train")), ("test", rows.read_measured()))
    }
    assert users == {split: [f"{split}:1"] * 3 + [f"{split}:2"] * 3 for split in ("train", "test")}
    assert [row["events"]["user"] for row in read_jsonl(Path(rows.train_sequences))] == ["train:1", "train:2"]


def data_of(sequences: Sequences) -> ClaimData:
    return ClaimData("shop", "shop", ("auc_micro",), sequences=sequences)


def made(folder: Path, sequences: Sequences, tmp_path: Path, **kwargs):
    return prepare_rows(data_of(sequences), folder, tmp_path / "rows", train_size=None, seed=0, **kwargs)


def test_customers_are_followed_over_time_and_the_labels_are_the_frequent_ones_of_training_targets(shop, tmp_path):
    rows = made(shop, Sequences(settings=BY_TIME, one_source=True, most_frequent=3), tmp_path)
    # training targets: ac and a of Ann, ab and bz of Bob; a has three, b two, c and z one: c by its name. Neither x nor y counts
    train, validation, measured = rows.read("train"), rows.read("validation"), rows.read_measured()
    assert train["id"] == ["ann@1", "ann@2", "bob@1", "bob@2"]
    assert train["labels"] == [["a", "c"], ["a"], ["a", "b"], ["b"]]
    assert validation["id"] == ["bob@3"]  # nothing is left of Ann's x
    # on her last day Ann bought twice, and a both times; of Bob's y nothing is left
    assert measured["id"] == ["ann@4"] and measured["labels"] == [["a"]]
    history = measured["events"][0]
    assert history["sizes"] == [2, 2, 1] and history["labels"] == list("abaca")
    assert history["amounts"] == [1, 1, 2, 2, 3] and history["user"] == "ann"
    assert [time - history["times"][0] for time in [*history["times"], history["target_time"]]] == [0, 1, 2, 4]
    assert rows.label_space().names == ["a", "b", "c"] and rows.label_space().counts.tolist() == [3, 2, 1]
    assert rows.is_events and rows.num_train == 4


def test_a_causal_model_gets_every_training_target_once(shop, tmp_path):
    rows = made(shop, Sequences(settings=BY_TIME, one_source=True, most_frequent=3), tmp_path)
    sequences = read_jsonl(Path(rows.train_sequences))
    assert [(row["id"], row["events"]["sizes"], row["labels"]) for row in sequences] == [
        ("ann@2", [2, 2], ["a"]), ("bob@2", [1, 2], ["b"]),
    ]  # fmt: skip
    targets = list(rows.read("train")["labels"])
    assert sorted([*(["a", "c"], ["a", "b"]), *(row["labels"] for row in sequences)]) == sorted(targets)


def test_where_nothing_is_left_of_a_sequence_s_last_event_the_one_before_takes_its_place(tmp_path):
    events = [purchase(day, labels) for day, labels in zip(range(1, 7), ("a", "ab", "ab", "q", "a", "a"), strict=True)]
    others = [purchase(day, "a") for day in range(1, 7)]
    settings = {**BY_TIME, "fractions": (0.6, 0.2, 0.2)}  # three of five targets train; the last of Ann's is q alone
    rows = made(
        write(tmp_path / "shop", ann=events, bob=others),
        Sequences(settings, one_source=True, most_frequent=2),
        tmp_path,
    )
    ann = read_jsonl(Path(rows.train_sequences))[0]
    assert (ann["events"]["sizes"], ann["labels"]) == ([1, 2], ["a", "b"])
    assert ann["events"]["target_time"] - ann["events"]["times"][0] == 2


def test_new_users_are_measured_by_their_last_event_and_all_events_of_training_users_are_targets(tmp_path):
    settings = {"targets": "last", "train_targets": "next", "validation_fraction": 0.4}
    users = {f"u{number}": [purchase(day, "ab"[day % 2] + "c") for day in range(1, 5)] for number in range(6)}
    rows = made(write(tmp_path / "shop", **users), Sequences(settings), tmp_path)
    parts = {name: rows.read(name)["id"] for name in ("train", "validation")} | {"test": rows.read_measured()["id"]}
    assert len(parts["train"]) == 6 and len(parts["validation"]) == 1 and parts["test"] == ["u3@3", "u4@3", "u5@3"]
    users_of = {name: {row.partition("@")[0] for row in ids} for name, ids in parts.items()}
    assert users_of["train"] | users_of["validation"] == {"u0", "u1", "u2"}
    assert not users_of["train"] & users_of["validation"]


def test_a_label_that_only_histories_hold_is_a_label(tmp_path):
    users = {f"u{number}": [purchase(1, "f"), purchase(2, "a"), purchase(3, "b")] for number in range(4)}
    rows = made(write(tmp_path / "shop", **users), Sequences({"validation_fraction": 0.5}), tmp_path)
    space = rows.label_space()
    assert space.names == ["a", "b", "f"] and space.counts.tolist() == [1, 1, 0]


def test_what_sequences_cannot_do_is_said_in_one_line(shop, tmp_path):
    data = data_of(Sequences(BY_TIME, one_source=True))
    with pytest.raises(UserError, match=r"train_sizes.*event sequences"):
        prepare_rows(data, shop, tmp_path / "rows", train_size=2, seed=0)
    with pytest.raises(UserError, match="rows from elsewhere"):
        prepare_rows(replace(data, label_map="map.json"), shop, tmp_path / "rows", train_size=None, seed=0)
    with pytest.raises(UserError, match="2 splits"):
        made(shop, Sequences(BY_TIME), tmp_path)
    with pytest.raises(UserError, match="no train row"):
        made(shop, Sequences(BY_TIME, one_source=True, most_frequent=0), tmp_path)


def test_histories_are_limited_event_by_event():
    history = {
        "user": "u", "times": [1.0, 2.0, 4.0], "sizes": [2, 1, 2], "labels": list("abcab"),
        "amounts": [1.0, 2.0, 3.0, 4.0, 5.0], "target_time": 9.0,
    }  # fmt: skip
    assert limited_history(history, frozenset("b")) == {
        **history, "times": [1.0, 4.0], "sizes": [1, 1], "labels": ["b", "b"], "amounts": [2.0, 5.0]
    }  # fmt: skip
    assert limited_history({**history, "amounts": []}, frozenset("c"))["amounts"] == []
    assert without_last(history) == (
        ["a", "b"],
        {**history, "times": [1.0, 2.0], "sizes": [2, 1], "labels": list("abc"), "amounts": [1.0, 2.0, 3.0], "target_time": 4.0},
    )  # fmt: skip
    counted = datasets.Dataset.from_dict({"labels": [["b", "c"], ["c", "a"], ["b", "d"]]})
    assert most_frequent(counted, 3) == frozenset("abc") and most_frequent(counted, 9) == frozenset("abcd")


@pytest.mark.skipif(not (DATA / "eicu-demo").is_dir(), reason=f"no real data in {DATA}")
def test_stays_of_real_patients(tmp_path):
    data = find_claim("lanet").data("eicu")
    rows = prepare_rows(data, DATA / data.folder, tmp_path, train_size=None, seed=0)
    ids = {name: rows.read(name)["id"] for name in ("train", "validation")} | {"test": rows.read_measured()["id"]}
    assert {name: len(found) for name, found in ids.items()} == {"train": 2394, "validation": 277, "test": 633}
    stays = {name: {row.rpartition("@")[0] for row in found} for name, found in ids.items()}
    assert not (stays["train"] | stays["validation"]) & stays["test"] and not stays["train"] & stays["validation"]
    other = prepare_rows(replace(data), DATA / data.folder, tmp_path / "other", train_size=None, seed=1)
    assert other.read("validation")["id"] != ids["validation"] and other.read_measured()["id"] == ids["test"]
