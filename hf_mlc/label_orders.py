"""In which order a document's labels are written one after another: the ranks of labels, from the training rows.

Shapes: `L` labels.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.label_checks import shortened
from hf_mlc.labels import LabelSpace, sort_names
from hf_mlc.modeling.label_sequences import frequency_ranks, random_orders, ranks_of_order
from hf_mlc.seriation import seriation_order


logger = logging.get_logger(__name__)

LABEL_ORDERS = (
    "frequency", "rare_first", "alphabetical", "given", "topological", "random", "dynamic", "seriation",
)  # fmt: skip


def label_ranks(
    order: str,
    label_space: LabelSpace,
    label_ids: Iterable[Iterable[int]] | None = None,
    *,
    parents: Sequence[Iterable[int]] | None = None,
    given: Sequence[int] | None = None,
) -> list[int]:
    """The rank of each label: the smallest is written first.

    - `"frequency"`: most training documents first; `"rare_first"`: fewest first. Equally frequent labels go by id.
    - `"alphabetical"`: by name, by code point (numerically where every name is an integer).
    - `"given"`: as the list says.
    - `"topological"`: no label before its parents; among those that may come next, the most frequent.
    - `"seriation"`: labels that occur together stand together (`hf_mlc.seriation`); needs `label_ids`.
    - `"random"`, `"dynamic"`: the model finds the order anew each time. What it then needs a fixed one for (a loss that
      can be compared between evaluations) goes by frequency.

    Args:
        order (`str`): one of the above.
        label_space (`LabelSpace`): its counts are those of the training rows.
        label_ids (iterable of lists, *optional*):
            The labels of each training document, counted in place of what `label_space` says; twice is once.
        parents (`list[list[int]]`, *optional*): the parents of each label; by default those of `label_space`.
        given (`list[int]`, *optional*): one rank a label, for `"given"`.

    Returns:
        `list[int]` of length L: 0 ... L-1, each once.

    Raises:
        `UserError`: on an order that there is not, on one that needs what is not there, and on parents in a circle.

    Example:
        >>> label_ranks("frequency", LabelSpace.from_label_lists([["a", "b"], ["b"], ["b", "c"], ["c"]]))
        [2, 0, 1]
    """
    if order not in LABEL_ORDERS:
        raise UserError(f"found {order!r}", field="label_order", accepted=", ".join(LABEL_ORDERS))
    if order == "given":
        return _given(given, len(label_space))
    if order == "alphabetical":
        place_of = {name: place for place, name in enumerate(sort_names(label_space.names))}
        return [place_of[name] for name in label_space.names]
    if order == "seriation":
        if label_ids is None:
            raise UserError(
                "found 'seriation', but no training rows", field="label_order", accepted="frequency, given"
            )
        return ranks_of_order(seriation_order(label_ids, len(label_space)))
    counts = _counts(label_space, label_ids)
    if order == "rare_first":
        return frequency_ranks([-count for count in counts])
    if order == "topological":
        return ranks_of_order(_parents_first(_parents(label_space, parents), counts, label_space.names))
    return frequency_ranks(counts)


def fill_label_ranks(
    config: Any,
    label_space: LabelSpace,
    *,
    order_is_given: bool = False,
    label_ids: Iterable[Iterable[int]] | None = None,
) -> None:
    """Writes `label_ranks` into the configuration of a model whose labels have an order; leaves others alone.

    Args:
        config (`MultiLabelConfig`): not changed unless it has a `label_order`. Its `label_ranks`, where the user has
            set them, are the list of `"given"`; its `label_parents`, where it has the field, come before the parents of
            `label_space`. With `num_orders` there is one list an order.
        label_space (`LabelSpace`): with the counts of the rows that are trained on.
        order_is_given (`bool`, *optional*, defaults to `False`):
            Whether the user gave the labels as a list; then its order is the given one unless `label_ranks` are set.
        label_ids (iterable of lists, *optional*): the labels of each of those rows; read for `"seriation"` alone.

    Raises:
        `UserError`: as `label_ranks`; and on ranks that are set, and are not those of the order.
    """
    order = getattr(config, "label_order", None)
    if order is None:
        return
    given = config.label_ranks
    if order == "given" and given is None and order_is_given:
        given = range(len(label_space))
    if hasattr(config, "num_orders"):
        ranks = _ranks_of_chains(config, label_space, given, label_ids)
    else:
        ranks = label_ranks(
            order,
            label_space,
            label_ids if order == "seriation" else None,
            parents=config.label_parents,
            given=given,
        )
    if config.label_ranks is not None and _nested(config.label_ranks) != _nested(ranks):
        raise UserError(f"set, but label_order is {order!r}", field="label_ranks", accepted="label_order: given")
    config.label_ranks = ranks
    if hasattr(config, "label_parents"):
        _warn_of_late_parents(config, label_space.names)


def _ranks_of_chains(
    config: Any, label_space: LabelSpace, given: Sequence[Any] | None, label_ids: Iterable[Iterable[int]] | None
) -> list[int] | list[list[int]]:
    """The ranks of `num_orders` orders: the first by `label_order`, the others drawn once and for all; of one, its ranks alone.

    With `"given"`, as many lists as there are orders are all of them; the order of a label file is the first one.
    """
    number, order = config.num_orders, config.label_order
    if order == "given" and given and isinstance(given[0], (list, tuple)):
        if len(given) != number:
            raise UserError(f"{len(given)} orders", field="label_ranks", accepted=f"{number}, as num_orders has it")
        several = [label_ranks(order, label_space, given=ranks) for ranks in given]
    else:
        several = [ranks_of_order(drawn) for drawn in random_orders(len(label_space), number, config.label_order_seed)]
        if order != "random":
            several[0] = label_ranks(order, label_space, label_ids if order == "seriation" else None, given=given)
    return several[0] if number == 1 else several


def _nested(ranks: Sequence[Any]) -> list[list[int]]:
    """One list of ranks, or one an order, as one an order."""
    return [list(some) for some in (ranks if ranks and isinstance(ranks[0], (list, tuple)) else [ranks])]


def _warn_of_late_parents(config: Any, names: Sequence[str]) -> None:
    """Warns once of an order that training shows and the search's `label_parents` forbid."""
    if getattr(config, "sequence_loss", "sequence_ce") not in ("sequence_ce", "set_bce"):
        return  # other losses don't write in this order
    for child, parents in enumerate(config.label_parents or ()):
        for parent in parents:
            if config.label_order == "random" or config.label_ranks[child] < config.label_ranks[parent]:
                logger.warning_once(
                    f"label_order {config.label_order!r} puts label {names[child]!r} before its parent {names[parent]!r}, "
                    "which the search never does: training shows sequences that it can't find. Use label_order: topological"
                )
                return


