"""Tables as PhysioNet ships them, small: file names, columns and quirks of MIMIC-III 1.4, MIMIC-IV 2.2 and its notes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path


NOTE_COLUMNS = [
    "ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION", "CGID", "ISERROR",
    "TEXT",
]  # fmt: skip
CODE_COLUMNS = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"]


def write_table(file: Path, columns: Sequence[str], rows: Sequence[Sequence], *, lower: bool = False) -> Path:
    """A CSV file with quoted strings and bare numbers, as PostgreSQL exports it; gzipped by its name."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([name.lower() if lower else name for name in columns])
    writer.writerows(rows)
    content = out.getvalue().encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def note(row: int, subject: int, hadm: int | str, text: str, **changes) -> list:
    """A row of NOTEEVENTS."""
    values = {
        "ROW_ID": row,
        "SUBJECT_ID": subject,
        "HADM_ID": hadm,
        "CHARTDATE": "2151-08-04",
        "CHARTTIME": "",
        "STORETIME": "",
        "CATEGORY": "Discharge summary",
        "DESCRIPTION": "Report",
        "CGID": "",
        "ISERROR": "",
        "TEXT": text,
    }
    return list({**values, **changes}.values())


# patients 1 and 2 are trained on, 3 validates, 4 tests. 105 has notes and no code, 106 codes and no notes, 107 stands on no list
LISTS = {"train": [101, 102, 103, 105], "dev": [104], "test": [108, 109]}
SUBJECT_OF = {101: 1, 102: 1, 103: 2, 104: 3, 105: 2, 106: 2, 107: 5, 108: 4, 109: 4}
NOTES = [
    # an addendum stands before its report, and a later report between them
    note(1, 1, 101, "Addendum: given 250mg, 500 ml.", DESCRIPTION="Addendum", CHARTDATE="2151-08-05"),
    note(
        2, 1, 101, 'Admission Date:  [**2151-7-16**]\n\nChest pain, "crushing", since 3 days.\r\nEF 20%.', ISERROR="1"
    ),
    note(3, 1, 101, "Physician's note", CATEGORY="Physician "),
    note(4, 1, 102, "Second stay; dyspnoea."),
    note(5, 2, 103, "Third stay\nfever."),
    note(6, 3, 104, "Fourth stay, cough."),
    note(7, 2, 105, "Fifth stay: nothing coded."),
    note(8, 5, 107, "On no list."),
    note(9, 4, 108, "Eighth stay, sepsis."),
    note(10, 4, 109, "Ninth stay, fall."),
    note(11, 4, "", "A radiology report", CATEGORY="Radiology"),
    note(12, 4, "", "A summary without an admission"),
]
DIAGNOSES = [
    (1, 1, 101, 1, "4019"),
    (2, 1, 101, 2, "0389"),
    (3, 1, 101, 3, "E8497"),
    (4, 1, 101, 4, "V5861"),
    (5, 1, 101, 5, "4019"),  # a repeat
    (6, 1, 102, 1, "4280"),
    (7, 1, 102, 2, ""),
    (8, 2, 103, 1, "486"),
    (9, 3, 104, 1, "4019"),
    (10, 2, 105, "", ""),
    (11, 2, 106, 1, "99591"),
    (12, 5, 107, 1, "4019"),
    (13, 4, 108, 1, "4019"),
    (14, 4, 108, 2, "E849"),
    (15, 4, 109, 1, "E8497"),
    (16, 4, 109, 2, "4280"),
]
PROCEDURES = [
    (1, 1, 101, 1, "3893"),
    (2, 1, 102, 1, "0407"),
    (3, 1, 102, 2, "9660"),
    (4, 2, 103, 1, "0052"),
    (5, 4, 108, 1, "0052"),
    (6, 4, 109, 1, "3893"),
]


def write_mimic3(folder: Path, *, ending: str = ".csv.gz", lower: bool = False, **tables) -> Path:
    """NOTEEVENTS, DIAGNOSES_ICD and PROCEDURES_ICD; rows of a table may be given instead."""
    rows = {"NOTEEVENTS": NOTES, "DIAGNOSES_ICD": DIAGNOSES, "PROCEDURES_ICD": PROCEDURES, **tables}
    for name, content in rows.items():
        columns = NOTE_COLUMNS if name == "NOTEEVENTS" else CODE_COLUMNS
        write_table(folder / f"{name.lower() if lower else name}{ending}", columns, content, lower=lower)
    return folder


def write_lists(folder: Path, lists: dict[str, list[int]] = LISTS, names: Sequence[str] = ("full", "50")) -> Path:
    """CAML's lists of admissions."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for split, ids in lists.items():
            content = "".join(f"{hadm_id}\n" for hadm_id in ids)
            (folder / f"{split}_{name}_hadm_ids.csv").write_text(content, encoding="utf-8")
    return folder


def read_rows(file: Path) -> list[dict]:
    """The rows of a written split."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def labels_by_id(folder: Path, split: str) -> dict[str, list[str]]:
    """`{id: labels}` of a written split."""
    return {row["id"]: row["labels"] for row in read_rows(folder / f"{split}.jsonl.gz")}


# -- MIMIC-IV


def write_mimic4(folder: Path, notes: Sequence[Sequence], diagnoses: Sequence[Sequence], procedures=()) -> Path:
    """hosp/ and note/ of MIMIC-IV in one folder."""
    codes = ["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"]
    note_columns = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"]
    write_table(folder / "hosp" / "diagnoses_icd.csv.gz", codes, diagnoses)
    rows = [(*row[:3], "2180-05-07", *row[3:]) for row in procedures]
    write_table(folder / "hosp" / "procedures_icd.csv.gz", [*codes[:3], "chartdate", *codes[3:]], rows)
    write_table(folder / "note" / "discharge.csv.gz", note_columns, notes)
    return folder


def discharge(subject: int, hadm: int | str, text: str, sequence: int = 1) -> tuple:
    """A row of discharge.csv."""
    name = f"{subject}-DS-{sequence}"
    return (name, subject, hadm, "DS", sequence, "2180-05-07 00:00:00", "2180-05-09 15:26:00", text)
