"""Histories of events, read through the processor that was fitted on the training rows ([`hf_mlc.events`]).

Shape legend: B histories, n events, M labels of an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch

from hf_mlc.data.checking import DataReport
from hf_mlc.data.contents import EVENTS
from hf_mlc.data.contents.events import EventForm
from hf_mlc.events.collating import EventCollator, tensors_of
from hf_mlc.events.encoding import encode_events
from hf_mlc.events.settings import EventSettings
from hf_mlc.events.targets import split_read, target_rows
from hf_mlc.inputs.feature_extractors import FeatureExtractorInput
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.pipeline_multi_label_events import EVENT_TASK
from hf_mlc.modeling.processing_events import EventProcessor


# the arguments of a command that name the columns of a long table, as arguments of `Columns`
LONG_TABLE = {
    "event_user": "user_column",
    "event_time": "time_column",
    "event_label": "label_column",
    "event_amount": "amount_column",
    "event_time_format": "time_format",
}
_CODE = """import hf_mlc  # registers the architectures and the pipeline
from transformers import pipeline

predictor = pipeline("{task}", model={model_id})
names = predictor.feature_extractor.label_names
times = ["2024-05-01", "2024-05-08"] if predictor.feature_extractor.time_kind == "date" else [1, 8]
history = [{{"time": times[0], "labels": names[:1]}}, {{"time": times[1], "labels": names[:2]}}]
for answer in predictor(history, top_k=5):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


class EventInput(FeatureExtractorInput):
    """Histories as [`~hf_mlc.modeling.processing_events.EventProcessor`] takes them. No settings."""

    name, content, processor_noun = "event", EVENTS, "event processor"
    pipeline_task, hub_task = EVENT_TASK, "time-series-forecasting"
    processor_class, processor_reads = EventProcessor, "events"
    answers = "the labels that come next"

    def columns(self, args: Any) -> dict[str, Any]:
        """The column of histories, or those of a long table."""
        long_table = {name: getattr(args, argument) for name, argument in LONG_TABLE.items()}
        given = {name: column for name, column in long_table.items() if column is not None}
        if not given:
            return {"events": args.events_column or EVENTS.column}
        return given if args.events_column is None else {"events": args.events_column, **given}

    def columns_of(self, processor: EventProcessor, args: Any) -> dict[str, Any]:
        """Those of the training data, where nothing else is asked for, beside histories: rows say which they are. Who names some of a
        long table's gets the others of training's; amounts not, where user, time and label are all named. Times are of the kind that training had."""
        columns = self.columns(args)
        asked = set(LONG_TABLE) & set(columns)
        if args.events_column is None and not asked and processor.columns:
            columns = {"events": EVENTS.column, **processor.columns}
        elif asked:
            of_training = {name: column for name, column in processor.columns.items() if name in LONG_TABLE}
            if {"event_user", "event_time", "event_label"} <= asked:  # another table, which may have no amounts
                of_training.pop("event_amount", None)
            columns = of_training | columns
        return columns | {"event_form": EventForm(time_kind=processor.time_kind)}

    # -- rows made of those that are read

    def row_settings(self, processor: EventProcessor) -> EventSettings | None:
        return EventSettings.from_dict(processor.settings) if processor.settings else None

    def split_read(self, settings: EventSettings | None, split: str) -> str:
        return split if settings is None else split_read(settings, split)

    def arranged(
        self, splits: datasets.DatasetDict, settings: EventSettings | None, *, parts: Sequence[str] | None = None
    ) -> datasets.DatasetDict:
        """A row a target ([`~hf_mlc.events.targets.target_rows`])."""
        return splits if settings is None else target_rows(splits, settings, parts=parts)

    # -- training

    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: EventProcessor,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
    ) -> datasets.DatasetDict:
        return encode_events(splits, processor, label_space, strict=strict, report=report)

    def collator(self, processor: EventProcessor, num_labels: int, *, targets: str = "labels") -> EventCollator:
        return EventCollator(processor, num_labels, targets=targets)

    # -- inference

    def batch(self, processor: EventProcessor, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        """What the processor's call gives: `event_ids` `(B, n, M)` and the others."""
        return tensors_of(processor, items)

    def remarks(self, processor: EventProcessor) -> list[str]:
        """How many labels, and users, there were that training didn't have."""
        remarks, counts = [], processor.unseen_counts
        if counts:
            named = ", ".join(f"'{name}': {number:,}" for name, number in counts.most_common(5))
            more = ", ..." if len(counts) > 5 else ""
            remarks.append(
                f"{counts.total():,} labels in histories that the model doesn't know are left out ({named}{more})"
            )
        if processor.num_unseen_users:
            remarks.append(f"{processor.num_unseen_users:,} histories of users that training didn't have")
        return remarks

    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        return _CODE.format(task=self.pipeline_task, model_id=model_id)
