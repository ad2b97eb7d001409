"""A run that is killed in any phase of a cycle goes on, and comes to the very weights of the unbroken one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_mlc.cycles import cycle as cycle_module
from hf_mlc.cycles.folder import CYCLE_FOLDER, CycleFolder, array_written_together
from hf_mlc.training.trainer import last_complete_checkpoint
from tests.cycles.conftest import features_of, rows_of, trainer_of


# labels 10 and 11 have no training row, and label 10 is found by its features
WITH_FEATURES = {
    "rows": (rows_of(40, seed=1, num_labels=10), rows_of(16, seed=2)),
    "label_features": features_of([10, 3, 0]),
    "label_feature_weight": 0.5,
}


class Killed(BaseException):
    """Not an `Exception`: nothing on the way may catch it, as nothing catches a kill."""


def kill(monkeypatch, module, name: str, *, at: int):
    """Makes the `at`-th call of a function of a module, from 1 on, the last one."""
    original, calls = getattr(module, name), []

    def dying(*args, **kwargs):
        calls.append(name)
        if len(calls) == at:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, dying)


def same_weights(ours, theirs) -> bool:
    ours, theirs = ours.model.state_dict(), theirs.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def resumed(folder, **settings):
    """What the same command does again: a new process' trainer, from the last whole checkpoint."""
    trainer = trainer_of(folder, **settings)
    checkpoint = last_complete_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    trainer = trainer_of(tmp_path_factory.mktemp("unbroken"))
    trainer.train()
    return trainer


def test_the_trainings_compared_here_can_differ(unbroken, tmp_path):
    other = trainer_of(tmp_path, seed=7)
    other.train()
    assert not same_weights(unbroken, other)


# in the first cycle, where there is no checkpoint, in the second, and after the last epoch
@pytest.mark.parametrize(("name", "at"), [("label_centroids", 2), ("train_proxy", 1), ("label_embeddings", 3)])
def test_killed_in_phase_one(unbroken, tmp_path, monkeypatch, name, at):
    with monkeypatch.context() as patch:
        kill(patch, cycle_module, name, at=at)
        with pytest.raises(Killed):
            trainer_of(tmp_path).train()
    assert same_weights(resumed(tmp_path), unbroken)


def test_a_run_resumed_after_its_last_step_makes_no_cycle_but_the_last(tmp_path, monkeypatch):
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 3, "eval_strategy": "steps", "eval_steps": 3}
    first = trainer_of(tmp_path, **settings)  # in the middle of an epoch
    first.train()
    assert first.state.epoch % 1
    with monkeypatch.context() as patch:
        kill(patch, cycle_module, "fill_shortlists", at=1)
        again = resumed(tmp_path, **settings)
    assert again.state.global_step == 3 and same_weights(again, first)
    assert (
        [facts["cycle"] for facts in again.cycle_facts]
        == [facts["cycle"] for facts in first.cycle_facts]
        == [0, "last"]
    )
    # what the epoch took is written down when it ends, behind the checkpoint
    assert again.cycle_facts[0] == {
        name: value for name, value in first.cycle_facts[0].items() if name != "classifier"
    }


