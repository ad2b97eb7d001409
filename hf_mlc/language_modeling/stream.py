"""Documents end to end, cut into streams that are read side by side, a stretch at a time.

Shape legend: B streams, S tokens in a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch


class TokenStream:
    """Every document once an epoch, in an order that depends on seed and epoch alone.

    The state of the network goes on from stretch to stretch, and over the borders of documents too, which the separator
    marks. The few tokens that don't fill all streams evenly are left out; others in each epoch.

    Args:
        documents (`Sequence[np.ndarray]`): token ids of each.
        batch_size (`int`): B; fewer where there are too few tokens for so many.
        sequence_length (`int`): S.
        separator (`int`, *optional*): a token between documents, where they don't end with it themselves.
        seed (`int`, *optional*): of the order; the order given if there is none.
    """

    def __init__(
        self,
        documents: Sequence[np.ndarray],
        batch_size: int,
        sequence_length: int,
        *,
        separator: int | None = None,
        seed: int | None = None,
    ):
        end = [] if separator is None else [separator]
        self.documents = [
            document
            if len(document) and document[-1] == separator
            else np.concatenate([document, end]).astype(np.int32)
            for document in documents
        ]
        self.num_tokens = sum(map(len, self.documents))
        self.batch_size = max(1, min(batch_size, self.num_tokens // (sequence_length + 1)))
        self.sequence_length, self.seed = sequence_length, seed

    def __len__(self) -> int:
        """Stretches an epoch."""
        return -(-(self.num_tokens // self.batch_size - 1) // self.sequence_length)

    def stretches(self, epoch: int = 0) -> Iterator[tuple[torch.LongTensor, torch.LongTensor]]:
        """Yields `(B, S)` tokens and the tokens that follow each; the last stretch may be shorter."""
        order = np.arange(len(self.documents))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        tokens = np.concatenate([self.documents[place] for place in order])
        length = len(tokens) // self.batch_size
        streams = torch.from_numpy(tokens[: length * self.batch_size].reshape(self.batch_size, length)).long()
        for start in range(0, length - 1, self.sequence_length):
            end = min(start + self.sequence_length, length - 1)
            yield streams[:, start:end], streams[:, start + 1 : end + 1]
