"""Both layouts of extreme-classification texts, on generated files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hf_mlc import load_splits
from hf_mlc.commands.prepare_xmc import main
from hf_mlc.commands.running import run
from hf_mlc.cycles.label_features import read_label_features
from hf_mlc.labels import LabelSpace
from hf_mlc.xmc import preparing
from hf_mlc.xmc.reading import read_label_names
from tests.mimic.generated import read_rows


DOCUMENTS = {
    "trn": [
        {"uid": "a1", "title": "Fisheries", "content": "Quotas\nof herring.", "target_ind": [2, 0, 2], "target_rel": [1.0, 1.0, 1]},
        {"uid": "a2", "title": "", "content": "No label.", "target_ind": []},
        {"uid": "a3", "content": "One of two.", "target_ind": [0, 1], "target_rel": [1.0, 0.0]},
    ],
    "tst": [{"uid": "b1", "title": "Export", "content": "of wine", "target_ind": [1]}],
}  # fmt: skip


def write_json_layout(folder: Path, documents=DOCUMENTS, *, names=b"agri\nexport\nfish\n", packed=True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, rows in documents.items():
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{stem}.json{'.gz' * packed}").write_bytes(gzip.compress(content) if packed else content)
    (folder / "Y.txt").write_bytes(names)
    return folder


def write_text_layout(folder: Path, stem: str = "raw_texts") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"train_{stem}.txt").write_text("first title /SEP/ its body\nsecond\nthird\n", encoding="utf-8")
    (folder / "train_labels.txt").write_text("trade fish fish\n\nwine\n", encoding="utf-8")
    (folder / f"test_{stem}.txt").write_text("fourth\n", encoding="utf-8")
    (folder / "test_labels.txt").write_text("trade\n", encoding="utf-8")
    return folder


def prepared(source: Path, output: Path, *words: str) -> dict:
    assert run(main, ["--xmc_dir", str(source), "--output_dir", str(output), *words]) == 0
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("packed", [True, False])
def test_documents_of_the_repository_get_the_names_of_their_labels(tmp_path, packed):
    report = prepared(write_json_layout(tmp_path / "in", packed=packed), tmp_path / "out")
    assert read_rows(tmp_path / "out" / "data" / "train.jsonl.gz") == [
        {"id": "a1", "text": "Fisheries\nQuotas\nof herring.", "labels": ["fish", "agri"]},
        {"id": "a2", "text": "No label.", "labels": []},
        {"id": "a3", "text": "One of two.", "labels": ["agri"]},
    ]
    assert report["layout"] == "json" and report["data_sets"]["data"]["rows"] == {"all": 4, "train": 3, "test": 1}
    assert json.loads((tmp_path / "out" / "data" / "labels.json").read_text()) == ["agri", "export", "fish"]
    splits = load_splits(tmp_path / "out" / "data", cache_dir=tmp_path / "cache")
    assert splits["train"][0]["labels"] == ["fish", "agri"]


def test_a_document_without_an_id_goes_by_its_row(tmp_path):
    prepared(write_json_layout(tmp_path / "in", changed(uid=None)), tmp_path / "out")
    assert [row["id"] for row in read_rows(tmp_path / "out" / "data" / "test.jsonl.gz")] == ["b1", "2"]


def test_names_of_labels_are_cut_at_spaces_and_no_other_blank(tmp_path):
    source = write_text_layout(tmp_path / "in")
    (source / "test_labels.txt").write_text("école\u00a0primaire \tfoo\u3000bar  trade\r\n", encoding="utf-8")
    prepared(source, tmp_path / "out")
    (row,) = read_rows(tmp_path / "out" / "data" / "test.jsonl.gz")
    assert row["labels"] == ["école\u00a0primaire", "foo\u3000bar", "trade"]


def test_training_documents_there_must_be(tmp_path, capsys):
    source = write_json_layout(tmp_path / "in", {"trn": [], "tst": DOCUMENTS["tst"]}, packed=False)
    assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    assert "trn.json, field 'xmc_dir': no training row" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_that_can_not_be_opened_is_one_line(tmp_path, capsys, monkeypatch):
    source, opened = write_json_layout(tmp_path / "in", packed=False), Path.open

    def locked(path, *words, **settings):
        if path.name == "tst.json":
            raise PermissionError(13, "Permission denied")
        return opened(path, *words, **settings)

    monkeypatch.setattr(Path, "open", locked)
    assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    assert "tst.json: cannot be opened (Permission denied); accepted: a readable file" in capsys.readouterr().err


@pytest.mark.parametrize("stem", ["raw_texts", "texts"])
def test_texts_and_label_sets_line_by_line(tmp_path, stem, capsys):
    report = prepared(write_text_layout(tmp_path / "in", stem), tmp_path / "out", "--name", "eurlex4k")
    assert read_rows(tmp_path / "out" / "eurlex4k" / "train.jsonl.gz") == [
        {"id": "1", "text": "first title\nits body", "labels": ["trade", "fish"]},
        {"id": "2", "text": "second", "labels": []},
        {"id": "3", "text": "third", "labels": ["wine"]},
    ]
    assert report["files"] == [f"train_{stem}.txt", f"test_{stem}.txt", "train_labels.txt", "test_labels.txt"]
    assert "eurlex4k: train: 3, published 15,449" in capsys.readouterr().err.splitlines()


def test_names_are_unique_and_may_be_latin_1(tmp_path):
    file = tmp_path / "Yf.txt"
    file.write_bytes("café\nbooks\n\nbooks\n".encode("latin-1"))
    names, facts = read_label_names(file)
    assert names == ["café", "books [1]", "[2]", "books [3]"]
    assert facts == {"label_names_encoding": "latin-1", "repeated_label_names": 1}
    # a name with its number behind it may be another label's name already
    file.write_text("A [2]\nB\nA\nA\n[5]\n\n", encoding="utf-8")
    assert read_label_names(file)[0] == ["A [2]", "B", "A [[2]]", "A [3]", "[5]", "[[5]]"]
    file = tmp_path / "lbl.json.gz"
    file.write_bytes(gzip.compress(b'{"uid": "x", "title": "Wine"}\n{"uid": "y", "title": "Fish", "content": ""}\n'))
    assert read_label_names(file)[0] == ["Wine", "Fish"]


def test_titles_and_contents_of_labels_are_their_texts(tmp_path):
    source = write_json_layout(tmp_path / "in")
    (source / "Y.txt").unlink()
    lines = [
        {"uid": "x", "title": "Wine", "content": "of grapes"},
        {"uid": "y", "title": "", "content": ""},
        {"uid": "z", "title": "Wine"},
    ]
    (source / "lbl.json").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    report = prepared(source, tmp_path / "out")
    written = tmp_path / "out" / "data"
    assert read_rows(written / "label_features.jsonl.gz") == [
        {"label": "Wine [0]", "text": "Wine\nof grapes"},
        {"label": "Wine [2]", "text": "Wine"},
    ]
    assert report["data_sets"]["data"]["labels_with_features"] == 2
    space = LabelSpace.load(written)
    rows, num_unknown = read_label_features(written / "label_features.jsonl.gz", space, kind="text")
    assert (space.encode([name for (name,) in rows["labels"]]).tolist(), num_unknown) == ([0, 2], 0)
    # of names alone no such file is made, and of labels without a text neither
    prepared(write_json_layout(tmp_path / "names"), tmp_path / "named")
    (source / "lbl.json").write_text("{}\n{}\n{}\n", encoding="utf-8")
    prepared(source, tmp_path / "untitled")
    assert not list(tmp_path.glob("*ed/data/label_features*"))


def changed(**values) -> dict:
    return {**DOCUMENTS, "tst": [DOCUMENTS["tst"][0], {**DOCUMENTS["tst"][0], **values}]}


@pytest.mark.parametrize(
    ("values", "fragment"),
    [
        ({"target_ind": [3]}, "tst.json.gz, row 2, field 'target_ind': found 3; accepted: 0 to 2"),
        ({"target_ind": ["fish"]}, "row 2, field 'target_ind': found 'fish'"),
        ({"target_ind": None}, "row 2, field 'target_ind': found None"),
        ({"target_rel": [1.0, 1.0]}, "row 2, field 'target_rel': found [1.0, 1.0]"),
        ({"target_rel": ["1"]}, "row 2, field 'target_rel': found ['1']"),
        ({"target_rel": [float("nan")]}, "row 2, field 'target_rel': found [nan]"),
        ({"target_rel": [True]}, "row 2, field 'target_rel': found [True]"),
        ({"content": 7}, "row 2, field 'content': found 7; accepted: a string"),
    ],
)
def test_a_broken_document_is_one_line_and_nothing_is_written(tmp_path, capsys, values, fragment):
    source = write_json_layout(tmp_path / "in", changed(**values))
    assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
    assert fragment in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_files_that_are_missing_or_end_early_are_one_line(tmp_path, capsys):
    def error(source: Path) -> str:
        assert run(main, ["--xmc_dir", str(source), "--output_dir", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "no documents or no labels of train; accepted: trn.json and tst.json, or" in error(tmp_path / "empty")
    source = write_json_layout(tmp_path / "names")
    (source / "Y.txt").unlink()
    assert "no label names; accepted: lbl.json" in error(source)
    source = write_text_layout(tmp_path / "short")
    (source / "train_labels.txt").write_text("trade\n", encoding="utf-8")
    assert "train_labels.txt, row 2: ends before line 2 of train_raw_texts.txt" in error(source)
    source = write_json_layout(tmp_path / "cut")
    (source / "trn.json.gz").write_bytes((source / "trn.json.gz").read_bytes()[:-12])
    assert "trn.json.gz" in (line := error(source)) and "the archive is cut short" in line
    prepared(write_text_layout(tmp_path / "twice"), tmp_path / "out")
    assert "holds an earlier output" in error(tmp_path / "twice")


@pytest.mark.parametrize("sparse", [False, True])
def test_a_title_that_cannot_be_written_is_refused_before_any_row_is(tmp_path, capsys, monkeypatch, sparse):
    folder = tmp_path / "in"
    if sparse:
        folder.mkdir()
        for split in ("train", "test"):
            (folder / f"{split}.txt").write_text("1 2 2\n0 0:1\n", encoding="utf-8")
    else:
        write_json_layout(folder, {stem: [{"title": "t", "target_ind": [0]}] for stem in ("trn", "tst")})
        (folder / "Y.txt").unlink()
    (folder / "lbl.json").write_text('{"title": "wine"}\n{"title": "Caf\\ud83d"}\n', encoding="utf-8")
    for writer in ("write_rows", "write_data_set"):
        monkeypatch.setattr(preparing, writer, None)
    assert run(main, ["--xmc_dir", str(folder), "--output_dir", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "lbl.json, row 2, field 'title': a label's name, 'Caf\\ud83d', has half a surrogate pair" in message
    assert message.count("\n") == 1 and not (tmp_path / "out").exists()
