"""A tiny MSDN of table rows, and what is said of it in so many words: its loss, and the sum over all 2^L label vectors."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from tests.common.msdn_tester import MsdnModelTester

from .model_tester import build


ROWS = MsdnModelTester(encoder="mlp")
RANKS = [3, 0, 4, 1, 2]


def small(**settings) -> tuple[MsdnForMultiLabelClassification, dict[str, torch.Tensor]]:
    """A model of table rows with relations that say something, and rows."""
    return build(ROWS, **settings), ROWS.collate(ROWS.documents(6))


def joint(model, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """All 2^L label vectors `(V, L)` and their log-probabilities `(B, M, V)` in each order, a product of conditionals."""
    num_labels = model.config.num_labels
    vectors = (torch.arange(2**num_labels)[:, None] >> torch.arange(num_labels) & 1).float()
    with torch.no_grad():
        output = model(**batch)
        base, inputs, parts = output.base_logits, output.relation_inputs, []
        for vector in vectors:
            logits = model.logits_given(base, vector.expand_as(base), inputs)
            parts.append(
                -F.binary_cross_entropy_with_logits(logits, vector.expand_as(logits), reduction="none").sum(2)
            )
    return vectors, torch.stack(parts, dim=2)


def mean_cross_entropy(model, batch, history, targets) -> torch.Tensor:
    """The loss in so many words: of all orders, of all steps, over the cells whose target is known."""
    with torch.no_grad():
        output = model(**batch)
        if model.config.variant == "causal":
            steps = [model.logits_given(output.base_logits, history, output.relation_inputs)]
        else:
            refined = model._refined(output.base_logits, model.encoder(**batch))
            steps = [output.base_logits[:, None], *refined]
        cells = [
            F.binary_cross_entropy_with_logits(logits[:, order], targets.clamp(min=0), reduction="none")
            for logits in steps
            for order in range(logits.shape[1])
        ]
        # each step counts the same, however many orders it has
        weights = [1 / logits.shape[1] / len(steps) for logits in steps for _ in range(logits.shape[1])]
        return sum(weight * (cell * (targets >= 0)).mean() for weight, cell in zip(weights, cells, strict=True))
