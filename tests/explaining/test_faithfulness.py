from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, set_seed

from hf_mlc.explaining import explain
from hf_mlc.explaining.faithfulness import deletion_scores
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from tests.common.plant_tester import PlantModelTester


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_deletion_scores_are_those_worked_out_by_hand(planted):
    # label A; attention 3 : 1 : 1 : 1 of "fever", whose share of the logit is 4 a, the others' 0; bias -1
    text = "well fever well well"
    found = deletion_scores(planted, explain(planted, text, "A"), fractions=[0.01, 0.25, 0.5])
    whole = sigmoid(4 * 3 / 6 - 1)
    without, alone = sigmoid(-1), sigmoid(4 - 1)
    # a hundredth of four words is one word all the same; half of them are fever and the first "well"
    assert found.comprehensiveness_F == pytest.approx([whole - without] * 3, abs=1e-6)
    assert found.sufficiency_F == pytest.approx(
        [whole - alone, whole - alone, whole - sigmoid(4 * 3 / 4 - 1)], abs=1e-6
    )


def test_other_weights_can_be_measured_on_the_same_words(planted):
    text = "well fever well well"
    found = deletion_scores(planted, explain(planted, text, "A"), weights_W=[9, 0, 0, 0], fractions=[0.25])
    assert found.comprehensiveness_F == pytest.approx([sigmoid(4 * 3 / 6 - 1) - sigmoid(4 * 3 / 5 - 1)], abs=1e-6)


def test_on_a_planted_model_the_oracle_is_faithful_and_chance_is_not(planted):
    text = " ".join(["well"] * 7 + ["fever"] + ["well"] * 7)
    explanation, rng = explain(planted, text, "A", method="direct_logit_attribution"), np.random.default_rng(0)
    oracle = deletion_scores(planted, explanation)
    chance = [deletion_scores(planted, explanation, weights_W=rng.random(15)) for _ in range(20)]
    assert oracle.comprehensiveness_F.mean() > 3 * np.mean([row.comprehensiveness_F for row in chance])
    assert oracle.sufficiency_F.mean() < np.mean([row.sufficiency_F for row in chance]) - 0.1


@pytest.mark.parametrize("encoder", ["bag_of_words", "convolution", "gru", "lstm", "awd_lstm", "transformer"])
def test_a_deleted_word_is_as_if_it_had_never_been_written(encoder):
    loaded = pieces_model(encoder)
    explanation = explain(loaded, "unwell no fever", 0)
    assert explanation.tokens == ["[CLS]", "un", "##well", "no", "fever", "[SEP]"]
    found = deletion_scores(loaded, explanation, weights_W=[1.0, 0.0, 0.5], fractions=[0.3, 0.6])

    def score(text: str) -> float:
        return explain(loaded, text, 0).score

    whole = score("unwell no fever")
    assert found.comprehensiveness_F == pytest.approx([whole - score("no fever"), whole - score("no")], abs=1e-5)
    assert found.sufficiency_F == pytest.approx([whole - score("unwell"), whole - score("unwell fever")], abs=1e-5)
    assert np.abs(found.comprehensiveness_F).min() > 1e-4


def pieces_model(encoder: str) -> LoadedModel:
    """Random weights behind a tokenizer with word pieces and special tokens."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##well", "no", "fever"]
    backend = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=16, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip
    set_seed(0)
    tester = PlantModelTester(encoder=encoder)
    model = tester.model_class(tester.get_config(embedding_std=1.0)).eval()
    with torch.no_grad():
        for parameter in [model.decoder.query, model.decoder.weight]:
            parameter.mul_(5)
        if encoder in ("gru", "lstm", "awd_lstm"):
            for parameter in model.encoder.layers.parameters():
                parameter.mul_(4)
    return LoadedModel(model, tokenizer, LabelSpace(list("abcde")))
