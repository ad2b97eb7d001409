"""Tf-idf rows from token ids, their sums of vectors, the residual block under spectral norm."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.tfidf_bag import ResidualBlock, TfidfBag, occurrences, tfidf_shares
from hf_mlc.modeling.tfidf_path import tfidf_vectors, token_counts


IDS = torch.tensor([[7, 3, 7, 0, 5, 7], [4, 4, 9, 9, 9, 9], [0, 0, 0, 0, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()


def small_bag(**settings) -> TfidfBag:
    torch.manual_seed(0)
    bag = TfidfBag(LightDxmlConfig(**{"vocab_size": 12, "embed_dim": 6, "embedding_dropout": 0.0, **settings}))
    if bag.has_idf:
        bag.idf.copy_(torch.linspace(0.5, 3, 12))
    return bag


def test_occurrences_are_counted_among_the_places_that_count():
    # 7 stands three times, and in the second row two of the 9s are padding's neighbours that don't count
    assert occurrences(IDS, MASK).tolist() == [[3, 1, 3, 1, 1, 3], [2, 2, 1, 1, 1, 1], [1] * 6]


def test_shares_of_a_tokens_places_add_up_to_its_tfidf_weight():
    idf = torch.linspace(0.5, 3, 12)
    shares = tfidf_shares(IDS, MASK, idf)
    rows = torch.zeros(3, 12).scatter_add(1, IDS, shares)
    torch.testing.assert_close(rows, tfidf_vectors(token_counts(IDS, MASK, 12), idf))
    assert rows.norm(dim=1).tolist() == pytest.approx([1, 1, 0])
    assert shares[~MASK].abs().sum() == 0


def test_a_weight_worked_out_by_hand():
    # (1 + ln 2) x 2 and 1 x 3: 3.386294 and 3, of length 4.524045
    shares = tfidf_shares(
        torch.tensor([[1, 2]]), torch.ones(1, 2).bool(), torch.tensor([9.0, 2, 3]), torch.tensor([[2, 1]])
    )
    assert shares[0].tolist() == pytest.approx([3.386294 / 4.524045, 3 / 4.524045], abs=1e-6)


def test_counts_beside_distinct_ids_give_what_repeated_ids_give():
    bag = small_bag()
    repeated = bag.encode(input_ids=torch.tensor([[7, 3, 7, 5, 7]])).vector
    counted = bag.encode(input_ids=torch.tensor([[3, 5, 7, 0]]), token_counts=torch.tensor([[1, 1, 3, 0]])).vector
    assert repeated.abs().sum() > 0
    torch.testing.assert_close(repeated, counted)


def test_the_bag_is_the_rectified_product_of_row_and_table():
    bag = small_bag()
    known = MASK & (IDS != 1)
    rows = tfidf_vectors(token_counts(IDS, known, 12), bag.idf)
    expected = torch.relu(rows @ bag.embeddings.word_embeddings.weight)
    torch.testing.assert_close(bag.encode(input_ids=IDS, attention_mask=MASK).vector, expected)
    assert expected[2].tolist() == [0] * 6


def test_the_sum_may_be_left_as_it_is():
    plain, rectified = small_bag(embedding_activation="none"), small_bag()
    assert torch.equal(plain.embeddings.word_embeddings.weight, rectified.embeddings.word_embeddings.weight)
    found = plain.encode(IDS, MASK.long()).vector
    assert (found < 0).any()
    assert torch.equal(found.relu(), rectified.encode(IDS, MASK.long()).vector)


def test_unknown_tokens_and_those_of_idf_0_count_for_nothing():
    bag = small_bag()
    bag.idf[4] = 0
    plain = bag.encode(input_ids=torch.tensor([[7, 3]])).vector
    torch.testing.assert_close(bag.encode(input_ids=torch.tensor([[1, 7, 4, 3, 1]])).vector, plain)
    assert bag.encode(input_ids=torch.tensor([[1, 4]])).vector.abs().sum() == 0


def test_given_weights_are_taken_as_they_are():
    bag = small_bag(encoder="features", unk_token_id=None)
    weights = torch.tensor([[0.6, -0.8, 5.0]])
    table = bag.embeddings.word_embeddings.weight
    found = bag.encode(input_ids=torch.tensor([[1, 2, 0]]), token_weights=weights).vector
    torch.testing.assert_close(found, torch.relu(0.6 * table[1] - 0.8 * table[2])[None])
    with pytest.raises(ValueError, match="`token_weights` are needed by the encoder 'features'"):
        bag.encode(input_ids=torch.tensor([[1, 2, 0]]))


def test_vectors_in_place_of_the_tables_give_the_same():
    bag = small_bag()
    vectors = bag.embeddings.word_embeddings(IDS)
    expected = bag.encode(input_ids=IDS, attention_mask=MASK).vector
    vectors = vectors.masked_fill(~MASK[..., None], float("nan"))
    found = bag.encode(input_ids=IDS, attention_mask=MASK, inputs_embeds=vectors, output_hidden_states=True)
    torch.testing.assert_close(found.vector, expected)
    assert found.hidden_states[0].shape == (3, 6, 6)
    with pytest.raises(ValueError, match="`input_ids` are needed"):
        bag.encode(inputs_embeds=vectors)


def test_sparse_gradients_are_the_dense_ones():
    gradients = []
    for sparse in (False, True):
        bag = small_bag(sparse_gradients=sparse)
        bag.encode(input_ids=IDS, attention_mask=MASK).vector.square().sum().backward()
        gradients.append(bag.embeddings.word_embeddings.weight.grad)
    assert not gradients[0].is_sparse
    assert gradients[1].is_sparse
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[1].to_dense(), gradients[0])
    # nothing but the rows that were read
    assert set(gradients[1].coalesce().indices()[0].tolist()) == {3, 4, 5, 7, 9}


def test_idf_and_table_are_drawn_anew_by_reset():
    bag = small_bag()
    table = bag.embeddings.word_embeddings
    with torch.no_grad():
        table.weight.fill_(9)
    table.reset_parameters()
    bag.reset_parameters()
    bound = 2**0.5 * (6 / (12 + 6)) ** 0.5  # Xavier's, with the gain of a ReLU
    assert table.weight[0].tolist() == [0] * 6
    assert 0 < table.weight.abs().max() <= bound
    assert bag.idf.tolist() == [1] * 12


def test_tokens_that_are_added_later_count_for_nothing_at_first():
    model = LightDxmlForMultiLabelClassification(LightDxmlConfig(vocab_size=12, embed_dim=6, num_labels=3)).eval()
    with_new, without = torch.tensor([[3, 13, 7]]), torch.tensor([[3, 7]])
    expected = model.encode(input_ids=without)
    model.resize_token_embeddings(14)
    assert model.encoder.idf.tolist() == [1] * 12 + [0] * 2
    torch.testing.assert_close(model.encode(input_ids=with_new), expected)
    model.resize_token_embeddings(8)
    torch.testing.assert_close(model.encode(input_ids=without), expected)


# -- the residual block ------------------------------------------------------------------------------------------------


def small_block(**settings) -> ResidualBlock:
    block = ResidualBlock(LightDxmlConfig(**{"embed_dim": 5, "residual_dropout": 0.0, **settings}))
    block.reset_parameters()
    return block


def test_it_starts_by_doubling_what_is_positive():
    vectors = torch.tensor([[1.0, -2.0, 0.5, 0.0, 3.0]])
    assert small_block()(vectors).tolist() == [pytest.approx([2.0, -2.0, 1.0, 0.0, 6.0])]


def test_the_scale_becomes_the_largest_singular_value():
    block, plain = small_block(), small_block(spectral_norm=False)
    torch.manual_seed(0)
    weight = torch.randn(5, 5)
    for part in (block, plain):
        with torch.no_grad():
            part.weight.copy_(weight)
    for _ in range(60):
        block._seen = None
        block(torch.zeros(1, 5))
    vectors = torch.randn(3, 5)
    largest = torch.linalg.matrix_norm(weight, 2)
    torch.testing.assert_close(
        block.eval()(vectors), vectors + F.relu(vectors @ weight.T / largest), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(plain(vectors), vectors + F.relu(vectors @ weight.T))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "fused"])
def test_the_iteration_goes_on_once_a_step_of_the_optimiser(optimizer):
    block = small_block()
    make = {
        "sgd": lambda parts: torch.optim.SGD(parts, lr=0.5),
        "adamw": lambda parts: torch.optim.AdamW(parts, lr=0.5),
        "fused": lambda parts: torch.optim.AdamW(parts, lr=0.5, fused=True),
    }
    steps = make[optimizer](block.parameters())
    torch.manual_seed(0)
    vectors, seen = torch.randn(4, 5).abs(), []
    for _ in range(3):
        for _ in range(2):  # two batches of one step
            (block(vectors) * torch.arange(5.0)).sum().backward()
            seen.append(block.left.clone())
        steps.step()
    assert all(torch.equal(*pair) for pair in (seen[0:2], seen[2:4], seen[4:6]))
    assert not any(torch.equal(*pair) for pair in (seen[1:3], seen[3:5]))
    block.eval()(vectors)
    assert torch.equal(block.left, seen[5])


def test_a_block_read_from_a_checkpoint_goes_on_as_the_first_one_does():
    block = small_block()
    steps = torch.optim.SGD(block.parameters(), lr=0.5)
    vectors = torch.rand(4, 5)
    block(vectors).square().sum().backward()
    steps.step()
    again = small_block()
    again.load_state_dict(copy.deepcopy(block.state_dict()))
    assert torch.equal(block(vectors), again(vectors))
    assert torch.equal(block.left, again.left)


def test_a_compiled_block_follows_its_norm_while_it_trains():
    torch.manual_seed(0)
    eager = small_block(spectral_norm=True).train()
    block, before = copy.deepcopy(eager), eager.left.clone()
    torch.compiler.reset()
    try:
        compiled = torch.compile(block, backend="eager")
        for _ in range(5):
            vectors, change = torch.randn(4, 5), torch.randn(5, 5)
            for one in (eager, block):
                one.weight.data.add_(change)
            torch.testing.assert_close(compiled(vectors), eager(vectors))
    finally:
        torch.compiler.reset()
    assert torch.equal(block.left, eager.left) and not torch.equal(eager.left, before)
