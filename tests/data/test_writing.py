"""Data sets written to a folder, whole or not at all."""

from __future__ import annotations

import gzip
import json

import pytest

from hf_mlc.data.published_counts import compared, flat, report_lines
from hf_mlc.data.writing import check_output, output_written_whole, write_data_set
from hf_mlc.errors import UserError


ROWS = {
    "train": [{"id": "1", "text": "ü", "labels": ["b", "a", "b"]}, {"id": "2", "text": "", "labels": []}],
    "validation": [],
    "test": [{"id": "3", "text": "x", "labels": ["c"]}],
}


def test_counts_and_files_of_what_was_written(tmp_path):
    facts = write_data_set(tmp_path / "d", ROWS)
    assert facts == {
        "rows": {"all": 3, "train": 2, "validation": 0, "test": 1},
        "labels": 3,
        "labels_in_train": 2,
        "rows_without_labels": 1,
        "labels_a_row": 1.0,
    }
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "labels.json",
        "test.jsonl.gz",
        "train.jsonl.gz",
    ]
    assert json.loads((tmp_path / "d" / "labels.json").read_text(encoding="utf-8")) == ["a", "b", "c"]
    write_data_set(tmp_path / "e", ROWS)  # the same rows are the same bytes
    assert (tmp_path / "d" / "train.jsonl.gz").read_bytes() == (tmp_path / "e" / "train.jsonl.gz").read_bytes()


def test_only_an_earlier_output_is_ever_replaced(tmp_path):
    out = tmp_path / "out"
    check_output(out, ["d"], overwrite=False)
    with output_written_whole(out) as folder:
        write_data_set(folder / "d", ROWS)
    with pytest.raises(UserError, match="holds an earlier output"):
        check_output(out, ["d"], overwrite=False)
    check_output(out, ["d"], overwrite=True)
    with pytest.raises(UserError, match="holds d;"):
        check_output(out, ["other"], overwrite=True)
    (out / "d" / "mine.txt").touch()
    with pytest.raises(UserError, match=r"holds d/mine\.txt"):
        check_output(out, ["d"], overwrite=True)
    with pytest.raises(UserError, match="no folder but a file"):
        check_output(out / "d" / "mine.txt", ["d"], overwrite=True)


def test_what_was_there_stays_after_an_error(tmp_path):
    out = tmp_path / "out"
    with output_written_whole(out) as folder:
        (folder / "report.json").write_text("first", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), output_written_whole(out) as folder:
        (folder / "report.json").write_text("second", encoding="utf-8")
        raise ZeroDivisionError
    assert (out / "report.json").read_text(encoding="utf-8") == "first"
    with output_written_whole(out) as folder:
        (folder / "report.json").write_text("third", encoding="utf-8")
    assert (out / "report.json").read_text(encoding="utf-8") == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_each_published_count_is_a_line(tmp_path):
    facts = write_data_set(tmp_path / "d", ROWS)
    published = {"train": 2, "labels": 1_234, "never counted": 1}
    entries = compared("d", published, flat(facts), {"labels": "of 1900"})
    assert report_lines({"comparison": entries, "data_sets": {"d": facts}}) == [
        "d: train: 2, as published",
        "d: labels: 3, published 1,234 (of 1900)",
        "d: all 3, train 2, validation 0, test 1 rows; 3 labels, 2 of them in training",
    ]


HALF = "Caf\ud83d"  # JSON can spell it, UTF-8 can't


@pytest.mark.parametrize("given", [["a", HALF], None])
def test_a_label_that_cannot_be_written_is_refused_and_a_text_is_mended(tmp_path, given):
    def rows():
        yield {"id": "1", "text": HALF, "labels": ["a"]}
        assert given is None, "refused before any row is read"
        yield {"id": "2", "text": "x", "labels": ["a", HALF]}

    place = "field 'labels'" if given else "row 2, field 'labels'"
    with pytest.raises(UserError, match=f"^{place}: a label, 'Caf.ud83d', has half a surrogate pair at character 3"):
        write_data_set(tmp_path / "d", {"train": rows()}, label_names=given)
    write_data_set(tmp_path / "e", {"train": [{"id": "1", "text": HALF, "labels": ["a"]}]})
    assert b'"Caf?"' in gzip.decompress((tmp_path / "e" / "train.jsonl.gz").read_bytes())
