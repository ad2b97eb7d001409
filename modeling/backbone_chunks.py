"""Where the chunks of a long document begin, and which of two overlapping chunks a token's vector is taken from.

Chunk w of length C and overlap O holds the tokens from w (C - O) on. A document has as many chunks as it takes to reach
its last token, counted by its own length: what else is in the batch changes nothing. Of a token that two chunks hold,
the vector comes from the one in whose middle it stands deeper, since at the border of a chunk half the context is
missing; a mean would mix that half-blind vector in.

Shape legend: B documents, T tokens of the longest, W chunks of the longest, C tokens in a chunk.
"""

from typing import NamedTuple

import torch


class Chunks(NamedTuple):
    """`exists_BW`: which chunks a document has; `chosen_BT`: the place of each token among its `W x C` chunk places."""

    exists_BW: torch.BoolTensor
    chosen_BT: torch.LongTensor


def chunk_places(num_tokens: int, length: int, overlap: int, *, device=None) -> torch.LongTensor:
    """The tokens `(W, C)` of each chunk of a document of `num_tokens`; those of the last may lie beyond its end."""
    stride = length - overlap
    number = 1 + max(0, -(-(num_tokens - length) // stride))
    starts_W = torch.arange(number, device=device) * stride
    return starts_W[:, None] + torch.arange(length, device=device)


def chunks_of_tokens(lengths_B: torch.LongTensor, num_tokens: int, length: int, overlap: int) -> Chunks:
    """The chunks of documents of `lengths_B` tokens in a batch as wide as `num_tokens`."""
    stride = length - overlap
    # the whole number above (n - C) / stride, in whole numbers; an empty document has one chunk too
    last_B = (lengths_B - length + stride - 1).clamp(min=0) // stride
    places_WC = chunk_places(num_tokens, length, overlap, device=lengths_B.device)
    exists_BW = torch.arange(len(places_WC), device=lengths_B.device) <= last_B[:, None]
    token_T = torch.arange(num_tokens, device=lengths_B.device)
    # chunk w wins from the middle of its overlap with the one before to the middle of that with the next
    chunk_T = (token_T - overlap // 2).clamp(min=0) // stride
    chunk_BT = torch.minimum(chunk_T, last_B[:, None])
    inside_BT = (token_T - chunk_BT * stride).clamp(max=length - 1)  # padding behind the last chunk points anywhere
    return Chunks(exists_BW, chunk_BT * length + inside_BT)
