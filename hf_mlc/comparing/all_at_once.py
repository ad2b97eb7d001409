"""Bars that other arms set, in quality and in cost, and whether one model passes all of them at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


HOLDS, FAILS, OPEN = "HOLDS", "DOES NOT HOLD", "OPEN"
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """A number of a run that is the better, the smaller it is.

    Args:
        about (`str`): what it is, for the table.
        of_line: reads it off a line; `KeyError` where the line has none.
        others (`tuple[str]`, *optional*): the arms that set the bar, where they are not all of them.
        below (`bool`, *optional*, defaults to `False`): whether it must be below the bar; at most the bar otherwise.
    """

    about: str
    of_line: Callable[[Line], float]
    others: tuple[str, ...] = ()
    below: bool = False


@dataclass(frozen=True)
class AllAtOnce:
    """A table, a row a bar, and a sentence on all of them together.

    Args:
        about (`str`): what they come to, for the sentence.
        ours (`tuple[str]`): arms that are held against the bars, each by itself.
        others (`tuple[str]`): arms that set them: the best of these is the bar.
        metrics (`tuple[str]`): that must be above.
        costs (`tuple[Cost]`): that must be below, or at most.
        datasets (`tuple[str]`): on which it is printed.
    """

    about: str
    ours: tuple[str, ...]
    others: tuple[str, ...]
    metrics: tuple[str, ...]
    costs: tuple[Cost, ...]
    datasets: tuple[str, ...]

    def tables(self, dataset: str, lines: Sequence[Line]) -> str:
        """The tables of all arms of ours that ran on the data set; means are over the seeds with which every one of the arms ran
        that is in the table. Empty on other data sets, and where none of ours ran."""
        if dataset not in self.datasets:
            return ""
        by_arm: dict[str, dict[int, Line]] = {}
        for line in lines:
            by_arm.setdefault(line["arm"], {})[line["seed"]] = line
        return "\n\n".join(self._table(arm, by_arm) for arm in self.ours if arm in by_arm)

    def _table(self, ours: str, by_arm: Mapping[str, Mapping[int, Line]]) -> str:
        arms = [ours, *(arm for arm in self.others if arm in by_arm)]
        seeds = sorted(set.intersection(*(set(by_arm[arm]) for arm in arms)))
        rows, answers = [["bar", *arms, "", ""]], []
        for metric in self.metrics:
            found = self._means(by_arm, seeds, lambda line, name=metric: line["metrics"][name])
            bar = max((found[arm] for arm in self.others if found[arm] is not None), default=None)
            gap = None if bar is None or found[ours] is None else found[ours] - bar
            answers.append(self._answer(None if gap is None else gap > 0, found, self.others))
            shown = "" if gap is None else f"by {gap:+.4f}"
            rows.append([metric, *(_shown(found[arm], 4) for arm in arms), answers[-1], shown])
        for cost in self.costs:
            others = cost.others or self.others
            found = self._means(by_arm, seeds, cost.of_line)
            bar = min((found[arm] for arm in others if found[arm] is not None), default=None)
            passed, shown = None, ""
            if bar is not None and found[ours] is not None:
                passed = found[ours] < bar if cost.below else found[ours] <= bar
                shown = f"{found[ours] / bar:.2f} times" if bar else ""
            answers.append(self._answer(passed, found, others))
            rows.append([cost.about, *(_shown(found[arm], 2) for arm in arms), answers[-1], shown])
        return "\n".join([*aligned(rows), self._sentence(ours, answers, seeds, by_arm)])

    def _means(
        self, by_arm: Mapping[str, Mapping[int, Line]], seeds: Sequence[int], of_line: Callable[[Line], float]
    ) -> dict[str, float | None]:
        """The mean of each arm; `None` of one that did not run, or has not got the number."""
        found: dict[str, float | None] = {}
        for arm in (*self.ours, *self.others):
            try:
                found[arm] = statistics.mean(of_line(by_arm[arm][seed]) for seed in seeds)
            except (KeyError, statistics.StatisticsError):
                found[arm] = None
        return found

    def _answer(self, passed: bool | None, found: Mapping[str, float | None], others: Sequence[str]) -> str:
        """A bar that is missed is missed, whatever else is missing."""
        if passed is False:
            return "no"
        return "yes" if passed and all(found[arm] is not None for arm in others) else "open"

    def _sentence(
        self, ours: str, answers: Sequence[str], seeds: Sequence[int], by_arm: Mapping[str, Mapping[int, Line]]
    ) -> str:
        answer = FAILS if "no" in answers else OPEN if "open" in answers else HOLDS
        missing = [arm for arm in self.others if arm not in by_arm]
        return (
            f"{ours}, {self.about}: {answer} ({answers.count('yes')} of {len(answers)} bars passed, {len(seeds)} "
            f"seed{'s' * (len(seeds) != 1)}{'; not run: ' + ', '.join(missing) if missing else ''})"
        )


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The cells of a table under each other, the first of each row to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = []
    for first, *cells in rows:
        right = "".join(f"{cell:>{width + 2}}" for cell, width in zip(cells, widths[1:], strict=True))
        shown.append(f"{first:<{widths[0]}}{right}".rstrip())
    return shown
