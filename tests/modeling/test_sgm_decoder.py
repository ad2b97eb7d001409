"""The decoder of SGM, its state and its searches, on networks small enough to try every sequence."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from transformers import set_seed

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_constraints import LabelConstraints
from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.modeling.sgm_decoder import AdditiveAttention, GlobalEmbedding, SgmDecoder
from hf_mlc.modeling.sgm_search import beam_search, greedy_search


L = 3
# all sequences of three labels without repeats: 1 + 3 + 6 + 6
SEQUENCES = [[*order, EOS] for size in range(L + 1) for order in itertools.permutations(range(3, 3 + L), size)]


def tiny_config(**settings) -> SgmConfig:
    return SgmConfig(vocab_size=20, num_labels=L, hidden_size=8, num_beams=len(SEQUENCES), **settings)


def a_decoder(*, seed: int = 0, **settings) -> SgmDecoder:
    """Random weights large enough that beams disagree."""
    set_seed(seed)
    decoder = SgmDecoder(tiny_config(**settings)).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    return decoder


def a_memory(decoder: SgmDecoder, documents: int = 2, tokens: int = 4):
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(documents, tokens, 8, generator=generator)
    mask = torch.ones(documents, tokens, dtype=torch.bool)
    mask[-1, -1] = False
    return decoder.memory(hidden, mask)


@torch.no_grad()
def all_scores(decoder: SgmDecoder, memory, row: int, sequences=None, **settings) -> dict[tuple[int, ...], float]:
    """Log-probability of every sequence, step by step."""
    one, scores = memory.select(torch.tensor([row])), {}
    for sequence in SEQUENCES if sequences is None else sequences:
        state, last, total = decoder.initial_state(one), BOS, 0.0
        for token in sequence:
            log_probs, state = decoder.step(torch.tensor([last]), state, one, **settings)
            total, last = total + log_probs[0, token].item(), token
        scores[tuple(sequence)] = total
    return scores


CELLS = (
    {},
    {"decoder_cell": "gru", "decoder_layers": 2},
    {"label_context_attention": True, "global_embedding_scale": 0.4},
    {"global_embedding": False},
)


@pytest.mark.parametrize("settings", CELLS, ids=lambda settings: "-".join(settings) or "plain")
def test_as_many_beams_as_sequences_find_them_all_in_the_order_of_their_probability(settings):
    decoder = a_decoder(**settings)
    memory = a_memory(decoder)
    with torch.no_grad():
        found = beam_search(decoder, memory, num_beams=len(SEQUENCES), max_steps=L + 1)
    for row in range(2):
        expected = all_scores(decoder, memory, row)
        assert sum(torch.tensor(list(expected.values())).exp()).item() == pytest.approx(1.0, abs=1e-5)
        ordered = sorted(expected, key=lambda sequence: -expected[sequence])
        sequences = [tuple(token for token in ids if token != PAD) for ids in found.sequences_BKT[row].tolist()]
        assert sequences == ordered
        assert found.scores_BK[row].tolist() == pytest.approx([expected[sequence] for sequence in ordered], abs=1e-5)


def test_generate_finds_them_all_too():
    config = tiny_config()
    set_seed(0)
    model = SgmForMultiLabelClassification(config).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            nn.init.normal_(parameter, std=0.7)
    batch = {"input_ids": torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0]])}
    memory = model.encode(**batch)
    count = len(SEQUENCES)
    generated = model.generate(
        **batch, num_beams=count, num_return_sequences=count, return_dict_in_generate=True, output_scores=True
    )
    for row in range(2):
        expected = all_scores(model.decoder, memory, row)
        ordered = sorted(expected, key=lambda sequence: -expected[sequence])
        rows = generated.sequences.view(2, count, -1)[row, :, 1:].tolist()
        assert [tuple(ids[: ids.index(EOS) + 1]) for ids in rows] == ordered
        scores = generated.sequences_scores.view(2, count)[row].tolist()
        assert scores == pytest.approx([expected[sequence] for sequence in ordered], abs=1e-5)


@pytest.mark.parametrize("num_beams", [1, 2, 3])
def test_a_narrow_beam_finds_no_more_than_there_is_and_a_document_alone_the_same(num_beams):
    decoder = a_decoder(seed=3)
    memory = a_memory(decoder, documents=4)
    with torch.no_grad():
        found = beam_search(decoder, memory, num_beams=num_beams, max_steps=L + 1)
        for row in range(4):
            expected = all_scores(decoder, memory, row)
            alone = beam_search(decoder, memory.select(torch.tensor([row])), num_beams=num_beams, max_steps=L + 1)
            for ids, other, score in zip(
                found.sequences_BKT[row].tolist(),
                alone.sequences_BKT[0].tolist(),
                found.scores_BK[row].tolist(),
                strict=True,
            ):
                sequence = tuple(token for token in ids if token != PAD)
                assert sequence == tuple(token for token in other if token != PAD)
                assert score == pytest.approx(expected[sequence], abs=1e-5)


def test_the_mean_of_many_large_states_is_a_number_in_half_precision():
    decoder = a_decoder(seed=0).half()
    hidden = torch.full((1, 4096, 8), 20.0, dtype=torch.float16)
    memory = decoder.memory(hidden, torch.ones(1, 4096, dtype=torch.bool))
    assert (memory.mean_BD == 20).all() and memory.mean_BD.dtype == torch.float16


def test_one_beam_is_the_greedy_search():
    decoder = a_decoder(seed=5)
    memory = a_memory(decoder, documents=5)
    with torch.no_grad():
        found = beam_search(decoder, memory, num_beams=1, max_steps=L + 1)
        sequences, log_probs = greedy_search(decoder, memory, max_steps=L + 1)
    for row in range(5):
        kept = [token for token in sequences[row].tolist() if token != PAD]
        assert kept == [token for token in found.sequences_BKT[row, 0].tolist() if token != PAD]
        total = sum(log_probs[row, step, token].item() for step, token in enumerate(kept))
        assert total == pytest.approx(found.scores_BK[row, 0].item(), abs=1e-5)


def test_rules_and_bias_of_the_search_change_the_distribution_and_not_only_the_choice():
    decoder = a_decoder(seed=2)
    memory = a_memory(decoder)
    rules = LabelConstraints(L, min_labels=1, max_labels=2, label_exclusions=[[0, 1]])
    allowed = [ids for ids in SEQUENCES if 2 <= len(ids) <= 3 and not {3, 4} <= set(ids)]
    settings = {"constraints": rules, "end_bias": 0.7}
    with torch.no_grad():
        found = beam_search(decoder, memory, num_beams=16, max_steps=3, **settings)
    for row in range(2):
        expected = all_scores(decoder, memory, row, allowed, **settings)
        assert sum(torch.tensor(list(expected.values())).exp()).item() == pytest.approx(1.0, abs=1e-5)
        is_found = found.scores_BK[row].isfinite()
        assert is_found.sum() == len(allowed)
        sequences = [tuple(t for t in ids if t != PAD) for ids in found.sequences_BKT[row][is_found].tolist()]
        assert sequences == sorted(expected, key=lambda sequence: -expected[sequence])
        assert (found.sequences_BKT[row][~is_found] == PAD).all()


def test_without_the_repeat_mask_a_label_may_come_again():
    plain, ablated = a_decoder(), a_decoder(repeat_mask=False)
    ablated.load_state_dict(plain.state_dict())
    memory = a_memory(plain)
    for decoder, again in ((plain, False), (ablated, True)):
        state = decoder.initial_state(memory)
        _, state = decoder.step(torch.full((2,), BOS), state, memory)
        log_probs, state = decoder.step(torch.full((2,), LABEL_OFFSET), state, memory)
        assert (log_probs[:, LABEL_OFFSET].isfinite()).all().item() is again
        assert (log_probs[:, [PAD, BOS]] == float("-inf")).all()
        assert log_probs[:, EOS].isfinite().all()
        assert state.used_RV[:, LABEL_OFFSET].all()
        torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(2))


def test_teacher_forcing_equals_the_steps():
    decoder = a_decoder()
    memory = a_memory(decoder)
    sequences = torch.tensor([[5, 3, EOS], [4, EOS, PAD]])
    with torch.no_grad():
        log_probs = decoder(sequences, memory)
    for row, sequence in enumerate(([5, 3, EOS], [4, EOS])):
        total = sum(log_probs[row, step, token].item() for step, token in enumerate(sequence))
        assert total == pytest.approx(all_scores(decoder, memory, row, [sequence])[tuple(sequence)], abs=1e-5)


# -- state ----------------------------------------------------------------------------------------------------------------


def test_everything_that_a_beam_owns_moves_with_it():
    decoder = a_decoder(decoder_layers=2)
    memory = a_memory(decoder, documents=3)
    forbidden = torch.zeros(3, L + 3, dtype=torch.bool)
    forbidden[1, 4] = True
    state = decoder.initial_state(memory, forbidden)
    for last in (torch.full((3,), BOS), torch.tensor([3, 5, 4])):  # three rows, three different labels used
        _, state = decoder.step(last, state, memory)
    order = torch.tensor([2, 0, 0])
    before = {name: getattr(state, name) for name in vars(state)}
    chosen = state.select(order)
    state.memory = memory
    state.reorder_cache(order)
    for moved in (chosen, state):
        for name in ("context_RD", "distribution_RV", "used_RV", "attention_Rm", "forbidden_RV"):
            assert torch.equal(getattr(moved, name), before[name][order]), name
            assert not torch.equal(getattr(moved, name), before[name]), name
        for name in ("hidden_SRd", "cell_SRd"):
            assert torch.equal(getattr(moved, name), before[name][:, order]), name
        assert moved.step == moved.get_seq_length() == 2
    assert state.memory is memory
    # and the next step is that of the rows it came from
    last = torch.tensor([3, 4, 4])
    log_probs, _ = decoder.step(last, state, memory.select(order))
    row = memory.select(torch.tensor([2]))
    lone = decoder.initial_state(row)
    for token in (BOS, 4):
        _, lone = decoder.step(torch.tensor([token]), lone, row)
    expected, _ = decoder.step(torch.tensor([3]), lone, row)
    torch.testing.assert_close(log_probs[0], expected[0])


def test_beams_share_their_documents_memory():
    decoder = a_decoder(label_context_attention=True)
    memory = a_memory(decoder)
    rows = torch.tensor([0, 0, 0, 1, 1, 1])
    last = torch.full((6,), BOS)
    shared, _ = decoder.step(last, decoder.initial_state(memory).select(rows), memory)
    copied, _ = decoder.step(last, decoder.initial_state(memory.select(rows)), memory.select(rows))
    torch.testing.assert_close(shared, copied)


# -- parts ----------------------------------------------------------------------------------------------------------------


def test_additive_attention_equals_the_formula_and_leaves_padding_out():
    set_seed(0)
    attention = AdditiveAttention(3, 4)
    query, keys = torch.randn(2, 3), torch.randn(2, 5, 4)
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    weights = attention(query, keys, mask)
    scores = torch.stack(
        [attention.score.weight[0] @ torch.tanh(attention.query(query[0]) + key) for key in keys[0, :3]]
    )
    torch.testing.assert_close(weights[0, :3], scores.softmax(dim=0))
    assert weights[0, 3:].tolist() == [0, 0]
    assert weights[1].tolist() == [0] * 5  # a document without a token


def test_the_global_embedding_mixes_the_last_label_with_the_mean_of_all():
    vectors = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    label, distribution = vectors[[3]], torch.tensor([[0, 0, 0.5, 0, 0.25, 0.25]])
    # the mean: (3 + 5) / 4 and (4 + 6) / 4
    config = tiny_config(label_embedding_size=2, global_embedding_scale=0.4)
    found = GlobalEmbedding(config)(label, distribution, vectors)
    torch.testing.assert_close(found, torch.tensor([[0.6 * 1 + 0.4 * 2, 0.6 * 2 + 0.4 * 2.5]]))
    gated = GlobalEmbedding(tiny_config(label_embedding_size=2))
    for parameter in gated.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(gated.hard.bias, 30.0)  # the gate wide open: the mean alone
    torch.testing.assert_close(gated(label, distribution, vectors), torch.tensor([[2.0, 2.5]]))
    nn.init.constant_(gated.hard.bias, -30.0)
    torch.testing.assert_close(gated(label, distribution, vectors), label)


def test_the_first_step_is_fed_the_beginning_alone():
    decoder = a_decoder()
    state = decoder.initial_state(a_memory(decoder))
    assert state.distribution_RV.argmax(dim=1).tolist() == [BOS, BOS]
    assert not state.used_RV.any()
    torch.testing.assert_close(state.context_RD[1], a_memory(decoder).hidden_BmD[1, :3].mean(dim=0))
