"""Every recipe in model_cards is one that `train` accepts, also those that cannot be run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.cards.words import read_words
from hf_mlc.commands import train
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.xmc.published import PUBLISHED_FEATURES


CARDS = Path(__file__).parents[2] / "model_cards"
RECIPES = sorted(CARDS.glob("*/recipe.yaml"))
NOT_RUN = ("plant-mimic3-full", "plant-mimic3-50", "plant-mimic3-rare50", "plant-mimic3-few", "plant-mimic4-icd10",
           "plant-eurlex4k", "plant-wiki10", "plant-eurlex57k", "sgm-coco", "sgm-yelp",
           "msdn-reuters", "lanet-online-retail", "lightdxml-eurlex4k", "lightdxml-wiki10",
           "lightdxml-amazoncat13k", "lightdxml-delicious200k", "lightdxml-wikilshtc325k",
           "lightdxml-wikiseealsotitles350k", "lightdxml-wikititles500k", "lightdxml-amazon670k",
           "lightdxml-amazontitles670k", "lightdxml-amazontitles3m", "lightdxml-amazon3m", "lightdxml-lf-amazon131k",
           "lightdxml-lf-amazontitles131k")  # fmt: skip
# A and B of psp@k, by what the data set is of; those of the released configurations are others in five places
WIKIPEDIA, AMAZON, OTHERS = [0.5, 0.4], [0.6, 2.6], [0.55, 1.5]
PROPENSITIES = {
    "eurlex57k": OTHERS, "eurlex4k": OTHERS, "wiki10": OTHERS, "amazoncat13k": OTHERS, "delicious200k": OTHERS,
    "wikiseealsotitles350k": OTHERS, "wikilshtc325k": WIKIPEDIA, "wikititles500k": WIKIPEDIA, "amazon670k": AMAZON,
    "amazontitles670k": AMAZON, "amazontitles3m": AMAZON, "amazon3m": AMAZON, "lf-amazon131k": AMAZON,
    "lf-amazontitles131k": AMAZON,
}  # fmt: skip


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


@pytest.mark.parametrize("name", PROPENSITIES)
def test_a_recipe_for_very_many_labels_measures_with_the_constants_of_its_data_set(name):
    recipe = read_recipe(CARDS / f"lightdxml-{name}" / "recipe.yaml")
    assert recipe["propensity"] == PROPENSITIES[name]
    assert recipe["targets"] == "label_ids" and 5 in recipe["ranking_ks"]


@pytest.mark.parametrize("name", PUBLISHED_FEATURES)
def test_a_card_for_very_many_labels_names_the_numbers_of_its_data_set(name):
    description = read_words(CARDS / f"lightdxml-{name}" / "card.yaml").dataset["description"]
    assert all(f"{number:,}" in description for number in PUBLISHED_FEATURES[name].values())


def test_every_recipe_for_very_many_labels_says_its_constants():
    known = {recipe.parent.name.removeprefix("lightdxml-") for recipe in RECIPES if "lightdxml" in recipe.parent.name}
    assert known - {"demo"} == set(PROPENSITIES)


def test_the_page_on_many_labels_has_the_settings_of_the_recipes():
    page = (CARDS.parent / "docs" / "many_labels.md").read_text(encoding="utf-8")
    for recipe in RECIPES:
        name = recipe.parent.name
        if name.startswith("lightdxml-"):
            given = read_recipe(recipe)
            a, b = given.get("propensity", OTHERS)
            cells = (given["num_train_epochs"], given["cycle_epochs"], given["shortlist_size"], f"{a}, {b}")
            row = f"| [{name}](../model_cards/{name}/recipe.yaml) | {' | '.join(map(str, cells))} |"
            assert row in page, row
