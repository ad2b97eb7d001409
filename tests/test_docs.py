"""The Python snippets of the documentation run and print what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from hf_mlc.readme import results_table, with_results


ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
WITH_SNIPPETS = [page for page in PAGES if ">>> " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: page.name)
def test_snippets_print_what_the_page_says(page):
    outcome = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_results_in_the_readme_are_those_of_the_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = results_table(ROOT / "model_cards")
    assert table.count("\n") >= 2  # at least one run under the two lines of the head
    assert with_results(text, table) == text, "run scripts/update_readme.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
