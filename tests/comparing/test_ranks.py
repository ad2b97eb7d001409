"""Average ranks and the tests on them, against numbers worked out by hand or by others."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.stats

from hf_mlc.comparing.rank_plot import draw_ranks
from hf_mlc.comparing.ranks import (
    average_ranks,
    critical_difference,
    friedman_p,
    groups_not_told_apart,
    holm,
    smallest_wilcoxon_p,
    wilcoxon,
)


def test_arms_that_are_level_share_their_ranks_and_one_is_the_best():
    values_AD = np.array([[0.9, 0.5, 0.5], [0.8, 0.5, 0.6], [0.1, 0.2, 0.3]])
    # by data set: 1 2 3, then 1.5 1.5 3, then 2 1 3
    assert average_ranks(values_AD) == pytest.approx([1.5, 1.5, 3.0])
    assert average_ranks(values_AD, lower_is_better=True) == pytest.approx([2.5, 2.5, 1.0])
    # what differs in the seventh digit is level
    assert average_ranks(np.array([[0.5], [0.5 + 1e-9]])).tolist() == [1.5, 1.5]


@pytest.mark.parametrize(("num_arms", "q"), [(2, 1.960), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_nemenyis_difference_has_the_critical_values_of_demsars_table(num_arms, q):
    assert critical_difference(num_arms, 8) == pytest.approx(q * np.sqrt(num_arms * (num_arms + 1) / 48), abs=2e-3)


def test_friedmans_test_in_the_form_of_iman_and_davenport():
    values_AD = np.random.default_rng(0).random((4, 10))
    values_AD[0] += 0.3
    chi2 = scipy.stats.friedmanchisquare(*values_AD).statistic
    expected = scipy.stats.f.sf(9 * chi2 / (30 - chi2), 3, 27)
    assert friedman_p(values_AD) == pytest.approx(expected)
    assert friedman_p(np.array([[3.0] * 5, [2.0] * 5, [1.0] * 5])) == 0.0  # the same order everywhere


def test_groups_are_the_longest_runs_within_the_difference():
    ranks_A = np.array([3.5, 1.0, 2.0, 2.9])  # in order 1, 2, 2.9, 3.5
    assert groups_not_told_apart(ranks_A, 1.95) == [(0, 2), (1, 3)]
    assert groups_not_told_apart(ranks_A, 1.9) == [(0, 1), (1, 3)]  # a whole difference apart is told apart
    assert groups_not_told_apart(ranks_A, 0.5) == []


def test_wilcoxons_test_counts_wins_and_gives_up_where_all_are_level():
    first, second = [0.5, 0.6, 0.7, 0.8, 0.9], [0.4, 0.4, 0.4, 0.4, 0.4]
    test = wilcoxon(first, second)
    assert (test.wins, test.losses, test.difference) == (5, 0, pytest.approx(0.3))
    assert test.p == pytest.approx(2 / 2**5)  # the least that five data sets can show
    assert wilcoxon(second, first).p == pytest.approx(test.p)
    assert wilcoxon(first, first) == (0.0, 0, 0, 1.0)


@pytest.mark.parametrize("number", [2, 5, 8, 12])
def test_no_values_give_a_smaller_p_than_being_above_everywhere(number):
    assert smallest_wilcoxon_p(number) == pytest.approx(2 / 2**number)


def test_holms_p_values_are_for_all_tests_at_once():
    # 3 x .01, then 2 x .03, and .04 may not be below it
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_the_picture_is_a_png_of_its_ranks_alone():
    matplotlib = pytest.importorskip("matplotlib")
    assert matplotlib
    ranks = {"msdn": 1.5, "rnn-chain": 2.0, "forest": 3.5, "msdn-best": 3.0}
    drawn = draw_ranks(ranks, 8, ours=("msdn", "msdn-best"), title="average rank")
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(drawn))
    assert pixels.shape[1] == 1200 and pixels[..., :3].min() < 0.2
    assert draw_ranks(dict(reversed(ranks.items())), 8, ours=("msdn", "msdn-best"), title="average rank") == drawn
    assert draw_ranks({**ranks, "forest": 4.0}, 8, ours=("msdn", "msdn-best"), title="average rank") != drawn
