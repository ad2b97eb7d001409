"""A label chain whose relation reads the document: what makes the chains of given documents.

Where relations are the same for all documents, one chain serves them all (msdn_chain.py). Here each document has its own: a table of
states each, from sums that are the same for all (`CausalRelations.state_sums`) and what the document adds to them, or, where the
relation reaches too far back for a table, the relation asked with both.

Shape legend: B documents, L labels in the chain's order, S = 2^K states, D channels of all convolutions.
"""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from .msdn_chain import LabelChain, TableChain, WindowChain, row_blocks
from .msdn_relations import CausalRelations, table_of_states


class DocumentChain:
    """One order's relation of a `CausalRelations` with `document_relations`.

    Where there are tables it holds the relation's sums as they are now, `L x C` numbers a state of each convolution; the caller makes
    another one when a weight changes.

    Args:
        relations (`CausalRelations`): all of them.
        number (`int`): of the order, from 0.
        has_table (`bool`): whether its states fit in a table, so that decoding and marginals are exact.
    """

    def __init__(self, relations: CausalRelations, number: int, *, has_table: bool):
        self.relations, self.number, self.has_table, self.reach = relations, number, has_table, relations.reach
        # copies: what is kept must not be a view of a weight that training goes on to change
        self.output_LD = relations.output[number].detach().float().clone()
        self.sums: list[torch.Tensor] = []  # (L, 2^k, C) each
        if has_table:
            of_order = relations.state_sums(slice(number, number + 1))
            self.sums = [sums_1LNC[0].detach().float() for sums_1LNC in of_order]

    @property
    def bytes_a_document(self) -> int:
        """What the chain of a document holds, in bytes; a table is there twice while blocks of documents are put together."""
        num_labels, num_channels = self.output_LD.shape
        return 4 * (2 * num_labels * 2**self.reach if self.has_table else num_channels)

    def of_documents(self, added_BD: torch.Tensor) -> LabelChain:
        """The chain of these documents, with gradients by what is added.

        Args:
            added_BD (`torch.Tensor` of shape `(B, D)`): of `CausalRelations.added_by_documents`, of this order.
        """
        if not self.has_table:
            relation = self.relations.of_order(self.number, added_BD=added_BD)
            return WindowChain(relation, len(self.output_LD), step=relation.step, window=self.reach)
        # all channels of all states are there at once while a table is made, and again while it is differentiated
        bytes_to_make = 8 * max(sums_LNC.numel() for sums_LNC in self.sums)
        tables = []
        for documents in row_blocks(len(added_BD), bytes_to_make):
            part_BD = added_BD[documents].float()
            if part_BD.requires_grad and torch.is_grad_enabled():
                tables.append(checkpoint(table_of_states, self.sums, self.output_LD, part_BD, use_reentrant=False))
            else:
                tables.append(table_of_states(self.sums, self.output_LD, part_BD))
        return TableChain(torch.cat(tables))


__all__ = ["DocumentChain"]
