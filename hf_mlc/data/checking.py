"""What is in the splits, counted: the report that a training run prints, and the warnings that go with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import datasets
from transformers.utils import logging

from hf_mlc.data.contents import content_in
from hf_mlc.data.label_remarks import alike_labels, unsplit_labels
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


logger = logging.get_logger(__name__)


@dataclass
class SplitCounts:
    """Counts over the rows of one split; a label that stands twice in a row counts once.

    Args:
        rows (`int`): documents.
        labels (`int`): different labels that occur.
        mean_labels (`float`): labels a row.
        noun (`str`): what the rows hold, "texts" or the like ([`~hf_mlc.data.contents.content.Content`]).
        empty (`int`): rows that hold nothing: an empty text, or one of white space.
        empty_label_sets (`int`): rows without labels.
        rows_with_duplicate_labels (`int`): rows in which a label stands twice.
        duplicate_ids (`int`): rows whose id an earlier row of the split has.
        also_in_train (`int`): rows that hold what a training row holds too: the same text, the same picture (file or bytes).
        unknown_labels (`int`, *optional*): labels, summed over rows, that the label space lacks.
        cut_texts (`int`, *optional*): texts that were cut to the maximum length; known after tokenisation.
        unseen_values (`int`, *optional*): of a table, values that training didn't have (categories; features of sparse rows), and
            that count as none; known after encoding.
    """

    rows: int = 0
    labels: int = 0
    mean_labels: float = 0.0
    noun: str = "texts"
    empty: int = 0
    empty_label_sets: int = 0
    rows_with_duplicate_labels: int = 0
    duplicate_ids: int = 0
    also_in_train: int = 0
    unknown_labels: int | None = None
    cut_texts: int | None = None
    unseen_values: int | None = None


@dataclass
class DataReport:
    """The counts of every split; `str()` of it is a table with a column a split."""

    splits: dict[str, SplitCounts] = field(default_factory=dict)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return {name: asdict(counts) for name, counts in self.splits.items()}

    def __str__(self) -> str:
        table = [["", *self.splits]]
        nouns = "/".join(dict.fromkeys(counts.noun for counts in self.splits.values()))
        shown = {"empty": f"empty {nouns}", "also_in_train": f"{nouns} also in train"}
        for name in SplitCounts.__dataclass_fields__:
            values = [getattr(counts, name) for counts in self.splits.values()]
            if name != "noun" and (name in ("rows", "labels", "mean_labels", "empty_label_sets") or any(values)):
                table.append([shown.get(name, name.replace("_", " ")), *map(_shown, values)])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(
            "  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))])
            for first, *cells in table
        )


def check_splits(
    dataset: datasets.DatasetDict,
    label_space: LabelSpace | None = None,
    *,
    strict: bool = False,
    noun: str | None = None,
    train: datasets.Dataset | None = None,
) -> DataReport:
    """Counts what is in the splits and warns of what is probably not meant. One pass over the rows; changes nothing.

    Args:
        dataset (`datasets.DatasetDict`): as `load_splits` gives it.
        label_space ([`~hf_mlc.labels.LabelSpace`], *optional*): for counting labels that it lacks.
        strict (`bool`, *optional*, defaults to `False`): whether such a label is an error.
        noun (`str`, *optional*): what the rows hold; if not given that of their content, which tables and sparse rows share.
        train (`datasets.Dataset`, *optional*): training rows that were counted before, for what stands in them too.

    Raises:
        `UserError`: if no training row has a label; with `strict`, on the first unknown label, naming split and row.
    """
    report = DataReport()
    remarks: list[str] = []
    of_train: set[int] = set() if train is None else _contents(train)
    for name in sorted(dataset, key=lambda name: name != "train"):
        counts, rows_of_labels = _counted(name, dataset[name], label_space, strict, of_train, noun)
        report.splits[name] = counts
        if name == "train":
            has_one_a_row = rows_of_labels.total() == counts.rows - counts.empty_label_sets
            found = unsplit_labels(rows_of_labels) if has_one_a_row else None, alike_labels(rows_of_labels)
            remarks = [remark for remark in found if remark]
    report.splits = {name: report.splits[name] for name in dataset}
    _raise_and_warn(report, remarks)
    return report


def _contents(rows: datasets.Dataset) -> set[int]:
    """What the rows hold, empty ones apart, as digests."""
    content = content_in(rows.column_names)
    batches = rows.select_columns([content.column]).iter(batch_size=1000)
    found = (content.sameness(value) for batch in batches for value in batch[content.column])
    return {_digest(same) for same in found if same is not None}


def _counted(
    name: str,
    rows: datasets.Dataset,
    label_space: LabelSpace | None,
    strict: bool,
    of_train: set[int],
    noun: str | None,
) -> tuple[SplitCounts, Counter[str | int]]:
    """The counts of a split, and how many rows have each label."""
    content = content_in(rows.column_names)
    counts = SplitCounts(rows=len(rows), noun=noun or content.noun, unknown_labels=None if label_space is None else 0)
    occurrences: Counter[str | int] = Counter()
    ids: set[int] = set()
    number = 0
    for batch in rows.select_columns(["id", content.column, "labels"]).iter(batch_size=1000):
        for row_id, value, labels in zip(batch["id"], batch[content.column], batch["labels"], strict=True):
            number += 1
            distinct = set(labels)
            occurrences.update(distinct)
            counts.empty_label_sets += not labels
            counts.rows_with_duplicate_labels += len(distinct) < len(labels)
            if label_space is not None:
                if strict:
                    label_space.encode(labels, file=name, row=number)
                counts.unknown_labels += label_space.encode_known(labels)[1]
            digest = _digest(row_id)
            counts.duplicate_ids += digest in ids
            ids.add(digest)
            same = content.sameness(value)
            if same is None:
                counts.empty += 1
            elif name == "train":
                of_train.add(_digest(same))
            else:
                counts.also_in_train += _digest(same) in of_train
    counts.labels = len(occurrences)
    counts.mean_labels = occurrences.total() / max(counts.rows, 1)
    return counts, occurrences


def _raise_and_warn(report: DataReport, remarks: list[str]):
    train = report.splits.get("train")
    if train is not None and train.labels == 0:
        raise UserError(
            f"no label in any of the {train.rows} training rows",
            file="train",
            field="labels",
            accepted="a training split in which at least one row has a label",
        )
    if train is not None and train.labels == 1:
        logger.warning("train: all rows have the same single label or none; there is little to learn")
    for remark in remarks:
        logger.warning(f"train: {remark}")
    for name, counts in report.splits.items():
        if counts.duplicate_ids:
            logger.warning(f"{name}: {counts.duplicate_ids:,} rows have the id of an earlier row")
        if counts.also_in_train:
            logger.warning(
                f"{name}: {counts.also_in_train:,} of {counts.rows:,} {counts.noun} stand in train too; "
                "they were kept, and make the measured quality look better than it is"
            )
        if counts.unknown_labels:
            logger.warning(f"{name}: {counts.unknown_labels:,} labels are not in the label space")


def _digest(value: str) -> int:
    # 64 bits a row instead of the text; two of ten million rows share one with a probability of 3e-6
    return int.from_bytes(hashlib.blake2b(value.encode("utf-8"), digest_size=8).digest(), "little")


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"
