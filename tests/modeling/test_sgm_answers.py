"""What an SGM answers with: the search's sequences, and the scores and sets that are made of them."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import set_seed

from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from tests.common.sgm_tester import SgmModelTester

from .model_tester import build


def test_more_probable_sequences_come_first_and_probabilities_sum_to_one():
    # all 326 sequences of five labels: the sum over k of 5! / (5 - k)!
    model = build(SgmModelTester())
    tester = SgmModelTester()
    batch = tester.collate(tester.documents(2))
    scores = model.find_sequences(batch, num_beams=326).scores_BK
    assert scores.isfinite().sum(dim=1).tolist() == [326, 326]
    assert (scores.diff(dim=1) <= 0).all()
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(2))
    assert math.isclose(sum(math.perm(5, k) for k in range(6)), 326)


def test_beam_scores_are_the_shares_of_the_found_probability():
    tester = SgmModelTester()
    model, batch = build(tester, num_beams=4), tester.collate(tester.documents())
    with torch.no_grad():
        output = model(**batch, output_sequences=True)
    weights = output.sequence_scores.softmax(dim=1)
    for row in range(4):
        in_any = set()
        for label in range(5):
            holds = (output.sequences[row] == label + LABEL_OFFSET).any(dim=1)
            expected = weights[row][holds].sum().item()
            found = output.logits[row, label].sigmoid().item()
            if holds.any():
                in_any.add(label)
                assert found == pytest.approx(min(expected, 1 - 1e-6), abs=1e-5)
        others = [output.logits[row, label].item() for label in set(range(5)) - in_any]
        if in_any and others:
            assert max(others) < min(output.logits[row, label].item() for label in in_any)


@pytest.mark.parametrize("scores", ["beam", "hazard", "auxiliary"])
def test_the_sequences_shown_are_those_of_the_sets_that_are_answered(scores):
    tester, differs = SgmModelTester(auxiliary_weight=0.1, min_labels=1, max_labels=3, embedding_std=2.0), 0
    batch = tester.collate(tester.documents(8))
    for seed in range(8):
        set_seed(seed)
        model = SgmForMultiLabelClassification(tester.get_config(scores=scores, num_beams=12)).eval()
        answers = {}
        for decision in ("sequence", "expected_f1"):
            model.config.decision = decision
            with torch.no_grad():
                chosen = model(**batch).chosen
            answers[decision] = [row.nonzero().flatten().tolist() for row in chosen]
            assert [sorted(labels) for labels in model.label_sequences(batch)] == answers[decision]
            assert model.sequence_trace(**batch).label_lists() == model.label_sequences(batch)
        differs += answers["sequence"] != answers["expected_f1"]
        model.config.decision = "thresholds"
        assert [sorted(labels) for labels in model.label_sequences(batch)] == answers["sequence"]
    assert differs


def test_hazard_scores_are_the_chance_of_being_written_along_the_greedy_sequence():
    tester = SgmModelTester(scores="hazard")
    model, batch = build(tester), tester.collate(tester.documents(1))
    greedy = model.label_sequences(batch, num_beams=1)[0]
    with torch.no_grad():
        logits = model(**batch).logits
        memory = model.encode(**batch)
        state, alive, missed = model.decoder.initial_state(memory), 1.0, torch.ones(5)
        for last in [BOS, *(label + LABEL_OFFSET for label in greedy)]:
            log_probs, state = model.decoder.step(torch.tensor([last]), state, memory)
            missed = missed * (1 - alive * log_probs[0, LABEL_OFFSET:].exp())
            alive = alive * (1 - log_probs[0, EOS].exp())
    torch.testing.assert_close(logits[0].sigmoid(), 1 - missed, atol=1e-5, rtol=1e-4)


def test_auxiliary_scores_are_the_heads_and_rescoring_follows_it_with_its_weight():
    tester = SgmModelTester(auxiliary_weight=0.1, num_beams=16)
    batch = tester.collate(tester.documents())
    auxiliary, beam = build(tester, scores="auxiliary"), build(tester, scores="beam")
    rescored, unweighted = build(tester, scores="rescored"), build(tester, scores="rescored", rescoring_weight=0)
    with torch.no_grad():
        head = auxiliary(**batch, output_sequences=True)
        assert torch.equal(head.logits, head.auxiliary_logits)
        torch.testing.assert_close(unweighted(**batch).logits, beam(**batch).logits)
        rescored.auxiliary.bias[2] = 50.0  # the head is sure of label 2
        assert (rescored(**batch).logits[:, 2] > 10).all()


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch's recurrent networks, in every export
def test_the_auxiliary_head_can_be_exported_and_a_search_can_not():
    tester = SgmModelTester(encoder="transformer", auxiliary_weight=0.1)
    batch = tester.collate(tester.documents())
    model = build(tester, scores="auxiliary", decision="thresholds")
    exported = torch.export.export(model, (), kwargs=batch, strict=False).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(**batch).logits, model(**batch).logits)
    with pytest.raises(ValueError, match=r"can't be exported: .* found 'beam' and 'sequence'"):
        torch.export.export(build(tester), (), kwargs=batch, strict=False)
