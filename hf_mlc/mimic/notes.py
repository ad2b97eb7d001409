"""Discharge summaries out of a note table of millions, kept on disk while their order and their codes are found.

One pass: the notes wanted are cleaned, compressed and put into a file without a name, and only where each of them stands is
held in memory. The file is on the disk of the output, and gone when the work ends, however it ends.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hf_mlc.mimic.cleaning import cleaned
from hf_mlc.mimic.tables import admission_of, read_table, whole_number


ORDERS = ("reports_first", "file")

DISCHARGE = "discharge summary"


class Note(NamedTuple):
    """Where a note stands in the file, and what it is sorted by."""

    name: str
    is_addendum: bool
    time: str
    row: int
    offset: int
    length: int


@dataclass
class NoteStore:
    """The notes of each admission.

    Args:
        folder (`Path`): whose disk the texts are kept on.
        clean (`str`): see [`cleaned`].
        of_admission (`dict[int, list]`): by hadm_id.
        subject_of (`dict[int, int]`): by hadm_id.
        rows, kept, addenda, without_admission, empty, repeated, marked_as_error (`int`): what was met. Of these only the
            notes without an admission are left out always; the empty and the repeated ones by the protocol of MIMIC-IV.
    """

    folder: Path
    clean: str
    of_admission: dict[int, list[Note]] = field(default_factory=dict)
    subject_of: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    kept: int = 0
    addenda: int = 0
    without_admission: int = 0
    empty: int = 0
    repeated: int = 0
    marked_as_error: int = 0

    def __post_init__(self):
        self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  (held until close)
        self._digests: dict[int, set[bytes]] = {}

    def __enter__(self) -> NoteStore:
        return self

    def __exit__(self, *failure) -> None:
        self._file.close()

    def add(
        self,
        hadm_id: int,
        text: str,
        *,
        name: str,
        time: str,
        row: int,
        is_addendum: bool = False,
        drop_repeated=False,
    ) -> None:
        """Keeps one note; with `drop_repeated` not if the admission has one of the same text."""
        if drop_repeated:
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            digests = self._digests.setdefault(hadm_id, set())
            if digest in digests:
                self.repeated += 1
                return
            digests.add(digest)
        packed = zlib.compress(cleaned(text, self.clean).encode("utf-8"), 1)
        offset = self._file.tell()
        self._file.write(packed)
        self.of_admission.setdefault(hadm_id, []).append(Note(name, is_addendum, time, row, offset, len(packed)))
        self.kept += 1
        self.addenda += is_addendum

    def ordered(self, hadm_id: int, order: str = "reports_first") -> list[Note]:
        """An admission's notes: reports before addenda and each by time, or as they stand in the table."""
        notes = self.of_admission[hadm_id]
        if order == "file":
            return sorted(notes, key=lambda note: note.row)
        return sorted(notes, key=lambda note: (note.is_addendum, note.time, note.row))

    def text(self, note: Note) -> str:
        """One note."""
        self._file.seek(note.offset)
        return zlib.decompress(self._file.read(note.length)).decode("utf-8")

    def joined(self, hadm_id: int, order: str = "reports_first") -> str:
        """All notes of an admission, a space between two."""
        return " ".join(self.text(note) for note in self.ordered(hadm_id, order))

    def counts(self) -> dict[str, int]:
        """What was met, for a report."""
        names = ("rows", "kept", "addenda", "without_admission", "empty", "repeated", "marked_as_error")
        return {"admissions": len(self.of_admission), **{name: getattr(self, name) for name in names}}


def read_mimic3_notes(file: Path, store: NoteStore) -> None:
    """Puts the discharge summaries of NOTEEVENTS, and their addenda, into `store`."""
    columns = ("row_id", "subject_id", "hadm_id", "category", "description", "text")
    for row, values in read_table(file, columns, ("chartdate", "charttime", "iserror")):
        name, subject, hadm, category, description, text, date, time, is_error = values
        store.rows += 1
        if category.strip().lower() != DISCHARGE:
            continue
        if not hadm.strip():
            store.without_admission += 1
            continue
        hadm_id = admission_of(hadm, subject, store.subject_of, file=file, row=row)
        store.marked_as_error += (is_error or "").strip() not in ("", "0")
        store.empty += not text.strip()
        is_addendum = description.strip().lower() == "addendum"
        # charttime is missing in most discharge summaries; the date never
        store.add(hadm_id, text, name=name, time=f"{date or ''} {time or ''}", row=row, is_addendum=is_addendum)


def read_mimic4_notes(file: Path, store: NoteStore) -> None:
    """Puts the notes of discharge.csv into `store`; those without text, and a text twice in an admission, are left out."""
    columns = ("note_id", "subject_id", "hadm_id", "text")
    for row, values in read_table(file, columns, ("note_type", "note_seq", "charttime")):
        name, subject, hadm, text, kind, sequence, time = values
        store.rows += 1
        if kind is not None and kind.strip().upper() not in ("DS", ""):
            continue
        if not hadm.strip():
            store.without_admission += 1
            continue
        hadm_id = admission_of(hadm, subject, store.subject_of, file=file, row=row)
        if not text.strip():
            store.empty += 1
            continue
        if (sequence or "").strip():
            sequence = f"{whole_number(sequence, file=file, row=row, field='note_seq'):09d}"
        store.add(hadm_id, text, name=name, time=f"{time or ''} {sequence or ''}", row=row, drop_repeated=True)


def rows_of_admissions(store: NoteStore, labels_of: dict[int, list[str]], order: str) -> Iterator[dict]:
    """A data set's rows, one an admission, by patient and admission; `labels_of` says which and with what labels."""
    for hadm_id in sorted(labels_of, key=lambda hadm_id: (store.subject_of[hadm_id], hadm_id)):
        yield {
            "id": str(hadm_id),
            "text": store.joined(hadm_id, order),
            "labels": labels_of[hadm_id],
            "subject_id": str(store.subject_of[hadm_id]),
            "hadm_id": str(hadm_id),
        }
