"""What a claim says of all its data sets together: the statements, and whether the runs that are there bear them out.

Shape legend: A arms, D data sets.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from hf_mlc.comparing.ranks import SAME_DIGITS, average_ranks
from hf_mlc.metrics import LOWER_IS_BETTER


HOLDS, FAILS, OPEN = "HOLDS", "DOES NOT HOLD", "OPEN"


class Paired(NamedTuple):
    """A number of two arms, side by side.

    Args:
        values (`dict[str, tuple[float, float]]`): by data set, the two means over the set's `seeds`.
        seeds (`dict[str, list[int]]`): by data set, with which both ran on it.
        missing (`list[str]`): data sets of the claim on which no seed has the number of both.
    """

    values: Mapping[str, tuple[float, float]]
    seeds: Mapping[str, Sequence[int]]
    missing: Sequence[str]


class SetMeans:
    """The means of the arms on the data sets; what is compared on a set is always over the same seeds, which are as many as that
    set has: of small ones more are run.

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
        self.claimed = list(datasets)
        self.datasets = [name for name in datasets if name in run]
        self.missing = [name for name in datasets if name not in run]
        # an arm that did not run everywhere has no average rank
        self.ranked = [
            arm for arm in ranked if self.datasets and all((data, arm) in self._lines for data in self.datasets)
        ]
        self.unranked = [arm for arm in ranked if arm not in self.ranked]
        self.ranked_seeds = {
            data: _shared(self._lines[data, arm] for arm in self.ranked) for data in self.datasets if self.ranked
        }

    def on(self, datasets: Iterable[str]) -> SetMeans:
        """The same on some of the data sets alone, where other arms may have a rank."""
        chosen = set(datasets)
        lines = [line for (data, _), runs in self._lines.items() if data in chosen for line in runs.values()]
        return SetMeans(lines, [name for name in self.claimed if name in chosen], [*self.ranked, *self.unranked])

    def without(self, arms: Iterable[str]) -> SetMeans:
        """The same with fewer arms that are ranked, as if these had not run."""
        dropped = set(arms)
        lines = [line for (_, arm), runs in self._lines.items() if arm not in dropped for line in runs.values()]
        return SetMeans(lines, self.claimed, [arm for arm in (*self.ranked, *self.unranked) if arm not in dropped])

    def values(self, dataset: str, arm: str, name: str) -> dict[int, float]:
        """By seed, a metric, or a number of the line itself, as `train_seconds`; seeds whose runs lack it are left out."""
        found = {}
        for seed, line in self._lines.get((dataset, arm), {}).items():
            value = line["metrics"].get(name, line.get(name))
            if isinstance(value, int | float):
                found[seed] = value
        return found

    def paired(self, first: str, second: str, name: str) -> Paired:
        """A metric of two arms, or a number of the lines themselves, on all data sets that have it of both with one seed."""
        found = {data: (self.values(data, first, name), self.values(data, second, name)) for data in self.claimed}
        seeds = {data: shared for data, both in found.items() if (shared := _shared(both))}
        means = {data: tuple(_mean(values, shared) for values in found[data]) for data, shared in seeds.items()}
        return Paired(means, seeds, [data for data in self.claimed if data not in means])

    def ran(self, *arms: str) -> bool:
        """Whether each of these arms ran on some data set."""
        return {arm for _, arm in self._lines} >= set(arms)

    def table(self, name: str) -> np.ndarray:
        """The means of the ranked arms over the seeds that all of them have on a data set, `(A, D)`; NaN where a metric is missing,
        and on a set where there is no such seed."""
        values_AD = np.full((len(self.ranked), len(self.datasets)), np.nan)
        for row, arm in enumerate(self.ranked):
            for column, data in enumerate(self.datasets):
                values, seeds = self.values(data, arm, name), self.ranked_seeds[data]
                if seeds and values.keys() >= set(seeds):
                    values_AD[row, column] = _mean(values, seeds)
        return values_AD

    def average_ranks(self, name: str, *, lower_is_better: bool = False) -> dict[str, float]:
        """By arm; without a data set, or where a value is missing, empty."""
        values_AD = self.table(name)
        if not values_AD.size or np.isnan(values_AD).any():
            return {}
        return dict(zip(self.ranked, average_ranks(values_AD, lower_is_better=lower_is_better).tolist(), strict=True))

    def dependence(self, dataset: str) -> float:
        """How many other labels a label of the data set depends on (`hf_mlc.comparing.label_dependence`): the mean over the seeds,
        each of which sets other rows aside."""
        found = {
            seed: line["label_dependence"]
            for (name, _), by_seed in self._lines.items()
            if name == dataset
            for seed, line in by_seed.items()
        }
        return statistics.mean(found.values())


