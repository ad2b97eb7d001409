"""Rows of tokens to a batch of tensors.

Shapes: `B` documents, `T` tokens of the longest, `L` labels, `P` labels of the document that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError


@dataclass
class MultiLabelCollator(TargetCollator):
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
    are left out. Its targets stand under `labels` or `label_ids` ([`~hf_mlc.data.targets`] has the table), or there are none
    (prediction).

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

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [len(row["input_ids"]) for row in rows]
        width = max(1, *lengths)
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        batch = {
            "input_ids": self._padded([row["input_ids"] for row in rows], width, self._pad_id),
            "attention_mask": self._padded(
                [
                    row["attention_mask"] if "attention_mask" in row else np.ones(length, dtype=np.int64)
                    for row, length in zip(rows, lengths, strict=True)
                ],
                width,
                0,
            ),
        }
        for name in rows[0]:
            if name in batch or name in ("labels", "label_ids"):
                continue
            column = self._column(name, [row[name] for row in rows], lengths, width)
            if column is not None:
                batch[name] = column
        return batch

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
