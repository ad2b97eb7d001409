"""Vectors out of texts: the counts and the information by hand, the factoring against numpy's, words that are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from hf_mlc.word_vectors import corpus
from hf_mlc.word_vectors.corpus import cooccurrences, corpus_vectors, positive_pmi
from hf_mlc.word_vectors.factoring import truncated_svd


def test_neighbours_are_counted_by_nearness_and_within_one_text(monkeypatch):
    # window 2: next to each other 1, two apart 1/2.   text 1: 0 1 0 2, text 2: 2 1
    texts = [np.array([0, 1, 0, 2]), np.array([2, 1]), np.array([3]), np.array([], int)]
    #  1 apart: (0,1) (1,0) (0,2) | (2,1);  2 apart: (0,0) (1,2)
    expected = np.zeros((4, 4))
    for one, other, weight in ((0, 1, 1), (1, 0, 1), (0, 2, 1), (2, 1, 1), (0, 0, 0.5), (1, 2, 0.5)):
        expected[one, other] += weight
        expected[other, one] += weight
    np.testing.assert_allclose(cooccurrences(texts, 4, window=2).toarray(), expected)
    monkeypatch.setattr(corpus, "_TOKENS_AT_ONCE", 1)  # a text at a time
    np.testing.assert_allclose(cooccurrences(texts, 4, window=2).toarray(), expected)


def test_information_equals_a_number_worked_out_by_hand():
    counts = sparse.csr_array(np.array([[0.0, 3.0, 1.0], [3.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    # rows 4, 3, 1; contexts 4, 3, 1 to the power of 3/4: 2.828427, 2.279507, 1, their sum 6.107934
    found = positive_pmi(counts).toarray()
    contexts = [4**0.75, 3**0.75, 1.0]
    assert found[0, 1] == pytest.approx(math.log(3 * sum(contexts) / (4 * contexts[1])))
    assert found[0, 1] == pytest.approx(0.697947, abs=1e-6)  # log(18.323801 / 9.118028)
    assert found[1, 0] == pytest.approx(math.log(3 * sum(contexts) / (3 * contexts[0])))
    assert found[1, 1] == found[2, 2] == 0
    # what meets less often than by chance has none
    fewer = positive_pmi(sparse.csr_array(np.array([[90.0, 1.0], [1.0, 8.0]]))).toarray()
    assert fewer[0, 1] == 0 and fewer[1, 1] > 0


def test_the_factoring_is_that_of_the_whole_decomposition():
    generator = np.random.default_rng(0)
    scale = 2.0 ** -np.arange(30)
    dense = (np.linalg.qr(generator.standard_normal((40, 30)))[0] * scale) @ np.linalg.qr(
        generator.standard_normal((30, 30))
    )[0]
    left, values, right = truncated_svd(sparse.csr_array(dense), 6)
    np.testing.assert_allclose(values, np.linalg.svd(dense, compute_uv=False)[:6], rtol=1e-6)
    best = np.linalg.svd(dense, full_matrices=False)
    np.testing.assert_allclose((left * values) @ right.T, (best[0][:, :6] * best[1][:6]) @ best[2][:6], atol=1e-6)
    again = truncated_svd(sparse.csr_array(dense), 6)
    assert all(np.array_equal(one, other) for one, other in zip((left, values, right), again, strict=True))
    assert all(part.shape[-1] == 4 for part in truncated_svd(sparse.csr_array(np.eye(4)), 9)[::2])


def test_words_that_stand_in_like_places_get_like_vectors():
    generator = np.random.default_rng(1)
    # 0, 1: grains, among 4..7; 2, 3: metals, among 8..11
    texts = []
    for _ in range(300):
        kind = int(generator.integers(2))
        word, places = 2 * kind + int(generator.integers(2)), generator.permutation(4)
        texts.append(np.concatenate([4 + 4 * kind + places[:2], [word], 4 + 4 * kind + places[2:]]))
    vectors, found = corpus_vectors(texts, 14, 4)
    assert found.tolist() == [True] * 12 + [False] * 2
    assert not vectors[12:].any() and vectors.dtype == np.float32
    unit = vectors[:4] / np.linalg.norm(vectors[:4], axis=1, keepdims=True)
    alike = unit @ unit.T
    assert min(alike[0, 1], alike[2, 3]) > 0.9 > 0.3 > abs(alike[:2, 2:]).max()
    again, _ = corpus_vectors(texts, 14, 4)
    assert np.array_equal(vectors, again)


def test_texts_in_which_nothing_meets_give_no_vectors_and_width_may_exceed_the_words():
    vectors, found = corpus_vectors([np.array([1]), np.array([2])], 4, 3)
    assert not found.any() and not vectors.any()
    vectors, found = corpus_vectors([np.array([0, 1, 1, 0])], 3, 8)
    assert found.sum() == 2 and vectors.shape == (3, 8) and np.isfinite(vectors).all()
