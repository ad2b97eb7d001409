"""A label's planted tokens, read directly: the linear path beside the attentions.

What the statistics know of a label is a list of words with numbers, and attention alone can't use it before the encoder has
learned what those words mean. Here the list is a sparse linear model, its weights planted with the mutual information
and trained from there with everything else ("wide and deep", Cheng et al., 2016; not in the PLANT paper):

    logit_l += 10 * sum_j w_lj x_{t_lj},    x the document's tf-idf vector of length 1, t_lj the j-th token of l's list

The factor lets an optimizer whose steps are alike for all parameters move these logits as far as the others.

Shape legend: B documents, T tokens, L labels, V vocabulary, K tokens of a label's list, S chosen labels.
"""

import torch
from torch import nn
from torch.nn import functional as F

from .label_attention import exporting
from .planted_attention import TokenIndex
from .tfidf_path import tfidf_vectors


SCALE = 10.0


class PlantedReadout(nn.Module):
    """What each label's own tokens add to its logit.

    Parameters:
        weight (`(L, K)`): of each label's tokens; `config.planted_readout` times their mutual information when planted.

    Buffers:
        tokens (`torch.IntTensor` of shape `(L, K)`): each label's tokens, best first; -1 where there are fewer.
        idf (`torch.FloatTensor` of shape `(V,)`): `1 + log((1 + N) / (1 + n_t))`, of N training documents n_t with token t.
    """

    def __init__(self, config):
        super().__init__()
        self.vocab_size = config.vocab_size
        shape_LK = (config.num_labels, config.stored_tokens)
        self.weight = nn.Parameter(torch.empty(shape_LK))
        self.register_buffer("tokens", torch.full(shape_LK, -1, dtype=torch.int32))
        self.register_buffer("idf", torch.ones(config.vocab_size))

    def forward(self, index: TokenIndex, rows: slice | torch.LongTensor = slice(None)) -> torch.FloatTensor:
        """What is added to the logits of the labels in `rows`, `(B, L)`, float32."""
        table_VB = self._features(index).T
        tokens_LK, weight_LK = self._tokens(rows), self.weight[rows].float()
        if exporting():  # ONNX has no weighted bags
            return SCALE * (table_VB[tokens_LK] * weight_LK[..., None]).sum(dim=1).T
        if not len(tokens_LK):
            return table_VB.new_zeros(table_VB.shape[1], 0)
        return SCALE * F.embedding_bag(tokens_LK, table_VB, per_sample_weights=weight_LK, mode="sum").T

    def contributions(
        self, index: TokenIndex, chosen_ids_S: torch.LongTensor, input_ids_BT: torch.Tensor, mask_BT: torch.BoolTensor
    ) -> torch.FloatTensor:
        """What each place of the documents adds to the chosen labels' logits, `(B, S, T)`.

        A token that stands in several places gives each the same share.
        """
        tokens_SK = self._tokens(chosen_ids_S)
        table_SV = self.weight.new_zeros(len(tokens_SK), self.vocab_size + 1).float()
        table_SV = table_SV.scatter_add(1, tokens_SK, self.weight[chosen_ids_S].float())
        ids_BT = torch.where(mask_BT, input_ids_BT, self.vocab_size)
        shares_BT = self._features(index).gather(1, ids_BT) / index.counts.gather(1, ids_BT).clamp(min=1)
        return SCALE * table_SV[:, ids_BT].transpose(0, 1) * shares_BT[:, None]

    def _tokens(self, rows) -> torch.LongTensor:
        tokens_LK = self.tokens[rows]
        return torch.where(tokens_LK < 0, self.vocab_size, tokens_LK).long()

    @torch.no_grad()
    def _features(self, index: TokenIndex) -> torch.FloatTensor:
        """The documents' tf-idf vectors, `(B, V + 1)`, of length 1; the last column, no token, is 0."""
        return tfidf_vectors(index.counts, F.pad(self.idf, (0, 1)))
