"""docs/claims.md: made of the lines in model_cards/claims/, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from hf_mlc.comparing import claims
from hf_mlc.comparing.claims_page import CLAIMS, claims_tables
from hf_mlc.readme import with_results


ROOT = Path(__file__).parents[2]


def test_the_page_shows_what_was_measured():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert with_results(page, claims_tables(ROOT / "model_cards")) == page, "run scripts/update_readme.py"


def test_every_claim_is_looked_for():
    assert set(CLAIMS) == {file.stem for file in Path(claims.__file__).parent.glob("[a-z]*.py")}


def line(arm: str, dataset: str, seed: int, value: float) -> dict:
    metrics = dict.fromkeys(("subset_accuracy", "hamming_loss", "f1_micro", "f1_macro", "f1_samples"), value)
    return {
        "claim": "msdn", "dataset": dataset, "arm": arm, "seed": seed, "split": "test", "train_size": None, "documents": 202,
        "metrics": metrics, "train_seconds": 1.5, "train_cpu_seconds": 1.5, "predict_ms": 0.1, "model_bytes": 2e6,
        "settings": "0", "fingerprint": "0", "unknown_labels": 0, "parameters": 30, "parameter_parts": {"encoder": 10, "head": 12, "relation": 8},
    }  # fmt: skip


def test_of_two_lines_of_one_run_the_last_counts_and_unequal_numbers_of_trials_are_said(tmp_path):
    (tmp_path / "claims").mkdir()
    lines = [
        line("msdn", "yeast", 0, 0.9),
        {**line("msdn", "yeast", 0, 0.3), "settings": "1", "trials": {"number": 3}},
    ]
    lines += [{**line("msdn", "yeast", 1, 0.7), "split": "validation"}, line("rnn-chain", "yeast", 0, 0.2)]
    file = tmp_path / "claims" / "msdn.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    page = claims_tables(tmp_path)
    assert next(row for row in page.splitlines() if row.startswith("msdn ")).split()[1:3] == ["1", "0.3000"]
    assert "settings tried: 3 of msdn; 1 of rnn-chain" in page  # the other arm's one, without a choice
    lines.append({**line("rnn-chain", "yeast", 0, 0.2), "settings": "1", "trials": {"number": 2}})
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert "settings tried: 3 of msdn; 2 of rnn-chain" in claims_tables(tmp_path)


def test_means_are_over_the_seeds_and_several_sets_are_put_together(tmp_path):
    (tmp_path / "claims").mkdir()
    runs = [("msdn", 0.4), ("msdn", 0.2), ("forest-powerset", 0.1), ("forest-powerset", 0.3)]
    lines = [line(arm, data, n % 2, value) for data in ("yeast", "birds") for n, (arm, value) in enumerate(runs)]
    file = tmp_path / "claims" / "msdn.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    page = claims_tables(tmp_path)
    assert page.startswith("## msdn\n\nMSDN's claim: ")
    assert page.index("### msdn: yeast") < page.index("### msdn: birds")  # in the claim's order
    row = next(row for row in page.splitlines() if row.startswith("msdn "))
    assert row.split()[1:4] == ["2", "0.3000", "±0.141"] and row.split()[-3:] == ["1.5", "0.10", "2.0"]
    together = page.partition("### msdn: all sets together")[2]
    assert "2 data sets: yeast, birds" in together and "forest-powerset" in together and "0.2000" in together
    assert not any(row != row.rstrip() for row in page.splitlines())
