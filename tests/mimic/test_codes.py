"""Codes: where the dot goes, and what CAML's reading makes of them."""

from __future__ import annotations

import pytest

from hf_mlc.errors import UserError
from hf_mlc.mimic.cleaning import cleaned
from hf_mlc.mimic.codes import DIAGNOSIS, PROCEDURE, as_caml_reads, read_mimic3_codes, read_mimic4_codes, with_dot
from tests.mimic.generated import CODE_COLUMNS, write_mimic4, write_table


@pytest.mark.parametrize(
    ("raw", "kind", "version", "written"),
    [
        ("4019", DIAGNOSIS, 9, "401.9"),
        ("0389", DIAGNOSIS, 9, "038.9"),
        ("486", DIAGNOSIS, 9, "486"),
        ("V5861", DIAGNOSIS, 9, "V58.61"),
        ("E8497", DIAGNOSIS, 9, "E849.7"),
        ("E849", DIAGNOSIS, 9, "E849"),
        ("3893", PROCEDURE, 9, "38.93"),
        ("0407", PROCEDURE, 9, "04.07"),
        ("966", PROCEDURE, 9, "96.6"),
        ("I5022", DIAGNOSIS, 10, "I50.22"),
        ("I10", DIAGNOSIS, 10, "I10"),
        ("E119", DIAGNOSIS, 10, "E11.9"),
        ("02HV33Z", PROCEDURE, 10, "02HV33Z"),
        ("401.9 ", DIAGNOSIS, 9, "401.9"),
    ],
)
def test_the_dot_goes_where_the_kind_of_code_wants_it(raw, kind, version, written):
    assert with_dot(raw, kind, version) == written


@pytest.mark.parametrize(
    ("raw", "kind", "written"),
    # 40.7, 52.0, 77.7, 17.36 and 34.71 stand so in the lists of rare50
    [
        ("0407", PROCEDURE, "40.7"),
        ("0052", PROCEDURE, "52.0"),
        ("7770", PROCEDURE, "77.7"),
        ("1736", PROCEDURE, "17.36"),
        ("966", PROCEDURE, "96.6"),
        ("0389", DIAGNOSIS, "038.9"),
        ("V103", DIAGNOSIS, "V10.3"),
    ],
)
def test_caml_reads_procedures_as_numbers(raw, kind, written):
    assert as_caml_reads(raw, kind) == written


def test_a_diagnosis_and_a_procedure_of_one_name_are_two_codes_for_caml(tmp_path):
    # the procedure 04.07 and the diagnosis 040.7 meet only in CAML's names, and there only almost
    diagnoses = write_table(tmp_path / "d.csv", CODE_COLUMNS, [(1, 1, 10, 1, "0407")])
    procedures = write_table(tmp_path / "p.csv", CODE_COLUMNS, [(1, 1, 10, 1, "0407"), (2, 1, 10, 2, "0407")])
    table = read_mimic3_codes(diagnoses, procedures)
    assert table.names(10) == ["040.7", "04.07"]
    assert table.names(10, "caml") == ["040.7", "40.7", "40.7"]
    assert table.names_by_caml(10) == {"040.7": "040.7", "40.7": "04.07"}
    assert table.names(11) == []


def test_an_admission_of_two_patients_is_refused(tmp_path):
    rows = [(1, 1, 10, 1, "486"), (2, 2, 10, 1, "486")]
    file = write_table(tmp_path / "d.csv", CODE_COLUMNS, rows)
    with pytest.raises(UserError, match=r"d.csv, row 2, field 'subject_id': admission 10 of patient 2, and of 1 in"):
        read_mimic3_codes(file, file)


def test_versions_of_the_icd_are_kept_apart(tmp_path):
    diagnoses = [(1, 10, 1, "4019", 9), (1, 10, 2, "4019", 9), (2, 20, 1, "I10", 10), (2, 20, 2, "", 10)]
    write_mimic4(tmp_path, [], diagnoses, [(2, 20, 1, "02HV33Z", 10)])
    files = (tmp_path / "hosp" / "diagnoses_icd.csv.gz", tmp_path / "hosp" / "procedures_icd.csv.gz")
    tables = read_mimic4_codes(*files)
    assert tables[9].names(10) == ["401.9"] and tables[9].repeats == {10: [("401.9", DIAGNOSIS)]}
    assert tables[10].names(20) == ["I10", "02HV33Z"] and tables[10].null_codes == 1
    write_mimic4(tmp_path, [], [(1, 10, 1, "4019", 11)])
    with pytest.raises(UserError, match="row 1, field 'icd_version': found '11'; accepted: 9, 10"):
        read_mimic4_codes(*files)


def test_cleaning_keeps_words_that_hold_a_letter():
    assert cleaned("Given 250mg,\n 500 ml; b_12 – Straße ½ 3.5%", "caml") == "given 250mg ml b_12 straße"
    text = "Given 250mg,\n 500 ml; b_12 7_ _ __5 0x1F 007 x9-9y A1B2 3.5%[**2151-7-16**]"
    assert cleaned(text, "caml") == "given 250mg ml b_12 7_ _ __5 0x1f x9 9y a1b2"
    assert cleaned(f"{text} é", "caml") == f"{cleaned(text, 'caml')} é"  # the two ways agree
    assert cleaned(" A\r\nb ", "none") == " A\r\nb "
    assert cleaned("Given 250mg,\n 500 ml; b_12 – café ½ ___ 3.5% 7", "edin") == "given 250mg ml b caf"
