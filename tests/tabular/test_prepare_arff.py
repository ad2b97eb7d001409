"""`prepare-arff`: ARFF files in, a data set out that `train` reads."""

from __future__ import annotations

import gzip
import json

import pytest

from hf_mlc.cli import main
from hf_mlc.data import load_splits
from hf_mlc.data.columns import ColumnRows
from hf_mlc.data.rows import Columns
from hf_mlc.tabular.feature_files import read_feature_file
from hf_mlc.tabular.fitting import fit_table


DENSE = """@relation 'my table'
@attribute age numeric
@attribute old {0,1}
@attribute work {none, public, 'self employed'}
@attribute name string
@attribute smoker {0,1}
@attribute sick numeric
@data
50, 1, public, 'Ann, A.', 1, 0
?, 0, ?, Bo, 0, 1
31, 0, 'self employed', Cy, 0, 0
"""
SPARSE = """@relation words
@attribute w0 numeric
@attribute l1 {0,1}
@attribute w1 {0,1}
@attribute has {YES,NO}
@attribute size {s,m,l}
@attribute l0 {0,1}
@data
{0 2.5, 1 1, 5 1}
{2 1, 3 NO, 4 l}
{0 ?}
"""
XML = '<labels xmlns="x"><label name="{}"/><label name="{}"/></labels>'


@pytest.fixture
def files(tmp_path):
    def written(arff: str, *labels: str, name: str = "d.arff"):
        (tmp_path / name).write_text(arff, encoding="utf-8")
        (tmp_path / "d.xml").write_text(XML.format(*labels), encoding="utf-8")
        return tmp_path

    return written


def prepare(folder, *more: str) -> int:
    arguments = ["--arff", f"{folder}/d.arff", "--xml", f"{folder}/d.xml", "--output_dir", f"{folder}/out", *more]
    return main(["prepare-arff", *arguments])


def rows_of(folder, split: str = "train") -> list[dict]:
    lines = gzip.decompress((folder / "out" / "data" / f"{split}.jsonl.gz").read_bytes()).decode().splitlines()
    return [json.loads(line) for line in lines]


def test_a_dense_file_becomes_rows_of_lists(files, capsys):
    folder = files(DENSE, "sick", "old")
    assert prepare(folder, "--id_attribute", "name", "--test_arff", f"{folder}/d.arff") == 0
    assert rows_of(folder) == rows_of(folder, "test")
    assert rows_of(folder) == [
        {"id": "Ann, A.", "features": [50, "public", 1], "labels": ["old"]},
        {"id": "Bo", "features": [None, None, 0], "labels": ["sick"]},
        {"id": "Cy", "features": [31, "self employed", 0], "labels": []},
    ]
    data = folder / "out" / "data"
    assert json.loads((data / "labels.json").read_text()) == ["sick", "old"]
    declared = read_feature_file(data / "features.json")
    assert declared.names == ["age", "work", "smoker"]
    assert declared.types == ["num", ["none", "public", "self employed"], ["0", "1"]]
    assert "my table: 3 features, dense rows" in capsys.readouterr().err
    train = load_splits(data, columns=Columns(features="features"))["train"]
    extractor = fit_table(ColumnRows(train, "features"), names=declared.names, types=declared.types)
    assert extractor.kinds == ["numeric", "category", "numeric"]
    assert extractor.means == [40.5, 0] and extractor.missing == ["age", "work"]


def test_a_sparse_file_becomes_rows_by_position_and_says_what_weka_leaves_unsaid(files):
    folder = files(SPARSE, "l0", "l1")
    assert prepare(folder) == 0
    assert rows_of(folder) == [
        {"features": {"0": 2.5, "3": "s"}, "labels": ["l0", "l1"]},
        {"features": {"1": 1, "2": 1, "3": "l"}, "labels": []},  # NO is the second of has: 1
        {"features": {"0": None, "3": "s"}, "labels": []},
    ]
    data = folder / "out" / "data"
    declared = read_feature_file(data / "features.json")
    assert declared.types == ["num", "num", "num", ["s", "m", "l"]]
    train = load_splits(data, columns=Columns(features="features"))["train"]
    extractor = fit_table(ColumnRows(train, "features"), names=declared.names, types=declared.types)
    assert extractor.kinds == ["numeric", "numeric", "numeric", "category"]
    assert extractor.categories == {"size": ["l", "s"]}
    assert extractor.encode([{"0": 0, "3": "s"}]).tolist() == [[0, 0, 0, 0, 0, 1]]


def test_attributes_may_be_left_out(files):
    folder = files(DENSE, "sick", "old")
    assert prepare(folder, "--drop_attributes", "name", "work") == 0
    assert rows_of(folder)[0] == {"features": [50, 1], "labels": ["old"]}
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["left_out"] == ["name", "work"] and report["data_sets"]["data"]["rows"]["train"] == 3


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (("50, 1,", "50, ?,"), (), "d.arff, field 'old': line 9: the label is missing; accepted: 0 or 1"),
        (("Bo, 0, 1", "Bo, 0, 2"), (), "d.arff, field 'sick': line 10: the label is 2; accepted: 0 or 1"),
        (("old {0,1}", "old string"), (), "d.arff, field 'old': the label is of the type string"),
        (("50, 1,", "50;"), (), "d.arff: line 9: 4 values; accepted: 6"),
        (("", ""), ("--drop_attributes", "shoe"), "d.arff, field 'drop_attributes': no attribute 'shoe'"),
        (("", ""), ("--id_attribute", "old"), "d.arff, field 'id_attribute': 'old' is a label"),
        (
            ("", ""),
            ("--drop_attributes", "age", "work", "name", "smoker"),
            "d.arff, field 'drop_attributes': no feature",
        ),
        ((DENSE[DENSE.index("50, 1") :], ""), (), "d.arff: no rows"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(files, capsys, change, more, message):
    folder = files(DENSE.replace(*change) if change[0] else DENSE, "sick", "old")
    assert prepare(folder, *more) == 2
    error = capsys.readouterr().err.strip()
    assert error.replace(f"{folder}/", "").startswith(f"hf-mlc: error: {message}") and "\n" not in error
    assert not (folder / "out").exists()


def test_another_split_must_have_the_same_attributes(files, capsys):
    folder = files(DENSE.replace("{0,1}\n@attribute sick", "{0,1,2}\n@attribute sick"), "sick", "old", name="t.arff")
    files(DENSE, "sick", "old")
    assert prepare(folder, "--test_arff", f"{folder}/t.arff") == 2
    assert (
        "t.arff, field 'smoker': another attribute than 'smoker' of d.arff, or of another type"
        in capsys.readouterr().err
    )


def test_an_earlier_output_is_only_replaced_when_asked(files, capsys):
    folder = files(DENSE, "sick", "old")
    assert prepare(folder) == 0
    assert prepare(folder) == 2
    assert "holds an earlier output" in capsys.readouterr().err
    assert prepare(folder, "--overwrite_output", "true") == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "field 'feature_names': no list of names"),
        ('{"feature_names": ["a"], "feature_types": []}', "field 'feature_types': not a type a feature"),
        ("{", "field 'feature_file': can't be read"),
    ],
)
def test_a_bad_feature_file_is_one_line(tmp_path, content, message):
    file = tmp_path / "features.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_feature_file(file)
