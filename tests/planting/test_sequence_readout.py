"""Linear machines in a decoder of label sequences: the log-odds that every step adds, and who gives them in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_mlc.comparing.arms.same_encoder import SameEncoderConfig, SameEncoderModel
from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.planting.arguments import PlantingArguments, without_effect
from hf_mlc.planting.linear_readout import (
    count_occurrences,
    folds_of,
    read_planted_buffers,
    tfidf_rows,
    write_planted_buffers,
)
from hf_mlc.planting.planting import plant
from tests.planting.conftest import tokenised


svm = pytest.importorskip("sklearn.svm")
WORDS = ("corn", "oil", "gold", "wheat", "gas", "silver")
TEXTS = [f"{word} and {other} of the day {word}" for word in WORDS for other in ("prices", "news", "shares", "output")]
LABELS = [
    [{"c": "grain", "w": "grain", "o": "fuel"}.get(text[0], "other"), *(["market"] * ("shares" in text))]
    for text in TEXTS
]
FIELDS = {"linear_readout": True, "readout_tokens": 40, "hidden_size": 8, "num_beams": 3}
FIELDS |= {"word_dropout": 0, "embedding_dropout": 0, "hidden_dropout": 0, "decoder_dropout": 0}


@pytest.fixture(scope="module")
def rows():
    return tokenised(TEXTS, LABELS)


def planted(rows, *, model_class=SgmForMultiLabelClassification, fields=None, **settings):
    tokenizer, dataset, space = rows
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "num_labels": len(space)}
    model = model_class(model_class.config_class(**sizes, **FIELDS, **(fields or {})))
    counts = torch.tensor(np.bincount(np.concatenate(dataset["label_ids"][:]), minlength=len(space)))
    model.set_training_statistics(counts, len(dataset))
    args = PlantingArguments(**{"readout_folds": 2, **settings})
    return model.eval(), plant(model, dataset, tokenizer, args, fingerprint={"rows": "sha256:0"}, progress=False)


def batch_of(rows) -> dict[str, torch.Tensor]:
    return dict(rows[0].pad({"input_ids": rows[1]["input_ids"]}, return_tensors="pt"))


def log_odds_of(model, facts, rows, fitted_on=slice(None)) -> np.ndarray:
    """Of scikit-learn's machines, fitted on some of the rows."""
    counts_NV = count_occurrences(rows[1]["input_ids"], model.config.vocab_size)
    features_NV = tfidf_rows(counts_NV, model.linear_readout.idf)
    targets_NL = np.array([[label in ids for label in range(len(rows[2]))] for ids in rows[1]["label_ids"]])
    margins = []
    for targets_N in targets_NL.T:
        if len(set(targets_N[fitted_on])) == 1:  # all of them have the label, or none
            margins.append(np.full(len(targets_N), 2.0 * targets_N[fitted_on][0] - 1))
        else:
            machine = svm.LinearSVC(C=1.0, tol=0.01, random_state=0).fit(features_NV[fitted_on], targets_N[fitted_on])
            margins.append(machine.decision_function(features_NV))
    return facts["readout"]["slope"] * np.stack(margins, axis=1) + facts["readout"]["intercept"]


@torch.no_grad()
def test_a_step_adds_the_log_odds_of_the_labels_machines_against_the_end(rows):
    model, facts = planted(rows)
    memory = model.encode(**batch_of(rows))
    np.testing.assert_allclose(memory.log_odds_BL.numpy(), log_odds_of(model, facts, rows), atol=1e-4)
    assert facts["readout"]["slope"] > 0 and facts["documents"] == len(TEXTS) and "ranker" not in facts
    # a decoder that has nothing to say: it begins so, but for the random weights of its output
    assert not model.decoder.output.bias.any()
    model.decoder.output.weight.zero_()
    state = model.decoder.initial_state(memory)
    log_probs, state = model.decoder.step(torch.full((len(TEXTS),), BOS), state, memory)
    expected = torch.cat([torch.zeros(len(TEXTS), 1), memory.log_odds_BL], dim=1).log_softmax(dim=1)
    torch.testing.assert_close(log_probs[:, [EOS, *range(LABEL_OFFSET, LABEL_OFFSET + 4)]], expected)
    # and in the second step the same, less the label that was given
    log_probs, _ = model.decoder.step(torch.full((len(TEXTS),), LABEL_OFFSET), state, memory)
    assert torch.isinf(log_probs[:, LABEL_OFFSET]).all()
    expected = torch.cat([torch.zeros(len(TEXTS), 1), memory.log_odds_BL[:, 1:]], dim=1).log_softmax(dim=1)
    torch.testing.assert_close(log_probs[:, [EOS, *range(LABEL_OFFSET + 1, LABEL_OFFSET + 4)]], expected)


