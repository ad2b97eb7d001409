"""Targets of a batch: label lists to tensors, the same way for every kind of input.

| key | value | read as |
| --- | --- | --- |
| `label_ids` | list or array of integers | ids; -100 is skipped |
| `labels` | L values that are all 0, 1 or -100 | multi-hot; -100 = unknown, kept |
| `labels` | an array or list of booleans or floats | multi-hot (or soft), L values |
| `labels` | any other list of integers | ids |

So a list of ids that happens to be `[0, 1]` with L = 2 is read as multi-hot: rows of ids go under `label_ids`.

Shapes: `B` rows, `L` labels, `P` labels of the row that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hf_mlc.errors import UserError


# "unknown" in a multi-hot row (the loss leaves it out), "nothing here" in a list of ids
IGNORED = -100
FORMS = ("labels", "label_ids")


def check_form(form: str) -> None:
    """`UserError` unless `form` is one of the two forms of targets."""
    if form not in FORMS:
        raise UserError(f"targets {form!r}", field="targets", accepted="'labels' or 'label_ids'")


def targets_of(features: Sequence[Mapping[str, Any]], num_labels: int, form: str) -> dict[str, torch.Tensor]:
    """The targets of a batch under their name; nothing where no row has any.

    Args:
        features (`list[dict]`): rows, each with its targets under one of the keys of the table above, or none at all.
        num_labels (`int`): L.
        form (`str`): `"labels"` makes the multi-hot float32 `(B, L)`; `"label_ids"` int64 `(B, P)`, padded with -100 and
            P >= 1, and never anything of width L (large L).

    Raises:
        `UserError`: on an id outside 0 ... L-1, a multi-hot row that is not L long, a row of values other than 0 and 1
            where `label_ids` are to be made, and a row without targets among rows with.
    """
    if not any("labels" in feature or "label_ids" in feature for feature in features):
        return {}
    make = _multi_hot if form == "labels" else _padded_ids
    return {form: make(features, num_labels)}


def _multi_hot(features: Sequence[Mapping[str, Any]], num_labels: int) -> torch.Tensor:
    labels_BL = np.zeros((len(features), num_labels), dtype=np.float32)
    for i, feature in enumerate(features):
        values, is_multi_hot = _target_of(feature, num_labels)
        if is_multi_hot:
            labels_BL[i] = values
        else:
            labels_BL[i, values] = 1.0
    return torch.from_numpy(labels_BL)


def _padded_ids(features: Sequence[Mapping[str, Any]], num_labels: int) -> torch.Tensor:
    rows = []
    for feature in features:
        values, is_multi_hot = _target_of(feature, num_labels)
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


def _target_of(feature: Mapping[str, Any], num_labels: int) -> tuple[np.ndarray, bool]:
    """A row's targets, and whether they are multi-hot `(L,)` rather than ids."""
    key = "label_ids" if feature.get("label_ids") is not None else "labels"
    if feature.get(key) is None:
        raise UserError("a row without targets among rows with", field=key, accepted="targets in all rows or in none")
    values = np.asarray(feature[key])
    if values.size == 0:
        return np.zeros(0, dtype=np.int64), False
    if key == "labels":
        is_multi_hot = values.dtype.kind in "bf" or (
            len(values) == num_labels and np.isin(values, (0, 1, IGNORED)).all()
        )
        if is_multi_hot:
            if values.shape != (num_labels,):
                raise UserError(
                    f"a multi-hot row of {len(values)} values",
                    field=key,
                    accepted=f"{num_labels} values, or integers: label ids",
                )
            return values, True
    if values.dtype.kind not in "iu":
        raise UserError(f"label ids of type {values.dtype}", field=key, accepted="integers")
    ids = values.astype(np.int64, copy=False)
    if (
        ids[0] < 0 or (ids[1:] <= ids[:-1]).any()
    ):  # encoded rows are sorted already, and looking is cheaper than sorting
        ids = np.unique(ids[ids != IGNORED])
    outside = ids[(ids < 0) | (ids >= num_labels)]
    if len(outside):
        raise UserError(f"label id {outside[0]}", field=key, accepted=f"0 to {num_labels - 1}")
    return ids, False
