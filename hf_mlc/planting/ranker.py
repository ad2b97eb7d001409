"""A score for every pair of a token and a label, from two tables of vectors.

    s(t, l) = u_t . v_l + a_t

(Roy and others, "PLANT", arXiv:2410.23066, where the text plays no part in it either). It knows what the stored statistics
know, in far fewer numbers, and unlike them it can be trained on within the model.

Shape legend: B lists, T tokens of a list, L labels, V tokens of the vocabulary, R factors.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class TokenLabelRanker(nn.Module):
    """Scores of tokens for labels.

    Args:
        vocab_size (`int`): V.
        num_labels (`int`): L.
        rank (`int`, *optional*, defaults to 200): R.

    Attributes: `token_factors` `(V, R)`, `label_factors` `(L, R)`, `token_bias` `(V,)`. A bias a label would not change the
    order of its tokens.
    """

    def __init__(self, vocab_size: int, num_labels: int, rank: int = 200):
        super().__init__()
        self.token_factors = nn.Parameter(torch.empty(vocab_size, rank))
        self.label_factors = nn.Parameter(torch.empty(num_labels, rank))
        self.token_bias = nn.Parameter(torch.zeros(vocab_size))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Small random factors: all scores begin near 0."""
        for factors in (self.token_factors, self.label_factors):
            nn.init.normal_(factors, std=0.1, generator=generator)
        nn.init.zeros_(self.token_bias)

    def score(self, token_ids: torch.LongTensor, label_ids: torch.LongTensor) -> torch.FloatTensor:
        """Scores of pairs; the two shapes are broadcast to each other."""
        products = (self.token_factors[token_ids] * self.label_factors[label_ids]).sum(dim=-1)
        return products + self.token_bias[token_ids]

    def score_lists(self, token_ids_BT: torch.LongTensor, label_ids_B: torch.LongTensor) -> torch.FloatTensor:
        """Scores of lists of one label each, `(B, T)`; as `score`, in less memory."""
        # the gradient of an embedding is several times as fast as that of indexing
        token_BTR = functional.embedding(token_ids_BT, self.token_factors)
        products_BT1 = token_BTR @ self.label_factors[label_ids_B].unsqueeze(-1)
        return products_BT1.squeeze(-1) + self.token_bias[token_ids_BT]
