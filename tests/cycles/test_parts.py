"""Centroids, label embeddings, shortlists and lists of candidates, against what can be counted by hand or computed plainly."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from scipy import sparse

from hf_mlc.cycles.centroids import label_centroids, label_counts
from hf_mlc.cycles.collating import CandidateLists
from hf_mlc.cycles.encoding import batches_of_rows
from hf_mlc.cycles.proxy import label_embeddings, robust_distance, train_proxy
from hf_mlc.cycles.rows import ROW_NUMBERS, NumberedRows, NumberingCollator, is_ragged, label_table
from hf_mlc.cycles.shortlists import Recall, fill_shortlists
from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.label_proxy import LabelProxy


def table(lists: list[list[int]], num_labels: int) -> sparse.csr_array:
    return label_table(datasets.Dataset.from_dict({"label_ids": lists}), num_labels)


@pytest.fixture
def pairs():
    """60 documents of vectors around their labels' own, 7 labels, the last of them in no document."""
    rng = np.random.default_rng(0)
    lists = [sorted(rng.choice(6, rng.integers(1, 4), replace=False).tolist()) for _ in range(60)]
    centres = rng.normal(size=(7, 4))
    vectors = np.stack([centres[ids].mean(0) for ids in lists]) + rng.normal(size=(60, 4)) * 0.1
    return table(lists, 7), vectors.astype(np.float32)


def proxy_of(kind: str, width: int = 4) -> LabelProxy:
    torch.manual_seed(0)
    proxy = LabelProxy(LightDxmlConfig(num_labels=3, embed_dim=width, proxy=kind, proxy_hidden=6))
    proxy.reset_parameters()
    return proxy


# -- rows


def test_rows_are_read_as_datasets_reads_them():
    rows = datasets.Dataset.from_dict(
        {"input_ids": [[1, 2], [], [3]], "label_ids": [[0], [1], []], "length": [2, 0, 1]}
    )
    several = datasets.concatenate_datasets([rows, rows.select([2, 0])])  # in chunks, some of them selected
    for dataset in (rows, several, several.select([4, 1, 0]), several.shuffle(seed=1)):
        numbered = NumberedRows(dataset)
        for found, row in zip(numbered.__getitems__(list(range(len(dataset)))), range(len(dataset)), strict=True):
            assert found[ROW_NUMBERS] == row
            for name in ("input_ids", "label_ids"):
                assert found[name].tolist() == dataset[row][name]


def test_a_column_with_missing_lists_or_numbers_is_left_to_datasets():
    for lists in ([[1, 2], None], [[1, None], [2]]):
        rows = datasets.Dataset.from_dict({"input_ids": lists, "label_ids": [[0], [1]]})
        assert not is_ragged(rows, "input_ids") and is_ragged(rows, "label_ids")
        assert [NumberedRows(rows)[place]["input_ids"] for place in (0, 1)] == lists


def test_rows_of_other_numbers_have_another_digest_and_their_order_counts():
    def digest(rows, **changes):
        content = {"input_ids": [[1, 2], [3]], "token_weights": [[0.5, 1.0], [2.0]], **changes}
        return NumberedRows(rows(datasets.Dataset.from_dict(content))).digest()

    def same(rows):
        return rows

    found = digest(same)
    assert digest(same) == found
    others = [
        digest(same, token_weights=[[0.5, 1.0], [2.5]]),
        digest(same, input_ids=[[1], [2, 3]], token_weights=[[0.5], [1.0, 2.0]]),
        digest(lambda rows: rows.select([1, 0])),
    ]
    assert len({found, *others}) == 4


def test_a_nested_column_is_left_to_datasets():
    rows = datasets.Dataset.from_dict({"input_ids": [[1], [2]], "pixels": [[[1.0]], [[2.0]]]})
    assert NumberedRows(rows)[1] == {"input_ids": [2], "pixels": [[2.0]], ROW_NUMBERS: 1}
    assert "pixels" not in NumberedRows(rows, ["input_ids"])[1]


def test_a_batch_says_which_rows_it_holds():
    collator = NumberingCollator(lambda rows: {"sizes": torch.tensor([len(row) for row in rows])})
    batch = collator([{"a": 1, ROW_NUMBERS: 5}, {"a": 2, "b": 3, ROW_NUMBERS: 2}])
    assert batch["sizes"].tolist() == [1, 2] and batch[ROW_NUMBERS].tolist() == [5, 2]


def test_the_table_of_labels_is_sorted_and_holds_each_once():
    found = table([[3, 1, 3, -100], [], [0]], 4)
    assert found.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert found.indices.tolist() == [1, 3, 0] and label_counts(found).tolist() == [1, 1, 0, 1]
    with pytest.raises(UserError, match=r"the id 4.*accepted: 0 to 3"):
        table([[4]], 4)


