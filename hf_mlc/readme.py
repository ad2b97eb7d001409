"""The table of measured results in README.md, made from the files that runs left in model_cards/."""

from __future__ import annotations

import json
from pathlib import Path

from hf_mlc.tables import HEADLINE


BEGIN, END = "<!-- results: scripts/update_readme.py -->", "<!-- end of results -->"


def results_table(model_cards: Path) -> str:
    """A Markdown table, one row a system: test metrics of every `results.json`, and of the `baseline.json` beside it.

    Args:
        model_cards (`Path`): the folder of recipes.
    """
    lines = ["| data | system | " + " | ".join(HEADLINE) + " | training |", "| --- " * (len(HEADLINE) + 3) + "|"]
    for file in sorted(model_cards.glob("*/results.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        data, baseline_file = file.parent.name.partition("-")[2], file.parent / "baseline.json"
        seconds = found["training"]["seconds"]
        lines.append(_row(data, f"`{file.parent.name}`", found["test"], seconds))
        if baseline_file.exists():
            baseline = json.loads(baseline_file.read_text(encoding="utf-8"))
            # the same rows, or the comparison is none
            assert baseline["fingerprints"] == found["data"]["fingerprints"], baseline_file
            lines.append(_row(data, baseline["system"], baseline["test"], baseline["train_seconds"]))
    return "\n".join(lines)


def with_results(text: str, table: str) -> str:
    """`text` with what stands between the two markers replaced by `table`."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def _row(data: str, system: str, metrics: dict[str, float], seconds: float) -> str:
    cells = [f"{metrics[name]:.3f}" for name in HEADLINE]
    return f"| {data} | {system} | " + " | ".join(cells) + f" | {seconds:.0f} s |"
