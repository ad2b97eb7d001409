"""Rows of events made ready for training: histories become the columns that the model reads, labels become ids.

Labels and their bins are stored as they are, an event after another; the collator makes the padded tensors, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import datasets

from hf_mlc.data.checking import DataReport
from hf_mlc.data.encoding import encoded_block, encoded_splits, state_of
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.event_rows import EventRowError
from hf_mlc.modeling.processing_events import EventProcessor


# part of the cache key: raise it when the same rows come out differently
_ROWS_VERSION = 1
_ROWS_AT_A_TIME = 1000


class EventRows:
    """The column `events` of a split, row after row, as often as one asks; read in batches, never all at once.

    Args:
        split (`datasets.Dataset`): as `load_splits` or `target_rows` gives it.
    """

    def __init__(self, split: datasets.Dataset):
        self.split = split.with_format(None).select_columns("events")

    def __len__(self) -> int:
        return len(self.split)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.split.iter(batch_size=_ROWS_AT_A_TIME):
            yield from batch["events"]


def encode_events(
    dataset: datasets.DatasetDict,
    processor: EventProcessor,
    label_space: LabelSpace,
    *,
    strict: bool = False,
    report: DataReport | None = None,
) -> datasets.DatasetDict:
    """Encodes every split once, in blocks, cached by `datasets`.

    Args:
        dataset (`datasets.DatasetDict`): with the columns `id`, `events`, `labels`.
        processor ([`~hf_mlc.modeling.processing_events.EventProcessor`]): fitted on training rows. It is the label space whose ids the
            labels of histories get.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        strict (`bool`, *optional*, defaults to `False`): whether a label to predict that is not in the label space is an error in
            validation and test too, instead of being counted and skipped. In training it always is. One in a history never is.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of unknown labels, to predict and in histories.

    Returns:
        `datasets.DatasetDict`: with `id`, `label_ids` (sorted, each once), `length` (the number of events), and what
        [`~hf_mlc.modeling.processing_events.EventProcessor.encode`] makes of a history.

    Raises:
        `UserError`: a history that the processor refuses, by its file and its id; a label that is not in the label space, by split and row.
    """
    reader = processor.with_labels(label_space.names, integers_are_ids=label_space.integers_are_ids)
    return encoded_splits(
        dataset,
        _encoded_block,
        label_space=label_space,
        features=_features(reader),
        batch_size=_ROWS_AT_A_TIME,
        state=(state_of(reader), _ROWS_VERSION),
        unseen="labels in histories are not in the label space and",
        strict=strict,
        report=report,
        processor=reader,
    )


def _features(processor: EventProcessor) -> datasets.Features:
    number, whole, ragged = (
        datasets.List(datasets.Value("float32")),
        datasets.List(datasets.Value("int64")),
        datasets.List(datasets.List(datasets.Value("int32"))),
    )
    features = {
        "id": datasets.Value("string"),
        "event_ids": ragged,
        "event_gaps": number,
        "event_times": number,
        "event_gap_ids": datasets.List(datasets.Value("int32")),
        "label_ids": whole,
        "length": datasets.Value("int64"),
    }
    if processor.amount_edges is not None:
        features["event_amount_bins"] = ragged
    if processor.users is not None:
        features["user_ids"] = datasets.Value("int64")
    if processor.uses_target_time:
        features["target_gaps"] = datasets.Value("float32")
    return datasets.Features(features)


def _encoded_block(
    block: dict[str, list[Any]],
    indices: list[int],
    *,
    processor: EventProcessor,
    label_space: LabelSpace,
    split: str,
    file: str,
    strict: bool,
) -> dict[str, Any]:
    encode = partial(processor.encode, block["events"], is_flat=True)
    try:
        rows, columns = encoded_block(
            processor, encode, block, indices, label_space=label_space, split=split, strict=strict
        )
    except EventRowError as error:
        row = block["id"][error.row - 1]
        raise UserError(error.problem, file=file, row=row, field=error.field, accepted=error.accepted) from None
    return {
        **{name: [row[name] for row in rows] for name in rows[0]},
        "length": [len(row["event_gaps"]) for row in rows],
        **columns,
    }
