"""What the arms cost to train, to store and to ask, one document at a time and in batches."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from hf_mlc.comparing.all_at_once import aligned


def costs_table(order: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    """One line an arm, the means over its seeds; empty where no run was timed by batch size.

    In brackets stand the milliseconds of making features or tokens, which are part of those before them. Of a shortlist: how many
    labels of a document were scored, and the share of its true labels among them.
    """
    sizes = sorted({size for line in lines for size in line.get("latency", {})}, key=int)
    if not sizes:
        return ""
    arms = [arm for arm in order if any(line["arm"] == arm for line in lines)]
    rows = [["cost", "train CPU s", "MB", *(f"ms/doc at {size}" for size in sizes), "scored", "recall of it"]]
    for arm in arms:
        found = [line for line in lines if line["arm"] == arm]
        cells = [f"{statistics.mean(line['train_cpu_seconds'] for line in found):.1f}"]
        cells.append(f"{statistics.mean(line['model_bytes'] for line in found) / 1e6:.1f}")
        for size in sizes:
            timed = [line["latency"][size] for line in found if size in line.get("latency", {})]
            cells.append(_times(timed) if timed else "-")
        listed = [line["shortlist"] for line in found if "shortlist" in line]
        for name, digits in (("size", 0), ("recall", 4)):
            cells.append(f"{statistics.mean(one[name] for one in listed):.{digits}f}" if listed else "-")
        rows.append([arm, *cells])
    return "\n".join(aligned(rows))


def _times(timed: Sequence[Mapping[str, float]]) -> str:
    return f"{statistics.mean(one['ms'] for one in timed):.3f} ({statistics.mean(one['prepare_ms'] for one in timed):.3f})"
