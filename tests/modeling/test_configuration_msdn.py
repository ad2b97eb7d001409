"""The configuration of MSDN: what it derives, what it refuses, how it is saved."""

from __future__ import annotations

import dataclasses
import re

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.label_sequences import random_orders


def test_every_field_is_described():
    own = {field.name for field in dataclasses.fields(MsdnConfig)}
    own -= {field.name for field in dataclasses.fields(MultiLabelConfig)}
    named = set(re.findall(r"^        ([a-z_]+) \(`", MsdnConfig.__doc__, re.MULTILINE))
    assert own == named


def test_it_reads_tables_unless_another_encoder_is_named():
    assert MsdnConfig().input_kind == "table"
    assert MsdnConfig(encoder="gru").input_kind == "text"
    config = MsdnConfig(
        text_config={"model_type": "bert", "vocab_size": 60, "hidden_size": 32, "num_attention_heads": 2}
    )
    assert (config.input_kind, config.encoder, config.vocab_size, config.hidden_size) == (
        "text",
        "transformer",
        60,
        32,
    )


@pytest.mark.parametrize(
    ("variant", "num_labels", "expected"),
    [
        ("causal", 20, [2, 4, 8]),
        ("causal", 5, [2, 4, 5]),
        ("causal", 1, [1, 1, 1]),
        ("parallel", 20, [3, 5, 9]),
        ("parallel", 6, [3, 5, 9]),
        ("parallel", 4, [3, 5, 7]),
        ("parallel", 2, [3, 3, 3]),
        ("parallel", 1, [1, 1, 1]),
    ],
)
def test_kernels_fit_the_labels_and_are_odd_where_both_sides_are_seen(variant, num_labels, expected):
    config = MsdnConfig(variant=variant, num_labels=num_labels)
    assert config.effective_kernel_sizes == expected
    assert config.kernel_sizes == [2, 4, 8]  # what was asked for, for another number of labels


def test_decoding_is_exact_for_a_chain_of_short_reach_only():
    assert MsdnConfig(num_labels=30, kernel_sizes=[10]).is_exact
    assert not MsdnConfig(num_labels=30, kernel_sizes=[2, 11]).is_exact
    assert MsdnConfig(num_labels=9, kernel_sizes=[2, 11]).is_exact  # all labels
    assert not MsdnConfig(num_labels=30, dilations=[2]).is_exact
    assert not MsdnConfig(num_labels=30, variant="parallel").is_exact


def test_orders_come_from_the_ranks_else_from_the_labels_and_the_seed():
    assert MsdnConfig(num_labels=3).label_orders == [[0, 1, 2]]
    assert MsdnConfig(num_labels=3, label_ranks=[2, 0, 1]).label_orders == [[1, 2, 0]]
    two = MsdnConfig(num_labels=3, num_orders=2, label_ranks=[[2, 0, 1], [0, 1, 2]])
    assert two.label_orders == [[1, 2, 0], [0, 1, 2]]
    drawn = random_orders(6, 3, seed=4)
    assert MsdnConfig(num_labels=6, num_orders=3, label_order_seed=4).label_orders == [[0, 1, 2, 3, 4, 5], *drawn[1:]]
    assert MsdnConfig(num_labels=6, num_orders=3, label_order_seed=4, label_order="random").label_orders == drawn
    assert random_orders(6, 2, seed=4) == drawn[:2]


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_sizes": [3], "dilations": [2, 4], "hidden_dropout": 0},
        {"encoder": "transformer", "hidden_size": 32, "num_attention_heads": 2},
        {"num_labels": 3, "num_orders": 2, "label_ranks": [[2, 0, 1], [0, 1, 2]], "known_sets": "favour"},
        {"variant": "parallel", "kernel_sizes": [4], "label_mask_rate": 1},
        {"input_size": 8, "numeric_size": 3, "numeric_embedding": "periodic"},
    ],
    ids=["chain", "transformer", "orders", "parallel", "table"],
)
def test_it_comes_back_from_its_file_as_it_was(settings, tmp_path):
    config = MsdnConfig(**settings)
    config.save_pretrained(tmp_path)
    loaded = MsdnConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    for name, value in settings.items():
        assert getattr(loaded, name) == value


def test_another_number_of_labels_forgets_what_was_of_the_old_ones():
    config = MsdnConfig(num_labels=3, label_ranks=[2, 0, 1], num_known_sets=7)
    config.num_labels = 4
    assert config.label_ranks is None
    assert config.num_known_sets == 0
    config.validate()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_sizes": []}, "`kernel_sizes` must hold one width or more"),
        ({"kernel_sizes": [2, 0]}, "`kernel_sizes` must be 1 or more each, found 0"),
        ({"dilations": [0]}, "`dilations` must be 1 or more each, found 0"),
        ({"channels": 0}, "`channels` must be 1 or more, found 0"),
        ({"num_orders": 0}, "`num_orders` must be 1 or more"),
        ({"label_mask_rate": 1.5}, r"`label_mask_rate` must be in \[0, 1\], found 1.5"),
        ({"false_history_rate": -1}, r"`false_history_rate` must be in \[0, 1\], found -1"),
        ({"relation_dropout": 1.0}, r"`relation_dropout` must be in \[0, 1\), found 1.0"),
        ({"known_set_weight": -1}, "`known_set_weight` must not be negative"),
        (
            {"variant": "parallel", "dilations": [2]},
            r"`dilations` is of the causal variant, found \[2\] with 'parallel'",
        ),
        ({"variant": "parallel", "known_sets": "restrict"}, "`known_sets` is of the causal variant"),
        ({"num_labels": 3, "label_ranks": [0, 1, 1]}, "each of 0 to 2 once, found 3 numbers from 0 to 1"),
        ({"num_labels": 3, "label_ranks": []}, "each of 0 to 2 once, found 0 numbers"),
        (
            {"num_labels": 3, "num_orders": 2, "label_ranks": [0, 1, 2]},
            r"must hold 2 orders \(`num_orders`\), found 1",
        ),
        ({"numeric_size": 5, "input_size": 4}, "`numeric_size` must be from 0 to `input_size`, found 5 and 4"),
        ({"encoder": "gru", "input_size": 4}, "`input_size` is of tables"),
        ({"encoder": "gru", "column_dropout": 0.5}, "`column_dropout` is of tables, .* found 0.5 with 'gru'"),
        ({"encoder": "gru", "hidden_size": 5}, "`hidden_size` must be even"),
        ({"encoder": "convolution", "conv_kernel_size": 4}, "`conv_kernel_size` must be odd"),
        ({"encoder": "transformer", "hidden_size": 30}, "must be a multiple of `num_attention_heads`, found 30 and 4"),
        ({"encoder": "transformer", "backbone_chunk_overlap": 3}, "give `backbone_chunk_length`, found 3 alone"),
        ({"variant": "parallel", "decoding": "sample"}, "`decoding` is of the causal variant, found 'sample'"),
        ({"variant": "parallel", "scores": "decoded", "label_mask_rate": 1}, "needs a `label_mask_rate` below 1"),
        ({"refinement_steps": 3}, "`refinement_steps` is of the parallel variant, found 3 with 'causal'"),
        ({"unmasking_rounds": 3}, "`unmasking_rounds` is of the parallel variant"),
        ({"label_mask_rate": 1.0}, "`label_mask_rate` is of the parallel variant, found 1.0 with 'causal'"),
        (
            {"numeric_embedding_size": 4},
            "`numeric_embedding_size` is of `numeric_embedding`, which is 'none', found 4",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        MsdnConfig(**settings)
