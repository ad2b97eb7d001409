"""PLANT's attention in the arithmetic of its authors' code (`compat="xcube"`): for comparing with it, not for use.

Written from what github.com/debjyotiSRoy/xcube does, plainly and densely: B x L x T and L x V numbers are held. With the
attentions of plant_decoder.py it has the parameters in common and little else:

    inattention(s; k)    s where s >= its (k + 1)-th largest value, 0 elsewhere; its gradient is that of the identity
    learned              softmax_t(e_l . h_t)
    mutual information   inattention_t(J(x_t, l); k), divided by nothing
    ranked               softmax_t(inattention_t(u_{x_t} . v_l + a_{x_t} + c_l; k))
    state                sigmoid(inattention_l(logits; k)): a half for every label that is not among the best

So k + 1 values are kept, and those that tie with the last; a score set to 0 before a softmax keeps the weight exp(0), more than
a kept negative one; and padding, whose vectors and scores are 0, takes part in both softmaxes before it is masked: a
document's logits depend on the longest one of its batch. Alone in a batch, a document has no padding here.

Shape legend: B documents, T tokens, n tokens of the longest document, L labels, S chosen labels, V vocabulary, D width.
"""

import torch
from torch import nn

from .configuration_plant import PlantConfig
from .encoder_parts import take_tokens, tokens_first
from .plant_decoder import PlantLabelDecoder


def inattention(values: torch.Tensor, k: int) -> torch.Tensor:
    """Keeps what reaches the (k + 1)-th largest value along the last dimension and sets the rest to 0."""
    with torch.no_grad():
        border = values.topk(min(k + 1, values.shape[-1]), dim=-1).values[..., -1:]
        change = torch.where(values >= border, 0.0, -values)
    return values + change


class XcubeLabelDecoder(PlantLabelDecoder):
    """`PlantLabelDecoder` with the attentions and the state of the authors' code.

    Parameters: beside those of `PlantLabelDecoder`, `label_bias` `(L,)`, the ranker's bias of a label. Where all scores are
    kept it changes nothing; beside scores that were set to 0 it does.
    """

    def __init__(self, config: PlantConfig):
        super().__init__(config)
        self.label_bias = nn.Parameter(torch.empty(config.num_labels)) if self.ranked is not None else None

    def forward(self, hidden_BTD, mask_BT, rows=slice(None), input_ids_BT=None, ranked_ids_BT=None) -> torch.Tensor:
        """As `PlantLabelDecoder.forward`."""
        weights_BLT = self.attention_weights(hidden_BTD, mask_BT, rows, input_ids_BT, ranked_ids_BT)
        contexts_BLD = weights_BLT.to(hidden_BTD.dtype) @ hidden_BTD
        return (contexts_BLD * self.weight[rows]).sum(dim=-1) + self.bias[rows]

    def attention_weights(self, hidden_BTD, mask_BT, chosen_ids_S, input_ids_BT=None, ranked_ids_BT=None):
        """The three attentions together, `(B, S, T)`; 0 at padding."""
        if getattr(torch.compiler, "is_exporting", bool)():
            raise ValueError("the arithmetic of `compat='xcube'` is for comparisons and can't be exported")
        order_BT, _ = tokens_first(mask_BT)
        places_Bn = order_BT[:, : max(1, int(mask_BT.sum(dim=1).max()))]
        mask_Bn = mask_BT.gather(1, places_Bn)
        weights = []
        if self.query is not None:
            hidden_BnD = take_tokens(hidden_BTD, places_Bn).float() * mask_Bn[..., None]
            weights.append((self.query[chosen_ids_S].float() @ hidden_BnD.transpose(1, 2)).softmax(dim=2))
        if self.mutual_information is not None:
            values_BSn = self._values(chosen_ids_S, input_ids_BT.gather(1, places_Bn)) * mask_Bn[:, None]
            weights.append(inattention(values_BSn, self.mutual_information.top_k))
        if self.ranked is not None:
            ids_BT = input_ids_BT if ranked_ids_BT is None else ranked_ids_BT
            scores_BSn = self._scores(chosen_ids_S, ids_BT.gather(1, places_Bn)) * mask_Bn[:, None]
            weights.append(inattention(scores_BSn, self.ranked.top_k).softmax(dim=2))
        if self.mix is not None:
            weights = [weight * source for weight, source in zip(self.mix, weights, strict=True)]
        weights_BSn = sum(weights) * mask_Bn[:, None]
        places_BSn = places_Bn[:, None].expand_as(weights_BSn)
        return weights_BSn.new_zeros(*weights_BSn.shape[:2], mask_BT.shape[1]).scatter(2, places_BSn, weights_BSn)

    def state_after(self, logits_BL: torch.Tensor, top_k: int) -> torch.Tensor:
        """As `PlantLabelDecoder.state_after`; labels that are not among the best get a half."""
        return inattention(logits_BL, top_k).sigmoid()

    @torch.no_grad()
    def _values(self, chosen_ids_S, ids_Bn: torch.LongTensor) -> torch.FloatTensor:
        """The mutual information of each token with each label, `(B, S, n)`; 0 for what is not in the label's list."""
        tokens_SK = self.mutual_information.tokens[chosen_ids_S].long()
        values_SK = self.mutual_information.values[chosen_ids_S].float()
        table_SV = values_SK.new_zeros(len(tokens_SK), self.vocab_size + 1)
        table_SV.scatter_(1, torch.where(tokens_SK < 0, self.vocab_size, tokens_SK), values_SK)
        return table_SV[:, ids_Bn].transpose(0, 1)

    def _scores(self, chosen_ids_S, ids_Bn: torch.LongTensor) -> torch.FloatTensor:
        """The ranker's score of each token for each label, `(B, S, n)`."""
        factors_BnR, factors_SR = (
            self.ranked.token_factors[ids_Bn].float(),
            self.ranked.label_factors[chosen_ids_S].float(),
        )
        bias_BSn = self.ranked.token_bias[ids_Bn].float()[:, None] + self.label_bias[chosen_ids_S].float()[:, None]
        return factors_SR @ factors_BnR.transpose(1, 2) + bias_BSn
