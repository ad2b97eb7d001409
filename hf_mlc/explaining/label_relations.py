"""What an MSDN learned of its labels: how much one label's answer moves another's logit, by how far apart they stand in the chain.

The relations are the same for every document, so this is a picture of the model and not of an answer; where they read the document,
it is that of a document of which nothing is known. Of a causal model it is

    E | r_j(answers with label j - d) - r_j(the same answers without it) |

over the answers of the other labels before j, each there as often as in training and independently of the others: what the
logit of label j changes by when the label d places before it is there. It is worked out exactly, from the table of the relation's
values for all states of the last labels, where there is such a table, and from drawn answers otherwise. Beside it stands what the
weights alone say: the sum over the channels of the change of a convolution's output times the label's weight of it, as if no
ReLU ever cut anything off: with one block of convolutions no change is larger.

Of a parallel model, whose labels are refined together, label i is fixed as there or not (shown, where training shows labels), with everything else guessed at its rate in
training for a document of which nothing is known, and the logits of all other labels after the last step are compared: offsets
then go both ways.

Shape legend: M orders, L labels in each order, K labels of the largest kernel, S = 2^K states, O offsets, N drawn answers, C channels
of all convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.msdn_relations import CausalRelations, ParallelRelations


DRAWN_ANSWERS = 256
MOST_PAIRS = 20
MOST_OFFSETS = 64  # that are looked at; beyond, a relation of dilated convolutions goes on
CELLS_AT_ONCE = 2**22  # answers in memory at one time
CERTAIN = 12.0  # a logit that is as good as an answer: its probability is 0.999994


class OffsetChanges(NamedTuple):
    """Changes of logits: `mean` and `size` (M, L, O), the mean change and its mean absolute value, of the label at each place by the
    label so many places before it; NaN where there is none. `offsets` are O whole numbers, negative for labels behind."""

    offsets: list[int]
    mean: torch.Tensor
    size: torch.Tensor


@dataclass(frozen=True)
class LabelRelations:
    """What [`label_relations`] finds, ready for JSON (`to_dict`).

    Args:
        variant (`str`): `"causal"` or `"parallel"`.
        label_order (`str`): the order in which labels have places.
        num_orders (`int`): relations side by side; everything is a mean over them.
        exact (`bool`): whether changes are worked out for all answers, and not from drawn ones.
        reads_document (`bool`): whether relations differ from document to document; what is shown is of one of which nothing is known.
        by_training_counts (`bool`): whether answers are there as often as in training; half of the time otherwise.
        offsets (`list[int]`): how many places before a label the other one stands.
        scales (`list[dict]`): of each convolution its `kernel_size`; `change`, the mean absolute change of a logit at each offset
            that it causes by itself, `None` where that can't be told apart; and `possible`, what its weights allow for.
        change (`list[float]`): of all together.
        pairs (`list[dict]`): those with the largest change, first: `given`, the label that is there or not; `label`, the one
            whose logit changes; `offset`, in the first order in which the model relates them; `change`, in the mean, and `size`, the mean of
            its absolute value, in logits.
        parameters (`dict[str, int]`): the model's, of its `encoder`, `head` and `relation`.
    """

    variant: str
    label_order: str
    num_orders: int
    exact: bool
    reads_document: bool
    by_training_counts: bool
    offsets: list[int]
    scales: list[dict[str, Any]]
    change: list[float]
    pairs: list[dict[str, Any]]
    parameters: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def has_relations(config: Any) -> bool:
    """Whether a model of this configuration relates its labels to each other in a way that can be shown."""
    return config.model_type == "msdn"


@torch.no_grad()
def label_relations(loaded: LoadedModel, *, most_pairs: int = MOST_PAIRS, seed: int = 0) -> LabelRelations:
    """Which labels, at which distance and by which convolution, move which others' logits.

    Args:
        loaded (`LoadedModel`): an MSDN model.
        most_pairs (`int`, *optional*, defaults to 20): pairs of labels to name.
        seed (`int`, *optional*, defaults to 0): of drawn answers, where the relation has no table of states.

    Raises:
        `UserError`: a model of another architecture.
    """
    config, space = loaded.model.config, loaded.label_space
    if not has_relations(config):
        raise UserError(
            f"a model of type {config.model_type} holds no relations between labels",
            field="model",
            accepted="an msdn model",
        )
    relations = copy.deepcopy(loaded.model.relations).cpu().float().eval()
    orders_ML = loaded.model.label_orders(torch.device("cpu"))
    chances_ML = _chances(space)[orders_ML]
    exact = config.is_exact
    if config.variant == "parallel":
        changes = _of_fixed_labels(relations, chances_ML)
    else:
        changes = _changes(relations, chances_ML, exact=exact, seed=seed)
    scales = [
        _scale(number, relations, chances_ML, changes.offsets, exact=exact, seed=seed)
        for number in range(len(relations.convolutions))
    ]
    return LabelRelations(
        variant=config.variant,
        label_order=config.label_order,
        num_orders=len(orders_ML),
        exact=exact,
        reads_document=config.variant == "parallel" or config.document_relations,
        by_training_counts=space.counts is not None and bool(space.num_documents),
        offsets=changes.offsets,
        scales=scales,
        change=_by_offset(changes.size),
        pairs=list(_strongest(changes, orders_ML, space, most_pairs)),
        parameters=loaded.model.parameter_split(),
    )


def _chances(space: LabelSpace) -> torch.Tensor:
    """How often each label is there in training, `(L,)` in the user's order; 0.5 where that is unknown."""
    if space.counts is None or not space.num_documents:
        return torch.full((len(space),), 0.5)
    return (torch.from_numpy(space.counts).double() / space.num_documents).clamp(0, 1).float()


