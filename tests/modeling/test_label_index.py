"""Exact search for the nearest labels, block by block."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling import label_index
from hf_mlc.modeling.label_index import RunningTop, blocks, nearest_labels
from hf_mlc.modeling.label_tables import StoredTable, read_rows


TABLE = torch.zeros(23, 4)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks as small as they are asked for, however few the documents."""
    monkeypatch.setattr(label_index, "MIN_BLOCK_SCORES", 1)


def some_vectors(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 4, generator=generator), F.normalize(torch.randn(23, 4, generator=generator), dim=1)


def test_blocks_hold_every_label_once():
    for size in (1, 5, 23, 100):
        found = [label for block in blocks(TABLE, size, 6) for label in range(23)[block]]
        assert found == list(range(23))
        assert max(len(range(23)[block]) for block in blocks(TABLE, size, 6)) == min(size, 23)


def test_few_documents_are_compared_with_more_labels_at_once(monkeypatch):
    monkeypatch.setattr(label_index, "MIN_BLOCK_SCORES", 20)
    assert [block.stop for block in blocks(TABLE, 5, 2)] == [10, 20, 23]
    assert [block.stop for block in blocks(TABLE, 5, 100)] == [5, 10, 15, 20, 23]


@pytest.mark.parametrize(
    "table", [StoredTable(23, 4, "float16"), StoredTable(23, 4, "int8"), torch.zeros(23, 4).bfloat16()]
)
def test_no_more_than_a_block_of_a_smaller_table_is_made_float32(table, monkeypatch):
    monkeypatch.setattr(label_index, "MIN_BLOCK_SCORES", 10**6)
    assert [block.stop for block in blocks(table, 5, 1)] == [5, 10, 15, 20, 23]
    read = []
    monkeypatch.setattr(
        label_index, "read_rows", lambda table, rows: read.append(rows.stop - rows.start) or read_rows(table, rows)
    )
    nearest_labels(torch.ones(1, 4), table, 3, block_size=5)
    assert max(read) == 5


def test_autocast_makes_no_near_labels_equal():
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(16, generator=generator)
    vectors = F.normalize(centre + 0.05 * torch.randn(400, 16, generator=generator), dim=1)
    queries = centre + 0.1 * torch.randn(3, 16, generator=generator)
    expected = nearest_labels(queries, vectors, 50)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nearest_labels(queries, vectors, 50)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize("block_size", [1, 4, 23, 100])
def test_the_nearest_labels_are_those_of_all_cosines(block_size):
    queries, vectors = some_vectors()
    cosines, ids = F.cosine_similarity(queries[:, None], vectors[None], dim=2).topk(7, dim=1)
    found_ids, found_cosines = nearest_labels(queries, vectors, 7, block_size=block_size)
    assert torch.equal(found_ids, ids)
    torch.testing.assert_close(found_cosines, cosines)


@pytest.mark.parametrize("block_size", [1, 4, 100])
def test_labels_without_training_documents_are_never_found(block_size):
    queries, vectors = some_vectors()
    trained = torch.zeros(23, dtype=torch.bool)
    trained[[3, 8, 20]] = True
    ids, cosines = nearest_labels(queries, vectors, 5, is_trained_L=trained, block_size=block_size)
    assert ids.shape == (6, 5)
    assert all(sorted(row) == [-1, -1, 3, 8, 20] for row in ids.tolist())
    assert (ids[:, 3:] == -1).all() and (cosines[:, 3:] == 0).all()


def test_a_list_is_no_longer_than_there_are_labels():
    queries, vectors = some_vectors()
    assert nearest_labels(queries, vectors, 99, block_size=4)[0].shape == (6, 23)


def test_no_more_than_a_block_is_held():
    best = RunningTop(3)
    for first in range(0, 12, 4):
        best.add(torch.arange(first, first + 4.0)[None], first)
        assert best.ids_BS.shape[1] == 3
    assert best.ids_BS.tolist() == [[11, 10, 9]]


def test_a_table_in_half_precision_finds_the_same():
    queries, vectors = some_vectors()
    expected = nearest_labels(queries, vectors, 5, block_size=4)
    found = nearest_labels(queries, StoredTable.of(vectors, "float16"), 5, block_size=4)
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1], atol=1e-3, rtol=0)
