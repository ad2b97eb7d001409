"""Networks whose tokens are events, not labels: what LANET's attention between labels is compared with.

Two read an event as a strong sequence model would, from vectors of its labels, amounts and gap: a transformer with
positions and a recurrence. The third is the "vanilla transformer" that the paper compares with, in its authors'
layout.

None of them depends on padding: it is attended by nothing, and the mean and the last event are of events alone.

Shape legend: B histories, n events, M labels of an event, E events of all histories, K labels, H width of an event, d
width of a part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from hf_mlc.modeling.event_time import places_from_last, times_to_last


PAD = -100
MAX_PLACES = 64  # places from the last event that are told apart
VALUE_SIZE, GAP_SIZE, USER_SIZE, FEED_FORWARD = 64, 32, 32, 512  # the authors'


class Events(NamedTuple):
    """A batch as the processor of events makes it, with a first event without labels where a history is empty, and
    user 0 where nobody says who it is."""

    ids_BnM: torch.LongTensor
    mask_Bn: torch.BoolTensor
    gaps_Bn: torch.Tensor
    gap_ids_Bn: torch.LongTensor
    amount_bins_BnM: torch.LongTensor | None
    user_ids_B: torch.LongTensor
    target_gaps_B: torch.Tensor | None


class VanillaTransformer(nn.Module):
    """The authors' layout, as their code has it: of an event one number a label (its amount's bin + 1, 1 without
    amounts) through batch normalisation and two layers, beside vectors of the gap and of the user; no positions; the
    mean over the events.

    Batch normalisation counts events, not padding.
    """

    def __init__(self, config):
        super().__init__()
        self.num_labels = config.num_labels
        self.norm = nn.BatchNorm1d(config.num_labels)
        self.values = nn.Sequential(
            nn.Linear(config.num_labels, VALUE_SIZE), nn.ReLU(), nn.Linear(VALUE_SIZE, VALUE_SIZE)
        )
        self.gaps = nn.Embedding(config.num_gaps + 1, GAP_SIZE)
        self.users = nn.Embedding(config.num_users + 1, USER_SIZE) if config.num_users else None
        size = VALUE_SIZE + GAP_SIZE + (USER_SIZE if config.num_users else 0)
        self.layers = _transformer(config, size, FEED_FORWARD, norm_first=False, activation="relu")
        self.output = nn.Sequential(nn.Linear(size, VALUE_SIZE), nn.ReLU())
        self.size = VALUE_SIZE

    def forward(self, events: Events) -> torch.Tensor:
        """One vector a history, `(B, H)`."""
        present_BnM = events.ids_BnM >= 0
        bins_BnM = 0 if events.amount_bins_BnM is None else events.amount_bins_BnM.clamp(min=0)
        values_BnK = torch.zeros(*events.mask_Bn.shape, self.num_labels, device=events.ids_BnM.device)
        values_BnK.scatter_add_(2, events.ids_BnM.clamp(min=0), (present_BnM * (bins_BnM + 1)).to(values_BnK.dtype))
        values_EK = values_BnK[events.mask_Bn]
        if self.training and len(values_EK) < 2:  # one event has no variance
            values_EK = nn.functional.batch_norm(
                values_EK, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias
            )
        else:
            values_EK = self.norm(values_EK)
        vectors_EH = self.values(values_EK)
        values_BnH = vectors_EH.new_zeros(*events.mask_Bn.shape, vectors_EH.shape[-1])
        values_BnH[events.mask_Bn] = vectors_EH
        parts = [values_BnH, self.gaps(events.gap_ids_Bn)]
        if self.users is not None:
            parts.append(self.users(events.user_ids_B)[:, None].expand(-1, events.mask_Bn.shape[1], -1))
        hidden_BnH = self.layers(torch.cat(parts, dim=-1), src_key_padding_mask=~events.mask_Bn)
        return self.output(masked_mean(hidden_BnH, events.mask_Bn))


class EventVectors(nn.Module):
    """What an event is to the other two: the sums of its labels' vectors, plain and by their amounts, its gap, its place and how
    long before the last event it was; and what is known besides events, the user and the time to the predicted one."""

    def __init__(self, config):
        super().__init__()
        size = config.hidden_size
        self.num_amount_bins = config.num_amount_bins
        self.vectors = nn.Embedding(config.num_labels, size)
        self.amounts = nn.Embedding(config.num_labels, size) if config.num_amount_bins else None
        self.gaps = nn.Embedding(config.num_gaps + 1, size)
        self.log_gap = nn.Linear(1, size)
        self.positions, self.log_age = None, None
        if config.positions:
            self.positions, self.log_age = nn.Embedding(MAX_PLACES, size), nn.Linear(1, size)
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(config.dropout)
        # of a row: user 0 is everybody unknown, and the only one where users are not told apart
        self.users = nn.Embedding(config.num_users + 1, size)
        self.target_gap = nn.Linear(1, size) if config.uses_target_time else None

    def forward(self, events: Events) -> tuple[torch.Tensor, torch.Tensor]:
        """The events' vectors `(B, n, H)` and that of what is known besides, `(B, H)`."""
        ids_BnM, present_BnM1 = events.ids_BnM.clamp(min=0), (events.ids_BnM >= 0)[..., None]
        vectors_BnH = (self.vectors(ids_BnM) * present_BnM1).sum(dim=2)
        if self.amounts is not None:
            share_BnM = (events.amount_bins_BnM.clamp(min=-1) + 1) / self.num_amount_bins  # 0 where it is not known
            vectors_BnH = vectors_BnH + (self.amounts(ids_BnM) * share_BnM[..., None] * present_BnM1).sum(dim=2)
        vectors_BnH = vectors_BnH + self.gaps(events.gap_ids_Bn) + self.log_gap(events.gaps_Bn.log1p()[..., None])
        if self.positions is not None:
            vectors_BnH = vectors_BnH + self.positions(places_from_last(events.mask_Bn).clamp(max=MAX_PLACES - 1))
            ages_Bn = times_to_last(events.gaps_Bn, events.mask_Bn)
            vectors_BnH = vectors_BnH + self.log_age(ages_Bn.log1p()[..., None])
        context_BH = self.users(events.user_ids_B)
        if self.target_gap is not None:
            context_BH = context_BH + self.target_gap(events.target_gaps_B.log1p()[:, None])
        return self.dropout(self.norm(vectors_BnH)), context_BH


