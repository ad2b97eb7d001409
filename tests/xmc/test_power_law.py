"""The generated set: what it is made of, that it is the same however much of it is made, and its three forms."""

from __future__ import annotations

import dataclasses
import tracemalloc

import datasets
import numpy as np
import pytest

from hf_mlc import LabelSpace, load_splits
from hf_mlc.data import Columns
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.sparse.encoding import encode_sparse
from hf_mlc.xmc.power_law import BLOCK, PowerLawSet


SMALL = PowerLawSet(200, num_features=2000, nonzeros=20, seed=5)


def test_rows_are_sparse_unit_vectors_with_labels_in_order():
    rows = list(SMALL.rows(50))
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 51)]
    for row in rows:
        indices, values = row["features"]["indices"], row["features"]["values"]
        assert len(indices) == 20 and indices == sorted(set(indices)) and indices[0] >= 0 and indices[-1] < 2000
        assert np.isclose(np.square(values).sum(), 1, atol=1e-5)
        assert row["labels"] == sorted(set(row["labels"])) and 1 <= len(row["labels"]) <= 12


def test_the_first_documents_are_the_same_whatever_their_number_and_splits_differ():
    few, many = list(SMALL.rows(10)), SMALL.rows(BLOCK + 10)
    assert few == [next(many) for _ in range(10)]
    assert sum(len(block.offsets) - 1 for block in SMALL.blocks(BLOCK + 10)) == BLOCK + 10
    assert few != list(SMALL.rows(10, split="test"))
    assert few != list(dataclasses.replace(SMALL, seed=6).rows(10))


def test_labels_follow_the_power_law_and_number_as_many_as_asked():
    counts = sum(np.bincount(block.label_ids, minlength=200) for block in SMALL.blocks(20_000))
    assert counts.sum() / 20_000 == pytest.approx(3.0, abs=0.1)
    assert (counts > 0).all() and counts[0] > 2 * counts[10] > 2 * counts[190]
    # over the ranks in which no label is in a large share of all documents, the slope of the law
    ranks = np.arange(20, 200)
    slope = np.polyfit(np.log(ranks + 1.5), np.log(counts[ranks]), 1)[0]
    assert slope == pytest.approx(-0.7, abs=0.1)


def test_a_document_holds_features_of_its_labels_prototypes_and_labels_of_a_topic_share_some():
    slots = np.arange(SMALL.prototype_size)
    own = shared = 0
    for row in SMALL.rows(200):
        indices = set(row["features"]["indices"])
        prototypes = {int(f) for label in row["labels"] for f in SMALL.prototype(np.array(label), slots)}
        others = {int(f) for label in row["labels"] for f in SMALL.prototype(np.array((label + 51) % 200), slots)}
        own += len(indices & prototypes) / len(indices)
        shared += len(indices & others) / len(indices)
    assert own / 200 > 0.5 > 0.2 > shared / 200
    num_topics = 200 // SMALL.labels_per_topic
    first, second = SMALL.prototype(np.array([3]), slots), SMALL.prototype(np.array([3 + num_topics]), slots)
    assert (first[:15] == second[:15]).all() and not (first[15:] == second[15:]).any()


def test_the_file_the_arrow_rows_and_the_encoded_ones_are_one_data_set(tmp_path):
    file = SMALL.write(tmp_path / "train.txt.gz", 30)
    read = load_splits(train_file=file, columns=Columns(features="features", absent="zero"), cache_dir=tmp_path / "c")
    assert [row["labels"] for row in SMALL.rows(30)] == read["train"]["labels"][:]
    space = LabelSpace.from_names([str(number) for number in range(200)])
    encoded = encode_sparse(read, SparseFeatureExtractor(2000), space)["train"]
    straight = SMALL.encoded(30, tmp_path)
    assert straight.features == encoded.features and len(straight) == 30
    for ours, theirs in zip(straight, encoded, strict=True):
        # the very numbers: a file holds as many digits as a float32 has
        assert np.array_equal(ours.pop("token_weights"), theirs.pop("token_weights"))
        assert ours == theirs
    again = SMALL.encoded(30, tmp_path)
    assert again.cache_files == straight.cache_files and isinstance(again, datasets.Dataset)
    other = dataclasses.replace(SMALL, noise=0.1).encoded(30, tmp_path)
    assert other.cache_files != straight.cache_files
    assert len(list(tmp_path.glob("*.arrow"))) == 2 == len(list(tmp_path.glob("*power-law-*")))  # nothing half-written


def test_files_are_found_again_by_all_that_makes_their_documents(tmp_path, monkeypatch):
    changed = {"num_labels": 201, "num_features": 2001, "nonzeros": 21, "labels_per_document": 2.5, "exponent": 0.8,
               "prototype_size": 31, "topic_share": 0.4, "labels_per_topic": 51, "noise": 0.3, "seed": 6}  # fmt: skip
    assert changed.keys() == {field.name for field in dataclasses.fields(PowerLawSet)}
    prints = {dataclasses.replace(SMALL, **{name: value}).fingerprint for name, value in changed.items()}
    assert len(prints | {SMALL.fingerprint}) == 11
    assert dataclasses.replace(SMALL).fingerprint == SMALL.fingerprint
    before = SMALL.encoded(3, tmp_path)
    monkeypatch.setattr("hf_mlc.xmc.power_law._VERSION", 1000)  # code that makes other documents
    assert SMALL.encoded(3, tmp_path).cache_files != before.cache_files


def test_memory_grows_neither_with_documents_nor_with_labels():
    def peak(generated: PowerLawSet, num_documents: int) -> int:
        tracemalloc.start()
        for _ in generated.blocks(num_documents):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    of_few = peak(SMALL, BLOCK)
    assert peak(SMALL, 3 * BLOCK) < 1.5 * of_few
    assert peak(dataclasses.replace(SMALL, num_labels=50_000_000), BLOCK) < 1.5 * of_few


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_labels": 1}, "'num_labels': found 1"),
        ({"nonzeros": 1001}, "'nonzeros': found 1001; accepted: 1 to 1000"),
        ({"noise": 1.5}, "'noise': found 1.5; accepted: 0 to 1"),
        ({"labels_per_document": 60}, "'labels_per_document': found 60; accepted: 1 to 50"),
    ],
)
def test_a_number_out_of_range_is_one_line(wrong, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **wrong)
