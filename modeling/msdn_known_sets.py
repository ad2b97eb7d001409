"""The label sets of the training rows: kept with the model, scored fast, and answered with or favoured.

A method that answers with label sets as a whole (a label powerset) never makes up a combination that nobody has seen. A chain
can have the same advantage, if it is wanted: it knows the probability of every set, so it can take the best of a list.

A list is scored at once. What the relation adds to a label's logit is the same for every document, and nearly all labels
of nearly all sets are absent in a neighbourhood where all are absent; so log P of a set is log P of "no label at all", which
is one sum a document, and corrections in the few places near its labels. Equal corrections (same label, same answer, same relation
logit) are shared between sets. Where the relation reads the document, equal are those of the same state of the labels before, and
what is added there is looked up in each document's own table.

Shape legend: B documents, S known sets, L labels, W = ceil(L / 8) bytes a set, C different corrections, N of all sets together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .msdn_chain import LabelChain, Relation, TableChain, as_chain, cell_log_probs, row_blocks, states_of
from .msdn_document_chain import DocumentChain


_LEAST = 1e-30  # a share that is kept apart from 0, so that its logarithm is finite
_CELLS_A_BLOCK = 2**20  # sets x labels that are prepared at once, with about 45 bytes each


def pack_sets(labels_SL: torch.Tensor) -> torch.ByteTensor:
    """Label sets as bits, `(S, ceil(L / 8))`: label l is bit l mod 8 of byte l // 8.

    Args:
        labels_SL (`torch.Tensor` of shape `(S, L)`): 0 and 1.
    """
    padded = F.pad(labels_SL.bool(), (0, -labels_SL.shape[1] % 8)).unflatten(1, (-1, 8))
    weights_8 = 2 ** torch.arange(8, device=labels_SL.device)
    return (padded * weights_8).sum(dim=2).to(torch.uint8)


def unpack_sets(packed_SW: torch.Tensor, num_labels: int) -> torch.BoolTensor:
    """The label sets that `pack_sets` packed, `(S, L)`."""
    bits_8 = torch.arange(8, dtype=torch.uint8, device=packed_SW.device)
    return ((packed_SW[:, :, None] >> bits_8) & 1).bool().flatten(1)[:, :num_labels]


def large_sets(sets_SL: torch.BoolTensor, min_labels: int) -> torch.BoolTensor:
    """Which of the known sets have `min_labels` labels or more, `(S,)`.

    Raises:
        `ValueError`: none has.
    """
    is_large_S = sets_SL.sum(dim=1) >= min_labels
    if not is_large_S.any():
        raise ValueError(f"`known_sets` 'restrict' finds no known set of {min_labels} labels (`min_labels`) or more")
    return is_large_S


class KnownSets(nn.Module):
    """Buffers of the training rows' label sets, saved with the weights: L / 8 + 8 bytes a set.

    In use they take more: L bytes a set, and of each order what `SetScorer` holds.

    Args:
        num_sets (`int`): S; from the configuration, so that a saved model finds its buffers' size.
        num_labels (`int`): L, in the user's order.
    """

    def __init__(self, num_sets: int, num_labels: int):
        super().__init__()
        self.num_labels = num_labels
        self.register_buffer("packed", torch.zeros(num_sets, (num_labels + 7) // 8, dtype=torch.uint8))
        self.register_buffer("counts", torch.zeros(num_sets, dtype=torch.long))

    def __len__(self) -> int:
        return len(self.counts)

    @torch.no_grad()
    def fill(self, packed_SW: torch.Tensor, counts_S: torch.Tensor) -> None:
        """Takes other sets in; the caller writes their number into the configuration (`num_known_sets`).

        Args:
            packed_SW (`torch.ByteTensor` of shape `(S, W)`): of `pack_sets`, each set once.
            counts_S (`torch.Tensor` of shape `(S,)`): training rows of each.

        Raises:
            `ValueError`: shapes that don't fit.
        """
        width = (self.num_labels + 7) // 8
        if packed_SW.ndim != 2 or packed_SW.shape[1] != width or counts_S.shape != packed_SW.shape[:1]:
            raise ValueError(
                f"known sets of {self.num_labels} labels must be packed as (S, {width}) with (S,) counts, found "
                f"{tuple(packed_SW.shape)} and {tuple(counts_S.shape)}"
            )
        self.packed = packed_SW.to(self.packed)
        self.counts = counts_S.to(self.counts)

    @property
    def sets_SL(self) -> torch.BoolTensor:
        """The sets in the user's order of labels, `(S, L)`."""
        return unpack_sets(self.packed, self.num_labels)

    def bonus(self, weight: float) -> torch.FloatTensor:
        """What a set's log-probability gets for having been seen n times, `(S,)`: `weight log(1 + n)`; 0 for unseen sets."""
        return weight * self.counts.float().log1p()

    def log_surplus(self, weight: float) -> torch.FloatTensor:
        """What favouring adds to a set's probability, as a logarithm of its multiple, `(S,)`: `log((1 + n)^weight - 1)`."""
        bonus_S = self.bonus(weight)
        return bonus_S + torch.log(-torch.expm1(-bonus_S))  # finite for any bonus, where its exponential isn't


