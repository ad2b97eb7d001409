"""`generate` and the model's own search over label sequences: the same rules, the same bias, the same answers."""

from __future__ import annotations

import torch
from transformers import GenerationConfig, set_seed

from hf_mlc.modeling.label_constraints import LabelConstraints
from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET, sets_of_sequences
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from tests.common.sgm_tester import SgmModelTester

from .model_tester import build


def test_the_rules_of_the_configuration_hold_in_both_searches():
    tester = SgmModelTester(
        min_labels=2, max_labels=3, label_parents=[[], [0], [], [1], []], label_exclusions=[[2, 4]]
    )
    model, batch = build(tester), tester.collate(tester.documents())
    rules = LabelConstraints.from_config(model.config)
    found = model.find_sequences(batch, num_beams=6).sequences_BKT.flatten(0, 1)
    generated = model.generate(**batch, num_beams=6, num_return_sequences=6)[:, 1:]
    set_seed(0)
    sampled = model.generate(**batch, do_sample=True, top_k=0, num_return_sequences=20)[:, 1:]
    for sequences in (found, generated, sampled):
        assert rules.keeps(sets_of_sequences(sequences, 5)).all()
        for ids in sequences.tolist():
            labels = [token - LABEL_OFFSET for token in ids[: ids.index(EOS)]]
            assert 2 <= len(labels) <= 3
            assert 1 not in labels or labels.index(0) < labels.index(1)
            assert 3 not in labels or labels.index(1) < labels.index(3)
    scores = model.find_sequences(batch, num_beams=6).scores_BK
    other = model.generate(
        **batch, num_beams=6, num_return_sequences=6, return_dict_in_generate=True, output_scores=True
    )
    torch.testing.assert_close(other.sequences_scores.view(4, 6), scores)


def test_rules_of_one_call_are_kept_too():
    tester = SgmModelTester()
    model, batch = build(tester), tester.collate(tester.documents())
    sequences = model.generate(**batch, constraints=LabelConstraints(5, min_labels=4, max_labels=4))
    assert (sets_of_sequences(sequences[:, 1:], 5).sum(dim=1) == 4).all()


def test_a_generation_config_gives_the_answers_of_the_same_words_given_one_by_one():
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    model = build(tester, num_labels=30, end_bias=1.0)  # longer than the 20 steps of transformers
    settings = {"num_return_sequences": 4, "return_dict_in_generate": True, "output_scores": True}
    expected = model.generate(**batch, num_beams=4, **settings)
    assert expected.sequences.shape[1] > 22
    for given in ({}, {"max_length": 20, "length_penalty": 1.0}):
        config = GenerationConfig(num_beams=4, **settings, **given)
        before = config.to_dict()
        found = model.generate(**batch, generation_config=config)
        assert torch.equal(found.sequences, expected.sequences)
        torch.testing.assert_close(found.sequences_scores, expected.sequences_scores)
        assert config.to_dict() == before
    short = GenerationConfig(num_beams=4, max_new_tokens=2, num_return_sequences=4)
    assert model.generate(**batch, generation_config=short).shape == (16, 3)
    rules = LabelConstraints(30, max_labels=2)
    config = GenerationConfig(num_beams=4)
    found = model.generate(**batch, generation_config=config, constraints=rules)
    assert torch.equal(found, model.generate(**batch, num_beams=4, constraints=rules))


def test_the_model_s_own_generation_config_is_kept_to():
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    model = build(tester, num_labels=30, end_bias=1.0)
    expected = model.generate(**batch, num_beams=1, max_new_tokens=2)
    model.generation_config.num_beams, model.generation_config.max_new_tokens = 1, 2
    assert torch.equal(model.generate(**batch), expected) and expected.shape[1] == 3
    assert model.generate(**batch, max_new_tokens=4).shape[1] == 5  # what is given with the call goes before it
    assert torch.equal(model.generate(**batch, max_new_tokens=None, num_beams=None), expected)
    model.generation_config.num_beams, model.generation_config.do_sample = None, True
    torch.manual_seed(0)
    drawn = model.generate(**batch)
    torch.manual_seed(0)
    assert torch.equal(drawn, model.generate(**batch, num_beams=1))


def test_rules_that_contradict_the_configuration_s_end_the_sequence():
    tester = SgmModelTester()
    model, batch = build(tester, max_labels=1), tester.collate(tester.documents())
    rules = LabelConstraints(5, min_labels=2)
    for settings in ({"num_beams": 1}, {"num_beams": 3}, {"do_sample": True}):
        sequences = model.generate(**batch, constraints=rules, **settings)
        assert (sequences == EOS).any(dim=1).all() and (sets_of_sequences(sequences[:, 1:], 5).sum(dim=1) == 1).all()


def test_an_end_bias_makes_sets_larger_in_both_searches_alike():
    tester = SgmModelTester()
    model, batch = build(tester), tester.collate(tester.documents())
    sizes = []
    for bias in (-20.0, 0.0, 20.0):
        model.config.end_bias = bias
        sizes.append([len(labels) for labels in model.label_sequences(batch, num_beams=1)])
        generated = model.generate(**batch, num_beams=1)[:, 1:]
        assert sets_of_sequences(generated, 5).sum(dim=1).tolist() == sizes[-1]
    assert sizes[0] == [0] * 4
    assert sizes[2] == [5] * 4


def test_the_label_vocabulary_of_generate_is_saved_and_the_texts_stays(tmp_path):
    model = build(SgmModelTester(), pad_token_id=7)
    model.save_pretrained(tmp_path)
    loaded = SgmForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.config.pad_token_id == 7
    assert loaded.config.vocab_size == 40
    assert loaded.config.get_text_config(decoder=True).vocab_size == 8
    ids = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
    assert [getattr(loaded.generation_config, name) for name in ids] == [0, 1, 2, 1]
    tester = SgmModelTester()
    batch = tester.collate(tester.documents())
    assert torch.equal(loaded.generate(**batch), model.generate(**batch))
