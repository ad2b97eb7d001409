"""What an explanation holds, whichever method made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_mlc.modeling.evidence import evidence_spans


@dataclass(frozen=True)
class Explanation:
    """The tokens of one text, weighed for one label.

    Args:
        text (`str`): the text.
        label (`str`): the label's name.
        label_id (`int`): its id.
        description (`str`, *optional*): its description, where the label space has one.
        method (`str`): `"attention"`, `"direct_logit_attribution"` or `"integrated_gradients"`.
        score (`float`): the label's probability.
        threshold (`float`): from which score on it is predicted.
        predicted (`bool`): whether it is, by the model's decision rule.
        tokens (`list[str]`): the tokens that the model read, special ones too.
        offsets (`list[tuple[int, int]]`): each token's characters in `text`; empty for special tokens.
        weights (`list[float]`): one a token. Attention: shares of 1. The other two: parts of the logit, negative where
            a token speaks against the label.
        read_to (`int`): the characters from here on were cut off before the model read the text.
        read_from (`int`, *optional*, defaults to 0): the characters before this one were, by a tokenizer that cuts on the left.
        baseline_token (`str`, *optional*): what integrated gradients compare each token with.
        convergence_delta (`float`, *optional*):
            of integrated gradients: the sum of the weights less the difference of the logits that it must equal.
        document (`str`, *optional*): the text's id, where there are several.
    """

    text: str
    label: str
    label_id: int
    description: str | None
    method: str
    score: float
    threshold: float
    predicted: bool
    tokens: list[str]
    offsets: list[tuple[int, int]]
    weights: list[float]
    read_to: int
    read_from: int = 0
    baseline_token: str | None = None
    convergence_delta: float | None = None
    document: str | None = None

    def words(self, top_k: int | None = None) -> list[dict[str, Any]]:
        """Words with places and weights, `{"start", "end", "text", "weight"}`, those that speak most for the label
        first (`hf_mlc.modeling.evidence.evidence_spans`).

        Args:
            top_k (`int`, *optional*): at most so many words.
        """
        return evidence_spans(self.text, self.offsets, self.weights, top_k=top_k)

    def to_dict(self, *, top_words: int | None = None) -> dict[str, Any]:
        """What is worth writing to a file: label, score, threshold, method and the heaviest words."""
        facts = {
            "label": self.label,
            "score": round(self.score, 6),
            "threshold": round(self.threshold, 6),
            "predicted": self.predicted,
            "method": self.method,
        }
        if self.convergence_delta is not None:
            facts["convergence_delta"] = round(self.convergence_delta, 6)
        words = [{**word, "weight": round(word["weight"], 6)} for word in self.words(top_words)]
        return {**facts, "words": words}
