"""From a document's base logits to its label set and its scores, over one label chain or several with orders of their own.

Which set to answer with is a matter of the metric:

- Subset accuracy, the whole set right: the most probable set. `decoding="viterbi"` finds it exactly; beams, samples and
  greedy approach it.
- Hamming loss, labels right: every label whose marginal is above one half. Labels are counted one by one, so only their
  marginals matter: `decision="thresholds"` with the threshold .5 and `scores="marginals"`.
- F1 of a document: the set of the highest expected F1 (`expected_f1_choice`, `decision="expected_f1"`), from the sets that
  may be true: it takes in labels that are less likely than not where a miss costs more than a false alarm.
- Rankings (precision@k, average precision) ask for no set: they are answered by the marginals.

The most probable set may hold a label of marginal below one half, and the labels above one half may be a set that never
occurs. Neither is wrong; they answer different questions.

Several chains (an ensemble over orders) vote: the candidates of each are scored by all, and the best mean log-probability
wins; marginals are averaged as probabilities. The mean of logarithms is a geometric mean: a set that one order holds impossible
is out, which is what a conjunction of models should say of a whole set.

Shape legend: B documents, L labels, M orders, C candidates, K beams or samples, N samples, S known sets, P label ids of a set, D
channels of a relation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch.nn import functional as F
from transformers.utils import logging

from .msdn_chain import LabelChain, log_probabilities, row_blocks, rows_of
from .msdn_document_chain import DocumentChain
from .msdn_exact import forward_marginals, viterbi
from .msdn_known_sets import KnownSets, SetFinder, SetScorer, large_sets, share_log_odds
from .msdn_search import FoundLabels, SampledLabels, beam_search, greedy, log_odds_along, sample
from .set_scores import LabelSets, expected_f1_set


logger = logging.get_logger(__name__)

DECODINGS = ("greedy", "viterbi", "beam", "sample")


class OrderedChain:
    """A chain and the order of its labels.

    Args:
        chain ([`~msdn_chain.LabelChain`] or [`~msdn_document_chain.DocumentChain`]): in its own order.
        order_L (`Sequence[int]` or `torch.LongTensor` of shape `(L,)`): the label at each place.
    """

    def __init__(self, chain: LabelChain | DocumentChain, order_L: Sequence[int] | torch.LongTensor):
        self.chain = chain
        self.order_L = torch.as_tensor(order_L, dtype=torch.long)
        self.places_L = self.order_L.argsort()

    def to_chain(self, values: torch.Tensor) -> torch.Tensor:
        """Values `(..., L)` in the user's order of labels, in the chain's."""
        return values[..., self.order_L.to(values.device)]

    def to_user(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_chain`."""
        return values[..., self.places_L.to(values.device)]

    @property
    def is_exact(self) -> bool:
        """Whether the relation is a table, or one a document: then the mode and the marginals are exact."""
        return self.chain.has_table

    @property
    def reads_documents(self) -> bool:
        """Whether documents have relations of their own."""
        return isinstance(self.chain, DocumentChain)


class ChainOfDocuments(NamedTuple):
    """A chain and documents to decode by it, everything in its order of labels.

    Args:
        ordered ([`OrderedChain`]): it and its order.
        chain ([`~msdn_chain.LabelChain`]): of these documents; the same, where relations don't read them.
        logits_BL (`torch.Tensor` of shape `(B, L)`): their base logits.
        set_bonus_BS (`torch.Tensor` of shape `(B, S)`, *optional*): what the known sets' log-probabilities get beside the chain's.
    """

    ordered: OrderedChain
    chain: LabelChain
    logits_BL: torch.Tensor
    set_bonus_BS: torch.Tensor | None = None

    def of_rows(self, documents: slice) -> ChainOfDocuments:
        """Some of the documents."""
        tensors = rows_of(documents, self.logits_BL, self.set_bonus_BS)
        return ChainOfDocuments(self.ordered, self.chain.of_rows(documents), *tensors)

    def log_probs(self, labels_BCL: torch.Tensor) -> torch.FloatTensor:
        """log P of given sets of each document, in the user's order of labels, `(B, C)`."""
        return log_probabilities(self.logits_BL, self.chain, self.ordered.to_chain(labels_BCL))

    def mode(self) -> torch.BoolTensor:
        """The most probable sets in the user's order of labels, `(B, L)`; of a chain that is a table."""
        return self.ordered.to_user(viterbi(self.logits_BL, self.chain.table_LS)[0])

    def beams(self, num_beams: int) -> torch.BoolTensor:
        """What a beam search finds, in the user's order of labels, `(B, K, L)`."""
        return self.ordered.to_user(beam_search(self.logits_BL, self.chain, num_beams=num_beams).labels_BKL)


