"""Trials: how many, which one is taken, what is said of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.comparing.arms import ALWAYS_REFITTING, OURS, REFITTING
from hf_mlc.comparing.arms.msdn_encoder import SameEncoderConfig
from hf_mlc.comparing.arms.table_methods import METHODS
from hf_mlc.comparing.claim import Arm, Claim, ClaimData, find_claim
from hf_mlc.comparing.runs import Plan
from hf_mlc.comparing.trials import choose, trials_file, trials_of
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.training.arguments import MultiLabelTrainingArguments


ARM = Arm("toy", "full", settings={"size": 1}, trials=({}, {"rate": 0.1}, {"size": 4}))
DATA = ClaimData(name="toy", folder="toy", end_points=("subset_accuracy",), num_trials=3)


def runner(values: dict[str, float | None], tried: list):
    def run_trial(settings):
        tried.append(settings)
        value = values[str(settings)]
        return None if value is None else {"metrics": {"subset_accuracy": value}, "train_seconds": 1.5}

    return run_trial


def test_the_best_on_validation_rows_is_taken_and_of_equals_the_first():
    tried = []
    choice = choose(ARM, DATA, "subset_accuracy", runner({"{}": 0.2, "{'rate': 0.1}": 0.5, "{'size': 4}": 0.5}, tried))
    assert tried == list(ARM.trials) and choice.settings == {"rate": 0.1}
    assert choice.facts == {
        "by": "subset_accuracy", "chosen": {"rate": 0.1}, "number": 3, "values": [0.2, 0.5, 0.5], "train_seconds": 4.5,
    }  # fmt: skip


def test_a_data_set_takes_the_first_of_the_trials_and_with_one_nothing_is_trained():
    tried = []
    few = ClaimData(name="toy", folder="toy", end_points=(), num_trials=2)
    assert choose(ARM, few, "subset_accuracy", runner({"{}": 0.2, "{'rate': 0.1}": 0.1}, tried)).settings == {}
    assert len(tried) == 2
    one = ClaimData(name="toy", folder="toy", end_points=())
    arm = Arm("toy", "full", trials=({"rate": 0.3}, {}))
    assert choose(arm, one, "subset_accuracy", runner({}, tried)).settings == {"rate": 0.3} and len(tried) == 2
    assert choose(Arm("plain", "none"), DATA, "subset_accuracy", runner({}, tried)).settings == {}


def test_a_trial_that_failed_is_passed_over_and_without_any_there_is_no_choice():
    values = {"{}": None, "{'rate': 0.1}": 0.1, "{'size': 4}": None}
    assert choose(ARM, DATA, "subset_accuracy", runner(values, [])).settings == {"rate": 0.1}
    assert choose(ARM, DATA, "subset_accuracy", runner(dict.fromkeys(values), [])) is None


def test_a_trial_stands_on_top_of_an_arms_settings_and_below_those_of_one_that_takes_it_over():
    other = Arm("toy-other", "ablation", settings={"size": 9}, chosen_as="toy")
    claim = Claim("toy", (DATA,), (ARM, other), (), DATA)
    plan = Plan(claim, DATA, claim.arms, [0], [None], "test", Path(), Path(), {"size": 0, "rate": 0}, Path())
    assert plan.settings_of(ARM, {"size": 4}) == {"size": 4, "rate": 0}
    assert plan.settings_of(other, {"size": 4, "rate": 0.1}) == {"size": 9, "rate": 0.1}
    assert trials_file(Path("a/b.jsonl")) == Path("a/b.trials.jsonl")


def test_every_tuned_arm_of_msdn_tries_equally_many_settings_on_each_table():
    claim = find_claim("msdn")
    for data in (*claim.datasets, claim.own_data):
        counts = {arm.name: len(trials_of(arm, data)) for arm in claim.arms if arm.chosen_as is None}
        assert set(counts.values()) == {data.num_trials} and len(counts) > 10
    for arm in claim.arms:
        assert len({str(trial) for trial in arm.trials}) == len(arm.trials)  # none twice
        # a trial is measured on validation rows: its runner must be one that can be told not to train on them
        assert not arm.trials or arm.runner in (*OURS, *REFITTING)
        assert arm.chosen_as is None or (not arm.trials and claim.arm(arm.chosen_as).trials)


def test_what_changes_nothing_on_a_data_set_is_not_tried_again():
    arm = Arm("toy", "full", trials=({"size": 1}, {"size": 1, "bins": 4}, {"size": 2, "bins": 8}, {"bins": 2}))
    without = dataclasses.replace(DATA, without_effect=("bins",))
    assert trials_of(arm, without) == [{"size": 1}, {"size": 2}, {}]
    assert trials_of(arm, DATA) == list(arm.trials[:3])
    claim = find_claim("msdn")
    for data in claim.datasets:
        tried = trials_of(claim.arm("msdn-best"), data)
        assert all("numeric_embedding" not in trial for trial in tried) or data.name in ("emotions", "yeast", "birds")


def test_the_arms_on_columns_are_tried_as_often_as_asked_and_fitted_anew_as_ours_are():
    claim = find_claim("msdn")
    data = dataclasses.replace(claim.data("emotions"), num_trials=2)
    plan = Plan(claim, data, claim.arms, [0], [None], "test", Path(), Path(), data.train_settings(), Path())
    for arm in claim.arms:
        if arm.runner == "table-method":
            tried = trials_of(arm, data)
            assert len(tried) == 2 and plan.settings_of(arm, tried[1]).items() >= tried[1].items()
            assert plan.settings_of(arm, tried[0])["refit"] is True


@pytest.mark.parametrize("name, dataset", [("msdn", "emotions"), ("sgm", "reuters"), ("plant", "reuters")])
def test_nothing_is_trained_on_the_validation_rows_where_they_are_what_is_measured(name, dataset):
    claim = find_claim(name)
    data = claim.data(dataset)
    settings = {**data.train_settings(), "refit": True}
    plan = Plan(claim, data, claim.arms, [0], [None], "validation", Path(), Path(), settings, Path())
    measured_last = dataclasses.replace(plan, split="test")
    for arm in claim.arms:
        if arm.runner in (*OURS, *REFITTING, *ALWAYS_REFITTING):  # the others know training rows alone
            assert plan.settings_of(arm, {})["refit"] is False
        assert measured_last.settings_of(arm, {}).get("refit", True) is True


@pytest.mark.parametrize("name", ["msdn-single-2", "msdn-single-8"])
def test_one_scale_has_as_many_channels_as_several(name):
    claim = find_claim("msdn")
    several, single = claim.arm("msdn"), claim.arm(name)
    assert len(single.settings["kernel_sizes"]) == 1
    for ours, alone in zip(several.trials, single.trials, strict=True):
        assert alone == {**ours, "channels": 3 * ours["channels"]}  # of the scales 2, 4 and 8


def test_what_an_arm_tries_is_an_argument_of_its_model_or_of_training():
    claim = find_claim("msdn")
    training = {
        field.name for part in (DataArguments, MultiLabelTrainingArguments) for field in dataclasses.fields(part)
    }
    for arm in claim.arms:
        if arm.runner == "table-method":
            known = METHODS[arm.settings["method"]].settings
            assert all(set(trial) <= set(known) for trial in arm.trials)
            continue
        config = MsdnConfig if arm.runner == "train" else SameEncoderConfig
        assert {name for trial in arm.trials for name in trial} <= training | {
            field.name for field in dataclasses.fields(config)
        }
