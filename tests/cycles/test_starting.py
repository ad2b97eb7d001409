"""Token vectors that start from the factors of tokens and labels, against a dense singular value decomposition."""

from __future__ import annotations

from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from hf_mlc.cycles.rows import label_table
from hf_mlc.cycles.starting import STANDARD_DEVIATION, bag_table, fill_with_label_factors, start_for_training
from hf_mlc.data.collating import MultiLabelCollator
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from tests.cycles.conftest import NUM_FEATURES, NUM_LABELS, rows_of


# of a tokenizer it asks no more than how to pad
COLLATOR = MultiLabelCollator(SimpleNamespace(pad_token_id=0, padding_side="right"), NUM_LABELS, targets="label_ids")
IDF = torch.linspace(0.0, 3.0, NUM_FEATURES + 1)  # of the id 0, padding, none


def model_of(**settings) -> LightDxmlForMultiLabelClassification:
    torch.manual_seed(0)
    fields = {"vocab_size": NUM_FEATURES + 1, "num_labels": NUM_LABELS, "embed_dim": 8, "unk_token_id": None}
    model = LightDxmlForMultiLabelClassification(LightDxmlConfig(**{**fields, **settings}))
    if model.config.encoder == "tfidf":
        model.encoder.idf.copy_(IDF)
    return model


def texts_of(rows: datasets.Dataset) -> datasets.Dataset:
    """The same rows with a number for each token in the place of its weight."""
    counts = [[1.0 + token % 4 for token in ids] for ids in rows["input_ids"]]
    return rows.remove_columns("token_weights").add_column("token_counts", counts)


def dense_rows(rows: datasets.Dataset) -> np.ndarray:
    """What `bag_table` is to hold, number by number."""
    table = np.zeros((len(rows), NUM_FEATURES + 1))
    for place, row in enumerate(rows):
        for number, token in enumerate(row["input_ids"]):
            if "token_weights" in row:
                table[place, token] = row["token_weights"][number]
            else:
                table[place, token] = (1 + np.log(row["token_counts"][number])) * float(IDF[token])
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def arguments(folder, **settings) -> MultiLabelTrainingArguments:
    settings = {"token_start": "label_factors", **settings}
    return MultiLabelTrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none", **settings)


@pytest.mark.parametrize("width", [8, 20])  # of 12 directions, for as many labels, a part or all
@pytest.mark.parametrize("encoder", ["features", "tfidf"])
def test_the_start_is_that_of_a_dense_decomposition_but_for_a_rotation(encoder, width, tmp_path):
    rows = rows_of(60, seed=3)
    rows = texts_of(rows) if encoder == "tfidf" else rows
    model = model_of(encoder=encoder, embed_dim=width)
    facts = start_for_training(model, rows, COLLATOR, arguments(tmp_path))
    assert facts == {"token_start": "label_factors", "documents": 60, "width": min(width, NUM_LABELS)}
    labels = np.zeros((60, NUM_LABELS))
    for place, ids in enumerate(rows["label_ids"]):
        labels[place, ids] = 1
    left, values, _ = np.linalg.svd(dense_rows(rows).T @ (labels / np.sqrt(labels.sum(axis=0))))
    factors = left[:, : min(width, NUM_LABELS)] * np.sqrt(values[:width])
    expected = torch.from_numpy(factors @ factors.T).float()
    weight = model.get_input_embeddings().weight.detach()
    found = weight @ weight.T
    torch.testing.assert_close(found / found.trace(), expected / expected.trace(), atol=1e-5, rtol=1e-3)
    assert weight.std().item() == pytest.approx(STANDARD_DEVIATION, rel=1e-4)
    assert (weight.std(dim=0) > 0.02).all()  # no number of a vector is left empty
    assert weight[0].abs().max() < 1e-12  # padding


@pytest.mark.parametrize("encoder", ["features", "tfidf"])
def test_the_table_is_what_the_model_reads_however_many_rows_at_once(encoder):
    rows = rows_of(23, seed=4)
    rows = texts_of(rows) if encoder == "tfidf" else rows
    bag = model_of(encoder=encoder).encoder
    for batch_size in (5, 23, 512):
        found = bag_table(bag, rows, COLLATOR, batch_size=batch_size).toarray()
        np.testing.assert_allclose(found, dense_rows(rows), rtol=1e-5, atol=1e-6)


def test_labels_without_rows_and_rows_without_labels_take_no_part():
    rows = rows_of(30, seed=5, num_labels=4)
    table, labels = bag_table(model_of(encoder="features").encoder, rows, COLLATOR), label_table(rows, NUM_LABELS)
    weight, other = torch.zeros(NUM_FEATURES + 1, 6), torch.zeros(NUM_FEATURES + 1, 6)
    assert fill_with_label_factors(weight, table, labels, seed=1) == 4
    assert weight.isfinite().all()
    fill_with_label_factors(other, table, labels, seed=2)
    assert not torch.allclose(weight, other)
    grams = [one @ one.T for one in (weight, other)]  # another rotation of the same
    torch.testing.assert_close(grams[0] / grams[0].trace(), grams[1] / grams[1].trace(), atol=1e-5, rtol=1e-3)
    nothing = torch.ones(NUM_FEATURES + 1, 6)
    assert fill_with_label_factors(nothing, table, labels * 0) == 0
    assert (nothing == 1).all()


def test_a_transformer_and_a_random_start_are_left_alone(tmp_path):
    rows = rows_of(20, seed=6)
    for model, args in (
        (model_of(encoder="transformer"), arguments(tmp_path)),
        (model_of(encoder="features"), arguments(tmp_path, token_start="random")),
    ):
        before = {name: values.clone() for name, values in model.state_dict().items()}
        assert start_for_training(model, rows, COLLATOR, args) is None
        assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
