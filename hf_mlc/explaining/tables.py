"""The tables of measured explanations in docs/explanations.md, made from the files that benchmarks/explanations.py wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_mlc.explaining.hit_rates import METRICS


def explanation_tables(model_cards: Path) -> str:
    """Markdown: for each `NAME/explanations.json` span hits, deletion, and the completeness of integrated gradients.

    Args:
        model_cards (`Path`): the folder of recipes.
    """
    files = sorted(model_cards.glob("*/explanations.json"))
    return "\n\n".join(_tables_of(file.parent.name, json.loads(file.read_text(encoding="utf-8"))) for file in files)


def _tables_of(name: str, report: Mapping[str, Any]) -> str:
    counts, hits, deletion = report["counts"], report["span_hits"], report["deletion"]
    parts = [
        f"### {name}, {report['split']} split",
        f"{report['documents']} documents with {counts['labels']:,} labels that have evidence; the model knows all but "
        f"{counts['unknown_to_the_model']:,} of them, and of {counts['evidence_not_read']:,} it read no evidence (the text "
        f"is longer than what it reads). That leaves {counts['measured']:,}, of which it predicts "
        f"{hits['predicted labels']['random words']['number']:,}.",
    ]
    for which in ("all labels", "predicted labels"):
        rows = [[system, *(f"{values[metric]:.3f}" for metric in METRICS)] for system, values in hits[which].items()]
        parts.append(_table([f"span hits, {which}", *METRICS], rows))
    fractions = [f"{100 * fraction:g} %" for fraction in report["fractions"]]
    for measure in ("comprehensiveness", "sufficiency"):
        rows = [
            [system, f"{values[measure]['aopc']:.3f}", *(f"{value:.3f}" for value in values[measure]["by_fraction"])]
            for system, values in deletion.items()
        ]
        parts.append(_table([measure, "AOPC", *fractions], rows))
    gradients = report["integrated_gradients"]
    parts.append(
        f"Deletion: {counts['predicted']:,} predicted labels, right or wrong. Integrated gradients with "
        f"{gradients['steps']} steps miss their sum by {_percent(gradients['median_relative_delta'])} (median), at most by "
        f"{_percent(gradients['largest_relative_delta'])}."
    )
    return "\n\n".join(parts)


def _percent(share: float) -> str:
    return "less than 0.01 %" if share < 1e-4 else f"{100 * share:.2f} %"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("_", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
