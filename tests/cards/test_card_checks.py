"""What a card is not made of: measurements of another model or decision, mistakes in card.yaml, a folder that is no model."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from hf_mlc.cards import write_card
from hf_mlc.cards.facts import _of_training, read_evaluation
from hf_mlc.cards.merge import END
from hf_mlc.commands.evaluate import _thresholds as written_thresholds
from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_sgm import SgmConfig
from tests.cards.conftest import RESULTS, WORDS, read, write


def test_metrics_of_other_weights_are_refused_in_a_card_folder_and_passed_over_in_the_models(
    model_folder, card_folder
):
    evaluation = read(card_folder / "metrics.json") | {"weights": "sha256:another"}
    write(card_folder, **{"metrics.json": evaluation})
    with pytest.raises(UserError, match=r"metrics\.json: was measured with other weights"):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)
    write(model_folder, **{"metrics.json": evaluation})
    text = write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "Measured on the validation split" in text  # what training knows


SIX = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@pytest.mark.parametrize(
    ("settings", "used", "alike"),
    [
        ({"thresholds": 0.4}, {"thresholds": 0.4000000059604645}, True),  # as float32 has it
        ({"thresholds": 0.4}, {"thresholds": 0.41}, False),
        ({"min_labels": 1}, {"min_labels": 0}, False),
        ({"thresholds": SIX}, {"thresholds": written_thresholds(np.float32(SIX))}, True),
        ({"thresholds": SIX}, {"thresholds": {"lowest": 0.1, "median": 0.3, "highest": 0.6}}, False),
        ({"thresholds": SIX}, {"thresholds": 0.4}, False),
        ({"thresholds": 0.4}, {"thresholds": {"lowest": 0.4, "median": 0.4, "highest": 0.4}}, False),
        ({}, {"sets": "sequence"}, False),
        ({"decision": "sequence"}, {}, False),
        ({"decision": "sequence", "thresholds": 0.7}, {"sets": "sequence"}, True),  # they decide nothing
        ({"decision": "sequence", "min_labels": 0}, {"sets": "sequence"}, False),
        ({"thresholds": 0.7}, {"tuned": False}, True),  # by hand, as the card says
        ({"num_beams": 5}, {"override": {"num_beams": 1}}, False),
        ({"num_beams": 1}, {"override": {"num_beams": 1}}, True),
    ],
    ids=str,
)
def test_metrics_are_the_models_where_it_decides_as_it_was_measured(tmp_path, settings, used, alike):
    config = SimpleNamespace(**{"num_labels": 6, "thresholds": 0.4, "min_labels": 1, **settings})
    decision = {"thresholds": 0.4, "min_labels": 1, "tuned": True} | used
    evaluation = {"split": "test", "metrics": {"f1_micro": 0.5}, "decision": decision}
    write(tmp_path, **{"metrics.json": evaluation})
    assert read_evaluation(tmp_path, None, config) == (evaluation if alike else {})
    if not alike:
        with pytest.raises(UserError, match=r"metrics\.json: was measured with another decision rule"):
            read_evaluation(tmp_path / "model", tmp_path, config)


@pytest.mark.parametrize(
    ("results", "config", "alike"),
    [
        ({}, {}, True),
        ({"thresholds": 0.2}, {}, False),
        ({"min_labels": 0}, {}, False),
        ({"thresholds": [0.2] * 5 + [0.4]}, {"thresholds": [0.2] * 5 + [0.4]}, True),
        ({"thresholds": [0.2] * 5 + [0.4]}, {"thresholds": [0.2] * 4 + [0.3, 0.4]}, False),
    ],
    ids=str,
)
def test_what_training_measured_and_tuned_is_said_while_the_model_decides_so(model_folder, results, config, alike):
    write(model_folder, **{"results.json": RESULTS | {"thresholds": RESULTS["thresholds"] | results}})
    write(model_folder, **{"config.json": read(model_folder / "config.json") | config})
    text = write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    assert ("Measured on the validation split" in text) == alike
    assert ("tuned for `f1_micro`" in text) == alike


def test_metrics_of_a_training_that_decided_on_sets_are_not_those_of_thresholds():
    results = {"validation": {"f1_micro": 0.5}, "recipe": {"model_type": "sgm"}}
    assert _of_training(results, SgmConfig(num_labels=2))["metrics"] == {"f1_micro": 0.5}
    by_thresholds = SgmConfig(num_labels=2, decision="thresholds")
    assert _of_training(results, by_thresholds) == {}
    for said in (
        {"recipe": {"decision": "thresholds"}},
        {"decision": "thresholds"},
        {"recipe": {"model_name_or_path": "x"}},
    ):
        assert _of_training(results | said, by_thresholds)["metrics"] == {"f1_micro": 0.5}


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("metrics.json", {"facts": {"num_labels": 7}}, "about 7 labels"),
        ("baseline.json", {"fingerprints": {"test": "sha256:x"}}, "of other test rows"),
        ("baseline.json", {"fingerprints": {"train": "sha256:x"}}, "of other train rows"),
        ("results.json", {"training": {"seconds": 1.0}}, "is of another run"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(model_folder, card_folder, name, changes, problem):
    source = card_folder / name if (card_folder / name).exists() else model_folder / name
    write(card_folder, **{name: read(source) | changes})
    with pytest.raises(UserError, match=rf"{re.escape(name)}: .*{problem}"):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)
    assert not (model_folder / "README.md").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"licence": "mit"}, "unknown key 'licence'; accepted: pretty_name, license"),
        ({"language": False}, "field 'language': found False"),
        ({"language": ["en", 3]}, "field 'language': found 3"),
        ({"show_examples": "yes please"}, "field 'show_examples'"),
        ({"dataset": {"licence": "mit"}}, "field 'dataset': unknown key 'licence'"),
        ({"widget": ["a text"]}, "row 1, field 'widget'"),
        ({"license": "other"}, "field 'license_name': license is other"),
        ({"risks": f"x {END}"}, "field 'risks': holds a marker"),
    ],
)
def test_a_mistake_in_card_yaml_is_one_line_that_names_the_key(model_folder, card_folder, changes, problem):
    write(card_folder, **{"card.yaml": {**{k: v for k, v in WORDS.items() if k != "license"}, **changes}})
    with pytest.raises(UserError, match=re.escape(problem)):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)


@pytest.mark.parametrize("content", ["a: [", "- 1", "\x00"])
def test_a_card_yaml_that_is_no_mapping_is_refused(model_folder, card_folder, content):
    (card_folder / "card.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"card\.yaml"):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no readable config\.json"):
        write_card(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(UserError, match="of another architecture: 'bert'"):
        write_card(tmp_path)
