"""Where each step of one document's label sequence looked: what the card's picture shows, as numbers for a file.

Shape legend: T tokens, W words of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hf_mlc.cards.facts import CardFacts
from hf_mlc.explaining.methods import encode
from hf_mlc.inference import LoadedModel
from hf_mlc.modeling.evidence import evidence_spans


MOST_WORDS = 28  # in the picture; a text has hundreds, and its steps look at few of them
MOST_STEPS = 8
SEARCHED = 200  # documents, for one with two labels or more


def attention_steps(
    loaded: LoadedModel,
    texts: Sequence[str],
    labels: Sequence[Sequence[str | int]],
    ids: Sequence[str],
    *,
    max_words: int = MOST_WORDS,
) -> dict[str, Any]:
    """The attention of each step, by word, for the first document to which the model gives two labels or more.

    Right or wrong: which document it is doesn't depend on its true labels. Where none of the first 200 gets two, the first
    with a word is taken.

    Args:
        loaded (`LoadedModel`): a model that writes label sequences.
        texts (`Sequence[str]`): documents, of the validation split.
        labels (sequence of lists): their labels.
        ids (`Sequence[str]`): their names in the data set.
        max_words (`int`, *optional*, defaults to 28): the words that some step looks at most; the others are summed up.

    Returns:
        `dict`: `document`, its name; `words`, the shown ones in the order of the text, and `gaps`, whether words are left
        out before each; `num_words` of the text; `steps`: of each the `label` (`null` where the sequence ends), whether it
        is `true`, the `weights` of the shown words, and `rest`, what the words that aren't shown got. Empty without
        documents that have a word.
    """
    chosen: tuple[int, dict[str, Any]] | None = None
    for place, text in enumerate(texts[:SEARCHED]):
        encoded = encode(loaded, text)
        if not any(start < end for start, end in encoded.offsets):
            continue
        with torch.inference_mode():
            found = loaded.model.sequence_trace(**encoded.inputs)
        (sequence,) = found.label_lists()
        if chosen is None or len(sequence) >= 2:
            true = set(loaded.label_space.encode_known(labels[place])[0].tolist())
            num_steps = min(len(sequence) + 1, found.attention_BTm.shape[1], MOST_STEPS)
            weights = found.attention_BTm[0, :num_steps].cpu().tolist()
            steps = [*sequence, None][:num_steps]
            chosen = place, _by_word(loaded, text, encoded.offsets, weights, steps, true, max_words)
        if len(sequence) >= 2:
            break
    if chosen is None:
        return {}
    return {"document": str(ids[chosen[0]]), **chosen[1]}


def _by_word(
    loaded: LoadedModel,
    text: str,
    offsets: list[tuple[int, int]],
    weights: list[list[float]],
    steps: list[int | None],
    true: set[int],
    max_words: int,
) -> dict[str, Any]:
    spans = [sorted(evidence_spans(text, offsets, row, top_k=None), key=lambda span: span["start"]) for row in weights]
    heaviest_W = [max(row[place]["weight"] for row in spans) for place in range(len(spans[0]))]
    best = sorted(range(len(heaviest_W)), key=lambda place: -heaviest_W[place])[
        :max_words
    ]  # stable: earlier words first
    shown = sorted(best)
    return {
        "words": [spans[0][place]["text"] for place in shown],
        "gaps": [place != before + 1 for before, place in zip([-1, *shown], shown, strict=False)],
        "num_words": len(spans[0]),
        "steps": [
            {
                "label": None if label is None else loaded.label_space.names[label],
                "true": None if label is None else label in true,
                "weights": [round(row[place]["weight"], 4) for place in shown],
                # special tokens, such as [SEP], are no words, and their share is in no one's
                "rest": round(max(0.0, sum(weights_T) - sum(row[place]["weight"] for place in shown)), 4),
            }
            for label, row, weights_T in zip(steps, spans, weights, strict=True)
        ],
    }


def steps_caption(facts: CardFacts) -> str:
    """What the picture shows, and of which document."""
    shown = facts.steps
    text = (
        "Where the decoder looked in each of its steps, for the first validation document that it gives two labels or more: "
        f"shares of the step's attention, as numbers from .05 on. Of the document's {shown['num_words']:,} words "
    )
    if len(shown["words"]) < shown["num_words"]:
        rest = ", ".join(f"{step['rest']:.2f}" for step in shown["steps"])
        text += (
            f"the {len(shown['words'])} are shown that some step looked at most; … stands where others are left out. "
        )
        text += f"What the steps gave to the others, and to what is no word: {rest}."
    else:
        text += "all are shown."
    if facts.config.has_linear_readout:
        text += " What the linear machines read is not in it."
    wrong = sum(step["true"] is False for step in shown["steps"])
    text += " Every label is right." if not wrong else f" Labels marked ✗ are wrong ({wrong})."
    return text
