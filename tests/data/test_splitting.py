"""Iterative stratification: exact sizes, fair shares, the same split for the same seed."""

from __future__ import annotations

import datasets
import numpy as np
import pytest

from hf_mlc.data import add_validation_split, iterative_stratified_split, load_splits, split_report
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


def arrays(*rows):
    return [np.array(row, dtype=np.int64) for row in rows]


def long_tail(num_documents=2000, num_labels=200, seed=0):
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, num_labels + 1)
    return [
        np.unique(rng.choice(num_labels, size=rng.integers(0, 6), p=weights / weights.sum()))
        for _ in range(num_documents)
    ]


def counts_of(ids, part, num_labels):
    return np.bincount(np.concatenate([ids[n] for n in part]), minlength=num_labels)


@pytest.mark.parametrize("fractions", [[0.9, 0.1], [0.5, 0.5], [0.7, 0.2, 0.1], [1.0]])
@pytest.mark.parametrize("num_documents", [0, 1, 3, 10, 101])
def test_every_document_is_in_one_part_and_sizes_are_exact_to_rounding(fractions, num_documents):
    parts = iterative_stratified_split(long_tail(num_documents), fractions, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(num_documents))
    for part, fraction in zip(parts, fractions, strict=True):
        assert part.dtype == np.int64 and (np.diff(part) > 0).all()
        assert abs(len(part) - fraction * num_documents) < 1


def test_every_label_has_its_share_in_every_part():
    ids = long_tail()
    parts = iterative_stratified_split(ids, [0.75, 0.25], seed=3)
    total = counts_of(ids, range(len(ids)), 200)
    quarter = counts_of(ids, parts[1], 200)
    # no label is further from its share than 2 documents (a random split strays by tens on the frequent ones)
    assert np.abs(quarter - 0.25 * total).max() <= 2
    random = np.random.default_rng(3).permutation(len(ids))[: len(parts[1])]
    assert np.abs(counts_of(ids, random, 200) - 0.25 * total).max() > 5


def test_a_label_of_two_documents_goes_to_both_halves():
    # labels 0, 1, 2 stand in two documents each: each half must get one of each
    ids = arrays([0], [1], [2], [0], [1], [2])
    for seed in range(10):
        for part in iterative_stratified_split(ids, [0.5, 0.5], seed=seed):
            assert sorted(int(ids[n][0]) for n in part) == [0, 1, 2]


def test_a_label_of_one_document_goes_to_the_larger_part():
    ids = arrays([0], *[[1]] * 9)
    for seed in range(10):
        assert 0 in iterative_stratified_split(ids, [0.9, 0.1], seed=seed)[0]


def test_documents_without_labels_are_spread_too():
    ids = arrays(*[[0]] * 50, *[[]] * 50)
    part = iterative_stratified_split(ids, [0.8, 0.2], seed=0)[1]
    assert (part < 50).sum() == 10 and (part >= 50).sum() == 10


