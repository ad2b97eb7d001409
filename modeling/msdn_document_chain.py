"""A label chain whose relation reads the document: what makes the chains of given documents.

Where relations are the same for all documents, one chain serves them all (msdn_chain.py). Here each document has its own: a table of
states each, from sums that are the same for all (`CausalRelations.state_sums`) and what the document adds to them, or, where the
relation reaches too far back for a table, the relation asked with both.

Shape legend: B documents, L labels in the chain's order, S = 2^K states, D channels of all convolutions.
"""

from __future__ import annotations

import torch

from .msdn_chain import LabelChain, TableChain, WindowChain
from .msdn_relations import CausalRelations, table_of_states


class DocumentChain:
    """One order's relation of a `CausalRelations` with `document_relations`.

    Args:
        relations (`CausalRelations`): all of them.
        number (`int`): of the order, from 0.
        has_table (`bool`): whether its states fit in a table, so that decoding and marginals are exact.
    """

    def __init__(self, relations: CausalRelations, number: int, *, has_table: bool):
        self.relations, self.number, self.reach = relations, number, relations.reach
        order = slice(number, number + 1)
        self.output_LD = relations.output[number]
        self.sums = [sums_MLNC[0] for sums_MLNC in relations.state_sums(order)] if has_table else None

    @property
    def has_table(self) -> bool:
        return self.sums is not None

    @property
    def bytes_a_document(self) -> int:
        """What the chain of a document holds, and takes to make."""
        num_labels, num_channels = self.output_LD.shape
        if self.sums is None:
            return 4 * num_channels
        largest = max(sums_LNC.numel() for sums_LNC in self.sums)
        return 4 * (2 * num_labels * 2**self.reach + 2 * largest)

    def of_documents(self, added_BD: torch.Tensor) -> LabelChain:
        """The chain of these documents.

        Args:
            added_BD (`torch.Tensor` of shape `(B, D)`): of `CausalRelations.added_by_documents`, of this order.
        """
        if self.sums is None:
            relation = self.relations.of_order(self.number, added_BD=added_BD)
            return WindowChain(relation, len(self.output_LD), step=relation.step, window=self.reach)
        return TableChain(table_of_states(self.sums, self.output_LD, added_BD))


__all__ = ["DocumentChain"]
