"""`python scripts/update_readme.py`: writes the results of model_cards/ into README.md; see hf_mlc/readme.py."""

from pathlib import Path

from hf_mlc.readme import results_table, with_results


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    readme = root / "README.md"
    table = results_table(root / "model_cards")
    readme.write_text(with_results(readme.read_text(encoding="utf-8"), table), encoding="utf-8")
