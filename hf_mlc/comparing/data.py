"""The rows that all arms of one comparison share: drawn, split and written once, before any arm sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_mlc.comparing.claim import ClaimData
from hf_mlc.data import Columns, add_validation_split, fingerprint, load_splits
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.labels import LabelSpace


SPLITS = ("test", "validation", "unused")
MOST_UNUSED = 2000  # rows that the draw left, to choose a recipe on


@dataclass(frozen=True)
class Rows:
    """Where the rows of one comparison lie.

    Args:
        train, validation (`str`): files of training and validation rows: `id`, `text`, `labels`.
        labels (`str`): file of the label space: the labels of ALL training rows, drawn or not, so that a document's true
            labels are the same at every training size. Training counts are of the training file alone.
        measured (`str`): the folder or file whose `split` is measured; opened when everything is chosen.
        split (`str`): what is measured.
        text_column (`list[str]`): columns of its text.
        fingerprints (`dict[str, str]`): of the training and the validation rows.
        num_train (`int`): training rows.
    """

    train: str
    validation: str
    labels: str
    measured: str
    split: str
    text_column: list[str]
    fingerprints: dict[str, str]
    num_train: int

    def read(self, split: str) -> datasets.Dataset:
        """The rows of `"train"` or `"validation"`."""
        return load_splits(**{f"{split}_file": getattr(self, split)}, splits=[split])[split]

    def read_measured(self) -> datasets.Dataset:
        """The rows that are measured. Call it once, at the end."""
        columns = Columns(text=self.text_column)
        if Path(self.measured).is_dir():
            return load_splits(self.measured, columns=columns, splits=["test"])["test"]
        return load_splits(test_file=self.measured, columns=columns, splits=["test"])["test"]

    def label_space(self) -> LabelSpace:
        """The labels, with the counts of the training rows."""
        return LabelSpace.load(self.labels).counted(self.read("train")["labels"], file=self.train)


def folder_of(data: ClaimData, data_dir: str | Path) -> Path:
    """The data set's folder; `UserError` where it is missing."""
    folder = Path(data_dir) / data.folder  # an absolute `data.folder` stays itself
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="data_dir", accepted="the folder of the data sets")
    return folder


def prepare_rows(
    data: ClaimData, source: Path, folder: Path, *, train_size: int | None, seed: int, split: str = "test"
) -> Rows:
    """Draws the seed's training documents, sets its validation rows aside, and writes them below `folder`.

    The documents set aside are of the `train_size`: they are labelled, too.
    """
    skip = ["test"] if train_size is None else ["test", "validation"]
    splits = load_splits(source, columns=Columns(text=list(data.text_column)), skip=skip)
    space = LabelSpace.from_label_lists(splits["train"]["labels"], file=source)
    unused = None
    if train_size is not None:
        if not 2 <= train_size <= len(splits["train"]):
            raise UserError(f"found {train_size}", field="train_sizes", accepted=f"2 to {len(splits['train'])}")
        order = np.random.default_rng([seed, train_size]).permutation(len(splits["train"]))
        drawn, left = np.sort(order[:train_size]), np.sort(order[train_size:][:MOST_UNUSED])
        unused = splits["train"].select(left)
        splits = datasets.DatasetDict(train=splits["train"].select(drawn))
    if "validation" not in splits:
        splits, _ = add_validation_split(splits, space, fraction=data.validation_fraction, seed=seed, file=source)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": splits["train"], "validation": splits["validation"]}
    if split == "unused":
        if unused is None or not len(unused):
            raise UserError("no unused training rows", field="split", accepted="unused with train_sizes only")
        parts["unused"] = unused
    for name, rows in parts.items():
        with written_whole(folder / f"{name}.jsonl") as stream:
            for row in rows:
                stream.write(json.dumps({**row, "labels": [str(label) for label in row["labels"]]}) + "\n")
    space.save(folder / "labels.json")
    return Rows(
        train=str(folder / "train.jsonl"),
        validation=str(folder / "validation.jsonl"),
        labels=str(folder / "labels.json"),
        measured=str(source if split == "test" else folder / f"{split}.jsonl"),
        split=split,
        text_column=list(data.text_column) if split == "test" else ["text"],
        fingerprints={name: fingerprint(splits[name]) for name in ("train", "validation")},
        num_train=len(splits["train"]),
    )


def rows_as_json(rows: Rows) -> dict[str, Any]:
    """For the job of a run."""
    return dict(vars(rows))
