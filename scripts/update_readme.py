"""`python scripts/update_readme.py`: writes what runs left in model_cards/ into README.md and docs/{claims,explanations,scale}.md.

See hf_mlc/readme.py, hf_mlc/comparing/claims_page.py, hf_mlc/explaining/tables.py and hf_mlc/scale/tables.py.
"""

from pathlib import Path

from hf_mlc.comparing.claims_page import claims_tables
from hf_mlc.explaining.tables import explanation_tables
from hf_mlc.readme import results_table, with_results
from hf_mlc.scale.tables import scale_tables


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    cards = root / "model_cards"
    for page, table in (
        (root / "README.md", results_table(cards)),
        (root / "docs/claims.md", claims_tables(cards)),
        (root / "docs/explanations.md", explanation_tables(cards)),
        (root / "docs/scale.md", scale_tables(cards)),
    ):
        page.write_text(with_results(page.read_text(encoding="utf-8"), table), encoding="utf-8")
