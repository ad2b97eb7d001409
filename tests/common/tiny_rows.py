"""Texts and their labels as a trainer reads them: tokenised, with ids for labels."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
from transformers import PreTrainedTokenizerBase

from hf_mlc.data import train_tokenizer
from hf_mlc.labels import LabelSpace


def tokenised(
    texts: Sequence[str], label_lists: Sequence[list[str]]
) -> tuple[LabelSpace, PreTrainedTokenizerBase, datasets.Dataset]:
    """Their label space, a tokenizer of all their words, and the rows."""
    space, tokenizer = LabelSpace.from_label_lists(label_lists), train_tokenizer(texts, min_frequency=1)
    rows = {
        "input_ids": tokenizer(list(texts))["input_ids"],
        "label_ids": [space.encode(labels).tolist() for labels in label_lists],
        "length": [len(text.split()) for text in texts],
    }
    return space, tokenizer, datasets.Dataset.from_dict(rows)
