"""The collator: padding, masks, and label lists of every kind as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.data import MultiLabelCollator, train_tokenizer
from hf_mlc.errors import UserError


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a b c"], min_frequency=1)


def row(ids=(5, 6), **more):
    return {"input_ids": list(ids), **more}


def labels_of(tokenizer, *features, num_labels=3):
    return MultiLabelCollator(tokenizer, num_labels)(features)["labels"].tolist()


def test_tokens_are_padded_to_the_longest_row_and_masked(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3)([row([5, 6, 7]), row([8])])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64


def test_padding_may_be_rounded_up_and_on_the_left(tokenizer, monkeypatch):
    assert MultiLabelCollator(tokenizer, 3, pad_to_multiple_of=8)([row([5] * 9)])["input_ids"].shape == (1, 16)
    assert MultiLabelCollator(tokenizer, 3, pad_to_multiple_of=8)([row([5] * 8)])["input_ids"].shape == (1, 8)
    monkeypatch.setattr(tokenizer, "padding_side", "left")
    batch = MultiLabelCollator(tokenizer, 3)([row([5, 6]), row([7])])
    assert batch["input_ids"].tolist() == [[5, 6], [0, 7]] and batch["attention_mask"].tolist() == [[1, 1], [0, 1]]


def test_a_batch_of_empty_texts_has_one_masked_token(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3)([row([]), row([])])
    assert batch["input_ids"].tolist() == [[0], [0]] and batch["attention_mask"].tolist() == [[0], [0]]


def test_a_given_attention_mask_is_kept(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3)([row([5, 6], attention_mask=[1, 0]), row([7])])
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 0]]


def test_other_numbers_a_token_are_padded_and_arrays_of_one_shape_stacked(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3)(
        [
            row([5, 6], token_type_ids=[0, 1], weights=[0.5, 0.25], table=[1.0, 2.0, 3.0], length=2, id="x", text="t"),
            row([7], token_type_ids=[1], weights=[1.0], table=[4.0, 5.0, 6.0], length=1, id="y", text="u"),
        ]
    )
    assert sorted(batch) == ["attention_mask", "input_ids", "table", "token_type_ids", "weights"]
    assert batch["token_type_ids"].tolist() == [[0, 1], [1, 0]] and batch["token_type_ids"].dtype == torch.int64
    assert batch["weights"].tolist() == [[0.5, 0.25], [1.0, 0.0]] and batch["weights"].dtype == torch.float32
    assert batch["table"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lists_that_fit_no_token_are_an_error(tokenizer):
    with pytest.raises(UserError, match="field 'weights': rows of different lengths"):
        MultiLabelCollator(tokenizer, 3)([row([5, 6], weights=[1.0]), row([7], weights=[1.0, 2.0])])


def test_label_ids_become_multi_hot_float_rows(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3)([row(label_ids=[2, 0]), row(label_ids=[1, 1])])
    assert batch["labels"].tolist() == [[1, 0, 1], [0, 1, 0]] and batch["labels"].dtype == torch.float32
    assert "label_ids" not in batch


def test_empty_label_list_becomes_zero_row(tokenizer):
    assert labels_of(tokenizer, row(label_ids=[]), row(labels=[])) == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        [True, False, True],
        np.array([1, 0, 1], dtype=np.int8),
        np.array([True, False, True]),
        torch.tensor([1.0, 0.0, 1.0]),
        [2, 0],
        np.array([0, 2]),
        torch.tensor([2, 0]),
    ],
)
def test_multi_hot_rows_and_ids_of_any_type_give_the_same(tokenizer, labels):
    assert labels_of(tokenizer, row(labels=labels)) == [[1, 0, 1]]
    ids = MultiLabelCollator(tokenizer, 3, targets="label_ids")([row(labels=labels)])
    assert ids["label_ids"].tolist() == [[0, 2]]


def test_ids_under_label_ids_are_never_read_as_multi_hot(tokenizer):
    assert labels_of(tokenizer, row(label_ids=[0, 1]), num_labels=2) == [[1, 1]]
    assert labels_of(tokenizer, row(labels=[0, 1]), num_labels=2) == [[0, 1]]


def test_a_row_is_read_the_same_whatever_else_is_in_the_batch(tokenizer):
    assert labels_of(tokenizer, row(labels=[0, 1]), row(labels=[0]), num_labels=2) == [[0, 1], [1, 0]]


def test_unknown_entries_of_a_multi_hot_row_are_kept(tokenizer):
    assert labels_of(tokenizer, row(labels=[1, -100, 0])) == [[1, -100, 0]]
    assert labels_of(tokenizer, row(labels=[0.5, 0.0, 1.0])) == [[0.5, 0, 1]]


@pytest.mark.parametrize(("labels", "value"), [([1, -100, 0], "-100"), ([0.5, 0.0, 1.0], "0.5")])
def test_what_ids_cannot_say_is_an_error(tokenizer, labels, value):
    with pytest.raises(UserError, match=f"a multi-hot row with the value {value}"):
        MultiLabelCollator(tokenizer, 3, targets="label_ids")([row(labels=labels)])


def test_label_ids_are_padded_and_never_dense(tokenizer):
    collator = MultiLabelCollator(tokenizer, 10**12, targets="label_ids")  # a dense row would not fit in memory
    batch = collator([row(label_ids=[10**11, 3]), row(label_ids=[]), row(label_ids=np.array([7]))])
    assert batch["label_ids"].tolist() == [[3, 10**11], [-100, -100], [7, -100]]
    assert batch["label_ids"].dtype == torch.int64 and "labels" not in batch


def test_label_ids_of_a_batch_without_labels_are_one_padded_column(tokenizer):
    batch = MultiLabelCollator(tokenizer, 3, targets="label_ids")([row(label_ids=[]), row(label_ids=[-100])])
    assert batch["label_ids"].tolist() == [[-100], [-100]]


@pytest.mark.parametrize("key", ["labels", "label_ids"])
@pytest.mark.parametrize("bad", [3, -1])
def test_an_id_outside_the_label_space_is_an_error(tokenizer, key, bad):
    with pytest.raises(UserError, match=f"field '{key}': label id {bad}; accepted: 0 to 2"):
        MultiLabelCollator(tokenizer, 3)([row(**{key: [0, bad]})])


def test_targets_of_another_kind_are_an_error(tokenizer):
    with pytest.raises(UserError, match="a multi-hot row of 2 values; accepted: 3 values"):
        MultiLabelCollator(tokenizer, 3)([row(labels=[1.0, 0.0])])
    with pytest.raises(UserError, match="label ids of type"):
        MultiLabelCollator(tokenizer, 3)([row(labels=["earn"])])
    with pytest.raises(UserError, match="accepted: 'labels' or 'label_ids'"):
        MultiLabelCollator(tokenizer, 3, targets="both")


def test_without_targets_there_are_only_inputs(tokenizer):
    assert sorted(MultiLabelCollator(tokenizer, 3)([row()])) == ["attention_mask", "input_ids"]


def test_targets_in_some_rows_only_are_an_error(tokenizer):
    with pytest.raises(UserError, match="a row without targets among rows with"):
        MultiLabelCollator(tokenizer, 3)([row(label_ids=[1]), row()])


def test_ids_of_documents_come_out_when_asked_for(tokenizer):
    collator = MultiLabelCollator(tokenizer, 3, return_ids=True)
    assert collator([row(id="x"), row(id="y")])["ids"] == ["x", "y"]
