"""How sure a difference between two arms is: a paired bootstrap over documents and seeds.

One resample draws the documents (of event sequences, the users) with replacement, the same ones for both arms and for every seed, and draws the seeds with
replacement, the same ones for both arms; its difference is the mean over the drawn seeds, and the interval holds the middle
95 % of the resamples' differences.

What a drawn document adds to a metric is its influence: how much the metric changes where that document alone is left out.
Of a mean over documents, as P@k is, this is the usual bootstrap to the digit. Macro-F1 and average precision of rare labels
may not simply be computed anew on documents drawn with replacement: a label's only document, drawn three times, still makes one
label found, and not drawn at all none, so that such resamples lie lower than the measured value and differ by half as
much as new documents would. Variances from leaving one out are on the safe side (Efron and Stein, 1981).
With few seeds the interval is somewhat too narrow: five seeds say little about seeds in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.errors import UserError


MOST_GROUPS = 2000  # documents beyond that are left out, and drawn, some at a time
_AT_ONCE = 250


class Interval(NamedTuple):
    """A difference of means over seeds, and between which values 95 % of the resamples lie."""

    difference: float
    low: float
    high: float
    num_seeds: int

    @property
    def clear_of_zero(self) -> bool:
        return self.low > 0 or self.high < 0


class Bootstrap:
    """The same resamples for every pair of arms and every metric.

    Args:
        num_documents (`int`): N.
        seeds (`list[int]`): of the runs.
        num_resamples (`int`, *optional*, defaults to 2000): R.
        seed (`int`, *optional*, defaults to 0): of the draws.
        together (`np.ndarray` of shape `(N,)`, *optional*): a number that documents share which are drawn together, or not at all:
            those of one user are no independent witnesses. Without it every document is drawn by itself.
    """

    def __init__(
        self, num_documents: int, seeds: list[int], *, num_resamples: int = 2000, seed: int = 0,
        together: np.ndarray | None = None,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        self.num_documents, self.seeds = num_documents, list(seeds)
        units, unit_N = np.unique(np.arange(num_documents) if together is None else together, return_inverse=True)
        self.num_groups = min(len(units), MOST_GROUPS)
        self.group_N = (rng.permutation(len(units)) % self.num_groups)[unit_N]
        even = np.full(self.num_groups, 1 / self.num_groups)
        self.weights_RG = rng.multinomial(self.num_groups, even, size=num_resamples)
        self.draws_RS = rng.integers(len(self.seeds), size=(num_resamples, len(self.seeds)))
        self._known: dict[tuple[ResampledMetrics, str], tuple[float, np.ndarray]] = {}

    def interval(
        self, metric: str, first: Mapping[int, ResampledMetrics], second: Mapping[int, ResampledMetrics]
    ) -> Interval | None:
        """Of first less second; `None` where a seed of either is missing, or the metric is undefined or can't be resampled.

        Args:
            metric (`str`): its name.
            first, second (`dict[int, ResampledMetrics]`): the runs of the two arms, by seed.
        """
        if not all(seed in runs for runs in (first, second) for seed in self.seeds):
            return None
        if not all(runs[seed].has(metric) for runs in (first, second) for seed in self.seeds):
            return None
        pairs = [(self._values(first[seed], metric), self._values(second[seed], metric)) for seed in self.seeds]
        point_S = np.array([one[0] - other[0] for one, other in pairs])
        influence_SG = np.stack([one[1] - other[1] for one, other in pairs])
        if np.isnan(point_S).any() or np.isnan(influence_SG).any():
            return None
        differences_SR = point_S[:, None] + influence_SG @ self.weights_RG.T / self.num_groups
        drawn_R = np.take_along_axis(differences_SR.T, self.draws_RS, axis=1).mean(axis=1)
        # a resample without any document that tells the arms apart differs by 0, but for rounding that must not decide
        low, high = np.percentile(drawn_R.round(12) + 0.0, [2.5, 97.5])
        return Interval(float(point_S.mean()), float(low), float(high), len(self.seeds))

    def _values(self, run: ResampledMetrics, metric: str) -> tuple[float, np.ndarray]:
        """The metric on all documents, and the influence of each group of them, whose sum is 0."""
        if run.scores.num_documents != self.num_documents:
            raise UserError(
                f"{run.scores.num_documents} documents", accepted=f"{self.num_documents}, as of other runs"
            )
        key = (run, metric)
        if key not in self._known:
            whole = run.values(metric, np.ones((1, self.num_documents), np.float32))[0]
            groups = np.split(np.arange(self.num_groups), range(_AT_ONCE, self.num_groups, _AT_ONCE))
            without_G = np.concatenate(
                [run.values(metric, (self.group_N != group[:, None]).astype(np.float32)) for group in groups]
            )
            self._known[key] = (float(whole), (self.num_groups - 1) * (without_G.mean() - without_G))
        return self._known[key]
