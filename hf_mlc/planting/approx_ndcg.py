"""ApproxNDCG: nDCG with places that are smooth in the scores.

Shape legend: B lists, T entries of the longest list.
"""

from __future__ import annotations

import torch

from hf_mlc.planting.ndcg import ideal_dcg


def approx_ndcg_loss(
    scores_BT: torch.Tensor, gains_BT: torch.Tensor, mask_BT: torch.Tensor, *, alpha: float = 10.0
) -> torch.Tensor:
    """1 minus the mean over lists of an nDCG in which entry i stands at the place

        1 + sum over j != i of sigmoid(alpha (s_j - s_i))

    (Qin, Liu & Li, "A general approximation framework for direct optimization of information retrieval measures", 2010).
    Each list is compared with itself alone, padding stands nowhere, and lists with nothing to gain are left out.

    Args:
        scores_BT (`torch.Tensor` of shape `(B, T)`): one score an entry; computed with in float32.
        gains_BT (`torch.Tensor` of shape `(B, T)`): gains, 0 or more; the grades themselves in the PLANT authors' code.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`): `False` for padding.
        alpha (`float`, *optional*, defaults to 10): the larger, the nearer to nDCG and the flatter the gradient.

    Returns:
        `torch.Tensor`: a scalar from 0 to 1; 0, with a gradient of 0, where no list has anything to gain.
    """
    scores_BT, gains_BT = scores_BT.float().masked_fill(~mask_BT, 0.0), gains_BT.float()
    above_BTT = torch.sigmoid(alpha * (scores_BT[:, None, :] - scores_BT[:, :, None]))  # j above i
    # the sum over all j holds i itself, as 1/2
    places_BT = 0.5 + (above_BTT * mask_BT[:, None, :]).sum(dim=-1)
    found_B = (gains_BT.masked_fill(~mask_BT, 0.0) / torch.log2(1.0 + places_BT)).sum(dim=1)
    ideal_B = ideal_dcg(gains_BT, mask_BT)
    has_gain_B = ideal_B > 0
    ratio_B = torch.where(has_gain_B, found_B / ideal_B.clamp_min(torch.finfo(torch.float32).tiny), 0.0)
    number = has_gain_B.sum()
    return torch.where(number > 0, 1.0 - ratio_B.sum() / number.clamp_min(1), ratio_B.sum())
