"""Attention between labels where only some can be read, against a plain computation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.label_encoder import LabelEncoder, LabelSelfAttention, places_of


READABLE = torch.tensor([[1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]).bool()


def config(**settings) -> LanetConfig:
    return LanetConfig(embed_dim=4, num_heads=2, num_labels=6, **settings)


def by_hand(attention: LabelSelfAttention, states_BSD: torch.Tensor, readable_BS: torch.BoolTensor):
    """Every row by itself: a softmax over what it may read and a score of 0 for nothing."""
    found, weights = [], []
    for states_SD, readable_S in zip(states_BSD, readable_BS, strict=True):
        query, key, value = attention.query_key_value(states_SD).unflatten(-1, (3, 2, -1)).unbind(1)
        scores_HSS = torch.einsum("shd,thd->hst", query, key) / query.shape[-1] ** 0.5
        with_nothing = F.pad(scores_HSS.masked_fill(~readable_S, float("-inf")), (0, 1), value=0.0)
        weights_HSS = with_nothing.softmax(dim=-1)[..., :-1]
        weights.append(weights_HSS)
        found.append(attention.output(torch.einsum("hst,thd->shd", weights_HSS, value).flatten(1)))
    return torch.stack(found), torch.stack(weights)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_what_can_be_read_is_read_and_nothing_else(implementation):
    torch.manual_seed(0)
    attention = LabelSelfAttention(config(attn_implementation=implementation)).eval()
    states = torch.randn(3, 6, 8, requires_grad=True)
    places = places_of(READABLE)
    assert places.tolist() == [[0, 3, 5], [-1, -1, -1], [1, -1, -1]]
    expected, weights = by_hand(attention, states, READABLE)
    for with_weights in (False, True):
        read, found = attention(states, None, with_weights, places)
        torch.testing.assert_close(read, expected)
        assert (found is None) != with_weights
    torch.testing.assert_close(found, weights)
    probe = torch.randn(expected.shape)
    one, other = (torch.autograd.grad((part * probe).sum(), states)[0] for part in (read, expected))
    torch.testing.assert_close(one, other)


def test_the_number_of_places_of_other_rows_changes_nothing():
    torch.manual_seed(0)
    encoder, states = LabelEncoder(config()).eval(), torch.randn(3, 6, 8)
    together = encoder(states, places_BP=places_of(READABLE))[0][-1]
    for row in range(3):
        alone = encoder(states[row : row + 1], places_BP=places_of(READABLE[row : row + 1]))[0][-1]
        torch.testing.assert_close(alone[0], together[row])


def test_the_weights_of_attention_are_dropped_in_training_alone():
    torch.manual_seed(0)
    attention = LabelSelfAttention(config(attention_dropout=0.9, attn_implementation="eager"))
    states, places = torch.randn(3, 6, 8), places_of(READABLE)
    kept = attention.eval()(states, None, False, places)[0]
    assert torch.equal(attention(states, None, False, places)[0], kept)
    assert not torch.equal(attention.train()(states, None, False, places)[0], kept)
