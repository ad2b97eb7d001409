"""The linear path beside the attentions: what it adds to the logits, by hand, and whose share it is."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


V, L = 12, 4
SETTINGS = {"vocab_size": V, "num_labels": L, "encoder": "bag_of_words", "hidden_size": 8, "stored_tokens": 3}
SETTINGS |= {"planting": "attention", "ranked_attention": False, "mutual_information_attention": False}


def model(**fields) -> PlantForMultiLabelClassification:
    torch.manual_seed(0)
    return PlantForMultiLabelClassification(PlantConfig(**{**SETTINGS, "planted_readout": 1.0, **fields})).eval()


def planted_pair(**fields):
    """A model with a planted read-out, and the same one without."""
    wide, plain = model(**fields), model(planted_readout=None, **fields)
    readout = wide.decoder.readout
    with torch.no_grad():
        readout.tokens[0], readout.weight[0] = torch.tensor([5, 3, -1]), torch.tensor([0.5, 0.25, 0.0])
        readout.tokens[1, 0], readout.weight[1, 0] = 9, 0.5
        readout.idf[5], readout.idf[3] = 2.0, 1.5
    wide.load_state_dict({**wide.state_dict(), **plain.state_dict()})
    return wide, plain


def by_hand():
    """Of the text 2 3 5 4 5: each token's share of label 0's logit, a token."""
    features = {2: 1.0, 3: 1.5, 4: 1.0, 5: (1 + math.log(2)) * 2.0}
    norm = math.sqrt(sum(value**2 for value in features.values()))
    return {3: 10 * 0.25 * features[3] / norm, 5: 10 * 0.5 * features[5] / norm}


@pytest.mark.parametrize("ids", ([2, 3, 5, 4, 5], [5, 5, 4, 3, 2], [2, 3, 5, 4, 5, 0, 0]))
@torch.no_grad()
def test_it_adds_the_weighted_tf_idf_of_the_labels_tokens(ids):
    wide, plain = planted_pair()
    ids = torch.tensor([ids])
    difference = wide(ids).logits - plain(ids).logits
    torch.testing.assert_close(difference, torch.tensor([[sum(by_hand().values()), 0.0, 0.0, 0.0]]))


@torch.no_grad()
def test_its_share_of_a_logit_is_with_the_tokens_that_it_read():
    wide, plain = planted_pair()
    ids, labels = torch.tensor([[2, 3, 5, 4, 5]]), torch.tensor([0, 2])
    more = wide.token_contributions(labels, ids) - plain.token_contributions(labels, ids)
    share = by_hand()
    torch.testing.assert_close(more[0, 0], torch.tensor([0.0, share[3], share[5] / 2, 0.0, share[5] / 2]))
    assert more[0, 1].abs().max() < 1e-6
    logits = wide(ids).logits[0, labels]
    torch.testing.assert_close(wide.token_contributions(labels, ids).sum(2)[0] + wide.decoder.bias[labels], logits)


@torch.no_grad()
def test_padding_and_company_change_nothing_and_an_empty_document_adds_nothing():
    wide, plain = planted_pair()
    batch = torch.tensor([[2, 3, 5, 4, 5, 0], [9, 9, 9, 9, 9, 9], [0, 0, 0, 0, 0, 0]])
    difference = wide(batch).logits - plain(batch).logits
    torch.testing.assert_close(difference[:1], wide(batch[:1, :5]).logits - plain(batch[:1, :5]).logits)
    torch.testing.assert_close(difference[1], torch.tensor([0.0, 10 * 0.5, 0.0, 0.0]))
    assert not difference[2].any()
    torch.testing.assert_close(
        wide.predict_topk({"input_ids": batch}, k=2, block_size=3)[1], wide(batch).logits.sigmoid().topk(2).values
    )


def test_its_weights_learn_and_its_lists_do_not():
    wide, _ = planted_pair()
    wide(torch.tensor([[2, 3, 5, 4, 5], [9, 1, 1, 1, 1]])).logits.sum().backward()
    gradient = wide.decoder.readout.weight.grad
    assert gradient[0, :2].min() > 0 and gradient[1, 0] > 0
    assert not gradient[0, 2] and not gradient[1, 1:].any() and not gradient[2:].any()
    assert wide.planted_parameters == ("decoder.readout.",)


def test_it_alone_needs_token_ids():
    with pytest.raises(ValueError, match="looks tokens up by their `input_ids`"):
        model()(inputs_embeds=torch.randn(1, 3, 8))
