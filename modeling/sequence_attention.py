"""Where the steps of a label sequence looked, and what that says of each label.

A decoder that emits labels one by one attends to the text anew in every step. Of a label that the sequence holds the
attention of its own step says what it was read from. A label that the sequence doesn't hold had a chance a_t y_t(l) in
every step t (a_t: the sequence is still going on; y_t(l): the step's probability of l), the hazard whose union over the
steps is its score; its tokens are those of the steps weighed by these chances:

    w_l = sum over t of (a_t y_t(l) attention_t) / sum over t of a_t y_t(l)

Both are shares of 1. Label-wise attention, where the model has one, is not used for this: it feeds another head, whose
score is not the sequence's.

Shape legend: B documents, T decoding steps, m tokens, L labels, V = L + 3 the labels' vocabulary, S chosen labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .label_sequences import BOS, EOS, LABEL_OFFSET, PAD


class SequenceTrace(NamedTuple):
    """What one sequence a document looked at.

    Args:
        label_ids_BT (`torch.LongTensor` of shape `(B, T)`): the label of each step; -1 where the sequence ended and after.
        attention_BTm (`torch.FloatTensor` of shape `(B, T, m)`): the step's shares of the tokens; 0 on padding, and in
            the steps after the one that ended the sequence.
        hazard_BTL (`torch.FloatTensor` of shape `(B, T, L)`): a_t y_t(l); 0 after the end.
    """

    label_ids_BT: torch.LongTensor
    attention_BTm: torch.FloatTensor
    hazard_BTL: torch.FloatTensor

    def label_lists(self) -> list[list[int]]:
        """The labels of each document, in the order of the sequence."""
        return [[label for label in row if label >= 0] for row in self.label_ids_BT.tolist()]


def trace(
    step: Callable[[torch.LongTensor, Any, Any], tuple[torch.Tensor, Any]],
    attention_of: Callable[[Any], torch.Tensor],
    state: Any,
    memory: Any,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    sequences_BT: torch.LongTensor | None = None,
    max_steps: int | None = None,
) -> SequenceTrace:
    """Follows sequences step by step, the greedy ones or given ones.

    Args:
        step (callable): `step(previous_ids_B, state, memory) -> (log_probs_BV, state)`, masked and normalised.
        attention_of (callable): the attention `(B, m)` of the step that a state came out of.
        state, memory: what the first step starts from.
        batch_size (`int`): B.
        device (`torch.device`, *optional*): where `state` is.
        sequences_BT (`torch.LongTensor` of shape `(B, T)`, *optional*): ids of the labels' vocabulary, without the
            beginning, cut or padded after the end; the step that would end a sequence cut before its end is taken too.
            Without it the most probable label of every step, of equals the first.
        max_steps (`int`, *optional*): of greedy sequences; they end after every label was said at the latest.

    Raises:
        `ValueError`: neither sequences nor `max_steps` were given.
    """
    if sequences_BT is None and max_steps is None:
        raise ValueError("`max_steps` is None: greedy sequences need a largest number of steps")
    previous_B = torch.full((batch_size,), BOS, dtype=torch.long, device=device)
    going_B = torch.ones(batch_size, dtype=torch.bool, device=device)
    alive_B = torch.ones(batch_size, device=device)
    if sequences_BT is not None:
        # the end after sequences that were cut before it
        sequences_BT = torch.cat([sequences_BT, sequences_BT.new_full((batch_size, 1), EOS)], dim=1)
    ids, attentions, hazards = [], [], []
    for place in range(max_steps if sequences_BT is None else sequences_BT.shape[1]):
        log_probs_BV, state = step(previous_B, state, memory)
        probs_BV = log_probs_BV.float().exp()
        chosen_B = probs_BV.argmax(dim=1) if sequences_BT is None else sequences_BT[:, place]
        ends_B = (chosen_B == EOS) | (chosen_B == PAD)
        attentions.append(attention_of(state).float().masked_fill(~going_B[:, None], 0.0))
        hazard_BL = alive_B[:, None] * probs_BV[:, LABEL_OFFSET:]
        hazards.append(hazard_BL.masked_fill(~going_B[:, None], 0.0))
        ids.append((chosen_B - LABEL_OFFSET).masked_fill(ends_B | ~going_B, -1))
        alive_B = alive_B * (1.0 - probs_BV[:, EOS])
        going_B = going_B & ~ends_B
        # what follows an end means nothing, but must be an id that the decoder can look up
        previous_B = chosen_B.where(going_B, torch.full_like(chosen_B, EOS))
        if not going_B.any():
            break
    return SequenceTrace(torch.stack(ids, 1), torch.stack(attentions, 1), torch.stack(hazards, 1))


def token_weights_of(found: SequenceTrace, chosen_ids_S: torch.LongTensor) -> torch.FloatTensor:
    """How much each token weighs for each chosen label: `(B, S, m)`, shares of 1.

    Args:
        found (`SequenceTrace`): of the documents.
        chosen_ids_S (`torch.LongTensor` of shape `(S,)`): labels; those in a document's sequence get the attention of
            their step, the others that of all steps by their hazard.
    """
    is_step_BST = found.label_ids_BT[:, None] == chosen_ids_S[:, None]
    is_said_BS1 = is_step_BST.any(dim=2, keepdim=True)
    hazard_BST = found.hazard_BTL[:, :, chosen_ids_S].transpose(1, 2)
    shares_BST = torch.where(is_said_BS1, is_step_BST.to(hazard_BST.dtype), hazard_BST)
    total_BS1 = shares_BST.sum(dim=2, keepdim=True)
    # a label that no step gave any chance: all steps alike
    alike_BST = (found.attention_BTm.sum(dim=2) > 0).to(shares_BST.dtype)[:, None].expand_as(shares_BST)
    shares_BST = torch.where(total_BS1 > 0, shares_BST, alike_BST)
    shares_BST = shares_BST / shares_BST.sum(dim=2, keepdim=True).clamp(min=torch.finfo(shares_BST.dtype).tiny)
    return shares_BST @ found.attention_BTm


__all__ = ["SequenceTrace", "token_weights_of", "trace"]
