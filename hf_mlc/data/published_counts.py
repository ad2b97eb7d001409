"""Counts of a data set beside the published ones: a difference is said, in one line, and is no error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def compared(
    name: str, published: Mapping[str, int], counted: Mapping[str, int], remarks: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Each published count beside ours: `{"what", "published", "counted", "equal"}`, and a remark where there is one."""
    return [
        {
            "what": f"{name}: {what}",
            "published": number,
            "counted": counted[what],
            "equal": counted[what] == number,
            **({"remark": remarks[what]} if remarks and what in remarks else {}),
        }
        for what, number in published.items()
        if what in counted
    ]


def flat(facts: Mapping[str, Any]) -> dict[str, int]:
    """The counts that `write_data_set` returns: of rows by split, and of labels."""
    return {**facts["rows"], "labels": facts["labels"]}


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """What a command says of its report: each comparison, then each data set."""
    lines = [_comparison_line(entry) for entry in report["comparison"]]
    for name, facts in report["data_sets"].items():
        rows = ", ".join(f"{split} {number:,}" for split, number in facts["rows"].items())
        lines.append(
            f"{name}: {rows} rows; {facts['labels']:,} labels, {facts['labels_in_train']:,} of them in training"
        )
    return lines


def _comparison_line(entry: Mapping[str, Any]) -> str:
    if entry["equal"]:
        return f"{entry['what']}: {entry['counted']:,}, as published"
    remark = f" ({entry['remark']})" if "remark" in entry else ""
    return f"{entry['what']}: {entry['counted']:,}, published {entry['published']:,}{remark}"
