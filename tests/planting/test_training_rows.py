"""Statistics see training rows and nothing else."""

from __future__ import annotations

import re

import datasets
import numpy as np
import pytest

from hf_mlc.data import train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.planting import (
    check_training_rows,
    count_labels,
    count_tokens,
    planting_fingerprint,
    token_label_store,
)


def rows(read_as=None, marked=None):
    content = {"id": ["a", "b", "c"], "text": ["fever", "cough", "fever cough"]}
    if marked is not None:
        content["split"] = marked
    return datasets.Dataset.from_dict(content, split=datasets.NamedSplit(read_as) if read_as else None)


@pytest.mark.parametrize("split", [None, "train", "train[:50%]", "train+validation"])
def test_training_rows_pass(split):
    check_training_rows(rows(split))
    check_training_rows(rows(split, marked=["train", "train", "Train"]))


@pytest.mark.parametrize("other", ["validation", "test", "dev", ""])
def test_a_row_of_another_split_is_refused(other):
    with pytest.raises(UserError, match="row 2, field 'split'"):
        check_training_rows(rows(marked=["train", other, "train"]))


@pytest.mark.parametrize("split", ["validation", "test", "train+test"])
def test_a_data_set_that_was_read_as_another_split_is_refused(split):
    with pytest.raises(UserError, match=re.escape(f"rows of the split '{split}'")):
        check_training_rows(rows(split))
    with pytest.raises(UserError, match=re.escape(f"rows of the split '{split}'")):
        planting_fingerprint(rows(split), train_tokenizer(["fever"], min_frequency=1))


def test_the_fingerprint_is_of_the_rows_and_the_vocabulary():
    tokenizer = train_tokenizer(["fever cough"], min_frequency=1)
    found = planting_fingerprint(rows(), tokenizer)
    assert found["num_documents"] == 3 and found == planting_fingerprint(rows(), tokenizer)
    fewer = planting_fingerprint(rows().select([0, 1]), tokenizer)
    assert fewer["rows"] != found["rows"] and fewer["vocabulary"] == found["vocabulary"]
    other = planting_fingerprint(rows(), train_tokenizer(["fever chills"], min_frequency=1))
    assert other["rows"] == found["rows"] and other["vocabulary"] != found["vocabulary"]
    with pytest.raises(UserError, match="'id' or 'text'"):
        planting_fingerprint(rows().rename_columns({"id": "x", "text": "y"}), tokenizer)


def test_permuted_evaluation_labels_change_nothing():
    rng = np.random.default_rng(0)
    tokens, labels = [list(rng.integers(5, 30, 12)) for _ in range(40)], [[int(rng.integers(6))] for _ in range(40)]

    def store(labels):
        whole = datasets.Dataset.from_dict(
            {"input_ids": tokens, "label_ids": labels, "id": [str(i) for i in range(40)]}
        )
        splits = datasets.DatasetDict(train=whole.select(range(25)), test=whole.select(range(25, 40)))
        check_training_rows(splits["train"])
        train = splits["train"]
        return token_label_store(
            count_tokens(train["input_ids"], 30), count_labels(train["label_ids"], 6), num_tokens=5, progress=False
        )

    shuffled = labels[:25] + [labels[25:][i] for i in rng.permutation(15)]
    assert shuffled != labels
    one, other = store(labels), store(shuffled)
    assert np.array_equal(one.token_ids, other.token_ids) and np.array_equal(one.values, other.values)
