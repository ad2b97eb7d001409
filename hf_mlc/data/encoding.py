"""The labels of rows as ids, and rows made ready for a collator, in one way for every kind of input."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import datasets
import numpy as np
from datasets.fingerprint import Hasher
from transformers.utils import logging

from hf_mlc.data.checking import DataReport
from hf_mlc.data.storing import file_of
from hf_mlc.labels import LabelSpace


logger = logging.get_logger(__name__)


def encode_labels(
    lists: Iterable[Sequence[str | int]],
    label_space: LabelSpace,
    *,
    split: str,
    strict: bool = False,
    rows: Iterable[int] | None = None,
) -> tuple[list[np.ndarray], list[int]]:
    """Ids of each row's labels (sorted, each once), and how many of its labels the label space lacks.

    Args:
        lists (iterable of `list`): the labels of each row.
        label_space ([`~hf_mlc.labels.LabelSpace`]): the model's.
        split (`str`): `"train"`, in which an unknown label is always an error, or another, for the error message.
        strict (`bool`, *optional*, defaults to `False`): whether it is an error in other splits too.
        rows (iterable of `int`, *optional*): the rows' numbers, counted from 1; from 1 on if not given.

    Raises:
        `UserError`: naming split and row of a label that is not in the label space.
    """
    ids, unknown = [], []
    lists = list(lists)
    for row, labels in zip(range(1, len(lists) + 1) if rows is None else rows, lists, strict=True):
        known, missed = (
            (label_space.encode(labels, file=split, row=row), 0)
            if strict or split == "train"
            else label_space.encode_known(labels)
        )
        ids.append(known)
        unknown.append(missed)
    return ids, unknown


def state_of(processor: Any) -> str:
    """All that a processor of ours does to a row, in a string: what its `to_dict` tells."""
    return json.dumps(processor.to_dict(), sort_keys=True, default=str)


def note_unknown_labels(split: str, number: int, report: DataReport | None) -> None:
    """Tells how many labels of a split are not in the label space, on the log and in the report."""
    if number:
        logger.warning(f"{split}: {number:,} labels that are not in the label space were skipped")
    if report is not None and split in report.splits:
        report.splits[split].unknown_labels = number


def encoded_block(
    processor: Any,
    encode: Callable[[], Any],
    block: dict[str, list[Any]],
    indices: list[int],
    *,
    label_space: LabelSpace,
    split: str,
    strict: bool,
) -> tuple[Any, dict[str, list[Any]]]:
    """What a processor makes of a block of rows, and the columns that every kind of rows has for `encoded_splits`.

    Args:
        processor: with `unseen_counts`, which `encode` adds to.
        encode (callable): encodes the block's rows.
        block (`dict[str, list]`): the rows, with `labels`.
        indices (`list[int]`): their numbers in the split, from 0 and one after the other.
        label_space, split, strict: see `encode_labels`.

    Returns:
        What `encode` gives, and `label_ids`, `_unknown` and `_unseen`, a list of as many as there are rows each.
    """
    before = processor.unseen_counts.total()
    encoded = encode()
    unseen = [0] * len(indices)
    unseen[0] = processor.unseen_counts.total() - before  # of the block as a whole
    ids, unknown = encode_labels(
        block["labels"], label_space, split=split, strict=strict, rows=range(indices[0] + 1, indices[-1] + 2)
    )
    return encoded, {"label_ids": ids, "_unknown": unknown, "_unseen": unseen}


def encoded_splits(
    dataset: datasets.DatasetDict,
    block: Callable[..., dict[str, Any]],
    *,
    label_space: LabelSpace,
    features: datasets.Features,
    batch_size: int,
    state: tuple[Any, ...],
    unseen: str,
    strict: bool = False,
    report: DataReport | None = None,
    **given: Any,
) -> datasets.DatasetDict:
    """Encodes every split once, in blocks, cached by `datasets`.

    Args:
        dataset (`datasets.DatasetDict`): with `id` and the columns that `block` reads.
        block (`Callable`): makes a block of rows' columns, but for `id`, of `(rows, indices, *, label_space, split, file, strict,
            **given)`; among them `_unknown` and `_unseen`, how many labels and values of each row count as none.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        features (`datasets.Features`): the columns that come out, without these two.
        batch_size (`int`): rows of a block.
        state (`tuple`): what else than rows and labels the result depends on; part of the cache's key.
        unseen (`str`): what the values are that count as none, for the log.
        strict (`bool`, *optional*, defaults to `False`): whether an unknown label is an error in validation and test too.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers.
        given: further arguments of `block`.
    """
    key = Hasher.hash((state, json.dumps(label_space.to_dict())))
    # the counts are kept as columns on the way, so that a cached run can report them too
    counts = {"_unknown": datasets.Value("int64"), "_unseen": datasets.Value("int64")}
    encoded = datasets.DatasetDict()
    for name, split in dataset.items():
        done = split.map(
            block,
            batched=True,
            batch_size=batch_size,
            with_indices=True,
            remove_columns=[column for column in split.column_names if column != "id"],
            features=datasets.Features({**features, **counts}),
            fn_kwargs={
                "label_space": label_space,
                "split": name,
                "file": file_of(split, name),
                "strict": strict,
                **given,
            },
            new_fingerprint=Hasher.hash((split._fingerprint, key, name, strict)),
            desc=f"Encoding {name}",
        )
        num_unseen = sum(done["_unseen"])
        note_unknown_labels(name, sum(done["_unknown"]), report)
        if num_unseen:
            logger.warning(f"{name}: {num_unseen:,} {unseen} count as none")
        if report is not None and name in report.splits:
            report.splits[name].unseen_values = num_unseen
        encoded[name] = done.remove_columns(list(counts))
    return encoded
