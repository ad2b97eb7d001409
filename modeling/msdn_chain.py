"""A chain over the labels as a search sees it: what the labels so far add to the next label's logit.

A causal MSDN gives label j the logit `z_j + r_j(labels before j)`. The base logits z come from the document; the relation r
does not, unless it was made to read the document. So all that a search asks the relation fits in a table of positions by states (the
last K labels), which is made once a call, or once an evaluation, and for each document only where relations read it. Where K is too
large for a table, the relation is asked with the labels themselves. Both are `LabelChain`s and every search takes either.

Rows that a search follows are those of its documents one after the other, as many of each: so a chain knows whose a row is.

Everything here is in the chain's order of labels; `msdn_decoding.py` translates from and to the user's.

Shape legend: B documents, R rows (prefixes that a search follows), L labels in the chain's order, K how many labels back the
relation looks, S = 2^K states, W labels in a window, C given label vectors a document, N label vectors, D channels of a relation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch.nn import functional as F


BLOCK_BYTES = 32 * 2**20  # what a search may hold at once for the documents of a block


class LabelChain(Protocol):
    """What a search needs to know of a relation. A state is a tensor whose first dimension is R, so rows can be selected.

    `has_table` says whether it is a [`TableChain`], and so can be decoded exactly.
    """

    has_table: bool

    def start(self, num_rows: int, device: torch.device) -> torch.Tensor:
        """The state before the first label."""

    def logits(self, position: int, state: torch.Tensor) -> torch.FloatTensor:
        """What the labels so far add to the logit at a position, `(R,)`."""

    def advance(self, position: int, state: torch.Tensor, labels_R: torch.Tensor) -> torch.Tensor:
        """The state once the label at a position is known."""

    def of(self, labels_NL: torch.Tensor) -> torch.FloatTensor:
        """What is added at every position of given label vectors, `(N, L)`."""

    def of_rows(self, documents: slice) -> LabelChain:
        """The chain of some of the documents."""


def states_of(labels_NL: torch.Tensor, reach: int) -> torch.LongTensor:
    """The state that each position of given label vectors is asked in, `(N, L)`: bit i is the label i + 1 places before.

    Args:
        labels_NL (`torch.Tensor` of shape `(N, L)`): 0 and 1.
        reach (`int`): K.
    """
    num_labels = labels_NL.shape[1]
    earlier = F.pad(labels_NL.long(), (reach, 0))
    states_NL = torch.zeros_like(labels_NL, dtype=torch.long)
    for bit in range(reach):
        start = reach - 1 - bit
        states_NL |= earlier[:, start : start + num_labels] << bit
    return states_NL


class TableChain:
    """A relation as the table of its values, one for all documents or one each.

    Args:
        table_LS (`torch.Tensor` of shape `(L, 2^K)` or `(B, L, 2^K)`):
            row j, column s: what is added to label j's logit in state s, whose bit i is label j-1-i. Where that label
            would lie before the first one, the bit must be 0: columns from 2^j on are not read in row j.

    Raises:
        `ValueError`: a width that is no power of 2.
    """

    has_table = True

    def __init__(self, table_LS: torch.Tensor):
        num_states = table_LS.shape[-1]
        self.reach = num_states.bit_length() - 1
        if table_LS.ndim not in (2, 3) or num_states != 2**self.reach or self.reach < 1:
            raise ValueError(f"`table_LS` must have 2, 4, 8 ... columns, one a state, found {tuple(table_LS.shape)}")
        self.table_LS = table_LS.float()

    def start(self, num_rows: int, device: torch.device) -> torch.LongTensor:
        return torch.zeros(num_rows, dtype=torch.long, device=device)

    def logits(self, position: int, state: torch.LongTensor) -> torch.FloatTensor:
        at = self.table_LS[..., position, :]
        if at.ndim == 1:
            return at[state]
        return at.gather(1, state.view(len(at), len(state) // max(len(at), 1))).flatten()

    def advance(self, position: int, state: torch.LongTensor, labels_R: torch.Tensor) -> torch.LongTensor:
        return ((state << 1) | labels_R.long()) & (2**self.reach - 1)

    def of(self, labels_NL: torch.Tensor) -> torch.FloatTensor:
        states_NL = states_of(labels_NL, self.reach)
        if self.table_LS.ndim == 2:
            return self.table_LS[torch.arange(labels_NL.shape[1], device=labels_NL.device), states_NL]
        num_documents = len(self.table_LS)
        states_BLC = states_NL.unflatten(0, (num_documents, len(states_NL) // max(num_documents, 1))).transpose(1, 2)
        return self.table_LS.gather(2, states_BLC).transpose(1, 2).flatten(0, 1)

    def of_rows(self, documents: slice) -> TableChain:
        return self if self.table_LS.ndim == 2 else TableChain(self.table_LS[documents])


class WindowChain:
    """A relation that is asked with labels: of any reach, at a call a label.

    Args:
        relation (`Callable`): label vectors `(N, L)` of 0 and 1 to what is added to each logit, `(N, L)`.
        num_labels (`int`): L.
        step (`Callable`, *optional*):
            `step(window_Rw, position)`: what is added at one position, `(R,)`, from the w = min(position, W) labels before
            it, the nearest last. Without it the relation is asked with whole vectors, L times for L labels: correct, and
            slow.
        window (`int`, *optional*): W, with `step`.
    """

    has_table = False

    def __init__(
        self,
        relation: Callable[[torch.Tensor], torch.Tensor],
        num_labels: int,
        *,
        step: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
        window: int | None = None,
    ):
        self.relation, self.num_labels, self.step = relation, num_labels, step
        self.window = num_labels if step is None else min(window, num_labels)

    def start(self, num_rows: int, device: torch.device) -> torch.BoolTensor:
        return torch.zeros(num_rows, self.window, dtype=torch.bool, device=device)

    def logits(self, position: int, state: torch.BoolTensor) -> torch.FloatTensor:
        if self.step is None:
            return self.relation(state.float())[:, position].float()
        # oldest first; before the ring is full it has been written from its first place on
        oldest = position % self.window if position >= self.window else 0
        window_Rw = state.roll(-oldest, dims=1)[:, :position].float()
        return self.step(window_Rw, position).float()

    def advance(self, position: int, state: torch.BoolTensor, labels_R: torch.Tensor) -> torch.BoolTensor:
        # a ring: the label takes the place of the oldest one
        state = state.clone()
        state[:, position % self.window] = labels_R.bool()
        return state

    def of(self, labels_NL: torch.Tensor) -> torch.FloatTensor:
        return self.relation(labels_NL.float()).float()

    def of_rows(self, documents: slice) -> WindowChain:
        """As `LabelChain`'s; a callable without `of_rows` of its own is the same for all documents."""
        if not hasattr(self.relation, "of_rows"):
            return self
        relation = self.relation.of_rows(documents)
        return WindowChain(relation, self.num_labels, step=self.step and relation.step, window=self.window)


