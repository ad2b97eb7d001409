"""What training rows say about the features of a table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hf_mlc.errors import UserError
from hf_mlc.tabular import fitting
from hf_mlc.tabular.fitting import fit_table, remarks, summary
from hf_mlc.tabular.statistics import ColumnStatistics


def values(extractor, rows) -> np.ndarray:
    return extractor.encode(rows)


def error_of(rows, **arguments) -> str:
    with pytest.raises(UserError) as caught:
        fit_table(rows, file="d.csv", **arguments)
    return str(caught.value)


def test_numbers_are_standardised_zeros_and_ones_left_and_constants_become_zero():
    rows = [[1.0, 0, 5, 2.5], [2.0, 1, 5, 2.5], [6.0, 1, 5, 2.5]]
    extractor = fit_table(rows)
    assert extractor.feature_names == ["feature_0", "feature_1", "feature_2", "feature_3"]
    # mean 3, variance (4 + 1 + 9) / 3
    deviation = math.sqrt(14 / 3)
    assert extractor.means == pytest.approx([3, 0, 5, 2.5])
    assert extractor.scales == pytest.approx([deviation, 1, 0, 0])
    expected = [[-2 / deviation, 0, 0, 0], [-1 / deviation, 1, 0, 0], [3 / deviation, 1, 0, 0]]
    np.testing.assert_allclose(values(extractor, rows), expected, rtol=1e-6)
    assert values(extractor, [[3, 1, 99, -1]]).tolist() == [[0, 1, 0, 0]]


def test_scaling_agrees_with_scikit_learn_on_random_columns():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(0)
    train, test = rng.lognormal(size=(500, 6)) * 1e4, rng.lognormal(size=(50, 6)) * 1e4
    extractor = fit_table(train.tolist())
    expected = preprocessing.StandardScaler().fit(train).transform(test)
    np.testing.assert_allclose(values(extractor, test.tolist()), expected, rtol=1e-5, atol=1e-6)


def test_blocks_are_merged_into_what_one_pass_gives(monkeypatch):
    rng = np.random.default_rng(1)
    rows = rng.normal(1e6, 1, size=(97, 5))  # a mean far from zero: sums of squares would lose the deviation
    rows[rng.random(rows.shape) < 0.1] = np.nan
    whole = ColumnStatistics(5)
    whole.update(rows)
    monkeypatch.setattr(fitting, "CELLS", 35)  # 7 rows a block
    extractor = fit_table(rows.tolist())
    np.testing.assert_allclose(extractor.means, np.nanmean(rows, axis=0), rtol=1e-12)
    np.testing.assert_allclose(extractor.scales, np.nanstd(rows, axis=0), rtol=1e-6)
    np.testing.assert_allclose(extractor.scales, whole.scaling(sparse=False)[1], rtol=1e-9)


def test_a_sparse_table_is_scaled_and_not_centred_so_that_zero_stays_zero():
    rows = [{"0": 3.0, "2": 1}, {"0": 6.0}, {"2": 1, "4": 2.0}]
    extractor = fit_table(rows)
    assert extractor.means == [0.0] * 5 and extractor.keys == "indices"
    # column 0 is 3, 6, 0: mean 3, variance 6; column 1 is never there
    assert extractor.scales == pytest.approx([math.sqrt(6), 0, 1, 0, math.sqrt(8 / 9)])
    assert values(extractor, [{}]).tolist() == [[0.0] * 5]
    assert values(extractor, [{"1": 7, "2": 1, "99": 1}]).tolist() == [[0, 0, 1, 0, 0]]
    assert extractor.unseen_counts == {"position 99": 1}


def test_declared_features_set_the_width_of_sparse_rows():
    extractor = fit_table([{"0": 1.0}, {"1": 2.0}], names=["a", "b", "c"])
    assert extractor.input_size == 3 and extractor.unknown == "error"
    message = error_of([{"0": 1.0}, {"3": 2.0}], names=["a", "b", "c"])
    assert message == "d.csv, row 2: position 3; accepted: 0 to 2: there are 3 features"


def test_missing_values_get_a_column_and_the_mean():
    rows = [[1.0, 0], [3.0, None], [None, 1], [2.0, 1]]
    extractor = fit_table(rows)
    assert extractor.missing == ["feature_0", "feature_1"]
    assert extractor.fills == pytest.approx([0, 2 / 3])  # the share of ones among 0, 1, 1
    assert values(extractor, [[None, None]])[0].tolist() == pytest.approx([0, 2 / 3, 1, 1])
    assert fit_table(rows, missing_values="mean").missing == []


def test_a_column_that_is_never_there_is_constant_and_has_a_sign():
    extractor = fit_table([[1, None], [2, None]])
    assert extractor.scales[1] == 0
    assert values(extractor, [[1.5, None]]).tolist() == [[0, 0, 1]]


# -- kinds


def test_strings_are_categories_and_numbers_in_strings_are_numbers():
    rows = [{"a": "1", "b": "x"}, {"a": "2.5", "b": "y"}, {"a": "?", "b": "x"}]
    extractor = fit_table(rows)
    assert extractor.feature_names == ["a", "b"] and extractor.kinds == ["numeric", "category"]
    assert extractor.categories == {"b": ["x", "y"]}
    assert extractor.means == [1.75]


def test_categories_are_sorted_numbers_first_by_value():
    rows = [{"a": value} for value in ("10", "x", "9", "b", "y")]
    assert fit_table(rows).categories == {"a": ["9", "10", "b", "x", "y"]}


def test_one_string_among_many_numbers_is_taken_for_a_slip():
    rows = [{"age": value} for value in ("31", "47", "4O", "50")]
    expected = (
        "d.csv, row 3, field 'age': found '4O' in a feature with 3 numbers; accepted: a number, '' or '?' where it is "
        "missing; or --category_columns 'age'"
    )
    assert error_of(rows) == expected
    assert fit_table(rows, category_columns=["age"]).categories == {"age": ["31", "47", "50", "4O"]}


def test_category_columns_must_be_features():
    message = error_of([{"colour": "1"}], category_columns=["color"])
    assert message.startswith("field 'category_columns': no feature 'color', did you mean 'colour'?")


def test_too_many_categories_are_an_id_or_a_text():
    rows = [{"name": f"n{i}"} for i in range(6)]
    assert fit_table(rows, max_categories=6).input_size == 6
    message = error_of(rows, max_categories=5)
    assert message.startswith("d.csv, field 'name': 6 different values; accepted: at most 5 categories")


def test_declared_types_decide():
    types = ["num", ["0", "1"], ["2", "10"], ["YES", "NO"]]
    extractor = fit_table([[1, 0, "2", "YES"], [2, 1, "10", "NO"]], names=list("abcd"), types=types)
    assert extractor.kinds == ["numeric", "numeric", "category", "category"]
    assert extractor.categories == {"c": ["2", "10"], "d": ["NO", "YES"]}
    # a sparse table holds the number of one of two categories
    sparse = fit_table([{"0": 1}, {"1": 2}], names=["a", "b"], types=[["YES", "NO"], "num"])
    assert sparse.kinds == ["numeric", "numeric"]
    message = error_of([[1], ["x"]], names=["a"], types=["num"])
    assert message.startswith("d.csv, row 2, field 'a': found 'x' in a numeric feature")
    assert "'a' is of the type 'date'" in error_of([[1]], names=["a"], types=["date"])


@pytest.mark.parametrize(
    "values", [("low", "inf", "high"), ("a1", "1e200", "b"), ("inf", "-inf", "x", "y"), ("Infinity", "low")]
)
@pytest.mark.parametrize("cells", [1, 2**20])
def test_a_category_may_be_called_as_a_number_that_nothing_can_be_computed_with(values, cells, monkeypatch):
    monkeypatch.setattr(fitting, "CELLS", cells)  # a row a block: what the feature is comes out later
    extractor = fit_table([{"level": value, "n": i} for i, value in enumerate(values)])
    assert extractor.kinds == ["category", "numeric"] and set(extractor.categories["level"]) == set(values)


@pytest.mark.parametrize(
    ("values", "row", "found"),
    [
        (("1", "inf", "2"), 2, "an infinite number"),
        (("1e200", 3, "-inf"), 1, "1e+200, too large to compute with"),
        (("inf", "?"), 1, "an infinite number"),
    ],
)
def test_such_a_number_in_a_numeric_feature_is_an_error_that_says_how_it_may_be_a_category(values, row, found):
    rows = [{"n": i, "level": value} for i, value in enumerate(values)]
    expected = (
        f"d.csv, row {row}, field 'level': found {found}; accepted: finite numbers; or --category_columns 'level'"
    )
    assert error_of(rows) == expected
    assert error_of(rows, names=["n", "level"], types=["num", "num"]) == expected
    fit_table(rows, category_columns=["level"])


# -- names


def test_objects_give_the_names_and_absent_features_are_an_error_unless_said_otherwise():
    rows = [{"a": 1.0, "b": 2.0}, {"b": 4.0}]
    assert error_of(rows).startswith("d.csv, row 2, field 'a': the feature is not there")
    zero = fit_table([*rows, {"c": 1.0}], absent="zero")
    assert zero.feature_names == ["a", "b", "c"] and zero.means == [0, 0, 0]
    assert values(zero, [{}]).tolist() == [[0, 0, 0]]
    missing = fit_table(rows, absent="missing")
    assert missing.missing == ["a"]


# -- refused


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([], {}, "d.csv, field 'features': no features in any row"),
        ([{}, {}], {}, "d.csv, field 'features': no features in any row"),
        ([[1, 2], [1]], {}, "d.csv, row 2: 1 value; accepted: 2, one a feature"),
        ([[1], [math.inf]], {}, "d.csv, row 2, field 'feature_0': found an infinite number"),
        ([[1], [1e200]], {}, "d.csv, row 2, field 'feature_0': found 1e+200, too large to compute with"),
        ([[1], [[2]]], {}, "d.csv, row 2, field 'feature_0': found [2]; accepted: a number or a string"),
        ([[1]], {"names": ["a", "b"]}, "d.csv, row 1: 1 value; accepted: 2, one a feature"),
        ([[1, 2]], {"names": ["a", "a"]}, "d.csv, field 'a': two features of this name"),
        ([[1]], {"names": [" "]}, "d.csv: feature 0 is called ' '"),
        ([[1]], {"names": ["a"], "types": ["num", "num"]}, "field 'feature_types': 2 types"),
    ],
)
def test_rows_that_cannot_be_fitted_are_one_line(rows, arguments, message):
    assert error_of(rows, **arguments).startswith(message)


def test_a_summary_says_what_was_found():
    rows = [{"a": 1, "b": "x", "c": None}, {"a": 1, "b": "y", "c": 2}]
    expected = "table: 2 numeric features (2 constant in training), 1 of categories (2 in all), 1 with missing values; 5 columns"
    assert summary(fit_table(rows)) == expected


@pytest.mark.parametrize("row", [{"999999999": 1}, {"indices": [3, 999999999], "values": [1, 1]}])
def test_a_sparse_table_is_only_so_wide_unless_its_features_are_declared(row):
    message = error_of([{"0": 1} if "values" not in row else {"indices": [0], "values": [1]}, row])
    assert message.startswith(
        "d.csv, row 2, field 'features': position 999999999; accepted: positions below 16,777,216"
    )
    assert message.endswith("declare them with --feature_file")


def test_a_feature_with_a_category_for_every_row_is_remarked_upon():
    rows = [{"name": f"n{i}", "colour": "rgb"[i % 3], "size": f"{i},5"} for i in range(20)]
    lines = remarks(fit_table(rows), len(rows))
    assert [line.partition(":")[0] for line in lines] == ["feature 'name'", "feature 'size'"]
    assert all("decimal comma" in line and "--feature_columns" in line and "\n" not in line for line in lines)
    assert remarks(fit_table(rows[:19]), 19) == []


@pytest.mark.parametrize("gap", ["NA", "NaN", "nan", " NA "])
def test_ways_to_write_a_gap(gap):
    extractor = fit_table([{"a": "1", "b": "x"}, {"a": gap, "b": gap}, {"a": "2", "b": "y"}])
    assert extractor.kinds == ["numeric", "category"] and extractor.missing == ["a", "b"]
    assert extractor.categories == {"b": ["x", "y"]}


def test_a_category_of_many_digits_is_the_same_as_a_number_and_as_a_string():
    rows = [{"a": 12345678901234567}, {"a": "12345678901234567"}, {"a": 10**16}, {"a": "10000000000000000"}]
    extractor = fit_table(rows, category_columns=["a"])
    assert extractor.categories == {"a": ["10000000000000000", "12345678901234567"]}


@pytest.mark.parametrize("gap", ["NAN", "Nan", "-nan"])
def test_a_category_that_reads_as_no_number_is_missing_in_whatever_letters(gap):
    extractor = fit_table([{"code": code} for code in ("7", gap, "12", "3")], category_columns=["code"])
    assert extractor.categories == {"code": ["3", "7", "12"]}
