"""The layouts in which the repository's sparse features are handed about, as one: rows of features and label numbers.

One file a split: `train.txt`, `test.txt`, or with the data set's name before (`eurlex_train.txt`), each with a first line
`N V L` ([`hf_mlc.data.sparse_text`]).

Features and labels apart, as of its sets with label features (LF-...): `trn_X_Xf.txt`, `tst_X_Xf.txt`, a first line `N V` and then a
line of `feature:value` a row, and beside them `trn_X_Y.txt`, `tst_X_Y.txt`, a first line `N L` and `label:1` for each label of a
row. Beside them, or beside rows in one file, what the labels say of themselves may lie: `lbl_X_Xf.txt`, `N` labels of the same `V`
features, in the order of their numbers.

All of them plain or `.gz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from hf_mlc.data.reading import numbered_lines, shape_of
from hf_mlc.data.sparse_text import Shape, SparseLine, counted_rows, sparse_text_rows, whole_numbers_in
from hf_mlc.errors import UserError


_ONE_FILE = re.compile(r"(?:.*[^A-Za-z])?(train|test)\.txt(?:\.gz)?", re.IGNORECASE)
_PAIRS = {"train": "trn", "test": "tst"}
SparseRow = tuple[dict[str, Any], list[int]]


@dataclass(frozen=True)
class SparseSplit:
    """The files of a split and what their first lines say: one file, or one of features and one of labels."""

    files: tuple[Path, ...]
    shape: Shape

    def rows(self) -> Iterator[SparseRow]:
        """Each row's features, `{"indices", "values"}`, in the order of the file, and the numbers of its labels."""
        if len(self.files) == 1:
            (file,) = self.files
            for _, row in sparse_text_rows(numbered_lines(file), file=file, headed=True, any_order=True):
                yield row["features"], row["labels"]
            return
        yield from _joined(*self.files)


def find_sparse_splits(folder: Path) -> dict[str, SparseSplit]:
    """The splits that are in a folder, nothing where it has neither layout.

    Raises:
        `UserError`: one split without the other, files of a split that don't go together, splits of different features or labels.
    """
    splits = (_in_pairs(folder) or _in_one_file(folder)) if folder.is_dir() else {}
    if not splits:
        return {}
    for split in ("train", "test"):
        if split not in splits:
            accepted = "train.txt and test.txt, or {trn,tst}_X_Xf.txt and {trn,tst}_X_Y.txt"
            raise UserError(f"no sparse rows of {split}", file=folder, field="xmc_dir", accepted=accepted)
    train, test = splits["train"], splits["test"]
    for what in ("features", "labels"):
        of_train, of_test = getattr(train.shape, what), getattr(test.shape, what)
        if of_train != of_test:
            accepted = f"{of_train:,}, as {train.files[0].name} says"
            raise UserError(f"the first line says {of_test:,} {what}", file=test.files[0], row=1, accepted=accepted)
    return splits


def find_label_features(splits: Mapping[str, SparseSplit]) -> Path | None:
    """The file of label features beside the rows; `None` where there is none.

    Raises:
        `UserError`: of another number of labels or features than the rows.
    """
    file = _plain_or_packed(splits["train"].files[-1].parent, "lbl_X_Xf.txt")
    if file is None:
        return None
    (labels, features), shape = matrix_shape(file), splits["train"].shape
    if (labels, features) != (shape.labels, shape.features):
        problem = f"the first line says {labels:,} labels and {features:,} features"
        accepted = f"{shape.labels:,} and {shape.features:,}, as the training rows have"
        raise UserError(problem, file=file, row=1, accepted=accepted)
    return file


def _plain_or_packed(folder: Path, name: str) -> Path | None:
    return next((path for end in ("", ".gz") if (path := folder / f"{name}{end}").is_file()), None)


def _in_one_file(folder: Path) -> dict[str, SparseSplit]:
    found: dict[str, SparseSplit] = {}
    for file in sorted(folder.iterdir()):
        match = _ONE_FILE.fullmatch(file.name)
        shape = shape_of(file) if match and file.is_file() else None
        if shape is None:
            continue
        split = match[1].lower()
        if split in found:
            accepted = "one file a split"
            raise UserError(f"{found[split].files[0].name} is there too", file=file, accepted=accepted)
        found[split] = SparseSplit((file,), shape)
    return found


def _in_pairs(folder: Path) -> Mapping[str, SparseSplit]:
    found = {}
    for split, stem in _PAIRS.items():
        files = [_plain_or_packed(folder, f"{stem}_X_{what}.txt") for what in ("Xf", "Y")]
        if not any(files):
            continue
        if not all(files):
            there, missing = (files[0], "Y") if files[0] else (files[1], "Xf")
            raise UserError("is there alone", file=there, accepted=f"{stem}_X_{missing}.txt beside it")
        (rows, features), (rows_of_labels, labels) = map(matrix_shape, files)
        if rows != rows_of_labels:
            problem = f"the first line says {rows_of_labels:,} rows"
            raise UserError(problem, file=files[1], row=1, accepted=f"{rows:,}, as {files[0].name} says")
        found[split] = SparseSplit(tuple(files), Shape(rows, features, labels))
    return found


def matrix_shape(file: Path) -> tuple[int, int]:
    """The numbers of rows and columns that the first line of a sparse matrix says; `UserError` where it is another line."""
    line = next((line for _, line in numbered_lines(file)), "")
    numbers = whole_numbers_in(line, 2)
    if numbers is None:
        problem = f"the first line is {line.strip()[:40]!r}"
        raise UserError(problem, file=file, row=1, accepted="two numbers, of rows and of columns")
    return numbers


def _joined(of_features: Path, of_labels: Path) -> Iterator[SparseRow]:
    for features, labels in zip_longest(matrix_rows(of_features, "feature"), matrix_rows(of_labels, "label")):
        # both have as many rows as their first lines, which agree, or an error was raised
        yield features, [label for label, value in zip(*labels.values(), strict=True) if value > 0]


def matrix_rows(file: Path, noun: str) -> Iterator[dict[str, Any]]:
    """The rows of a sparse matrix, `{"indices", "values"}` in the order of the file, as many as its first line says.

    Args:
        file (`Path`): a first line `N V`, then `column:value ...` a row; plain or `.gz`.
        noun (`str`): what messages call a column.

    Raises:
        `UserError`: by file and row, what is wrong with it.
    """
    num_rows, num_columns = matrix_shape(file)
    lines = (line.rstrip("\r\n") for _, line in islice(numbered_lines(file), 1, None))
    for number, line in counted_rows(lines, num_rows, file=file):
        # a space before the first word: it is no label
        yield SparseLine(f" {line}", file, number, of_features=num_columns, any_order=True, noun=noun).features()
