"""MIMIC-III end to end on generated tables, and on the demo's real ones."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from hf_mlc import LabelSpace, load_splits
from hf_mlc.commands.prepare_mimic import main
from hf_mlc.commands.running import run
from tests.mimic.generated import (
    DIAGNOSES,
    LISTS,
    NOTES,
    labels_by_id,
    note,
    read_rows,
    write_lists,
    write_mimic3,
)


def prepared(folder: Path, *words: str, tables: Path | None = None, lists: Path | None = None) -> Path:
    """Runs the command; returns its output folder."""
    output = folder / "out"
    tables = tables or write_mimic3(folder / "tables")
    lists = lists or write_lists(folder / "lists")
    arguments = ["--mimic_dir", str(tables), "--version", "iii", "--splits", str(lists), "--output_dir", str(output)]
    assert run(main, [*arguments, *words]) == 0
    return output


def test_an_admission_is_one_document_with_all_its_codes(tmp_path):
    output = prepared(tmp_path)
    assert sorted(path.name for path in output.iterdir()) == ["50", "few", "full", "report.json"]
    rows = read_rows(output / "full" / "train.jsonl.gz")
    assert [row["id"] for row in rows] == ["101", "102", "103", "105"]
    assert rows[0] == {
        "id": "101",
        # the report first, though its addendum stands before it; 500, 20 and the date's numbers are gone, 250mg stays
        "text": "admission date chest pain crushing since days ef addendum given 250mg ml",
        "labels": ["401.9", "038.9", "E849.7", "V58.61", "38.93"],
        "subject_id": "1",
        "hadm_id": "101",
    }
    assert rows[1]["labels"] == ["428.0", "04.07", "96.60"]
    assert rows[2]["labels"] == ["486", "00.52"]
    assert rows[3]["labels"] == []
    assert labels_by_id(output / "full", "validation") == {"104": ["401.9"]}
    assert labels_by_id(output / "full", "test") == {
        "108": ["401.9", "E849", "00.52"],
        "109": ["E849.7", "428.0", "38.93"],
    }


def test_the_report_counts_what_was_met(tmp_path):
    report = json.loads((prepared(tmp_path) / "report.json").read_text(encoding="utf-8"))
    assert report["notes"] == {
        "admissions": 8,
        "rows": 12,
        "kept": 9,
        "addenda": 1,
        "without_admission": 1,
        "empty": 0,
        "repeated": 0,
        "marked_as_error": 1,
    }
    assert report["codes"]["null_codes"] == 2 and report["codes"]["repeated"] == 1
    full = report["data_sets"]["full"]
    assert full["rows"] == {"all": 7, "train": 4, "validation": 1, "test": 2}
    assert full["rows_without_labels"] == 1 and full["on_no_list"] == 1 and full["listed_without_note"] == 0
    assert full["labels"] == 11 and full["labels_in_train"] == 10  # E849 is in the test split only
    what = {entry["what"]: entry for entry in report["comparison"]}
    assert what["full: labels"]["published"] == 8922 and not what["full: labels"]["equal"]


def test_every_difference_from_the_published_counts_is_one_line(tmp_path, capsys):
    prepared(tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert "mimic3: admissions with notes: 8, published 52,726" in lines
    assert any(line.startswith("full: labels: 11, published 8,922 (CAML's own reading") for line in lines)
    assert "full: all 7, train 4, validation 1, test 2 rows; 11 labels, 10 of them in training" in lines


def test_few_holds_the_test_codes_that_training_has_once_to_five_times(tmp_path):
    # 401.9 in six training admissions is too frequent, E849 in none too rare
    more = [note(20 + n, 6, 120 + n, f"Stay {n}.") for n in range(5)]
    codes = [(50 + n, 6, 120 + n, 1, "4019") for n in range(5)]
    tables = write_mimic3(tmp_path / "tables", NOTEEVENTS=NOTES + more, DIAGNOSES_ICD=DIAGNOSES + codes)
    lists = write_lists(tmp_path / "lists", {**LISTS, "train": [*LISTS["train"], *range(120, 125)]})
    output = prepared(tmp_path, "--data_sets", "few", tables=tables, lists=lists)
    assert labels_by_id(output / "few", "train") == {
        "101": ["E849.7", "38.93"],
        "102": ["428.0"],
        "103": ["00.52"],
    }
    assert not (output / "few" / "validation.jsonl.gz").exists()  # 104 has none of them
    assert labels_by_id(output / "few", "test") == {"108": ["00.52"], "109": ["E849.7", "428.0", "38.93"]}
    assert json.loads((output / "few" / "labels.json").read_text()) == ["00.52", "38.93", "428.0", "E849.7"]


def test_50_keeps_listed_admissions_with_a_frequent_code(tmp_path):
    output = prepared(tmp_path, "--data_sets", "50")
    assert labels_by_id(output / "50", "train") == {
        "101": ["401.9", "038.9", "V58.61", "38.93"],
        "102": ["428.0"],
        "103": ["486"],
    }
    assert len(json.loads((output / "50" / "labels.json").read_text())) == 50


def test_caml_names_procedures_as_numbers_and_keeps_repeats(tmp_path):
    output = prepared(tmp_path, "--compat", "caml")
    labels = labels_by_id(output / "full", "train")
    assert labels["101"] == ["401.9", "038.9", "E849.7", "V58.61", "38.93", "401.9"]
    assert labels["102"] == ["428.0", "40.7", "96.6"]
    assert labels["103"] == ["486", "52.0"]
    assert "96.6" in labels_by_id(output / "50", "train")["102"]


def test_rare50_takes_the_labels_of_its_lists(tmp_path):
    lists = tmp_path / "collectrare50data.py"
    lists.write_text(
        "import os, ujson\nfrom constant import DATA_DIR\n"
        "train_ids = ['1_102', '2_103', '9_999']\ntrain_labels = ['40.7', '52.0', '990']\n"
        "dev_ids = ['3_104']\ndev_labels = ['77.7']\ntest_ids = ['4_108']\ntest_labels = ['52.0;401.9;52.0']\n"
        "raise SystemExit('must not run')\n",
        encoding="utf-8",
    )
    output = prepared(tmp_path, "--rare50_lists", str(lists))
    assert labels_by_id(output / "rare50", "train") == {"102": ["04.07"], "103": ["00.52"]}
    assert labels_by_id(output / "rare50", "validation") == {"104": ["77.7"]}
    assert labels_by_id(output / "rare50", "test") == {"108": ["00.52", "401.9"]}
    facts = json.loads((output / "report.json").read_text())["data_sets"]["rare50"]
    assert facts["listed_without_note"] == 1 and facts["labels_not_in_the_tables"] == 1
    again = [
        *["--compat", "caml", "--data_sets", "rare50", "--overwrite_output", "true", "--rare50_lists"],
        str(lists),
    ]
    prepared(tmp_path, *again)
    assert labels_by_id(output / "rare50", "train") == {"102": ["40.7"], "103": ["52.0"]}


def test_rare50_alone_needs_no_other_lists(tmp_path):
    lists = tmp_path / "rare50.json"
    names = {"train_ids": ["1_102"], "train_labels": ["40.7"], "dev_ids": [], "dev_labels": []}
    lists.write_text(json.dumps({**names, "test_ids": ["4_108"], "test_labels": ["52.0"]}), encoding="utf-8")
    words = ["--mimic_dir", str(write_mimic3(tmp_path / "tables")), "--version", "iii", "--data_sets", "rare50"]
    assert run(main, [*words, "--rare50_lists", str(lists), "--output_dir", str(tmp_path / "out")]) == 0
    assert labels_by_id(tmp_path / "out" / "rare50", "test") == {"108": ["00.52"]}


def test_texts_stay_as_they_are_without_cleaning_and_notes_in_file_order(tmp_path):
    output = prepared(tmp_path, "--clean", "none", "--note_order", "file", "--data_sets", "full")
    text = read_rows(output / "full" / "train.jsonl.gz")[0]["text"]
    assert text == f"{NOTES[0][-1]} {NOTES[1][-1]}" and '"crushing", since 3 days.\r\nEF 20%.' in text


@pytest.mark.parametrize(("ending", "lower"), [(".csv", False), (".csv", True), (".csv.gz", True)])
def test_plain_or_gzipped_in_upper_or_lower_case_is_the_same(tmp_path, ending, lower):
    expected = (prepared(tmp_path / "a") / "full" / "train.jsonl.gz").read_bytes()
    tables = write_mimic3(tmp_path / "tables", ending=ending, lower=lower)
    assert (prepared(tmp_path / "b", tables=tables) / "full" / "train.jsonl.gz").read_bytes() == expected


def test_train_can_load_what_was_written(tmp_path):
    output = prepared(tmp_path)
    splits = load_splits(output / "full", cache_dir=tmp_path / "cache")
    assert {name: len(split) for name, split in splits.items()} == {"train": 4, "validation": 1, "test": 2}
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    assert len(space) == 10


def test_an_earlier_output_stays_unless_it_may_be_replaced(tmp_path, capsys):
    output = prepared(tmp_path)
    words = ["--mimic_dir", str(tmp_path / "tables"), "--version", "iii", "--splits", str(tmp_path / "lists")]
    words += ["--output_dir", str(output)]
    before = (output / "report.json").read_bytes()
    assert run(main, words) == 2
    assert "holds an earlier output" in capsys.readouterr().err
    assert (output / "report.json").read_bytes() == before
    assert run(main, [*words, "--overwrite_output", "true", "--data_sets", "full"]) == 0
    assert sorted(path.name for path in output.iterdir()) == ["full", "report.json"]
    (output / "notes.txt").write_text("mine", encoding="utf-8")
    assert run(main, [*words, "--overwrite_output", "true"]) == 2
    assert "holds notes.txt" in capsys.readouterr().err


def test_nothing_is_left_behind_after_an_error(tmp_path, capsys):
    tables = write_mimic3(tmp_path / "tables", NOTEEVENTS=[*NOTES, note(13, 4, "x1", "Broken.")])
    lists = write_lists(tmp_path / "lists")
    words = ["--mimic_dir", str(tables), "--version", "iii", "--splits", str(lists)]
    assert run(main, [*words, "--output_dir", str(tmp_path / "new" / "out")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "NOTEEVENTS.csv.gz, row 13, field 'hadm_id': found 'x1'" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists", "tables"]


def test_a_patient_in_two_splits_is_refused(tmp_path, capsys):
    lists = write_lists(tmp_path / "lists", {**LISTS, "dev": [102, 104], "train": [101, 103]})
    tables = write_mimic3(tmp_path / "tables")
    words = [
        "--mimic_dir",
        str(tables),
        "--version",
        "iii",
        "--splits",
        str(lists),
        "--output_dir",
        str(tmp_path / "o"),
    ]
    assert run(main, words) == 2
    assert "patient 1 is in train and validation (1 such patients)" in capsys.readouterr().err
    assert run(main, [*words, "--allow_shared_patients", "true"]) == 0
    assert json.loads((tmp_path / "o" / "report.json").read_text())["data_sets"]["full"]["shared_patients"] == 1


@pytest.mark.real_data
def test_the_demos_real_tables_with_generated_notes(tmp_path, real_data):
    demo = real_data("mimic3-demo")
    from hf_mlc.mimic.tables import read_table

    columns = ("subject_id", "hadm_id")
    pairs = [tuple(map(int, values)) for _, values in read_table(demo / "admissions.csv.gz", columns)]
    tables = tmp_path / "tables"
    write_mimic3(tables, NOTEEVENTS=[note(n, *pair, f"Stay {pair[1]}.\n") for n, pair in enumerate(pairs)])
    for name in ("diagnoses_icd", "procedures_icd"):
        (tables / f"{name.upper()}.csv.gz").unlink()
        (tables / f"{name}.csv.gz").write_bytes((demo / f"{name}.csv.gz").read_bytes())
    subjects = sorted({subject for subject, _ in pairs})
    splits = {"train": subjects[:70], "dev": subjects[70:80], "test": subjects[80:]}
    lists = {split: [hadm for subject, hadm in pairs if subject in ids] for split, ids in splits.items()}
    output = prepared(tmp_path, tables=tables, lists=write_lists(tmp_path / "lists", lists))
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["notes"]["admissions"] == 129 == report["data_sets"]["full"]["rows"]["all"]
    assert report["codes"]["rows"] == 1761 + 506 and report["codes"]["admissions"] == 129
    names = json.loads((output / "full" / "labels.json").read_text(encoding="utf-8"))
    assert {"038.9", "V58.61", "38.93"} <= set(names) and "486" in names
    assert report["data_sets"]["full"]["labels"] == report["codes"]["distinct"]


def test_lists_that_no_data_set_reads_are_refused(tmp_path, capsys):
    tables, lists = write_mimic3(tmp_path / "tables"), write_lists(tmp_path / "lists")
    words = [
        "--mimic_dir",
        str(tables),
        "--version",
        "iii",
        "--splits",
        str(lists),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    assert run(main, [*words, "--data_sets", "full", "--rare50_lists", "lists.py"]) == 2
    assert "field 'rare50_lists': has no effect here" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hf_mlc.mimic.mimic3.write_data_set", full)
    tables, lists = write_mimic3(tmp_path / "tables"), write_lists(tmp_path / "lists")
    words = ["--mimic_dir", str(tables), "--version", "iii", "--splits", str(lists)]
    assert run(main, [*words, "--output_dir", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("hf-mlc: error: no space left on the disk")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists", "tables"]