def _given(ranks: Sequence[int] | None, num_labels: int) -> list[int]:
    if ranks is None:
        raise UserError(
            "found 'given' but no order",
            field="label_order",
            accepted="label_ranks, one rank a label, or a label_file, whose order is then taken",
        )
    ranks = list(ranks)
    accepted = f"{num_labels} ranks, each of 0 ... {num_labels - 1} once"
    if len(ranks) != num_labels:
        raise UserError(f"{len(ranks)} ranks for {num_labels} labels", field="label_ranks", accepted=accepted)
    seen: set[int] = set()
    for rank in ranks:
        is_whole = isinstance(rank, (int, np.integer)) and not isinstance(rank, bool)
        if not is_whole or not 0 <= rank < num_labels or rank in seen:
            problem = f"found {rank!r} twice" if is_whole and rank in seen else f"found {rank!r}"
            raise UserError(problem, field="label_ranks", accepted=accepted)
        seen.add(int(rank))
    return [int(rank) for rank in ranks]


def _counts(label_space: LabelSpace, label_ids: Iterable[Iterable[int]] | None) -> list[int]:
    if label_ids is None:
        if label_space.counts is None:
            raise UserError(
                "this label space has no training counts", field="label_order", accepted="alphabetical, or given"
            )
        return label_space.counts.tolist()
    counts = [0] * len(label_space)
    for ids in label_ids:
        for label in {int(label) for label in ids}:
            counts[label] += 1
    return counts


def _parents(label_space: LabelSpace, parents: Sequence[Iterable[int]] | None) -> list[set[int]]:
    """The parents of each label, as many as it has; `UserError` unless there is one in all of them."""
    num_labels = len(label_space)
    if parents is not None:
        if len(parents) != num_labels:
            raise UserError(
                f"{len(parents)} entries for {num_labels} labels", field="label_parents", accepted="one list a label"
            )
        parents_of = [set(some) for some in parents]
        for child, some in enumerate(parents_of):
            for parent in some:
                if not 0 <= parent < num_labels:
                    raise UserError(
                        f"the parent {parent} of label {label_space.names[child]!r} is not a label",
                        field="label_parents",
                        accepted=f"ids from 0 to {num_labels - 1}",
                    )
    elif label_space.parents is not None:
        parents_of = [{parent} - {-1} for parent in label_space.parents.tolist()]
    else:
        parents_of = []
    if not any(parents_of):
        raise UserError(
            "found 'topological', but no label has a parent",
            field="label_order",
            accepted="a label_file with parents, or label_parents",
        )
    return parents_of


def _parents_first(parents_of: list[set[int]], counts: list[int], names: list[str]) -> list[int]:
    """All labels, none before its parents; of those that may come next the most frequent, then by id (Kahn, 1962)."""
    children_of: list[list[int]] = [[] for _ in parents_of]
    num_waited_for = [len(some) for some in parents_of]
    for child, some in enumerate(parents_of):
        for parent in some:
            children_of[parent].append(child)
    ready = [(-counts[label], label) for label, number in enumerate(num_waited_for) if not number]
    heapq.heapify(ready)
    order = []
    while ready:
        _, label = heapq.heappop(ready)
        order.append(label)
        for child in children_of[label]:
            num_waited_for[child] -= 1
            if not num_waited_for[child]:
                heapq.heappush(ready, (-counts[child], child))
    if len(order) < len(parents_of):
        circle = _circle(parents_of, next(label for label, number in enumerate(num_waited_for) if number))
        raise UserError(
            f"{len(circle)} labels are their own ancestors: {shortened([names[label] for label in circle])}"
            if len(circle) > 1
            else f"label {names[circle[0]]!r} is its own parent",
            field="label_parents",
            accepted="parents without cycles",
        )
    return order


def _circle(parents_of: list[set[int]], start: int) -> list[int]:
    """Labels each of which is a parent of the one before, the first of the last.

    A label that Kahn's algorithm left over has a parent that was left over, so walking up must come round; but a parent
    that has its place leads nowhere, and only those are walked that can be returned to.
    """
    path, place_of, done = [start], {start: 0}, set()
    ways = [iter(sorted(parents_of[start]))]
    while True:
        parent = next(ways[-1], None)
        if parent is None:  # no circle above this label
            done.add(path[-1])
            del place_of[path.pop()]
            ways.pop()
        elif parent in place_of:
            return path[place_of[parent] :]
        elif parent not in done:
            place_of[parent] = len(path)
            path.append(parent)
            ways.append(iter(sorted(parents_of[parent])))
