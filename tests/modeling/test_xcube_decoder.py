"""The authors' arithmetic by hand, and in plain loops; each case names the oddity that it pins down."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.xcube_decoder import XcubeLabelDecoder, inattention


V, L, D = 12, 3, 2


def small_config(**fields) -> PlantConfig:
    dropouts = dict.fromkeys(("word_dropout", "embedding_dropout", "hidden_dropout"), 0.0)
    sizes = {"vocab_size": V, "num_labels": L, "hidden_size": D, "stored_tokens": 4, "rank_size": 2}
    defaults = {"encoder": "bag_of_words", "planting": "attention", "compat": "xcube", "embedding_std": 1.0}
    return PlantConfig(**{**defaults, **sizes, **dropouts, **fields})


def small_model(**fields) -> PlantForMultiLabelClassification:
    torch.manual_seed(0)
    model = PlantForMultiLabelClassification(small_config(**fields)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.normal_()
        part = model.decoder.mutual_information
        if part is not None:
            part.tokens.copy_(torch.tensor([[2, 3, 4, 5], [5, 9, -1, -1], [8, 3, 2, 6]]))
            part.values.copy_(torch.tensor([[0.5, 0.25, 0.125, 0.1], [0.75, 0.5, 0.0, 0.0], [0.4, 0.3, 0.2, 0.1]]))
    return model


def only(part: str, **fields) -> XcubeLabelDecoder:
    """A decoder with one attention."""
    names = ("learned_attention", "mutual_information_attention", "ranked_attention")
    return small_model(**{name: name == part for name in names}, **fields).decoder


def batch(*rows: list[int]) -> dict[str, torch.Tensor]:
    """Token ids padded with 0, and their mask."""
    width = max(map(len, rows))
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": torch.tensor([row + [0] * (width - len(row)) for row in rows]), "attention_mask": mask}


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [0.0, 5.0, 3.0, 0.0, 0.0]),  # k + 1 values
        (2, [0.0, 5.0, 3.0, 2.0, 2.0]),  # and what ties with the last
        (3, [0.0, 5.0, 3.0, 2.0, 2.0]),
        (9, [-1.0, 5.0, 3.0, 2.0, 2.0]),  # fewer values than k + 1
    ],
)
def test_inattention_keeps_one_more_than_k_and_what_ties(k, expected):
    values = torch.tensor([-1.0, 5.0, 3.0, 2.0, 2.0], requires_grad=True)
    kept = inattention(values, k)
    assert kept.tolist() == expected
    kept.sum().backward()
    assert values.grad.tolist() == [1.0] * 5  # those that were set to 0 too


def test_mutual_information_is_divided_by_nothing():
    decoder = only("mutual_information_attention", mutual_information_topk=1)
    ids = torch.tensor([[2, 3, 4, 9]])
    weights = decoder.attention_weights(torch.randn(1, 4, D), torch.ones(1, 4, dtype=torch.bool), torch.arange(L), ids)
    # label 0 keeps two of three, label 1 all that it has, label 2 what it has in tokens 2 and 3
    assert weights[0].tolist() == [[0.5, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5], pytest.approx([0.2, 0.3, 0.0, 0.0])]


def test_a_score_set_to_0_weighs_more_than_a_kept_negative_one():
    decoder = only("ranked_attention", ranked_topk=1)
    with torch.no_grad():
        decoder.ranked.label_factors.zero_()
        decoder.label_bias.zero_()
        decoder.ranked.token_bias.zero_()
        decoder.ranked.token_bias[2:5] = torch.tensor([-1.0, -2.0, -3.0])
    ids, mask = torch.tensor([[2, 3, 4]]), torch.ones(1, 3, dtype=torch.bool)
    total = math.exp(-1) + math.exp(-2) + 1
    weights = decoder.attention_weights(torch.randn(1, 3, D), mask, torch.arange(L), ids)
    expected = [math.exp(-1) / total, math.exp(-2) / total, 1 / total]  # the third, the worst, was set to 0
    assert weights[0, 0].tolist() == pytest.approx(expected)


def test_the_bias_of_a_label_lifts_its_kept_tokens_over_the_others():
    decoder = only("ranked_attention", ranked_topk=1)
    with torch.no_grad():
        decoder.ranked.label_factors.zero_()
        decoder.ranked.token_bias[2:5] = torch.tensor([3.0, 2.0, 1.0])
        decoder.label_bias.copy_(torch.tensor([0.0, 1.0, -5.0]))
    ids, mask = torch.tensor([[2, 3, 4]]), torch.ones(1, 3, dtype=torch.bool)
    weights = decoder.attention_weights(torch.randn(1, 3, D), mask, torch.arange(L), ids)
    for label, scores in enumerate(([3.0, 2.0, 0.0], [4.0, 3.0, 0.0], [-2.0, -3.0, 0.0])):
        assert weights[0, label].tolist() == pytest.approx(torch.tensor(scores).softmax(0).tolist())


@pytest.mark.parametrize("part", ["learned_attention", "ranked_attention"])
def test_padding_takes_its_share_before_it_is_masked(part):
    decoder = only(part, ranked_topk=9)
    hidden, ids = torch.randn(2, 3, D), torch.tensor([[2, 3, 0], [4, 5, 6]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    weights = decoder.attention_weights(hidden, mask, torch.arange(L), ids)
    if part == "learned_attention":
        scores = decoder.query @ hidden[0, :2].T
    else:
        ranked = decoder.ranked
        scores = ranked.label_factors @ ranked.token_factors[ids[0, :2]].T + ranked.token_bias[ids[0, :2]]
        scores = scores + decoder.label_bias[:, None]
    expected = torch.cat([scores, torch.zeros(L, 1)], dim=1).softmax(dim=1)
    torch.testing.assert_close(weights[0, :, :2], expected[:, :2])
    assert (weights[0, :, 2] == 0).all()


def test_the_logit_is_read_out_of_the_three_contexts_together():
    model, document = small_model(mutual_information_topk=1, ranked_topk=2), [2, 9, 3, 3, 5, 7]
    decoder = model.decoder
    with torch.no_grad():
        found = model(**batch(document)).logits[0]
        hidden = model.get_input_embeddings().weight[document]
        for label in range(L):
            listed = dict(
                zip(
                    decoder.mutual_information.tokens[label].tolist(),
                    decoder.mutual_information.values[label],
                    strict=True,
                )
            )
            values = torch.stack([listed.get(token, torch.tensor(0.0)) for token in document])
            values[values < values.sort(descending=True).values[1]] = 0.0
            scores = decoder.ranked.token_factors[document] @ decoder.ranked.label_factors[label]
            scores = scores + decoder.ranked.token_bias[document] + decoder.label_bias[label]
            scores[scores < scores.sort(descending=True).values[2]] = 0.0
            attention = (hidden @ decoder.query[label]).softmax(0) + values + scores.softmax(0)
            torch.testing.assert_close(
                found[label], (attention @ hidden) @ decoder.weight[label] + decoder.bias[label]
            )


def test_every_label_that_is_not_among_the_best_gets_a_half_of_the_state():
    decoder = only("learned_attention")
    logits = torch.tensor([[2.0, -1.0, -3.0]])
    # two labels for k = 1; one of them, with a negative logit, ends below the one that was left out
    torch.testing.assert_close(decoder.state_after(logits, 1), torch.tensor([[2.0, -1.0, 0.0]]).sigmoid())


def test_the_state_of_early_chunks_is_added_to_the_window():
    model = small_model(window=3, stateful=True, chunk_length=2, state_topk=1)
    window = small_model(window=3)
    with torch.no_grad():
        state = torch.zeros(L)
        for chunk in ([3, 9], [4]):
            state = model.decoder.state_after((window(**batch(chunk)).logits[0] + state)[None], 1)[0]
        expected = window(**batch([8, 2, 11])).logits[0] + state
        torch.testing.assert_close(model(**batch([3, 9, 4, 8, 2, 11])).logits[0], expected)


def test_explanations_add_up_to_the_logit():
    model, texts = small_model(ranked_topk=2), batch([2, 9, 3, 3, 5], [8, 2])
    with torch.no_grad():
        shares = model.token_contributions(torch.arange(L), **texts)
        torch.testing.assert_close(shares.sum(dim=2) + model.decoder.bias, model(**texts).logits)
    assert (shares[1, :, 2:] == 0).all()


def test_blocks_of_labels_give_the_same_best_labels():
    model, texts = small_model(), batch([2, 9, 3, 3, 5], [8, 2])
    ids, scores = model.predict_topk(texts, k=2, block_size=1)
    expected = model(**texts).logits.sigmoid().topk(2)
    assert torch.equal(ids, expected.indices)
    torch.testing.assert_close(scores, expected.values)


def test_it_is_saved_and_opened_again(tmp_path):
    model, texts = small_model(), batch([2, 9, 3, 3, 5], [8, 2])
    model.save_pretrained(tmp_path)
    again = PlantForMultiLabelClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**texts).logits, model(**texts).logits)
    assert isinstance(again.decoder, XcubeLabelDecoder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"planting": "none"}, "needs `planting` to be 'attention', found 'none'"),
        ({"planted_readout": 1.0}, "needs `planted_readout` to be None"),
        ({"window": 3, "stateful": True, "state_gradient_chunks": 1}, "needs `state_gradient_chunks` to be 0"),
    ],
)
def test_what_the_authors_have_not_got_is_refused(fields, message):
    with pytest.raises(Exception, match=message):
        small_config(**fields)
