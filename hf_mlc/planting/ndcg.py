"""Normalised discounted cumulative gain of lists with padding.

Shape legend: B lists, T entries of the longest list.
"""

from __future__ import annotations

import torch


def discounts(number: int, *, device: torch.device | None = None) -> torch.Tensor:
    """`1 / log2(1 + place)` of the places 1 ... `number`, `(number,)`."""
    return 1.0 / torch.log2(torch.arange(2, number + 2, device=device, dtype=torch.float32))


def ideal_dcg(gains_BT: torch.Tensor, mask_BT: torch.Tensor, k: int | None = None) -> torch.Tensor:
    """The most that each list can gain in its first k places, `(B,)`."""
    gains_BT = gains_BT.masked_fill(~mask_BT, 0.0)
    best_BK = gains_BT.topk(min(k or gains_BT.shape[1], gains_BT.shape[1]), dim=1).values
    return best_BK @ discounts(best_BK.shape[1], device=best_BK.device)


def ndcg(
    scores_BT: torch.Tensor, gains_BT: torch.Tensor, mask_BT: torch.Tensor, k: int | None = None
) -> torch.FloatTensor:
    """nDCG@k of each list, `(B,)`; NaN for a list that has nothing to gain.

    Args:
        scores_BT (`torch.Tensor` of shape `(B, T)`): what lists are sorted by; ties stay in the given order.
        gains_BT (`torch.Tensor` of shape `(B, T)`): gains, 0 or more.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`): `False` for padding, which stands in no place.
        k (`int`, *optional*): only the first k places count; all of them if not given.
    """
    scores_BT, gains_BT = scores_BT.float().masked_fill(~mask_BT, float("-inf")), gains_BT.float()
    order_BT = scores_BT.sort(dim=1, descending=True, stable=True).indices
    sorted_BT = gains_BT.masked_fill(~mask_BT, 0.0).gather(1, order_BT)[:, :k]
    ideal_B = ideal_dcg(gains_BT, mask_BT, k)
    found_B = sorted_BT @ discounts(sorted_BT.shape[1], device=sorted_BT.device)
    return torch.where(ideal_B > 0, found_B / ideal_B, torch.nan)
