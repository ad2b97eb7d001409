"""Encoded rows read by their numbers: a row's number finds its shortlist, and Arrow's flat arrays are read without copies.

`datasets` makes Python lists of a row's numbers; at a hundred numbers a row that takes longer than a small model's step.

Shape legend: N rows, L labels, M (row, label) pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from scipy import sparse

from hf_mlc.data.targets import IGNORED
from hf_mlc.errors import UserError


ROW_NUMBERS = "row_numbers"  # of a batch: which training rows it holds


class RaggedColumn:
    """A column of lists of numbers, as views into Arrow's memory map.

    Args:
        dataset (`datasets.Dataset`): the rows.
        name (`str`): the column.
    """

    def __init__(self, dataset: datasets.Dataset, name: str):
        self.chunks, starts = [], [0]
        for chunk in dataset.data.column(name).chunks:
            # `values` is that of the whole buffer, and the offsets of a slice point into it
            self.chunks.append(
                (chunk.offsets.to_numpy(zero_copy_only=False), chunk.values.to_numpy(zero_copy_only=False))
            )
            starts.append(starts[-1] + len(chunk))
        self.starts = np.array(starts)
        # rows that were selected or shuffled lie elsewhere in the table
        self.places = dataset._indices.column(0).to_numpy().astype(np.int64) if dataset._indices is not None else None
        self.num_rows = len(dataset)

    def lists(self, rows: np.ndarray) -> list[np.ndarray]:
        """The numbers of these rows, in their order."""
        places = rows if self.places is None else self.places[rows]
        found = []
        for place, number in zip(places, np.searchsorted(self.starts, places, side="right") - 1, strict=True):
            offsets, values = self.chunks[number]
            inside = place - self.starts[number]
            found.append(values[offsets[inside] : offsets[inside + 1]])
        return found

    def lengths(self) -> np.ndarray:
        """How many numbers each row has, int64 `(N,)`."""
        lengths = [np.diff(offsets) for offsets, _ in self.chunks]
        lengths = np.concatenate(lengths).astype(np.int64) if lengths else np.zeros(0, np.int64)
        return lengths if self.places is None else lengths[self.places]

    def buffers(self) -> Iterator[np.ndarray]:
        """All that decides what `lists` says, a chunk at a time and without a copy of the numbers."""
        for offsets, values in self.chunks:
            yield values[offsets[0] : offsets[-1]]
            yield np.diff(offsets)
        if self.places is not None:
            yield self.places

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """All numbers, row after row, and the length of each row, int64 `(N,)`."""
        if self.places is not None:
            parts = self.lists(np.arange(self.num_rows))
        else:
            parts = [values[offsets[0] : offsets[-1]] for offsets, values in self.chunks]
        return (np.concatenate(parts) if parts else np.zeros(0, np.int64)), self.lengths()


def is_ragged(dataset: Any, name: str) -> bool:
    """Whether a column is one of lists of numbers, none of them missing."""
    if not isinstance(dataset, datasets.Dataset) or name not in dataset.column_names:
        return False
    column = dataset.data.column(name)
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    if column.null_count or any(chunk.values.null_count for chunk in column.chunks):
        return False
    return pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)


class NumberedRows(torch.utils.data.Dataset):
    """Encoded rows with their numbers, for a `DataLoader`.

    Args:
        dataset (`datasets.Dataset`): encoded rows, or any sequence of dicts.
        columns (`list[str]`, *optional*): what is read of them; all columns of lists if not given.
    """

    def __init__(self, dataset: Any, columns: Sequence[str] | None = None):
        self.dataset = dataset
        self.columns: dict[str, RaggedColumn] | None = None
        names = getattr(dataset, "column_names", None)
        if names is not None:
            read = [name for name in names if columns is None or name in columns]
            listed = [name for name in read if is_ragged(dataset, name)]
            # single numbers and strings are no part of a batch; nested lists are, and `datasets` reads them
            if not any(_is_nested(dataset, name) for name in set(read) - set(listed)):
                self.columns = {name: RaggedColumn(dataset, name) for name in listed}

    def __len__(self) -> int:
        return len(self.dataset)

    def digest(self) -> str:
        """What tells these rows from others: of their numbers, or `datasets`' own where it reads them."""
        if self.columns is None:
            return str(getattr(self.dataset, "_fingerprint", None))
        digest = hashlib.blake2b(digest_size=16)
        for name, column in sorted(self.columns.items()):
            digest.update(name.encode("utf-8"))
            for buffer in column.buffers():
                digest.update(np.ascontiguousarray(buffer).data)
        return digest.hexdigest()

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        if self.columns is None:
            return [{**self.dataset[int(row)], ROW_NUMBERS: int(row)} for row in rows]
        rows = np.asarray(rows, dtype=np.int64)
        lists = {name: column.lists(rows) for name, column in self.columns.items()}
        return [
            {**{name: values[place] for name, values in lists.items()}, ROW_NUMBERS: int(row)}
            for place, row in enumerate(rows)
        ]


def _is_nested(dataset: datasets.Dataset, name: str) -> bool:
    kind = dataset.data.column(name).type
    return pa.types.is_nested(kind)


class NumberingCollator:
    """Another collator's batch and the numbers of its rows, int64 `(B,)` under `row_numbers`.

    Args:
        collator (callable): of the rows without their numbers.
    """

    def __init__(self, collator: Any):
        self.collator = collator

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        numbers = torch.tensor([feature[ROW_NUMBERS] for feature in features])
        others = [{name: value for name, value in feature.items() if name != ROW_NUMBERS} for feature in features]
        return {**self.collator(others), ROW_NUMBERS: numbers}


def label_table(dataset: Any, num_labels: int) -> sparse.csr_array:
    """Which labels each row has, as a sparse table of ones.

    Args:
        dataset (`datasets.Dataset`): encoded rows, with `label_ids`.
        num_labels (`int`): L.

    Returns:
        `scipy.sparse.csr_array` of shape `(N, L)`, float32; the ids of a row are sorted, each once.

    Raises:
        `UserError`: on a label id outside 0 ... L-1.
    """
    if is_ragged(dataset, "label_ids"):
        ids_M, lengths_N = RaggedColumn(dataset, "label_ids").flat()
    else:
        lists = [np.asarray(row["label_ids"], dtype=np.int64).reshape(-1) for row in dataset]
        ids_M = np.concatenate(lists) if lists else np.zeros(0, np.int64)
        lengths_N = np.fromiter(map(len, lists), np.int64, count=len(lists))
    rows_M = np.repeat(np.arange(len(lengths_N)), lengths_N)
    kept_M = ids_M != IGNORED
    if not kept_M.all():
        ids_M, rows_M = ids_M[kept_M], rows_M[kept_M]
    if len(ids_M) and (ids_M.min() < 0 or ids_M.max() >= num_labels):
        found = int(ids_M.min() if ids_M.min() < 0 else ids_M.max())
        raise UserError(f"the id {found}", field="label_ids", accepted=f"0 to {num_labels - 1}")
    pointers = np.concatenate([[0], np.bincount(rows_M, minlength=len(lengths_N)).cumsum()])
    table = sparse.csr_array(
        (np.ones(len(ids_M), np.float32), ids_M.astype(np.int32), pointers), shape=(len(lengths_N), num_labels)
    )
    table.sum_duplicates()  # sorts too
    table.data.fill(1.0)
    return table