@pytest.mark.parametrize("at", [1, 2, 3, 6, 8])  # three phases a cycle, and two after the last epoch
def test_killed_before_a_phase_is_noted_as_ended(unbroken, tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        kill(patch, CycleFolder, "end", at=at)
        with pytest.raises(Killed):
            trainer_of(tmp_path).train()
    assert same_weights(resumed(tmp_path), unbroken)
    assert [path.name for path in (tmp_path / CYCLE_FOLDER).iterdir()] == ["cycles.json"]


def test_phases_of_other_rows_are_made_anew(tmp_path, monkeypatch):
    first, validation = rows_of(40, seed=1), rows_of(16, seed=2)
    weights = [[1.0 / (2 + place) for place in range(len(row))] for row in first["token_weights"]]
    other = first.remove_columns("token_weights").add_column("token_weights", weights)
    made = {}
    for name, rows in (("same", first), ("other", other)):
        with monkeypatch.context() as patch:
            kill(patch, cycle_module, "fill_shortlists", at=1)
            with pytest.raises(Killed):
                trainer_of(tmp_path / name, rows=(first, validation)).train()
        with monkeypatch.context() as patch:
            original = cycle_module.CycleMaker._encode
            encoded = made[name] = []
            patch.setattr(
                cycle_module.CycleMaker,
                "_encode",
                lambda *args, original=original, encoded=encoded: encoded.append(args[-1]) or original(*args),
            )
            trainer_of(tmp_path / name, rows=(rows, validation)).train()
    assert made == {"same": [1, "last"], "other": [0, 1, "last"]}


def test_killed_while_label_features_are_encoded(tmp_path, monkeypatch):
    def dying(*args, **kwargs):
        for found in original(*args, **kwargs):
            if kwargs["description"] == "Encoding label features":
                calls.append(1)
                if len(calls) == 2:
                    raise Killed
            yield found

    whole = trainer_of(tmp_path / "whole", **WITH_FEATURES)
    whole.train()
    original, calls = cycle_module.encode_rows, []
    with monkeypatch.context() as patch:
        patch.setattr(cycle_module, "encode_rows", dying)
        with pytest.raises(Killed):
            trainer_of(tmp_path / "killed", **WITH_FEATURES).train()
    assert not list((tmp_path / "killed" / CYCLE_FOLDER).rglob("label_feature_vectors.npy"))
    assert same_weights(resumed(tmp_path / "killed", **WITH_FEATURES), whole)


@pytest.mark.parametrize(
    "changed",
    [
        # the same features, of other labels
        {
            "label_features": features_of([10, 3, 0])
            .remove_columns("label_ids")
            .add_column("label_ids", [[10], [3], [1]])
        },
        {"label_features": features_of([10, 3, 0], weights=(0.6, 0.8))},
        {"label_feature_weight": 2.0},
        {"label_features": None},
    ],
)
def test_phases_of_other_label_features_are_made_anew(tmp_path, changed):
    settings = {**WITH_FEATURES, "num_train_epochs": 1, "keep_cycle_files": True}
    trainer_of(tmp_path, **settings).train()
    makers = [trainer_of(tmp_path, **{**settings, **other}).cycles for other in ({}, changed)]
    for maker in makers:  # the index is the same; what it was made of is not
        maker._read_index(CycleFolder(tmp_path, 0))
    assert makers[0].shortlists(0) is not None and makers[1].shortlists(0) is None


@pytest.mark.parametrize("settings", [{}, {"negatives": "all"}])
def test_an_epoch_whose_checkpoint_was_not_saved_counts_once(tmp_path, settings):
    trainer = trainer_of(tmp_path, **settings)
    original, calls = trainer._save_checkpoint, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:  # the second epoch of the second cycle
            raise Killed
        return original(*args, **kwargs)

    trainer._save_checkpoint = dying
    with pytest.raises(Killed):
        trainer.train()
    facts = resumed(tmp_path, **settings).cycle_facts
    expected = [(0, [0, 1, 2, 3])] if settings else [(0, [0, 1]), (1, [2, 3])]
    found = [(one["cycle"], [epoch["epoch"] for epoch in one["classifier"]["of_epochs"]]) for one in facts[:-1]]
    assert found == expected and facts[-1]["cycle"] == "last"
    for one in facts[:-1]:
        assert one["classifier"]["epochs"] == len(one["classifier"]["of_epochs"])


@pytest.mark.parametrize("at", [1, 3])
def test_killed_while_documents_are_encoded(unbroken, tmp_path, monkeypatch, at):
    def dying(*args, **kwargs):
        for number, found in enumerate(original(*args, **kwargs)):
            if kwargs["description"] == "Encoding documents":
                calls.append(number)
                if len(calls) == 3 * (at - 1) + 2:  # in the second of the three batches of a cycle
                    raise Killed
            yield found

    original, calls = cycle_module.encode_rows, []
    with monkeypatch.context() as patch:
        patch.setattr(cycle_module, "encode_rows", dying)
        with pytest.raises(Killed):
            trainer_of(tmp_path).train()
    files = [file.name for file in (tmp_path / CYCLE_FOLDER).rglob("*.npy")]
    assert "vectors.npy" not in files  # it is there whole or not at all
    assert same_weights(resumed(tmp_path), unbroken)


@pytest.mark.parametrize("at", [1, 2])
def test_killed_in_phase_two_goes_on_behind_phase_one(unbroken, tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        kill(patch, cycle_module, "fill_shortlists", at=at)
        with pytest.raises(Killed):
            trainer_of(tmp_path).train()
    with monkeypatch.context() as patch:
        encoded = []
        original = cycle_module.CycleMaker._encode
        patch.setattr(cycle_module.CycleMaker, "_encode", lambda *args: encoded.append(args[-1]) or original(*args))
        again = resumed(tmp_path)
    assert same_weights(again, unbroken)
    assert (at - 1) not in encoded and "last" in encoded  # the killed cycle's vectors were there


@pytest.mark.parametrize("step", [2, 7, 13])
def test_killed_in_phase_three(unbroken, tmp_path, monkeypatch, step):
    # 5 steps an epoch, 2 epochs a cycle: in each of both cycles, with and without a checkpoint
    trainer = trainer_of(tmp_path)
    original, calls = trainer.training_step, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == step:
            raise Killed
        return original(*args, **kwargs)

    trainer.training_step = dying
    with pytest.raises(Killed):
        trainer.train()
    assert same_weights(resumed(tmp_path), unbroken)


@pytest.mark.parametrize("settings", [{"negatives": "all"}, {"token_learning_rate_scale": 5.0}, WITH_FEATURES])
def test_killed_with_other_settings(settings, tmp_path):
    whole = trainer_of(tmp_path / "whole", **settings)
    whole.train()
    trainer = trainer_of(tmp_path / "killed", **settings)
    original, calls = trainer.training_step, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 12:
            raise Killed
        return original(*args, **kwargs)

    trainer.training_step = dying
    with pytest.raises(Killed):
        trainer.train()
    again = resumed(tmp_path / "killed", **settings)
    assert same_weights(again, whole)
    assert [one["cycle"] for one in again.cycle_facts] == [one["cycle"] for one in whole.cycle_facts]


def test_killed_between_two_epochs_goes_on_in_the_middle_of_an_epoch(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 3, "eval_strategy": "no", "load_best_model_at_end": False}
    whole = trainer_of(tmp_path / "whole", **settings)
    whole.train()
    trainer = trainer_of(tmp_path / "killed", **settings)
    original, calls = trainer.training_step, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 11:  # the first step of the second cycle; the last checkpoint is of step 9, in the first
            raise Killed
        return original(*args, **kwargs)

    trainer.training_step = dying
    with pytest.raises(Killed):
        trainer.train()
    assert same_weights(resumed(tmp_path / "killed", **settings), whole)


def test_lists_that_are_gone_are_made_anew_and_that_is_said(tmp_path, capsys):
    settings = {"save_strategy": "epoch"}
    trainer = trainer_of(tmp_path, **settings)
    trainer.train()
    checkpoint = tmp_path / "checkpoint-15"  # in the middle of the second cycle
    assert not list((tmp_path / CYCLE_FOLDER).rglob("*.npy"))
    again = trainer_of(tmp_path)
    capsys.readouterr()
    again.train(resume_from_checkpoint=str(checkpoint))
    assert "cycle 2: its shortlists are gone; they are made anew" in capsys.readouterr().err
    assert [one["cycle"] for one in again.cycle_facts] == [0, 1, "last"]
    assert again.cycle_facts[1]["classifier"]["epochs"] == 2


def test_lists_of_another_index_are_not_taken_up(tmp_path, capsys):
    trainer_of(tmp_path, keep_cycle_files=True).train()
    checkpoint, file = tmp_path / "checkpoint-15", tmp_path / CYCLE_FOLDER / "001" / "label_vectors.npy"
    line = "its shortlists are gone"
    capsys.readouterr()
    trainer_of(tmp_path, keep_cycle_files=True).train(resume_from_checkpoint=str(checkpoint))
    assert line not in capsys.readouterr().err
    np.save(file, np.load(file)[::-1])  # as a run of other weights would have left them
    trainer_of(tmp_path, keep_cycle_files=True).train(resume_from_checkpoint=str(checkpoint))
    assert line in capsys.readouterr().err


def test_what_was_made_of_other_weights_is_not_taken(tmp_path):
    folder = CycleFolder(tmp_path, 3)
    folder.begin("one")
    folder.end("encode", {"documents": 4})
    folder.file("vectors.npy").write_bytes(b"old")
    folder.begin("one")
    assert folder.facts("encode") == {"documents": 4}
    folder.begin("another")
    assert folder.facts("encode") is None and not folder.file("vectors.npy").exists()


def test_an_array_is_there_whole_or_not_at_all(tmp_path):
    file = tmp_path / "array.npy"
    with pytest.raises(Killed), array_written_together(file, (3, 2), "int32", is_main=True, wait=lambda: None):
        raise Killed
    assert not file.exists()
    with array_written_together(file, (3, 2), "int32", is_main=True, wait=lambda: None) as array:
        array[:] = 7
    assert np.load(file).tolist() == [[7, 7]] * 3


def test_files_are_deleted_unless_they_are_to_be_kept(unbroken, trained):
    left = {file.name for file in (trained_folder(unbroken)).rglob("*.np?")}
    kept = {file.name for file in (trained_folder(trained)).rglob("*.np?")}
    assert left == set() and kept == {"vectors.npy", "shortlists.npy", "label_vectors.npy", "proxy.npz"}
    costs = json.loads((trained_folder(unbroken) / "cycles.json").read_text(encoding="utf-8"))
    assert [cost["cycle"] for cost in costs] == [0, 1, "last"]
    assert [cost["classifier"]["epochs"] for cost in costs[:2]] == [2, 2]


def trained_folder(trainer):
    return Path(trainer.args.output_dir, CYCLE_FOLDER)
