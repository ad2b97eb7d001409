from __future__ import annotations

import hf_mlc.inference as inference
from hf_mlc.inference import LoadedModel, encoded_batches
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from tests.cycles.conftest import NUM_FEATURES, NUM_LABELS, model_of, rows_of, space_of


def sizes_of(model, space) -> list[int]:
    loaded = LoadedModel(model.eval(), SparseFeatureExtractor(num_features=NUM_FEATURES), space)
    items = [{"indices": [number], "values": [1.0]} for number in range(12)]
    return [len(places) for places, _ in encoded_batches(loaded, items, 10)]


def test_batches_are_as_large_as_the_scores_of_shortlists_allow(trained, monkeypatch):
    monkeypatch.setattr(
        inference, "MAX_CELLS", 4 * NUM_LABELS
    )  # four documents' scores of all labels, nine of shortlists
    assert trained.model.has_index and trained.model.config.shortlist_size == 5
    assert sizes_of(trained.model, trained.label_space) == [9, 3]
    space = space_of(rows_of(40, seed=1))
    assert sizes_of(model_of(space), space) == [4, 4, 4]  # without an index all labels are scored
    assert sizes_of(model_of(space, scoring="all"), space) == [4, 4, 4]