def test_the_seed_decides_and_nothing_else():
    ids = long_tail()
    first, again, other = (iterative_stratified_split(ids, [0.9, 0.1], seed=seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("fractions", [[], [0.9, 0.2], [1.1, -0.1], [1.0, 0.0]])
def test_fractions_that_are_no_shares_are_an_error(fractions):
    with pytest.raises(UserError, match="positive numbers with the sum 1"):
        iterative_stratified_split(arrays([0]), fractions, seed=0)


def rows_of_rare_labels():
    """450 rows of 0 to 3 of 300 labels, most of which have a handful of rows."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 301) ** 0.8
    return [np.unique(rng.choice(300, rng.integers(0, 4), p=shares / shares.sum())) for _ in range(450)]


def test_a_small_part_of_rows_with_rare_labels_is_like_the_others():
    """Were every label of less than ten rows to stay in the large part, the small one would get the rows without labels."""
    ids = rows_of_rare_labels()
    means, empty = [], []
    for seed in range(5):
        large, small = iterative_stratified_split(ids, [0.9, 0.1], seed=seed)
        assert (len(large), len(small)) == (405, 45)
        assert sorted([*large, *small]) == list(range(450))
        means.append(np.mean([len(ids[n]) for n in small]))
        empty.append(np.mean([not len(ids[n]) for n in small]))
        # the large part keeps a row of nearly every label; of one that is always beside a rarer one it may lose the last
        assert len(set(np.concatenate([ids[n] for n in large]))) > 0.98 * len(set(np.concatenate(ids)))
        again = iterative_stratified_split(ids, [0.9, 0.1], seed=seed)
        assert all(np.array_equal(one, other) for one, other in zip((large, small), again, strict=True))
    every = np.mean([len(row) for row in ids])
    assert abs(np.mean(means) / every - 1) < 0.2
    assert abs(np.mean(empty) - np.mean([not len(row) for row in ids])) < 0.05


def test_rows_without_a_scarce_label_are_dealt_out_as_ever(monkeypatch):
    """What small parts differ by is chance there, and a run of before finds its rows again."""
    rng = np.random.default_rng(1)
    ids = [np.flatnonzero(rng.random(5) < 0.3) for _ in range(100)]
    before = [iterative_stratified_split(ids, [0.9, 0.1], seed=seed) for seed in range(10)]
    monkeypatch.setattr("hf_mlc.data.splitting.UNLIKE", -1.0)  # however alike they are
    after = [iterative_stratified_split(ids, [0.9, 0.1], seed=seed) for seed in range(10)]
    assert all(
        np.array_equal(a, b) for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_the_report_counts_labels_that_are_missing_from_a_part():
    ids = arrays([0, 7], [0], [], [3])
    report = split_report(ids, [np.array([0, 2]), np.array([1, 3])])
    # labels 0, 3, 7 occur; the first part lacks 3, the second lacks 7
    assert (report.sizes, report.num_labels, report.missing) == ([2, 2], 3, [1, 1])
    assert str(report).splitlines()[0] == "part 0: 2 documents, 1 of 3 labels missing"


def corpus():
    names = [["a"], ["b"], [], ["a", "b"]] * 10
    train = datasets.Dataset.from_dict({"id": [str(i) for i in range(40)], "text": ["t"] * 40, "labels": names})
    return datasets.DatasetDict({"train": train, "test": train.select([0])})


def test_a_validation_split_is_moved_out_of_train():
    data = corpus()
    split, report = add_validation_split(data, fraction=0.25, seed=1)
    assert list(split) == ["train", "validation", "test"]
    assert {name: len(rows) for name, rows in split.items()} == {"train": 30, "validation": 10, "test": 1}
    assert sorted(map(int, [*split["train"]["id"], *split["validation"]["id"]])) == list(range(40))
    assert (report.sizes, report.missing) == ([30, 10], [0, 0])
    assert len(data["train"]) == 40


def test_a_label_space_or_ids_give_the_same_validation_split():
    data = corpus()
    space = LabelSpace.from_names(["a", "b"])
    ids = [space.encode(labels) for labels in data["train"]["labels"]]
    first, second, third = (add_validation_split(data, labels)[0]["validation"]["id"] for labels in (None, space, ids))
    assert first == second == third


def test_a_validation_split_that_cannot_be_made_is_an_error():
    data = corpus()
    with pytest.raises(UserError, match="there is a validation split already"):
        add_validation_split(datasets.DatasetDict(data | {"validation": data["test"]}))
    with pytest.raises(UserError, match=r"a fraction of 1\.5"):
        add_validation_split(data, fraction=1.5)
    with pytest.raises(UserError, match=r"40 training rows cannot give a fraction of 0\.001"):
        add_validation_split(data, fraction=0.001)


@pytest.mark.real_data
def test_a_tenth_of_reuters_holds_every_label_that_can_be_shared(real_data, tmp_path):
    train = load_splits(real_data("reuters21578"), splits=["train"], cache_dir=tmp_path)["train"]
    space = LabelSpace.from_label_lists(train["labels"])
    ids = [space.encode(labels) for labels in train["labels"]]
    parts = iterative_stratified_split(ids, [0.9, 0.1], seed=0)
    assert [len(part) for part in parts] == [6993, 777]
    held_out = counts_of(ids, parts[1], len(space))
    assert (held_out[space.counts >= 20] > 0).all()
    assert np.abs(held_out - 0.1 * space.counts).max() <= 2


def test_a_label_that_a_given_list_lacks_is_named_with_file_and_row():
    rows = {"id": ["x", "y"], "text": ["t", "u"], "labels": [["a"], ["b"]]}
    data = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)})
    with pytest.raises(UserError, match=r"^notes.csv, row 2, field 'labels': label 'b'"):
        add_validation_split(data, LabelSpace.from_names(["a"]), fraction=0.5, file="notes.csv")