def test_rows_of_like_length_are_encoded_together_and_processes_share_them():
    lengths = np.array([5, 1, 4, 2, 3])
    batches = batches_of_rows(lengths, 5, 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [4, 2], [0]]
    shares = [batches_of_rows(lengths, 5, 2, rank=rank, num_ranks=2) for rank in (0, 1)]
    assert sorted(row for share in shares for batch in share for row in batch) == list(range(5))


# -- phase 1


@pytest.mark.parametrize("block_rows", [1, 7, 100])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_centroids_are_means_of_the_documents(pairs, block_rows, dtype):
    labels, vectors = pairs
    vectors = vectors.astype(dtype)
    found = label_centroids(labels, vectors, block_rows=block_rows)
    for label in range(6):
        rows = labels.toarray()[:, label] > 0
        np.testing.assert_allclose(found[label], vectors[rows].astype(np.float64).mean(0), rtol=1e-4, atol=1e-6)
    assert not found[6].any() and found.dtype == np.float32


@pytest.mark.parametrize("kind", ["affine", "two_layer"])
def test_a_proxy_comes_nearer_to_the_documents(pairs, kind):
    labels, vectors = pairs
    centroids, proxy = label_centroids(labels, vectors), proxy_of(kind)
    losses = train_proxy(
        proxy, centroids, vectors, labels, epochs=20, learning_rate=0.01, batch_size=16, rng=np.random.default_rng(1)
    )
    rows, ids = labels.nonzero()
    with torch.no_grad():
        mapped = proxy(torch.from_numpy(centroids))[ids]
        reached = robust_distance(mapped, torch.from_numpy(vectors[rows])).mean().item()
        # where it began: both kinds are the identity
        start = robust_distance(torch.from_numpy(centroids[ids]), torch.from_numpy(vectors[rows])).mean().item()
    assert len(losses) == 20 and losses[-1] < losses[0] and reached < start - 0.005
    # of one layer or two, it is one affine map
    bias = proxy(torch.zeros(1, 4))
    torch.testing.assert_close(
        torch.from_numpy(centroids) @ (proxy(torch.eye(4)) - bias) + bias, proxy(torch.from_numpy(centroids))
    )


def test_the_loss_of_a_pair_by_hand():
    # ln(1 + 3^2 + 4^2) = ln 26
    assert robust_distance(torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 5.0]])).item() == pytest.approx(
        3.2581, abs=1e-4
    )


def test_label_embeddings_have_length_one_whatever_the_blocks(pairs):
    labels, vectors = pairs
    centroids = label_centroids(labels, vectors)
    found = label_embeddings(proxy_of("none"), centroids.copy())
    in_blocks = label_embeddings(proxy_of("none"), centroids, block_labels=2)
    assert torch.equal(found, in_blocks)
    assert np.shares_memory(in_blocks.numpy(), centroids)  # no second table of all labels
    assert found.norm(dim=1)[:6].tolist() == pytest.approx([1.0] * 6) and not found[6].any()


# -- phase 2


class Index:
    """What a model's `shortlist` promises, by plain sorting."""

    def __init__(self, vectors_LD: torch.Tensor):
        self.vectors_LD = vectors_LD

    def shortlist(self, documents_BD, size):
        return (documents_BD @ self.vectors_LD.T).topk(size).indices, None


def test_shortlists_and_their_recall(pairs):
    labels, vectors = pairs
    index = Index(label_embeddings(proxy_of("none"), label_centroids(labels, vectors)))
    lists = np.full((60, 3), -7, np.int32)
    recall = fill_shortlists(index, vectors, labels, lists, [np.arange(0, 25), np.arange(25, 60)])
    expected = index.shortlist(torch.from_numpy(vectors), 3)[0].numpy()
    assert (lists == expected).all()
    rows, ids = labels.nonzero()
    hits = sum(label in lists[row] for row, label in zip(rows, ids, strict=True))
    assert (recall.found, recall.pairs) == (hits, len(rows)) and 0.5 < recall.value < 1


def test_recall_counts_no_padding_and_needs_pairs():
    recall = Recall()
    recall.count(np.array([[1, -1]]), np.array([0]), table([[1, 2]], 3))
    assert recall.value == 0.5
    assert Recall().value is None


# -- lists of candidates


def lists_of(shortlists, labels, *, trained=None, **settings) -> CandidateLists:
    num_labels = labels.shape[1]
    return CandidateLists(
        np.array(shortlists, np.int32), labels, np.ones(num_labels, bool) if trained is None else trained, **settings
    )