class _Corrections(NamedTuple):
    """The corrections of a block of sets: C different ones, and which of them each set has (N in all).

    `added_C` is what the relation adds, and `states_C` the state that it is asked in where that hangs on the document: one of the two.
    """

    positions_C: torch.LongTensor
    labels_C: torch.BoolTensor
    added_C: torch.FloatTensor | None
    states_C: torch.LongTensor | None
    members_N: torch.LongTensor
    starts_S: torch.LongTensor


class SetScorer:
    """log P(y|x) of the same list of label sets for any documents.

    Made once a call, or once an evaluation: it holds what the relation says of the sets, 8 bytes for each place near a label
    (or on one) of each set.

    Args:
        relation: a table, a callable or a chain (`as_chain`) of all documents; or a `DocumentChain` that has tables.
        sets_SL (`torch.Tensor` of shape `(S, L)`): 0 and 1, in the chain's order of labels.
        cells_a_block (`int`, *optional*): sets x labels that are prepared at once, and so the memory of doing it.
    """

    def __init__(
        self, relation: Relation | DocumentChain, sets_SL: torch.Tensor, *, cells_a_block: int = _CELLS_A_BLOCK
    ):
        num_labels = sets_SL.shape[1]
        self.num_sets = len(sets_SL)
        self.reach = relation.reach if isinstance(relation, DocumentChain) else None
        blocks = row_blocks(len(sets_SL), num_labels, cells_a_block)
        with torch.no_grad():
            if self.reach is not None:
                self.blocks = [self._corrections_by_state(sets_SL[rows].bool()) for rows in blocks]
                return
            chain = as_chain(relation, num_labels)
            empty_1L = torch.zeros_like(sets_SL[:1]) if len(sets_SL) else sets_SL.new_zeros(1, num_labels)
            self.added_L = chain.of(empty_1L)[0]
            self.blocks = [self._corrections(chain, sets_SL[rows].bool()) for rows in blocks]

    def _corrections(self, chain: LabelChain, sets_SL: torch.BoolTensor) -> _Corrections:
        added_SL = chain.of(sets_SL).contiguous()
        is_other_SL = sets_SL | (added_SL != self.added_L)
        # equal where the bits of the relation logit are
        bits_N = added_SL[is_other_SL].view(torch.int32).long() & 0xFFFFFFFF
        bits_C, shared = _shared(is_other_SL, sets_SL, bits_N)
        bits_C = torch.where(bits_C >= 2**31, bits_C - 2**32, bits_C)
        return _Corrections(added_C=bits_C.to(torch.int32).view(torch.float32), states_C=None, **shared)

    def _corrections_by_state(self, sets_SL: torch.BoolTensor) -> _Corrections:
        states_SL = states_of(sets_SL, self.reach)
        is_other_SL = sets_SL | (states_SL != 0)
        states_C, shared = _shared(is_other_SL, sets_SL, states_SL[is_other_SL])
        return _Corrections(added_C=None, states_C=states_C, **shared)

    def __call__(self, logits_BL: torch.Tensor, chain: TableChain | None = None) -> torch.FloatTensor:
        """log P(y|x) of each set, `(B, S)`.

        Args:
            logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
            chain (`TableChain`, *optional*): of these documents, where the relation is a `DocumentChain`.
        """
        logits_BL = logits_BL.float()
        added_where_none = self.added_L if self.reach is None else chain.table_LS[..., 0]
        absent_BL = -F.softplus(
            logits_BL + added_where_none
        )  # log P of each label's absence where none came before it
        corrected = []
        for block in self.blocks:
            if not len(block.members_N):  # the empty set alone, or no set
                corrected.append(logits_BL.new_zeros(len(logits_BL), len(block.starts_S)))
                continue
            added = block.added_C if self.reach is None else chain.table_LS[:, block.positions_C, block.states_C]
            logits_BC = logits_BL[:, block.positions_C] + added
            corrections_BC = cell_log_probs(logits_BC, block.labels_C) - absent_BL[:, block.positions_C]
            sums_SB = F.embedding_bag(block.members_N, corrections_BC.T.contiguous(), block.starts_S, mode="sum")
            corrected.append(sums_SB.T)
        return absent_BL.sum(dim=1, keepdim=True) + torch.cat(corrected, dim=1)

    @property
    def bytes_a_document(self) -> int:
        """What `__call__` holds for each document, in bytes."""
        most = max((len(block.positions_C) for block in self.blocks), default=0)
        return 4 * (2 * self.num_sets + 5 * most)


