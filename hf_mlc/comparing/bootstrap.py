"""How sure a difference between two arms is: a paired bootstrap over documents and seeds.

One resample draws the documents with replacement, the same ones for both arms and for every seed, and draws the seeds with
replacement, the same ones for both arms; its difference is the mean over the drawn seeds. The interval holds the middle
95 % of the resamples' differences, moved as a whole so that their mean is the difference that was observed: a resample that
holds a rare label's one document twice, or not at all, has another average precision or macro-F1 for that reason alone.
With few seeds the interval is somewhat too narrow: five seeds say little about seeds in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.errors import UserError


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
    """

    def __init__(self, num_documents: int, seeds: list[int], *, num_resamples: int = 2000, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.num_documents, self.seeds = num_documents, list(seeds)
        even = np.full(num_documents, 1 / num_documents)
        self.weights_RN = rng.multinomial(num_documents, even, size=num_resamples).astype(np.float32)
        self.draws_RS = rng.integers(len(self.seeds), size=(num_resamples, len(self.seeds)))
        self._known: dict[tuple[int, str], tuple[float, np.ndarray]] = {}

    def interval(
        self, metric: str, first: Mapping[int, ResampledMetrics], second: Mapping[int, ResampledMetrics]
    ) -> Interval | None:
        """Of first less second; `None` where a seed of either is missing or the metric is undefined.

        Args:
            metric (`str`): its name.
            first, second (`dict[int, ResampledMetrics]`): the runs of the two arms, by seed.
        """
        if not all(seed in runs for runs in (first, second) for seed in self.seeds):
            return None
        pairs = [(self._values(first[seed], metric), self._values(second[seed], metric)) for seed in self.seeds]
        differences_SR = np.stack([one[1] - other[1] for one, other in pairs])
        drawn_R = np.take_along_axis(differences_SR.T, self.draws_RS, axis=1).mean(axis=1)
        point = float(np.mean([one[0] - other[0] for one, other in pairs]))
        if np.isnan(point) or np.isnan(drawn_R).all():
            return None
        low, high = np.nanpercentile(drawn_R, [2.5, 97.5]) + point - np.nanmean(drawn_R)
        return Interval(point, float(low), float(high), len(self.seeds))

    def _values(self, run: ResampledMetrics, metric: str) -> tuple[float, np.ndarray]:
        if run.scores.num_documents != self.num_documents:
            raise UserError(
                f"{run.scores.num_documents} documents", accepted=f"{self.num_documents}, as of other runs"
            )
        key = (id(run), metric)
        if key not in self._known:
            whole = run.values(metric, np.ones((1, self.num_documents), np.float32))[0]
            self._known[key] = (float(whole), run.values(metric, self.weights_RN))
        return self._known[key]
