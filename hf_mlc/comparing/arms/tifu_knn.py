"""TIFU-KNN: what a user had, the recent more than the old, and what the users had who are most like that one.

Hu, He, Gao, Zhang, "Modeling Personalized Item Frequency Information for Next-basket Recommendation", SIGIR 2020: a
user's events are cut into groups of consecutive ones; decays within a group and from group to group weigh them into
one vector. The scores are a mix of the user's own vector and the mean vector of the nearest training users
(Euclidean).

Two things follow from rows that ask for several targets of one user, before and after the training part's end: a
training user's vector is of the whole training sequence, and nobody is a neighbour of their own.

Shape legend: N rows, U training users, L labels, k neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.arms.event_histories import Histories, HistoryReader
from hf_mlc.comparing.arms.grid_choice import choose_from_grid, grid_and_rule, held_out


# the first of each is the paper's for Ta-Feng
GRID = {
    "num_groups": (7, 3),
    "within_decays": (0.9, 0.7, 1.0),
    "group_decays": (0.7, 0.9, 0.5),
    "neighbours": (300, 100, 30),
    "own_shares": (0.7, 0.9, 0.5, 0.3, 0.1, 1.0),
}
ROWS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Makes the training users' vectors with the settings that are best on the validation rows.

    Settings: the axes of `GRID`; `select_by`, `threshold_kind` and `threshold_metric` as of `choose_from_grid`.
    """
    grid, rule = grid_and_rule(job.settings, GRID)
    space = job.rows.label_space()
    validation, reader = held_out(job.rows, space), HistoryReader(space)
    users, sequences = reader.sequences(job.rows.read("train"))
    points = _points(grid, users, sequences, *_read(reader, validation.histories))
    chosen = choose_from_grid(points, validation.label_ids, space, seed=job.seed, **rule)
    model = Neighbours(users, sequences, *_shape_of(chosen.settings))
    mixing = {name: chosen.settings[name] for name in ("neighbours", "own_share")}

    def score(rows: Sequence[Any]) -> Scored:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            names, part = _read(reader, rows[start : start + ROWS_AT_ONCE])
            own_NL = model.vectors(part)
            nearest = model.nearest(own_NL, names, mixing["neighbours"])
            scores_NL = model.scores(own_NL, nearest, **mixing)
            yield list(range(start, start + len(part))), torch.from_numpy(scores_NL), None

    parameters = model.vectors_UL.nnz
    return Fitted(
        score=score,
        thresholds=chosen.thresholds,
        min_labels=chosen.min_labels,
        parameters=parameters,
        model_bytes=12 * parameters,  # a number of 8 bytes and its column
        facts={**chosen.facts, "training_users": len(users)},
    )


