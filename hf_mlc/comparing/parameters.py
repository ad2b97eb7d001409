"""A model's parameters in three parts, without which "fewer parameters" can be made to mean anything."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn


PARTS = ("encoder", "head", "relation")


def parameter_parts(model: nn.Module) -> dict[str, int] | None:
    """How many parameters make a document's vector (`encoder`), read single labels off it (`head`), and tell a label of others
    (`relation`); `None` of a model that does not say which those are, by its `parameter_split`.
    """
    split = getattr(model, "parameter_split", None)
    return None if split is None else {part: split()[part] for part in PARTS}


def parameters_table(order: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    """One line an arm whose models say it, in the order of the claim; empty where none does. Seeds differ only where an order
    of labels or a matched size does: the mean.
    """
    rows = []
    for arm in order:
        found = [line["parameter_parts"] for line in lines if line["arm"] == arm and line.get("parameter_parts")]
        if found:
            means = [statistics.mean(parts[part] for parts in found) for part in PARTS]
            rows.append((arm, *(f"{round(mean):,}" for mean in [*means, sum(means)])))
    if not rows:
        return ""
    width = max(len(arm) for arm, *_ in rows) + 2
    head = f"{'parameters':<{width}}" + "".join(f"{name:>14}" for name in (*PARTS, "all"))
    return "\n".join([head, *(f"{arm:<{width}}" + "".join(f"{cell:>14}" for cell in cells) for arm, *cells in rows)])
