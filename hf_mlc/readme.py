"""The table of measured results in README.md, made from the files that runs left in model_cards/NAME/.

`results.json` is what training wrote, `metrics.json` what `evaluate` wrote, `baseline.json` what `benchmarks/tfidf.py` did.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_mlc.tables import HEADLINE


BEGIN, END = "<!-- results: scripts/update_readme.py -->", "<!-- end of results -->"


def results_table(model_cards: Path) -> str:
    """A Markdown table of test metrics, one row a system, the baseline under the model it belongs to where there is one.

    Args:
        model_cards (`Path`): the folder of recipes.
    """
    lines = ["| data | system | " + " | ".join(HEADLINE) + " | training |", "| --- " * (len(HEADLINE) + 3) + "|"]
    for folder in sorted(file.parent for file in model_cards.glob("*/results.json")):
        results, measured = (_read(folder / f"{name}.json") for name in ("results", "metrics"))
        data = folder.name.partition("-")[2]
        seconds = results["training"]["seconds"] + (results.get("refit") or {"seconds": 0})["seconds"]
        lines.append(_row(data, f"`{folder.name}`", measured["metrics"], seconds))
        if not (folder / "baseline.json").is_file():  # of thousands of labels, or no texts
            continue
        baseline = _read(folder / "baseline.json")
        # the same rows, or the comparison is none
        assert baseline["fingerprints"] == {**results["data"]["fingerprints"], "test": measured["fingerprint"]}, folder
        lines.append(_row(data, baseline["system"], baseline["test"], baseline["train_seconds"]))
    return "\n".join(lines)


def with_results(text: str, table: str) -> str:
    """`text` with what stands between the two markers replaced by `table`."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}"


def _row(data: str, system: str, metrics: dict[str, float], seconds: float) -> str:
    cells = [f"{metrics[name]:.3f}" for name in HEADLINE]
    return f"| {data} | {system} | " + " | ".join(cells) + f" | {seconds:.0f} s |"


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
