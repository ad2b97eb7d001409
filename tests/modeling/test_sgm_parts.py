"""What the SGM-MLC paper adds to SGM, each part beside its formula written out by hand, document by document.

Shape legend: B documents, m tokens, D width of the encoder, E width of the label vectors, L labels, R rows.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from transformers import set_seed

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_sequences import BOS, LABEL_OFFSET
from hf_mlc.modeling.sgm_auxiliary import LabelWiseHead, PooledHead
from hf_mlc.modeling.sgm_decoder import LabelContext, SgmDecoder
from hf_mlc.modeling.sgm_encoder import SelfAttention


L, D, E, TOKENS = 3, 8, 6, 5


def built(part: type[nn.Module], **settings) -> nn.Module:
    """The part with weights large enough that every term of its formula shows."""
    set_seed(0)
    config = SgmConfig(
        vocab_size=20,
        num_labels=L,
        hidden_size=D,
        decoder_size=4,
        label_embedding_size=E,
        self_attention_heads=2,
        **settings,
    )
    made = part(config).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.7)
    return made


@pytest.fixture
def states() -> tuple[torch.Tensor, torch.Tensor]:
    """Two documents, of five tokens and of three."""
    hidden_BmD = torch.randn(2, TOKENS, D, generator=torch.Generator().manual_seed(1))
    mask_Bm = torch.ones(2, TOKENS, dtype=torch.bool)
    mask_Bm[1, 3:] = False
    return hidden_BmD, mask_Bm


@torch.no_grad()
def test_states_that_attended_to_each_other_are_added_to_what_they_were_and_normalised(states):
    part, (hidden_BmD, mask_Bm) = built(SelfAttention), states
    found_BmD = part(hidden_BmD, mask_Bm)
    for hidden_mD, mask_m, found_mD in zip(hidden_BmD, mask_Bm, found_BmD, strict=True):
        kept_nD = hidden_mD[mask_m]
        heads = []
        for head in range(2):
            place = slice(head * D // 2, (head + 1) * D // 2)
            queries, keys, values = (one(kept_nD)[:, place] for one in (part.queries, part.keys, part.values))
            heads.append((queries @ keys.T / math.sqrt(D / 2)).softmax(dim=1) @ values)
        added_nD = kept_nD + part.output(torch.cat(heads, dim=1))
        centred_nD = added_nD - added_nD.mean(dim=1, keepdim=True)
        spread_n1 = (centred_nD.square().mean(dim=1, keepdim=True) + part.norm.eps).sqrt()
        expected_nD = centred_nD / spread_n1 * part.norm.weight + part.norm.bias
        assert torch.allclose(found_mD[mask_m], expected_nD, atol=1e-5)


@torch.no_grad()
def test_the_label_context_is_a_mean_of_the_open_labels_vectors_by_an_additive_attention():
    part = built(LabelContext)
    query_RQ, vectors_LE = torch.randn(2, 4 + D), torch.randn(L, E)
    open_RL = torch.tensor([[True, True, True], [True, False, True]])
    found_RE = part(query_RQ, vectors_LE, open_RL)
    attention = part.attention
    for query_Q, open_L, found_E in zip(query_RQ, open_RL, found_RE, strict=True):
        scores = [
            attention.score(torch.tanh(attention.query(query_Q) + part.keys(vector_E))).item()
            for vector_E in vectors_LE
        ]
        powers = [math.exp(score) if is_open else 0.0 for score, is_open in zip(scores, open_L, strict=True)]
        shares = [power / sum(powers) for power in powers]
        expected_E = sum(share * vector_E for share, vector_E in zip(shares, vectors_LE, strict=True))
        assert torch.allclose(found_E, expected_E, atol=1e-5)


@torch.no_grad()
def test_a_label_that_was_written_is_no_part_of_a_later_steps_label_context(states, monkeypatch):
    decoder, seen = built(SgmDecoder, label_context_attention=True), []
    read = decoder.label_context.forward

    def watched(query_RQ, vectors_LE, open_RL):
        seen.append(open_RL.tolist())
        return read(query_RQ, vectors_LE, open_RL)

    monkeypatch.setattr(decoder.label_context, "forward", watched)
    memory = decoder.memory(*states)
    state = decoder.initial_state(memory)
    for previous in ([BOS, BOS], [LABEL_OFFSET + 1, LABEL_OFFSET], [LABEL_OFFSET + 2, LABEL_OFFSET + 1]):
        _, state = decoder.step(torch.tensor(previous), state, memory)
    assert seen == [
        [[True, True, True], [True, True, True]],
        [[True, False, True], [False, True, True]],
        [[True, False, False], [False, False, True]],
    ]


@torch.no_grad()
def test_each_label_reads_by_itself_and_the_summary_weighs_what_they_read_by_their_logits(states):
    part, (hidden_BmD, mask_Bm) = built(LabelWiseHead, label_attention="encoder"), states
    vectors_VE = torch.randn(LABEL_OFFSET + L, E)
    logits_BL, summary_BD = part(hidden_BmD, mask_Bm, vectors_VE)
    for row, (hidden_mD, mask_m) in enumerate(zip(hidden_BmD, mask_Bm, strict=True)):
        kept_nD, read, logits = hidden_mD[mask_m], [], []
        for label in range(L):
            query_D = part.query(vectors_VE[LABEL_OFFSET + label])
            read.append((kept_nD @ query_D).softmax(dim=0) @ kept_nD)
            logits.append((read[label] @ part.weight[label] + part.bias[label]).item())
        assert logits_BL[row].tolist() == pytest.approx(logits, abs=1e-4)
        total = sum(map(math.exp, logits))
        expected_D = sum(math.exp(logit) / total * read_D for logit, read_D in zip(logits, read, strict=True))
        assert torch.allclose(summary_BD[row], expected_D, atol=1e-4)


@torch.no_grad()
def test_the_pooled_head_reads_mean_and_maximum_of_the_states_that_are_no_padding(states):
    part, (hidden_BmD, mask_Bm) = built(PooledHead, auxiliary_weight=0.1), states
    logits_BL, summary = part(hidden_BmD, mask_Bm, torch.zeros(LABEL_OFFSET + L, E))
    assert summary is None
    for row, (hidden_mD, mask_m) in enumerate(zip(hidden_BmD, mask_Bm, strict=True)):
        kept_nD = hidden_mD[mask_m]
        pooled = torch.cat([kept_nD.sum(dim=0) / len(kept_nD), kept_nD.max(dim=0).values])
        assert torch.allclose(logits_BL[row], part.weight @ pooled + part.bias, atol=1e-5)
