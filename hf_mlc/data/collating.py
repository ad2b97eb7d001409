"""Rows to a batch of tensors. The only place where label lists become tensors.

Shapes: `B` documents, `T` tokens of the longest, `L` labels, `P` labels of the document that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from hf_mlc.errors import UserError


# "unknown" in a multi-hot row (the loss leaves it out), "nothing here" in a list of ids
IGNORED = -100


@dataclass
class MultiLabelCollator:
    """Pads tokens to the longest row of the batch, and makes the targets.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): gives the padding token and side.
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"labels"`): `"labels"` makes the multi-hot float32 `labels` `(B, L)`;
            `"label_ids"` the int64 `label_ids` `(B, P)`, padded with -100 and P >= 1, and never anything of width L
            (large L).
        pad_to_multiple_of (`int`, *optional*): T is rounded up to a multiple of it.
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    A row is a dict with `input_ids`, and optionally `attention_mask`, `token_type_ids` and other lists of numbers, one
    a token (padded with 0), or arrays of one shape in all rows (stacked). Single numbers, strings and lists of strings
    are left out. Its targets stand under one of two keys, or under none (prediction):

    | key | value | read as |
    | --- | --- | --- |
    | `label_ids` | list or array of integers | ids; -100 is skipped |
    | `labels` | L values that are all 0, 1 or -100 | multi-hot; -100 = unknown, kept |
    | `labels` | an array or list of booleans or floats | multi-hot (or soft), L values |
    | `labels` | any other list of integers | ids |

    So a list of ids that happens to be `[0, 1]` with L = 2 is read as multi-hot: rows of ids go under `label_ids`.

    Returns:
        `dict[str, torch.Tensor]`: `input_ids` and `attention_mask`, int64 `(B, T)`, T >= 1 even if all texts are
        empty; further columns; `labels` or `label_ids`.

    Raises:
        `UserError`: on an id outside 0 ... L-1, a multi-hot row that is not L long, and a row of values other than 0
            and 1 where `label_ids` are to be made.
    """

    tokenizer: PreTrainedTokenizerBase
    num_labels: int
    targets: Literal["labels", "label_ids"] = "labels"
    pad_to_multiple_of: int | None = None
    return_ids: bool = False

    def __post_init__(self):
        if self.targets not in ("labels", "label_ids"):
            raise UserError(f"targets {self.targets!r}", field="targets", accepted="'labels' or 'label_ids'")

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        lengths = [len(feature["input_ids"]) for feature in features]
        width = max(1, *lengths)
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        batch: dict[str, Any] = {
            "input_ids": self._padded([feature["input_ids"] for feature in features], width, self._pad_id),
            "attention_mask": self._padded(
                [
                    feature["attention_mask"] if "attention_mask" in feature else np.ones(length, dtype=np.int64)
                    for feature, length in zip(features, lengths, strict=True)
                ],
                width,
                0,
            ),
        }
        for name in features[0]:
            if name in batch or name in ("labels", "label_ids"):
                continue
            column = self._column(name, [feature[name] for feature in features], lengths, width)
            if column is not None:
                batch[name] = column
        if any("labels" in feature or "label_ids" in feature for feature in features):
            make = self._multi_hot if self.targets == "labels" else self._padded_ids
            batch[self.targets] = make(features)
        if self.return_ids:
            batch["ids"] = [feature.get("id") for feature in features]
        return batch

    # -- inputs

    @property
    def _pad_id(self) -> int:
        # a model without padding token is only ever masked there
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0

    def _padded(
        self, rows: Sequence[Any], width: int, value: float, dtype: type | np.dtype = np.int64
    ) -> torch.Tensor:
        padded = np.full((len(rows), width), value, dtype=dtype)
        for i, row in enumerate(rows):
            if len(row):
                place = (
                    slice(0, len(row)) if self.tokenizer.padding_side == "right" else slice(width - len(row), width)
                )
                padded[i, place] = row
        return torch.from_numpy(padded)

    def _column(self, name: str, values: list[Any], lengths: list[int], width: int) -> torch.Tensor | None:
        """A column beside the tokens as a tensor; None if it is not lists of numbers."""
        rows = [
            np.asarray(value) if isinstance(value, (list, tuple, np.ndarray, torch.Tensor)) else None
            for value in values
        ]
        if any(row is None or row.dtype.kind not in "biuf" or row.ndim == 0 for row in rows):
            return None
        dtype = np.float32 if any(row.dtype.kind == "f" for row in rows) else np.int64
        if all(row.ndim == 1 and len(row) == length for row, length in zip(rows, lengths, strict=True)):
            value = self.tokenizer.pad_token_type_id if name == "token_type_ids" else 0
            return self._padded(rows, width, value, dtype)
        if len({row.shape for row in rows}) == 1:
            return torch.from_numpy(np.stack(rows).astype(dtype))
        raise UserError(
            "rows of different lengths, which are not the lengths of input_ids",
            field=name,
            accepted="one number a token, or arrays of one shape",
        )

    # -- targets

    def _multi_hot(self, features: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        labels_BL = np.zeros((len(features), self.num_labels), dtype=np.float32)
        for i, feature in enumerate(features):
            values, is_multi_hot = self._target_of(feature)
            if is_multi_hot:
                labels_BL[i] = values
            else:
                labels_BL[i, values] = 1.0
        return torch.from_numpy(labels_BL)

    def _padded_ids(self, features: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        rows = []
        for feature in features:
            values, is_multi_hot = self._target_of(feature)
            if is_multi_hot:
                if not np.isin(values, (0, 1)).all():
                    raise UserError(
                        f"a multi-hot row with the value {values[~np.isin(values, (0, 1))][0]:g}",
                        field="labels",
                        accepted="0 and 1 where label_ids are made of it",
                    )
                values = np.flatnonzero(values)
            rows.append(values)
        label_ids_BP = np.full((len(rows), max(1, *map(len, rows))), IGNORED, dtype=np.int64)
        for i, row in enumerate(rows):
            label_ids_BP[i, : len(row)] = row
        return torch.from_numpy(label_ids_BP)

    def _target_of(self, feature: Mapping[str, Any]) -> tuple[np.ndarray, bool]:
        """A row's targets, and whether they are multi-hot `(L,)` rather than ids."""
        key = "label_ids" if feature.get("label_ids") is not None else "labels"
        if feature.get(key) is None:
            raise UserError(
                "a row without targets among rows with", field=key, accepted="targets in all rows or in none"
            )
        values = np.asarray(feature[key])
        if values.size == 0:
            return np.zeros(0, dtype=np.int64), False
        if key == "labels":
            is_multi_hot = values.dtype.kind in "bf" or (
                len(values) == self.num_labels and np.isin(values, (0, 1, IGNORED)).all()
            )
            if is_multi_hot:
                if values.shape != (self.num_labels,):
                    raise UserError(
                        f"a multi-hot row of {len(values)} values",
                        field=key,
                        accepted=f"{self.num_labels} values, or integers: label ids",
                    )
                return values, True
        if values.dtype.kind not in "iu":
            raise UserError(f"label ids of type {values.dtype}", field=key, accepted="integers")
        ids = np.unique(values[values != IGNORED]).astype(np.int64)
        outside = ids[(ids < 0) | (ids >= self.num_labels)]
        if len(outside):
            raise UserError(f"label id {outside[0]}", field=key, accepted=f"0 to {self.num_labels - 1}")
        return ids, False
