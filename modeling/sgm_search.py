"""Beam search over label sequences, batched, without copies of the documents for their beams.

The same search as `generate(num_beams=K, length_penalty=0, early_stopping=False)`, beam for beam: a test holds them together.
Three things make it quicker: beams of a document share its memory, documents whose beams can't improve leave the batch, and
nothing is sent through `generate`'s processors. Its scores are differentiable where gradients are on.

Shape legend: B documents, K beams, R = B x K rows, V = L + 3 label ids, T steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from .label_constraints import LabelConstraints
from .label_sequences import BOS, EOS, PAD
from .sgm_decoder import SgmDecoder
from .sgm_state import SgmMemory


NONE = -1e9  # the score of a place that holds no sequence


class FoundSequences(NamedTuple):
    """What a search found, best first.

    Args:
        sequences_BKT (`torch.LongTensor` of shape `(B, K, T)`): label ids, `EOS`, then `PAD`; `PAD` alone where there is none.
        scores_BK (`torch.FloatTensor` of shape `(B, K)`): log-probabilities; -inf where there is none.
        first_log_probs_BV (`torch.FloatTensor` of shape `(B, V)`): of the first step.
    """

    sequences_BKT: torch.LongTensor
    scores_BK: torch.FloatTensor
    first_log_probs_BV: torch.FloatTensor


def beam_search(
    decoder: SgmDecoder,
    memory: SgmMemory,
    *,
    num_beams: int,
    max_steps: int,
    constraints: LabelConstraints | None = None,
    end_bias: float = 0.0,
) -> FoundSequences:
    """The `num_beams` most probable sequences that beams of this number find.

    Args:
        decoder (`SgmDecoder`): gives the steps.
        memory (`SgmMemory`): of B documents.
        num_beams (`int`): K.
        max_steps (`int`): labels and the end; a sequence that hasn't ended by then counts as it stands.
        constraints (`LabelConstraints`, *optional*): rules on what may come next.
        end_bias (`float`, *optional*, defaults to 0.0): subtracted from the end's logit in every step.
    """
    documents, device = len(memory.mask_Bm), memory.hidden_BmD.device
    settings = {"constraints": constraints, "end_bias": end_bias}
    last_B = torch.full((documents,), BOS, device=device)
    log_probs_BV, state = decoder.step(last_B, decoder.initial_state(memory), memory, **settings)
    first_log_probs_BV, vocab_size = log_probs_BV, log_probs_BV.shape[1]

    # a column a step: with many labels the longest sequence that may be is far longer than any that is
    found_ids = torch.full((documents, num_beams, 0), PAD, device=device)
    found_scores = first_log_probs_BV.new_full((documents, num_beams), NONE)
    # of the documents still searched, `rows` of the whole batch: running and finished sequences and their scores
    rows = torch.arange(documents, device=device)
    running_BKT, running_BK = found_ids[:, :1], first_log_probs_BV.new_zeros(documents, 1)
    done_BKT, done_BK = found_ids, found_scores
    for step in range(max_steps):
        beams = running_BK.shape[1]
        # 1. the best continuations of all beams; twice as many as beams, since half of them may be at their end
        scores_BC = (log_probs_BV.clamp(min=NONE).view(-1, beams, vocab_size) + running_BK[..., None]).flatten(1)
        best_BC, places_BC = scores_BC.topk(min(2 * num_beams, scores_BC.shape[1]), dim=1)
        beams_BC, ids_BC = places_BC // vocab_size, places_BC % vocab_size
        sequences_BCT = torch.cat(
            [running_BKT.gather(1, beams_BC[..., None].expand(-1, -1, step)), ids_BC[..., None]], 2
        )
        ends_BC = (ids_BC == EOS) | (step + 1 == max_steps)

        # 2. those that end are kept if they are among the best K of all found; only the best K continuations may end
        is_kept_BC = ends_BC & (torch.arange(best_BC.shape[1], device=device) < num_beams) & (best_BC > NONE / 2)
        pool_scores = torch.cat([done_BK, best_BC.masked_fill(~is_kept_BC, NONE)], dim=1)
        done_BK, chosen_BK = pool_scores.topk(num_beams, dim=1)
        pool = torch.cat([F.pad(done_BKT, (0, 1), value=PAD), sequences_BCT], dim=1)
        done_BKT = pool.gather(1, chosen_BK[..., None].expand(-1, -1, step + 1))

        # 3. the best K of the others run on
        running_BK, chosen_BK = best_BC.masked_fill(ends_BC, 2 * NONE).topk(min(num_beams, best_BC.shape[1]), dim=1)
        running_BKT = sequences_BCT.gather(1, chosen_BK[..., None].expand(-1, -1, step + 1))
        from_BK = beams_BC.gather(1, chosen_BK)

        # 4. a document is done when its best running beam can't get into what is found: scores only fall
        is_open_B = (running_BK[:, 0] > done_BK[:, -1]) & (running_BK[:, 0] > NONE / 2)
        keep = is_open_B.nonzero().squeeze(1)
        found_ids = F.pad(found_ids, (0, 1), value=PAD).index_copy(0, rows, done_BKT)
        found_scores = found_scores.index_copy(0, rows, done_BK)
        if not len(keep) or step + 1 == max_steps:
            break
        offsets_B1 = torch.arange(len(rows), device=device)[:, None] * beams
        state = state.select((from_BK + offsets_B1)[keep].flatten())
        if len(keep) < len(rows):
            memory, rows = memory.select(keep), rows[keep]
            running_BK, running_BKT, done_BK, done_BKT = (
                part[keep] for part in (running_BK, running_BKT, done_BK, done_BKT)
            )
        log_probs_BV, state = decoder.step(running_BKT[:, :, step].flatten(), state, memory, **settings)
    is_none_BK = found_scores <= NONE / 2
    length = int((found_ids != PAD).any(dim=1).any(dim=0).sum())
    return FoundSequences(
        found_ids.masked_fill(is_none_BK[..., None], PAD)[:, :, : max(length, 1)],
        found_scores.masked_fill(is_none_BK, float("-inf")),
        first_log_probs_BV,
    )


def greedy_search(
    decoder: SgmDecoder,
    memory: SgmMemory,
    *,
    max_steps: int,
    constraints: LabelConstraints | None = None,
    end_bias: float = 0.0,
) -> tuple[torch.LongTensor, torch.FloatTensor]:
    """The most probable id of every step, and what all steps thought of all ids.

    Arguments as `beam_search`.

    Returns:
        `(sequences, log_probs)`: `(B, T)`, padded with `PAD` behind the end, and `(B, T, V)`.
    """
    state = decoder.initial_state(memory)
    last_B = torch.full((len(memory.mask_Bm),), BOS, device=memory.hidden_BmD.device)
    is_done_B = torch.zeros_like(last_B, dtype=torch.bool)
    sequences, log_probs = [], []
    for _ in range(max_steps):
        log_probs_BV, state = decoder.step(last_B, state, memory, constraints=constraints, end_bias=end_bias)
        last_B = log_probs_BV.argmax(dim=1).masked_fill(is_done_B, PAD)
        sequences.append(last_B)
        log_probs.append(log_probs_BV)
        is_done_B = is_done_B | (last_B == EOS)
        if bool(is_done_B.all()):
            break
    return torch.stack(sequences, dim=1), torch.stack(log_probs, dim=1)


__all__ = ["FoundSequences", "beam_search", "greedy_search"]
