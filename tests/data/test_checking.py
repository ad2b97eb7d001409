"""The counts of the data report and the warnings that go with them."""

from __future__ import annotations

import datasets
import pytest
from transformers.utils import logging

from hf_mlc.data import check_splits, load_splits
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


@pytest.fixture
def warnings_of(caplog):
    """The report of the given splits (lists of (id, text, labels)), and the warnings."""

    def check(label_space=None, strict=False, **splits):
        features = datasets.Features(
            {
                "id": datasets.Value("string"),
                "text": datasets.Value("string"),
                "labels": datasets.List(datasets.Value("string")),
            }
        )
        data = datasets.DatasetDict(
            {
                name: datasets.Dataset.from_list(
                    [dict(zip(("id", "text", "labels"), row, strict=True)) for row in rows], features=features
                )
                for name, rows in splits.items()
            }
        )
        logging.enable_propagation()
        try:
            report = check_splits(data, label_space, strict=strict)
        finally:
            logging.disable_propagation()
        return report, [record.getMessage() for record in caplog.records]

    return check


def test_rows_labels_and_everything_odd_are_counted(warnings_of):
    report, warnings = warnings_of(
        train=[("1", "a", ["x", "y", "x"]), ("1", "", ["x"]), ("2", " \n", []), ("3", "b", ["z"])],
        test=[("1", "b", ["x"]), ("2", "", []), ("3", "c", ["x"])],
    )
    train, test = report.splits["train"], report.splits["test"]
    assert (train.rows, train.labels, train.mean_labels) == (4, 3, 1.0)  # (2 + 1 + 0 + 1) / 4
    assert (train.empty, train.empty_label_sets, train.rows_with_duplicate_labels) == (2, 1, 1)
    assert (train.duplicate_ids, test.duplicate_ids) == (1, 0)
    assert test.also_in_train == 1  # "b"; empty texts are alike without being copies
    assert (test.empty, test.empty_label_sets, test.labels) == (1, 1, 1)
    assert warnings == [
        "train: 1 rows have the id of an earlier row",
        "test: 1 of 3 texts stand in train too; they were kept, and make the measured quality look better than it is",
    ]


def test_the_report_is_a_table_of_aligned_columns(warnings_of):
    report, _ = warnings_of(train=[("1", "a", ["x"])] * 2000, validation=[("1", "b", [])])
    lines = str(report).splitlines()
    assert lines[0].split() == ["train", "validation"] and lines[1].split() == ["rows", "2,000", "1"]
    assert len({len(line) for line in lines}) == 1
    assert "duplicate ids" in str(report) and "empty texts" not in str(report)
    assert report.to_dict()["train"]["rows"] == 2000


def test_the_order_of_the_splits_does_not_matter(warnings_of):
    report, _ = warnings_of(test=[("1", "a", ["x"])], train=[("1", "a", ["x"])])
    assert list(report.splits) == ["test", "train"] and report.splits["test"].also_in_train == 1


def test_labels_outside_the_space_are_counted_or_an_error(warnings_of):
    space = LabelSpace.from_names(["x"])
    splits = {"train": [("1", "a", ["x"])], "test": [("1", "b", ["x"]), ("2", "c", ["y", "z"]), ("3", "d", ["y"])]}
    report, warnings = warnings_of(space, **splits)
    assert (report.splits["train"].unknown_labels, report.splits["test"].unknown_labels) == (0, 3)
    assert "test: 3 labels are not in the label space" in warnings
    with pytest.raises(UserError, match="test, row 2, field 'labels': label 'y' is not in the label space"):
        warnings_of(space, strict=True, **splits)


def test_no_training_label_at_all_is_an_error(warnings_of):
    with pytest.raises(UserError, match="train, field 'labels': no label in any of the 2 training rows"):
        warnings_of(train=[("1", "a", []), ("2", "b", [])], test=[("1", "a", ["x"])])


def test_a_single_training_label_is_allowed_with_a_warning(warnings_of):
    report, warnings = warnings_of(train=[("1", "a", ["x"]), ("2", "b", [])])
    assert report.splits["train"].labels == 1
    assert warnings == ["train: all rows have the same single label or none; there is little to learn"]


@pytest.mark.parametrize("separator", [";", "|", ","])
def test_lists_that_were_not_taken_apart_are_told(warnings_of, separator):
    labels = [[separator.join(names)] for names in ("a", "b", "ab", "bc", "abc", "c")]
    _, warnings = warnings_of(train=[(str(i), f"text {i}", names) for i, names in enumerate(labels)])
    assert warnings == [
        f"train: no row has more than one label, and 3 have {separator!r} in its name, as in {labels[2][0]!r}: if these are several "
        f"labels, --labels_separator {separator!r} takes them apart"
    ]


@pytest.mark.parametrize(
    "labels",
    [
        [["fish, fresh"], ["fish, frozen"], ["meat"]],  # names with parts of their own
        [["a|b"], ["b|c"], ["a"], ["b"], ["c", "d"]],  # a row has two: something took them apart
        [["a|"], ["b|"], ["c"]],
        [],
    ],
)
def test_other_names_are_not_taken_for_lists(warnings_of, labels):
    rows = [(str(i), f"text {i}", names) for i, names in enumerate([*labels, ["x"]])]
    assert not [warning for warning in warnings_of(train=rows)[1] if "labels_separator" in warning]


def test_labels_that_differ_in_capitals_or_white_space_are_told(warnings_of):
    labels = [["Billing"], ["billing", "new  order"], ["New order"], ["other"]]
    rows = [(str(i), f"text {i}", names) for i, names in enumerate(labels)]
    _, warnings = warnings_of(train=rows, test=[("9", "other text", ["Other"])])
    assert len(warnings) == 1
    assert warnings[0].startswith("train: the labels 'Billing' and 'billing' differ in capitals or white space alone")
    assert warnings[0].endswith("(1 more are like that)")


def test_a_test_split_alone_can_be_checked(warnings_of):
    report, warnings = warnings_of(test=[("1", "a", [])])
    assert report.splits["test"].rows == 1 and not warnings


@pytest.mark.real_data
def test_reuters_has_its_published_counts(real_data, tmp_path):
    report = check_splits(load_splits(real_data("reuters21578"), cache_dir=tmp_path))
    train, test = report.splits["train"], report.splits["test"]
    assert (train.rows, test.rows) == (7770, 3019)
    assert (train.labels, test.labels) == (90, 90)
    assert train.empty_label_sets == test.empty_label_sets == 0
    assert round(train.mean_labels, 2) == 1.23
