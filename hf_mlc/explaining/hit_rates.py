"""How often the heaviest words are those that a person marked as the evidence for a label.

Equal weights are taken in random order, and what is returned is the mean over all such orders: a list of equal weights
gets exactly what words drawn at random would get.

Shape legend: W words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from hf_mlc.metrics.curves import average_precision


METRICS = ("hit@1", "hit@5", "recall@5", "average_precision")


def marked_words(words: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Which words share a character with a marked span, bool `(W,)`.

    Args:
        words (sequence of `(start, end)`): characters of each word.
        spans (sequence of `(start, end)`): characters of the evidence.
    """
    return np.array(
        [
            any(start < end_of_span and start_of_span < end for start_of_span, end_of_span in spans)
            for start, end in words
        ],
        dtype=bool,
    )


def span_hits(weights_W: np.ndarray, is_marked_W: np.ndarray) -> dict[str, float]:
    """What the heaviest words of one text hit, for one label.

    Args:
        weights_W (`np.ndarray` of shape `(W,)`): the words' weights.
        is_marked_W (`np.ndarray` of shape `(W,)`): whether each is evidence; at least one is.

    Returns:
        `dict[str, float]`: `hit@k`: a marked word is among the k heaviest; `recall@5`: the share of the marked words
        that are among the 5 heaviest (their intersection with the truth over the truth); `average_precision`: area
        under the precision-recall curve over all words ("AUPRC" in ERASER; equal weights enter together).
    """
    assert is_marked_W.any() and weights_W.shape == is_marked_W.shape
    return {
        "hit@1": _expected(weights_W, is_marked_W, 1)[0],
        "hit@5": _expected(weights_W, is_marked_W, 5)[0],
        "recall@5": _expected(weights_W, is_marked_W, 5)[1],
        "average_precision": average_precision(weights_W, is_marked_W),
    }


def _expected(weights_W: np.ndarray, is_marked_W: np.ndarray, k: int) -> tuple[float, float]:
    """Chance of a marked word among the k heaviest, and the expected share of the marked words there."""
    k = min(k, len(weights_W))
    edge = np.sort(weights_W)[-k]
    above_W, at_edge_W = weights_W > edge, weights_W == edge
    sure, places = int(is_marked_W[above_W].sum()), k - int(above_W.sum())
    tied, tied_marked = int(at_edge_W.sum()), int(is_marked_W[at_edge_W].sum())
    miss = 0.0 if sure else comb(tied - tied_marked, places) / comb(tied, places)
    return 1.0 - miss, (sure + places * tied_marked / tied) / int(is_marked_W.sum())
