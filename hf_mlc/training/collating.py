"""The collator of a training that was given none: the one that goes with what the model reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transformers import default_data_collator

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError
from hf_mlc.inputs import input_kind_of
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig


_ACCEPTED_PLAIN = "numbers of one shape in all rows; or a processing_class, which says how rows are padded"


@dataclass
class PlainCollator(TargetCollator):
    """Stacks inputs that are numbers of one shape in all rows, as transformers' own default does, and makes the targets.

    Args:
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"labels"`): `"labels"` or `"label_ids"`, as of all collators.
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    Returns:
        `dict[str, torch.Tensor]`: a tensor `(B, ...)` of each column of numbers; `labels` or `label_ids`.

    Raises:
        `UserError`: a column whose rows are of different shapes, targets that are none.
    """

    num_labels: int
    targets: Literal["labels", "label_ids"] = "labels"
    return_ids: bool = False

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = [name for name in rows[0] if name not in ("label", "labels", "label_ids")]
        batch: dict[str, Any] = {}
        for name in names:  # one at a time, so that the message can name it
            try:
                batch |= default_data_collator([{name: row[name]} for row in rows])
            except (ValueError, TypeError, RuntimeError):
                raise UserError("rows that can't be stacked", field=name, accepted=_ACCEPTED_PLAIN) from None
        return batch


def usual_collator(
    config: MultiLabelConfig, processor: Any, *, targets: str
) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
    """What makes the batches of a model: its kind's collator, as `train` takes it; without a processor [`PlainCollator`].

    Args:
        config (`MultiLabelConfig`): the model's; says what it reads, and how many labels there are.
        processor: the tokenizer, image processor, ... that its rows were made by; `None` if not known.
        targets (`str`): `"labels"` or `"label_ids"`.

    Raises:
        `UserError`: a processor of another kind than the model reads.
    """
    if processor is None:
        return PlainCollator(config.num_labels, targets=targets)
    kind = input_kind_of(config)
    if not isinstance(processor, kind.processor_class):
        raise UserError(
            f"found a {type(processor).__name__}, and the model reads {kind.noun}",
            field="processing_class",
            accepted=f"its {kind.processor_noun}, or a data_collator",
        )
    return kind.collator(processor, config.num_labels, targets=targets)
