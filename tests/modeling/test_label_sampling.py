"""Training on some of the labels: the loss is that of all of them on average, and predictions know nothing of it."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.label_sampling import draw_labels, ids_of_labels
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


L = 9
LABEL_IDS = torch.tensor([[1, 4, -100], [4, -100, -100], [-100, -100, -100]])


def model(**fields) -> PlantForMultiLabelClassification:
    torch.manual_seed(0)
    quiet = {"word_dropout": 0.0, "embedding_dropout": 0.0, "hidden_dropout": 0.0}
    config = PlantConfig(vocab_size=12, num_labels=L, encoder="bag_of_words", hidden_size=8, **quiet, **fields)
    return PlantForMultiLabelClassification(config).train()


def test_labels_of_the_documents_are_there_and_the_drawn_stand_for_the_others():
    ids, weights = draw_labels(LABEL_IDS, L, 2)
    assert ids.tolist() == sorted(set(ids.tolist())) and len(ids) == 4 and {1, 4} <= set(ids.tolist())
    by_id = dict(zip(ids.tolist(), weights.tolist(), strict=True))
    assert by_id.pop(1) == by_id.pop(4) == 1
    assert list(by_id.values()) == [3.5, 3.5]  # seven others, two drawn
    assert weights.sum() == L


def test_as_many_as_there_are_is_all_of_them_and_none_is_none():
    ids, weights = draw_labels(LABEL_IDS, L, 100)
    assert ids.tolist() == list(range(L)) and weights.tolist() == [1.0] * L
    ids, weights = draw_labels(torch.arange(L)[None], L, 3)
    assert ids.tolist() == list(range(L)) and weights.tolist() == [1.0] * L


def test_multi_hot_targets_are_the_same_labels():
    labels = torch.tensor([[0, 1, 0, 0, 1], [0, 0, 0, 0, 1], [0, -100, 0, 0, 0]])
    assert ids_of_labels(labels).tolist() == [[1, 4], [4, -100], [-100, -100]]


@pytest.mark.parametrize("loss", ("bce", "asymmetric"))
def test_the_mean_loss_and_gradient_are_those_of_all_labels(loss):
    inputs = {"input_ids": torch.tensor([[2, 3, 4], [5, 6, 2], [7, 8, 9]]), "label_ids": LABEL_IDS}
    whole, some = model(loss=loss), model(loss=loss, sampled_labels=3)
    whole(**inputs).loss.backward()
    losses = []
    for _ in range(600):
        losses.append(some(**inputs).loss)
        (losses[-1] / 600).backward()
    # 600 draws: the error of the mean is the deviation of a draw over 24
    losses = torch.stack(losses).detach()
    assert losses.std() > 0
    expected = whole(**inputs).loss
    assert abs(losses.mean() - expected) < 4 * losses.std() / 600**0.5
    for name in ("query", "weight", "bias"):
        ours, theirs = getattr(some.decoder, name).grad, getattr(whole.decoder, name).grad
        assert (ours - theirs).norm() < 0.15 * theirs.norm()


def test_training_returns_the_scored_labels_and_prediction_all():
    some = model(sampled_labels=2)
    ids, labels = torch.tensor([[2, 3, 4]]), torch.tensor([[0, 1, 0, 0, 1, 0, 0, 0, 0]])
    trained = some(ids, labels=labels)
    assert trained.logits.shape == trained.candidate_ids.shape == (1, 4)
    torch.testing.assert_close(trained.logits, some(ids).logits.gather(1, trained.candidate_ids))
    assert some.eval()(ids, labels=labels).logits.shape == (1, L)


def test_none_is_no_number_of_labels():
    with pytest.raises(StrictDataclassClassValidationError, match="`sampled_labels` must be 1 or more, found 0"):
        PlantConfig(sampled_labels=0)
