"""Both layouts of the repository's sparse features, prepared and read again."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hf_mlc import load_splits
from hf_mlc.commands.prepare_xmc import main
from hf_mlc.commands.running import run
from hf_mlc.cycles.label_features import read_label_features
from hf_mlc.data import Columns
from hf_mlc.labels import LabelSpace
from tests.xmc.test_prepare_xmc import prepared, write_json_layout


TRAIN, TEST = "3 5 3\n2,0,2 0:1.5 3:2\n 4:1\n1 1:0.25 2:1\n", "1 5 3\n1 0:1\n"
PAIRS = {
    "trn_X_Xf": "3 5\n0:1.5 3:2\n4:1\n1:0.25 2:1\n",
    "trn_X_Y": "3 3\n0:1 2:1\n\n0:0 1:1\n",
    "tst_X_Xf": "1 5\n0:1\n",
    "tst_X_Y": "1 3\n1:1.0\n",
}


def write_one_file(
    folder: Path, train: str = TRAIN, test: str = TEST, *, stem: str = "", packed: bool = False
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, content in (("train", train), ("test", test)):
        data = content.encode()
        (folder / f"{stem}{split}.txt{'.gz' * packed}").write_bytes(gzip.compress(data) if packed else data)
    return folder


def write_pairs(folder: Path, **changed: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in {**PAIRS, **changed}.items():
        (folder / f"{stem}.txt").write_text(content, encoding="utf-8")
    return folder


def rows_of(folder: Path, tmp_path: Path) -> dict[str, list]:
    columns = Columns(features="features", absent="zero")
    splits = load_splits(folder, columns=columns, cache_dir=tmp_path / "cache")
    return {
        name: [(*zip(*row["features"].values(), strict=True), row["labels"]) for row in rows]
        for name, rows in splits.items()
    }


EXPECTED = {
    "train": [((0, 1.5), (3, 2.0), [0, 2]), ((4, 1.0), []), ((1, 0.25), (2, 1.0), [1])],
    "test": [((0, 1.0), [1])],
}


@pytest.mark.parametrize(
    "write",
    [
        write_one_file,
        lambda folder: write_one_file(folder, stem="eurlex_", packed=True),
        write_pairs,
    ],
    ids=["one file", "packed, with a stem", "pairs"],
)
def test_both_layouts_are_the_same_data_set(tmp_path, write):
    source = write(tmp_path / "in")
    (source / "Y.txt").write_text("agri\nexport\nfish\n", encoding="utf-8")
    report = prepared(source, tmp_path / "out")
    assert rows_of(tmp_path / "out" / "data", tmp_path) == EXPECTED
    assert LabelSpace.load(tmp_path / "out" / "data") == LabelSpace.from_names(["agri", "export", "fish"])
    assert report["layout"] == "features" and report["files"][-1] == "Y.txt"
    assert report["data_sets"]["data"] == {
        "rows": {"all": 4, "train": 3, "test": 1},
        "features": 5,
        "labels": 3,
        "labels_in_train": 3,
        "rows_without_labels": 1,
        "rows_put_in_order": 0,
        "labels_a_row": 1.0,
    }


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("write", [write_one_file, write_pairs])
def test_label_features_are_written_beside_the_rows_in_the_order_of_the_labels(tmp_path, write, packed):
    source = write(tmp_path / "in")
    (source / "Y.txt").write_text("fish\nagri\nexport\n", encoding="utf-8")
    content = b"3 5\n3:2 0:1.5\n\n4:0.25\n"
    (source / f"lbl_X_Xf.txt{'.gz' * packed}").write_bytes(gzip.compress(content) if packed else content)
    report = prepared(source, tmp_path / "out")
    written = tmp_path / "out" / "data"
    assert gzip.decompress((written / "label_features.txt.gz").read_bytes()) == b"3 5\n0:1.5 3:2\n\n4:0.25\n"
    assert report["files"][-2:] == ["Y.txt", f"lbl_X_Xf.txt{'.gz' * packed}"]
    facts = report["data_sets"]["data"]
    assert facts["labels_with_features"] == 2 and facts["rows_put_in_order"] == 0  # of documents
    assert rows_of(written, tmp_path) == EXPECTED  # no split is taken for another
    rows, num_unknown = read_label_features(
        written / "label_features.txt.gz", LabelSpace.load(written), kind="features"
    )
    assert (rows["labels"][:], num_unknown) == ([["fish"], ["export"]], 0)
    prepared(source, tmp_path / "out", "--overwrite_output", "true")


def test_features_out_of_order_are_put_in_order_and_counted(tmp_path):
    one_file = write_one_file(tmp_path / "one", train=TRAIN.replace("0:1.5 3:2", "3:2 0:1.5"))
    pairs = write_pairs(
        tmp_path / "two", trn_X_Xf="3 5\n3:2 0:1.5\n4:1\n1:0.25 2:1\n", trn_X_Y="3 3\n2:1 0:1\n\n1:1\n"
    )
    for source in (one_file, pairs):
        report = prepared(source, tmp_path / "out" / source.name)
        assert report["data_sets"]["data"]["rows_put_in_order"] == 1
        assert rows_of(tmp_path / "out" / source.name / "data", tmp_path) == EXPECTED


def test_labels_without_names_are_numbers_and_counts_are_compared(tmp_path, capsys):
    prepared(write_one_file(tmp_path / "in"), tmp_path / "out", "--name", "eurlex4k")
    assert LabelSpace.load(tmp_path / "out" / "eurlex4k").names == ["0", "1", "2"]
    lines = capsys.readouterr().err.splitlines()
    assert "eurlex4k: features: 5, published 5,000" in lines and "eurlex4k: labels: 3, published 3,993" in lines
    prepared(write_one_file(tmp_path / "in"), tmp_path / "out", "--name", "eurlex4k", "--overwrite_output", "true")


def test_texts_go_before_features_unless_these_are_asked_for(tmp_path):
    source = write_pairs(write_json_layout(tmp_path / "in"))
    assert prepared(source, tmp_path / "texts")["layout"] == "json"
    report = prepared(source, tmp_path / "features", "--features", "true")
    assert report["layout"] == "features"
    assert rows_of(tmp_path / "features" / "data", tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("write", "fragment"),
    [
        (lambda d: write_one_file(d, test="1 6 3\n1 0:1\n"), "test.txt, row 1: the first line says 6 features; accepted: 5, as train.txt says"),
        (lambda d: write_one_file(d, train=TRAIN.replace("4:1", "5:1")), "train.txt, row 2, field 'features': feature 5"),
        (lambda d: write_one_file(d, train=TRAIN + "1 0:1\n"), "train.txt, row 4: the first line says 3 rows, and more follow"),
        (lambda d: write_pairs(d, trn_X_Y="2 3\n0:1\n1:1\n"), "trn_X_Y.txt, row 1: the first line says 2 rows; accepted: 3, as trn_X_Xf.txt says"),
        (lambda d: write_one_file(d, train=TRAIN.replace("0:1.5 3:2", "3:2 0:1 3:1")), "train.txt, row 1, field 'features': feature 3 stands there twice; accepted: features each once"),
        (lambda d: write_pairs(d, trn_X_Y="3 3\n0:1\n3:1\n\n"), "trn_X_Y.txt, row 2, field 'labels': label 3; accepted: 0 to 2"),
        (lambda d: write_pairs(d, trn_X_Y="3 3\n0:1\n1\n\n"), "trn_X_Y.txt, row 2, field 'labels': found '1'; accepted: LABEL:VALUE, the label a number from 0 on"),
        (lambda d: write_pairs(d, trn_X_Y="3 3\n0:1\n1:1\n"), "trn_X_Y.txt: the first line says 3 rows, there are 2"),
        (lambda d: write_pairs(d, trn_X_Xf="3 5\n0:1\n1:nan\n2:1\n"), "trn_X_Xf.txt, row 2, field 'features': the value 'nan'"),
        (lambda d: write_pairs(d, tst_X_Xf="5\n0:1\n"), "tst_X_Xf.txt, row 1: the first line is '5'; accepted: two numbers"),
        (lambda d: write_pairs(d, lbl_X_Xf="3 6\n\n\n\n"), "lbl_X_Xf.txt, row 1: the first line says 3 labels and 6 features; accepted: 3 and 5, as"),
        (lambda d: write_pairs(d, lbl_X_Xf="3 5\n0:1\n5:1\n\n"), "lbl_X_Xf.txt, row 2, field 'features': feature 5; accepted: 0 to 4"),
        (lambda d: write_pairs(d, lbl_X_Xf="3 5\n0:1\n"), "lbl_X_Xf.txt: the first line says 3 rows, there are 1"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line_and_nothing_is_written(tmp_path, capsys, write, fragment):
    source = write(tmp_path / "in")
    assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert fragment in error and len(error.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_files_that_are_missing_or_too_many_are_one_line(tmp_path, capsys):
    def error(source: Path, *words: str) -> str:
        assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out"), *words]) == 2
        return capsys.readouterr().err

    source = write_one_file(tmp_path / "half")
    (source / "test.txt").unlink()
    assert "no sparse rows of test" in error(source)
    source = write_pairs(tmp_path / "alone")
    (source / "trn_X_Y.txt").unlink()
    assert "trn_X_Xf.txt: is there alone; accepted: trn_X_Y.txt beside it" in error(source)
    source = write_one_file(write_one_file(tmp_path / "two"), stem="eurlex_")
    assert "is there too" in error(source)
    source = write_one_file(tmp_path / "names")
    (source / "Y.txt").write_text("agri\nfish\n", encoding="utf-8")
    assert "Y.txt: 2 names of labels; accepted: 3, as the first line of" in error(source)
    assert "no sparse rows" in error(write_json_layout(tmp_path / "texts"), "--features", "true")
    source = write_one_file(tmp_path / "cut", packed=True)
    (source / "train.txt.gz").write_bytes((source / "train.txt.gz").read_bytes()[:-9])
    assert "train.txt.gz" in (line := error(source)) and "the archive is cut short" in line
