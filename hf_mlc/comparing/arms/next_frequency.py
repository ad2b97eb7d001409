"""Which labels come next, by counting alone: how many have a label next, how often this user had it, and both together.

Nothing is learned but shares of the training rows; how far back a user's own events count, and how much they count
against those of all, is chosen on validation rows. What next-basket work keeps finding hard to beat (Li and others,
"A Next Basket Recommendation Reality Check", ACM TOIS 2023).

Shape legend: N rows, L labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.arms.event_histories import Histories, HistoryReader
from hf_mlc.comparing.arms.grid_choice import choose_from_grid, grid_and_rule, held_out
from hf_mlc.errors import UserError


# "windows": last events of a user that count, all for `None`. "alphas" and "priors": two ways to mix, see `mixed`
WINDOWS = {"windows": (None, 3, 5, 10, 1, 2, 20)}
METHODS = {
    "popularity": {},
    "personal-frequency": WINDOWS,
    "frequency-mix": {
        **WINDOWS,
        "alphas": (10.0, 1.0, 3.0, 30.0, 100.0, 1000.0),
        "priors": (1.0, 0.1, 0.3, 3.0, 10.0),
    },
}
ROWS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Counts, and chooses on validation rows.

    Settings: `method`, a key of `METHODS`; the axes of its grid there; `select_by`, `threshold_kind` and
    `threshold_metric` as of `choose_from_grid`.
    """
    settings = dict(job.settings)
    method = settings.pop("method", None)
    if method not in METHODS:
        raise UserError(f"found '{method}'", field="method", accepted=", ".join(METHODS))
    grid, rule = grid_and_rule(settings, METHODS[method])
    space = job.rows.label_space()
    validation, reader = held_out(job.rows, space), HistoryReader(space)
    popularity_L = space.counts / max(1, space.num_documents)
    histories = reader.histories(validation.histories)
    points = ((point, scores(histories, popularity_L, **point)) for point in _points(grid))
    chosen = choose_from_grid(points, validation.label_ids, space, seed=job.seed, **rule)

    def score(rows: Sequence[Any]) -> Scored:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = reader.histories(rows[start : start + ROWS_AT_ONCE])
            scores_NL = scores(part, popularity_L, **chosen.settings)
            yield list(range(start, start + len(part))), torch.from_numpy(scores_NL), None

    parameters = 0 if method == "personal-frequency" else len(space)
    return Fitted(
        score=score,
        thresholds=chosen.thresholds,
        min_labels=chosen.min_labels,
        parameters=parameters,
        model_bytes=8 * parameters,
        facts=chosen.facts,
    )


def scores(histories: Histories, popularity_L: np.ndarray, **point: Any) -> np.ndarray:
    """Float32 `(N, L)` from 0 to 1: of `popularity_L` alone without settings, of a user's own shares with a `window`,
    of both with an `alpha` or a `prior` besides (`mixed`)."""
    if "window" not in point:
        return np.tile(popularity_L.astype(np.float32), (len(histories), 1))
    shares_NL = personal_shares(histories, point["window"])
    mixing = {name: value for name, value in point.items() if name != "window"}
    if not mixing:
        return shares_NL.astype(np.float32)
    events_N = np.minimum(histories.lengths_N, np.inf if point["window"] is None else point["window"])
    return mixed(shares_NL, events_N, popularity_L, **mixing).astype(np.float32)


def personal_shares(histories: Histories, window: int | None) -> np.ndarray:
    """The share of each row's last `window` events (all for `None`) that hold a label, float64 `(N, L)`; 0 without
    events."""

    def weights_of(length: int) -> np.ndarray:
        counted = length if window is None else min(length, window)
        return np.r_[np.zeros(length - counted), np.full(counted, 1 / max(1, counted))]

    return histories.weighted(weights_of).toarray()


def mixed(
    shares_NL: np.ndarray, events_N: np.ndarray, popularity_L: np.ndarray, *, alpha: float | None = None,
    prior: float | None = None,
) -> np.ndarray:  # fmt: skip
    """A user's shares and those of all: `(alpha * personal + popularity) / (alpha + 1)`; or, with a `prior`, as if
    that many events of all users came before the user's own, so that a user counts the more the longer known."""
    if prior is None:
        return (alpha * shares_NL + popularity_L) / (alpha + 1)
    own_N1 = (events_N / (events_N + prior))[:, None]
    return own_N1 * shares_NL + (1 - own_N1) * popularity_L


def _points(grid: dict[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The settings of a grid, each a point for `scores`; the user's whole history and the milder mixes first."""
    if "windows" not in grid:
        yield {}
    elif "alphas" not in grid:
        yield from ({"window": window} for window in grid["windows"])
    else:
        for axis, one in (("priors", "prior"), ("alphas", "alpha")):
            for window, value in itertools.product(grid["windows"], grid[axis]):
                yield {"window": window, one: value}