@torch.no_grad()
def test_in_training_each_document_is_answered_by_machines_that_have_not_seen_it(rows):
    model, facts = planted(rows)
    folds = folds_of(count_occurrences(rows[1]["input_ids"], model.config.vocab_size), 2)
    assert set(folds) == {0, 1}
    found = model.train().encode(**batch_of(rows)).log_odds_BL.numpy()
    for fold in (0, 1):
        expected = log_odds_of(model, facts, rows, np.flatnonzero(folds != fold))
        np.testing.assert_allclose(found[folds == fold], expected[folds == fold], atol=1e-4)
    assert np.abs(model.eval().encode(**batch_of(rows)).log_odds_BL.numpy() - found).max() > 0.1


@torch.no_grad()
def test_a_document_alone_gets_the_same_answer_and_beams_their_own(rows):
    model, _ = planted(rows)
    together = model(**batch_of(rows)).logits
    for row in (0, 5):
        alone = model(input_ids=torch.tensor([rows[1]["input_ids"][row]])).logits
        torch.testing.assert_close(alone, together[row : row + 1], atol=1e-4, rtol=1e-4)
    inputs = {name: value[:4] for name, value in batch_of(rows).items()}
    found = model.find_sequences(inputs)
    generated = model.generate(**inputs, return_dict_in_generate=True, output_scores=True, num_return_sequences=3)
    torch.testing.assert_close(
        generated.sequences_scores.view(4, 3)[:, 0], found.scores_BK[:, 0], atol=1e-4, rtol=1e-4
    )


def test_machines_are_saved_with_the_model_and_what_is_held_out_is_not(rows, tmp_path):
    model, _ = planted(rows)
    assert model.reads_token_ids and not list(model.linear_readout.parameters()) and model.planted_parameters == ()
    model.save_pretrained(tmp_path)
    loaded = SgmForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.config.planting_fingerprint == {"rows": "sha256:0"} and loaded.linear_readout.held_out is None
    assert not any("held_out" in name for name in loaded.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch_of(rows)).logits, model(**batch_of(rows)).logits)
    fresh = SgmForMultiLabelClassification.from_pretrained(None, config=model.config, state_dict={})
    assert not fresh.linear_readout.bias.any() and (fresh.linear_readout.tokens == -1).all()


def test_another_process_of_the_run_reads_all_that_was_planted(rows, tmp_path):
    model, _ = planted(rows)
    write_planted_buffers(model, tmp_path / "planted.safetensors")
    other = SgmForMultiLabelClassification(model.config)
    read_planted_buffers(other, tmp_path / "planted.safetensors")
    found = dict(other.named_buffers())
    for name, value in model.named_buffers():
        assert torch.equal(value, found[name]), name
    assert found["encoder.readout.held_out.weight"].any() and found["encoder.readout.bias"].any()


def test_what_cannot_go_with_machines_is_refused(rows):
    model, _ = planted(rows)
    with pytest.raises(ValueError, match="looked up by its `input_ids`, and none were given"):
        model(inputs_embeds=torch.zeros(1, 3, 8))
    with pytest.raises(ValueError, match="train a new model with the larger vocabulary"):
        model.resize_token_embeddings(100)
    with pytest.raises(Exception, match="`linear_readout` is of texts, found the encoder 'image'"):
        SgmConfig(linear_readout=True, encoder="image")
    with pytest.raises(Exception, match="`scores='auxiliary'` reads none of them"):
        SgmConfig(linear_readout=True, auxiliary_weight=1.0, scores="auxiliary")
    with pytest.raises(Exception, match="`readout_tokens`"):
        SgmConfig(readout_tokens=0)
    with pytest.raises(UserError, match="no ranked attention"):
        planted(rows, planting_control="idf")


def test_permuted_machines_are_another_labels(rows):
    (model, facts), (other, permuted) = planted(rows), planted(rows, planting_control="permuted_labels")
    assert (facts["control"], permuted["control"]) == ("none", "permuted_labels")
    ours, theirs = (one.linear_readout.weight.sum(dim=1) for one in (model, other))
    assert not torch.isclose(ours, theirs, rtol=0.05).any()


def test_arguments_of_machines_have_an_effect_where_there_are_some():
    given = ["readout_cost", "readout_folds", "readout_tokens", "planting_control", "ranker_epochs", "planting_freeze"]
    assert without_effect(given, SgmConfig(linear_readout=True)) == ["planting_freeze", "ranker_epochs"]
    assert without_effect(given, SgmConfig()) == sorted(given)


HEADS = {"per_label": {}, "chain": {}, "powerset": {"label_sets": [[], [0], [1, 2], [0, 1, 3]]}}


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_the_heads_that_it_is_compared_with_have_the_same_machines(rows, head):
    model, facts = planted(rows, model_class=SameEncoderModel, fields={"head": head, **HEADS[head]})
    model.head.output.weight.zero_()
    if head == "powerset":
        model.head.output.bias.zero_()
    expected = torch.from_numpy(log_odds_of(model, facts, rows)).float()
    read = model.encoder(**batch_of(rows))
    found = model.head(read.last_hidden_state, read.mask, None, read.log_odds)
    if head == "powerset":  # a set's log-odds against the empty one
        pairs = [expected[:, ids].sum(dim=1) for ids in HEADS[head]["label_sets"]]
        expected = torch.stack(pairs, dim=1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    assert isinstance(model.config, SameEncoderConfig)
