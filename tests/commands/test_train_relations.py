"""Arguments of MSDN that nothing reads are named."""

from __future__ import annotations

import pytest

from hf_mlc.commands.train_relations import without_relations
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_plant import PlantConfig


GIVEN = ["known_set_weight", "learning_rate", "numeric_bins", "numeric_frequencies", "numeric_frequency_std"]


@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({}, ["known_set_weight", "numeric_bins", "numeric_frequencies", "numeric_frequency_std"]),
        ({"known_sets": "restrict", "numeric_embedding": "piecewise_linear"}, ["known_set_weight", *GIVEN[3:]]),
        ({"known_sets": "favour", "numeric_embedding": "periodic"}, ["numeric_bins"]),
        (
            {"known_sets": "restrict", "forest_weight": 1.0, "numeric_embedding": "periodic"},
            ["known_set_weight", "numeric_bins"],
        ),
    ],
)
def test_options_of_another_setting_are_without_effect(fields, unread):
    config = MsdnConfig(input_size=3, **fields)
    assert without_relations(GIVEN, config) == unread
    assert without_relations(["forest_trees", "forest_weight"], config) == (
        [] if config.has_forest else ["forest_trees"]
    )
    assert without_relations(["known_sets", "numeric_embedding", "num_beams"], config) == []


def test_a_seed_of_an_order_that_is_not_drawn_and_a_decoding_that_is_not_used_are_named():
    given = ["decoding", "label_order_seed"]
    for fields, unread in (
        ({}, ["label_order_seed"]),
        ({"label_order": "random"}, []),
        ({"num_orders": 3}, []),
        ({"known_sets": "restrict"}, given),
        ({"known_sets": "favour", "label_order": "random"}, []),
    ):
        assert without_relations(given, MsdnConfig(input_size=3, num_labels=4, **fields)) == unread, fields


def test_other_architectures_have_none_of_them():
    assert without_relations(GIVEN, PlantConfig()) == []
