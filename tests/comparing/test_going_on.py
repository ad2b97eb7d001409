"""A comparison's training that was cut short goes on from its checkpoint; one of other rows is begun anew."""

from __future__ import annotations

import json

import pytest

from hf_mlc.comparing.arms import ours
from hf_mlc.errors import UserError


@pytest.fixture
def trained(monkeypatch):
    """What `train` was asked for; it refuses the folder's checkpoints where `refuses` is filled."""
    calls, refuses = [], []

    def train(arguments):
        calls.append(arguments[2:])
        if refuses and len(calls) == 1:
            raise refuses[0]

    monkeypatch.setattr(ours, "train", train)
    return calls, refuses


ANEW = ["--overwrite_output", "true"]


def test_without_a_checkpoint_it_begins_anew(trained, tmp_path):
    ours._train(tmp_path / "recipe.yaml", tmp_path)
    assert trained[0] == [ANEW]


def test_with_a_checkpoint_it_goes_on(trained, tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    ours._train(tmp_path / "recipe.yaml", tmp_path)
    assert trained[0] == [[]]


def test_a_finished_run_is_begun_anew(trained, tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "results.json").write_text("{}")
    ours._train(tmp_path / "recipe.yaml", tmp_path)
    assert trained[0] == [ANEW]


def test_checkpoints_of_other_rows_are_left_behind(trained, tmp_path):
    calls, refuses = trained
    refuses.append(UserError("holds checkpoints of a run with other data", file=tmp_path))
    (tmp_path / "checkpoint-3").mkdir()
    ours._train(tmp_path / "recipe.yaml", tmp_path)
    assert calls == [[], ANEW]


def test_any_other_mistake_is_said(trained, tmp_path):
    _, refuses = trained
    refuses.append(UserError("no such column", field="text"))
    (tmp_path / "checkpoint-3").mkdir()
    with pytest.raises(UserError, match="no such column"):
        ours._train(tmp_path / "recipe.yaml", tmp_path)


@pytest.mark.parametrize("refit", [None, {"seconds": 4.0}, {"before_resuming": {"seconds": 3.0, "cpu_seconds": 5.0}}])
def test_what_was_trained_before_a_run_was_cut_short_belongs_to_its_cost(tmp_path, refit):
    first = {"seconds": 9.0, "before_resuming": {"seconds": 7.0, "cpu_seconds": 11.0}}
    (tmp_path / "results.json").write_text(json.dumps({"training": first, "refit": refit}), encoding="utf-8")
    more = (refit or {}).get("before_resuming", {"seconds": 0.0, "cpu_seconds": 0.0})
    assert ours.before_resuming(tmp_path) == {"seconds": 7 + more["seconds"], "cpu_seconds": 11 + more["cpu_seconds"]}
    (tmp_path / "results.json").write_text(json.dumps({"training": {"seconds": 9.0}, "refit": None}), encoding="utf-8")
    assert ours.before_resuming(tmp_path) is None
