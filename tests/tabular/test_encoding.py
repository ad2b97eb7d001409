"""Rows of tables made ready for training, and batches of them."""

from __future__ import annotations

import datasets
import pytest
import torch

from hf_mlc.data import check_splits, load_splits
from hf_mlc.data.columns import ColumnRows
from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.tabular.collating import TableCollator
from hf_mlc.tabular.encoding import encode_tables, is_mostly_zeros
from hf_mlc.tabular.fitting import fit_table


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def splits_of(**rows) -> datasets.DatasetDict:
    """Splits of rows `(features, labels)`."""
    return datasets.DatasetDict(
        {
            name: datasets.Dataset.from_list(
                [{"id": str(i), "features": x, "labels": y} for i, (x, y) in enumerate(pairs, start=1)]
            )
            for name, pairs in rows.items()
        }
    )


TRAIN = [({"a": 1.0, "b": "x"}, ["l"]), ({"a": 3.0, "b": "y"}, ["m", "l"]), ({"a": 2.0, "b": "x"}, [])]
TEST = [({"a": 2.0, "b": "z"}, ["m", "unknown"])]


def prepared(train=TRAIN, **more):
    splits = splits_of(train=train, **more)
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    return splits, space, fit_table(ColumnRows(splits["train"], "features"))


def test_rows_become_columns_and_label_ids_and_what_is_unseen_is_counted():
    splits, space, extractor = prepared(test=TEST)
    report = check_splits(splits, space)
    encoded = encode_tables(splits, extractor, space, report=report)
    assert set(encoded["train"].column_names) == {"id", "input_features", "label_ids", "length"}
    assert encoded["train"]["label_ids"][:] == [[0], [0, 1], []]
    assert (
        torch.tensor(encoded["train"]["input_features"][:]).tolist()
        == extractor([x for x, _ in TRAIN])["input_features"].tolist()
    )
    assert encoded["test"]["input_features"][0] == [0.0, 0.0, 0.0]
    assert (report.splits["test"].unseen_values, report.splits["test"].unknown_labels) == (1, 1)
    assert report.splits["train"].unseen_values == 0
    assert "unseen values" in str(report)


def test_a_bad_row_is_named_by_its_split_and_number():
    splits, space, extractor = prepared(test=[*TEST, ({"a": None, "b": "x"}, [])])
    with pytest.raises(UserError, match=r"^test, row 2, field 'a': the value is missing"):
        encode_tables(splits, extractor, space)


def test_booleans_of_parquet_and_json_are_the_words_of_a_csv(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"member": [True, False, True], "age": [1, 2, 3], "hot": [1, 0, 1]})
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.to_parquet(tmp_path / "validation.parquet")
    frame.to_json(tmp_path / "test.jsonl", orient="records", lines=True)
    columns = Columns(features=("member", "age"), label_columns=("hot",))
    splits, space = load_splits(tmp_path, columns=columns), LabelSpace(["hot"])
    extractor = fit_table(ColumnRows(splits["train"], "features"), named_columns=True)
    assert extractor.categories == {"member": ["False", "True"]}
    report = check_splits(splits, space)
    encoded = encode_tables(splits, extractor, space, report=report)
    assert [row[1:] for row in encoded["train"]["input_features"][:]] == [[0, 1], [1, 0], [0, 1]]
    for split in ("validation", "test"):
        assert encoded[split]["input_features"][:] == encoded["train"]["input_features"][:]
        assert report.splits[split].unseen_values == 0
    # rows to predict on are not stored
    rows = [row["features"] for row in iterate_rows(tmp_path / "test.jsonl", columns)]
    assert rows[0]["member"] is True
    assert extractor(rows)["input_features"].tolist() == encoded["train"]["input_features"][:]


def test_the_collator_gives_the_same_of_dense_sparse_and_raw_rows():
    rows = [({str(i): float(i % 7 + 1), str(i + 60): 1.0}, ["l"]) for i in range(120)]
    splits = splits_of(train=[({"indices": [*map(int, x)], "values": [*x.values()]}, y) for x, y in rows])
    space, extractor = LabelSpace(["l", "m"]), fit_table(ColumnRows(splits["train"], "features"))
    assert is_mostly_zeros(extractor)
    encoded = encode_tables(splits, extractor, space)["train"]
    assert set(encoded.features["input_features"]) == {"indices", "values"}
    collator = TableCollator(extractor, 2, return_ids=True)
    batch = collator([encoded[i] for i in range(5)])
    expected = extractor([x for x, _ in rows[:5]])["input_features"]
    assert torch.equal(batch["input_features"], expected)
    assert batch["input_features"].dtype == torch.float32
    assert batch["labels"].tolist() == [[1.0, 0.0]] * 5 and batch["ids"] == ["1", "2", "3", "4", "5"]
    raw = collator([{"features": x} for x, _ in rows[:5]])
    assert torch.equal(raw["input_features"], expected) and "labels" not in raw
    dense = collator([{"input_features": row.tolist(), "label_ids": [1]} for row in expected])
    assert torch.equal(dense["input_features"], expected)


def test_the_collator_refuses_rows_without_features():
    _, _, extractor = prepared()
    with pytest.raises(UserError, match="field 'features': a row without features"):
        TableCollator(extractor, 2)([{"id": "1"}])
    with pytest.raises(UserError, match="row 2, field 'a': found 'old' in a column of numbers"):
        TableCollator(extractor, 2)([{"features": TRAIN[0][0]}, {"features": {"a": "old", "b": "x"}}])


def test_permuting_the_test_rows_changes_nothing_of_the_extractor():
    _, _, one = prepared(test=TEST)
    _, _, other = prepared(test=[({"a": 99.0, "b": "q"}, ["l"])])
    assert one.to_dict() == other.to_dict()


# -- real data: each set of Mulan once, in the form of its folder

MULAN = {"emotions": (391, 202, 72), "bibtex": (4880, 2515, 1836)}


@pytest.mark.real_data
@pytest.mark.parametrize("name", MULAN)
def test_mulan_sets_go_through_as_they_lie(real_data, name):
    num_train, num_test, width = MULAN[name]
    splits = load_splits(real_data("mulan") / name, columns=Columns(features="features"))
    assert (len(splits["train"]), len(splits["test"])) == (num_train, num_test)
    extractor = fit_table(ColumnRows(splits["train"], "features"))
    assert extractor.input_size == width
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    encoded = encode_tables(splits, extractor, space)
    batch = TableCollator(extractor, len(space))([encoded["test"][i] for i in range(num_test)])
    assert batch["input_features"].shape == (num_test, width)
    assert torch.isfinite(batch["input_features"]).all()
    if name == "bibtex":  # 0/1 columns: as they are, and never dense in Arrow
        assert set(batch["input_features"].unique().tolist()) == {0.0, 1.0}
        dense = num_train * width * 8
        assert splits["train"].data.nbytes < dense / 15 and encoded["train"].data.nbytes < dense / 15
    else:
        train = TableCollator(extractor, len(space))([encoded["train"][i] for i in range(num_train)])
        means = train["input_features"].mean(0)
        assert means.abs().max() < 1e-4
        assert torch.allclose(train["input_features"].std(0, correction=0), torch.ones(width), atol=1e-4)
