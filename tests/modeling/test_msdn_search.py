"""Greedy, beams and samples along a label chain, against all 2^L label vectors."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.msdn_exact import viterbi
from hf_mlc.modeling.msdn_search import beam_search, greedy, log_odds_along, sample
from hf_mlc.modeling.msdn_unmasking import settled_again, unmask

from .label_chains import random_chain


SHAPES = [(1, 1), (2, 2), (6, 3), (8, 1), (9, 5)]


@pytest.mark.parametrize(("num_labels", "reach"), SHAPES)
def test_greedy_takes_each_label_by_its_logit_given_those_before(num_labels, reach):
    chain = random_chain(num_labels, reach, seed=0, num_documents=5)
    labels_BL, logits_BL = greedy(chain.logits_BL, chain.table_LS)
    expected_BL = torch.zeros(5, num_labels)
    for position in range(num_labels):
        expected_BL[:, position] = (chain.logits_BL + chain.relation(expected_BL))[:, position] > 0
    assert torch.equal(labels_BL, expected_BL.bool())
    torch.testing.assert_close(logits_BL, chain.logits_BL + chain.relation(expected_BL))


@pytest.mark.parametrize(("num_labels", "reach"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_full_width_beams_find_all_vectors_in_order(num_labels, reach, seed):
    chain = random_chain(num_labels, reach, seed=seed)
    found = beam_search(chain.logits_BL, chain.table_LS, num_beams=2**num_labels + 3)
    expected = chain.log_probs_BV.sort(dim=1, descending=True)
    assert found.labels_BKL.shape == (3, 2**num_labels, num_labels)
    torch.testing.assert_close(found.log_probs_BK.double(), expected.values, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.labels_BKL[:, 0], viterbi(chain.logits_BL, chain.table_LS)[0])
    weights = 2 ** torch.arange(num_labels)
    assert all(len({int(v) for v in row}) == 2**num_labels for row in (found.labels_BKL * weights).sum(dim=2))


def test_one_beam_is_greedy_and_wider_ones_are_no_worse_than_their_first():
    chain = random_chain(12, 4, seed=5, num_documents=40)
    assert torch.equal(
        beam_search(chain.logits_BL, chain.table_LS, num_beams=1).labels_BKL[:, 0],
        greedy(chain.logits_BL, chain.table_LS)[0],
    )
    best = chain.log_probs_BV.amax(dim=1)
    found = {k: beam_search(chain.logits_BL, chain.table_LS, num_beams=k) for k in (1, 8)}
    misses = {k: (best - f.log_probs_BK[:, 0]).mean() for k, f in found.items()}
    assert misses[8] < misses[1] / 2
    assert (found[8].log_probs_BK.diff(dim=1) <= 0).all()


def test_the_probability_of_a_beam_is_that_of_its_vector():
    chain = random_chain(10, 3, seed=6)
    found = beam_search(chain.logits_BL, chain.table_LS, num_beams=5)
    numbers_BK = (found.labels_BKL * 2 ** torch.arange(10)).sum(dim=2)
    torch.testing.assert_close(
        found.log_probs_BK.double(), chain.log_probs_BV.gather(1, numbers_BK), atol=1e-5, rtol=1e-5
    )


def test_samples_come_as_often_as_they_are_probable():
    chain = random_chain(6, 3, seed=7, strength=1.0)
    number = 4000
    drawn = sample(chain.logits_BL, chain.table_LS, num_samples=number, seed=1)
    numbers_BN = (drawn.labels_BNL * 2 ** torch.arange(6)).sum(dim=2)
    shares_BV = torch.stack([row.bincount(minlength=64) for row in numbers_BN]) / number
    probs_BV = chain.log_probs_BV.exp()
    # five standard errors of each share
    assert ((shares_BV - probs_BV).abs() <= 5 * (probs_BV * (1 - probs_BV) / number).sqrt() + 1e-3).all()
    torch.testing.assert_close(
        drawn.log_probs_BN.double(), chain.log_probs_BV.gather(1, numbers_BN), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("number", [25, 100, 400])
def test_sampled_marginals_are_within_the_stated_error(number):
    chain = random_chain(8, 3, seed=8)
    runs = torch.stack(
        [sample(chain.logits_BL, chain.table_LS, num_samples=number, seed=s).log_odds_BL.sigmoid() for s in range(60)]
    ).double()
    errors = runs - chain.marginals_BL
    # root mean square over 60 seeds: at most 1 / (2 sqrt(N)), and a quarter more for what 60 seeds can't tell
    assert (errors.square().mean(dim=0).sqrt() <= 1.25 / (2 * number**0.5)).all()
    # no bias: the mean of 60 runs has an eighth of their deviation; four times that
    assert (errors.mean(dim=0).abs() <= 4 * errors.std(dim=0) / 60**0.5 + 1e-6).all()
    assert (errors[..., 0].abs() < 1e-6).all()  # nothing comes before the first label


def test_estimates_from_probabilities_vary_less_than_shares_of_samples():
    chain = random_chain(8, 3, seed=9, strength=1.0)
    drawn = [sample(chain.logits_BL, chain.table_LS, num_samples=50, seed=s) for s in range(40)]
    of_probabilities = torch.stack([d.log_odds_BL.sigmoid() for d in drawn]).var(dim=0)
    of_shares = torch.stack([d.labels_BNL.float().mean(dim=1) for d in drawn]).var(dim=0)
    assert of_probabilities.mean() < of_shares.mean()


@pytest.mark.parametrize("of_table", [True, False])
def test_a_document_by_itself_and_small_blocks_give_the_same(of_table):
    chain = random_chain(7, 2, seed=10, num_documents=5)
    relation = chain.table_LS if of_table else chain.relation

    def answers(logits_BL, **blocks):
        drawn = sample(logits_BL, relation, num_samples=20, seed=3, **blocks)
        found = beam_search(logits_BL, relation, num_beams=4)
        return torch.cat([greedy(logits_BL, relation)[1], drawn.log_odds_BL, found.labels_BKL[:, 0]], dim=1)

    whole = answers(chain.logits_BL)
    torch.testing.assert_close(answers(chain.logits_BL, block_bytes=1), whole)
    torch.testing.assert_close(torch.cat([answers(row_L[None]) for row_L in chain.logits_BL]), whole)


def test_a_callable_gives_what_its_table_gives():
    chain = random_chain(7, 3, seed=11)
    for search in (
        lambda relation: greedy(chain.logits_BL, relation)[0],
        lambda relation: beam_search(chain.logits_BL, relation, num_beams=6).labels_BKL,
        lambda relation: sample(chain.logits_BL, relation, num_samples=30).labels_BNL,
    ):
        assert torch.equal(search(chain.table_LS), search(chain.relation))


def test_a_thousand_labels_of_any_size_stay_finite():
    torch.manual_seed(1)
    logits_BL, table_LS = torch.randn(2, 1000) * 40, torch.randn(1000, 8)
    assert beam_search(logits_BL, table_LS, num_beams=4).log_probs_BK.isfinite().all()
    drawn = sample(logits_BL, table_LS, num_samples=10)
    assert drawn.log_odds_BL.isfinite().all() and drawn.log_probs_BN.isfinite().all()


def test_no_document_has_no_answer():
    none_BL, table_LS = torch.zeros(0, 5), torch.zeros(5, 4)
    assert greedy(none_BL, table_LS)[0].shape == (0, 5)
    assert beam_search(none_BL, table_LS, num_beams=3).labels_BKL.shape == (0, 3, 5)
    assert sample(none_BL, table_LS, num_samples=2).labels_BNL.shape == (0, 2, 5)


def test_given_samples_estimate_what_they_estimated_when_they_were_drawn():
    chain = random_chain(7, 3, seed=8)
    drawn = sample(chain.logits_BL, chain.table_LS, num_samples=20)
    found_BL = log_odds_along(chain.logits_BL, chain.table_LS, drawn.labels_BNL)
    torch.testing.assert_close(found_BL, drawn.log_odds_BL, atol=1e-5, rtol=1e-5)


# -- confidence-first unmasking -----------------------------------------------------------------------------------------


def test_the_surest_labels_are_settled_first_and_then_seen():
    asked = []

    def refine(answers_BL, is_known_BL):
        asked.append((answers_BL.tolist(), is_known_BL.tolist()))
        # label 0 is what label 2 is; label 1 is the opposite of label 0, once that is known
        told = torch.tensor([[0.1, 0.2, 3.0]]).repeat(1, 1)
        told = torch.where(is_known_BL[:, 2:], torch.tensor([[8.0, 0.2, 3.0]]) * answers_BL[:, 2:], told)
        return torch.where(is_known_BL[:, :1], torch.tensor([[8.0, -5.0, 3.0]]), told)

    first_BL = refine(torch.zeros(1, 3), torch.zeros(1, 3).bool())
    labels_BL, logits_BL, rounds_BL = unmask(refine, first_BL, num_rounds=3)
    assert labels_BL.tolist() == [[True, False, True]]
    assert rounds_BL.tolist() == [[1, 2, 0]]
    assert logits_BL.tolist() == [[8.0, -5.0, 3.0]]
    assert asked == [
        ([[0.0, 0.0, 0.0]], [[False, False, False]]),
        ([[0.0, 0.0, 1.0]], [[False, False, True]]),
        ([[1.0, 0.0, 1.0]], [[True, False, True]]),
    ]


def test_one_round_is_a_threshold_and_all_labels_are_settled_in_any_number():
    logits_BL = torch.randn(4, 11, generator=torch.Generator().manual_seed(0))
    for rounds in (1, 2, 3, 10, 11, 50):
        calls = []

        def refine(answers_BL, is_known_BL, calls=calls):
            calls.append(is_known_BL.sum(dim=1).tolist())
            return logits_BL

        labels_BL, settled_BL, _ = unmask(refine, logits_BL, num_rounds=rounds)
        assert torch.equal(labels_BL, logits_BL > 0) and torch.equal(settled_BL, logits_BL)
        assert len(calls) == min(rounds, 11) - 1  # the first round's logits are given
        assert all(len(set(known)) == 1 for known in calls)


def test_unmasking_is_each_documents_own():
    weights_LL = torch.randn(9, 9, generator=torch.Generator().manual_seed(1)).fill_diagonal_(0)
    base_BL = torch.randn(6, 9, generator=torch.Generator().manual_seed(2))

    def settled(rows):
        refine = lambda answers, known: base_BL[rows] + ((2 * answers - 1) * known) @ weights_LL  # noqa: E731
        found_BL, settled_BL, rounds_BL = unmask(refine, base_BL[rows], num_rounds=4)
        torch.testing.assert_close(settled_again(refine, base_BL[rows], found_BL, rounds_BL), settled_BL)
        return settled_BL

    torch.testing.assert_close(settled(slice(None)), torch.cat([settled(slice(i, i + 1)) for i in range(6)]))
