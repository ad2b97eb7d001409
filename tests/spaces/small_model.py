"""A model whose every score is known by hand: a label is found by one word, and that word is its evidence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from hf_mlc.data.tokenizing import train_tokenizer
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


class Label(NamedTuple):
    """A label: the word that it is found by, its score where the word stands, its own threshold."""

    name: str
    word: str
    score: float
    threshold: float
    about: str | None = None


ABSENT = 0.02  # the score of a label whose word is not in the text
TRICKY = '<img src=x onerror="window.boom=1">'
LABELS = [
    Label("J18.9", "pneumonia", 0.9, 0.5, "Pneumonia, cause not stated"),
    Label("R05", "cough", 0.6, 0.7),  # below its own threshold, above 0.5
    Label("I10", "hypertension", 0.4, 0.3, "High blood pressure"),  # the other way round
    Label(TRICKY, "trick", 0.8, 0.5, "Marks & <i>signs</i>"),
    *(Label(f"Z{number}", f"filler{number}", 0.85, 0.5) for number in range(10, 18)),
]
MAX_TOKENS = 24
NOTE = "Pneumonia with cough.\nKnown hypertension."
LIMITS = "Made by hand for tests; no medical device."
CARD = f"""---
license: apache-2.0
tags: [clinical]
widget:
- text: "Pneumonia with cough.\\nKnown hypertension."
  example_title: Fever
- src: picture.png
- text: A trick of the light
---

# small

## Limits

{LIMITS}

## Use

As you like.
"""


def write_small_model(folder: Path, *, card: str | None = CARD) -> Path:
    """Saves the model, its tokenizer and its card into `folder`."""
    words = " ".join(label.word for label in LABELS)
    texts = [f"{words} with known a of the light and <script> {{{{ }}}} $ . , x"] * 2
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(texts, max_length=MAX_TOKENS)
    size = len(tokenizer)
    config = PlantConfig(
        vocab_size=size,
        encoder="bag_of_words",
        hidden_size=size,  # a token's vector says which token it is
        id2label=dict(enumerate(label.name for label in LABELS)),
        label2id={label.name: number for number, label in enumerate(LABELS)},
        thresholds=[label.threshold for label in LABELS],
        label_space={"descriptions": [label.about for label in LABELS]},
    )
    model = PlantForMultiLabelClassification(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.eye(size))
        model.decoder.query.zero_()
        model.decoder.weight.zero_()
        for number, label in enumerate(LABELS):
            token = tokenizer.convert_tokens_to_ids(label.word)
            # the softmax gives the word e^20 : 1 of the attention, so the logit is bias + weight to seven digits
            model.decoder.query[number, token] = 20.0
            model.decoder.weight[number, token] = _logit(label.score) - _logit(ABSENT)
            model.decoder.bias[number] = _logit(ABSENT)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def _logit(score: float) -> float:
    return math.log(score / (1 - score))
