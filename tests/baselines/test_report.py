"""The baseline's report on a small corpus: same rows as training, nothing of the test rows in what was chosen."""

from __future__ import annotations

import json

import pytest

from hf_mlc.baselines.report import tfidf_report
from hf_mlc.data import fingerprint, load_splits
from hf_mlc.data.demo_notes import write_demo_corpus
from hf_mlc.errors import MissingSplitError


def test_without_test_rows_there_is_nothing_to_report(tmp_path):
    write_demo_corpus(tmp_path, num_train=20, num_validation=10, num_test=10)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(MissingSplitError, match="no test split"):
        tfidf_report(tmp_path)


def test_the_report_names_its_rows_and_does_not_look_at_test_labels(tmp_path):
    write_demo_corpus(tmp_path, num_train=200, num_validation=60, num_test=40)
    report = tfidf_report(tmp_path)
    splits = load_splits(tmp_path)
    assert report["fingerprints"] == {name: fingerprint(rows) for name, rows in splits.items()}
    assert 0.3 < report["test"]["f1_micro"] < 1  # it has learnt something from 200 notes

    test = tmp_path / "test.jsonl"
    rows = [json.loads(line) for line in test.read_text(encoding="utf-8").splitlines()]
    shifted = [{**row, "labels": other["labels"]} for row, other in zip(rows, rows[1:] + rows[:1], strict=True)]
    test.write_text("".join(json.dumps(row) + "\n" for row in shifted), encoding="utf-8")
    again = tfidf_report(tmp_path)
    assert again["thresholds"] == report["thresholds"]
    assert again["test"]["f1_micro"] < report["test"]["f1_micro"]