class ChainAnswer(NamedTuple):
    """What documents are answered with, in the user's order of labels.

    Args:
        logits_BL (`torch.FloatTensor` of shape `(B, L)`): log-odds of the labels' scores.
        chosen_BL (`torch.BoolTensor` of shape `(B, L)`, *optional*): their label sets, where these were asked for.
        log_probs_B (`torch.FloatTensor` of shape `(B,)`, *optional*):
            log P of the set by the chain; of several orders, the mean. Of known sets with what they have beside it (`set_bonus_BS`),
            not normalised.
    """

    logits_BL: torch.FloatTensor
    chosen_BL: torch.BoolTensor | None = None
    log_probs_B: torch.FloatTensor | None = None


class ChainDecoder:
    """Decodes documents by the same chains and settings; made once a call, or once an evaluation.

    Args:
        chains (`Sequence[OrderedChain]`): M, over the same labels.
        decoding (`str`, *optional*, defaults to `"viterbi"`):
            `"greedy"`, `"viterbi"` (by beams where a chain has no table), `"beam"` or `"sample"` (the most probable one drawn).
        scores (`str`, *optional*, defaults to `"marginals"`):
            `"marginals"`: each label's probability whatever the others are: exact where a chain has a table, from samples
            otherwise and with `decoding="sample"`; under `known_sets` that of the changed distribution. `"decoded"`: its
            probability given the labels before it in the answered set, the logits of several orders averaged.
        decision (`str`, *optional*, defaults to `"sets"`):
            `"expected_f1"` answers with the set of the highest expected F1 in place of the most probable one: by
            `num_samples` samples of each chain, and of known sets by the probabilities of as many of the most probable ones.
        num_beams (`int`, *optional*, defaults to 8): of beam search.
        num_samples (`int`, *optional*, defaults to 100): drawn a document.
        seed (`int`, *optional*, defaults to 0): of the samples.
        known (`KnownSets`, *optional*): the training rows' label sets.
        known_sets (`str`, *optional*, defaults to `"off"`):
            `"restrict"`: only they are answered, without a search. `"favour"`: the probability of a set seen n times is multiplied by
            `(1 + n) ** known_set_weight`; with Viterbi over one order the answer then is the best of all 2^L sets, since a
            set that was not seen and is not the mode can't win.
        known_set_weight (`float`, *optional*, defaults to 1.0): with 0, `"favour"` is `"off"`.
        min_labels (`int`, *optional*, defaults to 0):
            With `"restrict"`, smaller known sets aren't answered. Of other answers it is the caller's to fill them up.

    Raises:
        `ValueError`: an unknown decoding; known sets asked for where none are kept, or none so large, or where relations read the
            document and have no tables.
    """

    def __init__(
        self,
        chains: Sequence[OrderedChain],
        *,
        decoding: str = "viterbi",
        scores: str = "marginals",
        decision: str = "sets",
        num_beams: int = 8,
        num_samples: int = 100,
        seed: int = 0,
        known: KnownSets | None = None,
        known_sets: str = "off",
        known_set_weight: float = 1.0,
        min_labels: int = 0,
    ):
        if decoding not in DECODINGS:
            raise ValueError(f"`decoding` must be one of {', '.join(DECODINGS)}, found '{decoding}'")
        if known_sets == "favour" and not known_set_weight:
            known_sets = "off"
        if known_sets != "off" and any(ordered.reads_documents and not ordered.is_exact for ordered in chains):
            raise ValueError(
                f"`known_sets` '{known_sets}' with relations that read the document (`document_relations`) needs tables of their "
                "states, found relations that reach too far back for them"
            )
        if known_sets != "off" and not known:
            raise ValueError(
                f"`known_sets` '{known_sets}' needs the label sets of the training rows, found none kept: a training with it "
                f"keeps them (train --model_name_or_path OUT --known_sets {known_sets})"
            )
        if decoding == "viterbi" and not all(ordered.is_exact for ordered in chains):
            logger.warning_once(
                "The relations reach too far back for exact decoding: beam search is used in its place "
                "(`decoding` 'viterbi', `num_beams`)."
            )
            decoding = "beam"
        self.chains, self.decoding, self.scores, self.decision = list(chains), decoding, scores, decision
        self.num_beams, self.num_samples, self.seed = num_beams, num_samples, seed
        self.known_sets = known_sets
        if known_sets != "off":
            self.sets_SL, self.bonus_S = known.sets_SL, known.bonus(known_set_weight)
            self.log_surplus_S = known.log_surplus(known_set_weight)
            self.scorers = [SetScorer(ordered.chain, ordered.to_chain(self.sets_SL)) for ordered in self.chains]
        self.is_large_S = None
        if known_sets == "restrict" and min_labels and decision != "thresholds":
            self.is_large_S = large_sets(self.sets_SL, min_labels)

    @cached_property
    def finder(self) -> SetFinder:
        """Finds known sets by their labels; a vote of several models asks for it (msdn_voting.py)."""
        return SetFinder(self.sets_SL)

    def __call__(
        self,
        logits_BL: torch.Tensor,
        added_BMD: torch.Tensor | None = None,
        set_bonus_BS: torch.Tensor | None = None,
        *,
        with_sets: bool = True,
        block_bytes: int | None = None,
    ) -> ChainAnswer:
        """The answers, block by block of documents.

        Args:
            logits_BL (`torch.Tensor` of shape `(B, L)`): base logits in the user's order of labels.
            added_BMD (`torch.Tensor` of shape `(B, M, D)`, *optional*):
                what documents add to the channels of each order's relation, where relations read them.
            set_bonus_BS (`torch.Tensor` of shape `(B, S)`, *optional*):
                what is added to the log-probability of each known set, of each document; with `"restrict"` alone.
            with_sets (`bool`, *optional*, defaults to `True`): whether sets are wanted; marginals alone need no search.
            block_bytes (`int`, *optional*): memory of a block; 32 MiB.
        """
        logits_BL = logits_BL.detach()
        with_sets = with_sets or self.scores == "decoded"
        blocks = row_blocks(len(logits_BL), self._bytes_a_document(logits_BL.shape[1]), block_bytes)
        with torch.no_grad():
            answers = [
                self._answer(self.of_documents(*rows_of(rows, logits_BL, added_BMD, set_bonus_BS)), with_sets)
                for rows in blocks
            ]
        return ChainAnswer(*(torch.cat(parts) for parts in zip(*answers, strict=True) if parts[0] is not None))

    def of_documents(
        self,
        logits_BL: torch.Tensor,
        added_BMD: torch.Tensor | None = None,
        set_bonus_BS: torch.Tensor | None = None,
    ) -> list[ChainOfDocuments]:
        """The chains with these documents, M.

        Args:
            logits_BL, added_BMD, set_bonus_BS: as a call takes them, all at once.

        Raises:
            `ValueError`: `added_BMD` or `set_bonus_BS` where nothing reads it, or none where relations need it.
        """
        if set_bonus_BS is not None and self.known_sets != "restrict":
            raise ValueError(f"`set_bonus_BS` is of `known_sets` 'restrict', found '{self.known_sets}'")
        logits_BL, parts = logits_BL.float(), []
        for number, ordered in enumerate(self.chains):
            chain = ordered.chain
            if ordered.reads_documents != (added_BMD is not None):
                raise ValueError(
                    "`added_BMD` is of relations that read the document, found "
                    + ("none for such a one" if added_BMD is None else f"{tuple(added_BMD.shape)} for another")
                )
            if ordered.reads_documents:
                chain = chain.of_documents(added_BMD[:, number])
            parts.append(ChainOfDocuments(ordered, chain, ordered.to_chain(logits_BL), set_bonus_BS))
        return parts

    @torch.no_grad()
    def choices(
        self,
        logits_BL: torch.Tensor,
        added_BMD: torch.Tensor | None = None,
        set_bonus_BS: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """What scores hang on that jumps from one document to another, for `scores_given`; nothing where all is smooth.

        Args:
            logits_BL, added_BMD, set_bonus_BS: as a call takes them.

        Returns:
            `answers_BL`, the answered sets, where scores are those along them; `drawn_BMNL`, each order's samples (in its order),
            where these estimate marginals.
        """
        if self.scores == "decoded":
            return {"answers_BL": self(logits_BL, added_BMD, set_bonus_BS).chosen_BL}
        if not any(self._draws(ordered, with_sets=False) for ordered in self.chains):
            return {}
        parts = self.of_documents(logits_BL.detach(), added_BMD)
        drawn = [self._drawn(number, part, with_sets=False) for number, part in enumerate(parts)]
        return {"drawn_BMNL": torch.stack([samples.labels_BNL for samples in drawn], dim=1)}

    def scores_given(
        self,
        logits_BL: torch.Tensor,
        choices: dict[str, torch.Tensor],
        added_BMD: torch.Tensor | None = None,
        set_bonus_BS: torch.Tensor | None = None,
    ) -> torch.FloatTensor:
        """The logits that a call answers with, `(B, L)`, with gradients by the base logits and what is added; not in blocks.

        Args:
            logits_BL, added_BMD, set_bonus_BS: as a call takes them.
            choices (`dict`): of the documents, from `choices`.
        """
        parts = self.of_documents(logits_BL, added_BMD, set_bonus_BS)
        if self.scores == "decoded":
            return self._along(parts, choices["answers_BL"])
        drawn = choices["drawn_BMNL"].unbind(dim=1) if "drawn_BMNL" in choices else [None] * len(parts)
        estimated = [
            None if labels_BNL is None else log_odds_along(part.logits_BL, part.chain, labels_BNL)
            for part, labels_BNL in zip(parts, drawn, strict=True)
        ]
        return self._marginals(parts, estimated, self.of_sets(parts))

    def of_sets(self, parts: list[ChainOfDocuments]) -> torch.FloatTensor | None:
        """log P of the known sets under each order, `(M, B, S)`, where they matter, with what they have beside the chain."""
        if self.known_sets == "off":
            return None
        of_sets_MBS = torch.stack(
            [scorer(part.logits_BL, part.chain) for scorer, part in zip(self.scorers, parts, strict=True)]
        )
        bonus_BS = parts[0].set_bonus_BS  # the same for every order
        return of_sets_MBS if bonus_BS is None else of_sets_MBS + bonus_BS

    def _bytes_a_document(self, num_labels: int) -> int:
        candidates = {"beam": self.num_beams, "sample": self.num_samples}.get(self.decoding, 1)
        if self.decision == "expected_f1":
            candidates = 2 * self.num_samples
        held = 32 * num_labels * candidates * len(self.chains)  # scored by one chain at a time
        held += sum(self.bytes_of_chains())
        if self.known_sets == "off":
            return held
        return (
            held
            + sum(scorer.bytes_a_document for scorer in self.scorers)
            + (16 + 4 * len(self.chains)) * len(self.sets_SL)
        )

    def bytes_of_chains(self) -> list[int]:
        """What each order's chain of a document takes, in bytes, where it is the document's own."""
        return [ordered.chain.bytes_a_document for ordered in self.chains if ordered.reads_documents]

    def _answer(self, parts: list[ChainOfDocuments], with_sets: bool) -> ChainAnswer:
        drawn = [self._drawn(number, part, with_sets) for number, part in enumerate(parts)]
        chosen_BL = log_probs_B = None
        of_sets_MBS = self.of_sets(parts)
        if with_sets and self.decision == "expected_f1":
            possible = self._possible(drawn, of_sets_MBS)
            chosen_BL = expected_f1_choice(possible, only_found=self.known_sets == "restrict")
            log_probs_B = _mean_log_probs(parts, chosen_BL[:, None]).squeeze(1)
        elif with_sets:
            if self.known_sets != "restrict":
                chosen_BL, log_probs_B = self._searched(parts, drawn)
            if self.known_sets != "off":
                chosen_BL, log_probs_B = self._with_known(of_sets_MBS.mean(dim=0), chosen_BL, log_probs_B)
        if self.scores == "decoded":
            return ChainAnswer(self._along(parts, chosen_BL), chosen_BL, log_probs_B)
        estimated = [None if samples is None else samples.log_odds_BL for samples in drawn]
        return ChainAnswer(self._marginals(parts, estimated, of_sets_MBS), chosen_BL, log_probs_B)

    def _has_exact_marginals(self, ordered: OrderedChain) -> bool:
        return ordered.is_exact and self.decoding != "sample"

    def _draws(self, ordered: OrderedChain, with_sets: bool) -> bool:
        """Whether the answer of a chain, or its marginals, need samples."""
        of_sets = with_sets and (self.decision == "expected_f1" or self.decoding == "sample")
        of_scores = self.scores == "marginals" and not self._has_exact_marginals(ordered)
        return self.known_sets != "restrict" and (of_sets or of_scores)

    def _drawn(self, number: int, part: ChainOfDocuments, with_sets: bool) -> SampledLabels | None:
        """Samples of one chain, where they are needed."""
        if not self._draws(part.ordered, with_sets):
            return None
        # other numbers for each order: their errors are to average out
        return sample(part.logits_BL, part.chain, num_samples=self.num_samples, seed=self.seed + number)

    def _possible(self, drawn: list[SampledLabels | None], of_sets_MBS: torch.Tensor | None) -> FoundLabels:
        """Sets that may be true and their shares of the probability: all samples, and the likeliest known sets."""
        labels, log_weights = [], []
        if self.known_sets != "restrict":
            for ordered, samples in zip(self.chains, drawn, strict=True):
                labels.append(ordered.to_user(samples.labels_BNL))
                share = 1 / (len(drawn) * self.num_samples)
                log_weights.append(torch.full_like(samples.log_probs_BN, math.log(share)))
        if self.known_sets != "off":
            weights_BS, sets_SL = of_sets_MBS.logsumexp(dim=0) - math.log(len(of_sets_MBS)), self.sets_SL
            if self.known_sets == "favour":  # what they have more than the samples say
                weights_BS = weights_BS + self.log_surplus_S
            if self.is_large_S is not None:
                weights_BS, sets_SL = weights_BS[:, self.is_large_S], sets_SL[self.is_large_S]
            best = weights_BS.sort(dim=1, descending=True, stable=True)
            labels.append(sets_SL[best.indices[:, : self.num_samples]])
            log_weights.append(best.values[:, : self.num_samples])
        return FoundLabels(torch.cat(labels, dim=1), torch.cat(log_weights, dim=1))

    def _searched(
        self, parts: list[ChainOfDocuments], drawn: list[SampledLabels | None]
    ) -> tuple[torch.BoolTensor, torch.FloatTensor]:
        """The best set `(B, L)` of those that the chains find, by all of them, and its mean log-probability `(B,)`."""
        candidates_BCL = torch.cat([self._candidates(*found) for found in zip(parts, drawn, strict=True)], dim=1)
        scores_BC = _mean_log_probs(parts, candidates_BCL)
        best_B = scores_BC.argmax(dim=1)
        rows_B = torch.arange(len(best_B), device=best_B.device)
        return candidates_BCL[rows_B, best_B], scores_BC[rows_B, best_B]

    def _candidates(self, part: ChainOfDocuments, drawn: SampledLabels | None) -> torch.BoolTensor:
        """The label vectors `(B, C, L)` that one chain finds, in the user's order; of one chain alone the best is enough."""
        if self.decoding == "greedy":
            return part.ordered.to_user(greedy(part.logits_BL, part.chain)[0])[:, None]
        if self.decoding == "viterbi":
            return part.mode()[:, None]
        if self.decoding == "beam":
            found_BKL = part.beams(self.num_beams)
            return found_BKL[:, :1] if len(self.chains) == 1 else found_BKL
        return part.ordered.to_user(drawn.labels_BNL)

    def _with_known(
        self, scores_BS: torch.Tensor, chosen_BL: torch.Tensor | None, log_probs_B: torch.Tensor | None
    ) -> tuple[torch.BoolTensor, torch.FloatTensor]:
        """The best known set, or the searched one where known sets are only favoured and it is better than they."""
        favoured_BS = scores_BS if chosen_BL is None else scores_BS + self.bonus_S
        if self.is_large_S is not None:
            favoured_BS = favoured_BS.masked_fill(~self.is_large_S, float("-inf"))
        best_B = favoured_BS.argmax(dim=1)  # of equals the first, which was seen most
        rows_B = torch.arange(len(best_B), device=best_B.device)
        known_BL, known_B = self.sets_SL[best_B], scores_BS[rows_B, best_B]
        if chosen_BL is None:
            return known_BL, known_B
        is_known_B = favoured_BS[rows_B, best_B] >= log_probs_B
        return torch.where(is_known_B[:, None], known_BL, chosen_BL), torch.where(is_known_B, known_B, log_probs_B)

    def _along(self, parts: list[ChainOfDocuments], chosen_BL: torch.Tensor) -> torch.FloatTensor:
        """The logit of each label given those before it in the set, averaged over the orders."""
        along_MBL = torch.stack(
            [part.ordered.to_user(part.logits_BL + part.chain.of(part.ordered.to_chain(chosen_BL))) for part in parts]
        )
        return along_MBL.mean(dim=0)

    def _marginals(
        self,
        parts: list[ChainOfDocuments],
        estimated: list[torch.Tensor | None],
        of_sets_MBS: torch.Tensor | None,
    ) -> torch.FloatTensor:
        """Log-odds of each label's probability, `(B, L)`: of the chains, averaged, or as the known sets change it.

        Where the marginals of a chain aren't exact, `estimated` has their log-odds in the chain's order.
        """
        if self.known_sets == "restrict":
            return share_log_odds(of_sets_MBS.logsumexp(dim=0), self.sets_SL)
        log_odds_MBL = torch.stack(
            [
                part.ordered.to_user(
                    forward_marginals(part.logits_BL, part.chain.table_LS)
                    if self._has_exact_marginals(part.ordered)
                    else log_odds_BL
                )
                for part, log_odds_BL in zip(parts, estimated, strict=True)
            ]
        )
        if self.known_sets == "off" and len(parts) == 1:
            return log_odds_MBL[0]
        # of absence and of presence
        both_MBL2 = torch.stack([F.logsigmoid(-log_odds_MBL), F.logsigmoid(log_odds_MBL)], dim=3)
        both_BL2 = both_MBL2.logsumexp(dim=0)
        if self.known_sets == "off":
            return both_BL2[..., 1] - both_BL2[..., 0]
        weights_BS = of_sets_MBS.logsumexp(dim=0) + self.log_surplus_S
        return share_log_odds(weights_BS, self.sets_SL, both_BL2)


def _mean_log_probs(parts: list[ChainOfDocuments], labels_BCL: torch.BoolTensor) -> torch.FloatTensor:
    """The mean over the orders of log P of given sets, `(B, C)`."""
    return torch.stack([part.log_probs(labels_BCL) for part in parts]).mean(dim=0)


def expected_f1_choice(found: FoundLabels | SampledLabels, *, only_found: bool = False) -> torch.BoolTensor:
    """The set of the highest expected F1 of a document, `(B, L)`, by the sets that were found or drawn.

    Found ones count by their probabilities, drawn ones each the same; see `set_scores.expected_f1_set`, which ranks the
    labels once for each number of labels that some of the sets hold together.

    Args:
        found ([`~msdn_search.FoundLabels`] or [`~msdn_search.SampledLabels`]): the sets that may be true.
        only_found (`bool`, *optional*, defaults to `False`): answer with one of them.
    """
    labels_BKL, log_probs_BK = found[:2]
    num_labels = labels_BKL.shape[2]
    places_BKL = torch.where(labels_BKL, torch.arange(num_labels, device=labels_BKL.device), num_labels)
    most = int(labels_BKL.sum(dim=2).max()) if labels_BKL.numel() else 0
    ids_BKP = places_BKL.sort(dim=2).values[:, :, : max(1, most)]
    weights_BK = torch.zeros_like(log_probs_BK) if isinstance(found, SampledLabels) else log_probs_BK
    sets = LabelSets(
        ids_BKP.masked_fill(ids_BKP == num_labels, -100),
        weights_BK,
        torch.arange(labels_BKL.shape[1], device=labels_BKL.device).expand_as(log_probs_BK),
    )
    return expected_f1_set(sets, num_labels, only_found=only_found)


__all__ = ["DECODINGS", "ChainAnswer", "ChainDecoder", "ChainOfDocuments", "OrderedChain", "expected_f1_choice"]