def _shared(
    is_other_SL: torch.BoolTensor, sets_SL: torch.BoolTensor, values_N: torch.LongTensor
) -> tuple[torch.LongTensor, dict[str, torch.Tensor]]:
    """The different ones of corrections `(N,)`, and which of them each set has.

    Args:
        is_other_SL (`torch.BoolTensor` of shape `(S, L)`): where corrections are, N in all.
        sets_SL (`torch.BoolTensor` of shape `(S, L)`): the sets.
        values_N (`torch.LongTensor` of shape `(N,)`): 32 bits each, in which corrections of one place and answer may differ.

    Returns:
        `(values_C, fields)`: the different ones' values, and `_Corrections`' other fields.
    """
    _, positions_N = is_other_SL.nonzero(as_tuple=True)  # by sets, and in each by positions
    keys_N = ((positions_N * 2 + sets_SL[is_other_SL]) << 32) | values_N
    keys_C, members_N = keys_N.unique(return_inverse=True)
    numbers_S = is_other_SL.sum(dim=1)
    return keys_C & 0xFFFFFFFF, {
        "positions_C": keys_C >> 33,
        "labels_C": ((keys_C >> 32) & 1).bool(),
        "members_N": members_N,
        "starts_S": numbers_S.cumsum(dim=0) - numbers_S,
    }


class SetFinder:
    """Which of a list of label sets a set is. 16 bytes a set.

    Sets are compared by sums of random numbers of 63 bits, one a label: among a million sets of the list and a million others two
    different ones have the same sum about once in ten million times.

    Args:
        sets_SL (`torch.Tensor` of shape `(S, L)`): 0 and 1, each set once.
    """

    def __init__(self, sets_SL: torch.Tensor):
        self.numbers_L = torch.randint(2**63 - 1, sets_SL.shape[1:], generator=torch.Generator().manual_seed(0))
        self.numbers_L = self.numbers_L.to(sets_SL.device)
        blocks = row_blocks(len(sets_SL), sets_SL.shape[1], _CELLS_A_BLOCK)
        self.sums_S, self.order_S = torch.cat([self._sums(sets_SL[rows]) for rows in blocks]).sort()

    def _sums(self, labels: torch.Tensor) -> torch.LongTensor:
        return (labels.long() * self.numbers_L).sum(dim=-1)  # beyond 64 bits they begin anew

    def __call__(self, labels: torch.Tensor) -> torch.LongTensor:
        """The place of each set of labels `(..., L)` in the list, `(...)`; -1 where it isn't there."""
        sums = self._sums(labels)
        if not len(self.sums_S):
            return torch.full_like(sums, -1)
        found = torch.searchsorted(self.sums_S, sums).clamp(max=len(self.sums_S) - 1)
        return self.order_S[found].masked_fill(self.sums_S[found] != sums, -1)


def share_log_odds(
    log_weights_BS: torch.Tensor,
    sets_SL: torch.Tensor,
    log_probs_BL2: torch.Tensor | None = None,
) -> torch.FloatTensor:
    """Log-odds of each label under a distribution over the listed sets, `(B, L)`, alone or added to another distribution.

    Alone, it is what restricted answers believe: `P(S|x)` over the listed sets, normalised. Added to the chain's own
    marginals, with the weights `P(S|x) ((1 + n)^w - 1)`, it is what favouring believes: every set's probability times
    `(1 + n)^w`, which is 1 for those never seen.

    Args:
        log_weights_BS (`torch.Tensor` of shape `(B, S)`): logarithm of each set's weight, not normalised.
        sets_SL (`torch.Tensor` of shape `(S, L)`): the sets.
        log_probs_BL2 (`torch.Tensor` of shape `(B, L, 2)`, *optional*):
            logarithms of the probabilities of absence and presence in the other distribution, on the weights' scale.
    """
    most_B1 = log_weights_BS.amax(dim=1, keepdim=True)
    weights_BS = (log_weights_BS - most_B1).exp()
    present_BL = absent_BL = 0.0
    for rows in row_blocks(len(sets_SL), sets_SL.shape[1], _CELLS_A_BLOCK):  # as numbers they are four times as large
        members_SL = sets_SL[rows].to(weights_BS)
        present_BL = present_BL + weights_BS[:, rows] @ members_SL
        absent_BL = absent_BL + weights_BS[:, rows] @ (1 - members_SL)
    log_present_BL, log_absent_BL = (part.clamp(min=_LEAST).log() + most_B1 for part in (present_BL, absent_BL))
    if log_probs_BL2 is not None:
        log_absent_BL = torch.logaddexp(log_absent_BL, log_probs_BL2[..., 0])
        log_present_BL = torch.logaddexp(log_present_BL, log_probs_BL2[..., 1])
    return log_present_BL - log_absent_BL


__all__ = ["KnownSets", "SetFinder", "SetScorer", "large_sets", "pack_sets", "share_log_odds", "unpack_sets"]
