"""Whether a model's score really hangs on the words that an explanation names: deletion metrics.

With m the label's probability, x a text and r the heaviest fraction of its words (DeYoung et al., "ERASER", 2020, 4.2):

    comprehensiveness = m(x) - m(x without r)     high: without these words the label is gone
    sufficiency       = m(x) - m(r alone)         low: these words alone give the label

each at several fractions, and their mean over the fractions (AOPC, area over the perturbation curve, Samek et al., 2017;
as the mean that ERASER's code takes). A comparison with words taken at random says what the numbers mean.

A word is deleted with all its tokens: they become padding, which no encoder of this package reads, so that what stood
around the word closes up as if it had never been written. Special tokens stay.

Shape legend: T tokens, W words, F fractions, B masked copies of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from hf_mlc.explaining.explanation import Explanation
from hf_mlc.explaining.methods import encode
from hf_mlc.inference import LoadedModel


FRACTIONS = (0.01, 0.05, 0.10, 0.20, 0.50)  # ERASER's


class DeletionScores(NamedTuple):
    """`comprehensiveness_F` and `sufficiency_F`, one number a fraction, in units of probability."""

    comprehensiveness_F: np.ndarray
    sufficiency_F: np.ndarray


@torch.no_grad()
def deletion_scores(
    loaded: LoadedModel,
    explanation: Explanation,
    *,
    weights_W: Sequence[float] | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> DeletionScores:
    """Comprehensiveness and sufficiency of one explanation.

    Args:
        loaded (`LoadedModel`): the model that was explained.
        explanation ([`Explanation`]): of a text with at least one word.
        weights_W (`Sequence[float]`, *optional*): other weights for its words, in the order of the text, such as
            random ones; of words that tie, the earlier is the heavier.
        fractions (`Sequence[float]`, *optional*): shares of the text's words, each at least one word.
    """
    words = sorted(explanation.words(), key=lambda word: word["start"])
    if weights_W is None:
        weights_W = [word["weight"] for word in words]
    order_W = np.argsort(-np.asarray(weights_W, dtype=np.float64), kind="stable")
    rank_W = np.empty(len(words), dtype=np.int64)
    rank_W[order_W] = np.arange(len(words))
    encoded = encode(loaded, explanation.text)
    rank_T = torch.tensor(_of_tokens(encoded.offsets, words, rank_W))
    in_no_word_T = rank_T < 0
    masks = [torch.ones_like(in_no_word_T)]
    for fraction in fractions:
        is_heavy_T = ~in_no_word_T & (rank_T < max(1, round(fraction * len(words))))
        masks += [~is_heavy_T, is_heavy_T | in_no_word_T]
    mask_BT = torch.stack(masks).to(loaded.model.device) & encoded.inputs["attention_mask"].bool()
    # some backbones count positions by the padding token, not by the mask
    input_ids_BT = encoded.inputs["input_ids"].where(mask_BT, loaded.tokenizer.pad_token_id)
    chosen_ids_1 = torch.tensor([explanation.label_id], device=loaded.model.device)
    logits_B = loaded.model.label_logits(chosen_ids_1, input_ids=input_ids_BT, attention_mask=mask_BT.long())[:, 0]
    score_B = logits_B.float().sigmoid().cpu().numpy()
    return DeletionScores(score_B[0] - score_B[1::2], score_B[0] - score_B[2::2])


def deletion_drops(
    loaded: LoadedModel,
    explanation: Explanation,
    rng: np.random.Generator,
    *,
    ks: Sequence[int] = (1, 5),
    random_draws: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """How much of the label's score goes when its k heaviest words are deleted, and when k random ones are.

    Comprehensiveness with whole numbers of words, for attention that is spread over few words of long texts.

    Args:
        loaded (`LoadedModel`): the model that was explained.
        explanation ([`Explanation`]): of a text with at least one word.
        rng (`np.random.Generator`): draws the random words.
        ks (`Sequence[int]`, *optional*, defaults to `(1, 5)`): how many words; all of a text that has fewer.
        random_draws (`int`, *optional*, defaults to 3): how many times random words are drawn; their drops are averaged.

    Returns:
        Two arrays of one number a k, in units of probability: of the heaviest words, of the random ones.
    """
    num_words = len(explanation.words())
    fractions = [min(k, num_words) / num_words for k in ks]
    ours_F = deletion_scores(loaded, explanation, fractions=fractions).comprehensiveness_F
    random_RF = [
        deletion_scores(loaded, explanation, weights_W=rng.random(num_words), fractions=fractions).comprehensiveness_F
        for _ in range(random_draws)
    ]
    return ours_F, np.mean(random_RF, axis=0)


def _of_tokens(offsets: Sequence[tuple[int, int]], words: Sequence[dict], rank_W: np.ndarray) -> list[int]:
    """The rank of the word that each token is part of; -1 for a token in no word."""
    ranks, number = [], 0
    for _, end in offsets:
        while number < len(words) and words[number]["end"] < end:
            number += 1
        # a byte-level token may begin in the white space before its word
        inside = number < len(words) and end > words[number]["start"]
        ranks.append(int(rank_W[number]) if inside else -1)
    return ranks
