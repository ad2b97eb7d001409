"""The learning rate of the paper's released code: halved at some epochs, sooner and sooner."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable


def halving_epochs(first: int, num_epochs: int) -> list[int]:
    """At the beginning of which epochs the rate is halved.

    An epoch above 0 that is a multiple of the step halves it, and then the step itself, down to 5 epochs: from 14, the epochs 14,
    21, 25, 30, ...

    Args:
        first (`int`): the step at first.
        num_epochs (`int`): of the training.
    """
    epochs, step = [], first
    for epoch in range(1, num_epochs):
        if epoch % step == 0:
            epochs.append(epoch)
            step = max(5, step // 2)
    return epochs


def halving(first: int, steps_of_epoch: int, num_steps: int) -> Callable[[int], float]:
    """By what the rate is multiplied at each optimiser step, for `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        first (`int`): as of [`halving_epochs`].
        steps_of_epoch (`int`): optimiser steps of an epoch.
        num_steps (`int`): of the whole training.
    """
    epochs = halving_epochs(first, math.ceil(num_steps / steps_of_epoch))
    ends = [epoch * steps_of_epoch for epoch in epochs]
    return lambda step: 0.5 ** bisect.bisect_right(ends, step)
