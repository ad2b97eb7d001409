"""Growing a forest over known sets: sparse rows, sets that the model doesn't keep, and what would be too large."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.tabular.powerset_forest import PowersetForest
from hf_mlc.training.known_sets import fill_known_sets
from hf_mlc.training.set_forest import set_forest_for_training


COLUMNS, LABELS, ROWS = 30, 5, 70


def rows(density: float) -> tuple[np.ndarray, list[list[int]], Dataset]:
    draw = np.random.default_rng(0)
    features = (draw.normal(size=(ROWS, COLUMNS)) * (draw.random((ROWS, COLUMNS)) < density)).astype(np.float32)
    labels = [np.flatnonzero(row).tolist() for row in features[:, :LABELS] > 0.1]
    return features, labels, Dataset.from_dict({"row": list(range(ROWS)), "label_ids": labels})


def model_of(**settings) -> MsdnForMultiLabelClassification:
    sizes = {"input_size": COLUMNS, "num_labels": LABELS, "hidden_size": 4, "known_sets": "restrict"}
    return MsdnForMultiLabelClassification(MsdnConfig(**sizes, forest_weight=1.0, forest_trees=7, **settings)).eval()


def grow(model, features, encoded) -> dict:
    def collator(items):
        return {"input_features": torch.from_numpy(features[[item["row"] for item in items]])}

    return set_forest_for_training(model, encoded, collator, seed=4)


@pytest.mark.parametrize("density", [0.05, 0.6], ids=["sparse", "dense"])
def test_trees_are_those_of_the_whole_table(monkeypatch, density):
    monkeypatch.setattr("hf_mlc.training.set_forest.ROWS_AT_ONCE", 16)
    features, labels, encoded = rows(density)
    model = model_of(forest_max_features=0.5, forest_min_rows=2)
    fill_known_sets(model, labels)
    facts = grow(model, features, encoded)
    assert facts["rows"] == ROWS and facts["trees"] == 7
    known = [tuple(row.nonzero().flatten().tolist()) for row in model.known_sets.sets_SL]
    expected = PowersetForest(n_estimators=7, max_features=0.5, min_samples_leaf=2, seed=4)
    expected.fit_sets(features, np.array([known.index(tuple(ids)) for ids in labels]), len(known))
    votes = model.set_forest(torch.from_numpy(features), len(known)).double()
    torch.testing.assert_close(votes, torch.from_numpy(expected.shares(features)), atol=1e-6, rtol=0)


def test_rows_whose_set_is_not_kept_have_no_part():
    features, labels, encoded = rows(0.6)
    model = model_of()
    facts = fill_known_sets(model, labels, most_bytes=4)
    assert facts["kept"] == 4 < facts["sets"]
    kept = {tuple(row.nonzero().flatten().tolist()) for row in model.known_sets.sets_SL}
    assert grow(model, features, encoded)["rows"] == sum(tuple(ids) in kept for ids in labels) < ROWS
    votes = model.set_forest(torch.from_numpy(features), 4)
    torch.testing.assert_close(votes.sum(dim=1), torch.ones(ROWS))


def test_a_tree_that_would_take_too_much_is_refused_before_it_grows(monkeypatch):
    monkeypatch.setattr("hf_mlc.training.set_forest.MOST_BYTES", 2**10)
    features, labels, encoded = rows(0.6)
    model = model_of()
    fill_known_sets(model, labels)
    with pytest.raises(UserError, match=r"^field 'forest_weight': a tree of 70 rows and \d+ label sets may take"):
        grow(model, features, encoded)
    assert model.set_forest is None
    fewer = model_of(forest_min_rows=60)
    fill_known_sets(fewer, labels)
    assert grow(fewer, features, encoded)["trees"] == 7


def test_architectures_without_a_place_for_one_are_left_alone():
    assert set_forest_for_training(torch.nn.Linear(1, 1), None, None, seed=0) is None
