"""Tables: what stands where, and one line for what is broken."""

from __future__ import annotations

import gzip

import pytest

from hf_mlc.errors import UserError
from hf_mlc.mimic.tables import find_table, read_table, whole_number


def rows_of(file, *columns, optional=()):
    return list(read_table(file, columns, optional))


def test_quoted_line_breaks_and_doubled_quotes_are_part_of_the_text(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbf"ROW_ID","TEXT"\r\n1,"a ""b"",\r\nc\n"\n2,plain\n\n3,"' + b"x" * 200_000 + b'"\n')
    rows = rows_of(file, "text", "row_id")
    assert rows[0] == (1, ('a "b",\r\nc\n', "1")) and rows[1] == (2, ("plain", "2"))
    assert len(rows[2][1][0]) == 200_000  # beyond the csv module's own limit


def test_an_optional_column_that_is_missing_is_none(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,B\n1,2\n", encoding="utf-8")
    assert rows_of(file, "b", optional=("c", "a")) == [(1, ("2", None, "1"))]
    assert rows_of(file, "b") == [(1, ("2",))]


def broken(name: str, content: bytes, *fragments: str):
    return pytest.param(name, content, fragments, id=fragments[-1])


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        broken("t.csv", b"a,b\n1,2\n", "t.csv, field 'text': no such column; found: a, b"),
        broken("t.csv", b"", "t.csv, field 'text': no such column; found: an empty file"),
        broken("t.csv", b"text,b\n1,2\n1,2,3\n", "t.csv, row 2: 3 fields under a header of 2"),
        broken("t.csv", b'text,b\n1,2\n"open,3\n', "t.csv, row 2: not CSV (unexpected end of data)"),
        broken("t.csv", b"text,b\n1,2\n\xff,3\n", "not UTF-8: byte 0xff"),
        broken("t.csv.gz", gzip.compress(b"text,b\n" + b"1,2\n" * 9000)[:-40], "the archive is cut short"),
        broken("t.csv.gz", b"text,b\n1,2\n", "t.csv.gz, row 1: not a sound gzip archive"),
    ],
)
def test_a_broken_table_is_one_line_that_names_file_and_row(tmp_path, name, content, fragments):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        rows_of(tmp_path / name, "text", "b")
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_table_is_found_in_any_case_and_the_plain_file_first(tmp_path):
    (tmp_path / "hosp").mkdir()
    for name in ("NoteEvents.csv.gz", "noteevents.CSV", "hosp/diagnoses_icd.csv.gz"):
        (tmp_path / name).touch()
    assert find_table(tmp_path, "noteevents").name == "noteevents.CSV"
    assert find_table(tmp_path, "diagnoses_icd", inside=("hosp", "")).parent.name == "hosp"
    with pytest.raises(UserError, match=r"field 'note_dir': no table discharge; looked for note/discharge.csv\[.gz\]"):
        find_table(tmp_path, "discharge", inside=("note",), field="note_dir")
    with pytest.raises(UserError, match="no such folder"):
        find_table(tmp_path / "nowhere", "noteevents")


def test_an_identifier_is_a_whole_number(tmp_path):
    place = {"file": tmp_path, "row": 3, "field": "hadm_id"}
    assert whole_number(" 167853 ", **place) == whole_number("167853.0", **place) == 167853
    for value in ("", "1.5", "-3", "abc", "²"):
        with pytest.raises(UserError, match=f"row 3, field 'hadm_id': found '{value}'"):
            whole_number(value, **place)
