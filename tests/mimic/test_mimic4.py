"""MIMIC-IV end to end on generated tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_mlc.commands.prepare_mimic import main
from hf_mlc.commands.running import run
from tests.mimic.generated import discharge, read_rows, write_mimic4
from tests.mimic.test_splits import write_feather


def tables(folder: Path, *, more_notes=(), more_codes=()) -> Path:
    """Thirty patients with a note each: I10 in all, E11.9 in ten, Z00.0 in nine; one procedure in ten; 401.9 in others."""
    notes = [discharge(n, 1000 + n, f"Note {n}: pressure 120 mmHg.\nEnd") for n in range(30)]
    codes = [(n, 1000 + n, 1, "I10", 10) for n in range(30)]
    codes += [(n, 1000 + n, 2, "E119", 10) for n in range(10)] + [(n, 1000 + n, 3, "Z000", 10) for n in range(9)]
    codes += [(0, 1000, 4, "I10", 10)]  # a repeat
    notes += [discharge(100 + n, 2000 + n, f"Old note {n}") for n in range(12)]
    codes += [(100 + n, 2000 + n, 1, "4019", 9) for n in range(12)]
    procedures = [(n, 1000 + n, 1, "02HV33Z", 10) for n in range(20, 30)]
    return write_mimic4(folder, [*notes, *more_notes], [*codes, *more_codes], procedures)


def prepared(folder: Path, source: Path, *words: str) -> dict:
    output = folder / "out"
    assert run(main, ["--mimic_dir", str(source), "--version", "iv", "--output_dir", str(output), *words]) == 0
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def all_rows(folder: Path) -> dict[str, dict]:
    return {
        row["id"]: row for split in ("train", "validation", "test") for row in read_rows(folder / f"{split}.jsonl.gz")
    }


def test_codes_of_ten_notes_are_kept_and_the_two_versions_are_two_data_sets(tmp_path):
    report = prepared(tmp_path, tables(tmp_path / "iv"))
    rows = all_rows(tmp_path / "out" / "icd10")
    assert len(rows) == 30
    assert rows["0-DS-1"] == {
        "id": "0-DS-1",
        "text": "note pressure mmhg end",
        "labels": ["I10", "E11.9"],  # Z00.0 is in nine notes only
        "subject_id": "0",
        "hadm_id": "1000",
    }
    assert rows["25-DS-1"]["labels"] == ["I10", "02HV33Z"]
    old = all_rows(tmp_path / "out" / "icd9")
    assert len(old) == 12 and old["100-DS-1"]["labels"] == ["401.9"]
    facts = report["data_sets"]["icd10"]
    assert facts["split"] == "ours, by patient, seed 0" and facts["codes"]["repeated"] == 1
    assert facts["rows"] == {"all": 30, "train": 23, "validation": 3, "test": 4}
    # the sizes of another split are nothing to compare ours with
    assert [entry["what"] for entry in report["comparison"]] == ["icd10: all", "icd10: labels"]


def test_given_splits_are_followed_and_what_is_on_no_list_is_counted(tmp_path):
    ids = [*range(1000, 1029), 4711]
    file = tmp_path / "splits" / "mimiciv_icd10_split.feather"
    write_feather(file, ids, ["train"] * 20 + ["val"] * 4 + ["test"] * 6)
    source = tables(tmp_path / "iv")
    report = prepared(tmp_path, source, "--splits", str(file.parent), "--data_sets", "icd10", "--clean", "none")
    facts = report["data_sets"]["icd10"]
    assert facts["rows"] == {"all": 29, "train": 20, "validation": 4, "test": 5}
    assert facts["on_no_list"] == 1 and facts["listed_but_left_out"] == 1 and facts["split"] == "given"
    assert (
        read_rows(tmp_path / "out" / "icd10" / "validation.jsonl.gz")[0]["text"] == "Note 20: pressure 120 mmHg.\nEnd"
    )
    what = {entry["what"]: entry for entry in report["comparison"]}
    assert what["icd10: all"]["published"] == 122_279 and what["icd10: labels"]["published"] == 7_942


def test_empty_notes_and_a_text_twice_are_left_out_and_notes_without_codes(tmp_path):
    more = [
        discharge(0, 1000, "Note 0: pressure 120 mmHg.\nEnd", 2),  # the same text again
        discharge(1, 1001, "Another text", 2),
        discharge(2, 3000, " "),
        discharge(3, 3001, "No code at all"),
        discharge(4, "", "No admission"),
    ]
    report = prepared(tmp_path, tables(tmp_path / "iv", more_notes=more), "--data_sets", "icd10")
    assert {name: report["notes"][name] for name in ("repeated", "empty", "without_admission")} == {
        "repeated": 1,
        "empty": 1,
        "without_admission": 1,
    }
    rows = all_rows(tmp_path / "out" / "icd10")
    assert len(rows) == 31 and rows["1-DS-2"]["labels"] == rows["1-DS-1"]["labels"]


def test_the_notes_may_lie_in_a_folder_of_their_own(tmp_path):
    source = tables(tmp_path / "iv")
    (source / "note").rename(tmp_path / "mimic-iv-note")
    prepared(tmp_path, source, "--note_dir", str(tmp_path / "mimic-iv-note"), "--data_sets", "icd9")


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--compat", "caml"], "field 'compat': has no effect on version iv"),
        (["--data_sets", "full"], "field 'data_sets': found 'full'; accepted: icd9, icd10"),
        (["--min_count", "0"], "field 'min_count': found 0"),
        (["--min_count", "99"], "no note with a code of icd9 that 99 notes have"),
        (["--clean", "laat"], "field 'clean': found 'laat'; accepted: caml, edin, none"),
        (["--seed", "3", "--splits", "lists"], "field 'seed': has no effect here"),
        (["--version", "v"], "field 'version': found 'v'; accepted: iii, iv"),
        (["--version", "iii"], "field 'splits': is missing"),
        (["--mimic_dir", "/nowhere"], "/nowhere, field 'mimic_dir': no such folder"),
        (["--note_dir", "/nowhere"], "/nowhere, field 'note_dir': no such folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, capsys, words, fragment):
    source = tables(tmp_path / "iv")
    output = tmp_path / "out"
    assert run(main, ["--mimic_dir", str(source), "--version", "iv", "--output_dir", str(output), *words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("hf-mlc: error: ") and fragment in line
    assert not output.exists()


def test_the_blanks_that_stand_for_names_are_no_words_unless_cleaned_as_caml_cleans(tmp_path):
    source = tables(tmp_path / "iv", more_notes=[discharge(1, 1001, "Mr. ___ of ___ came on ___.", 2)])
    prepared(tmp_path / "edin", source, "--data_sets", "icd10", "icd10")
    assert all_rows(tmp_path / "edin" / "out" / "icd10")["1-DS-2"]["text"] == "mr of came on"
    prepared(tmp_path / "caml", source, "--data_sets", "icd10", "--clean", "caml")
    assert all_rows(tmp_path / "caml" / "out" / "icd10")["1-DS-2"]["text"] == "mr ___ of ___ came on ___"
