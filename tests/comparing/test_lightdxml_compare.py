"""LightDXML in a comparison: on rows of a table by `train` itself, and on texts by one command, what the line and tables say."""

from __future__ import annotations

import json

import datasets
import numpy as np

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from hf_mlc.comparing.arms import fit
from hf_mlc.comparing.claim import find_claim
from hf_mlc.comparing.scores import RunScores
from tests.commands.conftest import read_jsonl
from tests.comparing.test_arms import job
from tests.comparing.test_sparse_features import table_rows


TINY = {
    "model_type": "lightdxml",
    "embed_dim": 8,
    "shortlist_size": 3,
    "cycle_epochs": 1,
    "proxy_epochs": 1,
    "targets": "label_ids",
    "per_device_train_batch_size": 16,
    "num_train_epochs": 2,
    "learning_rate": 0.02,
    "threshold_kind": "global",
    "use_cpu": True,
}


def test_rows_of_a_table_are_trained_on_as_sparse_features(tmp_path):
    rows = table_rows(tmp_path / "table", tmp_path)
    fitted = fit(job(rows, "train", {**TINY, "encoder": "features"}), tmp_path / "model")
    items = rows.read_measured()["features"][:]
    for places, scores_BS, candidate_ids_BS, _ in fitted.score(items):
        assert scores_BS.shape == candidate_ids_BS.shape == (len(places), 3)
    timing = fitted.timed(items, 3)
    assert timing.preparing > 0 and timing.answering > 0 and fitted.model_bytes > 0


def test_texts_are_compared_by_one_command(notes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    recipe, output = tmp_path / "recipe.yaml", tmp_path / "own.jsonl"
    recipe.write_text(json.dumps({**TINY, "tokenizer_kind": "word"}), encoding="utf-8")
    arguments = ["lightdxml", "--dataset", str(notes), "--recipe", str(recipe), "--seeds", "1", "--resamples", "50"]
    arms = ["--arms", "lightdxml,lightdxml-proxy"]
    assert run(compare, [*arguments, *arms, "--output", str(output)]) == 0
    for line in read_jsonl(output):
        assert set(line["latency"]) == {"1", "256"}
        assert all(one["ms"] > one["prepare_ms"] > 0 and one["documents"] == 40 for one in line["latency"].values())
        assert line["shortlist"]["size"] == 3 and 0 < line["shortlist"]["recall"] < 1
        # the list bounds what can be found among the first five
        assert line["metrics"]["r@5"] <= 1 and {"psp@5@1-5", "ndcg@5@6-20"} <= line["metrics"].keys()
    shown = capsys.readouterr().out
    assert "ms/doc at 1 " in shown and "recall of it" in shown
    difference = next(row for row in shown.splitlines() if row.startswith("lightdxml - lightdxml-proxy"))
    assert difference.count("[") == 6  # psp@k has intervals, too
    assert "above centroids: the proxy pays" in shown
    scores = RunScores.load(next(output.with_name("own.scores").glob("*.npz")))
    assert (scores.label_weights > 1).all()


def test_ablations_differ_in_what_they_say_and_ours_take_the_recipe():
    claim = find_claim("lightdxml")
    ours = [arm for arm in claim.arms if arm.runner == "train"]
    assert {arm.name for arm in ours} == set(claim.all_at_once.ours)
    assert all(len(arm.settings) == (arm.name != "lightdxml") for arm in ours)
    labels = [data.generated.num_labels for data in claim.datasets if data.generated]
    assert labels == [100_000, 1_000_000] and len({data.name for data in claim.datasets}) == 5
    assert np.all([data.end_points == claim.own_data.end_points for data in claim.datasets])
