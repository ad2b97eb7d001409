"""The ranker: it learns the statistics, and what it says of pairs that it hasn't seen is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.planting import token_label_store
from hf_mlc.planting.ranking import TokenLabelRanker, train_ranker


SMALL = {"rank": 8, "batch_size": 4, "epochs": 60, "num_grades": 8, "progress": False}


def best_tokens(ranker, label, number):
    with torch.no_grad():
        return ranker.score(torch.arange(50), torch.tensor(label)).topk(number).indices.tolist()


def test_scores_are_products_of_factors_and_a_bias():
    ranker = TokenLabelRanker(3, 2, rank=2)
    with torch.no_grad():
        ranker.token_factors.copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]]))
        ranker.label_factors.copy_(torch.tensor([[1.0, 1.0], [2.0, -1.0]]))
        ranker.token_bias.copy_(torch.tensor([0.5, 0.0, -1.0]))
    assert ranker.score(torch.tensor([[0], [2]]), torch.tensor([0, 1])).tolist() == [[3.5, 0.5], [2.0, 5.0]]
    lists = ranker.score_lists(torch.tensor([[0, 1], [2, 2]]), torch.tensor([0, 1]))
    assert lists.tolist() == [[3.5, 1.0], [5.0, 5.0]]


@pytest.mark.parametrize("loss", ["lambda_rank", "approx_ndcg"])
def test_it_puts_each_labels_words_first(corpus, loss):
    settings = SMALL | {"epochs": 200, "learning_rate": 0.03}
    ranker, facts = train_ranker(corpus.store, corpus.presence, corpus.labels, loss=loss, held_out=0.0, **settings)
    for label in range(5):
        assert set(best_tokens(ranker, label, 3)) == {10 + 3 * label + place for place in range(3)}
    assert facts["epochs"] == 200 and "ndcg@15" not in facts


def test_pairs_that_were_held_out_are_learned_from_other_labels():
    # twelve labels in four groups; the ten words of its group stand in half the documents of each label: what is held out
    # for one label is trained for the others of its group
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 1200)
    labels = np.zeros((1200, 12), np.int32)
    labels[np.arange(1200), group + 4 * rng.integers(0, 3, 1200)] = 1
    own = np.arange(40)[None] // 10 == group[:, None]
    presence, labels = (sparse.csr_array(t) for t in (np.where(own, rng.random(own.shape) < 0.5, 0), labels))
    store = token_label_store(presence, labels, num_tokens=10, progress=False)
    settings = SMALL | {"epochs": 30, "learning_rate": 0.03, "num_grades": 1}
    _, facts = train_ranker(store, presence, labels, held_out=0.2, **settings)
    assert facts["ndcg@15_untrained"] < 0.75 and facts["ndcg@15"] > 0.85
    assert facts["refit"] and facts["epochs"] <= 30 and 8 <= facts["held_out_labels"] <= 12
    assert max(entry["ndcg@15"] for entry in facts["history"]) == facts["ndcg@15"]


def test_it_ends_early_when_the_held_out_pairs_gain_no_more(corpus):
    settings = SMALL | {"learning_rate": 0.0, "evaluate_every": 1, "patience": 2, "refit": False}
    _, facts = train_ranker(corpus.store, corpus.presence, corpus.labels, held_out=0.3, **settings)
    assert facts["epochs"] == 1 and len(facts["history"]) == 3


def test_the_same_seed_gives_the_same_ranker_whatever_the_random_state(corpus):
    def factors(seed):
        torch.manual_seed(int(np.random.default_rng().integers(2**31)))
        ranker, _ = train_ranker(corpus.store, corpus.presence, corpus.labels, seed=seed, **SMALL | {"epochs": 2})
        return ranker.token_factors

    assert torch.equal(factors(0), factors(0)) and not torch.equal(factors(0), factors(1))


def test_a_token_of_no_document_stands_behind_those_of_the_documents(corpus):
    ranker, _ = train_ranker(corpus.store, corpus.presence, corpus.labels, **SMALL | {"epochs": 20})
    assert (ranker.token_factors[5] == 0).all()
    with torch.no_grad():
        scores = ranker.score(torch.arange(10, 25)[None], torch.arange(5)[:, None])
    assert ranker.token_bias[5] < scores.max(dim=1).values.min()


def test_without_statistics_there_is_nothing_to_rank(corpus):
    nothing = token_label_store(corpus.presence, corpus.labels * 0, num_tokens=4, progress=False)
    with pytest.raises(UserError, match="no label has a stored token"):
        train_ranker(nothing, corpus.presence, corpus.labels, **SMALL)
    with pytest.raises(UserError, match="a ranking loss 'hinge'"):
        train_ranker(corpus.store, corpus.presence, corpus.labels, **SMALL | {"loss": "hinge"})
    with pytest.raises(UserError, match=r"field 'held_out': 0\.9"):
        train_ranker(corpus.store, corpus.presence, corpus.labels, **SMALL | {"held_out": 0.9})


def test_scores_are_scaled_for_a_softmax():
    # one label of eight tokens that come less and less often with it
    rng = np.random.default_rng(0)
    has_label = np.arange(400) < 200
    share = np.where(has_label[:, None], np.linspace(0.9, 0.3, 8), 0.05)
    presence = sparse.csr_array((rng.random((400, 8)) < share).astype(np.int32))
    labels = sparse.csr_array(has_label[:, None].astype(np.int32))
    store = token_label_store(presence, labels, num_tokens=8, progress=False)
    ranker, _ = train_ranker(store, presence, labels, held_out=0.0, **SMALL)
    with torch.no_grad():
        scores = ranker.score(torch.arange(8), torch.tensor(0))
    assert (scores.max() - scores.min()).item() == pytest.approx(3.0, rel=1e-4)
