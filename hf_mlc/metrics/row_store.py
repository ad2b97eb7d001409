"""Scored rows kept in blocks, and read again piece by piece so that working on them takes little beyond them.

Shape legend: B rows of one block, N rows in all, S scored columns (L, or fewer), L labels, K kept columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from hf_mlc.metrics.batch import Batch
from hf_mlc.metrics.counting import count_ids


BLOCK_CELLS = 2**19  # small batches are joined into blocks of up to this many cells
BYTES_PER_CELL = 5  # a float32 score and an int8 truth
BYTES_PER_PAIR = 9  # and an int32 label


@dataclass
class Rows:
    """Some documents' scores and truth.

    Args:
        scores_BS (`np.ndarray` of shape `(B, S)`): float32.
        truth_BS (`np.ndarray` of shape `(B, S)`): int8; 1 true, 0 not, -100 unknown or no label.
        ids_BS (`np.ndarray` of shape `(B, S)`, *optional*): int32, the label of each column, negative where there is
            none; `None` where the columns are the labels 0 .. L-1.
        num_true_B (`np.ndarray` of shape `(B,)`): true labels of each row, scored or not.
    """

    scores_BS: np.ndarray
    truth_BS: np.ndarray
    ids_BS: np.ndarray | None
    num_true_B: np.ndarray

    @classmethod
    def of_batch(cls, batch: Batch) -> Rows:
        """Copies, since the caller of the batch may use its memory again."""
        ids_BS = None if batch.candidate_ids_BS is None else batch.candidate_ids_BS.cpu().numpy().astype(np.int32)
        scores_BS, truth_BS = batch.scores_BS.cpu().numpy().copy(), batch.truth_BS.cpu().numpy().copy()
        return cls(scores_BS, truth_BS, ids_BS, batch.num_true_B)

    def __len__(self) -> int:
        return len(self.scores_BS)

    def __getitem__(self, rows) -> Rows:
        ids_BS = None if self.ids_BS is None else self.ids_BS[rows]
        return Rows(self.scores_BS[rows], self.truth_BS[rows], ids_BS, self.num_true_B[rows])

    @property
    def num_bytes(self) -> int:
        """What the cells take."""
        return self.scores_BS.size * (BYTES_PER_CELL if self.ids_BS is None else BYTES_PER_PAIR)

    def best_columns(self) -> np.ndarray:
        """The column of each row's best label, shape (B,); of equal scores the first, as the decision rule has it. A
        column of padding where a row has nothing else."""
        if self.ids_BS is None:
            return self.scores_BS.argmax(axis=1)
        return np.where(self.ids_BS >= 0, self.scores_BS, np.float32(-1)).argmax(axis=1)

    def trimmed(self, kept: int) -> Rows:
        """Only the `kept` best columns of each row, in their order; all of them where that would save nothing."""
        num_columns = self.scores_BS.shape[1]
        bytes_a_row = num_columns * (BYTES_PER_CELL if self.ids_BS is None else BYTES_PER_PAIR)
        if kept * BYTES_PER_PAIR >= bytes_a_row:
            return self
        columns_BK = []
        for start in range(0, len(self), 256):  # the sort takes 8 bytes a cell
            part = self[start : start + 256]
            ranked = part.scores_BS if part.ids_BS is None else np.where(part.ids_BS >= 0, part.scores_BS, -1)
            columns_BK.append(np.sort((-ranked).argsort(axis=1, kind="stable")[:, :kept], axis=1).astype(np.int32))
        columns_BK = np.concatenate(columns_BK)
        scores_BK, truth_BK = (np.take_along_axis(v, columns_BK, axis=1) for v in (self.scores_BS, self.truth_BS))
        ids_BK = columns_BK if self.ids_BS is None else np.take_along_axis(self.ids_BS, columns_BK, axis=1)
        return Rows(scores_BK, truth_BK, ids_BK, self.num_true_B)


class RowStore:
    """Blocks of [`Rows`] in any order; nothing that is computed from them may depend on it.

    Args:
        num_labels (`int`): L.
    """

    def __init__(self, num_labels: int):
        self.num_labels = num_labels
        self.blocks: list[Rows] = []
        self.num_true_L = np.zeros(num_labels, np.int64)  # true rows of each label, scored or not

    def add(self, rows: Rows, true_ids_M: np.ndarray) -> None:
        """Takes rows and the labels of their M true pairs."""
        count_ids(self.num_true_L, true_ids_M)
        self.blocks.append(rows)
        # equals are joined with equals: each cell is copied a few times at most, however small the batches
        while len(self.blocks) > 1 and _can_join(*self.blocks[-2:]):
            last, before = self.blocks.pop(), self.blocks.pop()
            values = (
                None if mine is None else np.concatenate([mine, more])
                for mine, more in zip(vars(before).values(), vars(last).values(), strict=True)
            )
            self.blocks.append(Rows(*values))

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def num_bytes(self) -> int:
        """What the cells take."""
        return sum(block.num_bytes for block in self.blocks)

    @property
    def num_true_N(self) -> np.ndarray:
        """True labels of each row, scored or not."""
        return np.concatenate([block.num_true_B for block in self.blocks])

    @property
    def work_cells(self) -> int:
        """How many cells may be worked on at a time: a 24th of all, 16,384 at least and 524,288 at most."""
        return int(np.clip(sum(block.scores_BS.size for block in self.blocks) // 24, 2**14, BLOCK_CELLS))

    def trim(self, kept: int) -> None:
        """Keeps the best columns of each row alone."""
        for place, block in enumerate(self.blocks):
            self.blocks[place] = block.trimmed(kept)

    def pieces(self) -> Iterator[tuple[int, Rows]]:
        """(number of the first row, rows) with `work_cells` cells at most, views."""
        first, work_cells = 0, self.work_cells
        for block in self.blocks:
            step = max(1, work_cells // max(block.scores_BS.shape[1], 1))
            for start in range(0, len(block), step):
                yield first + start, block[start : start + step]
            first += len(block)

    def columns(self, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(label, its scores, its truth), arrays of shape `(N,)`, for rows that hold every label."""
        num_rows, step = len(self), max(1, self.work_cells // max(len(self), 1))
        for start in range(0, len(labels), step):
            some = labels[start : start + step]
            scores_LN, truth_LN = np.empty((len(some), num_rows), np.float32), np.empty((len(some), num_rows), np.int8)
            first = 0
            for block in self.blocks:
                place = slice(first, first + len(block))
                scores_LN[:, place], truth_LN[:, place] = block.scores_BS[:, some].T, block.truth_BS[:, some].T
                first += len(block)
            yield from zip(some.tolist(), scores_LN, truth_LN, strict=True)

    def split(self, num_parts: int, seed: int) -> list[RowStore]:
        """Divides rows that hold every label into equal parts and empties this store, block after block.

        A row's part follows from the hashes of all rows' scores and truth: the order in which they came does not
        matter, and which of two equal rows goes where makes no difference either.
        """
        hashes_N = np.array([_hash(row, seed) for block in self.blocks for row in _row_bytes(block)], np.uint64)
        parts_N = np.empty(len(hashes_N), np.int32)
        parts_N[hashes_N.argsort(kind="stable")] = np.arange(len(hashes_N)) % num_parts
        parts = [RowStore(self.num_labels) for _ in range(num_parts)]
        last = len(parts_N)
        while self.blocks:
            block = self.blocks.pop()
            parts_B, last = parts_N[last - len(block) : last], last - len(block)
            for number, part in enumerate(parts):
                rows = block[parts_B == number]
                if len(rows):
                    part.add(rows, np.nonzero(rows.truth_BS == 1)[1])
        return parts

    @classmethod
    def joined(cls, parts: list[RowStore]) -> RowStore:
        """All rows of some stores, without a copy."""
        whole = cls(parts[0].num_labels)
        whole.blocks = [block for part in parts for block in part.blocks]
        whole.num_true_L = np.sum([part.num_true_L for part in parts], axis=0)
        return whole


def _can_join(before: Rows, last: Rows) -> bool:
    same_kind = (before.ids_BS is None) == (last.ids_BS is None) and before.scores_BS.shape[1] == last.scores_BS.shape[
        1
    ]
    return same_kind and len(before) <= len(last) and before.scores_BS.size + last.scores_BS.size <= BLOCK_CELLS


def _row_bytes(block: Rows) -> Iterator[bytes]:
    for scores_S, truth_S in zip(block.scores_BS, block.truth_BS, strict=True):
        yield (scores_S + np.float32(0)).tobytes() + truth_S.tobytes()  # + 0 makes one of the two zeros


def _hash(content: bytes, seed: int) -> int:
    return int.from_bytes(blake2b(f"{seed} ".encode() + content, digest_size=8).digest(), "big")