def _leads(pair: Paired, metric: str) -> dict[str, float]:
    """By data set, how much better the first arm is than the second; as ranks have them, values level in so many digits are."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return {name: sign * round(first - second, SAME_DIGITS) for name, (first, second) in pair.values.items()}


def _shared(by_seed: Iterable[Mapping[int, Any]]) -> list[int]:
    """The seeds that all of them have."""
    seeds = [set(values) for values in by_seed]
    return sorted(set.intersection(*seeds)) if seeds else []


def _mean(values: Mapping[int, float], seeds: Sequence[int]) -> float:
    return statistics.mean(values[seed] for seed in seeds)


class SetStatement(Protocol):
    """A sentence of a claim about all data sets together."""

    def answer(self, means: SetMeans) -> str:
        """The sentence with HOLDS, DOES NOT HOLD or OPEN behind it, and why; empty where its arms were not run."""


@dataclass(frozen=True)
class NonInferior:
    """An arm is nowhere worse than another by more than a margin, and has at least its average rank over the sets that both ran on.

    The margin is held against means: test sets of some hundred rows cannot show a difference of one point. What the intervals
    show stands in the tables of the data sets.

    Args:
        ours, other (`str`): the arms.
        metric (`str`, *optional*, defaults to `"subset_accuracy"`): of both.
        margin (`float`, *optional*, defaults to 0.01): how much worse is still level.
        variants (`tuple[str]`, *optional*): ranked arms of the same authors, which are left out of the ranks.
    """

    ours: str
    other: str
    metric: str = "subset_accuracy"
    margin: float = 0.01
    variants: tuple[str, ...] = ()

    def answer(self, means: SetMeans) -> str:
        means = means.without(self.variants)
        pair = means.paired(self.ours, self.other, self.metric)
        ranks = means.on(pair.values).average_ranks(self.metric, lower_is_better=self.metric in LOWER_IS_BETTER)
        ranked = self.ours in ranks and self.other in ranks
        differences = _leads(pair, self.metric)
        failing = [name for name, value in differences.items() if value < -self.margin]
        shown = [f"{name} {value:+.4f}" for name, value in differences.items()]
        if ranked:
            shown.append(
                f"average rank there {ranks[self.ours]:.2f} against {ranks[self.other]:.2f} of {len(ranks)} systems"
            )
            failing += ["the average rank"] * (ranks[self.ours] > ranks[self.other])
        said = (
            f"{self.ours} is within {self.margin:g} of {self.other} in {self.metric} on each set, or above it, and has at least "
            "its average rank"
        )
        said += f" ({', '.join(self.variants)} left out)" if self.variants else ""
        return _of_pair(means, said, (self.ours, self.other), pair, failing, shown, unranked=not ranked)


@dataclass(frozen=True)
class AboveOnEach:
    """An arm is above another on every data set whose labels depend on each other at all, by means."""

    ours: str
    other: str
    metric: str = "subset_accuracy"

    def answer(self, means: SetMeans) -> str:
        pair = means.paired(self.ours, self.other, self.metric)
        differences = _leads(pair, self.metric)
        asked = [name for name in differences if means.dependence(name) > 0]
        failing = [name for name in asked if differences[name] <= 0]
        shown = [f"{name} {value:+.4f}" + " (not asked)" * (name not in asked) for name, value in differences.items()]
        said = f"{self.ours} is above {self.other} in {self.metric} on each set whose labels depend on each other"
        return _of_pair(means, said, (self.ours, self.other), pair, failing, shown)


@dataclass(frozen=True)
class BestRank:
    """An arm has the best average rank of all ranked ones, alone.

    Args:
        ours (`str`): the arm.
        metric (`str`, *optional*, defaults to `"subset_accuracy"`): of the ranks.
        variants (`tuple[str]`, *optional*): ranked arms of the same authors, which are left out of the ranks: near copies would push
            the others apart.
    """

    ours: str
    metric: str = "subset_accuracy"
    variants: tuple[str, ...] = ()

    def answer(self, means: SetMeans) -> str:
        means = means.without(self.variants)
        ranks = means.average_ranks(self.metric, lower_is_better=self.metric in LOWER_IS_BETTER)
        said = f"{self.ours} has the best average rank in {self.metric} of {len(ranks)} ranked systems"
        said += f" ({', '.join(self.variants)} left out)" if self.variants else ""
        if not means.ran(self.ours):
            return ""
        if self.ours not in ranks or len(ranks) < 2:
            return f"{said}: {OPEN} (no ranks of it and another over the same seeds)"
        others = {arm: rank for arm, rank in ranks.items() if arm != self.ours}
        best = min(others, key=others.__getitem__)
        failing = [] if ranks[self.ours] < others[best] else [best]
        shown = [f"{ranks[self.ours]:.2f}, the best other one {best} {others[best]:.2f}"]
        missing = [*means.missing, *(f"{arm} on every set" for arm in means.unranked)]
        return _sentence(said, failing, shown, missing, len(means.datasets), means.ranked_seeds)


# by the number of a line: what it is the time of
TIMES = {
    "optimizer_cpu_seconds": "training (the optimiser's process seconds)",
    "train_cpu_seconds": "training with all around it (process seconds of reading, encoding, validation and saving too)",
    "predict_ms": "answering",
}


@dataclass(frozen=True)
class Faster:
    """An arm takes on each data set at most the `factor`-th part of another's time, a sentence for each of `TIMES`. Of training that
    is the seconds of its process, which other work on the machine does not stretch.
    """

    ours: str
    other: str
    factor: float = 5.0
    times: tuple[str, ...] = tuple(TIMES)

    def answer(self, means: SetMeans) -> str:
        return "\n".join(part for part in (self._of(means, name) for name in self.times) if part)

    def _of(self, means: SetMeans, name: str) -> str:
        pair = means.paired(self.ours, self.other, name)
        # of a time that rounds to nothing there is no ratio
        ratios = {data: theirs / ours if ours else math.inf for data, (ours, theirs) in pair.values.items()}
        failing = [data for data, ratio in ratios.items() if ratio < self.factor]
        shown = [f"{data} {ratio:.1f}x" for data, ratio in ratios.items()]
        said = f"{self.ours} is {self.factor:g} times as fast as {self.other} in {TIMES[name]} on each set"
        return _of_pair(means, said, (self.ours, self.other), pair, failing, shown)


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


def _of_pair(
    means: SetMeans, said: str, arms: tuple[str, str], pair: Paired, failing: Sequence[str], shown: Sequence[str],
    *, unranked: bool = False,
) -> str:  # fmt: skip
    """The sentence on two arms; empty where one of them did not run at all."""
    if not means.ran(*arms):
        return ""
    if not pair.values:
        return f"{said}: {OPEN} (no seed with which both have it)"
    missing = [*pair.missing, *["a rank of both"] * unranked]
    return _sentence(said, failing, shown, missing, len(pair.values), pair.seeds)


def _sentence(
    said: str, failing: Sequence[str], shown: Sequence[str], missing: Sequence[str], num_datasets: int,
    seeds: Mapping[str, Sequence[int]],
) -> str:  # fmt: skip
    """A failure is one whatever is missing; without one, what is missing leaves the statement open."""
    answer = FAILS if failing else OPEN if missing else HOLDS
    reasons = [", ".join(shown)]
    if failing:
        reasons.append(f"not so: {', '.join(failing)}")
    if missing:
        reasons.append(f"not there: {', '.join(missing)}")
    reasons.append(f"on {num_datasets} data set{'s' * (num_datasets > 1)}, {of_seeds(seeds)}")
    return f"{said}: {answer} ({'; '.join(reasons)})"


def of_seeds(seeds: Mapping[str, Sequence[int]]) -> str:
    """How many seeds a number rests on, for a sentence: of each data set."""
    fewest, most = (bound(map(len, seeds.values()), default=0) for bound in (min, max))
    return f"{fewest} to {most} seeds a set" if fewest < most else f"{most} seed{'s' * (most > 1)}"
