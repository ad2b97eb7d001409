"""What a claim says of all its data sets together: the statements, and whether the runs that are there bear them out.

Shape legend: A arms, D data sets.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hf_mlc.comparing.ranks import average_ranks


HOLDS, FAILS, OPEN = "HOLDS", "DOES NOT HOLD", "OPEN"


class SetMeans:
    """The means over the seeds of every arm on every data set.

    Args:
        lines: of the runs of all data sets; of one split, on all training rows.
        datasets (`list[str]`): that the claim has, in its order, run or not.
        ranked (`list[str]`): arms that have a place in the order of average ranks.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]], datasets: Sequence[str], ranked: Sequence[str]):
        self._lines: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
        for line in lines:
            self._lines.setdefault((line["dataset"], line["arm"]), {})[line["seed"]] = line
        run = {dataset for dataset, _ in self._lines}
        self.datasets = [name for name in datasets if name in run]
        self.missing = [name for name in datasets if name not in run]
        # an arm that did not run everywhere has no average rank
        self.ranked = [arm for arm in ranked if self.datasets and all(self.has(data, arm) for data in self.datasets)]
        self.unranked = [arm for arm in ranked if arm not in self.ranked]

    def has(self, dataset: str, *arms: str) -> bool:
        """Whether all these arms ran on the data set."""
        return all((dataset, arm) in self._lines for arm in arms)

    def values(self, dataset: str, arm: str, name: str) -> dict[int, float]:
        """By seed, a metric, or a number of the line itself, as `train_seconds`; seeds whose runs lack it are left out."""
        found = {}
        for seed, line in self._lines.get((dataset, arm), {}).items():
            value = line["metrics"].get(name, line.get(name))
            if isinstance(value, int | float):
                found[seed] = value
        return found

    def mean(self, dataset: str, arm: str, name: str) -> float | None:
        """The mean over the seeds; `None` where the arm or the number is missing."""
        values = self.values(dataset, arm, name)
        return statistics.mean(values.values()) if values else None

    def difference(self, dataset: str, first: str, second: str, name: str) -> float | None:
        """First less second, over the seeds that both have."""
        ours, theirs = self.values(dataset, first, name), self.values(dataset, second, name)
        shared = ours.keys() & theirs.keys()
        return statistics.mean(ours[seed] - theirs[seed] for seed in shared) if shared else None

    def table(self, name: str) -> np.ndarray:
        """The means of the ranked arms, `(A, D)`; NaN where a metric is missing."""
        rows = [[self.mean(data, arm, name) for data in self.datasets] for arm in self.ranked]
        return np.array(rows, dtype=np.float64).reshape(len(self.ranked), len(self.datasets))

    def average_ranks(self, name: str, *, lower_is_better: bool = False) -> dict[str, float]:
        """By arm; without a data set, or where a value is missing, empty."""
        values_AD = self.table(name)
        if not values_AD.size or np.isnan(values_AD).any():
            return {}
        return dict(zip(self.ranked, average_ranks(values_AD, lower_is_better=lower_is_better).tolist(), strict=True))

    def dependence(self, dataset: str) -> float:
        """How many other labels a label of the data set depends on (`hf_mlc.comparing.label_dependence`)."""
        return next(line["label_dependence"] for (name, _), by_seed in self._lines.items() if name == dataset
                    for line in by_seed.values())  # fmt: skip


class SetStatement(Protocol):
    """A sentence of a claim about all data sets together."""

    def answer(self, means: SetMeans) -> str:
        """The sentence with HOLDS, DOES NOT HOLD or OPEN behind it, and why; empty where its arms were not run."""


@dataclass(frozen=True)
class NonInferior:
    """An arm is nowhere worse than another by more than a margin, and has at least its average rank.

    The margin is held against means: test sets of some hundred rows cannot show a difference of one point. What the intervals
    show stands in the tables of the data sets.
    """

    ours: str
    other: str
    metric: str = "subset_accuracy"
    margin: float = 0.01

    def answer(self, means: SetMeans) -> str:
        found = _differences(means, self.ours, self.other, self.metric)
        ranks = means.average_ranks(self.metric)
        ranked = self.ours in ranks and self.other in ranks
        failing = [name for name, value in found.items() if value < -self.margin]
        behind = ranked and ranks[self.ours] > ranks[self.other]
        shown = [f"{name} {value:+.4f}" for name, value in found.items()]
        if ranked:
            shown.append(f"average rank {ranks[self.ours]:.2f} against {ranks[self.other]:.2f}")
        said = (
            f"{self.ours} is within {self.margin:g} of {self.other} in {self.metric} on each set, or above it, and has at least "
            "its average rank"
        )
        return _sentence(means, said, found, failing + ["the average rank"] * behind, shown, all_there=ranked)


