from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from hf_mlc.metrics import ranking


def test_top_k_equals_a_stable_sort_with_many_ties():
    scores = torch.randint(0, 4, (50, 30), generator=torch.Generator().manual_seed(0)) / 4
    columns, ids = ranking.top_k(scores, 7)
    expected = scores.sort(dim=1, descending=True, stable=True).indices[:, :7]
    assert torch.equal(columns, expected) and torch.equal(ids, expected)


def test_of_equal_scores_the_lower_label_ranks_first_wherever_its_column_is():
    scores = torch.tensor([[0.5, 0.9, 0.5, 0.5]])
    candidates = torch.tensor([[8, 3, 2, 5]])
    columns, ids = ranking.top_k(scores, 3, candidate_ids_BS=candidates)
    assert ids.tolist() == [[3, 2, 5]]  # 0.9, then the lowest of the labels 8, 2, 5
    assert columns.tolist() == [[1, 2, 3]]


def test_ranks_that_do_not_exist_are_minus_one():
    scores = torch.tensor([[0.5, 0.9, 0.7], [0.1, 0.2, 0.3]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    columns, _ = ranking.top_k(scores, 4, mask_BS=mask)
    assert columns.tolist() == [[2, 0, -1, -1], [-1, -1, -1, -1]]


def test_precision_recall_and_ndcg_at_k_as_computed_by_hand():
    hits, num_true = np.array([[True, False, True], [False, False, False]]), np.array([4, 0])
    assert ranking.precision_at_k(hits, 3).tolist() == pytest.approx([2 / 3, 0.0])
    assert ranking.recall_at_k(hits, num_true, 3).tolist() == pytest.approx([2 / 4, np.nan], nan_ok=True)
    # gained 1/log2(2) + 1/log2(4) = 1.5; best, three of four labels: 1 + 1/log2(3) + 1/2 = 2.1309
    expected = 1.5 / (1.5 + 1 / np.log2(3))
    assert ranking.ndcg_at_k(hits, num_true, 3).tolist() == pytest.approx([expected, np.nan], nan_ok=True)


@pytest.mark.parametrize("k", [1, 3, 10, 20])
def test_ndcg_agrees_with_scikit_learn_without_ties(k):
    generator = np.random.default_rng(1)
    truth = (generator.random((40, 15)) < 0.3).astype(float)
    truth[:, 0] = 1  # every document has a label: scikit-learn counts the others as 0
    scores = generator.permuted(np.tile(np.arange(15) / 15, (40, 1)), axis=1)
    columns, _ = ranking.top_k(torch.from_numpy(scores), k)
    columns = columns.numpy()
    hits = (np.take_along_axis(truth, np.maximum(columns, 0), axis=1) > 0) & (columns >= 0)
    measured = ranking.ndcg_at_k(hits, truth.sum(axis=1).astype(int), k).mean()
    assert measured == pytest.approx(ndcg_score(truth, scores, k=k))


def test_inverse_propensity_follows_its_formula():
    # N = e^3 (about 20): ln N - 1 = 2 would need N = 20.0855; with N = 20, C = (ln 20 - 1) * 2.5^0.55 = 3.30337;
    # n = 0: 1 + C * 1.5^-0.55; n = 10: 1 + C * 11.5^-0.55
    c = (np.log(20) - 1) * 2.5**0.55
    assert c == pytest.approx(3.30337, abs=1e-4)
    weights = ranking.inverse_propensities(np.array([0, 10]), 20)
    assert weights.tolist() == pytest.approx([1 + c * 1.5**-0.55, 1 + c * 11.5**-0.55])
    other = ranking.inverse_propensities(np.array([10]), 20, a=0.6, b=2.6)
    assert other.tolist() == pytest.approx([1 + (np.log(20) - 1) * 3.6**0.6 * 12.6**-0.6])


def test_propensity_scored_precision_is_a_ratio_of_sums_as_computed_by_hand():
    weights = np.array([1.0, 2.0, 4.0, 8.0])
    ids = np.array([[0, 1], [3, 2]])
    hits = np.array([[True, False], [True, False]])
    true_rows, true_ids = np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3])
    # document 0 finds label 0 (weight 1) and could have had labels 2 and 1 (4 + 2); document 1 finds all it has (8)
    assert ranking.psp_gain(hits, ids, weights, 2).tolist() == [0.5, 4.0]
    assert ranking.psp_best(true_rows, true_ids, weights, 2, 2).tolist() == [3.0, 4.0]
    # so PSP@2 = (1 + 8) / (6 + 8), not the mean of 1/6 and 1


def test_a_document_without_labels_adds_nothing_to_either_sum():
    best = ranking.psp_best(np.array([1]), np.array([0]), np.array([3.0]), 3, 1)
    assert best.tolist() == [0.0, 3.0, 0.0]
