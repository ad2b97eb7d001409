"""`pipeline("multi-label-sparse-classification")`: rows of any number of features share a batch."""

from __future__ import annotations

import pytest
import torch
from scipy import sparse
from transformers import pipeline

from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.pipeline_multi_label_sparse import SPARSE_TASK
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor


ROWS = [
    {"indices": [3, 7, 8], "values": [1.0, 2.0, 0.5]},
    {"1": 4},
    {},
    [0, 0, 3, 0, 0, 0, 0, 0, 0, 1],
    {"indices": [2], "values": [1.0]},
]


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    extractor = SparseFeatureExtractor(10)
    space = LabelSpace.from_names(list("abcdef"))
    config = LightDxmlConfig(
        encoder="features",
        vocab_size=extractor.vocab_size,
        unk_token_id=None,
        num_labels=6,
        embed_dim=8,
        shortlist_size=6,
    )
    store_label_space(config, space)
    model = LightDxmlForMultiLabelClassification(config).eval()
    for weights in model.parameters():  # large enough to tell rows apart
        torch.nn.init.normal_(weights)
    return pipeline(SPARSE_TASK, model=model, feature_extractor=extractor, device="cpu")


@pytest.mark.parametrize("batch_size", [2, 5])
def test_rows_of_different_lengths_are_answered_in_a_batch_as_by_themselves(pipe, batch_size):
    together = pipe(ROWS, batch_size=batch_size, return_all_scores=True)
    scores = set()
    for answer, row in zip(together, ROWS, strict=True):
        alone = pipe(row, return_all_scores=True)
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in alone]
        assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in alone], abs=1e-6)
        scores.add(round(answer[0]["score"], 5))
    assert len(scores) > 3  # rows are told apart


def test_a_matrix_of_scipy_is_several_rows(pipe):
    matrix = sparse.csr_array(([1.0, 2.0, 0.5, 1.0, 3.0], ([0, 0, 0, 1, 1], [3, 7, 8, 1, 1])), shape=(2, 10))
    expected = pipe([{"indices": [3, 7, 8], "values": [1.0, 2.0, 0.5]}, {"1": 4}], return_all_scores=True)
    assert pipe(matrix, return_all_scores=True) == expected  # what stands in a cell twice is added up
    assert pipe([{"features": matrix[[0]]}], return_all_scores=True) == expected[:1]
    with pytest.raises(ValueError, match="row 1: a row is"):
        pipe.feature_extractor([matrix[[0]], matrix[[1]]])


def test_what_pads_a_batch_is_not_saved(pipe):
    assert pipe.feature_extractor.padding_value == 0
    assert "padding_value" not in pipe.feature_extractor.to_dict()
