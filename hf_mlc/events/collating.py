"""Rows of events to a batch of tensors.

Shapes: `B` rows, `L` labels, `P` labels of the row that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError
from hf_mlc.modeling.event_rows import EventRowError
from hf_mlc.modeling.processing_events import EventProcessor


@dataclass
class EventCollator(TargetCollator):
    """Pads the histories of encoded rows, and makes the targets.

    Args:
        processor ([`~hf_mlc.modeling.processing_events.EventProcessor`]): the model's.
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"labels"`): `"labels"` makes the multi-hot float32 `labels` `(B, L)`;
            `"label_ids"` the int64 `label_ids` `(B, P)`, padded with -100 and P >= 1 (large L).
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    A row is a dict with what [`~hf_mlc.events.encoding.encode_events`] gives. Its targets stand under `labels` or `label_ids`
    ([`~hf_mlc.data.targets`]), or there are none (prediction).

    Returns:
        `dict[str, torch.Tensor]`: what the processor's call gives; `labels` or `label_ids`.

    Raises:
        `UserError`: targets that are none.
    """

    processor: EventProcessor
    num_labels: int
    targets: Literal["labels", "label_ids"] = "labels"
    return_ids: bool = False

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(values) for name, values in self.processor.pad(rows).items()}


def tensors_of(processor: EventProcessor, histories: Sequence[Any]) -> dict[str, torch.Tensor]:
    """What a model's `forward` takes of raw histories; a `UserError` where the processor refuses one."""
    try:
        return dict(processor(list(histories)))
    except EventRowError as error:
        raise UserError(error.problem, row=error.row, field=error.field, accepted=error.accepted) from None
