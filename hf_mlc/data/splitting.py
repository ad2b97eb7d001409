"""Splitting multi-label documents so that every part has its share of every label: iterative stratification.

Sechidis, Tsoumakas & Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011, algorithm 1.

Shapes: `N` documents, `L` labels, `K` parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from transformers.utils import logging

from hf_mlc.data.columns import ColumnRows
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


logger = logging.get_logger(__name__)

# by so much a part may differ from all documents, beyond what chance allows for, before scarce labels are dealt out by lot
UNLIKE = 0.1


@dataclass(frozen=True)
class SplitReport:
    """What each of the K parts got.

    Args:
        sizes (`list[int]`): documents in each part.
        num_labels (`int`): labels that occur in the documents at all.
        missing (`list[int]`): of those, how many do not occur in each part.
    """

    sizes: list[int]
    num_labels: int
    missing: list[int]

    def __str__(self) -> str:
        return "\n".join(
            f"part {k}: {size:,} documents, {missing:,} of {self.num_labels:,} labels missing"
            for k, (size, missing) in enumerate(zip(self.sizes, self.missing, strict=True))
        )


def iterative_stratified_split(
    label_ids: Sequence[np.ndarray], fractions: Sequence[float], *, seed: int
) -> list[np.ndarray]:
    """Splits N documents into K parts whose label distributions are alike.

    The rarest label not yet dealt out goes first; each of its documents goes to the part that still wants most of that
    label, among equals to the one that wants most documents, among equals to one drawn by the seed. The documents
    without labels are dealt out as if "none" were a label of its own. Unlike the paper's, the parts have exact sizes:
    one that is full gets no more.

    A label with so few documents that a part's share of them is less than one goes to the largest part as a whole. Where most labels
    are like that, this leaves the others the documents without labels, or with the fewest (a validation part of .4 labels a row, of
    rows with 1.7): where the parts are so unlike, the documents of such labels are dealt out by lot, by the parts' shares, but for one of
    each, which the largest part is to keep (it loses the last one of a label where that has a rarer label too).

    Args:
        label_ids (`list[np.ndarray]`): the label ids of each document, each id once; possibly empty.
        fractions (`list[float]`): the share of each part, positive, with the sum 1.
        seed (`int`): decides among equals. The same seed gives the same split.

    Returns:
        `list[np.ndarray]`: K sorted int64 arrays of document indices; each document is in exactly one.

    Raises:
        `UserError`: on fractions that are not positive or do not sum to 1.
    """
    fractions = np.asarray(fractions, dtype=np.float64)
    if len(fractions) == 0 or (fractions <= 0).any() or abs(fractions.sum() - 1.0) > 1e-6:
        raise UserError(
            f"fractions {fractions.tolist()}", field="fractions", accepted="positive numbers with the sum 1"
        )
    num_parts = len(fractions)
    rng = np.random.default_rng(seed)
    doc_labels = _with_none_label(label_ids)
    part_of_N = _dealt(doc_labels, fractions, rng)
    unlikeness = _unlikeness(label_ids, part_of_N, num_parts)
    if unlikeness > UNLIKE:
        counts_L = np.bincount(np.concatenate(doc_labels))
        scarce = np.flatnonzero((counts_L > 0) & (counts_L * fractions.min() < 1)).tolist()
        by_lot_N = (
            _dealt(doc_labels, fractions, np.random.default_rng([seed, 1]), by_lot=scarce) if scarce else part_of_N
        )
        if _unlikeness(label_ids, by_lot_N, num_parts) < unlikeness:
            part_of_N = by_lot_N
    return [np.flatnonzero(part_of_N == k) for k in range(num_parts)]


def _unlikeness(label_ids: Sequence[np.ndarray], part_of_N: np.ndarray, num_parts: int) -> float:
    """By how much the parts differ from all documents: in labels a document, as a share of them, or in documents without one, the
    largest difference of a part; less what two standard errors of so many documents allow for."""
    counts_N = np.array([len(ids) for ids in label_ids], dtype=np.float64)
    if not counts_N.any():
        return 0.0
    largest, empty = 0.0, (counts_N == 0).mean()
    for part in range(num_parts):
        counts = counts_N[part_of_N == part]
        if len(counts):
            of_labels = abs(counts.mean() - counts_N.mean()) - 2 * counts_N.std() / len(counts) ** 0.5
            of_empty = abs((counts == 0).mean() - empty) - 2 * (empty * (1 - empty) / len(counts)) ** 0.5
            largest = max(largest, of_labels / counts_N.mean(), of_empty)
    return largest


def _dealt(
    doc_labels: list[np.ndarray], fractions: np.ndarray, rng: np.random.Generator, *, by_lot: Sequence[int] = ()
) -> np.ndarray:
    """The part of each document, int64 `(N,)`: the algorithm itself; of the labels `by_lot` the parts want as many as the lot says."""
    num_documents, num_parts = len(doc_labels), len(fractions)
    num_labels = 1 + max((int(labels[-1]) for labels in doc_labels), default=0)

    # the documents of each label, in an order drawn by the seed: documents_of[starts[l]:starts[l + 1]]
    order = rng.permutation(num_documents)
    lengths = np.array([len(doc_labels[n]) for n in order], dtype=np.int64)
    flat_labels = np.concatenate([doc_labels[n] for n in order]) if num_documents else np.zeros(0, dtype=np.int64)
    documents_of = np.repeat(order, lengths)[np.argsort(flat_labels, kind="stable")].tolist()
    counts_L = np.bincount(flat_labels, minlength=num_labels)
    starts = np.concatenate([[0], np.cumsum(counts_L)]).tolist()

    room_K = _exact_sizes(fractions, num_documents)  # documents that each part still gets
    wanted_KL = [(fraction * counts_L).tolist() for fraction in fractions]  # and of each label
    for label in by_lot:
        lots_K = rng.multinomial(counts_L[label] - 1, fractions)
        lots_K[fractions.argmax()] += 1
        for wanted_L, lot in zip(wanted_KL, lots_K.tolist(), strict=True):
            wanted_L[label] = lot
    # the paper breaks ties between labels and between parts at random; drawn once here
    rank_L = rng.permutation(num_labels).tolist()
    draws_N = rng.permutation(num_documents).tolist()

    remaining_L = counts_L.tolist()
    part_of = [-1] * num_documents
    rarest_first = [(count, rank_L[label], label) for label, count in enumerate(remaining_L) if count]
    heapq.heapify(rarest_first)
    while rarest_first:
        count, _, label = heapq.heappop(rarest_first)
        if count != remaining_L[label]:  # an old entry: a newer one with the smaller count came or comes
            continue
        touched = set()
        for n in documents_of[starts[label] : starts[label + 1]]:
            if part_of[n] >= 0:
                continue
            open_parts = [k for k in range(num_parts) if room_K[k] > 0]
            part = max(open_parts, key=lambda k: (wanted_KL[k][label], room_K[k], (k + draws_N[n]) % num_parts))
            part_of[n] = part
            room_K[part] -= 1
            wanted_L = wanted_KL[part]
            for other in doc_labels[n].tolist():
                wanted_L[other] -= 1
                remaining_L[other] -= 1
                touched.add(other)
        for other in touched:
            if remaining_L[other]:
                heapq.heappush(rarest_first, (remaining_L[other], rank_L[other], other))
    return np.array(part_of, dtype=np.int64)


def split_report(label_ids: Sequence[np.ndarray], parts: Sequence[np.ndarray]) -> SplitReport:
    """How many documents each part has, and how many of the labels that occur are missing from it."""
    present = set().union(*(ids.tolist() for ids in label_ids))
    missing = [len(present) - len(set().union(*(label_ids[n].tolist() for n in part))) for part in parts]
    return SplitReport([len(part) for part in parts], len(present), missing)


def add_validation_split(
    dataset: datasets.DatasetDict,
    labels: LabelSpace | Sequence[np.ndarray] | None = None,
    *,
    fraction: float = 0.1,
    seed: int = 0,
    file: str | Path = "train",
) -> tuple[datasets.DatasetDict, SplitReport]:
    """Moves a stratified share of the training rows into a validation split.

    Args:
        dataset (`datasets.DatasetDict`): with `train` and without `validation`.
        labels ([`~hf_mlc.labels.LabelSpace`] or `list[np.ndarray]`, *optional*): what turns the column `labels` into
            ids, or the ids of each training row. Without it the labels that occur are numbered for this purpose only:
            build the label space from what is left in `train` afterwards, so that its counts are those of training.
        fraction (`float`, *optional*, defaults to 0.1): the share of the training rows, between 0 and 1.
        seed (`int`, *optional*, defaults to 0): decides among equals.
        file (`str` or `Path`, *optional*, defaults to `"train"`): where the rows come from, for error messages.

    Returns:
        The new `DatasetDict` (train, validation, and what else there was), and the [`SplitReport`] of train and
        validation, which is logged too.
    """
    if "validation" in dataset:
        raise UserError("there is a validation split already", field="validation", accepted="a data set without one")
    if not 0 < fraction < 1:
        raise UserError(f"a fraction of {fraction}", field="fraction", accepted="more than 0 and less than 1")
    train = dataset["train"]
    if labels is None:
        labels = LabelSpace.from_label_lists(ColumnRows(train, "labels"), file=file)
    ids = labels
    if isinstance(labels, LabelSpace):
        lists = enumerate(ColumnRows(train, "labels"), start=1)
        ids = [labels.encode(row, file=file, row=number) for number, row in lists]
    kept, moved = iterative_stratified_split(ids, [1 - fraction, fraction], seed=seed)
    if not len(kept) or not len(moved):
        raise UserError(
            f"{len(train)} training rows cannot give a fraction of {fraction} to choose by",
            field="validation_fraction",
            accepted="one that leaves a row or more on both sides, or more rows",
        )
    report = split_report(ids, [kept, moved])
    logger.info(f"validation split off the training rows (train, validation):\n{report}")
    parts = {"train": train.select(kept), "validation": train.select(moved)}
    return datasets.DatasetDict(parts | {name: split for name, split in dataset.items() if name not in parts}), report


def _with_none_label(label_ids: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The ids as sorted int64 arrays, where a document without labels has the one label "none": the next free id."""
    arrays = [np.unique(np.asarray(ids, dtype=np.int64)) for ids in label_ids]
    none = np.array([1 + max((int(ids[-1]) for ids in arrays if len(ids)), default=-1)], dtype=np.int64)
    return [ids if len(ids) else none for ids in arrays]


def _exact_sizes(fractions: np.ndarray, num_documents: int) -> list[int]:
    """Whole sizes with the right sum: rounded down, and the largest remainders get the rest."""
    exact = fractions / fractions.sum() * num_documents
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    rest = num_documents - int(sizes.sum())
    sizes[np.argsort(-(exact - sizes), kind="stable")[:rest]] += 1
    return sizes.tolist()
