"""The ranked attention over the tokens that a language model expects, by hand."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling import expected_tokens
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.expected_tokens import ExpectedTokens
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


def awd_lstm(**fields) -> PlantConfig:
    sizes = {"vocab_size": 12, "num_labels": 4, "hidden_size": 8, "recurrent_size": 8, "num_hidden_layers": 1}
    planted = {"planting": "attention", "stored_tokens": 3, "rank_size": 3, "ranked_tokens": "expected"}
    return PlantConfig(**{"encoder": "awd_lstm", **sizes, **planted, **fields})


def test_the_expected_token_has_the_highest_score_with_its_bias(monkeypatch):
    part = ExpectedTokens(awd_lstm())
    weight = torch.eye(12)
    hidden = torch.zeros(1, 3, 12)
    hidden[0, 0, 5], hidden[0, 1, 7], hidden[0, 2, 5] = 1.0, 1.0, 0.25
    part.bias[9] = 0.5
    assert part(hidden, weight).tolist() == [[5, 7, 9]]
    monkeypatch.setattr(expected_tokens, "BLOCK_CELLS", 1)  # one token a block
    assert part(hidden, weight).tolist() == [[5, 7, 9]]


def test_the_ranker_scores_expected_tokens_at_the_places_where_they_are_expected():
    torch.manual_seed(0)
    model = PlantForMultiLabelClassification(
        awd_lstm(learned_attention=False, mutual_information_attention=False)
    ).eval()
    read, expected = torch.tensor([[3, 4, 6, 2]]), torch.tensor([[7, 9, 9, 5]])
    model.expected.forward = lambda hidden, weight: expected
    plain = PlantForMultiLabelClassification(
        awd_lstm(learned_attention=False, mutual_information_attention=False, ranked_tokens="read")
    )
    plain.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if name != "expected.bias"})
    chosen = torch.arange(4)
    with torch.no_grad():
        weights = model.token_weights(chosen, input_ids=read)
        torch.testing.assert_close(weights, plain.eval().token_weights(chosen, input_ids=expected))
        assert not torch.allclose(weights, plain.token_weights(chosen, input_ids=read))
        shares = model.token_contributions(chosen, input_ids=read)
        torch.testing.assert_close(shares.sum(dim=2) + model.decoder.bias, model(read).logits)


def test_mutual_information_is_of_the_tokens_that_are_read():
    torch.manual_seed(0)
    model = PlantForMultiLabelClassification(awd_lstm(learned_attention=False)).eval()
    model.expected.forward = lambda hidden, weight: torch.full(hidden.shape[:2], 7)
    model.decoder.mutual_information.tokens[0, 0], model.decoder.mutual_information.values[0, 0] = 6, 0.5
    mask, read = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[3, 4, 6, 2]])
    index = model.decoder.index_of(mask, read)
    kept = model.decoder.planted(index, mask, slice(None), read, torch.full((1, 4), 7))
    assert kept[0].dense(4)[0, 0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_early_chunks_are_ranked_by_what_is_expected_there():
    """As if each chunk were a document of its own, its expected tokens those of the whole."""
    torch.manual_seed(0)
    fields = {"window": 2, "stateful": True, "chunk_length": 2, "state_topk": 1}
    model = PlantForMultiLabelClassification(awd_lstm(**fields)).eval()
    read, expected = torch.tensor([[3, 4, 6, 2]]), torch.tensor([[7, 9, 8, 5]])
    model.expected.forward = lambda hidden, weight: expected
    with torch.no_grad():
        hidden, mask = model._encode(read > 0, read, None, None).last_hidden_state, torch.ones(1, 2, dtype=torch.bool)
        parts = [slice(0, 2), slice(2, 4)]
        early, late = (model.decoder(hidden[:, p], mask, slice(None), read[:, p], expected[:, p]) for p in parts)
        torch.testing.assert_close(model(read).logits, late + model.decoder.state_after(early, 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"planting": "none"}, "needs `planting='attention'` with `ranked_attention`"),
        ({"ranked_attention": False}, "needs `planting='attention'` with `ranked_attention`"),
        ({"encoder": "lstm"}, "needs the encoder 'awd_lstm'.*found 'lstm'"),
        ({"embedding_size": 6}, "as wide as its output.*`embedding_size` 6"),
    ],
)
def test_without_a_language_model_of_fitting_shape_it_is_refused(fields, message):
    with pytest.raises(Exception, match=message):
        awd_lstm(**fields)
