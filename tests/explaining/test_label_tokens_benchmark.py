"""The benchmark of LANET's training step: systems of one width, windows as the collator makes them, one line a case."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "label_tokens.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("label_tokens", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_systems_are_of_one_width_and_depth(benchmark):
    models = {name: benchmark.build(name, 50, embed_dim=4, popular=10) for name in benchmark.ALL_SYSTEMS}
    assert models["event-transformer"].config.hidden_size == models["lanet"].config.token_dim == 12
    assert all(model.config.num_layers == 2 and model.config.num_heads == 4 for model in models.values())
    assert models["lanet-popular"].config.has_popular_tokens and not models["lanet"].config.has_popular_tokens
    attentions = {name: model.encoder.layers[0].attention.dropout for name, model in models.items() if "lanet" in name}
    assert attentions == {"lanet": 0.0, "lanet-history": 0.0, "lanet-popular": 0.0, "lanet-attention-dropout": 0.2}


def test_windows_hold_each_label_once_and_frequent_ones_more_often(benchmark):
    windows = benchmark.draw_windows(500, 40)
    assert windows["event_ids"].shape == (500, 3, 6) and windows["label_ids"].shape == (500, 6)
    for ids in (windows["event_ids"].flatten(0, 1), windows["label_ids"]):
        for row in ids.tolist():
            held = [label for label in row if label >= 0]
            assert held and len(held) == len(set(held)) and set(row) - set(held) <= {-100}
        assert (ids == 0).sum() > 2 * (ids == 3).sum() > 4 * (ids == 39).sum()
    assert torch.equal(windows["event_amount_bins"] < 0, windows["event_ids"] < 0)
    assert all(torch.equal(tensor, benchmark.draw_windows(500, 40)[name]) for name, tensor in windows.items())


def test_every_system_is_trained_and_counted(benchmark):
    for system in benchmark.ALL_SYSTEMS:
        row = benchmark.measure(system, 30, 5, embed_dim=4, popular=6, seconds=0.0, threads=torch.get_num_threads())
        assert (row["system"], row["labels"], row["batch_size"], row["steps"]) == (system, 30, 5, 1)
        assert row["parameters"] > 30 * 4 and row["windows_per_second"] > 0
        assert row["peak_bytes"] > 2**27  # torch alone takes more
        assert system in benchmark.line(row) and len(benchmark.line(row)) == len(benchmark.HEAD)


def test_each_case_has_a_process_of_its_own(benchmark, monkeypatch, capsys):
    started = []

    def run(command, **_):
        started.append((command[1], json.loads(command[-1])))
        row = {"system": started[-1][1][0], "labels": 8, "batch_size": 2, "parameters": 9}
        row |= {"windows_per_second": 1.0, "windows_per_cpu_second": 2.0, "steps": 3, "peak_bytes": 2**30}
        return type("Done", (), {"stdout": json.dumps(row), "returncode": 0})

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    monkeypatch.setattr(
        sys, "argv", ["x", "--labels", "8", "9", "--batch_sizes", "2", "1", "--systems", "lanet", "--json"]
    )
    benchmark.main()
    assert started == [(str(SCRIPT), ["lanet", 8, 2]), (str(SCRIPT), ["lanet", 9, 1])]
    assert [row["peak_bytes"] for row in json.loads(capsys.readouterr().out)["rows"]] == [2**30] * 2
    monkeypatch.setattr(sys, "argv", ["x", "--batch_sizes", "2"])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "accepted: 3, one for each of --labels" in capsys.readouterr().err


def test_a_case_that_is_killed_is_a_line_and_the_next_one_is_measured(benchmark, monkeypatch, capsys):
    row = {"parameters": 9, "windows_per_second": 1.0, "windows_per_cpu_second": 2.0, "steps": 3, "peak_bytes": 2**30}

    def run(command, **_):
        system, num_labels, batch_size = json.loads(command[-1])
        ended = {8: -9, 9: 3}.get(num_labels, 0)
        done = {"system": system, "labels": num_labels, "batch_size": batch_size, **row}
        return type("Done", (), {"stdout": "" if ended else json.dumps(done), "returncode": ended})

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    cases = ["x", "--labels", "8", "9", "10", "--batch_sizes", "1", "1", "1", "--systems", "lanet"]
    monkeypatch.setattr(sys, "argv", cases)
    benchmark.main()
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0].endswith("failed: killed by SIGKILL") and lines[1].endswith("failed: exit status 3")
    assert lines[2].split()[0] == "10" and "failed" not in lines[2]
    monkeypatch.setattr(sys, "argv", [*cases, "--json"])
    benchmark.main()
    assert [row.get("failed") for row in json.loads(capsys.readouterr().out)["rows"]][:2] == [
        "killed by SIGKILL",
        "exit status 3",
    ]


def test_where_memory_cannot_be_read_nothing_is_measured(benchmark, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "STATUS", tmp_path / "none")
    monkeypatch.setattr(benchmark.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit, match="reads memory from Linux's /proc/self/status"):
        benchmark.main()
