"""Confidence-first unmasking: the labels of a document are settled a few at a time, the surest first.

A model that was trained to guess hidden labels from shown ones (the parallel variant of MSDN) is asked with all of them hidden, then
with those shown of which it was surest, and so on until all are settled. Unlike along a chain, the order is each
document's own.

Shape legend: B documents, L labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def unmask(
    refine: Callable[[torch.Tensor, torch.BoolTensor], torch.Tensor],
    logits_BL: torch.Tensor,
    *,
    num_rounds: int = 8,
) -> tuple[torch.BoolTensor, torch.FloatTensor, torch.LongTensor]:
    """Labels settled in rounds, about L / rounds of them in each.

    A label once settled stays; those settled in the same round don't know of each other. With one round this is a threshold of
    one half on the logits of "all hidden"; with L rounds every label knows of all that were surer.

    Args:
        refine (`Callable`):
            `refine(answers_BL, is_known_BL)`: logits `(B, L)` given some answers, float 0 or 1, and 0 where not known.
        logits_BL (`torch.Tensor` of shape `(B, L)`): with nothing known, by which the first round settles its labels.
        num_rounds (`int`, *optional*, defaults to 8): at most L are made; `refine` is called once less.

    Returns:
        `(labels, logits, rounds)` of shape `(B, L)` each; the logit is the one by which the label was settled, the round, from 0
        on, when. Equally sure labels are settled from the first one on.
    """
    logits_BL = logits_BL.float()
    num_labels = logits_BL.shape[1]
    num_rounds = max(1, min(num_rounds, num_labels))
    is_known_BL = torch.zeros_like(logits_BL, dtype=torch.bool)
    answers_BL, settled_BL = torch.zeros_like(logits_BL), torch.zeros_like(logits_BL)
    rounds_BL = torch.zeros_like(logits_BL, dtype=torch.long)
    for turn in range(num_rounds):
        if turn:
            logits_BL = refine(answers_BL, is_known_BL).float()
        number = num_labels * (turn + 1) // num_rounds - num_labels * turn // num_rounds
        sureness_BL = logits_BL.abs().masked_fill(is_known_BL, -1.0)
        # stable, and sorted along each row alone: the same whatever else is in the batch
        places_Bn = sureness_BL.sort(dim=1, descending=True, stable=True).indices[:, :number]
        is_new_BL = torch.zeros_like(is_known_BL).scatter(1, places_Bn, True)
        settled_BL = torch.where(is_new_BL, logits_BL, settled_BL)
        answers_BL = torch.where(is_new_BL, (logits_BL > 0).float(), answers_BL)
        rounds_BL = torch.where(is_new_BL, turn, rounds_BL)
        is_known_BL = is_known_BL | is_new_BL
    return settled_BL > 0, settled_BL, rounds_BL


def settled_again(
    refine: Callable[[torch.Tensor, torch.BoolTensor], torch.Tensor],
    logits_BL: torch.Tensor,
    answers_BL: torch.Tensor,
    rounds_BL: torch.LongTensor,
) -> torch.FloatTensor:
    """The logits by which labels are settled, `(B, L)`, where what they become and when is given: so they have gradients.

    Args:
        refine, logits_BL: as of `unmask`.
        answers_BL, rounds_BL (`torch.Tensor` of shape `(B, L)`): labels and rounds that `unmask` found.
    """
    settled_BL = logits_BL.float()
    for turn in range(1, int(rounds_BL.max()) + 1 if rounds_BL.numel() else 1):
        is_known_BL = rounds_BL < turn
        logits_BL = refine(answers_BL.float() * is_known_BL, is_known_BL).float()
        settled_BL = torch.where(rounds_BL == turn, logits_BL, settled_BL)
    return settled_BL


__all__ = ["settled_again", "unmask"]
