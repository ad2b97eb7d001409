"""LambdaRank: pairs in the wrong order cost what turning them around would gain.

Shape legend: B lists, T entries of the longest list, H graded entries of the list that has most.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from hf_mlc.planting.grades import exponential_gains
from hf_mlc.planting.ndcg import discounts, ideal_dcg


def lambda_rank_loss(
    scores_BT: torch.Tensor,
    grades_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    *,
    sigma: float = 0.5,
    k: int = 15,
    highest_grade: float = 16.0,
) -> torch.Tensor:
    """The mean over lists of

        sum over pairs with g_i > g_j of w_ij log(1 + exp(-sigma (s_i - s_j)))
        w_ij = |gain_i - gain_j| |1/log2(1 + place_i) - 1/log2(1 + place_j)| / IDCG@k

    with places by the present scores and w held constant, so that its gradient is LambdaRank's (Burges, "From RankNet to
    LambdaRank to LambdaMART: an overview", MSR-TR-2010-82); sigma, the cut of the normaliser alone at k and gains of
    2^grade are those of the PLANT authors' code.

    Args:
        scores_BT (`torch.Tensor` of shape `(B, T)`): one score an entry; computed with in float32.
        grades_BT (`torch.Tensor` of shape `(B, T)`): grades, 0 ... `highest_grade`.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`): `False` for padding.
        sigma (`float`, *optional*, defaults to 0.5): steepness.
        k (`int`, *optional*, defaults to 15): cut of the normaliser.
        highest_grade (`float`, *optional*, defaults to 16): the grade whose gain is 1.

    Returns:
        `torch.Tensor`: a scalar; 0 for lists whose entries all have one grade.
    """
    scores_BT, grades_BT = scores_BT.float(), grades_BT.float().masked_fill(~mask_BT, -1.0)
    with torch.no_grad():
        gains_BT = exponential_gains(grades_BT, highest_grade)
        order_BT = scores_BT.masked_fill(~mask_BT, float("-inf")).sort(dim=1, descending=True, stable=True).indices
        discount_T = discounts(scores_BT.shape[1], device=scores_BT.device)
        discount_BT = torch.empty_like(scores_BT).scatter_(1, order_BT, discount_T.expand_as(scores_BT))
        ideal_B = ideal_dcg(gains_BT, mask_BT, k).clamp_min(torch.finfo(torch.float32).tiny)
        # the better one of a pair is among the entries with a grade: often a third of the list, H of them
        num_graded = int((grades_BT > 0).sum(dim=1).max()) if len(grades_BT) else 0
        graded_BH = grades_BT.topk(num_graded, dim=1).indices
        gain_BH1, discount_BH1 = (values.gather(1, graded_BH).unsqueeze(-1) for values in (gains_BT, discount_BT))
        weight_BHT = (gain_BH1 - gains_BT[:, None, :]).clamp_min_(0.0)  # 0 unless the first has the higher grade
        weight_BHT *= (discount_BH1 - discount_BT[:, None, :]).abs_()
        weight_BHT *= (mask_BT / ideal_B[:, None])[:, None, :]
    margin_BHT = scores_BT.gather(1, graded_BH).unsqueeze(-1) - scores_BT[:, None, :]
    return (weight_BHT * functional.softplus(-sigma * margin_BHT)).sum() / max(1, len(scores_BT))
