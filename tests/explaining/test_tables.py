from __future__ import annotations

from pathlib import Path

from hf_mlc.explaining.tables import explanation_tables
from hf_mlc.readme import with_results


ROOT = Path(__file__).parents[2]


def test_the_numbers_in_the_docs_are_those_of_the_runs():
    text = (ROOT / "docs/explanations.md").read_text(encoding="utf-8")
    tables = explanation_tables(ROOT / "model_cards")
    assert tables.count("### ") >= 2
    assert with_results(text, tables) == text, "run scripts/update_readme.py"
