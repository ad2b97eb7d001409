"""The label set that several models of label relations find most probable together.

    P(S) = sum_k w_k P_k(S)

P_k(S) is what model k believes of the whole set: the probability that its chain gives it, of several orders the mean of theirs, and where
the model goes by known sets that of the changed distribution. Each model names the sets that it finds likely, all of them are scored by all
models, and the best one wins: a set that is second for everybody can win against the firsts of each, which no two agree on. It is the best
of all sets only if somebody named it.

A model alone scores a set by the mean logarithm over its orders (msdn_decoding.py), which has no sum of 1 and so can't be
weighed against another model's; here the orders are averaged as the models are.

Shape legend: B documents, L labels, K models, M orders, C sets that were named, S known sets, D channels of a relation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .msdn_chain import row_blocks, rows_of
from .msdn_decoding import ChainDecoder
from .msdn_known_sets import large_sets


_BYTES_A_CELL = 32  # of a document, a named set and a label, while one order scores it
_BYTES_A_BEAM = 9  # and label, for the way back of a beam search
_SEARCHED_AT_ONCE = 2**28  # bytes: a search walks label by label, however few the documents are


class Voter:
    """One model's part in the vote on some documents.

    Args:
        decoder ([`~msdn_decoding.ChainDecoder`]): its chains, known sets and number of beams. How it would search alone
            (`decoding`) plays no part.
        logits_BL (`torch.Tensor` of shape `(B, L)`): its base logits, in the user's order of labels as everything here.
        weight (`float`): w_k.
        added_BMD (`torch.Tensor` of shape `(B, M, D)`, *optional*): what documents add to its relations, where these read them.
        set_bonus_BS (`torch.Tensor` of shape `(B, S)`, *optional*): what its known sets have beside its chains.
    """

    def __init__(
        self,
        decoder: ChainDecoder,
        logits_BL: torch.Tensor,
        weight: float,
        added_BMD: torch.Tensor | None = None,
        set_bonus_BS: torch.Tensor | None = None,
    ):
        self.decoder, self.weight = decoder, weight
        self.parts = decoder.of_documents(logits_BL, added_BMD, set_bonus_BS)
        self.of_sets_BS: torch.Tensor | None = None
        if decoder.known_sets != "off":
            self.of_sets_BS = _mean_of_orders(decoder.of_sets(self.parts))

    @staticmethod
    def num_named(decoder: ChainDecoder) -> int:
        """The most sets that such a model names for a document."""
        known = 0 if decoder.known_sets == "off" else decoder.num_beams
        return known if decoder.known_sets == "restrict" else known + (1 + decoder.num_beams) * len(decoder.chains)

    @staticmethod
    def bytes_a_document(decoder: ChainDecoder, num_labels: int) -> int:
        """What naming sets takes, in bytes."""
        searched = 0 if decoder.known_sets == "restrict" else _BYTES_A_BEAM * decoder.num_beams * num_labels
        searched += sum(decoder.bytes_of_chains())
        if decoder.known_sets == "off":
            return searched
        scored = sum(scorer.bytes_a_document for scorer in decoder.scorers)
        return searched + scored + (4 * len(decoder.chains) + 24) * len(decoder.sets_SL)

    def named(self, min_labels: int) -> torch.BoolTensor:
        """Likely sets, `(B, C, L)`: of the known sets the `num_beams` most probable ones, those of fewer than `min_labels` labels
        after all others; where other sets may be answered too, the mode of each chain and what `num_beams` beams find.
        """
        decoder, found = self.decoder, []
        if decoder.known_sets != "restrict":
            for part in self.parts:
                if part.ordered.is_exact:
                    found.append(part.mode()[:, None])
                found.append(part.beams(decoder.num_beams))
        if self.of_sets_BS is not None:
            scores_BS = self.of_sets_BS if decoder.known_sets == "restrict" else self.of_sets_BS + decoder.bonus_S
            if min_labels:
                scores_BS = scores_BS.masked_fill(decoder.sets_SL.sum(dim=1) < min_labels, float("-inf"))
            best_BC = scores_BS.sort(dim=1, descending=True, stable=True).indices[:, : decoder.num_beams]
            found.append(decoder.sets_SL[best_BC])
        return torch.cat(found, dim=1)

    def log_probs(self, labels_BCL: torch.BoolTensor, rows: slice) -> torch.FloatTensor:
        """log P_k of given sets, `(B, C)`, of some of the documents; -inf of those that a restricted model does not know."""
        decoder = self.decoder
        if decoder.known_sets == "restrict":  # looked up, with what a set has beside the chains
            places_BC, log_shares_BS = decoder.finder(labels_BCL), self.of_sets_BS[rows].log_softmax(dim=1)
            return log_shares_BS.gather(1, places_BC.clamp(min=0)).masked_fill(places_BC < 0, float("-inf"))
        log_probs_BC = _mean_of_orders([part.of_rows(rows).log_probs(labels_BCL) for part in self.parts])
        if self.of_sets_BS is None:
            return log_probs_BC
        places_BC, of_sets_BS = decoder.finder(labels_BCL), self.of_sets_BS[rows]
        # all sets together have 1, and the known ones what favouring adds
        surplus_B1 = (of_sets_BS + decoder.log_surplus_S).logsumexp(dim=1, keepdim=True)
        total_B1 = torch.logaddexp(surplus_B1, torch.zeros_like(surplus_B1))
        return log_probs_BC + torch.where(places_BC < 0, 0.0, decoder.bonus_S[places_BC]) - total_B1


@torch.no_grad()
def voted_sets(
    decoders: Sequence[ChainDecoder],
    logits_KBL: Sequence[torch.Tensor],
    weights: Sequence[float],
    *,
    added_KBMD: Sequence[torch.Tensor | None] | None = None,
    set_bonus_KBS: Sequence[torch.Tensor | None] | None = None,
    min_labels: int = 0,
    block_bytes: int | None = None,
) -> torch.BoolTensor:
    """The set of each document, `(B, L)`.

    Args:
        decoders (`Sequence[ChainDecoder]`): K, over the same labels.
        logits_KBL (`Sequence[torch.Tensor]` of shape `(B, L)`): each model's base logits.
        weights (`Sequence[float]`): w_k, above 0.
        added_KBMD (`Sequence[torch.Tensor | None]` of shape `(B, M, D)`, *optional*):
            what documents add to each model's relations; none to those that don't read them.
        set_bonus_KBS (`Sequence[torch.Tensor | None]` of shape `(B, S)`, *optional*):
            what each model's known sets have beside its chains; none where there is no such thing.
        min_labels (`int`, *optional*, defaults to 0): a smaller set is answered only where no other was named.
        block_bytes (`int`, *optional*): memory of a block of documents while sets are scored; 32 MiB.

    Returns:
        `torch.BoolTensor` of shape `(B, L)`; of equally probable sets the one that was named first.

    Raises:
        `ValueError`: all models restrict their answers to known sets, and none has one of `min_labels`.
    """
    if min_labels and all(decoder.known_sets == "restrict" for decoder in decoders):
        large_sets(torch.cat([decoder.sets_SL for decoder in decoders]), min_labels)
    none_K = [None] * len(decoders)
    added_KBMD = none_K if added_KBMD is None else added_KBMD
    set_bonus_KBS = none_K if set_bonus_KBS is None else set_bonus_KBS
    num_rows, num_labels = logits_KBL[0].shape
    bytes_a_document = sum(Voter.bytes_a_document(decoder, num_labels) for decoder in decoders)
    bytes_a_document += num_labels * sum(map(Voter.num_named, decoders))
    answers = []
    for rows in row_blocks(num_rows, bytes_a_document, _SEARCHED_AT_ONCE if block_bytes is None else block_bytes):
        voters = [
            Voter(decoder, logits_BL[rows], weight, *rows_of(rows, added_BMD, bonus_BS))
            for decoder, logits_BL, weight, added_BMD, bonus_BS in zip(
                decoders, logits_KBL, weights, added_KBMD, set_bonus_KBS, strict=True
            )
        ]
        answers.append(_voted(voters, min_labels, block_bytes))
    return torch.cat(answers)


def _voted(voters: Sequence[Voter], min_labels: int, block_bytes: int | None) -> torch.BoolTensor:
    sets_BCL = torch.cat([voter.named(min_labels) for voter in voters], dim=1)
    log_weights_K = torch.tensor([voter.weight for voter in voters], device=sets_BCL.device).log()
    answers = []
    for rows in row_blocks(len(sets_BCL), _BYTES_A_CELL * sets_BCL[0:1].numel(), block_bytes):
        part_BCL = sets_BCL[rows]
        log_probs_KBC = torch.stack([voter.log_probs(part_BCL, rows) for voter in voters])
        scores_BC = (log_probs_KBC + log_weights_K[:, None, None]).logsumexp(dim=0)
        is_small_BC = part_BCL.sum(dim=2) < min_labels
        scores_BC = scores_BC.masked_fill(is_small_BC & ~is_small_BC.all(dim=1, keepdim=True), float("-inf"))
        best_B = scores_BC.argmax(dim=1)
        answers.append(part_BCL[torch.arange(len(best_B), device=best_B.device), best_B])
    return torch.cat(answers)


def _mean_of_orders(log_probs_M: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """The logarithm of the mean of the orders' probabilities."""
    return torch.stack(list(log_probs_M)).logsumexp(dim=0) - math.log(len(log_probs_M))


__all__ = ["Voter", "voted_sets"]
