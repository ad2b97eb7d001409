"""What the time of an event becomes: a vector of the gap before it, or sines of the time since the first one; its place.

Shape legend: B histories, n events of one, d width of a vector.
"""

import torch
from torch import nn


def sinusoid(times: torch.Tensor, dim: int) -> torch.Tensor:
    """`sin(t / 10000^(2i / d))` at 2i and the cosine of the same at 2i + 1, float32 of shape `(*times.shape, d)`.

    Args:
        times (`torch.Tensor`): in any unit; 0 is a time like others.
        dim (`int`): d, even.
    """
    places = torch.arange(0, dim, 2, device=times.device, dtype=torch.float32)
    angles = times.float()[..., None] / 10_000 ** (places / dim)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def log_buckets(gaps: torch.Tensor, num_buckets: int) -> torch.LongTensor:
    """The power of two that each gap lies in: 0 for no gap, and then `[2^k, 2^(k + 1))`, a quarter of them below 1.

    Of 32 buckets the first holds what is no gap, 1 what is below 2^-6, and 31 everything from 2^23 on.

    Args:
        gaps (`torch.Tensor`): in any unit, 0 or more.
        num_buckets (`int`): 2 or more.
    """
    exponents = torch.arange(num_buckets - 2, device=gaps.device, dtype=torch.float32) + 2 - num_buckets // 4
    return torch.bucketize(gaps.float(), exponents.exp2(), right=True) + (gaps > 0)


class EventTime(nn.Module):
    """A vector for each event: of its gap or time, and, in the windowed form, of its place counted from the last event.

    In the paper a place is counted from the window's first event, where histories shorter than the window would be shifted.
    """

    def __init__(self, config):
        super().__init__()
        self.time_encoding, self.dim = config.time_encoding, config.embed_dim
        self.num_buckets, self.time_reference = config.num_time_buckets, config.time_reference
        tables = {"gap_embedding": config.num_gaps + 1, "log_bucket": config.num_time_buckets}
        size = tables.get(config.time_encoding)
        self.gaps = None if size is None else nn.Embedding(size, config.embed_dim)
        self.positions = nn.Embedding(config.look_back, config.embed_dim) if config.has_positions else None

    def forward(
        self,
        mask_Bn: torch.BoolTensor,
        *,
        event_gaps: torch.Tensor | None,
        event_times: torch.Tensor | None,
        event_gap_ids: torch.LongTensor | None,
    ) -> torch.Tensor:
        """Vectors `(B, n, d)`; those of padding mean nothing.

        Args:
            mask_Bn (`torch.BoolTensor` of shape `(B, n)`): which events there are, in their order.
            event_gaps, event_times (`torch.Tensor` of shape `(B, n)`, *optional*): see the model's `forward`.
            event_gap_ids (`torch.LongTensor` of shape `(B, n)`, *optional*): likewise; each is needed by one encoding.

        Raises:
            `ValueError`: where that one is missing.
        """
        parts = []
        if self.time_encoding == "gap_embedding":
            parts.append(self.gaps(_given("event_gap_ids", event_gap_ids, self.time_encoding)))
        elif self.time_encoding == "log_bucket":
            gaps_Bn = _given("event_gaps", event_gaps, self.time_encoding)
            if self.time_reference == "last":
                gaps_Bn = times_to_last(gaps_Bn, mask_Bn)
            parts.append(self.gaps(log_buckets(gaps_Bn, self.num_buckets)))
        elif self.time_encoding == "sinusoid":
            times_Bn = _given("event_times", event_times, self.time_encoding)
            if self.time_reference == "last":
                times_Bn = times_Bn.masked_fill(~mask_Bn, 0).amax(dim=1, keepdim=True) - times_Bn
            parts.append(sinusoid(times_Bn, self.dim))
        if self.positions is not None:
            parts.append(self.positions(places_from_last(mask_Bn).clamp(max=self.positions.num_embeddings - 1)))
        return sum(parts)


def places_from_last(mask_Bn: torch.BoolTensor) -> torch.LongTensor:
    """How many events come after each, 0 for the last one; of padding, how many come after it."""
    return mask_Bn.flip(1).long().cumsum(1).flip(1) - mask_Bn.long()


def times_to_last(gaps_Bn: torch.Tensor, mask_Bn: torch.BoolTensor) -> torch.Tensor:
    """How long before the last event each one was, the sum of the gaps after it; 0 for the last one, in the gaps' unit.

    Args:
        gaps_Bn (`torch.Tensor` of shape `(B, n)`): the time from the event before to each.
        mask_Bn (`torch.BoolTensor` of shape `(B, n)`): which events there are.
    """
    later_Bn = nn.functional.pad((gaps_Bn.float() * mask_Bn)[:, 1:], (0, 1))
    return later_Bn.flip(1).cumsum(1).flip(1)


def _given(name: str, tensor: torch.Tensor | None, time_encoding: str) -> torch.Tensor:
    if tensor is None:
        raise ValueError(f"`{name}` is needed by the time encoding '{time_encoding}', found none")
    return tensor


__all__ = ["EventTime", "log_buckets", "places_from_last", "sinusoid", "times_to_last"]
