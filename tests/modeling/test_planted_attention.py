"""Planted attention against plain dense computations, and by hand."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling import planted_attention
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.planted_attention import MutualInformationAttention, RankedAttention, TokenIndex


V, L, K = 12, 4, 5


def config(**fields) -> PlantConfig:
    defaults = {"vocab_size": V, "num_labels": L, "stored_tokens": K, "rank_size": 3, "planting": "attention"}
    return PlantConfig(**{**defaults, "encoder": "bag_of_words", "hidden_size": 8, **fields})


def documents(*rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids padded with 7, which must not be read, and their mask."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [7] * (width - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return ids, mask


def lists(part: MutualInformationAttention, rows: dict[int, dict[int, float]]) -> MutualInformationAttention:
    """Fills the lists of some labels: token -> value, best first."""
    for label, content in rows.items():
        for place, (token, value) in enumerate(content.items()):
            part.tokens[label, place], part.values[label, place] = token, value
    return part


def ranked(top_k: int, *, seed: int = 0) -> RankedAttention:
    part = RankedAttention(config(ranked_topk=top_k))
    generator = torch.Generator().manual_seed(seed)
    for parameter in part.parameters():
        parameter.data.normal_(generator=generator)
    return part


def dense_ranked(part: RankedAttention, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same in one line a step, a label at a time: scores, best places (equal scores: the first), softmax."""
    scores = part.label_factors @ part.token_factors[ids].transpose(1, 2) + part.token_bias[ids][:, None]
    weights = torch.zeros_like(scores)
    for document in range(len(ids)):
        places = mask[document].nonzero().squeeze(1)
        for label in range(L):
            row = scores[document, label, places]
            best = places[row.argsort(descending=True, stable=True)[: part.top_k]]
            weights[document, label, best] = torch.softmax(scores[document, label, best], dim=0)
    return weights


