"""Every recipe in model_cards is one that `train` accepts, also those that cannot be run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.cards.words import read_words
from hf_mlc.commands import train


CARDS = Path(__file__).parents[2] / "model_cards"
RECIPES = sorted(CARDS.glob("*/recipe.yaml"))
NOT_RUN = ("plant-mimic3-full", "plant-mimic3-50", "plant-mimic3-rare50", "plant-mimic3-few", "plant-mimic4-icd10",
           "plant-eurlex4k", "plant-wiki10", "plant-eurlex57k", "sgm-coco", "sgm-yelp", "msdn-emotions", "msdn-yeast",
           "msdn-reuters", "lanet-online-retail")  # fmt: skip


class Parsed(Exception):
    """Carries what was parsed out of `train`, which then goes no further."""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.parent.name)
def test_train_accepts_the_recipe(recipe, tmp_path, monkeypatch):
    real = train.parse_arguments

    def stop(*args, **kwargs):
        raise Parsed(real(*args, **kwargs))

    monkeypatch.setattr(train, "parse_arguments", stop)
    words = [
        "--config",
        str(recipe),
        "--dataset_name",
        "d",
        "--output_dir",
        str(tmp_path / "out"),
        "--use_cpu",
        "true",
    ]
    with pytest.raises(Parsed) as caught:
        train.main(words)
    filled, settings, given = caught.value.args[0]
    # the configuration that the recipe means, with the checks that a configuration makes of itself
    config = ARCHITECTURES[given["model_type"]].config(**settings)
    assert config.model_type == given["model_type"] and filled


@pytest.mark.parametrize("name", NOT_RUN)
def test_a_recipe_that_was_never_run_says_so_and_has_no_results(name):
    assert "NEVER RUN by us" in (CARDS / name / "recipe.yaml").read_text(encoding="utf-8")
    words = read_words(CARDS / name / "card.yaml")
    assert not words.show_examples and "never run" in words.known_issues[0]
    assert sorted(file.name for file in (CARDS / name).iterdir()) == ["card.yaml", "recipe.yaml"]
