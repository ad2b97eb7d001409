"""Attention over a shortlist: the labels that the read-out puts first attend, the others keep the read-out alone."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.tfidf_path import token_counts


V, L, K = 30, 12, 5
SETTINGS = {
    "vocab_size": V,
    "num_labels": L,
    "encoder": "convolution",
    "hidden_size": 8,
    "stored_tokens": K,
    "rank_size": 4,
}
SETTINGS |= {"planting": "attention", "planted_readout": 1.0}


def model(**fields) -> PlantForMultiLabelClassification:
    """A model whose planted parts say something else of every label."""
    torch.manual_seed(0)
    built = PlantForMultiLabelClassification(PlantConfig(**{**SETTINGS, **fields}))
    generator = torch.Generator().manual_seed(1)
    lists = torch.stack([torch.randperm(V - 2, generator=generator)[:K] + 2 for _ in range(L)]).int()
    with torch.no_grad():
        decoder = built.decoder
        if decoder.mutual_information is not None:
            decoder.mutual_information.tokens.copy_(lists)
            decoder.mutual_information.values.copy_(torch.rand(L, K, generator=generator).sort(descending=True).values)
        if decoder.readout is not None:
            decoder.readout.tokens.copy_(lists)
            decoder.readout.weight.copy_(torch.randn(L, K, generator=generator) / 10)
        decoder.weight.copy_(torch.randn(L, 8, generator=generator) * 5)
        decoder.bias.copy_(torch.randn(L, generator=generator) / 10)
    return built.eval()


def texts(number: int = 3, length: int = 9) -> torch.Tensor:
    ids = torch.randint(2, V, (number, length), generator=torch.Generator().manual_seed(2))
    ids[1, 6:] = 0
    return ids


PARTS = [
    {},
    {"ranked_attention": False},
    {"ranked_attention": False, "mutual_information_attention": False},
    {"learned_attention": False, "attention_mix": "learned"},
]


@pytest.mark.parametrize("parts", PARTS)
@torch.no_grad()
def test_a_shortlist_of_all_labels_changes_nothing(parts):
    torch.testing.assert_close(model(shortlist_size=L + 3, **parts)(texts()).logits, model(**parts)(texts()).logits)


@pytest.mark.parametrize("parts", PARTS)
@torch.no_grad()
def test_labels_beyond_it_keep_the_read_out_and_the_bias(parts):
    listed, whole, ids = model(shortlist_size=4, **parts), model(**parts), texts()
    decoder = whole.decoder
    read_out = decoder.readout(token_counts(ids, ids != 0, decoder.vocab_size)) + decoder.bias
    is_listed = torch.zeros_like(read_out, dtype=torch.bool).scatter(1, read_out.topk(4, dim=1).indices, True)
    expected = torch.where(is_listed, whole(ids).logits, read_out)
    torch.testing.assert_close(listed(ids).logits, expected)
    assert (whole(ids).logits - read_out)[~is_listed].abs().max() > 0.1  # there was something to leave out


@torch.no_grad()
def test_chosen_labels_blocks_and_single_documents_have_the_same_logits():
    listed, ids = model(shortlist_size=4), texts()
    logits, chosen = listed(ids).logits, torch.tensor([7, 0, 3])
    torch.testing.assert_close(listed.label_logits(chosen, ids), logits[:, chosen])
    best_ids, best = listed.predict_topk({"input_ids": ids}, k=5, block_size=2)
    expected = logits.sigmoid().topk(5)
    assert torch.equal(best_ids, expected.indices)
    torch.testing.assert_close(best, expected.values)
    for row in range(len(ids)):
        torch.testing.assert_close(listed(ids[row : row + 1]).logits[0], logits[row])


@torch.no_grad()
def test_the_tokens_shares_add_up_to_the_logits():
    listed, ids = model(shortlist_size=4), texts()
    labels = torch.arange(L)
    shares = listed.token_contributions(labels, ids).sum(dim=2) + listed.decoder.bias
    torch.testing.assert_close(shares, listed(ids).logits)
    weighs = listed.token_weights(labels, ids).sum(dim=2) > 0  # labels that don't attend have no weights
    assert (weighs.sum(dim=1) == 4).all()


@torch.no_grad()
def test_a_trained_model_takes_another_size():
    changed, ids = model(shortlist_size=4), texts()
    changed.config.shortlist_size = 7
    torch.testing.assert_close(changed(ids).logits, model(shortlist_size=7)(ids).logits)


def test_gradients_reach_listed_labels_alone():
    listed, ids = model(shortlist_size=4).train(), texts()[:1]
    listed(ids).logits.sum().backward()
    decoder = listed.decoder
    touched = decoder.query.grad.abs().sum(dim=1) > 0
    assert touched.sum() == 4 and torch.equal(touched, decoder.weight.grad.abs().sum(dim=1) > 0)
    assert (decoder.readout.weight.grad.abs().sum(dim=1) > 0).any() and (decoder.bias.grad == 1).all()


@torch.no_grad()
def test_a_document_without_text_gets_the_bias():
    listed = model(shortlist_size=4)
    logits = listed(torch.tensor([[0, 0, 0], [5, 6, 7]])).logits
    torch.testing.assert_close(logits[0], listed.decoder.bias)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shortlist_size": 0}, "`shortlist_size` must be 1 or more, found 0"),
        ({"shortlist_size": 4, "planted_readout": None}, "`shortlist_size` 4 needs .* and a `planted_readout`"),
        (
            {"readout_source": "linear_svm", "planting": "none"},
            "`readout_source` 'linear_svm' needs `planting='attention'`",
        ),
        (
            {"readout_source": "linear_svm", "window": 8},
            "`readout_source='linear_svm'` can't go with `window`, found 8",
        ),
        ({"readout_tokens": 9}, "`readout_tokens` is of `readout_source='linear_svm'`"),
        ({"shortlist_size": 4, "sampled_labels": 8}, "`shortlist_size` can't go with `sampled_labels`, found 8"),
        ({"shortlist_size": 4, "window": 8}, "`shortlist_size` can't go with `window`, found 8"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        PlantConfig(**{**SETTINGS, **fields})
