"""Token-label statistics: against hand-worked tables, scikit-learn and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.planting.presence import count_labels, count_tokens
from hf_mlc.planting.statistics import TokenLabelStore, token_label_store


EXACT = {"smoothing": 0.0, "min_document_frequency": 1, "progress": False}


def table(rows) -> sparse.csr_array:
    return sparse.csr_array(np.array(rows, dtype=np.int32))


def random_tables(seed=0, num=60, vocab=40, labels=13):
    rng = np.random.default_rng(seed)
    tokens = (rng.random((num, vocab)) < rng.random(vocab)).astype(np.int32)
    return tokens, (rng.random((num, labels)) < 0.6 * rng.random(labels)).astype(np.int32)


def same(one: TokenLabelStore, other: TokenLabelStore) -> bool:
    return np.array_equal(one.token_ids, other.token_ids) and np.array_equal(one.values, other.values)


def test_tokens_are_counted_once_a_document_and_special_ones_not_at_all():
    counted = count_tokens([[5, 2, 5], [], np.array([0, 3])], 6, excluded_ids=(0, 2))
    assert counted.toarray().tolist() == [[0, 0, 0, 0, 0, 1], [0] * 6, [0, 0, 0, 1, 0, 0]]
    assert count_labels([[1, -100], [0, 1]], 2).toarray().tolist() == [[0, 1], [1, 1]]


def test_an_id_that_is_not_in_the_vocabulary_is_named_with_its_row():
    with pytest.raises(UserError, match=r"row 2, field 'input_ids': the id 6; accepted: 0 to 5"):
        count_tokens([[1], [6]], 6)
    with pytest.raises(UserError, match=r"row 1, field 'label_ids': the id -1"):
        count_labels([[-1]], 6)


def test_identical_columns_share_all_they_have_and_independent_ones_nothing():
    # 8 documents, the label on the first 4; token 0 is on the same 4, token 1 on half of each: independent
    tokens, labels = table([[1, 1]] * 2 + [[1, 0]] * 2 + [[0, 1]] * 2 + [[0, 0]] * 2), table([[1]] * 4 + [[0]] * 4)
    raw = token_label_store(tokens, labels, kind="raw", positive_only=False, num_tokens=3, **EXACT)
    assert raw.token_ids.tolist() == [[0, -1, -1]]  # a value of 0 isn't stored
    np.testing.assert_allclose(raw.values, [[math.log(2), 0, 0]], rtol=1e-7)  # H of a fair coin
    jaccard = token_label_store(tokens, labels, num_tokens=3, **EXACT)
    np.testing.assert_allclose(jaccard.values, [[1, 0, 0]], rtol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_scikit_learns_mutual_information(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    tokens, labels = random_tables(seed)
    raw = token_label_store(
        table(tokens), table(labels), kind="raw", positive_only=False, num_tokens=tokens.shape[1], **EXACT
    ).to_sparse()
    jaccard = token_label_store(
        table(tokens), table(labels), positive_only=False, num_tokens=tokens.shape[1], **EXACT
    ).to_sparse()
    for label in range(labels.shape[1]):
        for token in range(tokens.shape[1]):
            expected = metrics.mutual_info_score(labels[:, label], tokens[:, token])
            entropies = sum(
                metrics.mutual_info_score(column, column) for column in (labels[:, label], tokens[:, token])
            )
            assert raw[label, token] == pytest.approx(expected, rel=1e-5, abs=1e-9)
            joint = entropies - expected
            assert jaccard[label, token] == pytest.approx(expected / joint if joint else 0, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("positive_only", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 1.5])
def test_blocks_of_labels_agree_with_one_block(positive_only, smoothing):
    tokens, labels = map(table, random_tables())
    settings = {"num_tokens": 7, "smoothing": smoothing, "positive_only": positive_only, "progress": False}
    whole = token_label_store(tokens, labels, block_size=100, **settings)
    assert all(same(whole, token_label_store(tokens, labels, block_size=size, **settings)) for size in (1, 2, 5))


def test_the_best_of_a_short_list_are_the_best_of_a_long_one():
    tokens, labels = map(table, random_tables())
    long, short = (token_label_store(tokens, labels, num_tokens=k, **EXACT) for k in (40, 4))
    assert np.array_equal(long.token_ids[:, :4], short.token_ids) and np.array_equal(long.values[:, :4], short.values)
    assert (np.diff(long.values) <= 0).all()
    assert ((long.token_ids >= 0) == (long.values > 0)).all()


def test_equal_values_go_to_the_rarer_token_and_then_to_the_smaller_id():
    # four documents, the label on two: tokens 1 and 3 on exactly these, tokens 0 (3 documents) and 2 (1 document) share
    # as much with it as each other, by symmetry: 2 is on one of the label's, 0 misses one of the others
    labels = table([[1], [1], [0], [0]])
    tokens = table([[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
    store = token_label_store(tokens, labels, num_tokens=4, **EXACT)
    assert store.token_ids.tolist() == [[1, 3, 2, 0]]
    assert store.values[0, 0] == store.values[0, 1] and store.values[0, 2] == store.values[0, 3]


def test_tokens_whose_absence_marks_the_label_are_dropped_unless_asked_for():
    labels, tokens = table([[1], [1], [0], [0]]), table([[0, 1], [0, 1], [1, 0], [1, 0]])
    assert token_label_store(tokens, labels, num_tokens=2, **EXACT).token_ids.tolist() == [[1, -1]]
    both = token_label_store(tokens, labels, num_tokens=2, positive_only=False, **EXACT)
    assert both.token_ids.tolist() == [[0, 1]] and both.values.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("positive_only", [True, False])
def test_labels_of_no_document_or_of_all_and_tokens_of_no_document_or_of_all_tell_nothing(smoothing, positive_only):
    labels, tokens = table([[0, 1, 1], [0, 1, 0], [0, 1, 0]]), table([[0, 1, 1], [0, 1, 0], [0, 1, 0]])
    store = token_label_store(
        tokens,
        labels,
        num_tokens=3,
        smoothing=smoothing,
        positive_only=positive_only,
        min_document_frequency=0,
        progress=False,
    )
    assert store.token_ids.tolist() == [[-1] * 3, [-1] * 3, [2, -1, -1]]


def test_smoothing_lets_two_documents_say_more_than_one():
    labels = table([[1, 0], [0, 1], [0, 1], *[[0, 0]] * 20])
    tokens = table([[1, 0], [0, 1], [0, 1], *[[0, 0]] * 20])
    assert token_label_store(tokens, labels, num_tokens=1, **EXACT).values.tolist() == [[1.0], [1.0]]
    smooth = token_label_store(
        tokens, labels, num_tokens=1, smoothing=1.0, min_document_frequency=1, progress=False
    ).values[:, 0]
    assert 0 < smooth[0] < smooth[1] < 1


def test_smoothing_weighs_the_documents_that_speak_for_a_pair():
    # with the label 3, alone 1, label alone 1, neither 4; then token and label turned around: they avoid each other
    labels, tokens = table([[1]] * 4 + [[0]] * 5), table([[1, 0]] * 3 + [[0, 1]] + [[1, 0]] + [[0, 1]] * 4)
    settings = {"num_tokens": 2, "positive_only": False, "min_document_frequency": 1, "progress": False}
    exact, smooth = (token_label_store(tokens, labels, smoothing=s, **settings) for s in (0.0, 1.0))
    # token 1 is token 0 turned around, which shares as much; 3 documents speak for either
    assert exact.values[0, 0] == exact.values[0, 1] > 0
    np.testing.assert_allclose(smooth.values, exact.values * 3 / 4, rtol=1e-6)


def test_rare_tokens_can_be_left_out():
    labels, tokens = table([[1], [1], [0], [0]]), table([[1, 1], [0, 1], [0, 0], [0, 0]])
    settings = {"num_tokens": 2, "smoothing": 0.0, "progress": False}
    assert token_label_store(tokens, labels, min_document_frequency=2, **settings).token_ids.tolist() == [[1, -1]]
    assert token_label_store(tokens, labels, min_document_frequency=1, **settings).token_ids.tolist() == [[1, 0]]


def test_more_documents_than_a_small_integer_can_count():
    labels = sparse.csr_array(np.repeat([[1], [0]], 300, axis=0).astype(np.int8))
    store = token_label_store(labels.copy(), labels, num_tokens=1, **EXACT)  # 300 > 127
    assert store.token_ids.tolist() == [[0]] and store.values[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kind": "pmi"}, "'pmi'"),
        ({"smoothing": -1.0}, "field 'smoothing': -1.0"),
        ({"smoothing": math.nan}, "field 'smoothing'"),
        ({"num_tokens": 0}, "field 'num_tokens': 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        token_label_store(table([[1]]), table([[1]]), progress=False, **settings)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="tokens of 2 documents, labels of 1"):
        token_label_store(table([[1], [0]]), table([[1]]), progress=False)
    with pytest.raises(UserError, match="the entry 2 in the table of presence"):
        token_label_store(table([[2]]), table([[1]]), progress=False)
