"""What keeps a resumed run on the unbroken one's way, one promise at a time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import TrainerControl, TrainerState

from hf_mlc.errors import UserError
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.resuming import BestCheckpoint, EarlyStoppingCallback, SamplerEpochs

from .test_trainer import trainer_of


@pytest.mark.parametrize("epoch, told", [(0, 0), (1.0, 1), (1.9999999, 2), (2.4, 2)])
def test_the_sampler_learns_the_epoch_that_begins_or_goes_on(parts, tmp_path, epoch, told):
    trainer = trainer_of(parts, tmp_path)
    loader_sampler = trainer._get_train_sampler()
    state = TrainerState(epoch=epoch)
    trainer.callback_handler.on_epoch_begin(trainer.args, state, TrainerControl())
    assert loader_sampler.epoch == told


def test_without_a_sampler_of_ours_nothing_is_told():
    SamplerEpochs().on_epoch_begin(None, TrainerState(epoch=1.0), None)


def test_a_run_that_goes_on_behind_its_last_step_trains_no_further(parts, tmp_path):
    settings = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "per_device_train_batch_size": 2,
    }  # fmt: skip
    trainer = trainer_of(parts, tmp_path, **settings)  # one step of an epoch's four
    trainer.train()
    trained = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    again = trainer_of(parts, tmp_path, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert again.state.global_step == 1
    assert all(torch.equal(value, trained[name]) for name, value in again.model.state_dict().items())


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("value, saves", [(0.5, True), (0.2, False)])
def test_the_evaluation_that_stops_saves_nothing(value, saves, is_last):
    """The last one that was planned does, if it is better: training stops there in any case."""
    stopping, state = EarlyStoppingCallback(1), TrainerState()
    state.best_metric = 0.3
    args = SimpleNamespace(metric_for_best_model="f1_micro", greater_is_better=True)
    control = TrainerControl(should_save=True, should_training_stop=is_last)
    stopping.on_evaluate(args, state, control, {"eval_f1_micro": value})
    assert (control.should_save, control.should_training_stop) == (saves, is_last or not saves)


def test_its_patience_is_found_in_checkpoints_of_transformers_own():
    assert EarlyStoppingCallback.__name__ == transformers.EarlyStoppingCallback.__name__


def test_the_best_checkpoint_is_looked_for_in_the_folder_of_the_run(tmp_path):
    args, state = SimpleNamespace(load_best_model_at_end=True, output_dir=str(tmp_path)), TrainerState()
    callback, resumed = BestCheckpoint(), tmp_path / "checkpoint-40"
    state.best_global_step = 30  # an evaluation without a checkpoint
    callback.on_train_begin(args, state, None)
    assert state.best_model_checkpoint is None
    resumed.mkdir()
    saved = {"best_model_checkpoint": "/elsewhere/checkpoint-20", "best_global_step": 30}
    (resumed / "trainer_state.json").write_text(json.dumps(saved), encoding="utf-8")
    callback.read(resumed)
    with pytest.raises(UserError, match="checkpoint-20"):
        callback.on_train_begin(args, state, None)
    (tmp_path / "checkpoint-20").mkdir()
    callback.on_train_begin(args, state, None)
    assert state.best_model_checkpoint == str(tmp_path / "checkpoint-20")


def test_a_run_in_parts_knows_what_all_of_them_took(parts, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
    settings |= {"per_device_train_batch_size": 2, "max_steps": 4}
    first = trainer_of(parts, tmp_path, **settings)
    clock = Stopwatch()
    first.train()
    whole = first.cost(clock)
    assert "before_resuming" not in whole and whole["seconds"] > 0
    file = tmp_path / "checkpoint-2" / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    assert 0 < state["stateful_callbacks"]["SecondsBefore"]["args"]["seconds"] <= whole["seconds"]
    state["stateful_callbacks"]["SecondsBefore"]["args"] = {"seconds": 500.0, "cpu_seconds": 900.0}
    file.write_text(json.dumps(state), encoding="utf-8")

    second = trainer_of(parts, tmp_path, **settings)
    clock = Stopwatch()
    second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    cost = second.cost(clock)
    assert cost["before_resuming"] == {"seconds": 500.0, "cpu_seconds": 900.0}
    assert 500 < cost["seconds"] < 800 and 900 < cost["cpu_seconds"] < 1200
    # and the next checkpoint knows both parts
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text(encoding="utf-8"))
    assert 500 < state["stateful_callbacks"]["SecondsBefore"]["args"]["seconds"] <= cost["seconds"]


def test_a_checkpoint_that_knows_nothing_of_seconds_or_patience_can_be_gone_on_from(parts, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
    settings |= {"per_device_train_batch_size": 2, "max_steps": 4}
    trainer_of(parts, tmp_path, **settings).train()
    file = tmp_path / "checkpoint-2" / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    del state["stateful_callbacks"]["SecondsBefore"]
    file.write_text(json.dumps(state), encoding="utf-8")
    settings |= {
        "load_best_model_at_end": True,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "early_stopping_patience": 3,
    }
    again = trainer_of(parts, tmp_path, **settings)
    clock = Stopwatch()
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert again.state.global_step == 4 and "before_resuming" not in again.cost(clock)
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text(encoding="utf-8"))
    assert {"SecondsBefore", "EarlyStoppingCallback"} <= state["stateful_callbacks"].keys()


def test_a_resumed_run_has_the_patience_that_it_asks_for(parts, tmp_path):
    settings = {
        "per_device_train_batch_size": 2, "max_steps": 4, "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps",
        "eval_steps": 2,
    }  # fmt: skip
    trainer_of(parts, tmp_path, **settings, early_stopping_patience=3).train()
    again = trainer_of(parts, tmp_path, **settings, early_stopping_patience=10)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["stateful_callbacks"]["EarlyStoppingCallback"]["args"]["early_stopping_patience"] == 10
