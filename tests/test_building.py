"""A new model knows its labels and starts at their shares; what doesn't go together is one line."""

from __future__ import annotations

import math

import pytest

from hf_mlc.building import build_model
from hf_mlc.errors import UserError
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


SPACE = LabelSpace.from_label_lists([["a"], ["b", "a"], ["b"], ["b"], ["c", "b"]])


def test_the_model_knows_its_labels_and_starts_at_their_shares():
    config = PlantConfig(encoder="bag_of_words", hidden_size=8, vocab_size=20)
    model = build_model(config, SPACE)
    assert isinstance(model, PlantForMultiLabelClassification) and model.config is config
    assert config.num_labels == 3 and config.id2label == {0: "a", 1: "b", 2: "c"}
    assert read_label_space(config) == SPACE
    # in 2, 4 and 1 of 5 rows, half a row added on each side
    assert model.output_bias().tolist() == pytest.approx(
        [math.log(2.5 / 3.5), math.log(4.5 / 1.5), math.log(1.5 / 4.5)]
    )


def test_labels_that_are_written_one_after_another_get_their_order():
    config = SgmConfig(hidden_size=8, vocab_size=20)
    build_model(config, SPACE)
    assert config.label_ranks == [1, 0, 2]  # b, a, c: most frequent first
    config = SgmConfig(hidden_size=8, vocab_size=20, label_order="given")
    build_model(config, SPACE, order_is_given=True)
    assert config.label_ranks == [0, 1, 2]


def test_a_label_space_without_counts_is_refused():
    with pytest.raises(UserError, match="field 'label_space': no training counts"):
        build_model(PlantConfig(), LabelSpace.from_names(["a", "b"]))


def test_sizes_that_are_missing_are_one_line():
    with pytest.raises(UserError, match="field 'configuration': `input_size` is needed"):
        build_model(MsdnConfig(), SPACE)
