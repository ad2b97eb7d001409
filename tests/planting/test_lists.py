"""Lists for the ranker: what is in them, and what never is."""

from __future__ import annotations

import numpy as np
import pytest

from hf_mlc.planting.grades import GradeTable, graded_targets
from hf_mlc.planting.lists import ListSampler


@pytest.fixture
def sampler(corpus):
    return ListSampler(
        corpus.store, corpus.presence, corpus.labels, num_stored=2, num_met=10, num_random=10, held_out=0.3, seed=3
    )


def pairs(lists):
    return {
        (int(label), int(token))
        for row, label in enumerate(lists.label_ids)
        for token in lists.token_ids[row][lists.mask[row]]
    }


def test_grades_are_looked_up_by_token_and_label(corpus):
    table = GradeTable(corpus.store, num_grades=8)
    expected = graded_targets(corpus.store.values, 50, num_grades=8)
    for label in range(6):
        found = table.of_keys(table.keys(np.arange(50), label))
        stored = {int(t): g for t, g in zip(corpus.store.token_ids[label], expected[label], strict=True) if t >= 0}
        assert found.tolist() == [stored.get(token, 0.0) for token in range(50)]
    assert table.label_ids.tolist() == [0, 1, 2, 3, 4]  # 5 has no document


def test_a_list_holds_each_token_once_with_its_grade(corpus, sampler):
    table = GradeTable(corpus.store, num_grades=8)
    lists = sampler.training_lists(np.array([0, 3, 4]), np.random.default_rng(0))
    for row, label in enumerate(lists.label_ids.tolist()):
        tokens = lists.token_ids[row][lists.mask[row]].numpy()
        assert len(tokens) == len(set(tokens.tolist()))
        grades = lists.grades[row][lists.mask[row]].numpy()
        assert np.array_equal(grades, table.of_keys(table.keys(tokens, label)))
        assert (grades == 0).any()
    assert (lists.grades > 0).any()
    assert (lists.grades[~lists.mask] == 0).all()


def test_held_out_pairs_are_never_in_a_training_list(corpus, sampler):
    rng, labels = np.random.default_rng(0), np.arange(5)
    trained = set().union(*(pairs(sampler.training_lists(labels, rng)) for _ in range(50)))
    held_out = set().union(*(pairs(sampler.held_out_lists(labels, rng)) for _ in range(5)))
    assert held_out and not trained & held_out
    # between them they come to all pairs there are, nearly
    assert len(trained) + len(held_out) > 0.95 * 5 * 50
    assert len(held_out) == pytest.approx(0.3 * 5 * 50, rel=0.3)


def test_all_stored_pairs_are_trained_on_or_held_out(corpus, sampler):
    rng, labels = np.random.default_rng(1), np.arange(5)
    seen = set().union(*(pairs(sampler.training_lists(labels, rng)) for _ in range(20)))
    seen |= pairs(sampler.held_out_lists(labels, rng))
    places = np.argwhere(corpus.store.token_ids >= 0)
    assert {(int(label), int(corpus.store.token_ids[label, place])) for label, place in places} <= seen


def test_the_same_seed_draws_the_same_lists(corpus):
    one, other = (
        ListSampler(corpus.store, corpus.presence, corpus.labels, seed=1).training_lists(
            np.arange(5), np.random.default_rng(2)
        )
        for _ in range(2)
    )
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_label_whose_documents_are_empty_still_has_lists(corpus):
    empty = corpus.presence.copy()
    empty.data[:] = 0
    empty.eliminate_zeros()
    lists = ListSampler(corpus.store, empty, corpus.labels).training_lists(np.arange(5), np.random.default_rng(0))
    assert lists.mask.any(dim=1).all() and (lists.token_ids >= 0).all()
