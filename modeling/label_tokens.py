"""A history folded into one token a label: the label's own vector, and what the events that held it add up to.

Of label k, with M[j, k] = 1 where event j holds it (Kovtun et al., "Label Attention Network for Temporal Sets Prediction",
arXiv:2303.00280, in words; no code of theirs is used):

    x_k = concat( C[k],  sum_j M[j, k] time_j,  sum_j M[j, k] A[bin of its amount in j] )

With `folding="sum_and_share"` half of the channels of the two sums are divided by the number of events.

`forward` folds a whole history; `prefixes` folds what stands up to each event, by one cumulative sum over the events.

Every label is a token, or those of the row's history and some popular ones are (`row_tokens`). Slots are columns among the tokens.

Shape legend: B histories, n events of one, M labels of an event at most, L labels, N popular ones, S tokens, b bins of amounts,
d width of a part, D width of a token, P prefixes.
"""

from typing import NamedTuple

import torch
from torch import nn

from .event_time import EventTime


class Events(NamedTuple):
    """The histories of a batch.

    Attributes:
        ids_BnM (`torch.LongTensor`): label ids; padding, and all of events that aren't there, is negative.
        mask_Bn (`torch.BoolTensor`): which events are there; they stand in the order of time, padding anywhere.
        gaps_Bn, times_Bn (`torch.Tensor`, *optional*), gap_ids_Bn (`torch.LongTensor`, *optional*): see the model's `forward`.
        bins_BnM (`torch.LongTensor`, *optional*): each label's bin of amounts, negative where there is none.
    """

    ids_BnM: torch.LongTensor
    mask_Bn: torch.BoolTensor
    gaps_Bn: torch.Tensor | None = None
    times_Bn: torch.Tensor | None = None
    gap_ids_Bn: torch.LongTensor | None = None
    bins_BnM: torch.LongTensor | None = None