def _by_offset(values_MLO: torch.Tensor) -> list[float]:
    """Means over orders and labels, where a label stands so far away; 0 where none does."""
    return [round(value, 6) for value in values_MLO.flatten(0, 1).nanmean(dim=0).nan_to_num().tolist()]


# -- the causal variant -------------------------------------------------------------------------------------------------


def _changes(relations: CausalRelations, chances_ML: torch.Tensor, *, exact: bool, seed: int) -> OffsetChanges:
    if exact:
        added_BMD = _unknown_document(relations)
        tables_MLS = relations.state_tables(added_MD=None if added_BMD is None else added_BMD[0])
        return changes_from_tables(tables_MLS, chances_ML)
    return changes_from_draws(relations, chances_ML, seed=seed)


def _unknown_document(relations: CausalRelations) -> torch.Tensor | None:
    """What a document of which nothing is known adds to the channels, `(1, M, D)`, where relations read it."""
    if relations.projection is None:
        return None
    nothing_1H = relations.projection.weight.new_zeros(1, relations.projection.in_features)
    return relations.added_by_documents(nothing_1H)


def changes_from_tables(tables_MLS: torch.Tensor, chances_ML: torch.Tensor) -> OffsetChanges:
    """Exact changes, from the relation's values in all states.

    Args:
        tables_MLS (`torch.Tensor` of shape `(M, L, 2^K)`): of `CausalRelations.state_tables`.
        chances_ML (`torch.Tensor` of shape `(M, L)`): how often the label at each place is there.
    """
    num_labels, num_states = tables_MLS.shape[1:]
    reach = num_states.bit_length() - 1
    # of a label that isn't there the bit is 0
    chances_MLK = torch.stack([_places_before(chances_ML, back, 0.0) for back in range(1, reach + 1)], dim=2)
    shares_MLS = torch.ones_like(tables_MLS[:, :, :1])
    for chances_ML1 in chances_MLK.split(1, dim=2):  # a label further back is the next higher bit
        shares_MLS = torch.cat([shares_MLS * (1 - chances_ML1), shares_MLS * chances_ML1], dim=2)
    means, sizes = [], []
    for bit in range(reach):
        # states in pairs that differ in this bit alone; the others' share is what both have together
        with_and_without = tables_MLS.unflatten(2, (-1, 2, 2**bit))
        shares = shares_MLS.unflatten(2, (-1, 2, 2**bit)).sum(dim=3).flatten(2)
        changes = (with_and_without[:, :, :, 1] - with_and_without[:, :, :, 0]).flatten(2)
        means.append((shares * changes).sum(dim=2))
        sizes.append((shares * changes.abs()).sum(dim=2))
    offsets = list(range(1, min(reach, num_labels - 1) + 1))
    exists_LO = torch.arange(num_labels)[:, None] >= torch.tensor(offsets, dtype=torch.long)
    stacked = (torch.stack(values, dim=2)[..., : len(offsets)] for values in (means, sizes))
    return OffsetChanges(offsets, *(values.masked_fill(~exists_LO, float("nan")) for values in stacked))


