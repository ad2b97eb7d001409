"""Labels in a row by what occurs together: hidden rows that come back, ties, parts, labels that no row has."""

from __future__ import annotations

import itertools
import random

import pytest
from scipy import sparse

from hf_mlc import seriation
from hf_mlc.errors import UserError
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


def mixed_rows(num_labels: int) -> list[list[int]]:
    """Random sets of 3, a label in 5 of them on average: no label stands near another."""
    drawn = random.Random(0)
    return [drawn.sample(range(num_labels), 3) for _ in range(5 * num_labels // 3)]


def solvers_called(monkeypatch, failing: dict[str, Exception]) -> list[str]:
    """The ways in which eigenvectors are asked for, as they are; of `failing` ones that error comes at once."""
    called, solve = [], sparse.linalg.eigsh

    def eigsh(*arguments, **more):
        called.append("factorised" if "sigma" in more else "iterated")
        if called[-1] in failing:
            raise failing[called[-1]]
        return solve(*arguments, **more)

    monkeypatch.setattr(sparse.linalg, "eigsh", eigsh)
    return called


def test_a_large_graph_of_mixed_labels_is_not_factorised(monkeypatch):
    called = solvers_called(monkeypatch, {})
    num_labels = 1700  # nearly all in one part, which is too large to be decomposed whole
    assert sorted(seriation_order(mixed_rows(num_labels), num_labels)) == list(range(num_labels))
    assert called == ["iterated"]


def test_iterations_find_the_order_of_the_whole_decomposition(monkeypatch):
    rows = mixed_rows(300)
    whole = seriation_order(rows, 300)
    monkeypatch.setattr(seriation, "_DENSE_LABELS", 2)
    assert seriation_order(rows, 300) == seriation_order(rows, 300) == whole


def test_where_iterations_do_not_end_the_graph_is_factorised_and_that_is_said(monkeypatch, caplog):
    path = list(range(200))
    random.Random(0).shuffle(path)
    monkeypatch.setattr(seriation, "_DENSE_LABELS", 2)
    monkeypatch.setattr(seriation, "_RESTARTS", 1)  # of a chain the eigenvalues crowd at 0: more are needed
    called = solvers_called(monkeypatch, {})
    assert seriation_order(rows_of_a_path(path), 200) == path
    assert called == ["iterated", "factorised"]
    assert "The order of 200 labels that are joined wasn't found in 1 rounds of iterations" in caplog.text


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (MemoryError(), "out of memory"),
        (sparse.linalg.ArpackNoConvergence("no convergence", [], []), "its eigenvectors weren't found"),
    ],
)
def test_an_order_that_neither_way_finds_is_one_line(monkeypatch, failure, reason):
    monkeypatch.setattr(seriation, "_DENSE_LABELS", 2)
    gave_up = sparse.linalg.ArpackNoConvergence("no convergence", [], [])
    solvers_called(monkeypatch, {"iterated": gave_up, "factorised": failure})
    with pytest.raises(UserError, match=rf"of 12 labels that are joined.*\({reason}\); accepted: fewer labels"):
        seriation_order(rows_of_a_path(list(range(12))), 12)
