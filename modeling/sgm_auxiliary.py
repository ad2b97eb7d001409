"""A head that scores each label by itself beside the sequence decoder, with or without an attention of the label's own.

Shape legend: B documents, m tokens or patches, D width of the encoder, E width of the label vectors, L labels.
"""

from __future__ import annotations

import torch
from torch import nn

from .label_attention import label_attention, label_attention_weights
from .label_sequences import LABEL_OFFSET


class PooledHead(nn.Module):
    """One linear layer on the mean and the maximum of a document's states."""

    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.num_labels, 2 * config.hidden_size))
        self.bias = nn.Parameter(torch.empty(config.num_labels))

    def forward(self, hidden_BmD: torch.Tensor, mask_Bm: torch.BoolTensor, vectors_VE: torch.Tensor):
        """Logits `(B, L)`, and no summary."""
        mask_Bm1 = mask_Bm[..., None]
        mean_BD = (hidden_BmD * mask_Bm1).sum(dim=1, dtype=torch.float32) / mask_Bm1.sum(dim=1).clamp(min=1)
        mean_BD = mean_BD.to(hidden_BmD.dtype)
        most_BD = hidden_BmD.masked_fill(~mask_Bm1, torch.finfo(hidden_BmD.dtype).min).amax(dim=1)
        most_BD = most_BD * mask_Bm.any(dim=1, keepdim=True)
        return nn.functional.linear(torch.cat([mean_BD, most_BD], dim=1), self.weight, self.bias), None


class LabelWiseHead(nn.Module):
    """Every label reads the document with a query made of its vector, and is scored by what it read.

    The summary for the decoder is the mean of what the labels read, each weighed by how much it speaks for itself: the
    softmax of the logits.
    """

    def __init__(self, config):
        super().__init__()
        self.query = nn.Linear(config.label_width, config.hidden_size, bias=False)
        self.weight = nn.Parameter(torch.empty(config.num_labels, config.hidden_size))
        self.bias = nn.Parameter(torch.empty(config.num_labels))
        self.implementation = config.attention_implementation

    def forward(self, hidden_BmD: torch.Tensor, mask_Bm: torch.BoolTensor, vectors_VE: torch.Tensor):
        """Logits `(B, L)` and the summary `(B, D)`."""
        query_LD = self.query(vectors_VE[LABEL_OFFSET:])
        read_BLD = label_attention(query_LD, hidden_BmD, hidden_BmD, mask_Bm, implementation=self.implementation)
        logits_BL = (read_BLD * self.weight).sum(dim=2) + self.bias
        weights_BL = logits_BL.float().softmax(dim=1).to(read_BLD.dtype)
        return logits_BL, torch.einsum("bl,bld->bd", weights_BL, read_BLD)

    def attention_weights(self, chosen_ids_S, hidden_BmD, mask_Bm, vectors_VE) -> torch.Tensor:
        """Where some chosen labels read, `(B, S, m)`: shares of 1, 0 on padding."""
        return label_attention_weights(self.query(vectors_VE[LABEL_OFFSET + chosen_ids_S]), hidden_BmD, mask_Bm)


__all__ = ["LabelWiseHead", "PooledHead"]
