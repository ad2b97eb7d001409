"""The score of classifier and index together."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling.score_mix import mixed_logits, mixed_probabilities


def test_a_score_worked_out_by_hand():
    # sigmoids of the logits: 3/4 and 1/4; of the cosines, by their logarithms: 0.6 and 0.5
    logits = torch.tensor([[math.log(3), -math.log(3)]])
    cosines = torch.tensor([[0.0, math.log(1.5)]])
    # best: 3/4 and 0.6.  first: (.75 x 1 + .25 x .5/.6) x .75, second: (.75 x 1/3 + .25 x 1) x .75
    expected = [(0.75 + 0.25 * 0.5 / 0.6) * 0.75, 0.5 * 0.75]
    assert mixed_logits(logits, cosines, 0.75).sigmoid()[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_it_ranks_as_the_paper_does():
    generator = torch.Generator().manual_seed(0)
    logits, cosines = torch.randn(20, 30, generator=generator) * 4, torch.rand(20, 30, generator=generator) * 2 - 1
    ours, similar = logits.sigmoid(), cosines.sigmoid()
    for beta in (0.0, 0.1, 0.5, 0.9):
        paper = beta * ours / ours.amax(1, keepdim=True) + (1 - beta) * similar / similar.amax(1, keepdim=True)
        mixed = mixed_logits(logits, cosines, beta)
        assert torch.equal(mixed.argsort(dim=1), paper.argsort(dim=1))
        assert (mixed.sigmoid() <= ours.amax(1, keepdim=True) + 1e-6).all()


def test_with_beta_1_the_logits_are_the_classifiers():
    logits = torch.tensor([[30.0, -40.0, 2.0]])
    assert torch.equal(mixed_logits(logits, torch.zeros(1, 3), 1.0), logits)
    tops = {"top_logit_B1": logits.amax(1, keepdim=True), "top_cosine_B1": torch.ones(1, 1)}
    assert torch.equal(mixed_probabilities(logits, torch.zeros(1, 3), 1, **tops), logits.double().sigmoid())


def test_sure_labels_do_not_tie():
    # in single precision both sigmoids are 1
    mixed = mixed_logits(torch.tensor([[20.0, 22.0]]), torch.tensor([[0.5, 0.5]]), 0.75)
    assert mixed[0, 1] > mixed[0, 0]


def test_padding_changes_no_score():
    logits, cosines = torch.tensor([[1.0, 0.5, 9.0]]), torch.tensor([[0.1, 0.2, 0.9]])
    there = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        mixed_logits(logits, cosines, 0.4, is_there_BS=there)[:, :2], mixed_logits(logits[:, :2], cosines[:, :2], 0.4)
    )
