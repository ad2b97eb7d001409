"""Which labels a training step scores: the documents' own, and those that the shortlists put near them.

Shape legend: B documents, S shortlist, P labels of the document that has most, L labels, U labels of a shared list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import sparse

from hf_mlc.modeling.losses import targets_of_candidates


PADDING = -1


class CandidateLists:
    """The `candidate_ids` of batches of training rows. What is drawn follows from seed, epoch and row (or step) alone: neither
    the batches around a row nor the number of processes matters, and a resumed run draws what the unbroken one did.

    Args:
        shortlists_NS (`np.ndarray` of shape `(N, S)`, *optional*):
            the labels nearest to each row, nearest first, padded with -1; a memory map. With other `negatives` none are needed.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): the rows' labels.
        trained_L (`np.ndarray` of shape `(L,)`): labels that have training rows; no other is drawn.
        shared (`bool`): one list for all documents of a step, 1-D and ascending, or one for each, `(B, S)`.
        max_positives (`int`, *optional*):
            so many of a row's labels at most, drawn anew each epoch; all if not given. A list of a row's own has S - 1 at most.
        random_negatives (`int`, *optional*, defaults to 0): further labels, drawn evenly: a step's, or a document's own.
        negatives (`str`, *optional*, defaults to `"shortlist"`):
            `"random"` puts as many random labels in a shortlist's place; `"all"` all labels with training rows, for all documents.
        width (`int`, *optional*): S where there are no lists.
        seed (`int`, *optional*, defaults to 0): of what is drawn.
    """

    def __init__(
        self,
        shortlists_NS: np.ndarray | None,
        labels_NL: sparse.csr_array,
        trained_L: np.ndarray,
        *,
        shared: bool,
        max_positives: int | None = None,
        random_negatives: int = 0,
        negatives: str = "shortlist",
        width: int | None = None,
        seed: int = 0,
    ):
        self.shortlists_NS, self.labels_NL, self.shared = shortlists_NS, labels_NL, shared
        self.max_positives, self.random_negatives, self.negatives = max_positives, random_negatives, negatives
        self.seed, self.trained_ids = seed, np.flatnonzero(trained_L)
        self.num_labels = labels_NL.shape[1]
        self.width = width if shortlists_NS is None else shortlists_NS.shape[1]

    def of_step(
        self,
        batches: Sequence[np.ndarray],
        *,
        epoch: int,
        step: int,
        united: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> list[torch.Tensor]:
        """The candidates of each batch of one optimiser step.

        Args:
            batches (list of `np.ndarray`): numbers of the rows of each batch.
            epoch (`int`): which labels are drawn of a row that has too many.
            step (`int`): which labels are drawn at random for all.
            united (callable, *optional*): makes of this process's marked labels, bool `(L,)`, those of all processes.

        Returns:
            `list[torch.LongTensor]`: `(B, S)` each, padded with -1; or, shared, the same `(U,)` for every batch: batches and
            processes together score what one large batch would, so that the step doesn't depend on how it is divided.
        """
        if self.negatives == "all":
            return [torch.from_numpy(self.trained_ids)] * len(batches)
        if not self.shared:
            return [torch.from_numpy(self.of_documents(rows, epoch=epoch)) for rows in batches]
        is_marked_L = np.zeros(self.num_labels, bool)
        for rows in batches:
            for ids in self._positives(rows, epoch):
                is_marked_L[ids] = True
            if self.negatives == "shortlist":
                near = self._shortlist(rows).reshape(-1)
                is_marked_L[near[near >= 0]] = True
        num_drawn = self.random_negatives + (self.width if self.negatives == "random" else 0)
        if num_drawn:
            is_marked_L[self._drawn(num_drawn, self.seed, 1, step)] = True
        if united is not None:
            is_marked_L = united(is_marked_L)
        ids_U = torch.from_numpy(np.flatnonzero(is_marked_L))
        return [ids_U] * len(batches)

    def of_documents(self, rows: np.ndarray, *, epoch: int) -> np.ndarray:
        """A list for each row, int64 `(B, S)`: its labels first, then the nearest others, then those drawn at random.

        At most S - 1 are its own, drawn anew each epoch where it has more: one negative is left, and each label gets its turn.
        """
        width = self.width
        positives = self._positives(rows, epoch, most=max(1, width - 1))
        if self.negatives == "random":
            near_BS = np.stack([self._padded_draw(width, epoch, row) for row in rows])
        else:
            near_BS = self._shortlist(rows).astype(np.int64)
        own_BP = padded_ids([self._labels(row) for row in rows], max(1, max(map(self._count, rows))))
        # no label of a row is a negative, those beyond `max_positives` neither
        near_BS[_is_among(near_BS, own_BP)] = PADDING
        chosen_BP = padded_ids(positives, max(1, max(map(len, positives))))
        lists_BS = _first_filled(np.concatenate([chosen_BP, near_BS], axis=1))[:, :width]
        if not self.random_negatives:
            return lists_BS
        further = np.stack([self._padded_draw(self.random_negatives, epoch, row) for row in rows])
        further[_is_among(further, own_BP) | _is_among(further, lists_BS)] = PADDING
        return np.concatenate([lists_BS, further], axis=1)

    # -- of single rows

    def _count(self, row: int) -> int:
        return self.labels_NL.indptr[row + 1] - self.labels_NL.indptr[row]

    def _labels(self, row: int) -> np.ndarray:
        return self.labels_NL.indices[self.labels_NL.indptr[row] : self.labels_NL.indptr[row + 1]]

    def _positives(self, rows: np.ndarray, epoch: int, *, most: int | None = None) -> list[np.ndarray]:
        """The labels of each row, `max_positives` at most, and no more than `most`."""
        most = min((limit for limit in (self.max_positives, most) if limit is not None), default=None)
        found = []
        for row in rows:
            ids = self._labels(row)
            if most is not None and len(ids) > most:
                rng = np.random.default_rng([self.seed, 0, epoch, int(row)])
                ids = np.sort(rng.choice(ids, most, replace=False))
            found.append(ids)
        return found

    def _shortlist(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.shortlists_NS[rows])

    def _drawn(self, number: int, *seeds: int) -> np.ndarray:
        """So many different trained labels, or all where there are fewer."""
        number = min(number, len(self.trained_ids))
        return self.trained_ids[np.random.default_rng(seeds).choice(len(self.trained_ids), number, replace=False)]

    def _padded_draw(self, number: int, epoch: int, row: int) -> np.ndarray:
        drawn = self._drawn(number, self.seed, 2, epoch, int(row))
        return np.concatenate([drawn, np.full(number - len(drawn), PADDING)])


def padded_ids(lists: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Lists of ids as int64 `(B, width)`, padded with -1."""
    ids_BP = np.full((len(lists), width), PADDING, np.int64)
    for place, ids in enumerate(lists):
        ids_BP[place, : len(ids)] = ids
    return ids_BP


def _is_among(ids_BS: np.ndarray, others_BP: np.ndarray) -> np.ndarray:
    """Where an id is among those of the other list of its row; padding never is."""
    return targets_of_candidates(torch.from_numpy(others_BP), torch.from_numpy(ids_BS)).numpy() > 0


def _first_filled(ids_BS: np.ndarray) -> np.ndarray:
    """Each row's ids moved to its front, in their order, and its padding behind them."""
    order_BS = np.argsort(ids_BS == PADDING, axis=1, kind="stable")
    return np.take_along_axis(ids_BS, order_BS, axis=1)
