"""Approximate search along a label chain of any reach: greedy, beams, and samples with the marginals they estimate.

Each walks the chain once, label by label, for all documents, and remembers of the labels so far what the relation can see
(the state of a `LabelChain`): a number where the relation is a table, the last W labels in a ring otherwise.

Shape legend: B documents, L labels in the chain's order, K beams, N samples, R = B x K or B x N rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from .msdn_chain import LabelChain, Relation, as_chain, row_blocks


class FoundLabels(NamedTuple):
    """Label vectors that a search found, the most probable first.

    Args:
        labels_BKL (`torch.BoolTensor` of shape `(B, K, L)`): different vectors.
        log_probs_BK (`torch.FloatTensor` of shape `(B, K)`): log P(y|x).
    """

    labels_BKL: torch.BoolTensor
    log_probs_BK: torch.FloatTensor


class SampledLabels(NamedTuple):
    """Label vectors that were drawn from the chain.

    Args:
        labels_BNL (`torch.BoolTensor` of shape `(B, N, L)`): in the order drawn; a vector may come more than once.
        log_probs_BN (`torch.FloatTensor` of shape `(B, N)`): log P(y|x).
        log_odds_BL (`torch.FloatTensor` of shape `(B, L)`): estimates of the labels' marginals, see `sample`.
    """

    labels_BNL: torch.BoolTensor
    log_probs_BN: torch.FloatTensor
    log_odds_BL: torch.FloatTensor


def greedy(logits_BL: torch.Tensor, relation: Relation) -> tuple[torch.BoolTensor, torch.FloatTensor]:
    """Each label in turn as its logit, given the labels chosen before it, has it: positive is 1.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
        relation: a table, a callable or a chain (`as_chain`).

    Returns:
        `(labels, logits)` of shape `(B, L)` each: the vector, and the logits along it.
    """
    logits_BL = logits_BL.float()
    chain = as_chain(relation, logits_BL.shape[1])
    state = chain.start(len(logits_BL), logits_BL.device)
    along = []
    for position, logits_B in enumerate(logits_BL.unbind(dim=1)):
        along.append(logits_B + chain.logits(position, state))
        state = chain.advance(position, state, along[-1] > 0)
    along_BL = torch.stack(along, dim=1)
    return along_BL > 0, along_BL


def beam_search(logits_BL: torch.Tensor, relation: Relation, *, num_beams: int) -> FoundLabels:
    """The most probable label vectors that this many beams find; with 2^L beams, all of them in order.

    Takes 9 bytes a beam and label for the way back: 70 kB a document at L = 983 and 8 beams.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
        relation: a table, a callable or a chain (`as_chain`).
        num_beams (`int`): K; 1 is greedy.

    Returns:
        [`FoundLabels`], of min(K, 2^L) vectors. Of equally probable ones the one that was ahead first.
    """
    logits_BL = logits_BL.float()
    num_documents, num_labels = logits_BL.shape
    chain = as_chain(relation, num_labels)
    rows_B1 = torch.arange(num_documents, device=logits_BL.device)[:, None]
    state = chain.start(num_documents, logits_BL.device)
    scores_BK = logits_BL.new_zeros(num_documents, 1)
    parents, labels = [], []
    for position in range(num_labels):
        beams = scores_BK.shape[1]
        cell_BK = logits_BL[:, position, None] + chain.logits(position, state).view(num_documents, beams)
        zero_BK = scores_BK - F.softplus(cell_BK)
        both_BC = torch.cat([zero_BK, zero_BK + cell_BK], dim=1)  # all beams with a 0, then all with a 1
        # stable: topk may order ties as it likes, by the size of the batch
        best = both_BC.sort(dim=1, descending=True, stable=True)
        scores_BK, places_BK = best.values[:, :num_beams], best.indices[:, :num_beams]
        parents.append(places_BK % beams)
        labels.append(places_BK >= beams)
        if position + 1 < num_labels:
            state = chain.advance(position, state[(rows_B1 * beams + parents[-1]).flatten()], labels[-1].flatten())
    # back along the parents
    from_BK = torch.arange(scores_BK.shape[1], device=scores_BK.device).expand(num_documents, -1)
    found = []
    for parent_BK, label_BK in zip(parents[::-1], labels[::-1], strict=True):
        found.append(label_BK.gather(1, from_BK))
        from_BK = parent_BK.gather(1, from_BK)
    return FoundLabels(torch.stack(found[::-1], dim=2), scores_BK)


def sample(
    logits_BL: torch.Tensor,
    relation: Relation,
    *,
    num_samples: int,
    seed: int = 0,
    block_bytes: int | None = None,
) -> SampledLabels:
    """Label vectors drawn from the chain (ancestral sampling, which is exact), and marginals estimated from them.

    The marginal of a label is estimated by the mean of its probability given each sample's labels before it, not by how
    often it was drawn: unbiased too, of no larger variance, and never 0. Its standard error is at most `1 / (2 sqrt(N))`, .05
    with 100 samples; that of a label whose relation is small is far smaller, and of the first label 0.

    All documents are drawn with the same N x L uniform numbers of the seed, so that a document's answer does not depend on
    the others of its batch.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
        relation: a table, a callable or a chain (`as_chain`).
        num_samples (`int`): N.
        seed (`int`, *optional*, defaults to 0): of the uniform numbers.
        block_bytes (`int`, *optional*): memory of a block of documents; 32 MiB, of 10 bytes a sample and label.

    Returns:
        [`SampledLabels`].
    """
    logits_BL = logits_BL.float()
    chain = as_chain(relation, logits_BL.shape[1])
    uniforms_NL = torch.rand(
        num_samples, logits_BL.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    # u < sigmoid(z) where logit(u) < z; in float64, for the ends
    limits_NL = torch.logit(uniforms_NL, eps=1e-15).float().to(logits_BL.device)
    found = [
        _sample_block(logits_BL[rows], chain.of_rows(rows), limits_NL)
        for rows in row_blocks(len(logits_BL), 10 * limits_NL.numel(), block_bytes)
    ]
    return SampledLabels(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _sample_block(logits_BL: torch.Tensor, chain: LabelChain, limits_NL: torch.Tensor) -> SampledLabels:
    num_documents, num_samples = len(logits_BL), len(limits_NL)
    state = chain.start(num_documents * num_samples, logits_BL.device)
    labels, log_probs_BN, log_odds = [], logits_BL.new_zeros(num_documents, num_samples), []
    for position, logits_B in enumerate(logits_BL.unbind(dim=1)):
        cell_BN = logits_B[:, None] + chain.logits(position, state).view(num_documents, num_samples)
        label_BN = limits_NL[:, position] < cell_BN
        state = chain.advance(position, state, label_BN.flatten())
        zero_BN = -F.softplus(cell_BN)
        log_odds.append((zero_BN + cell_BN).logsumexp(dim=1) - zero_BN.logsumexp(dim=1))
        log_probs_BN = log_probs_BN + torch.where(label_BN, zero_BN + cell_BN, zero_BN)
        labels.append(label_BN)
    return SampledLabels(torch.stack(labels, dim=2), log_probs_BN, torch.stack(log_odds, dim=1))


def log_odds_along(logits_BL: torch.Tensor, relation: Relation, labels_BNL: torch.Tensor) -> torch.FloatTensor:
    """The marginals that given samples estimate, `(B, L)`, as `sample` does for its own; with gradients by the base logits.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
        relation: a table, a callable or a chain (`as_chain`).
        labels_BNL (`torch.Tensor` of shape `(B, N, L)`): 0 and 1.
    """
    added_BNL = as_chain(relation, logits_BL.shape[1]).of(labels_BNL.flatten(0, 1)).view(labels_BNL.shape)
    logits_BNL = logits_BL.float()[:, None] + added_BNL
    return F.logsigmoid(logits_BNL).logsumexp(dim=1) - F.logsigmoid(-logits_BNL).logsumexp(dim=1)


__all__ = ["FoundLabels", "SampledLabels", "beam_search", "greedy", "log_odds_along", "sample"]
