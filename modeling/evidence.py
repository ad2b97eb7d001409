"""Which words a label was read from: weights of tokens become weights of words, with their places in the text.

Shape legend: B documents, T tokens, K labels of a document.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import torch


# Han, kana: written without spaces, so that each character is a word of its own
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def evidence_spans(
    text: str, offsets: Sequence[tuple[int, int]], weights: Sequence[float], *, top_k: int | None = 5
) -> list[dict[str, int | str | float]]:
    """The words that weigh most, best first.

    Tokens that touch inside a word (letters, digits, underscores and their marks) are pieces of it: their weights are
    summed and the whole stands for them. Tokens that are no text, such as `[CLS]` and padding, have empty offsets and
    are left out, as are tokens of white space alone. A word that occurs twice is two words.

    Args:
        text (`str`): what was tokenised.
        offsets (sequence of `(start, end)`): each token's characters in `text`, in the order of the text.
        weights (sequence of `float`): one a token.
        top_k (`int`, *optional*, defaults to 5): at most so many words; `None` gives all of them.

    Returns:
        `list[dict]`: `start` and `end` (characters, `text[start:end]` is `text`), `text`, and `weight`; of words that
        tie, the earlier one first.

    Raises:
        `ValueError`: where there isn't one weight a token.
    """
    if len(offsets) != len(weights):
        raise ValueError(f"{len(weights)} weights for {len(offsets)} tokens")
    words: list[list] = []  # start, end, weight
    for (start, end), weight in zip(offsets, weights, strict=True):
        start, end = _characters(text, int(start), int(end))
        if start >= end:
            continue
        if words and _same_word(text, words[-1][1], start):
            words[-1][1] = max(words[-1][1], end)
            words[-1][2] += float(weight)
        else:
            words.append([start, end, float(weight)])
    words.sort(key=lambda word: -word[2])  # stable
    return [
        {"start": start, "end": end, "text": text[start:end], "weight": weight} for start, end, weight in words[:top_k]
    ]


def weights_of_labels(model, batch: dict[str, torch.Tensor], ids_BK: torch.Tensor) -> torch.Tensor:
    """How much each token weighs for each document's own labels.

    Args:
        model (`MultiLabelPreTrainedModel`): one that has `token_weights`.
        batch (`dict[str, torch.Tensor]`): what its `forward` takes.
        ids_BK (`torch.LongTensor` of shape `(B, K)`): the labels of each document; what is given for negative ids,
            which are padding, means nothing.

    Returns:
        `torch.FloatTensor` of shape `(B, K, T)`.
    """
    rows = [
        model.token_weights(ids_K.clamp(min=0), **{name: values[row : row + 1] for name, values in batch.items()})
        for row, ids_K in enumerate(ids_BK)
    ]
    return torch.cat(rows)


def _characters(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's characters: less the white space at either end, which byte-level tokenizers count in, and with the
    accents that follow as characters of their own, which normalised offsets leave out."""
    piece = text[start:end]
    start, end = start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
    while start < end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return start, end


def _same_word(text: str, end: int, start: int) -> bool:
    """Whether a token that starts at `start` goes on with the word that has come to `end`."""
    if start < end:  # several tokens for the bytes of one character
        return True
    return start == end and _joins(text[end - 1]) and _joins(text[start])


def _joins(character: str) -> bool:
    inside_a_word = character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
    return inside_a_word and not _UNSPACED.match(character)


__all__ = ["evidence_spans", "weights_of_labels"]
