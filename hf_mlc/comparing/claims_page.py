"""The tables of docs/claims.md: what each claim's runs in model_cards/claims/ came to, without intervals.

Intervals need the scores of every measured document, which lie beside the lines only where the runs were made
(`NAME.scores/`); `compare` prints them there.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_mlc.comparing.claim import Claim, ClaimData, find_claim
from hf_mlc.comparing.lines import newest, read_lines
from hf_mlc.comparing.report import bars, by_train_size, means_tables
from hf_mlc.comparing.sets_report import sets_report


CLAIMS = ("plant", "sgm", "msdn", "lanet", "lightdxml")


def claims_tables(model_cards: Path) -> str:
    """Markdown: of each claim what it says, the means of every data set's arms, and what is said of all sets together.

    Args:
        model_cards (`Path`): the folder of recipes and claims.
    """
    return "\n\n".join(
        _section(find_claim(name), newest(line for line in read_lines(file) if line["split"] == "test"))
        for name, file in ((name, model_cards / "claims" / f"{name}.jsonl") for name in CLAIMS)
        if file.is_file()
    )


def _section(claim: Claim, lines: Sequence[dict[str, Any]]) -> str:
    parts = [f"## {claim.name}", _first_paragraph(claim)]
    parts += [
        _of_data(claim, data, [line for line in lines if line["dataset"] == data.name]) for data in claim.datasets
    ]
    together = sets_report(claim, lines)
    if together:
        parts.append(f"### {claim.name}: all sets together\n\n{_fenced(together)}")
    return "\n\n".join(part for part in parts if part)


def _of_data(claim: Claim, data: ClaimData, lines: list[dict[str, Any]]) -> str:
    if not lines:
        return ""
    tables = []
    for found in by_train_size(lines).values():
        tables += [*means_tables(claim, data, found), unequal_trials(claim, found), bars(claim, data, found)]
        tables += [claim.all_at_once.tables(data.name, found)] if claim.all_at_once is not None else []
    return f"### {claim.name}: {data.name}\n\n{_fenced(*tables)}"


def unequal_trials(claim: Claim, lines: Sequence[dict[str, Any]]) -> str:
    """Which arms chose among fewer settings than others did, one alone among them; empty where all that have settings to choose
    from had equally many."""
    choosing = {arm.name for arm in claim.arms if len(arm.trials) > 1}
    tried: dict[int, dict[str, None]] = {}
    for line in lines:
        if line.get("trials") or line["arm"] in choosing:
            number = line["trials"]["number"] if line.get("trials") else 1
            tried.setdefault(number, {})[line["arm"]] = None
    if len(tried) < 2:
        return ""
    of_each = (f"{number} of {', '.join(tried[number])}" for number in sorted(tried, reverse=True))
    return f"settings tried: {'; '.join(of_each)}"


def _fenced(*tables: str) -> str:
    text = "\n\n".join(table for table in tables if table)
    return "```\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```"


def _first_paragraph(claim: Claim) -> str:
    """What the claim's module says first."""
    return importlib.import_module(f"hf_mlc.comparing.claims.{claim.name}").__doc__.split("\n\n")[0].replace("\n", " ")
