"""Labels in a row by what occurs together: hidden rows that come back, ties, parts, labels that no row has."""

from __future__ import annotations

import itertools
import random

import pytest

from hf_mlc import seriation
from hf_mlc.seriation import seriation_order


def rows_of_a_path(path: list[int], *, times: int = 3) -> list[list[int]]:
    """Rows of two neighbours each; the first pair comes once more, so the path's beginning is the more frequent end."""
    pairs = [list(pair) for pair in itertools.pairwise(path)]
    return pairs * times + [pairs[0]]


@pytest.mark.parametrize("most_dense", [seriation._DENSE_LABELS, 0])  # decomposed whole, and by iterations
def test_a_hidden_row_of_neighbours_comes_back_and_begins_with_the_frequent_end(most_dense, monkeypatch):
    monkeypatch.setattr(seriation, "_DENSE_LABELS", most_dense)
    path = list(range(12))
    random.Random(0).shuffle(path)
    rows = rows_of_a_path(path)
    random.Random(1).shuffle(rows)
    assert seriation_order(rows, 12) == path


def test_wider_sets_of_a_hidden_row_come_back_too():
    path = [4, 1, 6, 0, 3, 5, 2]
    rows = [path[start : start + 3] for start in range(5)] * 4 + [path[:3]]
    assert seriation_order(rows, 7) == path


def test_parts_that_nothing_joins_stand_apart_the_most_frequent_label_first():
    # 5-0-3 (3 pairs each), 2-4 (5 times), 1 alone (4 times), 6 never
    rows = [[5, 0], [0, 3]] * 3 + [[2, 4]] * 5 + [[1]] * 4
    order = seriation_order(rows, 7)
    # label 0 has 6 rows, 2 and 4 have 5 each, 1 has 4; of the row of three the ends have 3 rows each
    assert order[:3] in ([5, 0, 3], [3, 0, 5])
    assert order[3:] == [2, 4, 1, 6]


def test_phi_by_hand():
    # 4 rows; label 0 in 2, label 1 in 3, together in 2: (4 x 2 - 2 x 3) / sqrt(2 x 2 x 3 x 1) = 2 / sqrt(12)
    hits = seriation._hits([[0, 1], [1, 0, 0], [1], []], 3)
    counts = hits.sum(axis=0).A1 if hasattr(hits.sum(axis=0), "A1") else hits.sum(axis=0)
    graph = seriation._positive_phi(hits, counts)
    assert graph[0, 1] == graph[1, 0] == pytest.approx(2 / 12**0.5)
    assert graph.nnz == 2


def test_a_label_of_every_row_and_labels_that_shun_each_other_are_joined_to_none():
    assert seriation_order([[2, 0], [2, 1], [2, 0], [2, 1], [2]], 3) == [2, 0, 1]


def test_no_rows_one_label_and_no_label():
    assert seriation_order([], 3) == [0, 1, 2]
    assert seriation_order([[0], []], 1) == [0]
    assert seriation_order([[]], 0) == []
