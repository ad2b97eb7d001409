"""A small corpus in which every label has words of its own."""

from __future__ import annotations

from types import SimpleNamespace

import datasets
import numpy as np
import pytest

from hf_mlc.data import train_tokenizer
from hf_mlc.labels import LabelSpace
from hf_mlc.planting import count_labels, count_tokens, token_label_store


NUM_LABELS, VOCAB = 6, 50


def tokenised(texts: list[str], labels: list[list[str]]):
    """A tokenizer of the texts, tokenised training rows and their label space."""
    tokenizer, space = train_tokenizer(texts, min_frequency=1), LabelSpace.from_label_lists(labels)
    content = {"input_ids": tokenizer(texts)["input_ids"], "label_ids": [space.encode(row).tolist() for row in labels]}
    return tokenizer, datasets.Dataset.from_dict(content, split="train"), space


@pytest.fixture(scope="package")
def corpus():
    """80 documents; the words 10 + 3 l ... 12 + 3 l stand in documents of label l, the words 30 ... 49 anywhere.

    Word 5 stands in no document, word 1 in every one; label 5 has no document.
    """
    rng = np.random.default_rng(0)
    input_ids, label_ids = [], []
    for _ in range(80):
        labels = np.flatnonzero(rng.random(NUM_LABELS - 1) < 0.3)
        own = [10 + 3 * label + place for label in labels for place in range(3) if rng.random() < 0.8]
        words = np.concatenate([own, rng.integers(30, VOCAB, 12), [1]]).astype(int)
        input_ids.append(rng.permutation(words).tolist())
        label_ids.append(labels.tolist())
    presence, labels = count_tokens(input_ids, VOCAB), count_labels(label_ids, NUM_LABELS)
    store = token_label_store(presence, labels, num_tokens=3, progress=False)
    return SimpleNamespace(input_ids=input_ids, label_ids=label_ids, presence=presence, labels=labels, store=store)
