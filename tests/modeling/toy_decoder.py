"""A decoder of label sequences for tests of its losses: logits out of two tables, four labels, four documents' sets."""

from __future__ import annotations

import math

import torch

from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD, label_sets


L = 4
V = L + LABEL_OFFSET
NONE = -100
LABEL_IDS = torch.tensor([[2, 0, 2], [1, NONE, NONE], [NONE, NONE, NONE], [3, 1, 0]])
LABELS = label_sets(LABEL_IDS, L)


def logs(*probabilities: float) -> list[float]:
    return [math.log(p) if p else -math.inf for p in probabilities]


class ToyDecoder:
    """A decoder whose logits hang on the label before and on the place, and that repeats no label."""

    def __init__(self, seed: int = 0, *, num_labels: int = L, scale: float = 1.5, repeats: bool = False):
        generator = torch.Generator().manual_seed(seed)
        size = num_labels + LABEL_OFFSET
        self.by_last = (torch.randn(size, size, generator=generator, dtype=torch.float64) * scale).requires_grad_()
        self.by_place = torch.randn(50, size, generator=generator, dtype=torch.float64) * scale
        self.repeats = repeats

    def state(self, num_documents: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(num_documents, len(self.by_last), dtype=torch.bool), 0

    def step(self, last_B: torch.Tensor, state: tuple[torch.Tensor, int]):
        used_BV, place = state
        if not self.repeats:
            used_BV = used_BV.scatter(1, last_B[:, None], True)
        forbidden_BV = used_BV.clone()
        forbidden_BV[:, [PAD, BOS]], forbidden_BV[:, EOS] = True, False
        logits_BV = self.by_last[last_B] + self.by_place[place]
        return logits_BV.masked_fill(forbidden_BV, -math.inf).log_softmax(1), (used_BV, place + 1)

    def log_probs(self, sequence: list[int]) -> torch.Tensor:
        """(T, V): each step's, given what is written before it."""
        state, last, steps = self.state(1), BOS, []
        for token in sequence:
            log_probs_1V, state = self.step(torch.tensor([last]), state)
            steps.append(log_probs_1V[0])
            last = token
        return torch.stack(steps)
