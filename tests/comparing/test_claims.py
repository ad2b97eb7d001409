"""What the claims declare hangs together."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import pytest

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.commands.train_steps import ARGUMENTS
from hf_mlc.comparing import claims
from hf_mlc.comparing.arms import OURS, RUNNERS
from hf_mlc.comparing.arms.event_networks import OF_LANET, EventNetworkConfig, EventNetworkModel
from hf_mlc.comparing.arms.event_networks import SETTINGS as NETWORKS
from hf_mlc.comparing.arms.msdn_encoder import HEADS, SameEncoderConfig
from hf_mlc.comparing.claim import Arm, find_claim
from hf_mlc.comparing.event_rows import LONGEST_SEQUENCE
from hf_mlc.comparing.runs import Plan


CLAIMS = [module.name for module in pkgutil.iter_modules(claims.__path__)]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_names_its_arms_once_and_its_differences_by_them(name):
    claim = find_claim(name)
    names = [arm.name for arm in claim.arms]
    assert claim.name == name and len(set(names)) == len(names) and name in names
    assert {arm for pair in claim.differences for arm in pair} <= set(names)
    for data in claim.datasets:
        assert {*(data.arms or ()), *data.arm_settings} <= set(names)
    for arm in claim.arms:
        assert arm.runner in RUNNERS
        assert arm.runner in OURS or not arm.name.startswith(name)
        assert arm.chosen_as is None or arm.chosen_as in names


@pytest.mark.parametrize("name", CLAIMS)
def test_what_an_arm_or_a_data_set_sets_is_an_argument_of_train(name):
    claim = find_claim(name)
    known = set(config_names(ARCHITECTURES[name].config))
    for part in ARGUMENTS:
        known |= {field.name for field in dataclasses.fields(part)}
    of_heads = {field.name for field in dataclasses.fields(SameEncoderConfig)}
    for arm in claim.arms:
        if arm.runner in OURS:
            assert set(arm.settings) <= (known | of_heads if arm.runner in HEADS else known)
    for data in (*claim.datasets, claim.own_data):
        assert set(data.settings) <= known


def test_every_trial_of_a_network_over_events_can_be_built():
    """With each data set's settings, and with what another arm chose where an arm takes that over."""
    claim, number = find_claim("lanet"), 0
    for data in (*claim.datasets, claim.own_data):
        plan = Plan(claim, data, claim.arms, [0], [None], "test", Path(), Path(), data.train_settings(), Path())
        for arm in claim.chosen_arms(data, None):
            if arm.runner in OURS:
                chooser = arm if arm.chosen_as is None else claim.arm(arm.chosen_as)
                for trial in chooser.trials:
                    assert built(arm, plan.settings_of(arm, trial)).num_parameters() > 0
                    number += 1
    assert number > 100


def built(arm: Arm, settings: dict):
    """The model that `train` makes of the settings, for few labels."""
    if arm.runner == "train":
        config_class, model_class = ARCHITECTURES["lanet"].config, ARCHITECTURES["lanet"].model
    else:
        config_class, model_class = EventNetworkConfig, EventNetworkModel
        settings = {**NETWORKS[arm.runner], **settings}
        settings = {name: value for name, value in settings.items() if name not in OF_LANET}
    fields = set(config_names(config_class))
    arguments = {field.name for part in ARGUMENTS for field in dataclasses.fields(part)}
    assert set(settings) <= fields | arguments
    counted = {"num_labels": 9, "num_gaps": 5, "num_users": 4 if settings["user_tokens"] else 0}
    counted |= {"look_back": LONGEST_SEQUENCE} if settings.get("causal") else {}
    return model_class(config_class(**{name: settings[name] for name in settings.keys() & fields} | counted))


