"""Rows of a table to a batch of tensors.

Shapes: `B` rows, `P` columns of `input_features`, `L` labels, `K` labels of the row that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_table import TableFeatureExtractor, TableRowError


@dataclass
class TableCollator(TargetCollator):
    """Puts encoded rows into one tensor, and makes the targets. This is where a sparse row becomes dense.

    Args:
        extractor ([`~hf_mlc.modeling.processing_table.TableFeatureExtractor`]): the model's.
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"labels"`): `"labels"` makes the multi-hot float32 `labels` `(B, L)`;
            `"label_ids"` the int64 `label_ids` `(B, K)`, padded with -100 and K >= 1 (large L).
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    A row is a dict with `input_features`, P numbers or `{"indices", "values"}` ([`~hf_mlc.tabular.encoding.encode_tables`]), or
    with `features`, which the extractor has yet to encode. Its targets stand under `labels` or `label_ids`
    ([`~hf_mlc.data.targets`]), or there are none (prediction).

    Returns:
        `dict[str, torch.Tensor]`: `input_features`, float32 `(B, P)`; `labels` or `label_ids`.

    Raises:
        `UserError`: a row without features, features that the extractor refuses, targets that are none.
    """

    extractor: TableFeatureExtractor
    num_labels: int
    targets: Literal["labels", "label_ids"] = "labels"
    return_ids: bool = False

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return {"input_features": torch.from_numpy(self._features(rows))}

    def _features(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        if "input_features" not in rows[0]:
            if any("features" not in row for row in rows):
                raise UserError("a row without features", field="features", accepted="features in every row")
            return features_of(self.extractor, [row["features"] for row in rows])
        encoded = [row["input_features"] for row in rows]
        if not isinstance(encoded[0], Mapping):
            return np.asarray(encoded, dtype=np.float32)
        features_BP = np.zeros((len(rows), self.extractor.input_size), dtype=np.float32)
        for place, row in enumerate(encoded):
            features_BP[place, row["indices"]] = row["values"]
        return features_BP


def features_of(extractor: TableFeatureExtractor, rows: Sequence[Any]) -> np.ndarray:
    """`input_features`, float32 `(B, P)`, of raw rows; a `UserError` where the extractor refuses one."""
    try:
        return extractor.encode(rows)
    except TableRowError as error:
        raise UserError(error.problem, row=error.row, field=error.field, accepted=error.accepted) from None
