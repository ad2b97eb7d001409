"""A read-out of linear machines: what it adds, what training sees of it, and where it is kept meanwhile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.planted_readout import fold_of
from hf_mlc.planting.arguments import PlantingArguments, without_effect
from hf_mlc.planting.linear_readout import (
    count_occurrences,
    folds_of,
    held_out_file,
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
FIELDS = {"planting": "attention", "planted_readout": 1, "readout_source": "linear_svm", "readout_tokens": 40}
FIELDS |= {"ranked_attention": False, "stored_tokens": 4, "encoder": "bag_of_words", "hidden_size": 8}


@pytest.fixture(scope="module")
def rows():
    return tokenised(TEXTS, LABELS)


def planted(rows, *, fields=None, **settings):
    tokenizer, dataset, space = rows
    torch.manual_seed(0)
    config = PlantConfig(vocab_size=len(tokenizer), num_labels=len(space), **FIELDS, **(fields or {}))
    model = PlantForMultiLabelClassification(config)
    with torch.no_grad():
        model.decoder.weight.zero_()  # what is left is the read-out and the output bias
    args = PlantingArguments(**{"readout_folds": 2, **settings})
    facts = plant(model, dataset, tokenizer, args, fingerprint={"rows": "sha256:0"}, progress=False)
    return model.eval(), facts


def batch_of(rows) -> torch.Tensor:
    return rows[0].pad({"input_ids": rows[1]["input_ids"]}, return_tensors="pt")["input_ids"]


def cost_of(file) -> dict[str, float]:
    with safe_open(file, framework="numpy") as content:
        return json.loads(content.metadata()["about"])["cost"]


def features_of(model, rows):
    return tfidf_rows(count_occurrences(rows[1]["input_ids"], model.config.vocab_size), model.decoder.readout.idf)


def targets_of(rows) -> np.ndarray:
    return np.array([[label in ids for label in range(len(rows[2]))] for ids in rows[1]["label_ids"]])


@torch.no_grad()
def test_a_logit_is_the_log_odds_of_the_labels_machine(rows):
    model, facts = planted(rows)
    features, targets = features_of(model, rows), targets_of(rows)
    logits = model(batch_of(rows)).logits
    for label in range(len(rows[2])):
        machine = svm.LinearSVC(C=1.0, tol=0.01, random_state=0).fit(features, targets[:, label])
        expected = facts["readout"]["slope"] * machine.decision_function(features) + facts["readout"]["intercept"]
        np.testing.assert_allclose(logits[:, label].numpy(), expected, atol=1e-4)
    assert facts["readout"]["slope"] > 0


@torch.no_grad()
def test_in_training_each_document_is_answered_by_machines_that_have_not_seen_it(rows):
    model, facts = planted(rows, fields={"word_dropout": 0, "embedding_dropout": 0, "hidden_dropout": 0})
    features, targets = features_of(model, rows), targets_of(rows)
    folds = folds_of(count_occurrences(rows[1]["input_ids"], model.config.vocab_size), 2)
    assert set(folds) == {0, 1}
    logits = model.train()(batch_of(rows)).logits
    for fold in (0, 1):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        machine = svm.LinearSVC(C=1.0, tol=0.01, random_state=0).fit(features[others], targets[others, 0])
        expected = facts["readout"]["slope"] * machine.decision_function(features[own]) + facts["readout"]["intercept"]
        np.testing.assert_allclose(logits[own, 0].numpy(), expected, atol=1e-4)
    assert (model.eval()(batch_of(rows)).logits - logits).abs().max() > 0.1


def test_a_document_finds_its_fold_again_whatever_it_is_padded_with(rows):
    ids = batch_of(rows)
    counts = count_occurrences(rows[1]["input_ids"], len(rows[0]))
    expected = folds_of(counts, 3)
    np.testing.assert_array_equal(fold_of(torch.from_numpy(counts.toarray()), 3).numpy(), expected)
    model, _ = planted(rows, readout_folds=3)
    longer = torch.nn.functional.pad(ids, (0, 5), value=rows[0].pad_token_id)
    index = model.decoder.index_of(longer != rows[0].pad_token_id, longer)
    np.testing.assert_array_equal(fold_of(index.counts[:, : model.config.vocab_size], 3).numpy(), expected)


def test_its_weights_are_not_trained_and_what_is_held_out_is_not_saved(rows, tmp_path):
    model, _ = planted(rows)
    assert model.planted_parameters == () and not list(model.decoder.readout.parameters())
    model.save_pretrained(tmp_path)
    loaded = PlantForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.decoder.readout.held_out is None and not any("held_out" in name for name in loaded.state_dict())
    torch.testing.assert_close(loaded(batch_of(rows)).logits, model(batch_of(rows)).logits)


def test_words_that_no_training_document_has_weigh_nothing(rows):
    model, _ = planted(rows)
    idf = model.decoder.readout.idf
    assert not idf[rows[0].all_special_ids].any() and idf[rows[0].convert_tokens_to_ids("corn")] > 1


def test_the_cache_spares_the_fitting(rows, tmp_path):
    first, made = planted(rows, planting_cache=str(tmp_path))
    again, read = planted(rows, planting_cache=str(tmp_path))
    costs = [cost_of(file) for file in tmp_path.iterdir()]
    assert "from_cache" not in made and len(costs) == 2
    assert read["from_cache"] == {name: pytest.approx(sum(cost[name] for cost in costs)) for name in costs[0]}
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    other, _ = planted(rows, planting_cache=str(tmp_path), readout_cost=0.01)
    assert len(list(tmp_path.glob("linear-*"))) == 2 and not torch.equal(other.output_bias(), first.output_bias())
    for file in tmp_path.glob("linear-*"):
        file.write_bytes(b"cut")
    with pytest.raises(UserError, match=r"linear-.*can't be read.*deleted"):
        planted(rows, planting_cache=str(tmp_path))


def test_held_out_read_outs_come_back_from_their_file(rows, tmp_path):
    model, _ = planted(rows)
    file = held_out_file(tmp_path, {"rows": "sha256:0123"})
    write_planted_buffers(model, file)
    # as in another process of the run: a new model, of which nothing was planted
    other = PlantForMultiLabelClassification(model.config)
    read_planted_buffers(other, file)
    found = dict(other.named_buffers())
    for name, value in model.named_buffers():
        assert torch.equal(value, found[name]), name
    assert found["decoder.readout.held_out.weight"].any() and found["decoder.mutual_information.values"].any()
    assert held_out_file(tmp_path, {"rows": "sha256:4567"}) != file  # a refit's
    file.unlink()
    with pytest.raises(UserError, match=r"held_out-0123.safetensors.*they are made anew"):
        read_planted_buffers(other, file)


def test_shuffled_machines_are_those_of_other_labels(rows):
    true, shuffled = planted(rows)[0], planted(rows, planting_control="permuted_labels")[0]
    found = (model.output_bias().tolist() for model in (true, shuffled))
    assert all(one != other for one, other in zip(*found, strict=True))


def test_more_folds_than_documents_are_refused(rows):
    with pytest.raises(UserError, match="'readout_folds': 24 training documents, and a fold without one"):
        planted(rows, readout_folds=100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"readout_folds": 1}, "'readout_folds': found 1; accepted: 2 or more"),
        ({"readout_cost": 0.0}, "'readout_cost': found 0.0; accepted: above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        PlantingArguments(**settings)


def test_arguments_of_the_machines_are_named_where_there_are_none():
    config = PlantConfig(vocab_size=9, num_labels=2, planting="attention", planted_readout=1)
    assert without_effect(["readout_cost", "planted_readout"], config) == ["readout_cost"]
    config = PlantConfig(vocab_size=9, num_labels=2, **FIELDS)
    assert without_effect(["readout_cost", "planted_learning_rate_scale"], config) == ["planted_learning_rate_scale"]
