"""Random label chains for tests, and what the sum over all 2^L label vectors says of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass
class RandomChain:
    """Base logits of B documents, a relation as a table and the same as a callable, and every label vector's log P.

    Args:
        logits_BL, table_LS: base logits, and the relation as `TableChain` takes it; what the table holds of labels before the
            first one is NaN, so that reading it shows.
        vectors_VL: all 2^L vectors.
        log_probs_BV: their log-probabilities, each from its own product of conditional probabilities, in float64.
    """

    logits_BL: torch.Tensor
    table_LS: torch.Tensor
    vectors_VL: torch.Tensor
    log_probs_BV: torch.Tensor

    def relation(self, labels_NL: torch.Tensor) -> torch.Tensor:
        """The relation as a callable: what is added at each position of given vectors."""
        return added_by(self.table_LS, labels_NL)

    @property
    def mode_BL(self) -> torch.Tensor:
        return self.vectors_VL[self.log_probs_BV.argmax(dim=1)]

    @property
    def marginals_BL(self) -> torch.Tensor:
        return self.log_probs_BV.exp() @ self.vectors_VL.double()


def added_by(table_LS: torch.Tensor, labels_NL: torch.Tensor) -> torch.Tensor:
    """By the definition: bit i of label j's state is label j-1-i; written as loops, unlike what is tested."""
    reach = table_LS.shape[1].bit_length() - 1
    rows = []
    for row in labels_NL.tolist():
        states = [sum(int(row[j - 1 - i]) << i for i in range(min(j, reach))) for j in range(len(row))]
        rows.append(torch.stack([table_LS[j, state] for j, state in enumerate(states)]))
    return torch.stack(rows)


def random_chain(
    num_labels: int, reach: int, *, seed: int, num_documents: int = 3, strength: float = 2.0
) -> RandomChain:
    """A chain whose labels depend on the `reach` before them."""
    generator = torch.Generator().manual_seed(seed)
    logits_BL = torch.randn(num_documents, num_labels, generator=generator) * 1.5
    table_LS = torch.randn(num_labels, 2**reach, generator=generator) * strength
    for position in range(min(reach, num_labels)):
        table_LS[position, 2**position :] = torch.nan
    vectors_VL = (torch.arange(2**num_labels)[:, None] >> torch.arange(num_labels) & 1).bool()
    cells_BVL = logits_BL.double()[:, None] + added_by(table_LS, vectors_VL).double()
    log_probs_BV = torch.where(vectors_VL, F.logsigmoid(cells_BVL), F.logsigmoid(-cells_BVL)).sum(dim=2)
    return RandomChain(logits_BL, table_LS, vectors_VL, log_probs_BV)
