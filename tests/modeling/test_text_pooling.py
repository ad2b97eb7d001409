"""Texts to one vector each: the means by hand, padding that is never read, every encoder, empty documents."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.text_pooling import AttentionPooling, MeanPooling, PooledTextEncoder


ENCODERS = ("bag_of_words", "convolution", "gru", "lstm", "transformer")


def encoder(kind: str, pooling: str = "attention") -> PooledTextEncoder:
    torch.manual_seed(0)
    config = PlantConfig(
        encoder=kind, vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16, text_pooling=pooling,
    )  # fmt: skip
    made = PooledTextEncoder(config).eval()
    if pooling == "attention":
        torch.nn.init.normal_(made.pooling.question)
    return made


def test_means_equal_those_worked_out_by_hand():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [float("nan"), 9.0]]])
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(MeanPooling(None)(hidden, mask), torch.tensor([[2.0, 4.0]]))
    made = AttentionPooling(SimpleNamespace(hidden_size=2))
    torch.testing.assert_close(made(hidden, mask), torch.tensor([[2.0, 4.0]]))  # it starts as the mean
    with torch.no_grad():
        made.projection.weight.copy_(torch.eye(2))
        made.projection.bias.zero_()
        made.question.copy_(torch.tensor([2.0, 0.0]))
    scores = 2 * torch.tensor([1.0, 3.0]).tanh()
    expected = scores.softmax(dim=0) @ hidden[0, :2]
    torch.testing.assert_close(made(hidden, mask)[0], expected)
    torch.testing.assert_close(made.weights(hidden.nan_to_num(), mask)[0, :2], scores.softmax(dim=0))


@torch.no_grad()
@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_vector_does_not_depend_on_padding_or_on_the_batch(kind, pooling):
    made = encoder(kind, pooling)
    alone = made(torch.tensor([[5, 7, 3]]))
    assert alone.shape == (1, 8) and alone.any()
    padded = made(torch.tensor([[5, 7, 3, 0, 0], [2, 2, 9, 4, 6]]))
    torch.testing.assert_close(padded[:1], alone)
    ids, mask = torch.tensor([[11, 5, 7, 12, 3]]), torch.tensor([[0, 1, 1, 0, 1]])
    torch.testing.assert_close(made(ids, mask), alone)


@torch.no_grad()
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_document_without_a_token_is_0(kind):
    found = encoder(kind)(torch.tensor([[0, 0], [4, 5]]))
    assert not found[0].any() and found[1].any()


def test_every_part_learns():
    made = encoder("convolution").train()
    made(torch.tensor([[5, 7, 3, 0], [2, 2, 9, 4]])).square().sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


@torch.no_grad()
def test_states_and_shares_are_given_where_asked_for():
    made = encoder("transformer")
    ids = torch.tensor([[5, 7, 3, 0]])
    encoded = made.encode(ids, output_hidden_states=True, output_attentions=None)
    assert len(encoded.hidden_states) == 2 and encoded.attentions is None
    weights = made.token_weights(input_ids=ids)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(1))
    assert weights[0, 3] == 0
    states = torch.einsum("bt,btd->bd", weights, encoded.hidden_states[-1])
    torch.testing.assert_close(made(ids), states)


@torch.no_grad()
def test_word_vectors_stand_in_for_ids_and_never_beside_them():
    made = encoder("gru")
    ids = torch.tensor([[5, 7, 3]])
    vectors = made.embeddings.word_embeddings(ids)
    torch.testing.assert_close(made(inputs_embeds=vectors), made(ids))
    for given in ({}, {"input_ids": ids, "inputs_embeds": vectors}):
        with pytest.raises(ValueError, match="exactly one"):
            made(**given)
    assert not hasattr(made, "backbone") and hasattr(encoder("transformer"), "backbone")
