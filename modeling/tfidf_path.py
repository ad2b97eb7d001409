"""The tf-idf vector of a document, computed from its token ids, and a narrow path that leads it into a decoder.

A linear model of tf-idf weights knows rare, telling words at once, where a recurrent encoder needs thousands of documents to
learn them. The path hands a few numbers of that vector to the decoder: its projection on the directions in which the training
documents differ most (latent semantic analysis, Deerwester and others, 1990), filled in by training (`hf_mlc.word_vectors.lsa`).
As wide as the vocabulary and learned freely such a path over-fits: it is of low rank, drops words, and learns slowly.

Idf and projection are stored with the weights, so a model needs nothing but its token ids.

Shape legend: B documents, T tokens, V vocabulary, F width of the path.
"""

import torch
from torch import nn
from torch.nn import functional as F


def tfidf_vectors(counts_BV: torch.Tensor, idf_V: torch.Tensor) -> torch.FloatTensor:
    """`(1 + log count) x idf` of each token, 0 for tokens that aren't there, scaled to length 1; float32, `(B, V)`.

    Args:
        counts_BV (`torch.Tensor` of shape `(B, V)`): how often each token stands in each document.
        idf_V (`torch.Tensor` of shape `(V,)`): what a token weighs.
    """
    counts_BV = counts_BV.float()
    weights_BV = torch.where(counts_BV > 0, 1 + counts_BV.clamp(min=1).log(), 0) * idf_V.float()
    return weights_BV / weights_BV.norm(dim=1, keepdim=True).clamp(min=1e-12)


def token_counts(input_ids_BT: torch.LongTensor, mask_BT: torch.BoolTensor, vocab_size: int) -> torch.FloatTensor:
    """How often each token stands where `mask_BT` is true, `(B, V)`."""
    counts_BV = torch.zeros(len(input_ids_BT), vocab_size, device=input_ids_BT.device)
    return counts_BV.scatter_add(1, input_ids_BT, mask_BT.float())


class TfidfPath(nn.Module):
    """Token ids to F numbers, whose mean square over the training documents is about 1.

    Parameters:
        projection (`(V, F)`): of the tf-idf vector; random until it is filled in.

    Buffers:
        idf (`torch.FloatTensor` of shape `(V,)`): `1 + log((1 + N) / (1 + n_t))`, of N training documents n_t with token t; 1
            until it is filled in.
    """

    def __init__(self, config):
        super().__init__()
        self.vocab_size, self.word_dropout = config.vocab_size, config.tfidf_dropout
        self.projection = nn.Parameter(torch.empty(config.vocab_size, config.tfidf_size))
        self.register_buffer("idf", torch.ones(config.vocab_size))
        self.dropout = nn.Dropout(config.tfidf_dropout)

    def forward(self, input_ids_BT: torch.LongTensor, mask_BT: torch.BoolTensor) -> torch.Tensor:
        """The path's numbers `(B, F)`; of a document without a token 0.

        In training whole words are left out, in all their places, and some of the numbers.
        """
        with torch.no_grad():
            counts_BV = token_counts(input_ids_BT, mask_BT, self.vocab_size)
            features_BV = tfidf_vectors(counts_BV, self.idf)
            if self.training and self.word_dropout:
                features_BV = F.dropout(features_BV, self.word_dropout)
            # each place of a token has an equal share of its weight: only rows of tokens that are there are looked up
            shares_BT = (features_BV / counts_BV.clamp(min=1)).gather(1, input_ids_BT) * mask_BT
        rows_BTF = F.embedding(input_ids_BT, self.projection)
        return self.dropout((shares_BT.to(rows_BTF.dtype)[:, None] @ rows_BTF).squeeze(1))


__all__ = ["TfidfPath", "tfidf_vectors", "token_counts"]
