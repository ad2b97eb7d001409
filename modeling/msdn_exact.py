"""Exact inference in a label chain whose relation looks K labels back: the mode (Viterbi) and all marginals (forward).

Such a chain is a Markov chain of order K over the labels, so both cost L x 2^K steps instead of 2^L sums; a recurrent chain,
whose state is all that came before, has no such algorithm. Time and memory are linear in L and in 2^K.

A document's numbers are computed by themselves: blocks of documents bound the memory and change nothing.

Shape legend: B documents of a block, L labels in the chain's order, K labels of reach, S = 2^K states, H = S / 2. A state
holds the last K labels, the latest in bit 0; after label y state s becomes `(s << 1 | y) mod S`, so the two states that lead
to the same ones differ in their top bit only, and are 0 ... H-1 against H ... S-1.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .msdn_chain import TableChain, log_probabilities, row_blocks


# numbers of float32 that a step of either algorithm holds for each state
_STEP_BYTES = 4 * 6
# Scores only fall along the chain; taking the best one off now and then keeps float32's digits for differences
_RESCALE_EVERY = 16


def viterbi(
    logits_BL: torch.Tensor, table_LS: torch.Tensor, *, block_bytes: int | None = None
) -> tuple[torch.BoolTensor, torch.FloatTensor]:
    """The most probable label vector of each document, exactly: what maximises subset accuracy.

    Takes a byte a label and state for the way back: 250 kB a document at L = 983 and K = 8.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits, finite.
        table_LS (`torch.Tensor` of shape `(L, 2^K)` or `(B, L, 2^K)`): as `TableChain`'s.
        block_bytes (`int`, *optional*): memory of a block of documents; 32 MiB.

    Returns:
        `(labels, log_probs)` of shapes `(B, L)` and `(B,)`. Of equally probable vectors always the same one; the empty one
        where it is among them.
    """
    chain = TableChain(table_LS)
    num_labels, num_states = chain.table_LS.shape[-2:]
    found = [
        _viterbi_block(logits_BL[rows].float(), chain.of_rows(rows).table_LS)
        for rows in row_blocks(len(logits_BL), num_states * (num_labels + _STEP_BYTES), block_bytes)
    ]
    labels_BL = torch.cat(found)
    return labels_BL, log_probabilities(logits_BL, chain, labels_BL[:, None]).squeeze(1)


def _viterbi_block(logits_BL: torch.Tensor, table_LS: torch.Tensor) -> torch.BoolTensor:
    num_documents, num_labels = logits_BL.shape
    num_states = table_LS.shape[-1]
    scores = logits_BL.new_zeros(num_documents, 1)  # of the best way into each state; before label j there are 2^j
    backs = []
    for position in range(num_labels):
        is_full = scores.shape[1] == num_states
        logits = logits_BL[:, position, None] + table_LS[..., position, : scores.shape[1]]
        zero = scores - F.softplus(logits)
        both = torch.stack([zero, zero + logits], dim=2)  # label 0, label 1
        if is_full:
            both = both.unflatten(1, (2, num_states // 2))
            backs.append((both[:, 1] > both[:, 0]).flatten(1))  # whether the way came from the state with the top bit
            both = both.amax(dim=1)
        scores = both.flatten(1)
        if position % _RESCALE_EVERY == _RESCALE_EVERY - 1:
            scores = scores - scores.amax(dim=1, keepdim=True)
    states_B = scores.argmax(dim=1)
    labels = []
    for _ in range(num_labels):
        labels.append((states_B & 1).bool())
        came_B = backs.pop().gather(1, states_B[:, None]).squeeze(1) if backs else torch.zeros_like(states_B)
        states_B = (states_B >> 1) | (came_B.long() * (num_states // 2))
    return torch.stack(labels[::-1], dim=1)


def forward_marginals(
    logits_BL: torch.Tensor, table_LS: torch.Tensor, *, block_bytes: int | None = None
) -> torch.FloatTensor:
    """Log-odds of each label's marginal probability, `(B, L)`, exactly: what ranks labels and minimises Hamming loss.

    In logarithms throughout, so that labels far too rare for float32's probabilities still have their order; probabilities
    are `sigmoid` of it.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits, finite.
        table_LS (`torch.Tensor` of shape `(L, 2^K)` or `(B, L, 2^K)`): as `TableChain`'s.
        block_bytes (`int`, *optional*): memory of a block of documents; 32 MiB.
    """
    chain = TableChain(table_LS)
    num_labels, num_states = chain.table_LS.shape[-2:]
    return torch.cat(
        [
            _forward_block(logits_BL[rows].float(), chain.of_rows(rows).table_LS)
            for rows in row_blocks(len(logits_BL), num_states * _STEP_BYTES + 8 * num_labels, block_bytes)
        ]
    )


def _forward_block(logits_BL: torch.Tensor, table_LS: torch.Tensor) -> torch.FloatTensor:
    num_documents, num_labels = logits_BL.shape
    num_states = table_LS.shape[-1]
    log_probs = logits_BL.new_zeros(num_documents, 1)  # of each state; before label j there are 2^j
    log_odds = []
    for position in range(num_labels):
        is_full = log_probs.shape[1] == num_states
        logits = logits_BL[:, position, None] + table_LS[..., position, : log_probs.shape[1]]
        zero = log_probs - F.softplus(logits)
        both = torch.stack([zero, zero + logits], dim=2)  # label 0, label 1
        if is_full:
            both = both.unflatten(1, (2, num_states // 2))
            both = torch.logaddexp(both[:, 0], both[:, 1])
        totals = both.logsumexp(dim=1)  # of label 0 and of label 1
        log_odds.append(totals[:, 1] - totals[:, 0])
        # they sum to 1 but for rounding, which must not add up over the chain
        log_probs = (both - totals.logsumexp(dim=1)[:, None, None]).flatten(1)
    return torch.stack(log_odds, dim=1)


__all__ = ["forward_marginals", "viterbi"]
