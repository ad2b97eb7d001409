"""Sparse rows to a batch of tensors.

Shapes: `B` rows, `F` features of the row that has most, `L` labels, `P` labels of the row that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor, SparseRows, padded
from hf_mlc.modeling.processing_table import TableRowError


@dataclass
class SparseCollator(TargetCollator):
    """Pads encoded rows to the longest, and makes the targets.

    Args:
        extractor ([`~hf_mlc.modeling.processing_sparse.SparseFeatureExtractor`]): the model's.
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"label_ids"`): `"label_ids"` makes the int64 `label_ids` `(B, P)`, padded with -100
            and P >= 1; `"labels"` the multi-hot float32 `labels` `(B, L)`.
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    A row is a dict with `input_ids` and `token_weights` ([`~hf_mlc.sparse.encoding.encode_sparse`]), or with `features`, which
    the extractor has yet to encode. Its targets stand under `labels` or `label_ids` ([`~hf_mlc.data.targets`]), or there are
    none (prediction).

    Returns:
        `dict[str, torch.Tensor]`: `input_ids`, int64 `(B, F)`, padded with 0; `token_weights`, float32 `(B, F)`; the targets.

    Raises:
        `UserError`: a row without features, features that the extractor refuses, targets that are none.
    """

    extractor: SparseFeatureExtractor
    num_labels: int
    targets: Literal["labels", "label_ids"] = "label_ids"
    return_ids: bool = False

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        if "input_ids" not in rows[0]:
            if any("features" not in row for row in rows):
                raise UserError("a row without features", field="features", accepted="features in every row")
            return inputs_of(self.extractor, [row["features"] for row in rows])
        offsets = np.concatenate([[0], np.cumsum([len(row["input_ids"]) for row in rows])])
        ids = np.concatenate([np.asarray(row["input_ids"], dtype=np.int32) for row in rows])
        weights = np.concatenate([np.asarray(row["token_weights"], dtype=np.float32) for row in rows])
        return _tensors(SparseRows(offsets, ids, weights))


def inputs_of(extractor: SparseFeatureExtractor, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
    """`input_ids` and `token_weights` `(B, F)` of raw rows; a `UserError` where the extractor refuses one."""
    try:
        return _tensors(extractor.encode(rows))
    except TableRowError as error:
        raise UserError(error.problem, row=error.row, field=error.field, accepted=error.accepted) from None


def _tensors(rows: SparseRows) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in padded(rows).items()}
