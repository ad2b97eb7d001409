"""Rows of events through encoding and collator: what training gets is what a call of the processor gives."""

from __future__ import annotations

import gzip
import itertools

import datasets
import pytest
import torch

from hf_mlc.data import Columns, check_splits, load_splits
from hf_mlc.data.encoding import state_of
from hf_mlc.errors import UserError
from hf_mlc.events.collating import EventCollator, tensors_of
from hf_mlc.events.encoding import encode_events
from hf_mlc.events.fitting import fit_events
from hf_mlc.events.settings import EventSettings
from hf_mlc.events.targets import target_rows
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.processing_events import EventProcessor
from tests.events.test_fitting import history, rows


SPACE = LabelSpace(["jam", "milk", "tea"])
SPLITS = datasets.DatasetDict(
    train=rows(
        history(0, 2, labels=("tea", "milk"), amount=[3, 1], user="ann"),
        history(1, user="bob"),
        labels=[["jam"], ["tea", "jam"]],
    ),
    validation=rows(
        history(0, 1, 9, labels=("jam", "gin"), amount=5, user="cid"), history(user="ann"), labels=[["gin"], []]
    ),
)


@pytest.fixture(scope="module")
def processor() -> EventProcessor:
    return fit_events(SPLITS["train"], label_names=SPACE.names, look_back=2, with_users=True, uses_target_time=True)


@pytest.fixture(scope="module")
def encoded(processor) -> datasets.DatasetDict:
    return encode_events(SPLITS, processor, SPACE)


def test_a_batch_of_encoded_rows_is_what_a_call_gives(processor, encoded):
    for targets in ("labels", "label_ids"):
        collator = EventCollator(processor.with_labels(SPACE.names), 3, targets=targets, return_ids=True)
        for split, data in SPLITS.items():
            batch = collator([encoded[split][place] for place in range(2)])
            raw = tensors_of(collator.processor, data["events"][:])
            assert batch.keys() == raw.keys() | {"ids", targets} and batch["ids"] == ["0", "1"]
            for name in raw:
                assert torch.equal(batch[name], raw[name]) and batch[name].dtype == raw[name].dtype, name
    assert batch["event_ids"].tolist() == [[[0], [0]], [[-100], [-100]]]
    assert batch["label_ids"].tolist() == [[-100], [-100]]


def test_the_label_space_says_which_id_a_label_has(processor, encoded):
    assert processor.label_names == ["jam", "milk", "tea"]
    turned = LabelSpace(["tea", "milk", "jam"])
    other = encode_events(SPLITS, processor, turned)["train"]
    assert other[0]["event_ids"] == [[0, 1], [0, 1]] and other[0]["label_ids"] == [2]
    assert encoded["train"][0]["event_ids"] == [[1, 2], [1, 2]] and encoded["train"][0]["label_ids"] == [0]
    assert processor.label_names == SPACE.names and not processor.unseen_counts
    # an amount goes with its label
    assert other[0]["event_amount_bins"] == [bins[::-1] for bins in encoded["train"][0]["event_amount_bins"]]


def test_lengths_are_events_and_columns_are_what_a_model_takes(encoded):
    assert encoded["train"]["length"][:] == [2, 1] and encoded["validation"]["length"][:] == [2, 0]
    assert set(encoded["train"].column_names) == {
        "id", "label_ids", "length", "event_ids", "event_gaps", "event_times", "event_gap_ids", "event_amount_bins",
        "user_ids", "target_gaps",
    }  # fmt: skip


def test_unknown_labels_are_counted_to_predict_and_in_histories(processor):
    report = check_splits(SPLITS)
    encode_events(SPLITS, processor, SPACE, report=report)
    validation = report.splits["validation"]
    assert (validation.unknown_labels, validation.unseen_values) == (1, 2)  # of three events two are kept
    assert report.splits["train"].unseen_values == 0
    with pytest.raises(UserError, match=r"validation, row 1.*gin"):
        encode_events(SPLITS, processor, SPACE, strict=True)
    with pytest.raises(UserError, match=r"train, row 1.*jam"):
        encode_events(SPLITS, processor, LabelSpace(["tea", "milk"]))


def test_another_processor_is_another_cache(processor, encoded):
    other = fit_events(SPLITS["train"], look_back=1)
    assert state_of(other) != state_of(processor)
    again = encode_events(SPLITS, other, SPACE)["train"]
    assert again["length"][:] == [1, 1] and encoded["train"]["length"][:] == [2, 1]


def test_a_target_before_its_history_is_named_by_file_and_row(processor):
    late = rows(history(0, 5), {**history(3), "target_time": 2}, labels=[["tea"], ["tea"]])
    with pytest.raises(UserError, match="test, row 1, field 'target_time': 2, before the last event's 3"):
        encode_events(datasets.DatasetDict(test=late), processor, SPACE)


def test_a_shop_s_purchases_as_they_come_are_read_as_their_rows_were(real_data, tmp_path):
    """Online Retail by day: rows cut for training, and a customer's invoices as a caller has them."""
    file = tmp_path / "train.jsonl"
    with gzip.open(real_data("online-retail") / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        file.write_text("".join(itertools.islice(lines, 150)), encoding="utf-8")
    read = load_splits(train_file=file, columns=Columns(events="events"), cache_dir=tmp_path)
    settings = EventSettings(split_by="time", merge="day", max_history=4, min_events=4)
    made = target_rows(read, settings)
    processor = fit_events(made["train"], look_back=3, time_kind="date", settings=settings.to_dict())
    invoices = {row["events"]["user"]: row["events"] for row in read["train"]}
    histories = [row["events"] for row in made["test"]]
    as_they_come = []
    for known in histories:
        whole = invoices[known["user"]]
        places = [place for place, time in enumerate(whole["times"]) if time < known["target_time"]]
        entries = sum(whole["sizes"][: len(places)])
        as_they_come.append(
            {"times": [whole["times"][place] for place in places], "sizes": whole["sizes"][: len(places)],
             "labels": whole["labels"][:entries], "amounts": whole["amounts"][:entries]}
        )  # fmt: skip
    assert len(histories) > 20 and processor.num_amount_bins == 9
    expected, found = processor(histories), processor(as_they_come)
    for name, values in expected.items():
        assert torch.equal(values, found[name]), name
