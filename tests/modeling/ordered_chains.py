"""Random chains over the same seven labels, each in an order of its own, and what the sum over all 2^7 vectors says of them."""

from __future__ import annotations

import torch

from hf_mlc.modeling.msdn_chain import TableChain
from hf_mlc.modeling.msdn_decoding import OrderedChain
from hf_mlc.modeling.msdn_known_sets import KnownSets, pack_sets

from .label_chains import added_by, random_chain


L = 7


class Orders:
    """Several random orders on the same base logits, and each vector's log P under each, `(M, B, V)`."""

    def __init__(self, number: int, *, seed: int = 0, num_documents: int = 4):
        generator = torch.Generator().manual_seed(seed)
        self.logits_BL = torch.randn(num_documents, L, generator=generator) * 1.5
        self.orders = [torch.randperm(L, generator=generator) for _ in range(number)]
        self.tables = [random_chain(L, 3, seed=100 * seed + m).table_LS for m in range(number)]
        self.chains = [
            OrderedChain(TableChain(table), order) for table, order in zip(self.tables, self.orders, strict=True)
        ]
        self.vectors_VL = (torch.arange(2**L)[:, None] >> torch.arange(L) & 1).bool()
        self.log_probs_MBV = torch.stack(
            [
                self._log_probs(self.logits_BL[:, order], table, self.vectors_VL[:, order])
                for table, order in zip(self.tables, self.orders, strict=True)
            ]
        )

    @staticmethod
    def _log_probs(logits_BL, table_LS, vectors_VL):
        cells_BVL = (logits_BL[:, None] + added_by(table_LS, vectors_VL)).double()
        signs_VL = 2.0 * vectors_VL - 1
        return torch.nn.functional.logsigmoid(signs_VL * cells_BVL).sum(dim=2)

    def best(self, scores_BV):
        return self.vectors_VL[scores_BV.argmax(dim=1)]

    def known(self, *, number=12, seed=0):
        """Some of the vectors as known sets; the module and their numbers."""
        generator = torch.Generator().manual_seed(seed)
        numbers_S = torch.randperm(2**L, generator=generator)[:number]
        counts_S = torch.randint(1, 9, (number,), generator=generator).sort(descending=True).values
        known = KnownSets(0, L)
        known.fill(pack_sets(self.vectors_VL[numbers_S]), counts_S)
        return known, numbers_S, counts_S
