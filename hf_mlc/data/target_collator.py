"""Rows to a batch, whatever the rows hold: the inputs are each kind's own, the targets and ids are the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hf_mlc.data.targets import check_form, targets_of


class TargetCollator(ABC):
    """What the collators share. Each is a dataclass with the fields below, after what prepares its inputs.

    Args:
        num_labels (`int`): L.
        targets (`str`): `"labels"` or `"label_ids"`, as in [`~hf_mlc.data.targets.targets_of`].
        return_ids (`bool`): whether the rows' `id` come out as the list `ids`.

    Returns:
        `dict[str, Any]`: what `_inputs` makes of the rows; their targets, if they have any; `ids`, if asked for.

    Raises:
        `UserError`: another form of targets, when it is made; targets that are none.
    """

    num_labels: int
    targets: Literal["labels", "label_ids"]
    return_ids: bool

    def __post_init__(self):
        check_form(self.targets)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        batch = self._inputs(features) | targets_of(features, self.num_labels, self.targets)
        if self.return_ids:
            batch["ids"] = [feature.get("id") for feature in features]
        return batch

    @abstractmethod
    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What a model's `forward` takes of the rows beside their targets."""