def test_the_leak_never_runs_by_default():
    claim = find_claim("plant")
    for data in (*claim.datasets, claim.own_data):
        chosen = [arm.name for arm in claim.chosen_arms(data, None)]
        assert "plant-leaked" not in chosen and "plant-plain" in chosen
    assert [arm.name for arm in claim.chosen_arms(claim.own_data, ["plant-leaked"])] == ["plant-leaked"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_is_a_module_that_can_fit(runner):
    pytest.importorskip("sklearn")
    assert callable(importlib.import_module(f"hf_mlc.comparing.arms.{RUNNERS[runner]}").fit)


def test_what_a_recipe_says_of_validation_rows_goes_for_every_arm_that_can_follow():
    claim = find_claim("plant")
    rule = {"refit": True, "threshold_kind": "global", "threshold_metric": "f1_micro"}
    settings = settings_by_arm(claim, claim.own_data, {"model_type": "plant", **rule})
    assert settings["tfidf-svm"] == {"refit": True, "threshold_kind": "global", "kind": "svm"}
    assert settings["mi-only"] == {"refit": True, "threshold_kind": "global"}
    assert settings["xr-linear"] == {"threshold_kind": "global"}
    # a folder of the user's: ours trains on the validation rows too, so the linear models do
    assert settings_by_arm(claim, claim.own_data)["tfidf-logreg"] == {"refit": True, "kind": "logistic"}
    # what `train` does anyway is not said: it would change the hash of runs that are finished
    assert settings_by_arm(claim, claim.data("codiesp"))["tfidf-svm"] == {"kind": "svm"}


def settings_by_arm(claim, data, train_settings=None) -> dict[str, dict]:
    settings = data.train_settings() if train_settings is None else train_settings
    plan = Plan(claim, data, claim.arms, [0], [None], "test", Path(), Path(), settings, Path())
    return {arm.name: plan.settings_of(arm) for arm in claim.arms}


@pytest.mark.parametrize("name", CLAIMS)
def test_every_recipe_that_a_claim_names_is_there(name):
    for data in find_claim(name).datasets:
        assert data.train_settings()["model_type"] == name


@pytest.mark.parametrize("name", CLAIMS)
def test_what_decides_a_claim_is_among_its_differences(name):
    claim = find_claim(name)
    assert {(arm, other) for arm, others in claim.must_be_ahead.items() for other in others} <= set(claim.differences)


@pytest.mark.parametrize("name", CLAIMS)
def test_statements_and_bars_are_of_arms_and_differences_that_there_are(name):
    claim = find_claim(name)
    names = {arm.name for arm in claim.arms}
    for statement in claim.statements:
        assert {*statement.ours, *statement.others} <= names and set(statement.pairs) <= set(claim.differences)
        for data in (*claim.datasets, claim.own_data):
            assert set(statement.end_points) <= set(data.end_points)
    for bar in claim.bars:
        assert set(bar.ours) <= names and bar.dataset in {data.name for data in claim.datasets}


def test_arms_from_a_pretrained_encoder_run_only_with_one_and_are_given_it():
    claim = find_claim("sgm")
    data = claim.data("reuters")
    without, with_one = (claim.chosen_arms(data, None, encoder=encoder) for encoder in (False, True))
    apart = {arm.name for arm in with_one} - {arm.name for arm in without}
    assert apart == {arm.name for arm in claim.arms if arm.group} and "sgm-pretrained" in apart
    plan = Plan(
        claim, data, with_one, [0], [None], "test", Path(), Path(), data.train_settings(), Path(), encoder="minilm"
    )
    chosen = claim.arm("sgm-pretrained-br").trials[0]
    for name in apart:
        settings = plan.settings_of(claim.arm(name), chosen)
        assert settings["text_encoder"] == "minilm" and settings["learning_rate"] == 5e-4
        # what the recipe says of its own encoder
        assert not {"encoder", "hidden_size", "word_vectors"} & set(settings)
    assert not {"encoder", "hidden_size", "word_vectors"} - set(plan.settings_of(claim.arm("sgm")))
    assert "text_encoder" not in plan.settings_of(claim.arm("sgm"))


def test_untuned_arms_are_told_nothing_of_validation_rows_that_would_change_them():
    settings = settings_by_arm(find_claim("sgm"), find_claim("sgm").data("reuters"))
    assert settings["binary-relevance"]["method"] == "binary-relevance" and not settings["binary-relevance"].get(
        "tuned"
    )
    assert settings["binary-relevance-tuned"]["threshold_kind"] == "auto"
    assert settings["label-powerset-tuned"]["threshold_kind"] == "none"


def test_a_folder_of_the_users_brings_its_own_features_file(tmp_path):
    claim = find_claim("msdn")
    assert claim.data(str(tmp_path)).meta_file is None
    (tmp_path / "features.json").write_text("{}", encoding="utf-8")
    found = claim.data(str(tmp_path))
    assert (found.meta_file, found.folder, found.name) == ("features.json", str(tmp_path), tmp_path.name)
    assert find_claim("plant").data(str(tmp_path)).meta_file is None  # of texts


def test_the_greedy_chain_is_the_chain_but_for_its_search_and_has_no_rank():
    claim = find_claim("msdn")
    greedy = claim.arm("rnn-chain-greedy")
    assert (greedy.settings, greedy.chosen_as) == ({"chain_beams": 1}, "rnn-chain")
    assert greedy.runner == claim.arm("rnn-chain").runner and greedy.name not in claim.over_sets.ranked


def test_an_arm_has_the_parts_that_its_name_says_whatever_the_recipe_has():
    claim = find_claim("plant")
    recipe = {
        "planting": "attention",
        "ranked_attention": False,
        "planted_readout": 3,
        "mutual_information_attention": False,
    }
    settings = settings_by_arm(claim, claim.own_data, recipe)
    parts = {name: [found[part] for part in recipe] for name, found in settings.items() if name.startswith("plant")}
    assert parts["plant"] == parts["plant-shuffled"] == ["attention", True, None, True]
    assert parts["plant-plain"] == ["none", True, None, True]
    assert parts["plant-ranked"] == parts["plant-idf"] == ["attention", True, None, False]
    assert parts["plant-mi"] == ["attention", False, None, True]
    assert parts["plant-readout"] == ["attention", False, 10, True]
    controls = settings_by_arm(claim, claim.data("eurlex57k"), {})
    assert {controls[f"plant-svm{part}"]["shortlist_size"] for part in ("", "-shuffled", "-untrained")} == {64}
    # where the recipe is silent nothing is said twice, and lines of before stay what they were
    assert settings_by_arm(claim, claim.own_data, {})["plant"] == {"planting": "attention"}
