"""Event histories as the frequency methods of a comparison read them: sets of label ids, and weighted sums of these.

Shape legend: N rows, E events of all rows, M (event, label) pairs of all rows, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import scipy.sparse

from hf_mlc.labels import LabelSpace


class Histories:
    """The label sets of histories, each earliest first, ready to be summed with any weights of the events.

    Args:
        sets (iterable): of each row its events, each an int64 array of label ids, every id once.
        num_labels (`int`): L.
    """

    def __init__(self, sets: Iterable[Sequence[np.ndarray]], num_labels: int):
        sets = [list(events) for events in sets]
        sizes_E = np.array([len(ids) for events in sets for ids in events], np.int64)
        self.lengths_N = np.array([len(events) for events in sets], np.int64)
        self.num_labels = num_labels
        self._event_M = np.repeat(np.arange(len(sizes_E)), sizes_E)
        self._row_M = np.repeat(np.arange(len(sets)), self.lengths_N)[self._event_M]
        self._label_M = np.concatenate([np.zeros(0, np.int64), *(ids for events in sets for ids in events)])

    def __len__(self) -> int:
        return len(self.lengths_N)

    def weighted(self, weights_of: Callable[[int], np.ndarray]) -> scipy.sparse.csr_matrix:
        """Of each row the sum of its events' label sets, float64 `(N, L)`.

        Args:
            weights_of: gives the weights of the events of a history so long, earliest first.
        """
        known = {length: np.asarray(weights_of(length), np.float64) for length in set(self.lengths_N.tolist())}
        weights_E = np.concatenate([np.zeros(0), *(known[length] for length in self.lengths_N.tolist())])
        cells = (weights_E[self._event_M], (self._row_M, self._label_M))
        return scipy.sparse.coo_matrix(cells, shape=(len(self), self.num_labels)).tocsr()


class HistoryReader:
    """Stored rows of events as sets of label ids. Labels that are not in the label space are left out.

    Args:
        space ([`~hf_mlc.labels.LabelSpace`]): the labels.
    """

    def __init__(self, space: LabelSpace):
        self.space = space
        self._id_of: dict[Any, int | None] = {}

    def sets(self, history: Mapping[str, Any]) -> list[np.ndarray]:
        """The label sets of one stored row, earliest first; an event without a known label is an empty one."""
        ends = np.cumsum(history["sizes"], dtype=np.int64)
        labels, start, sets = history["labels"], 0, []
        for end in ends.tolist():
            ids = {self._id(label) for label in labels[start:end]} - {None}
            sets.append(np.array(sorted(ids), np.int64))
            start = end
        return sets

    def histories(self, rows: Iterable[Mapping[str, Any]]) -> Histories:
        """The histories of rows."""
        return Histories((self.sets(row) for row in rows), len(self.space))

    def sequences(self, rows: datasets.Dataset) -> tuple[list[str | None], Histories]:
        """Each user's whole sequence, put together from all rows of that user: their histories and the sets that they
        ask for.

        Rows of one user overlap (one target's history holds the targets before it), and long histories may be cut; an
        event is known by its time. The set of a row without the target's time comes last, of the row that reaches
        furthest. A row without a user is a sequence of its own.

        Returns:
            The users, in the order of their first rows, and their sequences.
        """
        events_of: dict[Any, dict[float, np.ndarray]] = {}
        untimed: dict[Any, tuple[float, np.ndarray]] = {}
        for place, (history, labels) in enumerate(zip(rows["events"], rows["labels"], strict=True)):
            user = history["user"] if history["user"] is not None else place
            events, target = events_of.setdefault(user, {}), self.space.encode_known(labels)[0]
            events.update(zip(history["times"], self.sets(history), strict=True))
            if history["target_time"] is not None:
                events[history["target_time"]] = target
            else:
                last = max(history["times"], default=-np.inf)
                untimed[user] = max(untimed.get(user, (last, target)), (last, target), key=lambda one: one[0])
        sequences = []
        for user, events in events_of.items():
            ordered = [events[time] for time in sorted(events)]
            sequences.append([*ordered, untimed[user][1]] if user in untimed else ordered)
        users = [user if isinstance(user, str) else None for user in events_of]
        return users, Histories(sequences, len(self.space))

    def _id(self, label: str | int) -> int | None:
        if label not in self._id_of:
            ids, _ = self.space.encode_known([label])
            self._id_of[label] = int(ids[0]) if len(ids) else None
        return self._id_of[label]
