"""Layers that learn at their own speed, and that begin to learn one after the other.

Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", arXiv:1801.06146: what lies deeper in
a pretrained encoder is more general and should change less. `layer_learning_rate_decay` makes every group of parameters
slower than the one above it ("discriminative" learning rates); `unfreeze_epochs` frees the head first, then one group
more after so many epochs ("gradual unfreezing").

Groups, low to high: the embedding, the encoder's layers one by one, the head.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn
from transformers import TrainerCallback


if TYPE_CHECKING:
    from hf_mlc.training.arguments import MultiLabelTrainingArguments


EMBEDDING, HEAD = "embedding", "head"


def parameter_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the model's trainable parameters by group, low to high: `"embedding"`, `"layer 0"`, ..., `"head"`.

    The encoder is the submodule `encoder`; in it the first number in a parameter's name is its layer. What has none is
    the embedding, except what comes after the layers in a backbone (a last normalisation), which goes with the last.
    """
    lower: list[str] = []
    layers: dict[int, list[str]] = {}
    upper: list[str] = []
    head: list[str] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        number = re.search(r"\.(\d+)\.", name)
        if not name.startswith("encoder."):
            head.append(name)
        elif number:
            layers.setdefault(int(number[1]), []).append(name)
        elif layers and "embed" not in name:
            upper.append(name)
        else:
            lower.append(name)
    groups = {EMBEDDING: lower, **{f"layer {number}": layers[number] for number in sorted(layers)}}
    groups[list(groups)[-1]].extend(upper)
    return {name: members for name, members in {**groups, HEAD: head}.items() if members}


def optimizer_groups(
    model: nn.Module,
    decayed: Sequence[str],
    *,
    learning_rate: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    planted_scale: float = 1.0,
) -> list[dict]:
    """What an optimizer is made with: the head at `learning_rate`, each group below it at `layer_decay` times the last.

    The head comes first: what the Trainer logs is the first group's rate. In it, what was planted may learn more slowly.

    Args:
        model (`nn.Module`): see `parameter_groups`.
        decayed (`Sequence[str]`): names of the parameters with weight decay, as transformers chooses them.
        learning_rate (`float`): of the head.
        weight_decay (`float`): of the parameters that have any.
        layer_decay (`float`, *optional*, defaults to 1): in (0, 1].
        planted_scale (`float`, *optional*, defaults to 1): of the head's rate, for the model's `planted_parameters`.
    """
    parameters, decayed = dict(model.named_parameters()), set(decayed)
    planted = tuple(getattr(model, "planted_parameters", ()))
    groups = []
    for depth, (group, names) in enumerate(reversed(parameter_groups(model).items())):
        sown = [name for name in names if planted and name.startswith(planted)]
        others = [name for name in names if name not in set(sown)]
        for name, members, scale in ((group, others, 1.0), ("planted", sown, planted_scale)):
            for decay, chosen in ((weight_decay, decayed.__contains__), (0.0, lambda name: name not in decayed)):
                content = [parameters[member] for member in members if chosen(member)]
                if content:
                    rate = learning_rate * layer_decay**depth * scale
                    groups.append({"params": content, "lr": rate, "weight_decay": decay, "name": name})
    return groups


class GradualUnfreezing(TrainerCallback):
    """Frees the head at first, and after `epochs[0]` epochs the group below it, after `epochs[1]` more the next, ...

    After the last of `epochs` all is free. What is frozen at a step depends on the epoch alone, so a resumed run goes on
    as an unbroken one. In one process the frozen parameters need no gradient, which spares the backward pass below
    them; several processes agree at the start on what they will exchange, so there gradients are computed and dropped, and
    under activation checkpointing too, which can't follow inputs without a gradient in all of its forms. An optimizer
    leaves a parameter without a gradient as it is: no weight decay, no momentum.

    Args:
        model (`nn.Module`): see `parameter_groups`; what needs no gradient now never will.
        args (`MultiLabelTrainingArguments`): `unfreeze_epochs` and how the run is made.
    """

    def __init__(self, model: nn.Module, args: MultiLabelTrainingArguments):
        parameters = dict(model.named_parameters())
        groups = list(reversed(parameter_groups(model).values()))
        self.groups = [[parameters[name] for name in names] for names in groups]
        self.epochs = list(args.unfreeze_epochs)
        self.spares_gradients = args.world_size == 1 and not args.gradient_checkpointing
        self.frozen: list[nn.Parameter] = []

    def num_free(self, epoch: float) -> int:
        """How many groups learn at this point of training, from the head down."""
        ends = itertools.accumulate(self.epochs)
        passed = sum(epoch >= end - 1e-9 for end in ends)  # both are sums of fractions
        return len(self.groups) if passed == len(self.epochs) else min(1 + passed, len(self.groups))

    def on_step_begin(self, args, state, control, **kwargs):
        free = self.num_free(state.epoch or 0.0)
        self.frozen = [parameter for group in self.groups[free:] for parameter in group]
        if self.spares_gradients:
            for number, group in enumerate(self.groups):
                for parameter in group:
                    parameter.requires_grad_(number < free)

    def drop_gradients(self) -> None:
        """To be called after every backward pass, before gradients are clipped and applied."""
        for parameter in self.frozen:
            parameter.grad = None

    def on_train_end(self, args, state, control, **kwargs):
        self.frozen = []
        for group in self.groups:
            for parameter in group:
                parameter.requires_grad_(True)
