from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.metrics import staircase


def test_threshold_between_separates_neighbours_in_float32():
    assert staircase.threshold_between(0.75, 0.25) == 0.5
    lower = np.float32(0.3)
    upper = np.nextafter(lower, np.float32(1))
    threshold = np.float32(staircase.threshold_between(upper, lower))
    assert upper >= threshold > lower


def test_an_infinite_score_counts_as_one_and_still_shuts_out_a_score_of_one():
    assert staircase.threshold_between(np.inf, 0.5) == 0.75
    assert staircase.threshold_between(np.inf, 1.0) > 1.0


def test_best_f1_threshold_as_computed_by_hand():
    # taken from the top: .9 right 2/(1+3), .8 wrong 2/(2+3), .7 right 4/(3+3), .2 wrong, .1 right 6/(5+3)
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1], np.float32)
    truth = np.array([True, False, True, False, True])
    assert staircase.best_f1_threshold(scores, truth, 3) == (pytest.approx(0.05), pytest.approx(0.75))
    # with a fourth one that has no score: 2/5, 2/6, 4/7, 4/8, 6/9
    assert staircase.best_f1_threshold(scores, truth, 4)[1] == pytest.approx(6 / 9)
    # without the last one: 2/(1+2), 2/(2+2), 4/(3+2), so between .7 and .2
    assert staircase.best_f1_threshold(scores[:4], truth[:4], 2) == (pytest.approx(0.45), pytest.approx(0.8))


def test_best_f1_threshold_takes_equal_scores_together():
    # .5 right and .5 wrong can only come together: 2/(2+1) = 2/3
    scores, truth = np.array([0.5, 0.5, 0.1], np.float32), np.array([True, False, False])
    assert staircase.best_f1_threshold(scores, truth, 1) == (pytest.approx(0.3), pytest.approx(2 / 3))


def test_first_cell_is_the_documents_best_label_also_where_its_truth_is_unknown():
    scores = torch.tensor([[0.2, 0.9, 0.9], [0.5, 0.4, 0.1]])
    truth = torch.tensor([[0, 1, 1], [-100, 1, 0]], dtype=torch.int8)
    cells = staircase.make_cells(scores, truth, None, np.array([2, 1]), np.array([0, 2, 1]))
    assert cells.rows_C.tolist() == [0, 0, 0, 1, 1] and cells.ids_C.tolist() == [0, 1, 2, 1, 2]
    assert cells.first_C.tolist() == [False, True, False, False, False]


def test_steps_of_equal_scores_fall_together():
    # one document, labels {0, 1} of 3; scores .5 (true), .5 (false), .5 (true): all at once 2*2/(3+2)
    zeros = np.zeros(3, np.int32)
    scores, truth = np.full(3, 0.5, np.float32), np.array([True, False, True])
    steps = staircase.f1_steps(zeros, scores, truth, np.array([2]), empty=1.0)
    assert steps.start == 0.0 and steps.change_E.sum() == pytest.approx(0.8)
    assert staircase.best_step([steps])[1] == pytest.approx(0.8)
