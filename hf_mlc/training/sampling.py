"""The order in which training rows are visited: batches of like length, the same after a resume as in an unbroken run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


class LengthGroupedEpochSampler(torch.utils.data.Sampler):
    """Rows shuffled, sorted by length inside pools of batches, the batches of a pool in random order.

    transformers' own sampler draws from the global random state: a resumed run then visits other rows than the unbroken
    one, and the processes of one run disagree. Here the order is a function of seed and epoch alone.

    Args:
        lengths (`Sequence[int]`): tokens of each row.
        batch_size (`int`): rows of a whole optimiser step, so that its batches share a length.
        seed (`int`, *optional*, defaults to 0): of the order.
        batches_per_pool (`int`, *optional*, defaults to 50): larger pools pad less and shuffle less.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int = 0, batches_per_pool: int = 50):
        self.lengths = torch.as_tensor(lengths)
        self.batch_size, self.seed, self.pool = batch_size, seed, batch_size * batches_per_pool
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        batches = []
        for pool in order.split(self.pool):
            pool = pool[self.lengths[pool].sort(stable=True).indices]
            batches.extend(pool.split(self.batch_size))
        # the one short batch stays last: in the middle it would shift the borders of all batches behind it
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        short = [batch for batch in batches if len(batch) < self.batch_size]
        shuffled = [whole[place] for place in torch.randperm(len(whole), generator=generator).tolist()]
        for batch in shuffled + short:
            yield from batch.tolist()