class LabelTokens(nn.Module):
    """The tables C and A and the times' encoding, and the sums over events."""

    def __init__(self, config):
        super().__init__()
        self.labels = nn.Embedding(config.num_labels, config.embed_dim)
        self.time = EventTime(config) if config.has_time_part else None
        self.amounts = nn.Embedding(config.num_amount_bins, config.embed_dim) if config.num_amount_bins else None
        self.num_shares = config.embed_dim // 2 if config.folding == "sum_and_share" else 0  # channels that are shares

    def forward(self, events: Events, token_ids_BS: torch.LongTensor | None) -> torch.Tensor:
        """Tokens of whole histories, `(B, S, D)`.

        Args:
            events (`Events`): the histories.
            token_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): from `row_tokens`; if not given, all labels.
        """
        slots_BnM, num_slots = self._slots(events, token_ids_BS)
        parts, num_events_B = [self._label_vectors(token_ids_BS, len(slots_BnM))], events.mask_Bn.sum(dim=1)
        if self.time is not None:
            held_BnS = _held(slots_BnM, num_slots).to(parts[0].dtype)
            times_BSd = held_BnS.transpose(1, 2) @ self._times(events).to(held_BnS.dtype)
            parts.append(self._shared(times_BSd, num_events_B))
        if self.amounts is not None:
            counts_BSb = self._amount_counts(events, slots_BnM, num_slots).sum(dim=1)
            parts.append(self._shared(counts_BSb.to(parts[0].dtype) @ self.amounts.weight, num_events_B))
        return torch.cat(parts, dim=-1)

    def prefixes(
        self, events: Events, token_ids_BS: torch.LongTensor | None, is_prefix_Bn: torch.BoolTensor
    ) -> torch.Tensor:
        """Tokens of what stands up to each of the chosen events, `(P, S, D)`, row by row.

        Args:
            events (`Events`): the histories.
            token_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): as of `forward`.
            is_prefix_Bn (`torch.BoolTensor` of shape `(B, n)`): the P events at which a prefix ends.
        """
        slots_BnM, num_slots = self._slots(events, token_ids_BS)
        rows_P = is_prefix_Bn.nonzero()[:, 0]
        num_events_P = events.mask_Bn.cumsum(dim=1)[is_prefix_Bn]
        labels_BSd = self._label_vectors(token_ids_BS, len(slots_BnM))
        parts = [labels_BSd[rows_P]]
        if self.time is not None:
            held_BnS1 = _held(slots_BnM, num_slots).to(labels_BSd.dtype)[..., None]
            summed_BnSd = (held_BnS1 * self._times(events).to(held_BnS1.dtype)[:, :, None]).cumsum(dim=1)
            parts.append(self._shared(summed_BnSd[is_prefix_Bn], num_events_P))
        if self.amounts is not None:
            counts_BnSb = self._amount_counts(events, slots_BnM, num_slots).cumsum(dim=1)
            amounts_PSd = counts_BnSb[is_prefix_Bn].to(labels_BSd.dtype) @ self.amounts.weight
            parts.append(self._shared(amounts_PSd, num_events_P))
        return torch.cat(parts, dim=-1)

    def _shared(self, sums_RSd: torch.Tensor, num_events_R: torch.LongTensor) -> torch.Tensor:
        """Sums over events, the first channels divided by the number of events where the configuration has shares."""
        if not self.num_shares:
            return sums_RSd
        shares_RSd = sums_RSd[..., : self.num_shares] / num_events_R.clamp(min=1)[:, None, None].to(sums_RSd.dtype)
        return torch.cat([shares_RSd, sums_RSd[..., self.num_shares :]], dim=-1)

    def held(self, events: Events, token_ids_BS: torch.LongTensor | None) -> torch.BoolTensor:
        """Which tokens' labels some event of the history held, `(B, S)`."""
        slots_BnM, num_slots = self._slots(events, token_ids_BS)
        return _held(slots_BnM.flatten(1)[:, None], num_slots)[:, 0] > 0  # all events as one

    def seen(
        self, events: Events, token_ids_BS: torch.LongTensor | None, is_prefix_Bn: torch.BoolTensor
    ) -> torch.BoolTensor:
        """Which tokens' labels some event up to each of the chosen ones held, `(P, S)`."""
        slots_BnM, num_slots = self._slots(events, token_ids_BS)
        return (_held(slots_BnM, num_slots).cumsum(dim=1) > 0)[is_prefix_Bn]

    def _label_vectors(self, token_ids_BS: torch.LongTensor | None, num_rows: int) -> torch.Tensor:
        weight_Ld = self.labels.weight
        if token_ids_BS is None:
            return weight_Ld.expand(num_rows, -1, -1)
        return self.labels(token_ids_BS.clamp(max=len(weight_Ld) - 1))

    def _times(self, events: Events) -> torch.Tensor:
        return self.time(
            events.mask_Bn,
            event_gaps=events.gaps_Bn,
            event_times=events.times_Bn,
            event_gap_ids=events.gap_ids_Bn,
        )

    def _slots(self, events: Events, token_ids_BS: torch.LongTensor | None) -> tuple[torch.LongTensor, int]:
        """The token of each label of each event, `(B, n, M)`, one past the last for padding; and how many tokens there are."""
        ids_BnM = events.ids_BnM
        if token_ids_BS is None:
            num_slots = self.labels.num_embeddings
            return torch.where(ids_BnM < 0, num_slots, ids_BnM), num_slots
        num_slots = token_ids_BS.shape[1]
        slots_BnM = torch.searchsorted(token_ids_BS, ids_BnM.flatten(1).contiguous()).view_as(ids_BnM)
        return torch.where(ids_BnM < 0, num_slots, slots_BnM), num_slots

    def _amount_counts(self, events: Events, slots_BnM: torch.LongTensor, num_slots: int) -> torch.Tensor:
        """1 at the bin of each label that an event holds, float32 `(B, n, S, b)`: as few numbers as there are bins, where vectors
        of amounts would be as many as a part is wide. Sums of them are exact, in whatever order they are added."""
        if events.bins_BnM is None:
            raise ValueError("`event_amount_bins` is needed by a model with amounts (`num_amount_bins`), found none")
        num_bins = self.amounts.num_embeddings
        is_known_BnM = (slots_BnM < num_slots) & (events.bins_BnM >= 0)  # a label may have come without an amount
        cells_BnM = torch.where(is_known_BnM, slots_BnM * num_bins + events.bins_BnM, num_slots * num_bins)
        return _held(cells_BnM, num_slots * num_bins).unflatten(2, (num_slots, num_bins))


def _held(slots_BnM: torch.LongTensor, num_slots: int) -> torch.Tensor:
    """1 at each event's slots, else 0, float32 `(B, n, S)`."""
    B, n, _ = slots_BnM.shape
    held = torch.zeros(B, n, num_slots + 1, device=slots_BnM.device)
    return held.scatter_(2, slots_BnM, 1.0)[..., :num_slots]


def row_tokens(ids_BnM: torch.LongTensor, popular_N: torch.LongTensor, num_labels: int) -> torch.LongTensor:
    """The labels that are tokens of each row: those of its history and the popular ones, `(B, S)`.

    Each stands once, in rising order; behind them is padding, the number of labels.

    Args:
        ids_BnM (`torch.LongTensor` of shape `(B, n, M)`): labels of the events; negative is padding.
        popular_N (`torch.LongTensor` of shape `(N,)`): the labels that are tokens of every row.
        num_labels (`int`): L.
    """
    ids_BE = ids_BnM.flatten(1)
    ids_BE = torch.where(ids_BE < 0, num_labels, ids_BE)
    ids_BS = torch.cat([popular_N.expand(len(ids_BE), -1), ids_BE], dim=1).sort(dim=1).values
    repeats_BS = torch.zeros_like(ids_BS, dtype=torch.bool)
    repeats_BS[:, 1:] = ids_BS[:, 1:] == ids_BS[:, :-1]
    ids_BS = ids_BS.masked_fill(repeats_BS, num_labels).sort(dim=1).values
    width = min(ids_BS.shape[1], num_labels)
    if not torch.compiler.is_compiling():  # a graph keeps to shapes that it knows
        width = int((ids_BS < num_labels).sum(dim=1).max())
    return ids_BS[:, :width].contiguous()


__all__ = ["Events", "LabelTokens", "row_tokens"]
