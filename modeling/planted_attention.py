"""PLANT's planted attention: which tokens a label reads is known before training begins.

Two plants stand beside the attention that is learned. The first is a list of tokens a label with their mutual
information, counted on training documents; the second a low-rank ranker of tokens for labels, learned offline and
trained on. Both give each label a handful of places in a document, its best `k` ("inattention": all others get nothing),
so that what has to be held is B x L x k, never B x L x T.

    mutual information   a_lt = J(x_t, l) / (the sum of l's k best values)               fixed
    ranked               a_lt = softmax over the k best t of <u_{x_t}, v_l> + c_{x_t}      trainable

Roy and others, "PLANT", arXiv:2410.23066, and the authors' code, whose arithmetic differs: there the first is not divided
by anything, and the second is a softmax over all tokens with the scores of those left out set to zero.

A token that occurs several times takes several places, the first ones in the document first. Ties are broken by the list
and by position, never by a sort's whim: results do not depend on padding or on what else is in the batch.

Shape legend: B documents, T tokens, L labels, l labels of one block, V vocabulary, K tokens of a label's list, R rank, k
places kept, D width.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .label_attention import exporting


# cells of the largest tensor of one block of labels: 16 MB in float32
BLOCK_CELLS = 2**22


class TokenIndex(NamedTuple):
    """Where in each document each token of the vocabulary stands; column V is no token and stands nowhere."""

    counts: torch.Tensor  # (B, V + 1) int32: how often
    starts: torch.Tensor  # (B, V + 1) int32: the first of its places in `order`
    order: torch.Tensor  # (B, T) places, sorted by token, then by position

    @classmethod
    def of(cls, input_ids_BT: torch.Tensor, mask_BT: torch.BoolTensor, vocab_size: int) -> "TokenIndex":
        """The index of the tokens that `mask_BT` marks."""
        tokens_BT = torch.where(mask_BT, input_ids_BT, vocab_size)
        counts = tokens_BT.new_zeros(tokens_BT.shape[0], vocab_size + 1, dtype=torch.int32)
        counts.scatter_add_(1, tokens_BT, torch.ones_like(tokens_BT, dtype=torch.int32))
        starts = counts.cumsum(dim=1, dtype=torch.int32) - counts
        counts[:, vocab_size] = 0
        places_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        # no two keys are equal, so any sort keeps the order of the places; ONNX has no stable one
        return cls(counts, starts, (tokens_BT * tokens_BT.shape[1] + places_T).sort(dim=1).indices)

    def first_places(self, input_ids_BT: torch.Tensor, mask_BT: torch.BoolTensor) -> torch.BoolTensor:
        """Which places hold a token that has not been there before in the document, `(B, T)`."""
        tokens_BT = torch.where(mask_BT, input_ids_BT, self.counts.shape[1] - 1)
        first_BT = self.order.gather(1, self.starts.gather(1, tokens_BT).long())
        return mask_BT & (first_BT == torch.arange(mask_BT.shape[1], device=mask_BT.device))

    def keep(self, tokens_BlK: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.BoolTensor]:
        """The first `k` places of each label, its tokens taken in the order given.

        Args:
            tokens_BlK (`torch.LongTensor` of shape `(B, l, K)`): tokens, best first; V stands for none.
            k (`int`): places to keep.

        Returns:
            places `(B, l, k)`, the column of `tokens_BlK` that each is of, and which of them exist.
        """
        shape_BlK, (_, num_tokens) = tokens_BlK.shape, self.order.shape
        flat = tokens_BlK.flatten(1)
        counts_BlK = self.counts.gather(1, flat).view(shape_BlK)
        ends_BlK = counts_BlK.cumsum(dim=2, dtype=torch.int32)
        slots_k = torch.arange(k, device=flat.device, dtype=torch.int32)
        if exporting():  # ONNX has no binary search
            columns_Blk = (ends_BlK[..., None] <= slots_k).sum(dim=2)
        else:
            columns_Blk = torch.searchsorted(ends_BlK, slots_k.expand(*shape_BlK[:2], k).contiguous(), right=True)
        found_Blk = columns_Blk < shape_BlK[2]
        columns_Blk = columns_Blk.clamp(max=shape_BlK[2] - 1)
        tokens_Blk = tokens_BlK.gather(2, columns_Blk)
        before_Blk = ends_BlK.gather(2, columns_Blk) - counts_BlK.gather(2, columns_Blk)
        rows = self.starts.gather(1, tokens_Blk.flatten(1)).view_as(tokens_Blk) + slots_k - before_Blk
        rows = rows.clamp(0, num_tokens - 1).long()  # of those not found, anything will do
        places_Blk = self.order.gather(1, rows.flatten(1)).view_as(rows)
        return places_Blk.where(found_Blk, 0), columns_Blk, found_Blk


class KeptTokens(NamedTuple):
    """What is left of an attention after inattention: places and weights, `(B, L, k)` each; weights 0 where none is left."""

    places: torch.LongTensor
    weights: torch.FloatTensor

    def context(self, hidden_BTD: torch.Tensor) -> torch.FloatTensor:
        """The weighted sum of the token vectors, `(B, L, D)`, in float32; gradients reach weights and vectors."""
        batch_size, num_tokens, width = hidden_BTD.shape
        values = hidden_BTD.to(self.weights.dtype)
        if exporting():
            gathered = values[:, None].expand(-1, self.places.shape[1], -1, -1)
            gathered = gathered.gather(2, self.places[..., None].expand(-1, -1, -1, width))
            return (gathered * self.weights[..., None]).sum(dim=2)
        # a bag of weighted rows: the B x L x k x D vectors that it sums never exist
        offsets_B = num_tokens * torch.arange(batch_size, device=hidden_BTD.device)
        context = F.embedding_bag(
            (self.places + offsets_B[:, None, None]).flatten(0, 1),
            values.reshape(-1, width),
            per_sample_weights=self.weights.flatten(0, 1),
            mode="sum",
        )
        return context.view(batch_size, -1, width)

    def dense(self, num_tokens: int) -> torch.FloatTensor:
        """The weights `(B, L, T)`, for few labels."""
        return self.weights.new_zeros(*self.places.shape[:2], num_tokens).scatter_add_(2, self.places, self.weights)


class MutualInformationAttention(nn.Module):
    """The first plant: the tokens of each label's list that stand in the document, weighed by their mutual information.

    Buffers:
        tokens (`torch.IntTensor` of shape `(L, K)`): each label's tokens, best first; -1 where there are fewer.
        values (`torch.FloatTensor` of shape `(L, K)`): their mutual information with the label, 0 where there is none.
    """

    def __init__(self, config):
        super().__init__()
        self.top_k, self.vocab_size = config.mutual_information_topk, config.vocab_size
        self.scale = config.mutual_information_scale
        shape_LK = (config.num_labels, config.stored_tokens)
        # persistent: buffers that are not saved come back as uninitialised memory (transformers#48892)
        self.register_buffer("tokens", torch.full(shape_LK, -1, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(shape_LK))

    @torch.no_grad()
    def forward(self, index: TokenIndex, rows: slice | torch.LongTensor = slice(None)) -> KeptTokens:
        """The kept tokens of the labels in `rows`; `(B, S)` are each document's own."""
        tokens_LK, values_LK = self.tokens[rows], self.values[rows]  # or (B, S, K)
        batch_size, (num_labels, width) = index.order.shape[0], tokens_LK.shape[-2:]
        step = num_labels if exporting() else max(1, BLOCK_CELLS // max(1, batch_size * width))
        blocks = [
            self._block(index, tokens_LK[..., start : start + step, :], values_LK[..., start : start + step, :])
            for start in range(0, max(1, num_labels), step)  # of no labels, one empty block
        ]
        return KeptTokens(*(torch.cat(parts, dim=1) for parts in zip(*blocks, strict=True)))

    def _block(self, index: TokenIndex, tokens_lK: torch.Tensor, values_lK: torch.Tensor) -> KeptTokens:
        tokens_lK = torch.where(tokens_lK < 0, self.vocab_size, tokens_lK).long()
        tokens_BlK = tokens_lK.expand(index.order.shape[0], -1, -1)
        places_Blk, columns_Blk, found_Blk = index.keep(tokens_BlK, self.top_k)
        weights_Blk = values_lK.float().expand_as(tokens_BlK).gather(2, columns_Blk) * found_Blk
        if self.scale == "label":
            weights_Blk = weights_Blk / values_lK[..., : self.top_k].float().sum(dim=-1, keepdim=True).clamp(min=1e-12)
        elif self.scale == "document":
            weights_Blk = weights_Blk / weights_Blk.sum(dim=2, keepdim=True).clamp(min=1e-12)
        return KeptTokens(places_Blk, weights_Blk)


class RankedAttention(nn.Module):
    """The second plant: a ranker's best tokens of the document for each label, softmax over those; it goes on learning.

    Parameters:
        token_factors `(V, R)`, token_bias `(V,)`, label_factors `(L, R)`: the score of token x for label l is
        `<token_factors[x], label_factors[l]> + token_bias[x]`. (A bias of the label would change no ranking.)
    """

    def __init__(self, config):
        super().__init__()
        self.top_k = config.ranked_topk
        self.token_factors = nn.Parameter(torch.empty(config.vocab_size, config.rank_size))
        self.token_bias = nn.Parameter(torch.empty(config.vocab_size))
        self.label_factors = nn.Parameter(torch.empty(config.num_labels, config.rank_size))

    def forward(
        self,
        index: TokenIndex,
        input_ids_BT: torch.Tensor,
        mask_BT: torch.BoolTensor,
        rows: slice | torch.LongTensor = slice(None),
    ) -> KeptTokens:
        """The kept tokens of the labels in `rows`, `(B, S)` being each document's own; gradients reach the three parameters."""
        label_factors_LR = self.label_factors[rows]  # or (B, S, R)
        num_labels = label_factors_LR.shape[-2]
        candidates = self._candidates(index, input_ids_BT, mask_BT)
        # in float32 under autocast too: a softmax over close scores is what training collapses by in half precision
        with torch.autocast(input_ids_BT.device.type, enabled=False):
            token_factors_BTR = F.embedding(input_ids_BT, self.token_factors).float()
            token_bias_BT = self.token_bias[input_ids_BT].float()
            cells = input_ids_BT.shape[0] * max(candidates[0].shape[1], self.top_k * token_factors_BTR.shape[2])
            places_BU = candidates[0]
            factors_BUR = token_factors_BTR.detach().gather(
                1, places_BU[..., None].expand(-1, -1, token_factors_BTR.shape[2])
            )
            bias_B1U = token_bias_BT.detach().gather(1, places_BU)[:, None]
            step = num_labels if exporting() else max(1, BLOCK_CELLS // max(1, cells))
            blocks = []
            for start in range(0, max(1, num_labels), step):  # of no labels, one empty block
                factors_lR = label_factors_LR[..., start : start + step, :].float()
                places_Blk, found_Blk = self._choose(factors_BUR, bias_B1U, factors_lR, candidates, index)
                inputs = (token_factors_BTR, token_bias_BT, factors_lR, places_Blk, found_Blk)
                # the factors of the kept tokens, R numbers a weight, are gathered again in the backward pass
                recompute = torch.is_grad_enabled() and not torch.compiler.is_compiling()
                weights_Blk = checkpoint(_weights, *inputs, use_reentrant=False) if recompute else _weights(*inputs)
                blocks.append((places_Blk, weights_Blk))
        return KeptTokens(*(torch.cat(parts, dim=1) for parts in zip(*blocks, strict=True)))

    @torch.no_grad()
    def _candidates(self, index, input_ids_BT, mask_BT) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each document's different tokens, U at most: one of their places, their ids (V: none), and which exist.

        Different tokens are ranked and then given their places: torch.topk breaks the ties of a token that occurs several
        times as it likes. A long text also has far fewer different tokens than places.
        """
        first_BT = index.first_places(input_ids_BT, mask_BT)
        number = mask_BT.shape[1]
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):  # a graph can't depend on the content
            number = max(1, int(first_BT.sum(dim=1).max()))
        # those that are first, in their order, then the others
        places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        places_BU = torch.where(first_BT, places_T, places_T + mask_BT.shape[1]).sort(dim=1).indices[:, :number]
        exists_BU = first_BT.gather(1, places_BU)
        no_token = index.counts.shape[1] - 1
        return places_BU, torch.where(exists_BU, input_ids_BT.gather(1, places_BU), no_token), exists_BU

    @torch.no_grad()
    def _choose(self, factors_BUR, bias_B1U, factors_lR, candidates, index):
        """The places that the labels of one block keep, `(B, l, k)`, and which of them exist."""
        _, tokens_BU, exists_BU = candidates
        scores_BlU = factors_lR @ factors_BUR.transpose(1, 2) + bias_B1U
        scores_BlU.masked_fill_(~exists_BU[:, None], float("-inf"))
        number = self.top_k
        if exporting():  # whether a document has so many tokens is known only when the graph is run
            scores_BlU = F.pad(scores_BlU, (0, number), value=float("-inf"))
            tokens_BU = F.pad(tokens_BU, (0, number), value=index.counts.shape[1] - 1)
            best_Blk = scores_BlU.topk(min(number, scores_BlU.shape[2]), dim=2).indices
        else:
            best_Blk = _first_best(scores_BlU, min(number, scores_BlU.shape[2]))
        tokens_Blk = tokens_BU[:, None].expand(-1, factors_lR.shape[-2], -1).gather(2, best_Blk)
        places_Blk, _, found_Blk = index.keep(tokens_Blk, self.top_k)
        return places_Blk, found_Blk


def _first_best(scores_BlU: torch.Tensor, number: int) -> torch.LongTensor:
    """The places of the highest scores, of equal ones those that come first: `topk` leaves it to the width of the batch which, and
    tokens that no training document has all score the same."""
    bits_BlU = (scores_BlU.float() + 0.0).view(torch.int32).long()  # + 0: there is one zero only
    ranks_BlU = bits_BlU ^ ((bits_BlU >> 31) & 0x7FFFFFFF)  # whole numbers in the order of the scores
    places_U = torch.arange(scores_BlU.shape[2], device=scores_BlU.device)
    return ((ranks_BlU << 32) - places_U).topk(number, dim=2).indices


def _weights(token_factors_BTR, token_bias_BT, factors_lR, places_Blk, found_Blk) -> torch.FloatTensor:
    """Softmax over the kept places, `(B, l, k)`; all 0 where nothing was kept."""
    offsets_B11 = (
        token_factors_BTR.shape[1] * torch.arange(places_Blk.shape[0], device=places_Blk.device)[:, None, None]
    )
    rows_Blk = places_Blk + offsets_B11
    factors_BlkR = F.embedding(rows_Blk, token_factors_BTR.flatten(0, 1))
    scores_Blk = (factors_BlkR @ factors_lR[..., None]).squeeze(-1) + token_bias_BT.flatten()[rows_Blk]
    nothing_Bl1 = ~found_Blk.any(dim=2, keepdim=True)  # a document without tokens: no softmax over nothing
    scores_Blk = scores_Blk.masked_fill(~found_Blk, float("-inf")).masked_fill(nothing_Bl1, 0.0)
    return torch.softmax(scores_Blk, dim=2).masked_fill(nothing_Bl1, 0.0)
