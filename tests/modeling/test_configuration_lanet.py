"""The configuration of LANET: what it derives and what it refuses."""

from __future__ import annotations

import dataclasses
import re

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig


def test_every_field_is_described():
    own = {field.name for field in dataclasses.fields(LanetConfig)}
    own -= {field.name for field in dataclasses.fields(MultiLabelConfig)}
    named = set(re.findall(r"^        ([a-z_]+) \(`", LanetConfig.__doc__, re.MULTILINE))
    assert own == named


def test_it_reads_events():
    assert LanetConfig().input_kind == "event"


def test_the_token_of_a_label_is_as_wide_as_its_parts():
    assert LanetConfig(embed_dim=8, num_labels=3).token_dim == 16
    assert LanetConfig(embed_dim=8, num_amount_bins=9).token_dim == 24
    assert LanetConfig(embed_dim=8, time_encoding="none", num_amount_bins=9).token_dim == 24  # places
    assert LanetConfig(embed_dim=8, time_encoding="none", look_back=None, num_amount_bins=9).token_dim == 16


def test_places_are_of_a_window():
    assert LanetConfig().has_positions
    assert not LanetConfig(causal=True).has_positions
    assert not LanetConfig(look_back=None).has_positions
    assert not LanetConfig(position_embedding=False).has_positions


def test_what_is_known_beside_the_history_are_tokens_of_their_own_where_labels_attend():
    assert LanetConfig().num_context_tokens == 0
    assert LanetConfig(num_users=3, uses_target_time=True).num_context_tokens == 2
    assert LanetConfig(num_users=3, uses_target_time=True, label_attention=False).num_context_tokens == 0


def test_as_many_popular_tokens_as_labels_are_all_labels():
    assert LanetConfig(num_labels=5, num_popular_tokens=4).has_popular_tokens
    assert not LanetConfig(num_labels=5, num_popular_tokens=5).has_popular_tokens
    assert not LanetConfig(num_labels=5).has_popular_tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dim": 0}, "`embed_dim` must be 1 or more, found 0"),
        ({"look_back": 0}, "`look_back` must be 1 or more, found 0"),
        ({"num_popular_tokens": 0}, "`num_popular_tokens` must be 1 or more, found 0"),
        ({"num_users": -1}, "`num_users` must not be negative, found -1"),
        ({"num_time_buckets": 1}, "`num_time_buckets` must be 2 or more, found 1"),
        ({"embed_dim": 21}, "`num_heads` must divide the width of a token, .* = 42, found 4"),
        ({"embed_dim": 9, "num_heads": 6, "time_encoding": "sinusoid"}, "`embed_dim` must be even .*, found 9"),
        ({"ffn_ratio": 0}, "`ffn_ratio` must be positive, found 0"),
        (
            {"time_encoding": "none", "causal": True},
            "`time_encoding` 'none' without positions and amounts leaves nothing",
        ),
        (
            {"time_reference": "last"},
            "`time_reference` 'last' is of .* 'log_bucket' or 'sinusoid', found 'gap_embedding'",
        ),
        (
            {"time_reference": "last", "time_encoding": "sinusoid", "causal": True},
            "`time_reference` 'last' is of the windowed form",
        ),
        ({"own_frequency": True, "label_bias": False}, "`own_frequency` starts from .*, found `label_bias` False"),
        ({"embed_dim": 9, "num_heads": 3, "folding": "sum_and_share"}, "`embed_dim` must be even .*, found 9"),
        ({"dropout": 1}, r"`dropout` must be in \[0, 1\), found 1"),
        ({"attention_dropout": -0.1}, r"`attention_dropout` must be in \[0, 1\), found -0.1"),
        ({"embedding_std": -1}, "`embedding_std` must not be negative, found -1"),
        ({"label_loss": "softmax", "loss": "focal"}, "are of `label_loss` 'bce', found 'softmax' with 'focal'"),
        ({"label_loss": "softmax", "use_pos_weight": True}, "are of `label_loss` 'bce', found 'softmax'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_makes_no_model_is_refused(settings, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LanetConfig(**settings)


def test_an_unknown_choice_is_refused():
    with pytest.raises(Exception, match="time_encoding"):
        LanetConfig(time_encoding="hours")
