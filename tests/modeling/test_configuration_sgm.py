"""The configuration of SGM: what it derives, what it refuses, how it is saved."""

from __future__ import annotations

import dataclasses
import re

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import BertConfig, PreTrainedConfig

from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig


def test_every_field_is_described():
    inherited = {field.name for field in dataclasses.fields(MultiLabelConfig)} | {"is_encoder_decoder"}
    own = {field.name for field in dataclasses.fields(SgmConfig)} - inherited
    named = set()
    for entry in re.findall(r"^        ([a-z_, ]+) \(`", SgmConfig.__doc__, re.MULTILINE):
        named |= set(entry.split(", "))
    assert own - named == set()
    # of the base class's fields, the text's special tokens only
    assert named - own <= {"pad_token_id", "unk_token_id"}


def test_sizes_that_follow_from_others():
    config = SgmConfig(hidden_size=64, num_labels=7)
    assert (config.decoder_width, config.label_width, config.decoder_vocab_size) == (64, 64, 10)
    config = SgmConfig(hidden_size=64, decoder_size=48)
    assert (config.decoder_width, config.label_width) == (48, 48)
    assert SgmConfig(decoder_size=48, label_embedding_size=20).label_width == 20


def test_the_vocabulary_of_the_text_and_that_of_the_labels_are_told_apart():
    config = SgmConfig(vocab_size=50, num_labels=7)
    assert config.get_text_config() is config
    assert config.vocab_size == 50
    assert config.get_text_config(decoder=True).vocab_size == 10
    config = SgmConfig(
        text_config={"model_type": "bert", "vocab_size": 60, "hidden_size": 32, "num_attention_heads": 2}
    )
    assert config.get_text_config() is config.text_config
    assert (config.encoder, config.vocab_size, config.hidden_size) == ("transformer", 60, 32)
    assert config.get_text_config(decoder=True).vocab_size == 5


@pytest.mark.parametrize(
    "settings",
    [
        {"decoder_size": 256, "hidden_size": 512},  # a size that equals another model's default
        {"encoder": "transformer", "hidden_size": 32, "num_attention_heads": 2},
        {"encoder": "image"},
        {"vision_config": {"model_type": "vit", "hidden_size": 48}},
        {"backbone_config": {"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 16], "out_features": ["stage2"]}},
        {"num_labels": 3, "label_ranks": [2, 0, 1], "label_parents": [[], [0], [0]], "label_exclusions": [[1, 2]]},
    ],
    ids=["sizes", "transformer", "image", "vision", "backbone", "labels"],
)  # fmt: skip
def test_it_comes_back_from_its_file_as_it_was(settings, tmp_path):
    config = SgmConfig(**settings)
    config.save_pretrained(tmp_path)
    loaded = SgmConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    for name in settings:
        value = getattr(loaded, name)
        assert isinstance(value, PreTrainedConfig) or value == getattr(config, name)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"hidden_size": 0}, "`hidden_size` must be 1 or more, found 0"),
        ({"hidden_size": 33}, "`hidden_size` must be even for two directions, found 33"),
        ({"num_beams": 0}, "`num_beams` must be 1 or more, found 0"),
        ({"decoder_dropout": 1.0}, r"`decoder_dropout` must be in \[0, 1\), found 1.0"),
        ({"encoder_self_attention": True, "self_attention_heads": 3}, "`self_attention_heads`, found 256 and 3"),
        ({"global_embedding": False, "global_embedding_scale": 0.5}, "`global_embedding_scale` is of `global_embedding`"),
        ({"global_embedding_scale": 1.5}, r"must be in \[0, 1\], found 1.5"),
        ({"ocd_sample_rate": 2}, r"`ocd_sample_rate` must be in \[0, 1\], found 2"),
        ({"auxiliary_weight": -0.1}, "`auxiliary_weight` must not be negative, found -0.1"),
        ({"end_bias": float("inf")}, "`end_bias` must be a finite number"),
        ({"scores": "auxiliary"}, "`scores='auxiliary'` needs a trained head"),
        ({"scores": "rescored"}, "`scores='rescored'` needs a trained head"),
        ({"label_order": "dynamic"}, "needs `sequence_loss='alignment'` or 'ocd', found 'sequence_ce'"),
        ({"label_order": "dynamic", "sequence_loss": "set_bce"}, "needs `sequence_loss='alignment'` or 'ocd', found 'set_bce'"),
        ({"num_labels": 3, "label_ranks": [0, 1, 1]}, "`label_ranks` must hold each of 0 to 2 once"),
        ({"num_labels": 3, "label_ranks": [0, 1]}, "found 2 numbers from 0 to 1"),
        ({"max_labels": 0}, "`max_labels` must be at least 1 and"),
        ({"num_labels": 5, "min_labels": 3, "max_labels": 2}, r"`min_labels` \(3\), found 2"),
        ({"num_labels": 3, "min_labels": 4}, "`min_labels` must be at most the 3 labels, found 4"),
        ({"num_labels": 3, "label_parents": [[]]}, "a list for each of the 3 labels, found 1"),
        ({"num_labels": 3, "label_parents": [[1], [0], []]}, "`label_parents` must hold no circle"),
        (
            {"num_labels": 3, "label_parents": [[], [], [0, 1]], "label_exclusions": [[0, 1]]},
            r"`label_exclusions\[0\]` forbids label 2",
        ),
        ({"num_labels": 3, "label_exclusions": [[0, 3]]}, "must hold label ids from 0 to 2, found 3"),
        ({"backbone_chunk_overlap": 2}, "give `backbone_chunk_length`, found 2 alone"),
        ({"text_config": {"model_type": "nonsense"}}, "unknown model_type 'nonsense'"),
        ({"vision_config": {"model_type": "nonsense"}}, "`vision_config` names the unknown model_type 'nonsense'"),
        ({"text_config": {"model_type": "t5"}}, "found the encoder-decoder 't5'"),
        ({"text_config": {"model_type": "resnet"}}, "found 'resnet' without vocab_size"),
        ({"text_config": BertConfig(), "vision_config": {"model_type": "vit"}}, "found text_config, vision_config"),
        ({"encoder": "image", "tfidf_path": True}, "`tfidf_path` is of texts"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_in_words(settings, problem):
    with pytest.raises(StrictDataclassClassValidationError, match=problem):
        SgmConfig(**settings)


def test_the_small_bert_starts_with_the_deviation_that_was_asked_for():
    assert SgmConfig(encoder="transformer", initializer_range=0.05).text_config.initializer_range == 0.05


def test_a_word_that_is_no_choice_is_refused():
    for name in ("encoder", "decoder_cell", "label_attention", "label_order", "sequence_loss", "alignment", "scores"):
        with pytest.raises(Exception, match=name):
            SgmConfig(**{name: "nonsense"})


def test_new_labels_forget_the_order_and_the_rules_of_the_old_ones():
    config = SgmConfig(num_labels=3, label_ranks=[2, 1, 0], label_parents=[[], [0], []], label_exclusions=[[1, 2]])
    config.num_labels = 4
    assert (config.label_ranks, config.label_parents, config.label_exclusions) == (None, None, None)
    config.validate()
