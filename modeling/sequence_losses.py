"""Losses of a decoder that writes a label set: in a given order, in any order, in the order that suits it, as a set.

- `sequence_cross_entropy`: a given sequence, the loss of Yang et al., "SGM", COLING 2018.
- optimal completion (`ocd_roll_out`, `soft_cross_entropy`): the decoder writes for itself, and at each step any label
  that is still missing is right (Tsai & Lee, "Order-free Learning Alleviating Exposure Bias in Multi-label
  Classification", AAAI 2020).
- alignment (`prediction_roll_out`, `align_predicted` or `align_minimal`, then `sequence_cross_entropy`): the decoder
  writes for itself, and the true labels are laid beside what it wrote (Yazici et al., "Orderless Recurrent Models for
  Multi-label Classification", CVPR 2020).
- `set_bce`: binary cross-entropy on the probability that a label is written at all.

Any of them may be joined by the loss of a head that scores each label by itself (`sgm_losses.py` adds it).

A document's loss is a sum over its steps (or labels), and the loss a mean over documents. Log-probabilities of -inf
mark what the decoder can't write (padding, the beginning, labels it has written); they cost nothing where no target is,
and give no NaN.

Shape legend: B documents, P padded label ids, L labels, T steps, V = L + 3 ids of the decoder's vocabulary, N rows and
M columns of an assignment.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from .label_sequences import BOS, EOS, LABEL_OFFSET, NO_LABEL, PAD, ended_sequences, unique_label_ids
from .losses import UNKNOWN, reduce_cells


# a probability is kept this far from 1 where 1 minus it is needed: float32 tells no less apart
EPSILON = 1e-6
# stands for an infinite cost in an assignment: more than any sum of true ones, few enough digits to leave theirs intact
_FORBIDDEN = 1e8

# What a roll-out asks of a decoder: (ids written last (B,), state) -> (log-probabilities (B, V), state)
Step = Callable[[torch.LongTensor, Any], tuple[torch.Tensor, Any]]


class RollOut(NamedTuple):
    """What a decoder wrote by itself.

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): of each step, given what was written before it.
        written_BT (`torch.LongTensor` of shape `(B, T)`): what it wrote; `PAD` where it was done.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`): the steps that count, those up to the end.
        targets_BTV (`torch.Tensor` of shape `(B, T, V)`, *optional*): what would have been right, as distributions.
    """

    log_probs_BTV: torch.Tensor
    written_BT: torch.LongTensor
    mask_BT: torch.BoolTensor
    targets_BTV: torch.Tensor | None = None


# -- a given order ----------------------------------------------------------------------------------------------------


def sequence_cross_entropy(
    log_probs_BTV: torch.Tensor,
    sequences_BT: torch.LongTensor,
    *,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """`-sum_t log p(y_t | y_<t, x)`, the negative log-probability of the sequence, as a mean over documents.

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): normalised; may have more steps than the sequences.
        sequences_BT (`torch.LongTensor` of shape `(B, T)`): what is to be written, padded with `PAD`.
        num_items_in_batch (`int` or `torch.Tensor`, *optional*):
            documents in the whole optimiser step; those of the batch.
    """
    log_probs_BT = log_probs_BTV[:, : sequences_BT.shape[1]].gather(2, sequences_BT[:, :, None]).squeeze(2)
    return reduce_cells(
        -log_probs_BT.masked_fill(sequences_BT == PAD, 0.0),
        sequences_BT != PAD,
        num_labels=None,
        num_items_in_batch=num_items_in_batch,
    )


# -- any order --------------------------------------------------------------------------------------------------------


def ocd_targets(remaining: torch.BoolTensor) -> torch.FloatTensor:
    """What may come next if the set is to be right in the end: any label still missing, the end where none is.

    Every missing label gets the same share. (The paper derives the target from the best reward that a continuation can
    still earn, sharpened without limit; for sets this is what is left of it.)

    Args:
        remaining (`torch.BoolTensor` of shape `(..., L)`): the true labels that were not written yet.

    Returns:
        `torch.FloatTensor` of shape `(..., V)`, float32, sums to 1.
    """
    count = remaining.sum(dim=-1, keepdim=True)
    targets = torch.zeros(*remaining.shape[:-1], remaining.shape[-1] + LABEL_OFFSET, device=remaining.device)
    targets[..., LABEL_OFFSET:] = remaining / count.clamp(min=1)
    targets[..., EOS : EOS + 1] = (count == 0).float()
    return targets


def soft_cross_entropy(
    log_probs_BTV: torch.Tensor,
    targets_BTV: torch.Tensor,
    mask_BT: torch.BoolTensor,
    *,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """`-sum_t sum_v q_t(v) log p_t(v)` over the steps that count, as a mean over documents.

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): normalised; -inf costs nothing where the target is 0.
        targets_BTV (`torch.Tensor` of shape `(B, T, V)`): a distribution a step.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`): the steps that count.
        num_items_in_batch (`int` or `torch.Tensor`, *optional*):
            documents in the whole optimiser step; those of the batch.
    """
    is_cell_BTV = (targets_BTV > 0) & mask_BT[:, :, None]
    # filled before they are multiplied: 0 times -inf is no number
    cells_BT = -(targets_BTV * log_probs_BTV.masked_fill(~is_cell_BTV, 0.0)).sum(dim=2)
    return reduce_cells(cells_BT, mask_BT, num_labels=None, num_items_in_batch=num_items_in_batch)


def ocd_roll_out(
    step: Step, state: Any, labels_BL: torch.BoolTensor, *, sample_rate: float = 0.5, extra_steps: int = 3
) -> RollOut:
    """Lets the decoder write, and notes at each step what would have been right there.

    A step's id is drawn from its distribution or is the most probable one; no gradient flows through the choice. A
    document is done when the decoder writes the end, or after as many steps as it has labels, one for the end and a few
    for mistakes. That number is the document's own, so what its loss is doesn't depend on what else is in the batch.

    Args:
        step (`Step`): one step of the decoder; memory and masks are its own.
        state (`Any`): the decoder's state before the first step.
        labels_BL (`torch.BoolTensor` of shape `(B, L)`): the true labels.
        sample_rate (`float`, *optional*, defaults to 0.5): the share of steps whose id is drawn.
        extra_steps (`int`, *optional*, defaults to 3): steps beyond the labels and the end.

    Returns:
        [`RollOut`] with targets: for `soft_cross_entropy(out.log_probs_BTV, out.targets_BTV, out.mask_BT)`.
    """
    remaining_BL = labels_BL.bool()
    steps_left_B = remaining_BL.sum(dim=1) + 1 + extra_steps
    last_B = torch.full_like(steps_left_B, BOS)
    is_writing_B = torch.ones_like(last_B, dtype=torch.bool)
    log_probs, written, masks, targets = [], [], [], []
    while bool(is_writing_B.any()):
        log_probs_BV, state = step(last_B, state)
        last_B = _sampled_or_best(log_probs_BV.detach(), sample_rate).masked_fill(~is_writing_B, PAD)
        for parts, part in (
            (log_probs, log_probs_BV),
            (written, last_B),
            (masks, is_writing_B),
            (targets, ocd_targets(remaining_BL)),
        ):
            parts.append(part)
        # a column more on the left, so that what is no label can be written there
        is_written_BV = torch.zeros_like(log_probs_BV, dtype=torch.bool).scatter_(1, last_B[:, None], True)
        remaining_BL = remaining_BL & ~is_written_BV[:, LABEL_OFFSET:]
        steps_left_B = steps_left_B - 1
        is_writing_B = is_writing_B & (last_B != EOS) & (steps_left_B > 0)
    return RollOut(*(torch.stack(parts, dim=1) for parts in (log_probs, written, masks, targets)))


def _sampled_or_best(log_probs_BV: torch.Tensor, sample_rate: float) -> torch.LongTensor:
    best_B = log_probs_BV.argmax(dim=1)
    if sample_rate <= 0:
        return best_B
    drawn_B = log_probs_BV.float().exp().multinomial(1).squeeze(1)
    return torch.where(torch.rand(len(best_B), device=best_B.device) < sample_rate, drawn_B, best_B)


# -- the order that suits the decoder ---------------------------------------------------------------------------------


def prediction_roll_out(step: Step, state: Any, counts_B: torch.LongTensor) -> RollOut:
    """Lets the decoder write as many labels as are true, the most probable one each time, then one step for the end.

    The end is not written before its time: how many labels there are is known in training, and what the decoder thinks
    of the end shows in the log-probabilities all the same.

    Args:
        step (`Step`): one step of the decoder; memory and masks are its own.
        state (`Any`): the decoder's state before the first step.
        counts_B (`torch.LongTensor` of shape `(B,)`): different true labels of each document.

    Returns:
        [`RollOut`] of as many steps as the largest set has labels, and one: for `align_predicted` or `align_minimal`.
    """
    num_steps = int(counts_B.max()) + 1
    last_B = torch.full_like(counts_B, BOS)
    log_probs, written = [], []
    for place in range(num_steps):
        log_probs_BV, state = step(last_B, state)
        last_B = log_probs_BV[:, LABEL_OFFSET:].detach().argmax(dim=1) + LABEL_OFFSET
        last_B = torch.where(place < counts_B, last_B, torch.where(place == counts_B, EOS, PAD))
        log_probs.append(log_probs_BV)
        written.append(last_B)
    written_BT = torch.stack(written, dim=1)
    return RollOut(torch.stack(log_probs, dim=1), written_BT, written_BT != PAD)


def align_minimal(log_probs_BTV: torch.Tensor, label_ids_BP: torch.LongTensor) -> torch.LongTensor:
    """The order of the true labels whose loss is smallest, each step's log-probabilities being what they are (MLA).

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): of a roll-out, with a step for each label and for the end.
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): labels in any order; what is negative is none.

    Returns:
        `torch.LongTensor` of shape `(B, T)`: sequences as `ordered_sequences` makes them, without a gradient.

    Raises:
        `ValueError`: where there are fewer steps than labels and the end.
    """
    return _aligned(log_probs_BTV, label_ids_BP, None)


def align_predicted(
    log_probs_BTV: torch.Tensor, label_ids_BP: torch.LongTensor, written_BT: torch.LongTensor | None = None
) -> torch.LongTensor:
    """The order of smallest loss among those in which each true label that was predicted keeps its place (PLA).

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): of a roll-out, with a step for each label and for the end.
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): labels in any order; what is negative is none.
        written_BT (`torch.LongTensor` of shape `(B, T)`, *optional*):
            What was written at each step; by default the most probable label of each. A label written twice keeps the
            first place.

    Returns:
        `torch.LongTensor` of shape `(B, T)`: sequences as `ordered_sequences` makes them.

    Raises:
        `ValueError`: where there are fewer steps than labels and the end.
    """
    if written_BT is None:
        written_BT = log_probs_BTV[:, :, LABEL_OFFSET:].argmax(dim=2) + LABEL_OFFSET
    return _aligned(log_probs_BTV, label_ids_BP, written_BT)


def _aligned(
    log_probs_BTV: torch.Tensor, label_ids_BP: torch.LongTensor, written_BT: torch.LongTensor | None
) -> torch.LongTensor:
    """Sequences of the cheapest assignment of true labels to steps, where what was written as a true label stays."""
    ids_BP, counts_B = unique_label_ids(label_ids_BP)  # ascending, so that ties don't hang on the order in the data
    num_steps = log_probs_BTV.shape[1]
    if len(counts_B) and int(counts_B.max()) + 1 > num_steps:
        raise ValueError(
            f"`log_probs` must have a step for each label and one for the end, {int(counts_B.max()) + 1} in all, "
            f"found {num_steps}"
        )
    tokens_BTP = (ids_BP.clamp(min=0) + LABEL_OFFSET)[:, None].expand(-1, num_steps, -1)
    costs_BTP = -log_probs_BTV.detach().gather(2, tokens_BTP).double()
    all_ids, counts, all_costs = ids_BP.tolist(), counts_B.tolist(), costs_BTP.tolist()
    all_written = None if written_BT is None else (written_BT - LABEL_OFFSET).tolist()
    aligned_BP = torch.full_like(ids_BP, NO_LABEL)
    for row, (ids, count, costs) in enumerate(zip(all_ids, counts, all_costs, strict=True)):
        order: list[int | None] = [None] * count  # the column of the label at each step
        if all_written is not None:
            column_of = {label: column for column, label in enumerate(ids[:count])}
            for place, label in enumerate(all_written[row][:count]):
                order[place] = column_of.pop(label, None)
        kept = {column for column in order if column is not None}
        open_steps = [place for place in range(count) if order[place] is None]
        columns = [column for column in range(count) if column not in kept]
        chosen = cheapest_assignment([[costs[place][column] for column in columns] for place in open_steps])
        for place, choice in zip(open_steps, chosen, strict=True):
            order[place] = columns[choice]
        if count:
            aligned_BP[row, :count] = aligned_BP.new_tensor([ids[column] for column in order])
    return ended_sequences(aligned_BP, counts_B)


def cheapest_assignment(costs_NM: Sequence[Sequence[float]]) -> list[int]:
    """A column for each row, no column twice, with the smallest sum of costs: exact, in O(N^2 M).

    Rows come in one after another. For each, the cheapest chain of reassignments that ends at a free column is sought,
    as a shortest path over costs that potentials of rows and columns keep from being negative (Jonker & Volgenant, "A
    shortest augmenting path algorithm for dense and sparse linear assignment problems", 1987).

    Args:
        costs_NM (`list[list[float]]`): N rows of M >= N columns each. What is infinite, 1e8 or more, or no number, is
            taken only where there is no other way.

    Returns:
        `list[int]`: the column of each row.

    Raises:
        `ValueError`: more rows than columns.

    Example:
        >>> cheapest_assignment([[1.0, 2.0], [1.0, 4.0]])
        [1, 0]
    """
    num_rows, num_columns = len(costs_NM), len(costs_NM[0]) if costs_NM else 0
    if num_rows > num_columns:
        raise ValueError(f"`costs` must have a column for each row, found {num_rows} rows and {num_columns} columns")
    # comparisons with NaN are false, so NaN becomes forbidden too
    costs = [[cost if abs(cost) < _FORBIDDEN else _FORBIDDEN for cost in row] for row in costs_NM]
    free = -1
    row_of = [free] * num_columns
    row_potential, column_potential = [0.0] * num_rows, [0.0] * num_columns
    for new_row in range(num_rows):
        distance = [math.inf] * num_columns  # of each column from the new row
        before = [free] * num_columns  # the column from whose row it is reached; `free`: from the new row
        is_done = [False] * num_columns
        row, column, reached = new_row, free, 0.0
        while True:
            nearest, nearest_distance = free, math.inf
            potential = row_potential[row]
            for other in range(num_columns):
                if is_done[other]:
                    continue
                through = reached + costs[row][other] - potential - column_potential[other]
                if through < distance[other]:
                    distance[other], before[other] = through, column
                if distance[other] < nearest_distance:
                    nearest, nearest_distance = other, distance[other]
            column, reached = nearest, nearest_distance
            is_done[column] = True
            if row_of[column] == free:
                break
            row = row_of[column]
        row_potential[new_row] += reached
        for other in range(num_columns):
            if is_done[other] and other != column:
                row_potential[row_of[other]] += reached - distance[other]
                column_potential[other] -= reached - distance[other]
        while before[column] != free:
            row_of[column] = row_of[before[column]]
            column = before[column]
        row_of[column] = new_row
    column_of = [free] * num_rows
    for column, row in enumerate(row_of):
        if row != free:
            column_of[row] = column
    return column_of


# -- as a set ---------------------------------------------------------------------------------------------------------


def alive_and_scores(probs_BTV: torch.Tensor, mask_BT: torch.BoolTensor | None = None) -> torch.Tensor:
    """The probability that each label is written at some step: `q_l = 1 - prod_t (1 - a_t y_t(l))`.

    `a_t = prod_{k<t} (1 - y_k(end))` is the probability that the sequence has not ended before step t.

    Args:
        probs_BTV (`torch.Tensor` of shape `(B, T, V)`): each step's distribution `y_t`, given some prefix.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`, *optional*): the steps that count; all.

    Returns:
        `torch.Tensor` of shape `(B, L)`, in [0, 1).
    """
    return -torch.expm1(log_misses(probs_BTV, mask_BT))


def log_misses(probs_BTV: torch.Tensor, mask_BT: torch.BoolTensor | None = None) -> torch.Tensor:
    """`log(1 - q_l)`, as sums of logarithms that stay exact where q is tiny; arguments as `alive_and_scores`.

    Returns:
        `torch.Tensor` of shape `(B, L)`, float32 or float64: 0 or less, finite.
    """
    probs_BTV = probs_BTV if probs_BTV.dtype == torch.float64 else probs_BTV.float()
    if mask_BT is not None:
        probs_BTV = probs_BTV.masked_fill(~mask_BT[:, :, None], 0.0)
    log_going_on_BT = torch.log1p(-_below_one(probs_BTV[:, :, EOS]))
    log_alive_BT = log_going_on_BT.cumsum(dim=1) - log_going_on_BT  # up to the step before
    reached_BTL = log_alive_BT.exp()[:, :, None] * probs_BTV[:, :, LABEL_OFFSET:]
    return torch.log1p(-_below_one(reached_BTL)).sum(dim=1)


def log_scores(log_misses_BL: torch.Tensor) -> torch.Tensor:
    """`log q_l` of `log(1 - q_l)`; of a label of probability 0 (it underflowed) log 1e-30, without a gradient."""
    return torch.log(-torch.expm1(log_misses_BL.clamp(max=-1e-30)))


def _below_one(probs: torch.Tensor) -> torch.Tensor:
    """At most 1 - EPSILON, with the gradient of no bound at all: a confident mistake is to be unlearned too."""
    return probs - (probs.detach() - (1 - EPSILON)).clamp(min=0.0)


def set_bce(
    probs_BTV: torch.Tensor,
    labels_BL: torch.Tensor,
    mask_BT: torch.BoolTensor | None = None,
    *,
    num_labels: int | None = None,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Binary cross-entropy between the labels and `alive_and_scores`: the decoder as a predictor of a set.

    `-sum_l [y_l log q_l + (1 - y_l) log(1 - q_l)]`, both logarithms taken from `log(1 - q)`, so that neither rounds
    to 0 or to infinity; a mistake goes on being unlearned as long as float32 tells its probability from 0 or 1.

    Args:
        probs_BTV (`torch.Tensor` of shape `(B, T, V)`): each step's distribution, given some prefix.
        labels_BL (`torch.Tensor` of shape `(B, L)`): multi-hot of any dtype; -100 costs nothing.
        mask_BT (`torch.BoolTensor` of shape `(B, T)`, *optional*): the steps that count; all.
        num_labels (`int`, *optional*): divide a document's sum by this; by default it stays a sum.
        num_items_in_batch (`int` or `torch.Tensor`, *optional*):
            documents in the whole optimiser step; those of the batch.
    """
    log_misses_BL = log_misses(probs_BTV, mask_BT)
    log_scores_BL = log_scores(log_misses_BL)
    is_label_BL = labels_BL > 0
    cells_BL = -torch.where(is_label_BL, log_scores_BL, log_misses_BL)
    return reduce_cells(cells_BL, labels_BL != UNKNOWN, num_labels=num_labels, num_items_in_batch=num_items_in_batch)