class Neighbours:
    """Training users as vectors, and what the nearest of them had.

    Args:
        users (`list[str | None]`): their names; `None` for one that nobody can be the same as.
        sequences ([`Histories`]): of each all training events.
        num_groups (`int`): groups that a history is cut into.
        within_decay (`float`): what an event counts against the next one of its group.
        group_decay (`float`): what a group counts against the next one.
    """

    def __init__(
        self,
        users: Sequence[str | None],
        sequences: Histories,
        num_groups: int,
        within_decay: float,
        group_decay: float,
    ):
        self.shape = num_groups, within_decay, group_decay
        self.place_of = {user: place for place, user in enumerate(users) if user is not None}
        self.vectors_UL = self.vectors(sequences)
        self._squares_U = _squares(self.vectors_UL)

    def vectors(self, histories: Histories) -> scipy.sparse.csr_matrix:
        """The vectors of histories, `(N, L)`, each number from 0 to 1."""
        return histories.weighted(lambda length: event_weights(length, *self.shape))

    def nearest(self, own_NL: scipy.sparse.csr_matrix, names: Sequence[str | None], most: int) -> np.ndarray:
        """The places of the training users nearest to each row, nearest first, int64 `(N, k)` with k at most `most`;
        -1 where there is none left. Of equally near ones the first."""
        squares_NU = _squares(own_NL)[:, None] + self._squares_U - 2 * (own_NL @ self.vectors_UL.T).toarray()
        for row, name in enumerate(names):
            if name in self.place_of:
                squares_NU[row, self.place_of[name]] = np.inf
        # rounded, so that users with equal vectors are equally near
        order_Nk = np.argsort(squares_NU.round(12), axis=1, kind="stable")[:, :most]
        return np.where(np.isinf(np.take_along_axis(squares_NU, order_Nk, axis=1)), -1, order_Nk)

    def scores(
        self, own_NL: scipy.sparse.csr_matrix, nearest_Nk: np.ndarray, *, neighbours: int, own_share: float
    ) -> np.ndarray:
        """`own_share * own vector + (1 - own_share) * mean vector of the neighbours`, float32 `(N, L)`; the own
        vector alone where there is no neighbour."""
        nearest_Nk = nearest_Nk[:, :neighbours]
        counts_N = (nearest_Nk >= 0).sum(axis=1)
        rows, columns = np.nonzero(nearest_Nk >= 0)
        cells = (1 / counts_N[rows], (rows, nearest_Nk[rows, columns]))
        means_NU = scipy.sparse.coo_matrix(cells, shape=(len(nearest_Nk), self.vectors_UL.shape[0])).tocsr()
        own_share_N = np.where(counts_N > 0, own_share, 1.0)
        own_part = scipy.sparse.diags(own_share_N) @ own_NL
        others_part = scipy.sparse.diags(1 - own_share_N) @ (means_NU @ self.vectors_UL)
        return (own_part + others_part).toarray().astype(np.float32)


def event_weights(length: int, num_groups: int, within_decay: float, group_decay: float) -> np.ndarray:
    """What each event of a history counts, earliest first.

    Groups are of consecutive events and as equal as can be, the later ones larger; a history with fewer events than
    groups has a group an event. Event j of a group of t events weighs within_decay^(t - j) / t, group i of m weighs
    group_decay^(m - i) / m.
    """
    if length == 0:
        return np.zeros(0)
    num_groups = min(num_groups, length)
    smaller, larger = length // num_groups, length % num_groups
    sizes = [smaller] * (num_groups - larger) + [smaller + 1] * larger
    weights = []
    for group, size in enumerate(sizes, start=1):
        of_group = group_decay ** (num_groups - group) / num_groups
        weights.append(of_group * within_decay ** np.arange(size - 1, -1, -1) / size)
    return np.concatenate(weights)


def _points(
    grid: dict[str, Sequence[Any]], users: Sequence[str | None], sequences: Histories, names: Sequence[str | None],
    histories: Histories,
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:  # fmt: skip
    """Every point of the grid with its scores; the neighbours of one kind of vector are sought once."""
    for num_groups, within, between in itertools.product(
        *(grid[k] for k in ("num_groups", "within_decays", "group_decays"))
    ):
        model = Neighbours(users, sequences, num_groups, within, between)
        own_NL = model.vectors(histories)
        nearest_Nk = model.nearest(own_NL, names, max(grid["neighbours"]))
        vectors = {"num_groups": num_groups, "within_decay": within, "group_decay": between}
        for neighbours, own_share in itertools.product(grid["neighbours"], grid["own_shares"]):
            mixing = {"neighbours": neighbours, "own_share": own_share}
            yield {**vectors, **mixing}, model.scores(own_NL, nearest_Nk, **mixing)


def _shape_of(settings) -> tuple[int, float, float]:
    return settings["num_groups"], settings["within_decay"], settings["group_decay"]


def _read(reader: HistoryReader, rows: Sequence[Any]) -> tuple[list[str | None], Histories]:
    return [row["user"] for row in rows], reader.histories(rows)


def _squares(matrix: scipy.sparse.csr_matrix) -> np.ndarray:
    """Of each row the sum of squares."""
    return np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