def test_a_documents_list_is_its_labels_and_then_the_nearest_others():
    labels = table([[4, 9], [0], []], 10)
    candidates = lists_of([[9, 1, 2, 3], [5, 6, 0, 7], [8, 7, -1, -1]], labels, shared=False)
    found = candidates.of_step([np.array([0, 2]), np.array([1])], epoch=0, step=0)
    assert [one.tolist() for one in found] == [[[4, 9, 1, 2], [8, 7, -1, -1]], [[0, 5, 6, 7]]]


def test_a_shared_list_is_the_union_of_all_batches_and_processes():
    labels = table([[4, 9], [0], []], 10)
    candidates = lists_of([[9, 1], [5, 6], [8, -1]], labels, shared=True)
    one = candidates.of_step([np.array([0, 1, 2])], epoch=0, step=0)
    assert one[0].tolist() == [0, 1, 4, 5, 6, 8, 9]
    two = candidates.of_step([np.array([0]), np.array([2, 1])], epoch=0, step=0)
    assert [ids.tolist() for ids in two] == [one[0].tolist()] * 2

    def with_another(is_marked):
        is_marked[3] = True
        return is_marked

    found = candidates.of_step([np.array([0])], epoch=0, step=0, united=with_another)
    assert found[0].tolist() == [1, 3, 4, 9]


@pytest.mark.parametrize("shared", [True, False])
def test_of_many_labels_some_are_drawn_anew_each_epoch_and_none_is_a_negative(shared):
    labels = table([list(range(8))], 10)
    candidates = lists_of([[9, 0, 1, 8, 2]], labels, shared=False, max_positives=3, seed=4)
    epochs = [candidates.of_documents(np.array([0]), epoch=epoch)[0].tolist() for epoch in range(6)]
    for ids in epochs:
        assert set(ids[:3]) <= set(range(8)) and len(set(ids[:3])) == 3 and ids[3:] == [9, 8]
    assert len({tuple(ids) for ids in epochs}) > 1
    assert epochs[2] == candidates.of_documents(np.array([0]), epoch=2)[0].tolist()


@pytest.mark.parametrize("max_positives", [None, 20])
def test_of_more_labels_than_a_list_holds_each_gets_its_turn_and_one_negative_is_left(max_positives):
    labels = table([list(range(30))], 40)
    candidates = lists_of([[35, 2, 31, 7]], labels, shared=False, max_positives=max_positives)
    lists = [candidates.of_documents(np.array([0]), epoch=epoch)[0].tolist() for epoch in range(100)]
    assert all(len(set(ids[:3])) == 3 and max(ids[:3]) < 30 and ids[3] == 35 for ids in lists)
    assert {one for ids in lists for one in ids[:3]} == set(range(30))
    # a shared list has no size that they would have to fit
    shared = lists_of([[35, 2, 31, 7]], labels, shared=True).of_step([np.array([0])], epoch=0, step=0)
    assert shared[0].tolist() == [*range(30), 31, 35]


def test_a_list_of_one_is_a_label_of_the_document():
    assert lists_of([[3]], table([[1, 2]], 4), shared=False).of_documents(np.array([0]), epoch=0)[0, 0] in (1, 2)


def test_random_labels_beside_the_lists_or_in_their_place():
    labels = table([[0], [1]], 50)
    trained = np.arange(50) < 40
    settings = {"trained": trained, "seed": 3}
    beside = lists_of([[2, 3], [4, 5]], labels, shared=True, random_negatives=10, **settings)
    found = [beside.of_step([np.array([0, 1])], epoch=0, step=step)[0] for step in (0, 1, 0)]
    assert {0, 1, 2, 3, 4, 5} <= set(found[0].tolist()) and 10 <= len(found[0]) <= 16 and found[0].max() < 40
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
    apart = lists_of([[2, 3], [4, 5]], labels, shared=False, random_negatives=4, **settings)
    for ids in apart.of_documents(np.array([0, 1]), epoch=0).tolist():
        real = [one for one in ids if one >= 0]
        assert len(ids) == 6 and len(set(real)) == len(real) and len(real) >= 4
    instead = lists_of([[2, 3, 6], [4, 5, 6]], labels, shared=False, negatives="random", **settings)
    rows = instead.of_documents(np.arange(2), epoch=0)
    assert rows.shape == (2, 3) and rows[:, 0].tolist() == [0, 1] and not {2, 3, 4, 5, 6} >= set(rows[:, 1:].flat)
    # a row's draw doesn't depend on the rows around it
    assert instead.of_documents(np.array([1]), epoch=0)[0].tolist() == rows[1].tolist()
