"""The first of two stages: hidden states and queries learn to rank a document's tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.planting.pretrain import _RankingStage, pretrain_attention


def small_model(encoder="bag_of_words", **settings):
    torch.manual_seed(0)
    config = PlantConfig(vocab_size=50, encoder=encoder, hidden_size=16, num_labels=6, pad_token_id=0, **settings)
    return PlantForMultiLabelClassification(config).eval()


def run(model, corpus, **settings):
    settings = {"epochs": 8, "learning_rate": 0.02, "batch_size": 8, "labels_per_document": 4, **settings}
    return pretrain_attention(model, corpus.input_ids, corpus.label_ids, corpus.store, progress=False, **settings)


@pytest.mark.parametrize("encoder", ["bag_of_words", "gru"])
def test_the_tokens_of_unseen_documents_are_ranked_better(corpus, encoder):
    model = small_model(encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    facts = run(model, corpus)
    assert facts["documents"] == 72 and facts["held_out_documents"] == 8
    assert facts["ndcg@15_after"] > facts["ndcg@15_before"] + 0.1
    assert facts["loss"][-1] < facts["loss"][0]
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert "decoder.query" in moved and any(name.startswith("encoder") for name in moved)
    # the read-out is for the second stage
    assert not moved & {"decoder.weight", "decoder.bias"}
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_it_is_the_labels_attention_that_was_trained(corpus):
    model = small_model()
    run(model, corpus, epochs=25)
    document = torch.tensor([[30, 10, 31, 32, 13, 33, 34]])  # 10 is a word of label 0, 13 of label 1
    weights = model.token_weights(torch.tensor([0, 1]), input_ids=document)[0]
    assert weights.argmax(dim=1).tolist() == [1, 4]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state(corpus):
    weights = []
    for state in (1, 2):
        model = small_model()
        torch.manual_seed(state)
        expected = torch.get_rng_state()
        run(model, corpus, epochs=1)
        assert torch.equal(torch.get_rng_state(), expected)
        weights.append(model.decoder.query.detach())
    assert torch.equal(*weights)


def test_padding_changes_neither_loss_nor_measure(corpus):
    model = small_model("convolution")
    first, second = (next(i for i, labels in enumerate(corpus.label_ids) if label in labels) for label in (0, 1))
    words = [*corpus.input_ids[second][:5], *(word for word in corpus.input_ids[second] if 13 <= word <= 15)]
    long, short = (np.array(corpus.input_ids[first]), np.array([0])), (np.array(words), np.array([1]))

    def stage():
        return _RankingStage(model, corpus.store, 1, 128, 10.0, 16, seed=0)

    together = stage().loss([long, short])
    alone = [stage().loss([row]) for row in (long, short)]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone) / 2, rel=1e-4)
    assert stage().measure([long, short], 2, 15) == pytest.approx(
        np.mean([stage().measure([row], 1, 15) for row in (long, short)]), rel=1e-5
    )


def test_long_documents_keep_their_best_tokens_and_random_others(corpus):
    stage = _RankingStage(small_model(), corpus.store, 2, 6, 10.0, 16, seed=0)
    grades, mask = torch.tensor([[0.0, 5, 0, 0, 9, 0, 7, 3, 0, 99]]), torch.ones(1, 10, dtype=torch.bool)
    mask[:, 9] = False  # padding
    chosen = stage._choose(grades, mask)[0].tolist()
    assert len(set(chosen)) == 6 and {1, 4, 6} <= set(chosen) and 9 not in chosen


def test_a_document_is_ranked_for_its_own_labels_and_random_others(corpus):
    stage = _RankingStage(small_model(), corpus.store, 4, 128, 10.0, 16, seed=0)
    sampled = stage._sample(np.array([1, 3, 5]))
    assert sampled[:2].tolist() == [1, 3] and len(sampled) == 4 and 5 not in sampled  # 5 has no stored token
    assert len(set(stage._sample(np.array([0, 1, 2, 3, 4])).tolist())) == 4


def test_documents_without_tokens_or_labels_are_no_obstacle(corpus):
    rows = [[], *corpus.input_ids[:12]], [[0], [], *corpus.label_ids[1:12]]
    facts = pretrain_attention(small_model(), *rows, corpus.store, epochs=1, progress=False)
    assert facts["documents"] + facts["held_out_documents"] == 12
    with pytest.raises(UserError, match="nothing to rank"):
        pretrain_attention(small_model(), [[]], [[0]], corpus.store, progress=False)
