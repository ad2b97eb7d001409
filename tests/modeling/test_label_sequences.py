"""Label sets as sequences: order, padding, duplicates, and the way back."""

from __future__ import annotations

import itertools

import torch

from hf_mlc.modeling.label_sequences import (
    BOS,
    EOS,
    LABEL_OFFSET,
    PAD,
    decoder_inputs,
    frequency_ranks,
    label_sets,
    ordered_sequences,
    random_sequences,
    ranks_of_order,
    sets_of_sequences,
    unique_label_ids,
)


RANKS = torch.tensor([2, 0, 3, 1])  # label 1, then 3, 0, 2
LABEL_IDS = torch.tensor([[0, 1, 2], [2, -100, 3], [-100, -100, -100]])


def test_labels_go_by_rank_then_the_end_then_padding():
    assert ordered_sequences(LABEL_IDS, RANKS).tolist() == [[4, 3, 5, 2], [6, 5, 2, 0], [2, 0, 0, 0]]


def test_a_label_that_stands_twice_is_written_once():
    twice = torch.tensor([[1, 0, 1, 2, 0, 1], [3, -100, 3, 2, 3, -100], [-100] * 6])
    assert torch.equal(ordered_sequences(twice, RANKS), ordered_sequences(LABEL_IDS, RANKS))


def test_the_order_in_the_data_and_the_place_of_padding_change_nothing():
    for permutation in itertools.permutations(range(3)):
        permuted = LABEL_IDS[:, list(permutation)]
        assert torch.equal(ordered_sequences(permuted, RANKS), ordered_sequences(LABEL_IDS, RANKS))


def test_a_document_among_others_has_the_sequence_it_has_alone():
    together = ordered_sequences(LABEL_IDS, RANKS)
    for row, ids in enumerate(LABEL_IDS):
        alone = ordered_sequences(ids[None], RANKS)[0]
        assert together[row].tolist() == alone.tolist() + [PAD] * (together.shape[1] - len(alone))


def test_ranks_may_be_any_numbers_of_each_document_and_equal_ones_go_by_id():
    assert ordered_sequences(LABEL_IDS[:1], torch.tensor([7.5, -1.0, 100.0, 0.0])).tolist() == [[4, 3, 5, 2]]
    assert ordered_sequences(LABEL_IDS[:1].flip(1), torch.zeros(4, dtype=torch.int64)).tolist() == [[3, 4, 5, 2]]
    own = torch.stack([RANKS, -RANKS, RANKS])
    assert ordered_sequences(LABEL_IDS, own).tolist() == [[4, 3, 5, 2], [5, 6, 2, 0], [2, 0, 0, 0]]


def test_no_columns_and_no_documents_are_the_end_alone():
    assert ordered_sequences(torch.zeros(2, 0, dtype=torch.int64), RANKS).tolist() == [[EOS], [EOS]]
    assert ordered_sequences(torch.zeros(0, 3, dtype=torch.int64), RANKS).shape == (0, 1)


def test_every_set_comes_back_from_its_sequence():
    subsets = [ids for size in range(5) for ids in itertools.combinations(range(4), size)]
    padded = torch.tensor([list(ids) + [-100] * (4 - len(ids)) for ids in subsets])
    sets = sets_of_sequences(ordered_sequences(padded, RANKS), 4)
    assert [tuple(row.nonzero().flatten().tolist()) for row in sets] == subsets
    assert torch.equal(sets, label_sets(padded, 4))


def test_what_follows_the_end_is_no_label():
    # the search of transformers fills its tail with the end, or with whatever id padding has
    written = torch.tensor([[BOS, 3, EOS, 4, 5], [4, 4, EOS, EOS, EOS], [5, 3, 4, 6, PAD]])
    assert sets_of_sequences(written, 4).int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]


def test_the_decoder_reads_what_it_was_to_write_one_step_before():
    sequences = ordered_sequences(LABEL_IDS, RANKS)
    assert decoder_inputs(sequences).tolist() == [[1, 4, 3, 5], [1, 6, 5, 2], [1, 2, 0, 0]]


def test_unique_ids_are_ascending_with_their_number():
    ids, counts = unique_label_ids(torch.tensor([[5, 2, 5, -1], [-100, -100, -100, -100]]))
    assert ids.tolist() == [[2, 5, -100, -100], [-100] * 4] and counts.tolist() == [2, 0]


def test_each_random_order_is_as_likely_as_any_other_and_documents_have_their_own():
    torch.manual_seed(0)
    label_ids = torch.tensor([[0, 1, 2]]).expand(6000, -1)
    sequences = random_sequences(label_ids)
    orders, counts = sequences[:, :3].unique(dim=0, return_counts=True)
    assert len(orders) == 6 and (sequences[:, :3].sort(dim=1).values == torch.arange(3) + LABEL_OFFSET).all()
    # 1,000 of each expected, standard deviation 29
    assert (counts - 1000).abs().max() < 120


def test_random_orders_differ_from_batch_to_batch_and_come_again_with_the_state_of_the_generator():
    torch.manual_seed(3)
    label_ids = torch.arange(50).expand(4, -1)
    first, state = random_sequences(label_ids), torch.get_rng_state()
    second = random_sequences(label_ids)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(random_sequences(label_ids), second)


def test_random_orders_draw_for_the_places_of_the_list_whatever_the_number_of_labels():
    torch.manual_seed(0)
    found = random_sequences(torch.tensor([[10**9, -100, 7, 7], [-100] * 4]))
    assert found.shape == (2, 3) and sorted(found[0].tolist()) == [EOS, 10, 10**9 + LABEL_OFFSET]
    assert found[0, 2] == EOS and found[1].tolist() == [EOS, PAD, PAD]
    state = torch.get_rng_state()
    torch.manual_seed(0)
    torch.rand(2, 4)
    assert torch.equal(torch.get_rng_state(), state)


def test_ranks_by_frequency_and_of_a_list():
    assert frequency_ranks([1, 5, 0, 5]) == [2, 0, 3, 1]
    assert ranks_of_order([3, 0, 2, 1]) == [1, 3, 2, 0]
