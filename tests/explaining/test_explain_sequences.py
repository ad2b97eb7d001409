"""Explanations of a model that writes label sequences."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.explaining import explain, explain_labels
from hf_mlc.inference import encode_texts, predict_texts
from tests.common.small_sgm import TEXTS, small_sgm


def tokens_and_trace(loaded, text):
    inputs = encode_texts(loaded, [text])
    with torch.inference_mode():
        return inputs, loaded.model.sequence_trace(**inputs)


@pytest.mark.parametrize("scores", ["beam", "hazard", "rescored"])
def test_a_written_label_weighs_by_the_attention_of_its_step(scores):
    loaded = small_sgm(scores=scores, auxiliary_weight=0.1 if scores == "rescored" else 0.0)
    for text in TEXTS:
        _, found = tokens_and_trace(loaded, text)
        (sequence,) = found.label_lists()
        assert len(sequence) >= 2
        explanations = explain_labels(loaded, text, sequence)
        for step, explanation in enumerate(explanations):
            assert explanation.weights == pytest.approx(found.attention_BTm[0, step].tolist(), abs=1e-6)


def test_a_label_that_was_not_written_weighs_by_the_chances_of_the_steps():
    loaded = small_sgm()
    for text in TEXTS:
        _, found = tokens_and_trace(loaded, text)
        for label in set(range(4)) - set(found.label_lists()[0]):
            chances_T = found.hazard_BTL[0, :, label]
            expected_m = (chances_T / chances_T.sum()) @ found.attention_BTm[0]
            assert explain(loaded, text, label).weights == pytest.approx(expected_m.tolist(), abs=1e-6)
            assert sum(expected_m.tolist()) == pytest.approx(1.0)


def test_the_sequence_of_a_search_is_the_one_that_the_model_answers_with():
    loaded = small_sgm()
    for text in TEXTS:
        inputs, found = tokens_and_trace(loaded, text)
        assert found.label_lists() == loaded.model.label_sequences(inputs)


def test_what_the_auxiliary_head_scores_its_own_attention_explains():
    loaded = small_sgm(scores="auxiliary", auxiliary_weight=0.1, label_attention="encoder")
    explanations = explain_labels(loaded, TEXTS[0], [0, 1])
    memory = loaded.model.encode(**encode_texts(loaded, [TEXTS[0]]))
    vectors_LE = loaded.model.decoder.label_embeddings.weight[3:5]
    scores_Lm = loaded.model.auxiliary.query(vectors_LE) @ memory.hidden_BmD[0].T
    for explanation, expected_m in zip(explanations, scores_Lm.softmax(dim=1).tolist(), strict=True):
        assert explanation.weights == pytest.approx(expected_m, abs=1e-5)
    assert explanations[0].weights != pytest.approx(explanations[1].weights, abs=1e-3)


def test_an_auxiliary_head_without_attention_says_so_and_gradients_remain():
    loaded = small_sgm(scores="auxiliary", auxiliary_weight=0.1)
    with pytest.raises(UserError, match=r"doesn't tell what it reads.*integrated_gradients"):
        explain(loaded, TEXTS[0], 0)
    with pytest.raises(UserError, match="doesn't tell from which tokens"):
        next(predict_texts(loaded, TEXTS[:1], explain=2))
    pytest.importorskip("captum")
    found = explain(loaded, TEXTS[0], 0, method="integrated_gradients")
    assert abs(found.convergence_delta) < 1e-3


def test_gradients_of_a_written_label_sum_to_what_they_must():
    pytest.importorskip("captum")
    loaded = small_sgm(scores="hazard", embedding_std=0.5)
    inputs, traced = tokens_and_trace(loaded, TEXTS[0])
    label = traced.label_lists()[0][0]
    # an unknown text gets another sequence: a score along the greedy one would jump on the way
    unknown = {**inputs, "input_ids": torch.full_like(inputs["input_ids"], loaded.tokenizer.unk_token_id)}
    assert loaded.model.sequence_trace(**unknown).label_lists() != traced.label_lists()
    found = explain(loaded, TEXTS[0], label, method="integrated_gradients", steps=100)
    assert abs(found.convergence_delta) < 1e-3 < sum(map(abs, found.weights))


def test_along_its_own_sequence_a_score_is_what_it_is_without():
    loaded = small_sgm(scores="hazard", end_bias=0.5, max_labels=3)
    inputs, labels = encode_texts(loaded, TEXTS), torch.arange(4)
    given = loaded.model.path_inputs(**inputs)
    assert torch.equal(
        loaded.model.label_logits(labels, **given, **inputs), loaded.model.label_logits(labels, **inputs)
    )


def test_direct_logit_attribution_is_refused():
    with pytest.raises(UserError, match=r"no read-out that is a sum over tokens.*integrated_gradients"):
        explain(small_sgm(), TEXTS[0], 0, method="direct_logit_attribution")


def test_predictions_come_with_their_words():
    loaded = small_sgm()
    (answer,) = predict_texts(loaded, TEXTS[:1], explain=2)
    assert answer and all(len(entry["evidence"]) == 2 for entry in answer)


def test_an_empty_text_has_no_words():
    found = explain(small_sgm(), "", 0)
    assert found.words() == [] and sum(found.weights) == 0