@dataclass(frozen=True)
class AboveOnEach:
    """An arm is above another on every data set whose labels depend on at least so many others, by means."""

    ours: str
    other: str
    metric: str = "subset_accuracy"
    least_dependence: float = 1.0

    def answer(self, means: SetMeans) -> str:
        found = _differences(means, self.ours, self.other, self.metric)
        asked = {name: value for name, value in found.items() if means.dependence(name) >= self.least_dependence}
        failing = [name for name, value in asked.items() if value <= 0]
        shown = [f"{name} {value:+.4f}" + ("" if name in asked else " (not asked)") for name, value in found.items()]
        said = (
            f"{self.ours} is above {self.other} in {self.metric} on each set on which a label depends on at least "
            f"{self.least_dependence:g} others on average"
        )
        return _sentence(means, said, found, failing, shown)


@dataclass(frozen=True)
class BestRank:
    """An arm has the best average rank of all ranked ones, alone."""

    ours: str
    metric: str = "subset_accuracy"

    def answer(self, means: SetMeans) -> str:
        ranks = means.average_ranks(self.metric)
        if self.ours not in ranks or len(ranks) < 2:
            return ""
        others = {arm: rank for arm, rank in ranks.items() if arm != self.ours}
        best = min(others, key=others.__getitem__)
        failing = [] if ranks[self.ours] < others[best] else [best]
        shown = [f"{ranks[self.ours]:.2f}, the best other one {best} {others[best]:.2f}"]
        said = f"{self.ours} has the best average rank in {self.metric} of all {len(ranks)} ranked systems"
        return _sentence(means, said, ranks, failing, shown, missing_arms=means.unranked)


@dataclass(frozen=True)
class Faster:
    """An arm takes on each data set at most the `factor`-th part of another's time: in training, by the seconds of its process,
    which other work on the machine does not stretch, and in answering.
    """

    ours: str
    other: str
    factor: float = 5.0
    times: Mapping[str, str] = field(
        default_factory=lambda: {"train_cpu_seconds": "training", "predict_ms": "answering"}, hash=False
    )

    def answer(self, means: SetMeans) -> str:
        return "\n".join(part for part in (self._of(means, name, about) for name, about in self.times.items()) if part)

    def _of(self, means: SetMeans, name: str, about: str) -> str:
        found = {}
        for dataset in means.datasets:
            ours, theirs = means.mean(dataset, self.ours, name), means.mean(dataset, self.other, name)
            if ours and theirs:
                found[dataset] = theirs / ours
        failing = [dataset for dataset, ratio in found.items() if ratio < self.factor]
        shown = [f"{dataset} {ratio:.1f}x" for dataset, ratio in found.items()]
        said = f"{self.ours} is {self.factor:g} times as fast as {self.other} in {about} on each set"
        return _sentence(means, said, found, failing, shown)


@dataclass(frozen=True)
class OverSets:
    """What is printed of all data sets together.

    Args:
        reference (`str`): the arm that the others are tested against.
        ours (`tuple[str]`): ranked arms that are ours, in the picture.
        ranked (`tuple[str]`): arms that are ranked among each other: the systems, without the ablations of one of them.
        metrics (`tuple[str]`): whose ranks are printed; the picture is of the first.
        statements (`tuple[SetStatement]`): see above.
    """

    reference: str
    ours: tuple[str, ...]
    ranked: tuple[str, ...]
    metrics: tuple[str, ...]
    statements: tuple[SetStatement, ...] = ()


def _differences(means: SetMeans, ours: str, other: str, metric: str) -> dict[str, float]:
    found = {name: means.difference(name, ours, other, metric) for name in means.datasets}
    return {name: value for name, value in found.items() if value is not None}


def _sentence(
    means: SetMeans, said: str, found: Mapping, failing: Sequence[str], shown: Sequence[str],
    *, all_there: bool = True, missing_arms: Sequence[str] = (),
) -> str:  # fmt: skip
    """A failure is one whatever is missing; without one, what is missing leaves the statement open."""
    if not found:
        return ""
    incomplete = bool(means.missing or missing_arms) or not all_there
    answer = FAILS if failing else OPEN if incomplete else HOLDS
    reasons = [", ".join(shown)]
    if failing:
        reasons.append(f"not so: {', '.join(failing)}")
    if means.missing:
        reasons.append(f"not run: {', '.join(means.missing)}")
    if missing_arms:
        reasons.append(f"not on every set: {', '.join(missing_arms)}")
    return f"{said}: {answer} ({'; '.join(reasons)})"
