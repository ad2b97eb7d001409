"""ICD codes as they are written: the tables leave out the dot, and CAML's reading lost more than that."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hf_mlc.errors import UserError
from hf_mlc.mimic.tables import admission_of, read_table, whole_number


DIAGNOSIS, PROCEDURE = "diagnosis", "procedure"
# its name, and which of the two it is: a diagnosis and a procedure are different codes even under one name
Code = tuple[str, str]


def with_dot(code: str, kind: str, version: int = 9) -> str:
    """The code with its dot: `4019` is 401.9, `E8497` is E849.7, the procedure `3893` is 38.93, ICD-10's `I5022` is I50.22.

    ICD-9: a diagnosis after 3 characters, one that begins with E after 4, a procedure after 2. ICD-10: a diagnosis after
    3, a procedure has none. A code that ends there gets no dot.
    """
    code = code.replace(".", "").strip()
    if version == 10:
        before = 3 if kind == DIAGNOSIS else len(code)
    elif kind == PROCEDURE:
        before = 2
    else:
        before = 4 if code.startswith("E") else 3
    return f"{code[:before]}.{code[before:]}" if len(code) > before else code


def as_caml_reads(code: str, kind: str) -> str:
    """The name that CAML's notebook gives a code of MIMIC-III.

    Diagnoses stay as they are, since the V codes among them keep the column a string. Procedures, which are digits only,
    are read as integers, so that leading zeros go (`0407` is 407, then 40.7); and their dotted form is read back as a
    number once more, so that trailing zeros go too (96.60 is 96.6) and a code of two digits gains one (`0052` is 52.0).
    """
    digits = code.replace(".", "").strip()
    if kind == DIAGNOSIS or not digits.isdigit():
        return with_dot(code, kind)
    short = str(int(digits))
    return str(float(f"{short[:2]}.{short[2:]}"))


@dataclass
class CodeTable:
    """The codes of each admission, and what was met on the way.

    Args:
        of_admission (`dict[int, list]`): by hadm_id its codes in the tables' order, diagnoses before procedures, each
            once.
        repeats (`dict[int, list]`): the codes that an admission has once more in the same table, as often as it has.
        also_known_as (`dict`): CAML's name of a code where it is another.
        subject_of (`dict[int, int]`): the patient of each admission that has a record.
        rows, null_codes (`int`): records read, and those without a code.
    """

    of_admission: dict[int, list[Code]] = field(default_factory=dict)
    repeats: dict[int, list[Code]] = field(default_factory=dict)
    also_known_as: dict[Code, str] = field(default_factory=dict)
    subject_of: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    null_codes: int = 0

    def admission(self, hadm: str, subject: str, *, file: Path, row: int) -> int:
        """Counts a record and returns its hadm_id; `UserError` where the admission was another patient's before."""
        self.rows += 1
        return admission_of(hadm, subject, self.subject_of, file=file, row=row)

    def add(self, hadm_id: int, code: Code) -> None:
        """One more code of an admission."""
        codes = self.of_admission.setdefault(hadm_id, [])
        # an admission has a dozen codes: a search through them takes less memory than a set for each, and no more time
        if code in codes:
            self.repeats.setdefault(hadm_id, []).append(code)
        else:
            codes.append(code)

    def names(self, hadm_id: int, compat: str = "none") -> list[str]:
        """An admission's labels: each name once, or, with `compat="caml"`, by CAML's names and with its repeats."""
        codes = self.of_admission.get(hadm_id, [])
        if compat == "caml":
            codes = [*codes, *self.repeats.get(hadm_id, [])]
            return [self.also_known_as.get(code, code[0]) for code in codes]
        return list(dict.fromkeys(name for name, _ in codes))

    def names_by_caml(self, hadm_id: int) -> dict[str, str]:
        """CAML's names of an admission's codes, and our names of the same."""
        return {self.also_known_as.get(code, code[0]): code[0] for code in self.of_admission.get(hadm_id, [])}


def read_mimic3_codes(diagnoses: Path, procedures: Path) -> CodeTable:
    """ICD-9 codes of MIMIC-III: SUBJECT_ID, HADM_ID, ICD9_CODE of both tables, read as strings."""
    table = CodeTable()
    shared: dict[Code, Code] = {}  # one object a code: 890,000 rows have some 9,000 of them
    for file, kind in ((diagnoses, DIAGNOSIS), (procedures, PROCEDURE)):
        for row, (subject, hadm, raw) in read_table(file, ("subject_id", "hadm_id", "icd9_code")):
            hadm_id = table.admission(hadm, subject, file=file, row=row)
            if not raw.strip():
                table.null_codes += 1
                continue
            code = (with_dot(raw, kind), kind)
            code = shared.setdefault(code, code)
            table.add(hadm_id, code)
            if code not in table.also_known_as and (caml := as_caml_reads(raw, kind)) != code[0]:
                table.also_known_as[code] = caml
    return table


def read_mimic4_codes(diagnoses: Path, procedures: Path) -> dict[int, CodeTable]:
    """Codes of MIMIC-IV by version of the ICD, 9 and 10: subject_id, hadm_id, icd_code, icd_version of both tables."""
    tables = {9: CodeTable(), 10: CodeTable()}
    columns = ("subject_id", "hadm_id", "icd_code", "icd_version")
    shared: dict[Code, Code] = {}
    for file, kind in ((diagnoses, DIAGNOSIS), (procedures, PROCEDURE)):
        for row, (subject, hadm, raw, icd) in read_table(file, columns):
            version = whole_number(icd, file=file, row=row, field="icd_version")
            if version not in tables:
                raise UserError(f"found '{icd}'", file=file, row=row, field="icd_version", accepted="9, 10")
            table = tables[version]
            hadm_id = table.admission(hadm, subject, file=file, row=row)
            if not raw.strip():
                table.null_codes += 1
                continue
            code = (with_dot(raw, kind, version), kind)
            table.add(hadm_id, shared.setdefault(code, code))
    return tables
