"""Notes: their order, and that they are not held in memory."""

from __future__ import annotations

import tracemalloc

import pytest

from hf_mlc.errors import UserError
from hf_mlc.mimic.notes import NoteStore, read_mimic3_notes, read_mimic4_notes
from tests.mimic.generated import NOTE_COLUMNS, discharge, note, write_mimic4, write_table


def stored(folder, rows, *, clean="none"):
    store = NoteStore(folder, clean)
    read_mimic3_notes(write_table(folder / "NOTEEVENTS.csv.gz", NOTE_COLUMNS, rows), store)
    return store


def test_reports_come_before_addenda_and_each_by_time(tmp_path):
    rows = [
        note(1, 1, 10, "late addendum", DESCRIPTION="Addendum", CHARTDATE="2151-08-09"),
        note(2, 1, 10, "early addendum", DESCRIPTION="Addendum", CHARTDATE="2151-08-03"),
        note(3, 1, 10, "late report", CHARTDATE="2151-08-04", CHARTTIME="2151-08-04 10:00:00"),
        note(4, 1, 10, "early report", CHARTDATE="2151-08-04", CHARTTIME="2151-08-04 09:00:00"),
        note(5, 1, 10, "the same moment", CHARTDATE="2151-08-04", CHARTTIME="2151-08-04 09:00:00"),
    ]
    with stored(tmp_path, rows) as store:
        expected = "early report the same moment late report early addendum late addendum"
        assert store.joined(10) == expected
        assert store.joined(10, "file") == " ".join(row[-1] for row in rows)
        assert store.counts()["addenda"] == 2


def test_texts_come_back_as_they_were(tmp_path):
    text = 'Über "quotes",\r\n\tμg\x0b' + "\n" * 50
    with stored(tmp_path, [note(1, 1, 10, text)]) as store:
        assert store.joined(10) == text


def test_a_table_with_few_columns_will_do(tmp_path):
    columns = [name for name in NOTE_COLUMNS if name not in ("CHARTDATE", "CHARTTIME", "STORETIME", "CGID", "ISERROR")]
    file = write_table(tmp_path / "n.csv", columns, [(1, 1, 10, "Discharge summary", "Report", "text")])
    with NoteStore(tmp_path, "none") as store:
        read_mimic3_notes(file, store)
        assert store.joined(10) == "text"


def test_an_admission_of_two_patients_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="row 2, field 'subject_id': admission 10 of patient 2, and of 1 in an earlier"
    ):
        stored(tmp_path, [note(1, 1, 10, "a"), note(2, 2, 10, "b")])
    folder = write_mimic4(tmp_path, [discharge(1, 10, "a"), discharge(2, 10, "b")], [])
    with (
        pytest.raises(UserError, match=r"discharge\.csv\.gz, row 2, field 'subject_id'"),
        NoteStore(tmp_path, "none") as store,
    ):
        read_mimic4_notes(folder / "note" / "discharge.csv.gz", store)


def test_notes_are_not_held_in_memory_and_nothing_of_them_stays(tmp_path):
    file = write_table(tmp_path / "n.csv", NOTE_COLUMNS, [note(n, n, n, f"{n} word " * 4_000) for n in range(300)])
    megabytes = file.stat().st_size / 1e6
    tracemalloc.start()
    with NoteStore(tmp_path, "caml") as store:
        read_mimic3_notes(file, store)
        assert store.kept == 300 and store.joined(299).startswith("word word")
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert megabytes > 9 and peak < 3
    assert [path.name for path in tmp_path.iterdir()] == ["n.csv"]