def changes_from_draws(relations: CausalRelations, chances_ML: torch.Tensor, *, seed: int = 0) -> OffsetChanges:
    """Changes over drawn answers, for relations of any reach.

    Labels that stand further apart than the reach are flipped together: no logit depends on two of them.

    Args:
        relations (`CausalRelations`): in evaluation mode.
        chances_ML (`torch.Tensor` of shape `(M, L)`): how often the label at each place is there.
        seed (`int`, *optional*, defaults to 0): of the draws.
    """
    num_orders, num_labels = chances_ML.shape
    reach = min(relations.reach, num_labels - 1)
    apart = reach + 1
    offsets = list(range(1, min(reach, MOST_OFFSETS) + 1))
    added_BMD = _unknown_document(relations)
    generator = torch.Generator().manual_seed(seed)
    totals = torch.zeros(2, num_orders, num_labels, max(len(offsets), 1), dtype=torch.float64)
    places_L = torch.arange(num_labels)
    rows = max(CELLS_AT_ONCE // (num_orders * num_labels * relations.output.shape[2]), 1)
    done = 0
    while done < DRAWN_ANSWERS:
        number = min(rows, DRAWN_ANSWERS - done)
        done += number
        answers_NML = (torch.rand(number, num_orders, num_labels, generator=generator) < chances_ML).float()
        before_NML = relations(answers_NML, added_BMD=added_BMD)
        for first in range(apart):
            is_flipped_L = places_L % apart == first
            after_NML = relations(torch.where(is_flipped_L, 1 - answers_NML, answers_NML), added_BMD=added_BMD)
            turned_NML = 1 - 2 * answers_NML  # 1 where the label came, -1 where it went
            for column, offset in enumerate(offsets):
                at_L = places_L[offset:][is_flipped_L[: num_labels - offset]]
                changes = (after_NML - before_NML)[..., at_L] * turned_NML[..., at_L - offset]
                totals[0][:, at_L, column] += changes.sum(dim=0)
                totals[1][:, at_L, column] += changes.abs().sum(dim=0)
    exists_LO = places_L[:, None] >= torch.tensor(offsets, dtype=torch.long)
    found = (totals[..., : len(offsets)] / DRAWN_ANSWERS).float().masked_fill(~exists_LO, float("nan"))
    return OffsetChanges(offsets, *found)


def possible_changes(relations: CausalRelations, scale: int, num_offsets: int) -> torch.Tensor:
    """What the weights of one convolution allow a logit to change by at each offset, `(M, L, O)`; NaN where no label is.

    Args:
        relations (`CausalRelations`): of them.
        scale (`int`): which convolution.
        num_offsets (`int`): O; 0 beyond the kernel.
    """
    kernel, output_MLC = relations.convolutions[scale], _outputs(relations)[scale].abs()
    found = []
    for back in range(1, num_offsets + 1):
        if back > kernel.kernel_size:
            found.append(_places_before(torch.zeros_like(output_MLC[..., 0]), back, float("nan")))
            continue
        tap_MCI = kernel.weight[..., -back]
        # an answer that turns from no to yes: -1 to 1 in the first channel, 0 to the label's vector in the last ones
        turned_MLC = 2 * tap_MCI[:, None, :, 0] + torch.einsum(
            "mle,mce->mlc", relations.label_embeddings, tap_MCI[..., 2:]
        )
        turned_MLC = _places_before(turned_MLC.abs(), back, float("nan"))
        found.append((turned_MLC * output_MLC).sum(dim=2))
    return torch.stack(found, dim=2) if found else output_MLC.new_zeros(*output_MLC.shape[:2], 0)


def _outputs(relations: CausalRelations) -> tuple[torch.Tensor, ...]:
    """The labels' weights of each convolution's channels, `(M, L, c)` each."""
    return relations.output.chunk(len(relations.convolutions), dim=2)


def _places_before(values_ML: torch.Tensor, back: int, missing: float) -> torch.Tensor:
    """What stands so many places before each, along the second dimension."""
    back = min(back, values_ML.shape[1])
    padding = (0, 0) * (values_ML.ndim - 2) + (back, 0)
    return F.pad(values_ML, padding, value=missing)[:, : values_ML.shape[1]]


# -- the parallel variant -----------------------------------------------------------------------------------------------


def _of_fixed_labels(relations: ParallelRelations, chances_ML: torch.Tensor) -> OffsetChanges:
    """Changes when each label is fixed as there or not, all others guessed at their rates."""
    num_orders, num_labels = chances_ML.shape
    beside = max(convolution.kernel_size // 2 for convolution in relations.convolutions)
    reach = min(beside * relations.num_steps, num_labels - 1, MOST_OFFSETS)
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    base_ML = torch.logit(chances_ML.clamp(1e-4, 1 - 1e-4))
    changes_MLO = torch.full((num_orders, num_labels, max(len(offsets), 1)), float("nan"))
    rows = max(CELLS_AT_ONCE // (num_orders * num_labels * relations.output.weight.shape[2]) // 2, 1)
    for start in range(0, num_labels, rows):
        fixed_N = torch.arange(start, min(start + rows, num_labels))
        base_NML = base_ML.repeat(len(fixed_N), 1, 1)
        documents_NH = base_ML.new_zeros(len(fixed_N), relations.projection.in_features)
        logits = []
        for answer in (1.0, 0.0):
            if relations.shows_labels:  # the state in which answers that are settled are shown
                shown_NML = torch.full_like(base_NML, -1.0)
                shown_NML[torch.arange(len(fixed_N)), :, fixed_N] = answer
            else:
                shown_NML = None
                base_NML[torch.arange(len(fixed_N)), :, fixed_N] = CERTAIN * (2 * answer - 1)
            logits.append(relations(base_NML, documents_NH, shown_NML)[-1])
        for column, offset in enumerate(offsets):
            at_N = fixed_N + offset
            has_label_N = (at_N >= 0) & (at_N < num_labels)
            rows_N = torch.arange(len(fixed_N))[has_label_N]
            changes_MLO[:, at_N[has_label_N], column] = (logits[0] - logits[1])[rows_N, :, at_N[has_label_N]].T
    changes_MLO = changes_MLO[..., : len(offsets)]
    return OffsetChanges(offsets, changes_MLO, changes_MLO.abs())


def _possible_beside(relations: ParallelRelations, scale: int, offsets: list[int]) -> list[float]:
    """What the weights of one convolution allow a logit to change by in one step when a guess goes from 0 to 1.

    Where labels are shown, both answers are: the channel that says so is the same for both.
    """
    kernel = relations.convolutions[scale]
    output_MC = relations.output.weight.flatten(1).chunk(len(relations.convolutions), dim=1)[scale].abs()
    middle, found = kernel.kernel_size // 2, []
    for offset in offsets:
        if abs(offset) > middle:
            found.append(0.0)
        else:
            found.append(float((kernel.weight[:, :, 0, middle - offset].abs() * output_MC).sum(dim=1).mean()))
    return found


# -- both ---------------------------------------------------------------------------------------------------------------


def _scale(
    number: int,
    relations: CausalRelations | ParallelRelations,
    chances_ML: torch.Tensor,
    offsets: list[int],
    *,
    exact: bool,
    seed: int,
) -> dict[str, Any]:
    """One convolution by itself: the others' outputs are set to 0."""
    kernel_size = relations.convolutions[number].kernel_size
    if isinstance(relations, ParallelRelations):
        possible = _possible_beside(relations, number, offsets)
        alone = copy.deepcopy(relations)
        for place, output in enumerate(alone.output.weight.chunk(len(alone.convolutions), dim=2)):
            output *= place == number
        change = _by_offset(_of_fixed_labels(alone, chances_ML).size)
    else:
        possible = _by_offset(possible_changes(relations, number, len(offsets)))
        change = None
        if not relations.blocks:  # they mix what the convolutions found
            alone = copy.deepcopy(relations)
            for place, output in enumerate(_outputs(alone)):
                output *= place == number
            change = _by_offset(_changes(alone, chances_ML, exact=exact, seed=seed).size)
    return {"kernel_size": kernel_size, "change": change, "possible": [round(value, 6) for value in possible]}


def _strongest(
    changes: OffsetChanges, orders_ML: torch.Tensor, space: LabelSpace, most: int
) -> Iterator[dict[str, Any]]:
    """The pairs of labels with the largest change, the mean over all orders (0 in one that doesn't relate them)."""
    num_orders, _, num_offsets = changes.size.shape
    found: dict[tuple[int, int], list[float]] = {}  # pair: size, change, offset
    # of several orders, those that are strong in one; a pair that is middling in each may be missed
    ranked = changes.size.nan_to_num(-1.0).flatten(1).argsort(dim=1, descending=True, stable=True)
    candidates = {
        _pair(place, orders_ML[order], changes.offsets, num_offsets)
        for order in range(num_orders)
        for place in ranked[order, : most * num_orders].tolist()
        if changes.size[order].flatten()[place] > 0
    }
    places_ML = orders_ML.argsort(dim=1)
    column_of = {offset: column for column, offset in enumerate(changes.offsets)}
    for given, label in candidates:
        found[given, label] = [0.0, 0.0, 0]
        for order in range(num_orders):
            offset = int(places_ML[order, label] - places_ML[order, given])
            if offset in column_of:
                at = order, int(places_ML[order, label]), column_of[offset]
                found[given, label][0] += float(changes.size[at]) / num_orders
                found[given, label][1] += float(changes.mean[at]) / num_orders
                found[given, label][2] = found[given, label][2] or offset
    for (given, label), (size, change, offset) in sorted(found.items(), key=lambda item: (-item[1][0], item[0]))[
        :most
    ]:
        yield {
            "given": space.names[given],
            "label": space.names[label],
            "offset": offset,
            "change": round(change, 4),
            "size": round(size, 4),
        }


def _pair(place: int, order_L: torch.Tensor, offsets: list[int], num_offsets: int) -> tuple[int, int]:
    """The labels of a cell of `(L, O)`, flattened: the one that is there or not, and the one whose logit changes."""
    at, column = divmod(place, num_offsets)
    return int(order_L[at - offsets[column]]), int(order_L[at])
