"""A comparison on event sequences end to end: rows made once, a network and a frequency, what the line and the tables say."""

from __future__ import annotations

import json
from math import ceil

import datasets
import numpy as np

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from hf_mlc.comparing import report
from hf_mlc.comparing.bootstrap import Bootstrap
from hf_mlc.comparing.claims.lanet import END_POINTS
from hf_mlc.comparing.scores import RunScores
from tests.commands.conftest import read_jsonl


RECIPE = """\
model_type: lanet
embed_dim: 4
num_layers: 1
num_heads: 2
look_back: 3
learning_rate: 0.02
num_train_epochs: 1
metric_for_best_model: auc_micro
threshold_kind: global
use_cpu: true
"""


def test_a_folder_of_sequences_is_compared_by_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rng, folder = np.random.default_rng(0), tmp_path / "shop"
    folder.mkdir()
    for split, users in (("train", 60), ("test", 20)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
            for user in range(users):
                habits, days = rng.choice(list("abcdefghijkl"), 3, replace=False), np.cumsum(rng.integers(1, 5, 5))
                events = [{"time": f"2024-01-{day:02d}", "labels": sorted(rng.choice(habits, 2))} for day in days]
                stream.write(json.dumps({"id": f"{split}{user}", "events": events}) + "\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    output = tmp_path / "own.jsonl"
    drawing: list[Bootstrap] = []

    def noted(*args, **kwargs) -> Bootstrap:
        drawing.append(Bootstrap(*args, **kwargs))
        return drawing[-1]

    monkeypatch.setattr(report, "Bootstrap", noted)
    arguments = [
        "lanet",
        "--dataset",
        str(folder),
        "--recipe",
        str(tmp_path / "recipe.yaml"),
        "--seeds",
        "1",
        "--trials",
        "1",
    ]
    arguments += ["--arms", "personal-frequency,lanet,lanet-causal", "--resamples", "100", "--output", str(output)]
    assert run(compare, arguments) == 0

    lines = {line["arm"]: line for line in read_jsonl(output)}
    for line in lines.values():
        assert (
            line["documents"] == 80 and line["train_documents"] == 216
        )  # four targets of 20 users; of 54, six validate
        assert set(END_POINTS) <= line["metrics"].keys()
        assert {"repeat_r@10", "repeat_ndcg@10", "explore_r@10"} <= line["metrics"].keys()
    assert lines["personal-frequency"]["metrics"]["auc_micro"] > 0.8  # three habits each, and nothing else
    # batches of 64 rows, one a target; of the causal form of 8 rows, one a training user
    assert [lines[arm]["facts"]["steps"] for arm in ("lanet", "lanet-causal")] == [ceil(216 / 64), ceil(54 / 8)]
    scores = RunScores.load(next((tmp_path / "own.scores").glob("*-lanet-s*.npz")))
    assert np.bincount(scores.groups).tolist() == [4] * 20
    assert [bootstrap.num_groups for bootstrap in drawing] == [20]  # users, not documents
    table = capsys.readouterr().out
    assert (
        "lanet - personal-frequency" in table and "lanet is above what frequencies alone say, in auc_micro: " in table
    )
    assert "explore_ndcg@10" in table
