"""A and B of psp@k: given to `train`, kept with the model's labels, said wherever psp@k is, used by `evaluate`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hf_mlc.cards import write_card
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model
from hf_mlc.metrics.ranking import inverse_propensities
from tests.commands.conftest import QUIET, SMALL_MODEL
from tests.spaces.small_model import write_small_model


AMAZON = ["0.6", "2.6"]


@pytest.fixture(scope="module")
def of_amazon(corpus, tmp_path_factory):
    """A run of two steps whose data set has Amazon's constants."""
    out = tmp_path_factory.mktemp("propensity") / "model"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), "--max_steps", "2", "--propensity", *AMAZON]
    assert run(train, [*arguments, *SMALL_MODEL, *QUIET, "--do_predict", "true"]) == 0
    return out


def measured(model, corpus, output, *beside) -> dict:
    asked = ["--model", str(model), "--dataset_name", str(corpus), "--output", str(output), *beside]
    assert run(evaluate, asked) == 0
    return json.loads(output.read_text(encoding="utf-8"))


def test_a_saved_model_is_measured_with_the_constants_it_was_trained_with(of_amazon, corpus, tmp_path):
    results = json.loads((of_amazon / "results.json").read_text(encoding="utf-8"))
    assert results["propensity"] == {"A": 0.6, "B": 2.6}
    space = load_model(str(of_amazon)).label_space
    assert space.propensity == (0.6, 2.6)
    weights = inverse_propensities(space.counts, space.num_documents, a=0.6, b=2.6)
    np.testing.assert_allclose(space.propensities(), 1 / weights)

    own = measured(of_amazon, corpus, tmp_path / "own.json")
    assert own["facts"]["propensity"] == {"A": 0.6, "B": 2.6}
    assert own["metrics"]["psp@5"] == pytest.approx(results["test"]["psp@5"], abs=1e-6)
    usual = measured(of_amazon, corpus, tmp_path / "usual.json", "--propensity", "0.55", "1.5")
    assert usual["facts"]["propensity"] == {"A": 0.55, "B": 1.5}
    assert abs(usual["metrics"]["psp@5"] - own["metrics"]["psp@5"]) > 1e-6
    assert usual["metrics"]["p@5"] == own["metrics"]["p@5"]


def test_training_that_goes_on_from_a_model_keeps_its_constants(of_amazon, corpus, tmp_path):
    base = ["--model_name_or_path", str(of_amazon), "--dataset_name", str(corpus), "--max_steps", "1"]
    assert run(train, [*base, "--output_dir", str(tmp_path / "on"), *QUIET]) == 0
    assert load_model(str(tmp_path / "on")).label_space.propensity == (0.6, 2.6)


def test_the_card_says_the_constants_where_it_shows_psp(of_amazon, corpus, tmp_path):
    measured(of_amazon, corpus, of_amazon / "metrics.json")
    card = write_card(of_amazon, run_snippet=False).read_text(encoding="utf-8")
    assert "inverse propensities with A = 0.6 and B = 2.6" in card and "propensity_b: 2.6" in card


def test_without_training_counts_there_is_nothing_to_weigh_by(tmp_path, capsys):
    model = write_small_model(tmp_path / "model", card=None)
    (tmp_path / "test.jsonl").write_text('{"text": "cough", "labels": ["R05"]}\n', encoding="utf-8")
    words = ["--model", str(model), "--dataset_name", str(tmp_path), "--propensity", *AMAZON]
    assert run(evaluate, words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "field 'propensity': its labels have no training counts" in line
    assert run(evaluate, words[:4]) == 0


@pytest.mark.parametrize("wrong", [["0.6"], ["0.6", "0"], ["-1", "2"], ["nan", "1"], ["0.6", "2.6", "1"]])
def test_what_cannot_be_a_and_b_is_refused_in_one_line(wrong, corpus, tmp_path, capsys):
    words = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "out"), "--propensity", *wrong, *QUIET]
    assert run(train, words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "propensity" in lines[0] and "B above 0" in lines[0]
