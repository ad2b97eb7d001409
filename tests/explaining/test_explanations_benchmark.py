from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[2] / "benchmarks/explanations.py"


def write_rows(file: Path, rows: list[dict]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_script_measures_what_can_be_counted_by_hand(planted_folder, tmp_path, monkeypatch, capsys):
    data, output = tmp_path / "data", tmp_path / "explanations.json"
    data.mkdir()
    write_rows(
        data / "train.jsonl",
        [{"text": "well fever", "labels": ["A"]}, {"text": "well", "labels": []}, {"text": "cough", "labels": ["B"]}],
    )
    write_rows(
        data / "test.jsonl",
        [
            # A is predicted and its evidence is what it attends to; C is no label of the model
            {"id": "1", "text": "well fever", "labels": ["A"], "evidence": {"A": [[5, 10]], "C": [[0, 4]]}},
            # A is not predicted; attention is on both words alike; what is cut off was never read
            {"id": "2", "text": "cough well", "labels": ["A"], "evidence": {"A": [[0, 5]]}},
            {"id": "3", "text": "well " * 16 + "cough", "labels": ["B"], "evidence": {"B": [[80, 85]]}},
        ],
    )
    arguments = ["--model", str(planted_folder), "--dataset_name", str(data), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "span hits, predicted labels" in capsys.readouterr().out
    found = json.loads(output.read_text(encoding="utf-8"))
    # document 1 gets A and B, document 3 gets B (logit 0, threshold 0.25), as do empty texts
    assert found["counts"] == {
        "labels": 4, "unknown_to_the_model": 1, "evidence_not_read": 1, "measured": 2, "predicted": 3,
    }  # fmt: skip
    hits = {system: values["hit@1"] for system, values in found["span_hits"]["all labels"].items()}
    assert hits == {
        "attention": pytest.approx((1 + 1 / 2) / 2),
        # cough speaks against A: by its share of the logit it comes last
        "direct_logit_attribution": pytest.approx((1 + 0) / 2),
        "integrated_gradients": pytest.approx((1 + 0) / 2),
        "random words": pytest.approx((1 / 2 + 1 / 2) / 2),
        # "fever" goes with A, "cough" never did; nor did "well" in the second text: 1/3 ln(3/2) > 0
        "association in training": pytest.approx((1 + 0) / 2),
    }
    assert found["span_hits"]["predicted labels"]["attention"]["number"] == 1
    assert found["integrated_gradients"]["largest_relative_delta"] < 1e-3
    assert set(found["deletion"]) == {"attention", "direct_logit_attribution", "integrated_gradients", "random words"}
