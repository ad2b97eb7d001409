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
    num_documents: int,
    num_labels: int,
    *,
    num_rounds: int = 8,
    device: torch.device | None = None,
) -> tuple[torch.BoolTensor, torch.FloatTensor]:
    """Labels settled in rounds, about L / rounds of them in each.

    A label once settled stays; those settled in the same round don't know of each other. With one round this is a threshold of
    one half on the logits of "all hidden"; with L rounds every label knows of all that were surer.

    Args:
        refine (`Callable`):
            `refine(answers_BL, is_known_BL)`: logits `(B, L)` given some answers, float 0 or 1, and 0 where not known.
        num_documents, num_labels (`int`): B and L.
        num_rounds (`int`, *optional*, defaults to 8): calls of `refine`; at most L are made.
        device (`torch.device`, *optional*): of the answers.

    Returns:
        `(labels, logits)` of shape `(B, L)` each; the logit is the one by which the label was settled. Equally sure labels are
        settled from the first one on.
    """
    num_rounds = max(1, min(num_rounds, num_labels))
    is_known_BL = torch.zeros(num_documents, num_labels, dtype=torch.bool, device=device)
    answers_BL = torch.zeros(num_documents, num_labels, device=device)
    settled_BL = torch.zeros(num_documents, num_labels, device=device)
    for turn in range(num_rounds):
        logits_BL = refine(answers_BL, is_known_BL).float()
        number = num_labels * (turn + 1) // num_rounds - num_labels * turn // num_rounds
        sureness_BL = logits_BL.abs().masked_fill(is_known_BL, -1.0)
        # stable, and sorted along each row alone: the same whatever else is in the batch
        places_Bn = sureness_BL.sort(dim=1, descending=True, stable=True).indices[:, :number]
        is_new_BL = torch.zeros_like(is_known_BL).scatter(1, places_Bn, True)
        settled_BL = torch.where(is_new_BL, logits_BL, settled_BL)
        answers_BL = torch.where(is_new_BL, (logits_BL > 0).float(), answers_BL)
        is_known_BL = is_known_BL | is_new_BL
    return settled_BL > 0, settled_BL


__all__ = ["unmask"]
