"""Rows of tables as they are loaded: how they are stored, which columns are read, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_mlc.data import check_splits, fingerprint, hub_splits
from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.loading import load_splits
from hf_mlc.data.rows import Columns
from hf_mlc.data.storing import file_of
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from tests.data.test_loading import jsonl


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def loaded(path, **columns):
    return load_splits(path, columns=Columns(**{"features": "features", **columns}))["train"]


def features_of(tmp_path, *values, **columns):
    rows = [{"features": value, "labels": ["a"]} for value in values]
    return loaded(jsonl(tmp_path / "d.jsonl", rows), **columns)["features"][:]


def error_of(path, **columns) -> str:
    with pytest.raises(UserError) as caught:
        loaded(path, **columns)
    return str(caught.value).replace(f"{path.parent}/", "")


# -- how rows are stored


@pytest.mark.parametrize(
    ("rows", "stored"),
    [
        ([[1, 2.5], [None, "3"]], [[1.0, 2.5], [None, 3.0]]),
        ([[1, "red"], [True, None]], [["1", "red"], ["1", None]]),
        ([[1, 2], [1.5, "red"]], [["1", "2"], ["1.5", "red"]]),  # the string comes late: begun again
        ([{"3": 1, "0": 2}, {}], [{"indices": [3, 0], "values": [1.0, 2.0]}, {"indices": [], "values": []}]),
        ([{}, {"1": "x"}], [{"indices": [], "values": []}, {"indices": [1], "values": ["x"]}]),
        (
            [{"indices": [2], "values": [1]}, {"5": 2}],
            [{"indices": [2], "values": [1.0]}, {"indices": [5], "values": [2.0]}],
        ),
        ([{"a": 1, "b": None}, {"b": "?", "a": 2}], [{"a": 1.0, "b": None}, {"a": 2.0, "b": None}]),
        ([{"a": 1, "b": "x"}], [{"a": "1", "b": "x"}]),
    ],
)
def test_values_are_numbers_or_where_there_is_a_string_all_strings(tmp_path, rows, stored):
    assert features_of(tmp_path, *rows) == stored


def test_objects_that_do_not_hold_every_name_stay_small(tmp_path):
    rows = features_of(tmp_path, {"a": 1}, {"b": 2, "c": 3}, {}, absent="zero")
    assert rows == [
        {"names": ["a"], "values": [1.0]},
        {"names": ["b", "c"], "values": [2.0, 3.0]},
        {"names": [], "values": []},
    ]


def test_a_wide_sparse_table_is_not_made_dense(tmp_path):
    rows = [{"features": {str(i * 97 % 50_000): 1, "49999": 1}, "labels": ["a"]} for i in range(200)]
    train = loaded(jsonl(tmp_path / "d.jsonl", rows))
    assert train.data.nbytes < 20_000  # dense it would be 80 MB


def test_the_same_file_is_not_read_again(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"features": [1, "x"], "labels": ["a"]}])
    assert loaded(path).cache_files == loaded(path).cache_files


# -- columns


CSV = "id,age,colour,hot,cold\nx,39,red,1,0\ny,,blue,0,0\nz,50,,1,1\n"


@pytest.mark.parametrize("features", [("age", "colour"), "*"])
def test_columns_of_a_csv_are_features_and_labels(tmp_path, features):
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    rows = loaded(path, features=features, label_columns=("hot", "cold"))
    assert rows.to_list() == [
        {"id": "x", "features": {"age": "39", "colour": "red"}, "labels": ["hot"]},
        {"id": "y", "features": {"age": "", "colour": "blue"}, "labels": []},
        {"id": "z", "features": {"age": "50", "colour": ""}, "labels": ["hot", "cold"]},
    ]


def test_columns_of_a_parquet_file_are_features(tmp_path):
    table = {"age": [1.5, None], "colour": ["red", "blue"], "other": [1, 2], "labels": [["a"], []]}
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    rows = loaded(tmp_path / "d.parquet", features=("age",))
    assert rows["features"][:] == [{"age": 1.5}, {"age": None}] and rows["labels"][:] == [["a"], []]
    assert loaded(tmp_path / "d.parquet", features="*")[0]["features"] == {"age": "1.5", "colour": "red", "other": "1"}


def test_decimals_of_a_parquet_file_are_numbers(tmp_path):
    prices = pa.array([Decimal("1.50"), None, Decimal("3.00")], pa.decimal128(10, 2))
    codes = pa.array([Decimal("12345678901234567890"), Decimal(7), None], pa.decimal128(38, 0))
    table = {"price": prices, "code": codes, "labels": [["a"]] * 3}
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    rows = loaded(tmp_path / "d.parquet", features=("price",))
    assert rows["features"][:] == [{"price": 1.5}, {"price": None}, {"price": 3.0}]
    rows = loaded(tmp_path / "d.parquet", features=("code",), as_written=True)  # every digit of an id
    assert rows["features"][:] == [{"code": "12345678901234567890"}, {"code": "7"}, {"code": None}]
    unstored = iterate_rows(tmp_path / "d.parquet", Columns(features=("price", "code"), labels=None))
    assert next(unstored)["features"] == {"price": 1.5, "code": 12345678901234567890}


GAPS = [{"age": 1, "colour": "red", "labels": ["a"]}, {"labels": ["a"]}, {"age": None, "colour": "blue", "labels": []}]


@pytest.mark.parametrize("features", [("age", "colour"), "*"])
def test_columns_that_json_lines_leave_out_are_zero_or_missing(tmp_path, features):
    path = jsonl(tmp_path / "d.jsonl", GAPS)
    first, last = {"age": "1", "colour": "red"}, {"age": None, "colour": "blue"}
    rows = loaded(path, features=features, absent="missing")["features"][:]
    assert rows == [first, {"age": None, "colour": None}, last]
    rows = loaded(path, features=features, absent="zero")["features"][:]
    assert rows == [first, {"age": "0", "colour": "0"}, last]  # null is missing all the same
    rows = [row["features"] for row in iterate_rows(path, Columns(features=("age",), absent="zero", labels=None))]
    assert rows == [{"age": 1}, {"age": 0}, {"age": None}]


def test_a_column_that_json_lines_leave_out_is_an_error_that_says_what_to_do(tmp_path):
    message = error_of(jsonl(tmp_path / "d.jsonl", GAPS), features=("age",))
    assert message == (
        "d.jsonl, row 2, field 'age': no such column; found: 'labels'; accepted: a column name; or, where rows leave "
        "features out, --absent_features zero or missing in training"
    )


@pytest.mark.parametrize("absent", ["zero", "missing"])
def test_a_column_that_a_header_or_a_schema_lacks_is_an_error_whatever_is_absent(tmp_path, absent):
    (tmp_path / "d.csv").write_text("age,labels\n1,a\n")
    pq.write_table(pa.table({"age": [1], "labels": [["a"]]}), tmp_path / "d.parquet")
    for name in ("d.csv", "d.parquet"):
        message = error_of(tmp_path / name, features=("age", "aeg"), absent=absent)
        assert message.startswith(f"{name}, row 1, field 'aeg': no such column; found: 'age', 'labels'")
        assert message.endswith("accepted: a column name")


def test_a_csv_may_hold_the_features_as_json(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('features,labels\n"[1, 2.5, null]",a;b\n"[1, 2, 3]",\n')
    assert loaded(path)["features"][:] == [[1, 2.5, None], [1, 2, 3]]
    path.write_text("features,labels\n1 2,a\n")
    assert error_of(path).startswith(
        "d.csv, row 1, field 'features': the features are a string: 1 2; accepted: a list or"
    )


def test_features_come_from_the_hub_too(monkeypatch):
    data = datasets.Dataset.from_dict({"age": [1.5, 2.0], "colour": ["red", "blue"], "hot": [1, 0]})
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": data}))
    rows = load_splits("org/x", columns=Columns(features="*", label_columns=("hot",)))["train"]
    assert rows[0] == {"id": "1", "features": {"age": "1.5", "colour": "red"}, "labels": ["hot"]}


def test_splits_of_the_hub_are_read_and_stored_as_the_first_of_them(monkeypatch):
    train = datasets.Dataset.from_dict({"code": ["07", "red"], "hot": [1, 0]})
    test = datasets.Dataset.from_dict({"code": ["07", "7"], "note": ["x", "y"], "hot": [1, 0]})
    monkeypatch.setattr(
        hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict({"train": train, "test": test})
    )
    splits = load_splits("org/x", columns=Columns(features="*", label_columns=("hot",)))
    assert splits["test"]["features"][:] == [{"code": "07"}, {"code": "7"}]
    assert splits["train"].features == splits["test"].features
    assert file_of(splits["test"].select([1]), "test") == "org/x[test]"


def test_a_string_that_comes_in_a_later_split_of_the_hub_makes_all_of_them_strings(monkeypatch):
    both = {name: datasets.Dataset.from_dict({"a": [v], "hot": [1]}) for name, v in (("train", "1"), ("test", "x"))}
    monkeypatch.setattr(hub_splits, "load_from_hub", lambda *args, **kwargs: datasets.DatasetDict(both))
    splits = load_splits("org/x", columns=Columns(features=("a",), label_columns=("hot",)))
    assert [splits[name]["features"][:] for name in ("train", "test")] == [[{"a": "1"}], [{"a": "x"}]]


@pytest.mark.parametrize("features", ["*", "features"])
def test_two_features_may_be_called_as_the_parts_of_a_sparse_row(tmp_path, features):
    row = {"indices": 3, "values": "4"}
    path = jsonl(tmp_path / "d.jsonl", [{**(row if features == "*" else {"features": row}), "hot": i} for i in (0, 1)])
    rows = loaded(path, features=features, label_columns=("hot",))
    assert rows["features"][:] == [{"indices": 3.0, "values": 4.0}] * 2
    assert check_splits(datasets.DatasetDict({"train": rows})).splits["train"].empty == 0
    assert fingerprint(rows)


def test_values_may_be_kept_as_they_are_written(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("zip,labels\n01234,a\n1234,b\n1E5,a\n")
    rows = loaded(path, features=("zip",), as_written=True)
    assert [row["zip"] for row in rows["features"]] == ["01234", "1234", "1E5"]


@pytest.mark.parametrize("value", ["1", 1, 1.0, True, " 1 ", "1.0"])
def test_a_label_column_may_write_one_in_many_ways(tmp_path, value):
    path = jsonl(tmp_path / "d.jsonl", [{"features": [1], "hot": value, "cold": 0}])
    assert loaded(path, label_columns=("hot", "cold"))["labels"][:] == [["hot"]]


def test_rows_to_predict_on_need_no_labels(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    rows = list(iterate_rows(path, Columns(features=("age",), label_columns=("none",), labels=None)))
    assert rows[0] == {"id": "x", "features": {"age": "39"}}


# -- refused


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"features": [1], "labels": []},
            "d.jsonl, row 2, field 'features': 1 values where the rows before it have 2",
        ),
        (
            {"features": {"0": 1}, "labels": []},
            "d.jsonl, row 2, field 'features': an object where the rows before it are",
        ),
        ({"features": 7, "labels": []}, "d.jsonl, row 2, field 'features': the features are an integer: 7"),
        ({"features": None, "labels": []}, "d.jsonl, row 2, field 'features': the features are null"),
        ({"features": [1, [2]], "labels": []}, "d.jsonl, row 2, field 'features[1]': found a list: [2]"),
        ({"features": [1, float("inf")], "labels": []}, "d.jsonl, row 2, field 'features[1]': an infinite number"),
        ({"features": [1, 10**400], "labels": []}, "d.jsonl, row 2, field 'features[1]': an infinite number"),
        ({"features": [1, "\ud800"], "labels": []}, "d.jsonl, row 2, field 'features[1]': half a surrogate pair"),
        ({"labels": []}, "d.jsonl, row 2, field 'features': no such column; found: 'labels'"),
    ],
)
def test_a_bad_row_of_lists_is_one_line(tmp_path, second, message):
    path = jsonl(tmp_path / "d.jsonl", [{"features": [1, 2], "labels": ["a"]}, second])
    assert error_of(path).startswith(message)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"a": 1}, "d.jsonl, row 2, field 'b': the feature is not there; accepted: every feature of the first row"),
        ({"a": 1, "b": 2, "c": 3}, "d.jsonl, row 2, field 'c': the first row has no such feature; accepted: a, b"),
        ([1, 2], "d.jsonl, row 2, field 'features': a list where the rows before it are objects"),
        ({"a": 1, "b": {}}, "d.jsonl, row 2, field 'features[b]': found an object"),
        ({"indices": [1], "values": [1, 2]}, "d.jsonl, row 2, field 'features': 1 indices and 2 values"),
        ({"indices": ["1"], "values": [1]}, "d.jsonl, row 2, field 'features': a position is a string: 1"),
        ({"indices": [1, 1], "values": [1, 2]}, "d.jsonl, row 2, field 'features': 1 stands there twice"),
        ({"names": [1], "values": [1]}, "d.jsonl, row 2, field 'features': a feature's name is an integer: 1"),
    ],
)
def test_a_bad_row_of_objects_is_one_line(tmp_path, second, message):
    path = jsonl(tmp_path / "d.jsonl", [{"features": x, "labels": ["a"]} for x in ({"a": 1, "b": 2}, second)])
    assert error_of(path).startswith(message)


def test_a_sparse_row_that_holds_names_is_one_line(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"features": x, "labels": ["a"]} for x in ({"4": 1}, {"four": 1})])
    assert error_of(path).startswith(
        "d.jsonl, row 2, field 'features': 'four' where the rows before it hold positions"
    )


@pytest.mark.parametrize("value", [2, -1, "yes", "", None, 0.5, [1]])
def test_a_label_column_of_anything_else_is_one_line(tmp_path, value):
    path = jsonl(tmp_path / "d.jsonl", [{"features": [1], "hot": 1}, {"features": [1], "hot": value}])
    message = error_of(path, label_columns=("hot",))
    assert message.startswith("d.jsonl, row 2, field 'hot': the label is") and message.endswith(
        "0 or 1 in a label column"
    )


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("age,age,hot", {"features": "*"}, "d.csv, field 'age': two columns of this name"),
        ("age,age,hot", {"features": ("age",)}, "d.csv, field 'age': two columns of this name"),
        (",age,hot", {"features": "*"}, "d.csv, field 'feature_columns': a column without a name"),
        ("id,hot,labels", {"features": "*"}, "d.csv, field 'feature_columns': no column beside labels and id"),
        ("a,b,hot", {"features": ("c",)}, "d.csv, row 1, field 'c': no such column; found: 'a', 'b', 'hot'"),
        ("a,b,cold", {"features": ("a",)}, "d.csv, row 1, field 'hot': no such column"),
    ],
)
def test_columns_that_are_not_there_are_one_line(tmp_path, header, columns, message):
    path = tmp_path / "d.csv"
    path.write_text(f"{header}\n1,2,1\n")
    assert error_of(path, label_columns=("hot",), **columns).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ("a", "a")}, "field 'features': 'a' stands there twice"),
        ({"features": ()}, "field 'features': no column"),
        ({"features": "f", "label_columns": ("l", "l")}, "field 'label_columns': 'l' stands there twice"),
        ({"features": ("a", "b"), "label_columns": ("b",)}, "field 'label_columns': 'b' is a feature too"),
        ({"features": "f", "absent": "nan"}, "field 'absent_features': found 'nan'"),
    ],
)
def test_columns_that_make_no_sense_are_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        Columns(**arguments)


# -- counts and fingerprints


def test_rows_in_training_and_elsewhere_are_counted_and_empty_ones_too(tmp_path):
    for name, rows in (("train", [{"1": 2}, {}]), ("test", [{"1": 2}, {"2": 2}])):
        jsonl(tmp_path / f"{name}.jsonl", [{"features": x, "labels": ["a"]} for x in rows])
    splits = load_splits(tmp_path, columns=Columns(features="features"))
    report = check_splits(splits, LabelSpace(["a"]))
    assert (report.splits["test"].also_in_train, report.splits["train"].empty) == (1, 1)
    assert "table rows also in train" in str(report)


def test_a_fingerprint_depends_on_every_value(tmp_path):
    prints = []
    for place, row in enumerate(({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "c": 2})):
        folder = tmp_path / str(place)
        folder.mkdir()
        path = folder / "d.jsonl"
        path.write_text(json.dumps({"features": row, "labels": ["a"]}) + "\n")
        prints.append(fingerprint(loaded(path)))
    assert len(set(prints)) == 3


def test_a_fingerprint_does_not_depend_on_how_other_rows_are_stored(tmp_path):
    rows = [{"features": {"a": 1, "b": None}, "labels": ["a"]}]
    jsonl(tmp_path / "train.jsonl", rows)
    alone = load_splits(tmp_path, columns=Columns(features="features"))["train"]
    jsonl(tmp_path / "validation.jsonl", [{"features": {"b": "x", "a": 1}, "labels": ["a"]}])
    beside = load_splits(tmp_path, columns=Columns(features="features"))["train"]
    assert alone[0]["features"] != beside[0]["features"]  # numbers, and strings
    assert fingerprint(alone) == fingerprint(beside)


def test_texts_may_have_label_columns_too(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,hot,cold\nsun,1,0\nmoon,0,0\n")
    rows = load_splits(path, columns=Columns(label_columns=("hot", "cold")))["train"]
    assert rows.to_list() == [
        {"id": "1", "text": "sun", "labels": ["hot"]},
        {"id": "2", "text": "moon", "labels": []},
    ]


def test_all_columns_are_not_the_row_numbers_that_pandas_writes(tmp_path):
    table = pa.table({"age": [30.0, 31.0], "hot": [1, 0], "__index_level_0__": [7, 9]})
    pq.write_table(table, tmp_path / "d.parquet")
    rows = loaded(tmp_path / "d.parquet", features="*", label_columns=("hot",))
    assert rows["features"][:] == [{"age": 30.0}, {"age": 31.0}]


def test_all_columns_of_json_lines_are_those_of_every_row(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{"age": 1, "labels": []}, {"age": 2, "income": 3, "labels": []}])
    assert error_of(path, features="*").startswith("d.jsonl, row 1, field 'income': no such column")
    jsonl(path, [{"age": 1, "income": None, "labels": []}, {"age": 2, "income": 3, "labels": []}])
    assert [list(row) for row in loaded(path, features="*")["features"]] == [["age", "income"]] * 2


def test_a_column_of_a_type_that_datasets_does_not_know_is_none_of_ours(tmp_path):
    texts = datasets.Features(
        text=datasets.Value("string"), labels=datasets.List(datasets.ClassLabel(names=["a", "b"]))
    )
    table = datasets.Dataset.from_dict({"text": ["x", "y"], "labels": [[0], [0, 1]]}, features=texts).data.table
    metadata = table.schema.metadata
    table = table.append_column("meta", pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())))
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "d.parquet")
    rows = load_splits(tmp_path / "d.parquet", columns=Columns())["train"]
    assert rows["labels"][:] == [["a"], ["a", "b"]]
