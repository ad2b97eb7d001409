"""How often a history's own events held each label, as log-odds that a model's logits start from.

In next-set prediction a user's own frequencies are hard to beat (Hu et al., TIFU-KNN, SIGIR 2020; Li et al., "A Next Basket
Recommendation Reality Check", TOIS 2023), and sums of vectors say little of frequencies in histories longer than those of training.
Ours: no published LANET has it.

Shape legend: B histories, n events of one, M labels of an event at most, L labels, P prefixes, R rows (B or P).
"""

import torch
from torch import nn
from transformers import initialization as init

from .event_time import places_from_last


# before training: what is supposed beside a history counts as one event, and an event as 5 % less than the one after it
DECAY = 0.05


class OwnFrequency(nn.Module):
    """What a history changes in the log-odds of a label:

        gain * (logit q_k - logit p_k),   q_k = (sum_j w_j M[j, k] + a p_k) / (sum_j w_j + a),   w_j = exp(-d * events after j)

    p_k is the label's base rate, the sigmoid of its bias; gain, a and d, both positive, are learned, three numbers in all. Without
    events nothing changes.
    """

    def __init__(self):
        super().__init__()
        self.gain, self.log_prior, self.log_decay = (nn.Parameter(torch.empty(())) for _ in range(3))

    def reset(self) -> None:
        """The numbers before training."""
        init.ones_(self.gain)
        init.zeros_(self.log_prior)
        init.constant_(self.log_decay, torch.tensor(DECAY).log().item())

    def forward(self, ids_BnM: torch.LongTensor, mask_Bn: torch.BoolTensor, bias_L: torch.Tensor) -> torch.FloatTensor:
        """Of whole histories, float32 `(B, L)`.

        Args:
            ids_BnM (`torch.LongTensor` of shape `(B, n, M)`): label ids of the events, each once; negative is padding.
            mask_Bn (`torch.BoolTensor` of shape `(B, n)`): which events there are, in the order of time.
            bias_L (`torch.Tensor` of shape `(L,)`): log-odds of the base rates.
        """
        weights_Bn = self._weights(places_from_last(mask_Bn)) * mask_Bn
        weights_BnM = weights_Bn[..., None].expand_as(ids_BnM)
        columns_BE = torch.where(ids_BnM < 0, len(bias_L), ids_BnM).flatten(1)
        counts_BL = weights_Bn.new_zeros(len(ids_BnM), len(bias_L) + 1)
        counts_BL = counts_BL.scatter_add(1, columns_BE, weights_BnM.flatten(1))[:, :-1]
        return self._change(counts_BL, weights_Bn.sum(dim=1), bias_L)

    def prefixes(
        self,
        ids_BnM: torch.LongTensor,
        mask_Bn: torch.BoolTensor,
        bias_L: torch.Tensor,
        is_prefix_Bn: torch.BoolTensor,
    ) -> torch.FloatTensor:
        """Of what stands up to each of the chosen events, float32 `(P, L)`, row by row.

        Args:
            ids_BnM, mask_Bn, bias_L: as of `forward`; all padding stands behind the events.
            is_prefix_Bn (`torch.BoolTensor` of shape `(B, n)`): the P events at which a prefix ends.
        """
        places_n = torch.arange(mask_Bn.shape[1], device=mask_Bn.device)
        later_nn = places_n[:, None] - places_n  # how many events stand between the end of a prefix (row) and an event
        weights_Bnn = self._weights(later_nn.clamp(min=0)) * (later_nn >= 0) * mask_Bn[:, None]
        columns_BnM = torch.where(ids_BnM < 0, len(bias_L), ids_BnM)
        held_BnL = weights_Bnn.new_zeros(*mask_Bn.shape, len(bias_L) + 1).scatter(2, columns_BnM, 1.0)[..., :-1]
        counts_BnL = weights_Bnn @ held_BnL
        return self._change(counts_BnL[is_prefix_Bn], weights_Bnn.sum(dim=2)[is_prefix_Bn], bias_L)

    def _weights(self, places: torch.LongTensor) -> torch.FloatTensor:
        return torch.exp(-self.log_decay.float().exp() * places)

    def _change(self, counts_RL: torch.Tensor, total_R: torch.Tensor, bias_L: torch.Tensor) -> torch.FloatTensor:
        prior, bias_L = self.log_prior.float().exp(), bias_L.float()
        with_RL = counts_RL + prior * bias_L.sigmoid()
        # a label's count is no more than all events, but for rounding
        without_RL = (total_R[:, None] - counts_RL).clamp(min=0) + prior * (-bias_L).sigmoid()
        return self.gain.float() * (with_RL.log() - without_RL.log() - bias_L)


__all__ = ["OwnFrequency"]
