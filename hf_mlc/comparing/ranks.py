"""Systems compared over several data sets: average ranks, who differs by Nemenyi's test, and pairs by Wilcoxon's.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006. A data set counts once, however many rows
and seeds it has: what is compared is a system's mean over the seeds on it.

Shape legend: A arms, D data sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats


ALPHA = 0.05
SAME_DIGITS = 6  # values that agree in so many digits share a rank


def average_ranks(values_AD: np.ndarray, *, lower_is_better: bool = False) -> np.ndarray:
    """The mean over data sets of each arm's rank, float64 `(A,)`: 1 is the best, arms that are level share their ranks.

    Example:
        >>> average_ranks(np.array([[0.3, 0.5, 0.2], [0.2, 0.4, 0.2]])).tolist()
        [1.1666666666666667, 1.8333333333333333]
    """
    signed_AD = np.round(values_AD, SAME_DIGITS) * (1 if lower_is_better else -1)
    return scipy.stats.rankdata(signed_AD, axis=0).mean(axis=1)


def critical_difference(num_arms: int, num_datasets: int, *, alpha: float = ALPHA) -> float:
    """Nemenyi's: two of A arms whose average ranks are at least so far apart differ, at the level `alpha` for all pairs at once.

    Example:
        >>> round(critical_difference(5, 30), 2)  # Demšar's q of 2.728 for five arms
        1.11
    """
    q = scipy.stats.studentized_range.ppf(1 - alpha, num_arms, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(num_arms * (num_arms + 1) / (6 * num_datasets)))


def friedman_p(values_AD: np.ndarray) -> float:
    """How likely average ranks this far apart are where all arms are alike: by the F distribution of Iman and Davenport, for
    two or more arms and data sets.
    """
    num_arms, num_datasets = values_AD.shape
    ranks_A = average_ranks(values_AD)
    chi2 = 12 * num_datasets / (num_arms * (num_arms + 1)) * ((ranks_A - (num_arms + 1) / 2) ** 2).sum()
    rest = num_datasets * (num_arms - 1) - chi2
    if rest <= 0:
        return 0.0
    return float(scipy.stats.f.sf((num_datasets - 1) * chi2 / rest, num_arms - 1, (num_arms - 1) * (num_datasets - 1)))


def groups_not_told_apart(ranks_A: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Runs of arms, in the order of their ranks, that all lie within `difference` of each other: first and last place of each,
    the longest possible, at least two arms.
    """
    ordered = np.sort(ranks_A)
    groups: list[tuple[int, int]] = []
    for first in range(len(ordered)):
        last = int(np.flatnonzero(ordered - ordered[first] < difference)[-1])
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


class Signed(NamedTuple):
    """Wilcoxon's signed-rank test of an arm against another.

    Args:
        difference (`float`): mean over data sets, first less second.
        wins, losses (`int`): data sets on which the first is above or below; on the others they are level.
        p (`float`): two-sided; 1 where they are level everywhere.
    """

    difference: float
    wins: int
    losses: int
    p: float


def wilcoxon(first_D: Sequence[float], second_D: Sequence[float]) -> Signed:
    """Of the arms' means on the same data sets; data sets on which they are level are split between the two sides."""
    differences_D = np.round(np.asarray(first_D, float) - np.asarray(second_D, float), SAME_DIGITS)
    p = 1.0
    if differences_D.any():
        p = float(scipy.stats.wilcoxon(differences_D, zero_method="zsplit").pvalue)
    wins, losses = int((differences_D > 0).sum()), int((differences_D < 0).sum())
    return Signed(float(differences_D.mean()), wins, losses, p)


def smallest_wilcoxon_p(num_datasets: int) -> float:
    """What [`wilcoxon`] gives an arm that is above the other on every one of so many data sets, no two differences alike.

    Example:
        >>> smallest_wilcoxon_p(8)  # 2 of 2 ** 8 ways
        0.0078125
    """
    return wilcoxon(range(1, num_datasets + 1), [0] * num_datasets).p


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several tests against one arm, adjusted so that they may be read all at once.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
