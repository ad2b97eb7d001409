"""The decision rule on small tables of scores."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.decision import apply_thresholds, ranked_labels


def decided(scores, thresholds, **kwargs) -> list[list[int]]:
    return apply_thresholds(torch.tensor(scores), thresholds, **kwargs).int().tolist()


def test_a_score_equal_to_the_threshold_is_predicted():
    assert decided([[0.5, 0.4999, 0.9]], 0.5) == [[1, 0, 1]]


@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_each_label_has_its_own_threshold(kind):
    assert decided([[0.3, 0.3, 0.3], [0.1, 0.6, 0.9]], kind([0.2, 0.5, 0.9])) == [[1, 0, 0], [0, 1, 1]]


def test_without_a_minimum_a_set_may_be_empty():
    assert decided([[0.1, 0.2]], 0.5) == [[0, 0]]


def test_the_minimum_takes_the_labels_that_fall_short_of_their_own_threshold_by_least():
    # short by 0.3, 0.1, 0.4: the second, then the first
    assert decided([[0.2, 0.1, 0.5]], [0.5, 0.2, 0.9], min_labels=1) == [[0, 1, 0]]
    assert decided([[0.2, 0.1, 0.5]], [0.5, 0.2, 0.9], min_labels=2) == [[1, 1, 0]]


def test_the_minimum_changes_nothing_where_enough_labels_pass():
    assert decided([[0.9, 0.8, 0.1]], 0.5, min_labels=1) == [[1, 1, 0]]


def test_of_ties_the_lower_index_is_taken():
    assert decided([[0.2, 0.3, 0.3, 0.3]], 0.5, min_labels=2) == [[0, 1, 1, 0]]


def test_below_a_common_threshold_the_minimum_tells_tiny_scores_apart():
    # in float32 all three fall short of 0.5 by the same number
    assert decided([[1e-10, 3e-10, 2e-10]], 0.5, min_labels=1) == [[0, 1, 0]]
    candidates = torch.tensor([[4, -100, 7]])
    assert decided([[1e-10, 1.0, 2e-10]], 0.5, min_labels=1, candidate_ids_BS=candidates) == [[0, 0, 1]]


def test_a_score_of_one_passes_a_threshold_of_one():
    assert decided([[1.0, 0.9999999]], 1.0) == [[1, 0]]


def test_a_minimum_above_the_number_of_labels_takes_them_all():
    assert decided([[0.1, 0.2]], 0.5, min_labels=9) == [[1, 1]]


def test_a_shortlists_columns_use_the_thresholds_of_their_labels():
    # columns are labels 2, 0 and padding; thresholds of these: 0.9 and 0.1
    candidates = torch.tensor([[2, 0, -100]])
    assert decided([[0.8, 0.2, 1.0]], [0.1, 0.5, 0.9], candidate_ids_BS=candidates) == [[0, 1, 0]]


def test_padding_of_a_shortlist_is_never_predicted():
    candidates = torch.tensor([[1, -100, -100], [-100, -100, -100]])
    scores = [[0.1, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert decided(scores, 0.5, candidate_ids_BS=candidates) == [[0, 0, 0], [0, 0, 0]]
    assert decided(scores, 0.5, candidate_ids_BS=candidates, min_labels=2) == [[1, 0, 0], [0, 0, 0]]


def test_the_rule_does_not_depend_on_the_batch():
    torch.manual_seed(0)
    scores = torch.rand(6, 9)
    together = apply_thresholds(scores, 0.8, min_labels=2)
    alone = torch.cat([apply_thresholds(row[None], 0.8, min_labels=2) for row in scores])
    assert torch.equal(together, alone)
    assert (together.sum(dim=1) >= 2).all()


def ranked(scores, chosen, **kwargs) -> tuple[list, list]:
    ids, kept = ranked_labels(torch.tensor(scores), torch.tensor(chosen).bool(), **kwargs)
    return ids.tolist(), kept.tolist()


def test_chosen_labels_come_best_first_and_ties_by_the_lower_index():
    scores = [[0.25, 0.5, 0.75, 0.5], [0.5, 0.25, 0.125, 0.75]]
    # the first document's best is not chosen; the second has one label only, so the others are padding
    assert ranked(scores, [[1, 1, 0, 1], [0, 0, 1, 0]]) == (
        [[1, 3, 0], [2, -1, -1]],
        [[0.5, 0.5, 0.25], [0.125, 0.0, 0.0]],
    )


def test_at_most_top_k_of_the_chosen_labels():
    scores = [[0.25, 0.5, 0.75, 0.5]]
    assert ranked(scores, [[1, 1, 1, 1]], top_k=2) == ([[2, 1]], [[0.75, 0.5]])
    assert ranked(scores, [[0, 0, 0, 1]], top_k=2) == ([[3]], [[0.5]])
    assert ranked(scores, [[0, 0, 0, 0]], top_k=2) == ([[]], [[]])


def test_the_columns_of_a_shortlist_are_named_by_their_labels():
    candidates = torch.tensor([[7, 4], [9, -1]])
    assert ranked([[0.25, 0.5], [0.75, 0.0]], [[1, 1], [1, 0]], candidate_ids_BS=candidates) == (
        [[4, 7], [9, -1]],
        [[0.5, 0.25], [0.75, 0.0]],
    )
