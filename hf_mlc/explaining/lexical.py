"""Words that stand for a label without any model: what an explanation has to beat.

Shape legend: W words of a text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np


def word_set(text: str) -> set[str]:
    """The text's words, each once, in small letters."""
    return set(re.findall(r"\w+", text.casefold()))


class LexicalBaseline:
    """Weights of words for labels, from the training documents.

    Args:
        texts (`Sequence[str]`): training texts, N of them.
        labels (`Sequence[Sequence[str]]`): their labels.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[Sequence[str]]):
        self.num_texts = len(texts)
        self.of_word: Counter[str] = Counter()
        self.of_label: Counter[str] = Counter()
        self.of_both: dict[str, Counter[str]] = {}
        for text, names in zip(texts, labels, strict=True):
            words = word_set(text)
            self.of_word.update(words)
            for name in set(names):
                self.of_label[name] += 1
                self.of_both.setdefault(name, Counter()).update(words)

    def association(self, words: Sequence[str], label: str) -> np.ndarray:
        """Local mutual information of each word with the label (Evert, "The Statistics of Word Cooccurrences", 2005),
        float `(W,)`: `n_wl / N * ln(N n_wl / (n_w n_l))`, n counting training documents; 0 for what never met.

        Args:
            words (`Sequence[str]`): W words of a text.
            label (`str`): a label's name.
        """
        both = self.of_both.get(label, Counter())
        weights = np.zeros(len(words))
        for place, word in enumerate(words):
            count = both[word.casefold()]
            if count:
                ratio = self.num_texts * count / (self.of_word[word.casefold()] * self.of_label[label])
                weights[place] = count / self.num_texts * math.log(ratio)
        return weights

    def overlap(self, words: Sequence[str], description: str) -> np.ndarray:
        """Which words stand in the label's description, float `(W,)`: their `ln((N + 1) / (n_w + 1))`, so that
        "of" counts for little; 0 for the others.

        Args:
            words (`Sequence[str]`): W words of a text.
            description (`str`): of the label.
        """
        described = word_set(description)
        weights = np.zeros(len(words))
        for place, word in enumerate(words):
            if word.casefold() in described:
                weights[place] = math.log((self.num_texts + 1) / (self.of_word[word.casefold()] + 1))
        return weights