def test_each_label_keeps_its_first_listed_tokens_in_the_document():
    part = MutualInformationAttention(config(mutual_information_topk=2, mutual_information_scale="none"))
    lists(part, {0: {5: 0.5, 3: 0.25, 2: 0.125}, 1: {9: 0.5, 2: 0.25}})
    ids, mask = documents([2, 3, 4, 5], [2, 2, 4])
    kept = part(TokenIndex.of(ids, mask, V))
    expected = torch.zeros(2, L, 4)
    expected[0, 0, 3], expected[0, 0, 1] = 0.5, 0.25  # tokens 5 and 3; token 2 is one too many
    expected[0, 1, 0] = 0.25  # token 9 isn't there
    expected[1, 0, 0] = expected[1, 0, 1] = 0.125  # token 2 stands there twice
    expected[1, 1, 0] = expected[1, 1, 1] = 0.25
    assert torch.equal(kept.dense(4), expected)  # labels 2 and 3 have no list


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("none", [0.25, 0.125]),
        ("document", [2 / 3, 1 / 3]),
        ("label", [1 / 3, 1 / 6]),  # by 0.5 + 0.25, what the label could have had at best
    ],
)
def test_what_the_kept_values_are_divided_by(scale, expected):
    part = MutualInformationAttention(config(mutual_information_topk=2, mutual_information_scale=scale))
    lists(part, {0: {5: 0.5, 3: 0.25, 2: 0.125}})
    kept = part(TokenIndex.of(*documents([3, 2]), V))
    torch.testing.assert_close(kept.dense(2)[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("top_k", [1, 3, 5])
def test_inattention_keeps_exactly_k_places(top_k):
    part = MutualInformationAttention(config(mutual_information_topk=top_k))
    lists(part, {label: {token: 1 / token for token in range(1 + label, 6 + label)} for label in range(L)})
    ids, mask = documents([1, 2, 3, 4, 5, 6, 7, 8, 5, 5], [4, 4, 4, 4, 4, 5])
    index = TokenIndex.of(ids, mask, V)
    for kept in (part(index), ranked(top_k)(index, ids, mask)):
        assert (kept.dense(10) > 0).sum(dim=2).tolist() == [[top_k] * L, [top_k] * L]


@pytest.mark.parametrize("top_k", [1, 2, 4, 20])
def test_ranked_attention_equals_the_plain_form_with_its_gradients(top_k):
    part = ranked(top_k)
    ids, mask = documents([3, 1, 3, 3, 2, 9, 4], [8, 8, 1], [5])
    weights = part(TokenIndex.of(ids, mask, V), ids, mask).dense(7)
    expected = dense_ranked(part, ids, mask)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, L))
    assert (weights[~mask[:, None].expand_as(weights)] == 0).all()
    probe = torch.randn(weights.shape, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad((weights * probe).sum(), list(part.parameters()))
    wanted = torch.autograd.grad((expected * probe).sum(), list(part.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_blocks_of_labels_change_nothing(monkeypatch):
    ids, mask = documents([3, 1, 3, 3, 2, 9, 4], [8, 8, 1])
    information = lists(MutualInformationAttention(config()), {0: {3: 0.5, 1: 0.2}, 2: {8: 0.1}, 3: {4: 1.0}})
    index, ranker = TokenIndex.of(ids, mask, V), ranked(3)
    whole = [information(index).dense(7), ranker(index, ids, mask).dense(7)]
    monkeypatch.setattr(planted_attention, "BLOCK_CELLS", 1)  # one label a block
    assert torch.equal(information(index).dense(7), whole[0])
    torch.testing.assert_close(ranker(index, ids, mask).dense(7), whole[1])


def test_no_labels_are_given_no_places():
    ids, mask = documents([3, 1, 3], [8, 8])
    index, none = TokenIndex.of(ids, mask, V), torch.zeros(0, dtype=torch.long)
    for kept in (MutualInformationAttention(config())(index, none), ranked(3)(index, ids, mask, none)):
        assert kept.dense(3).shape == (2, 0, 3)
        assert kept.context(torch.ones(2, 3, 5)).shape == (2, 0, 5)


def test_the_context_is_the_weighted_sum_of_the_token_vectors_with_its_gradients():
    ids, mask = documents([3, 1, 3, 3, 2, 9, 4], [8, 8, 1])
    part, hidden = ranked(3), torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    kept = part(TokenIndex.of(ids, mask, V), ids, mask)
    context, expected = kept.context(hidden), kept.dense(7) @ hidden
    torch.testing.assert_close(context, expected)
    inputs = [hidden, *part.parameters()]
    found = torch.autograd.grad(context.square().sum(), inputs, retain_graph=True)
    for one, other in zip(found, torch.autograd.grad(expected.square().sum(), inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_a_document_without_tokens_is_given_no_weight():
    ids, mask = documents([3, 1], [])
    index = TokenIndex.of(ids, mask, V)
    information = lists(MutualInformationAttention(config()), {0: {7: 0.5, 3: 0.2}})
    assert (information(index).weights[1] == 0).all()
    weights = ranked(2)(index, ids, mask).weights
    assert (weights[1] == 0).all()
    weights.sum().backward()  # and no gradient that isn't a number


@pytest.mark.parametrize("ask", ["token_weights", "token_contributions", "label_logits", "predict_topk"])
def test_word_vectors_alone_are_refused_in_one_line(ask):
    model, vectors = PlantForMultiLabelClassification(config()).eval(), torch.randn(1, 3, 8)
    with pytest.raises(ValueError, match="looks tokens up by their `input_ids`, and none were given"):
        if ask == "predict_topk":
            model.predict_topk({"inputs_embeds": vectors}, k=1)
        else:
            getattr(model, ask)(torch.tensor([0]), inputs_embeds=vectors)


# -- the decoder that remembers ---------------------------------------------------------------------------------------


def long_model(**fields) -> PlantForMultiLabelClassification:
    torch.manual_seed(0)
    dropouts = dict.fromkeys(("word_dropout", "embedding_dropout", "hidden_dropout"), 0.0)
    model = PlantForMultiLabelClassification(
        config(
            ranked_attention=False, window=3, stateful=True, chunk_length=2, embedding_std=1.0, **dropouts, **fields
        )
    )
    return model.eval()


def logits_of(model, tokens: list[int], state: torch.Tensor) -> torch.Tensor:
    """Logits of a document that fits into the window."""
    return model(torch.tensor([tokens])).logits[0] + state


def state_of(logits: torch.Tensor, k: int) -> torch.Tensor:
    scores = logits.sigmoid()
    return torch.where(scores >= scores.topk(k).values[-1], scores, 0.0)


def test_the_state_goes_from_chunk_to_chunk_and_into_the_window():
    model, tokens = long_model(state_topk=2), [3, 9, 4, 5, 6, 8, 2, 11]
    with torch.no_grad():
        state = torch.zeros(L)
        for chunk in ([3, 9], [4, 5], [6]):  # five tokens before the window of three: the last chunk is short
            state = state_of(logits_of(model, chunk, state), 2)
        assert (state > 0).sum() == 2
        torch.testing.assert_close(model(torch.tensor([tokens])).logits[0], logits_of(model, [8, 2, 11], state))


def test_without_state_only_the_window_is_read():
    model = long_model()
    model.config.stateful = False
    with torch.no_grad():
        found = model(torch.tensor([[3, 9, 4, 5, 6, 8, 2, 11]])).logits
        torch.testing.assert_close(found, model(torch.tensor([[8, 2, 11]])).logits)


@pytest.mark.parametrize(("chunks", "reached"), [(0, []), (1, [6]), (2, [4, 5, 6]), (9, [3, 9, 4, 5, 6])])
def test_gradients_go_back_through_the_last_chunks_alone(chunks, reached):
    model, tokens = long_model(state_topk=L, state_gradient_chunks=chunks), [3, 9, 4, 5, 6, 8, 2, 11]
    # beside a shorter document, which has chunks of its own
    ids = torch.tensor([tokens, [10, 10, 10, 10, 0, 0, 0, 0]])
    model(ids).logits[0].sum().backward()
    gradient = model.get_input_embeddings().weight.grad
    with_gradient = [token for token in tokens if gradient[token].abs().sum() > 0]
    assert with_gradient == [*reached, 8, 2, 11]


@pytest.mark.parametrize(("chunks", "kept"), [(0, []), (1, [1, 1]), (9, [2, 1, 1])])
def test_only_chunks_that_gradients_go_back_through_are_kept(chunks, kept):
    """A document that was read before others, or has nothing before its window, makes no chunk of theirs be kept."""
    model, rows = long_model(state_topk=L, state_gradient_chunks=chunks), []
    forward = model.decoder.forward
    model.decoder.forward = lambda hidden, *parts: (
        rows.append((len(hidden), torch.is_grad_enabled())),
        forward(hidden, *parts),
    )[1]
    # three chunks, one chunk and none before their windows; the last call is of the windows
    model(torch.tensor([[3, 9, 4, 5, 6, 8, 2, 11], [10, 10, 10, 10, 0, 0, 0, 0], [9, 9, 9, 0, 0, 0, 0, 0]]))
    *early, window = rows
    assert window == (3, True)
    assert [number for number, learns in early if learns] == kept
    assert sum(number for number, _ in early) == 4  # a document's chunks, and no more


@pytest.mark.parametrize("training", [True, False])
def test_the_expected_token_is_that_of_the_vectors_before_dropout(training):
    model = PlantForMultiLabelClassification(config(encoder="awd_lstm", ranked_tokens="expected", hidden_dropout=0.9))
    model.train(training)
    asked, ranked_ids = [], model._ranked_ids
    model._ranked_ids = lambda hidden: (asked.append(hidden), ranked_ids(hidden))[1]
    hidden = model(torch.tensor([[3, 9, 4, 5, 6]]), output_hidden_states=True).hidden_states[-1]
    assert torch.equal(asked[0], hidden)


# -- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"planting": "none"}, {"query"}),
        ({"planting": "none", "learned_attention": False}, {"query"}),  # the switches are planting's
        ({"planting": "pretrain"}, {"query"}),
        ({}, {"query", "mutual_information", "ranked"}),
        ({"learned_attention": False}, {"mutual_information", "ranked"}),
        ({"ranked_attention": False, "attention_mix": "learned"}, {"query", "mutual_information", "mix"}),
        ({"mutual_information_attention": False}, {"query", "ranked"}),
    ],
)
def test_every_part_can_be_switched_off(fields, parts):
    model = PlantForMultiLabelClassification(config(**fields))
    names = ("query", "mutual_information", "ranked", "mix")
    assert {name for name in names if getattr(model.decoder, name) is not None} == parts
    assert model(torch.tensor([[3, 4, 5]])).logits.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict.fromkeys(("learned_attention", "mutual_information_attention", "ranked_attention"), False), "at least one"),
        ({"ranked_topk": 0}, "`ranked_topk` must be 1 or more"),
        ({"window": 0}, "`window` must be 1 or more"),
        ({"state_gradient_chunks": -1}, "must not be negative"),
        ({"stateful": True}, "`stateful` is about what stands before the `window`, found none"),
        ({"window": 3, "state_gradient_chunks": 2}, "`state_gradient_chunks` is of `stateful`, found 2 alone"),
        ({"planting": "seeds"}, "planting"),
    ],
)  # fmt: skip
def test_settings_that_make_no_model_are_refused(fields, message):
    with pytest.raises(Exception, match=message):
        config(**fields)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_of_tokens_that_score_the_same_the_first_are_kept_beside_longer_texts_too(top_k):
    part = ranked(top_k)
    with torch.no_grad():  # as of tokens that no training document has
        part.token_factors[4:] = 0
        part.token_bias[4:] = 0.25
    text = [11, 5, 9, 3, 8, 10, 6, 4]
    alone, mask = documents(text)
    expected = dense_ranked(part, alone, mask)
    for longer in range(9, 60, 7):
        ids, mask_of_both = documents(text, [n % V for n in range(longer)])
        found = part(TokenIndex.of(ids, mask_of_both, V), ids, mask_of_both).dense(longer)[:1, :, : len(text)]
        torch.testing.assert_close(found, expected)


def test_the_first_of_equal_scores_is_the_best_whatever_their_sign():
    scores = torch.tensor([[[0.0, -0.0, 1.0, 1.0, -2.0, -2.0, -torch.inf, torch.inf, -1.5]]])
    assert planted_attention._first_best(scores, 9).tolist() == [[[7, 2, 3, 0, 1, 8, 4, 5, 6]]]


def test_a_vocabulary_that_grows_is_refused_where_each_token_has_a_planted_row():
    with pytest.raises(ValueError, match="train a new model with the larger vocabulary"):
        PlantForMultiLabelClassification(config()).resize_token_embeddings(V + 3)
    model = PlantForMultiLabelClassification(config(planting="none"))
    assert model.resize_token_embeddings(V + 3).weight.shape[0] == V + 3
