"""The extractor of table rows: what each kind of row and value becomes, and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.processing_table import TableFeatureExtractor, TableRowError, category_of, number_of


def small(**changes) -> TableFeatureExtractor:
    """age: mean 40, deviation 10; smoker: 0/1; work: categories; city: categories, sometimes missing; age too."""
    settings = {
        "feature_names": ["age", "work", "smoker", "city"],
        "kinds": ["numeric", "category", "numeric", "category"],
        "means": [40.0, 0.0],
        "scales": [10.0, 1.0],
        "fills": [0.0, 0.25],
        "missing": ["age", "city"],
        "categories": {"work": ["private", "public"], "city": ["A", "B", "C"]},
    }
    return TableFeatureExtractor(**{**settings, **changes})


def encoded(extractor, *rows) -> list[list[float]]:
    return extractor(list(rows))["input_features"].tolist()


ROW = {"age": 50, "work": "public", "smoker": 1, "city": "A"}
#        age smoker | age, city missing | private public | A B C
AS_NUMBERS = [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_numbers_come_first_then_signs_of_missing_values_then_categories():
    extractor = small()
    assert encoded(extractor, ROW) == [AS_NUMBERS]
    assert (extractor.numeric_size, extractor.input_size) == (2, 9)
    assert extractor.column_names == [
        "age", "smoker", "age is missing", "city is missing",
        "work = private", "work = public", "city = A", "city = B", "city = C",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        {"city": "A", "smoker": 1, "work": "public", "age": 50},  # in any order
        {"age": "50", "work": " public ", "smoker": "1.0", "city": "A"},  # as a CSV writes it
        {"age": np.float32(50), "work": "public", "smoker": True, "city": "A"},
        [50, "public", 1, "A"],
        (50, "public", 1, "A"),
        {"indices": [3, 0, 1, 2], "values": ["A", 50, "public", 1]},
        {"names": ["age", "work", "smoker", "city"], "values": [50, "public", 1, "A"]},
    ],
)
def test_a_row_may_be_written_in_many_ways(row):
    assert encoded(small(), row) == [AS_NUMBERS]


def test_a_single_row_an_array_a_tensor_and_a_frame_are_taken():
    extractor = TableFeatureExtractor(["a", "b"], means=[1.0, 0.0], scales=[2.0, 1.0])
    expected = [[1.0, 5.0]]
    assert extractor([3, 5])["input_features"].tolist() == expected
    assert extractor({"a": 3, "b": 5})["input_features"].tolist() == expected
    assert extractor(np.array([[3, 5]]))["input_features"].tolist() == expected
    assert extractor(torch.tensor([[3.0, 5.0]]))["input_features"].tolist() == expected
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"b": [5, 0], "a": [3, None]})
    with pytest.raises(TableRowError, match="row 2, field 'a': the value is missing"):
        extractor(frame)
    assert extractor(frame[:1])["input_features"].tolist() == expected


def test_the_batch_is_float32_and_may_be_empty():
    extractor = small()
    assert extractor([ROW])["input_features"].dtype == torch.float32
    assert extractor([ROW], return_tensors="np")["input_features"].dtype == np.float32
    assert extractor([])["input_features"].shape == (0, 9)
    with pytest.raises(ValueError, match="`return_tensors` must be 'pt' or 'np', found 'tf'"):
        extractor([ROW], return_tensors="tf")


def test_rows_do_not_depend_on_their_neighbours():
    rows = [ROW, {**ROW, "age": None}, {**ROW, "work": "moon", "age": 20}]
    together = small()(rows)["input_features"]
    assert torch.equal(together, torch.cat([small()([row])["input_features"] for row in rows]))


def test_the_fast_way_for_plain_numbers_gives_what_the_slow_way_gives():
    extractor = TableFeatureExtractor(
        ["a", "b", "c"], means=[1.0, 2.0, 0.0], scales=[2.0, 0.0, 1.0], fills=[0.0, 0.0, 0.5], missing=["c"]
    )
    rows = [[3.0, 9.0, 1.0], [1.0, 2.0, math.nan]]
    assert extractor.array_of_numbers(rows) is not None
    slow = [{"indices": [0, 1, 2], "values": row} for row in rows]
    assert extractor.array_of_numbers(slow) is None
    assert encoded(extractor, *rows) == encoded(extractor, *slow) == [[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.5, 1.0]]


# -- missing values


@pytest.mark.parametrize("value", [None, "", " ", "?", math.nan, float("nan"), "NaN", np.nan])
def test_a_missing_number_becomes_its_fill_and_a_sign(value):
    assert encoded(small(), {**ROW, "age": value}) == [[0.0, 1.0, 1.0, 0.0, *AS_NUMBERS[4:]]]


@pytest.mark.parametrize("value", [None, "", "?", math.nan])
def test_a_missing_category_becomes_zeros_and_a_sign(value):
    assert encoded(small(), {**ROW, "city": value}) == [[*AS_NUMBERS[:3], 1.0, *AS_NUMBERS[4:6], 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("field", ["smoker", "work"])
def test_a_value_that_was_never_missing_in_training_may_not_be_missing(field):
    row = {**ROW, field: None}
    with pytest.raises(TableRowError, match=f"row 2, field '{field}': the value is missing; accepted: a value, since"):
        small()([ROW, row])
    small(missing_values="mean")([row])
    with pytest.raises(TableRowError, match="field 'age': the value is missing"):
        small(missing_values="error")([{**ROW, "age": None}])


def test_with_missing_values_mean_the_fill_stands_in():
    assert encoded(small(missing_values="mean"), {**ROW, "smoker": None})[0][1] == 0.25


# -- categories


def test_an_unseen_category_is_all_zeros_and_counted():
    extractor = small()
    assert encoded(extractor, {**ROW, "work": "moon"}, {**ROW, "work": "Mars", "city": "Z"})[0][4:6] == [0.0, 0.0]
    assert extractor.unseen_counts == {"work": 2, "city": 1}
    extractor([{**ROW, "work": "moon"}])
    assert extractor.unseen_counts["work"] == 3


@pytest.mark.parametrize("value", [7, 7.0, "7", "7.0", " 7 ", np.int64(7)])
def test_a_number_is_one_category_however_it_is_written(value):
    extractor = TableFeatureExtractor(["bus"], ["category"], categories={"bus": ["7", "N7"]})
    assert encoded(extractor, {"bus": value}) == [[1.0, 0.0]]
    assert not extractor.unseen_counts


def test_leading_zeros_tell_categories_apart():
    extractor = TableFeatureExtractor(["zip"], ["category"], categories={"zip": ["007", "7"]})
    assert encoded(extractor, {"zip": "007"}, {"zip": 7}) == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("words", [("False", "True"), ("false", "true"), ("FALSE", "TRUE"), ("0", "1")])
@pytest.mark.parametrize("values", [(True, False), (np.True_, np.False_), ("1", "0"), (1.0, 0)])
def test_a_boolean_is_the_category_that_training_wrote_for_it(words, values):
    extractor = TableFeatureExtractor(["member"], ["category"], categories={"member": [*words, "unknown"]})
    assert encoded(extractor, *({"member": value} for value in values)) == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert not extractor.unseen_counts


def test_a_boolean_that_no_category_stands_for_is_unseen():
    extractor = TableFeatureExtractor(
        ["a", "b"], ["category"] * 2, categories={"a": ["True", "x"], "b": ["1", "True"]}
    )
    # of two words for true the shorter, whichever way a table is stored
    assert encoded(extractor, {"a": False, "b": True}, {"a": "0", "b": "1"}) == [[0.0, 0.0, 1.0, 0.0]] * 2
    assert extractor.unseen_counts == {"a": 2}
    assert extractor.to_dict()["categories"] == {"a": ["True", "x"], "b": ["1", "True"]}


def test_a_data_frame_of_booleans_is_read_as_the_csv_that_pandas_writes_of_it():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"member": [True, False, True]})
    written = [{"member": text} for text in frame.to_csv(index=False).split()[1:]]
    extractor = TableFeatureExtractor(["member"], ["category"], categories={"member": ["False", "True"]})
    assert encoded(extractor, *written) == extractor(frame)["input_features"].tolist() == [[0, 1], [1, 0], [0, 1]]


def test_decimals_are_numbers_and_categories_of_every_digit():
    assert encoded(small(), {**ROW, "age": Decimal("50.0")}) == [AS_NUMBERS]
    assert [number_of(Decimal(text)) for text in ("1.5", "-3", "1E+400")] == [1.5, -3.0, math.inf]
    assert math.isnan(number_of(Decimal("NaN")))
    values = ["7.00", "1.50", "12345678901234567890", "NaN"]
    assert [category_of(Decimal(value)) for value in values] == ["7", "1.5", "12345678901234567890", None]


# -- sparse rows


def sparse(**changes) -> TableFeatureExtractor:
    return TableFeatureExtractor(["a", "b", "c"], scales=[2.0, 1.0, 0.0], keys="indices", **changes)


def test_positions_that_a_sparse_row_leaves_out_are_zero():
    rows = [{"0": 4, "2": 9}, {"indices": [1], "values": [1]}, {}, {1: 1.0}]
    assert encoded(sparse(), *rows) == [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_names_that_look_like_positions_are_names_where_training_had_names():
    extractor = TableFeatureExtractor(["2020", "2019"], keys="names")
    assert encoded(extractor, {"2019": 1, "2020": 2}) == [[2.0, 1.0]]


def test_unknown_positions_and_names_are_errors_or_counted():
    with pytest.raises(TableRowError, match="row 1: position 3; accepted: 0 to 2: there are 3 features"):
        sparse()([{"3": 1}])
    extractor = sparse(unknown="skip")
    assert encoded(extractor, {"3": 1, "1": 1}) == [[0.0, 1.0, 0.0]]
    assert extractor.unseen_counts == {"position 3": 1}


def test_absent_names_are_an_error_or_zero_or_missing():
    with pytest.raises(TableRowError, match="row 1, field 'b': the feature is not there"):
        TableFeatureExtractor(["a", "b"])([{"a": 1}])
    assert encoded(TableFeatureExtractor(["a", "b"], absent="zero"), {"a": 1}) == [[1.0, 0.0]]
    extractor = TableFeatureExtractor(["a", "b"], absent="missing", fills=[0.0, 0.5], missing=["b"])
    assert encoded(extractor, {"a": 1}) == [[1.0, 0.5, 1.0]]


@pytest.mark.parametrize(("named_columns", "category"), [(True, [1.0, 0.0]), (False, [0.0, 0.0])])
def test_a_category_that_an_object_leaves_out_is_what_training_had_for_it(named_columns, category):
    # of columns of their own training had the category 0; of objects none
    settings = {"kinds": ["numeric", "category"], "categories": {"b": ["0", "x"]}, "absent": "zero"}
    extractor = TableFeatureExtractor(["a", "b"], named_columns=named_columns, **settings)
    assert encoded(extractor, {"a": 1}, {}, {"b": "x"}) == [[1.0, *category], [0.0, *category], [0.0, 0.0, 1.0]]
    assert not extractor.unseen_counts


# -- refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "age": "old"}, "row 1, field 'age': found 'old' in a column of numbers; accepted: a number;"),
        ({**ROW, "age": "1_000"}, "row 1, field 'age': found '1_000' in a column of numbers"),
        ({**ROW, "age": [1]}, "row 1, field 'age': found [1] in a column of numbers"),
        ({**ROW, "age": math.inf}, "row 1, field 'age': found an infinite number; accepted: finite numbers"),
        ({**ROW, "age": "-inf"}, "row 1, field 'age': found an infinite number"),
        ({**ROW, "age": 10**400}, "row 1, field 'age': found an infinite number"),
        ({**ROW, "age": 1e300}, "row 1, field 'age': found 1e+300, too large to compute with"),
        ({**ROW, "work": ["public"]}, "row 1, field 'work': found ['public']; accepted: a category's name"),
        ({**ROW, "shoe": 1}, "row 1, field 'shoe': no such feature; accepted: age, work, smoker, city"),
        ({"age": 1}, "row 1, field 'work': the feature is not there; accepted: every feature"),
        ([1, 2, 3], "row 1: 3 values; accepted: 4, one a feature"),
        ([1], "row 1: 1 value; accepted: 4, one a feature"),
        ("age", "row 1: a row is 'age'; accepted: a list of values"),
        ({"indices": [0, 0], "values": [1, 2]}, "row 1: position 0 stands there twice"),
        ({"indices": [0], "values": [1, 2]}, "row 1: 1 positions or names and 2 values"),
        ({"indices": [-1], "values": [1]}, "row 1: a position is -1; accepted: whole numbers from 0 on"),
        ({"names": ["age", "age"], "values": [1, 2]}, "row 1, field 'age': stands there twice"),
        ({"names": [["age"]], "values": [1]}, "row 1: a name is ['age']; accepted: age, work"),
        ({"indices": [0], "values": 3}, "row 1: in place of a list 3; accepted: a list of positions or names"),
        ({"indices": 5, "values": 3}, "row 1, field 'indices': no such feature"),
        ([[1], 2, 3, 4], "row 1, field 'age': found [1] in a column of numbers"),
    ],
)
def test_a_bad_row_is_one_error_with_row_and_field(row, message):
    with pytest.raises(TableRowError) as caught:
        small().encode([row])
    assert str(caught.value).startswith(message)
    with pytest.raises(TableRowError, match="row 12"):
        small()([ROW, row], first_row=11)


def test_features_may_be_called_as_the_keys_of_sparse_rows():
    extractor = TableFeatureExtractor(["names", "values"])
    assert encoded(extractor, {"names": 1.0, "values": 2.0}) == [[1.0, 2.0]]


def test_tensors_of_half_precision_are_taken():
    extractor = TableFeatureExtractor(["a", "b"])
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16)
    for given in (rows, list(rows)):
        assert extractor(given)["input_features"].tolist() == rows.tolist()
    assert extractor(rows[0])["input_features"].tolist() == [[1.0, 2.0]]


def test_whole_numbers_of_any_size_are_categories_of_their_own():
    values = [2**53, 2**53 + 1, np.int64(2**53 + 2)]
    assert [category_of(value) for value in values] == [str(2**53), str(2**53 + 1), str(2**53 + 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_names": ["a", "a"]}, "found 'a' twice"),
        ({"feature_names": ["a"], "kinds": ["number"]}, "`kinds` must be 'numeric' or 'category'"),
        ({"feature_names": ["a"], "means": [0.0, 1.0]}, "`means` must be a number for each numeric feature"),
        ({"feature_names": ["a"], "scales": [math.inf]}, "`scales` must be a number for each numeric feature"),
        ({"feature_names": ["a"], "kinds": ["category"]}, "`categories` must be of"),
        ({"feature_names": ["a"], "missing": ["b"]}, "`missing` must be names of features"),
        ({"absent": "none"}, "`absent` must be one of error, zero, missing, found 'none'"),
    ],
)
def test_an_extractor_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TableFeatureExtractor(**settings)


# -- saved with the model


def test_it_comes_back_from_a_folder_the_same(tmp_path):
    extractor = small(named_columns=True)
    extractor([{**ROW, "work": "moon"}])
    extractor.save_pretrained(tmp_path)
    MsdnConfig(encoder="mlp", input_size=9, numeric_size=2).save_pretrained(tmp_path)
    again = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(again, TableFeatureExtractor)
    assert again.to_dict() == extractor.to_dict()
    assert again.named_columns and not again.unseen_counts
    rows = [ROW, {**ROW, "age": None, "city": "?"}]
    assert torch.equal(again(rows)["input_features"], extractor(rows)["input_features"])
    assert (tmp_path / "processing_table.py").is_file()  # so that it loads without this package too
