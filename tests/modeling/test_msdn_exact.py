"""Viterbi and the forward algorithm: against sums over all 2^L label vectors, and on chains of a thousand labels."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.msdn_chain import TableChain, WindowChain, as_chain, log_probabilities, row_blocks
from hf_mlc.modeling.msdn_exact import forward_marginals, viterbi

from .label_chains import added_by, random_chain


SHAPES = [(1, 1), (2, 1), (2, 2), (5, 1), (6, 3), (9, 8), (11, 4), (12, 2)]


@pytest.mark.parametrize(("num_labels", "reach"), SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_viterbi_is_the_best_of_all_label_vectors(num_labels, reach, seed):
    chain = random_chain(num_labels, reach, seed=seed)
    labels_BL, log_probs_B = viterbi(chain.logits_BL, chain.table_LS)
    assert torch.equal(labels_BL, chain.mode_BL)
    torch.testing.assert_close(log_probs_B.double(), chain.log_probs_BV.amax(dim=1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("num_labels", "reach"), SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_forward_marginals_are_the_sums_over_all_label_vectors(num_labels, reach, seed):
    chain = random_chain(num_labels, reach, seed=seed)
    log_odds_BL = forward_marginals(chain.logits_BL, chain.table_LS)
    torch.testing.assert_close(log_odds_BL.double(), torch.logit(chain.marginals_BL), atol=1e-4, rtol=1e-4)


def test_the_brute_force_is_a_distribution():
    chain = random_chain(7, 3, seed=0)
    torch.testing.assert_close(chain.log_probs_BV.logsumexp(dim=1), torch.zeros(3, dtype=torch.double))


def test_without_relations_the_mode_is_each_labels_own_and_marginals_are_the_base_logits():
    logits_BL = torch.tensor([[1.0, -2.0, 0.5, -0.1], [-3.0, 30.0, -30.0, 2.0]])
    table_LS = torch.zeros(4, 8)
    assert torch.equal(viterbi(logits_BL, table_LS)[0], logits_BL > 0)
    torch.testing.assert_close(forward_marginals(logits_BL, table_LS), logits_BL, atol=1e-5, rtol=1e-5)


def test_a_hand_computed_chain():
    # P(a) = .5; P(b|a) = .9, P(b|not a) = .4: modes 11 (.45); P(b) = .65. Greedy would start with 0 and end at 00 (.3)
    def logit(p):
        return float(torch.logit(torch.tensor(p)))

    logits_BL = torch.tensor([[0.0, 0.0]])
    table_LS = torch.tensor([[0.0, torch.nan], [logit(0.4), logit(0.9)]])
    labels_BL, log_probs_B = viterbi(logits_BL, table_LS)
    assert labels_BL.tolist() == [[True, True]]
    torch.testing.assert_close(log_probs_B.exp(), torch.tensor([0.45]))
    torch.testing.assert_close(
        forward_marginals(logits_BL, table_LS).sigmoid(), torch.tensor([[0.5, 0.65]]), atol=1e-6, rtol=1e-6
    )


def test_a_thousand_labels_stay_finite_and_exact_in_float32():
    torch.manual_seed(0)
    logits_BL = torch.randn(2, 1000) * 3 - 4
    logits_BL[1] = logits_BL[1] * 10  # probabilities far beyond float32's smallest number
    table_LS = torch.randn(1000, 16)
    log_odds_BL = forward_marginals(logits_BL, table_LS)
    assert log_odds_BL.isfinite().all()
    labels_BL, log_probs_B = viterbi(logits_BL, table_LS)
    # the same recursions in float64 and in a plain loop
    expected_odds, expected_labels, expected = zip(
        *(_in_float64(row_L, table_LS) for row_L in logits_BL.double()), strict=True
    )
    torch.testing.assert_close(log_odds_BL.double(), torch.stack(expected_odds), atol=1e-3, rtol=1e-5)
    assert torch.equal(labels_BL, torch.stack(expected_labels))
    torch.testing.assert_close(log_probs_B.double(), torch.stack(expected), atol=1e-3, rtol=1e-5)


def _in_float64(logits_L, table_LS):
    num_labels, num_states = table_LS.shape
    summed = torch.full((num_states,), -torch.inf, dtype=torch.double)
    summed[0] = 0.0
    best, ways = summed.clone(), []
    odds = []
    for j in range(num_labels):
        cell_S = logits_L[j] + table_LS[j].double()
        next_summed, next_best = torch.full((2, num_states), -torch.inf, dtype=torch.double)
        way = [None] * num_states
        by_answer = []
        for answer, log_prob_S in enumerate(
            (-torch.logaddexp(cell_S, cell_S * 0), -torch.logaddexp(-cell_S, cell_S * 0))
        ):
            by_answer.append((summed + log_prob_S).logsumexp(dim=0))
            for s in range(num_states):
                t = (2 * s + answer) % num_states
                next_summed[t] = torch.logaddexp(next_summed[t], summed[s] + log_prob_S[s])
                if best[s] + log_prob_S[s] > next_best[t]:
                    next_best[t], way[t] = best[s] + log_prob_S[s], s
        odds.append(by_answer[1] - by_answer[0])
        summed, best = next_summed, next_best
        ways.append(way)
    state = int(best.argmax())
    labels = []
    for way in ways[::-1]:
        labels.append(bool(state & 1))
        state = way[state]
    return torch.stack(odds), torch.tensor(labels[::-1]), best.max()


@pytest.mark.parametrize("search", [lambda z, t, **k: viterbi(z, t, **k)[0].float(), forward_marginals])
def test_a_document_by_itself_and_small_blocks_give_the_same(search):
    chain = random_chain(10, 4, seed=1, num_documents=7)
    whole = search(chain.logits_BL, chain.table_LS)
    blocks = search(chain.logits_BL, chain.table_LS, block_bytes=1)
    alone = torch.cat([search(chain.logits_BL[i : i + 1], chain.table_LS) for i in range(7)])
    torch.testing.assert_close(blocks, whole, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=1e-6)


def test_no_document_has_no_answer():
    table_LS = torch.zeros(5, 4)
    labels_BL, log_probs_B = viterbi(torch.zeros(0, 5), table_LS)
    assert labels_BL.shape == (0, 5) and log_probs_B.shape == (0,)
    assert forward_marginals(torch.zeros(0, 5), table_LS).shape == (0, 5)


def test_of_equally_probable_vectors_the_empty_one_is_answered():
    assert not viterbi(torch.zeros(2, 6), torch.zeros(6, 4))[0].any()


# -- chains -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_labels", "reach"), [(1, 1), (5, 2), (6, 6), (9, 3)])
def test_a_table_and_windows_say_the_same_as_the_definition(num_labels, reach):
    chain = random_chain(num_labels, reach, seed=2)
    expected_VL = added_by(chain.table_LS, chain.vectors_VL)
    table = TableChain(chain.table_LS)

    def step(window_Rw, position):
        assert window_Rw.shape[1] == min(position, reach)
        padded = torch.zeros(len(window_Rw), num_labels)
        if window_Rw.shape[1]:
            padded[:, position - window_Rw.shape[1] : position] = window_Rw
        return chain.relation(padded)[:, position]

    windows = WindowChain(chain.relation, num_labels, step=step, window=reach)
    for one in (table, windows, as_chain(chain.relation, num_labels)):
        assert torch.equal(one.of(chain.vectors_VL), expected_VL)
        state = one.start(len(chain.vectors_VL), torch.device("cpu"))
        for position in range(num_labels):
            assert torch.equal(one.logits(position, state), expected_VL[:, position])
            state = one.advance(position, state, chain.vectors_VL[:, position])


def test_log_probabilities_are_those_of_the_product():
    chain = random_chain(6, 2, seed=3)
    vectors_BVL = chain.vectors_VL.expand(3, -1, -1)
    for relation in (chain.table_LS, chain.relation):
        found_BV = log_probabilities(chain.logits_BL, relation, vectors_BVL)
        torch.testing.assert_close(found_BV.double(), chain.log_probs_BV, atol=1e-5, rtol=1e-5)


def test_a_table_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"columns, one a state, found \(4, 6\)"):
        TableChain(torch.zeros(4, 6))
    with pytest.raises(ValueError, match="4 rows for 5 labels"):
        as_chain(torch.zeros(4, 8), 5)


def test_blocks_cover_all_rows_within_the_budget():
    assert [(b.start, b.stop) for b in row_blocks(10, 8, 32)] == [(0, 4), (4, 8), (8, 10)]
    assert [(b.start, b.stop) for b in row_blocks(2, 100, 32)] == [(0, 1), (1, 2)]
    assert [(b.start, b.stop) for b in row_blocks(0, 100)] == [(0, 0)]
