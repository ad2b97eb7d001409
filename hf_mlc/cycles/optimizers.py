"""One optimizer of two: Adam of the rows that were looked up for large tables, AdamW for everything else.

Shape legend: n rows with a gradient, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


FADED = 1e-30  # of Adam's memory: a number that no weight feels, well above denormal ones (1e-38)


def sparse_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The tables whose gradients are sparse: a step touches the rows that it looked up, and no others."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    return [table.weight for table in tables if table.sparse and table.weight.requires_grad]


class RowAdam(torch.optim.Optimizer):
    """[`torch.optim.SparseAdam`], the same steps, by reading and writing the rows that have a gradient: torch's own makes sparse tensors
    of them again and again, and takes several times as long.

    Args:
        tables (list of `nn.Parameter`, or of groups of them): two-dimensional, their gradients sparse in the first dimension.
        lr, betas, eps: as there.
    """

    def __init__(
        self,
        tables: Sequence[nn.Parameter] | Sequence[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        super().__init__(tables, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        """A step of the rows that were looked up; the memory of others fades only when they are."""
        assert closure is None
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._step(table, **{name: group[name] for name in ("lr", "betas", "eps")})

    def _step(self, table: nn.Parameter, *, lr: float, betas: tuple[float, float], eps: float) -> None:
        state = self.state[table]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        gradient = table.grad.coalesce()
        rows, gradient_nD = gradient._indices()[0], gradient._values()
        mean_nD, square_nD = (state[name].index_select(0, rows) for name in ("exp_avg", "exp_avg_sq"))
        mean_nD.lerp_(gradient_nD, 1 - betas[0])
        square_nD.mul_(betas[1]).addcmul_(gradient_nD, gradient_nD, value=1 - betas[1])
        state["exp_avg"].index_copy_(0, rows, mean_nD)
        state["exp_avg_sq"].index_copy_(0, rows, square_nD)
        size = lr * (1 - betas[1] ** state["step"]) ** 0.5 / (1 - betas[0] ** state["step"])
        table.index_add_(0, rows, mean_nD.div_(square_nD.sqrt_().add_(eps)), alpha=-size)


class JointOptimizer(torch.optim.Optimizer):
    """Several optimizers that step together, and look like one to a learning rate's schedule, to saving and resuming.

    Args:
        parts (list of `torch.optim.Optimizer`): of different parameters. Their groups are this one's: what a schedule writes
            into them, the parts read.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]):
        self.parts = list(parts)
        super().__init__(
            [parameter for part in parts for group in part.param_groups for parameter in group["params"]], {}
        )
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure=None):
        """A step of each part."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of the parts, in their order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()  # loading gives the parts new ones


@torch.no_grad()
def drop_faded(optimizer: torch.optim.Optimizer) -> None:
    """Puts 0 in the place of numbers below 1e-30 in Adam's memory of dense tables.

    The mean of a row that no batch looks up shrinks by a tenth a step, and never to 0: after some hundred steps it is a denormal number,
    with which a processor takes several times as long. No weight feels the difference. (`torch.set_flush_denormal` is heeded by
    the thread that calls it alone, and the optimizer runs on all.)

    Args:
        optimizer (`torch.optim.Optimizer`): a [`JointOptimizer`], or one alone; as accelerate wraps it.
    """
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    for part in getattr(optimizer, "parts", [optimizer]):
        if isinstance(part, RowAdam):  # what isn't looked up doesn't shrink
            continue
        for state in part.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                if name in state:
                    state[name].masked_fill_(state[name].abs() < FADED, 0.0)


def gradient_norm(parameters: Sequence[nn.Parameter], *, clip_to: float | None = None) -> torch.Tensor:
    """The length of the gradient of all parameters, sparse ones among them; with `clip_to`, longer ones are cut in place.

    torch's own has no answer for sparse gradients.

    Args:
        parameters (list of `nn.Parameter`): those without a gradient are passed over.
        clip_to (`float`, *optional*): the greatest length that is left.
    """
    values = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # a row that was looked up twice has one gradient
        values.append(parameter.grad._values() if parameter.grad.is_sparse else parameter.grad)
    if not values:
        return torch.tensor(0.0)
    norm = torch.stack([torch.linalg.vector_norm(value.float()) for value in values]).norm()
    if clip_to is not None:
        scale = (clip_to / (norm + 1e-6)).clamp(max=1.0)
        for value in values:
            value.mul_(scale)
    return norm