class EventTransformer(nn.Module):
    """Pre-norm layers over the events in their places, after a token of what is known besides; the last event is
    read, or the mean."""

    def __init__(self, config):
        super().__init__()
        self.size, self.pooling = config.hidden_size, config.event_pooling
        self.events = EventVectors(config)
        self.layers = _transformer(config, self.size, config.intermediate_size, norm_first=True, activation="gelu")

    def forward(self, events: Events) -> torch.Tensor:
        """One vector a history, `(B, H)`."""
        vectors_BnH, context_BH = self.events(events)
        mask_Bm = nn.functional.pad(events.mask_Bn, (1, 0), value=True)
        tokens_BmH = torch.cat([context_BH[:, None], vectors_BnH], dim=1)
        return pooled(self.layers(tokens_BmH, src_key_padding_mask=~mask_Bm), mask_Bm, self.pooling)


class EventGru(nn.Module):
    """A recurrence over the events that starts from what is known besides; the last state is read, or the mean."""

    def __init__(self, config):
        super().__init__()
        self.size, self.pooling = config.hidden_size, config.event_pooling
        self.events = EventVectors(config)
        self.start = nn.Linear(self.size, config.num_layers * self.size)
        dropout = config.dropout if config.num_layers > 1 else 0.0
        self.recurrence = nn.GRU(self.size, self.size, config.num_layers, batch_first=True, dropout=dropout)

    def forward(self, events: Events) -> torch.Tensor:
        """One vector a history, `(B, H)`."""
        vectors_BnH, context_BH = self.events(events)
        start_lBH = self.start(context_BH).tanh().unflatten(1, (-1, self.size)).transpose(0, 1).contiguous()
        # padding comes after the events, so that no state of an event has read any
        states_BnH, _ = self.recurrence(vectors_BnH, start_lBH)
        return pooled(states_BnH, events.mask_Bn, self.pooling)


NETWORKS = {"vanilla": VanillaTransformer, "transformer": EventTransformer, "gru": EventGru}


def pooled(hidden_BnH: torch.Tensor, mask_Bn: torch.BoolTensor, pooling: str) -> torch.Tensor:
    """The last place that there is, or the mean of all there are, `(B, H)`; every row has one."""
    if pooling == "mean":
        return masked_mean(hidden_BnH, mask_Bn)
    last_B = mask_Bn.long().sum(dim=1) - 1
    return hidden_BnH[torch.arange(len(last_B), device=last_B.device), last_B]


def masked_mean(hidden_BnH: torch.Tensor, mask_Bn: torch.BoolTensor) -> torch.Tensor:
    """The mean of the places that there are, `(B, H)`; every row has one."""
    # what padding holds is not multiplied: it may be no number
    return hidden_BnH.masked_fill(~mask_Bn[..., None], 0.0).sum(dim=1) / mask_Bn.sum(dim=1, keepdim=True)


def _transformer(config, size: int, feed_forward: int, *, norm_first: bool, activation: str) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        size, config.num_heads, feed_forward, config.dropout, activation, batch_first=True, norm_first=norm_first
    )
    norm = nn.LayerNorm(size) if norm_first else None
    return nn.TransformerEncoder(layer, config.num_layers, norm=norm, enable_nested_tensor=False)
