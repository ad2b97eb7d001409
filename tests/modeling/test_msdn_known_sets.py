"""The training rows' label sets: packed, scored as a list, answered with, favoured."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.msdn_known_sets import (
    KnownSets,
    SetScorer,
    pack_sets,
    share_log_odds,
    unpack_sets,
)

from .label_chains import random_chain


@pytest.mark.parametrize("num_labels", [1, 7, 8, 9, 40])
def test_packed_sets_come_back(num_labels):
    sets_SL = torch.rand(13, num_labels, generator=torch.Generator().manual_seed(0)) < 0.4
    packed_SW = pack_sets(sets_SL)
    assert packed_SW.dtype == torch.uint8 and packed_SW.shape == (13, (num_labels + 7) // 8)
    assert torch.equal(unpack_sets(packed_SW, num_labels), sets_SL)


def test_a_set_is_packed_as_documented():
    assert pack_sets(torch.tensor([[1, 0, 1, 0, 0, 0, 0, 0, 0, 1]])).tolist() == [[5, 2]]


@pytest.mark.parametrize(("num_labels", "reach"), [(1, 1), (5, 2), (8, 3), (12, 8)])
@pytest.mark.parametrize("of_table", [True, False])
def test_listed_sets_get_the_log_probability_of_the_product(num_labels, reach, of_table):
    chain = random_chain(num_labels, reach, seed=1)
    chosen = torch.randperm(2**num_labels, generator=torch.Generator().manual_seed(2))[:60]
    sets_SL = chain.vectors_VL[chosen]
    relation = chain.table_LS if of_table else chain.relation
    expected_BS = chain.log_probs_BV[:, chosen]
    found_BS = SetScorer(relation, sets_SL)(chain.logits_BL)
    torch.testing.assert_close(found_BS.double(), expected_BS, atol=1e-4, rtol=1e-5)
    # blocks of sets
    torch.testing.assert_close(SetScorer(relation, sets_SL, cells_a_block=num_labels * 7)(chain.logits_BL), found_BS)


def test_sets_of_a_thousand_labels_are_scored_by_their_few_corrections():
    generator = torch.Generator().manual_seed(3)
    table_LS = torch.randn(1000, 16, generator=generator)
    sets_SL = torch.rand(300, 1000, generator=generator) < 0.003
    sets_SL[0] = False
    logits_BL = torch.randn(2, 1000, generator=generator) * 4 - 5
    scorer = SetScorer(table_LS, sets_SL)
    assert sum(len(block.members_N) for block in scorer.blocks) <= 5 * int(
        sets_SL.sum()
    )  # a label and the four after it
    from hf_mlc.modeling.msdn_chain import log_probabilities

    expected_BS = log_probabilities(logits_BL.double(), table_LS, sets_SL.expand(2, -1, -1))
    torch.testing.assert_close(scorer(logits_BL), expected_BS, atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("sets", [[[0, 0, 0]], []])
def test_a_list_of_the_empty_set_or_of_none_is_scored(sets):
    chain = random_chain(3, 2, seed=4)
    sets_SL = torch.tensor(sets, dtype=torch.bool).reshape(-1, 3)
    found_BS = SetScorer(chain.table_LS, sets_SL)(chain.logits_BL)
    torch.testing.assert_close(found_BS.double(), chain.log_probs_BV[:, : len(sets)], atol=1e-5, rtol=1e-5)


def test_restricted_marginals_are_those_of_the_normalised_list():
    chain = random_chain(6, 2, seed=5)
    sets_SL = chain.vectors_VL[torch.tensor([3, 9, 17, 40])]
    log_probs_BS = chain.log_probs_BV[:, [3, 9, 17, 40]]
    expected_BL = log_probs_BS.softmax(dim=1) @ sets_SL.double()
    found_BL = share_log_odds(log_probs_BS.float(), sets_SL).sigmoid()
    torch.testing.assert_close(found_BL.double(), expected_BL, atol=1e-6, rtol=1e-5)


def test_a_list_of_all_sets_has_the_chains_own_marginals():
    chain = random_chain(6, 2, seed=6)
    found_BL = share_log_odds(chain.log_probs_BV.float(), chain.vectors_VL)
    torch.testing.assert_close(found_BL.double(), torch.logit(chain.marginals_BL), atol=1e-4, rtol=1e-4)


def test_known_sets_are_kept_and_weighed_by_the_smoothed_logarithm_of_their_count():
    known = KnownSets(0, 10)
    assert len(known) == 0
    sets_SL = torch.eye(3, 10).bool()
    known.fill(pack_sets(sets_SL), torch.tensor([7, 1, 0]))
    assert len(known) == 3 and torch.equal(known.sets_SL, sets_SL)
    torch.testing.assert_close(known.bonus(2.0), 2 * torch.tensor([8.0, 2.0, 1.0]).log())
    torch.testing.assert_close(known.log_surplus(2.0).exp(), torch.tensor([63.0, 3.0, 0.0]))
    torch.testing.assert_close(known.log_surplus(500.0), known.bonus(500.0).where(known.counts > 0, -torch.inf))
    again = KnownSets(3, 10)
    again.load_state_dict(known.state_dict())
    assert torch.equal(again.sets_SL, sets_SL) and again.counts.tolist() == [7, 1, 0]


def test_sets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(S, 2\) with \(S,\) counts, found \(3, 1\) and \(3,\)"):
        KnownSets(0, 10).fill(torch.zeros(3, 1, dtype=torch.uint8), torch.zeros(3))
