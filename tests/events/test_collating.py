"""Batches of histories: targets, ids, rows that are not encoded yet, what is refused."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.events.collating import EventCollator
from hf_mlc.modeling.processing_events import EventProcessor
from tests.events.test_fitting import history


@pytest.fixture
def processor() -> EventProcessor:
    return EventProcessor(["jam", "milk", "tea"])


def test_raw_rows_are_encoded_on_the_way(processor):
    row = {"id": "7", "events": history(0, 1), "labels": [2]}
    batch = EventCollator(processor, 3, return_ids=True)([row, row | {"id": "8", "labels": []}])
    assert batch["ids"] == ["7", "8"] and batch["labels"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert batch["event_ids"].tolist() == [[[2], [2]]] * 2 and batch["event_ids"].dtype == torch.int64


def test_without_targets_there_are_none(processor):
    batch = EventCollator(processor, 3)([{"events": history(0)}])
    assert set(batch) == set(processor([history(0)]))


def test_target_ids_are_padded(processor):
    rows = [{"events": history(0), "label_ids": ids} for ids in ([0, 2], [1])]
    assert EventCollator(processor, 3, targets="label_ids")(rows)["label_ids"].tolist() == [[0, 2], [1, -100]]


def test_rows_that_are_none_are_one_line(processor):
    collator = EventCollator(processor, 3)
    with pytest.raises(UserError, match="field 'events': a row without events"):
        collator([{"labels": [1]}])
    with pytest.raises(UserError, match=r"row 2, field 'events\[0\].time'"):
        collator([{"events": []}, {"events": [{"time": "x", "labels": ["tea"]}]}])
    with pytest.raises(UserError, match="field 'targets'"):
        EventCollator(processor, 3, targets="multi")
