"""Batches of encoded histories: targets, ids, what is refused."""

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


def encoded(processor, *times) -> dict:
    return processor.encode([history(*times)])[0]


def test_targets_are_multi_hot_and_rows_have_their_names(processor):
    row = {"id": "7", **encoded(processor, 0, 1), "labels": [2]}
    batch = EventCollator(processor, 3, return_ids=True)([row, row | {"id": "8", "labels": []}])
    assert batch["ids"] == ["7", "8"] and batch["labels"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert batch["event_ids"].tolist() == [[[2], [2]]] * 2 and batch["event_ids"].dtype == torch.int64


def test_without_targets_there_are_none(processor):
    batch = EventCollator(processor, 3)([encoded(processor, 0)])
    assert set(batch) == set(processor([history(0)]))


def test_target_ids_are_padded(processor):
    rows = [{**encoded(processor, 0), "label_ids": ids} for ids in ([0, 2], [1])]
    assert EventCollator(processor, 3, targets="label_ids")(rows)["label_ids"].tolist() == [[0, 2], [1, -100]]


def test_targets_that_are_none_are_one_line(processor):
    with pytest.raises(UserError, match="field 'targets'"):
        EventCollator(processor, 3, targets="multi")
