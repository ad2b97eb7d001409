"""Weights that come out of an evaluation in half precision as they went in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def kept_precision(model: torch.nn.Module) -> Iterator[None]:
    """While it lasts `model` may be cast, as `--bf16_full_eval` does for good; afterwards every number is what it was.

    Costs a second copy of parameters and buffers, on the CPU.
    """
    places = [
        (numbers, name)
        for part in model.modules()
        for numbers in (part._parameters, part._buffers)
        for name in numbers
    ]
    kept = {  # by identity: tied weights are one
        id(numbers[name]): numbers[name].detach().to("cpu", copy=True)
        for numbers, name in places
        if numbers[name] is not None and numbers[name].is_floating_point()
    }
    # a cast puts other buffers in the place of these, but keeps the parameters and changes what they hold
    before = [(numbers, name, numbers[name]) for numbers, name in places if id(numbers[name]) in kept]
    try:
        yield
    finally:
        for numbers, name, tensor in before:
            cast = numbers[name]
            tensor.data = kept[id(tensor)].to(cast.device)
            numbers[name] = tensor


__all__ = ["kept_precision"]
