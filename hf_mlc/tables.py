"""Tables for people to read in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


HEADLINE = ("f1_micro", "f1_macro", "subset_accuracy", "ap_micro", "p@1", "ndcg@5")


def metrics_table(rows: Mapping[str, Mapping[str, float]], names: Sequence[str] = HEADLINE) -> str:
    """One line a system, one column a metric; a metric that a system doesn't have is a dash.

    Args:
        rows (`Mapping[str, Mapping[str, float]]`): metrics by name of the system.
        names (`Sequence[str]`, *optional*): the columns.
    """
    shown = [name for name in names if any(name in metrics for metrics in rows.values())]
    width = max(len(system) for system in rows) + 2
    lines = [" " * width + "".join(f"{name:>17}" for name in shown)]
    for system, metrics in rows.items():
        cells = "".join(f"{metrics[name]:>17.4f}" if name in metrics else f"{'-':>17}" for name in shown)
        lines.append(f"{system:<{width}}{cells}")
    return "\n".join(lines)
