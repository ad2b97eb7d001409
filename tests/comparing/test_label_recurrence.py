"""Recurrent relatives of MSDN, by themselves: nothing leaks, decoding does what training does, sizes are as said."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.comparing.arms.label_recurrence import (
    LabelChain,
    PerLabel,
    Rethinking,
    chain_relation_size,
    matched_size,
    relation_size,
)


L, H = 5, 6
ORDER = [3, 0, 4, 1, 2]
KINDS = {
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "on per-label": {"cell": "gru", "on_per_label": True, "reads_document": False},
    "lstm on per-label": {"cell": "lstm", "on_per_label": True, "reads_document": False},
}


def chain_of(*, num_labels: int = L, order=None, seed: int = 0, **settings) -> LabelChain:
    """A chain in which every part says something."""
    torch.manual_seed(seed)
    order = ORDER if order is None else order
    chain = LabelChain(num_labels=num_labels, document_size=H, order=order, size=7, label_size=3, **settings).eval()
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return chain


def documents(number: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.randn(number, H, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_no_label_reads_itself_or_what_comes_after(kind):
    chain, document_1H = chain_of(**KINDS[kind]), documents(1)
    targets_L = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.5])
    jacobian_LL = torch.autograd.functional.jacobian(lambda y_L: chain(document_1H, y_L[None])[0][0], targets_L)
    place = {label: place for place, label in enumerate(ORDER)}
    for label, read in itertools.product(range(L), repeat=2):
        if place[read] < place[label]:
            assert abs(jacobian_LL[label, read]) > 1e-6
        else:
            assert jacobian_LL[label, read] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_gives_the_logits_that_training_has_for_the_same_answers(kind):
    chain, document_BH = chain_of(**KINDS[kind]), documents(16)
    answer = chain.answer(document_BH)
    assert torch.equal(answer.chosen_BL, answer.logits_BL >= 0)
    assert 0 < answer.chosen_BL.float().mean() < 1
    forced_BL = chain(document_BH, answer.chosen_BL.float())[0]
    assert torch.allclose(answer.logits_BL, forced_BL, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_beams_as_sets_find_the_most_probable_set_and_the_marginals(kind):
    chain, document_BH = chain_of(**KINDS[kind], num_beams=2**L), documents(3)
    sets_SL = torch.tensor(list(itertools.product([0.0, 1.0], repeat=L)))
    for row, answer_L, logits_L in zip(document_BH, *reversed(chain.answer(document_BH)), strict=True):
        logits_SL = chain(row.expand(len(sets_SL), -1), sets_SL)[0]
        log_p_S = -F.binary_cross_entropy_with_logits(logits_SL, sets_SL, reduction="none").sum(dim=1)
        assert torch.allclose(log_p_S.exp().sum(), torch.tensor(1.0), atol=1e-5)
        assert torch.equal(answer_L.float(), sets_SL[log_p_S.argmax()])
        marginals_L = log_p_S.exp() @ sets_SL
        assert torch.allclose(logits_L.sigmoid(), marginals_L, atol=1e-5)


def test_beams_find_better_sets_than_greedy_decoding():
    document_BH, log_p = documents(200), {}
    for beams in (1, 4):
        chain = chain_of(num_labels=20, order=range(20), num_beams=beams)
        sets_BL = chain.answer(document_BH).chosen_BL.float()
        logits_BL = chain(document_BH, sets_BL)[0]
        log_p[beams] = -F.binary_cross_entropy_with_logits(logits_BL, sets_BL, reduction="none").sum(dim=1)
    better, worse = (log_p[4] > log_p[1] + 1e-4).sum(), (log_p[4] < log_p[1] - 1e-4).sum()
    assert better >= 10
    assert worse <= better / 5  # beams may lose a way that greed would have kept


def test_an_answer_does_not_depend_on_the_batch():
    chain, document_BH = chain_of(num_beams=3), documents(5)
    whole, alone = chain.answer(document_BH), chain.answer(document_BH[2:3])
    assert torch.allclose(whole.logits_BL[2], alone.logits_BL[0], atol=1e-5)
    assert torch.equal(whole.chosen_BL[2], alone.chosen_BL[0])


def test_a_small_chain_starts_as_binary_relevance():
    torch.manual_seed(0)
    chain = LabelChain(
        num_labels=L, document_size=H, order=ORDER, size=4, label_size=3, reads_document=False, on_per_label=True
    )
    document_BH, targets_BL = documents(), torch.ones(4, L)
    alone = PerLabel(num_labels=L, document_size=H)
    alone.output.load_state_dict(chain.per_label.state_dict())
    assert torch.allclose(chain(document_BH, targets_BL)[0], alone(document_BH, targets_BL)[0], atol=1e-6)
    assert torch.equal(chain.answer(document_BH).chosen_BL, alone.answer(document_BH).chosen_BL)


def test_an_unknown_target_is_neither_yes_nor_no_to_the_labels_behind_it():
    chain, document_1H = chain_of(), documents(1)
    told = {value: chain(document_1H, torch.tensor([[0, 0, 0, value, 0.0]]))[0][0] for value in (0, 1, -100)}
    assert torch.isfinite(told[-100]).all()
    for value in (0, 1):
        assert told[value][3] == told[-100][3] and (told[value][0] - told[-100][0]).abs() > 1e-4


@pytest.mark.parametrize("beams", [1, 4])
def test_one_label_is_a_chain_too(beams):
    chain, document_BH = chain_of(num_labels=1, order=[0], num_beams=beams), documents()
    answer = chain.answer(document_BH)
    logits_BL = chain(document_BH, torch.zeros(4, 1))[0]
    assert torch.allclose(answer.logits_BL, logits_BL, atol=1e-4)
    assert torch.equal(answer.chosen_BL, logits_BL >= 0)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_rethinking_is_torch_s_recurrence_over_a_repeated_document(cell):
    torch.manual_seed(0)
    head = Rethinking(num_labels=L, document_size=H, size=8, cell=cell, steps=3).eval()
    document_BH = documents()
    states_BTq, _ = head.recurrence(document_BH[:, None].expand(-1, 3, -1))
    expected = head.output(states_BTq)
    guesses = head(document_BH, None)
    assert len(guesses) == 3
    for step, guess_BL in enumerate(guesses):
        assert torch.allclose(guess_BL, expected[:, step], atol=1e-6)
    assert torch.equal(head.answer(document_BH).logits_BL, guesses[-1])


def test_the_dropout_of_rethinking_is_one_mask_for_all_steps():
    torch.manual_seed(0)
    head = Rethinking(num_labels=L, document_size=H, size=8, steps=4, recurrent_dropout=0.5).train()
    with torch.no_grad():
        # every state but the first is the mask itself: each unit gives 1 to itself where its own state is kept
        for parameter in head.parameters():
            parameter.zero_()
        head.recurrence.weight_hh_l0[16:24] = torch.eye(8)  # candidate of the LSTM
        head.recurrence.bias_ih_l0[:] = 3.0
        head.output.weight.copy_(torch.eye(L, 8))
    second, third, fourth = (guess_BL[0] for guess_BL in head(documents(1), None)[1:])
    kept = second > second.min() + 1e-6
    assert 0 < kept.sum() < L
    for guess_L in (third, fourth):
        assert torch.equal(guess_L > guess_L.min() + 1e-6, kept)


# counted in the paper note: LSTM 128 behind a document of 256 numbers; MSDN-causal {2, 4, 8}, 8 channels, vectors of 4
@pytest.mark.parametrize(
    "num_labels, rethinking, relation", [(6, 198_406, 864), (14, 199_438, 1_088), (53, 204_469, 2_180)]
)
def test_sizes_are_those_of_the_paper_note(num_labels, rethinking, relation):
    head = Rethinking(num_labels=num_labels, document_size=256)
    assert sum(parameter.numel() for parameter in head.parameters()) == rethinking
    assert relation_size([2, 4, 8] if num_labels >= 8 else [2, 4, 6], 8, 4, num_labels) in (relation, relation - 96)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("num_labels", [1, 6, 53])
def test_a_matched_chain_is_the_smallest_that_is_no_smaller(cell, num_labels):
    wanted = relation_size([2, 4, 8], 8, 4, num_labels)
    size = matched_size(wanted, cell, 4, num_labels)
    chain = LabelChain(
        num_labels=num_labels, document_size=H, order=range(num_labels), size=size, cell=cell, label_size=4,
        reads_document=False, on_per_label=True,
    )  # fmt: skip
    counted = sum(p.numel() for name, p in chain.named_parameters() if name.startswith(chain.relation_names))
    assert counted == chain_relation_size(size, cell, 4, num_labels) >= wanted
    assert chain_relation_size(size - 1, cell, 4, num_labels) < wanted


def test_a_chain_learns_what_one_label_says_of_the_next():
    """Label 0 is the document's sign, label 1 is drawn, label 2 is their exclusive or: no label by itself tells of the last."""
    torch.manual_seed(0)
    document_BH, coin_B = documents(512), torch.randint(0, 2, (512,)).bool()
    sign_B = document_BH[:, 0] > 0
    targets_BL = torch.stack([sign_B, coin_B, sign_B ^ coin_B], dim=1).float()
    chain = LabelChain(num_labels=3, document_size=H, order=[0, 1, 2], size=16, label_size=4, dropout=0.0, num_beams=4)
    optimizer = torch.optim.Adam(chain.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(chain(document_BH, targets_BL)[0], targets_BL).backward()
        optimizer.step()
    chosen_BL = chain.eval().answer(document_BH).chosen_BL
    assert (chosen_BL[:, 2] == chosen_BL[:, 0] ^ chosen_BL[:, 1]).float().mean() > 0.95
    assert (chosen_BL[:, 0] == sign_B).float().mean() > 0.95