Relation = torch.Tensor | Callable[[torch.Tensor], torch.Tensor] | LabelChain


def as_chain(relation: Relation, num_labels: int) -> LabelChain:
    """A table `(L, 2^K)` or `(B, L, 2^K)`, a callable `(N, L) -> (N, L)` or a chain, as a chain.

    Args:
        relation (`torch.Tensor`, `Callable` or `LabelChain`): as `TableChain` or `WindowChain` take it.
        num_labels (`int`): L.

    Raises:
        `ValueError`: a table of another number of labels.
    """
    if isinstance(relation, torch.Tensor):
        if relation.shape[-2] != num_labels:
            raise ValueError(f"the table has {relation.shape[-2]} rows for {num_labels} labels")
        return TableChain(relation)
    return relation if hasattr(relation, "advance") else WindowChain(relation, num_labels)


def cell_log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log P of each 0 or 1 under its logit: `y z - log(1 + exp z)`, finite for any finite logit."""
    return torch.where(labels.bool(), logits, 0.0) - F.softplus(logits)


def log_probabilities(logits_BL: torch.Tensor, relation: Relation, labels_BCL: torch.Tensor) -> torch.FloatTensor:
    """log P(y|x) of given label vectors, each document its own, `(B, C)`.

    Args:
        logits_BL (`torch.Tensor` of shape `(B, L)`): base logits.
        relation: a table, a callable or a chain (`as_chain`).
        labels_BCL (`torch.Tensor` of shape `(B, C, L)`): 0 and 1.
    """
    chain = as_chain(relation, logits_BL.shape[1])
    added_BCL = chain.of(labels_BCL.flatten(0, 1)).view(labels_BCL.shape)
    return cell_log_probs(logits_BL.float()[:, None] + added_BCL, labels_BCL).sum(dim=2)


def row_blocks(num_rows: int, bytes_a_row: int, budget: int | None = None) -> Iterator[slice]:
    """Slices of rows, at least one row each, that keep within a number of bytes.

    Args:
        num_rows (`int`): how many there are.
        bytes_a_row (`int`): what each needs.
        budget (`int`, *optional*): bytes of a block; `BLOCK_BYTES`.
    """
    size = max(1, (BLOCK_BYTES if budget is None else budget) // max(1, bytes_a_row))
    # an empty batch is one empty block
    for start in range(0, max(1, num_rows), size):
        yield slice(start, min(start + size, num_rows))


def rows_of(rows: slice, *tensors: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    """Some rows of each tensor; `None` of what isn't there."""
    return tuple(None if tensor is None else tensor[rows] for tensor in tensors)


__all__ = [
    "BLOCK_BYTES",
    "LabelChain",
    "Relation",
    "TableChain",
    "WindowChain",
    "as_chain",
    "cell_log_probs",
    "log_probabilities",
    "row_blocks",
    "rows_of",
    "states_of",
]
