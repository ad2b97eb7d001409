"""Lists of admissions: CAML's, Edin's, KEPT's, and a split of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from hf_mlc.errors import UserError
from hf_mlc.mimic.published import PUBLISHED
from hf_mlc.mimic.splits import (
    read_caml_lists,
    read_feather_split,
    read_rare50,
    shared_patients,
    split_by_patient,
)
from tests.mimic.generated import LISTS, write_lists


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["full", "50"])
def test_camls_own_lists_have_the_published_sizes(name, real_data):
    lists = read_caml_lists(real_data("caml-mimic-ids"), name)
    assert {split: len(ids) for split, ids in lists.items()} == {split: PUBLISHED[name][split] for split in lists}


def test_a_list_that_is_missing_broken_or_shared_is_one_line(tmp_path):
    folder = write_lists(tmp_path / "lists")
    assert read_caml_lists(folder, "full") == {"train": LISTS["train"], "validation": [104], "test": [108, 109]}
    (folder / "dev_full_hadm_ids.csv").write_text("104\n10x\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"dev_full_hadm_ids.csv, row 2, field 'hadm_id': found '10x'"):
        read_caml_lists(folder, "full")
    (folder / "dev_full_hadm_ids.csv").write_text("104\n101\n", encoding="utf-8")
    with pytest.raises(UserError, match="admission 101 is in train and in validation"):
        read_caml_lists(folder, "full")
    (folder / "dev_50_hadm_ids.csv").unlink()
    with pytest.raises(UserError, match=r"dev_50_hadm_ids.csv, field 'splits': can't be read"):
        read_caml_lists(folder, "50")


def write_feather(file: Path, ids: list, splits: list[str], **names) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(pa.table({names.get("id", "_id"): ids, "split": splits}), str(file))
    return file


def test_edins_split_file_is_read_by_its_id(tmp_path):
    file = write_feather(
        tmp_path / "mimiciv_icd10" / "mimiciv_icd10_split.feather", [1, 2, 3], ["train", "val", "test"]
    )
    assert read_feather_split(tmp_path, "mimiciv_icd10") == {"train": [1], "validation": [2], "test": [3]}
    assert read_feather_split(file.parent, "mimiciv_icd10")["test"] == [3]
    with pytest.raises(
        UserError, match=r"no mimiciv_icd9_split.feather; accepted: .* no --splits for a split of our own"
    ):
        read_feather_split(tmp_path, "mimiciv_icd9")
    write_feather(file, [1, 2], ["train", "held out"])
    with pytest.raises(UserError, match="row 2, field 'split': found 'held out'"):
        read_feather_split(tmp_path, "mimiciv_icd10")
    write_feather(file, [1], ["train"], id="hadm_id")
    with pytest.raises(UserError, match="field '_id': no such column; found: hadm_id, split"):
        read_feather_split(tmp_path, "mimiciv_icd10")
    write_feather(file, [1, 1], ["train", "test"])
    with pytest.raises(UserError, match="admission 1 is in train and in test"):
        read_feather_split(tmp_path, "mimiciv_icd10")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="not readable as Feather"):
        read_feather_split(tmp_path, "mimiciv_icd10")


def six_lists(**changes) -> dict:
    empty = {f"{split}_{what}": [] for split in ("train", "dev", "test") for what in ("ids", "labels")}
    return {**empty, "train_ids": ["1_10"], "train_labels": ["990;990;40.7"], **changes}


def test_kepts_lists_are_read_from_json_too(tmp_path):
    file = tmp_path / "rare50.json"
    file.write_text(json.dumps(six_lists()), encoding="utf-8")
    assert read_rare50(file) == {"train": {(1, 10): ["990", "40.7"]}, "validation": {}, "test": {}}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"train_ids": ["1_10", "2_20"]}, "field 'train_labels': 2 admissions and 1 label sets"),
        ({"train_ids": ["110"]}, "row 1, field 'train_ids': found '110'; accepted: SUBJECT_HADM"),
        ({"train_ids": ["a_10"]}, "row 1, field 'train_ids': found 'a'"),
        ({"dev_ids": None}, "field 'dev_ids': no such list"),
        ({"dev_ids": ["1_10"], "dev_labels": ["1"]}, "admission 10 is in train and in validation"),
    ],
)
def test_broken_lists_of_rare50_are_one_line(tmp_path, changes, fragment):
    file = tmp_path / "rare50.json"
    file.write_text(json.dumps(six_lists(**changes)), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_rare50(file)
    assert fragment in str(caught.value)


def test_a_program_that_is_none_is_no_list(tmp_path):
    file = tmp_path / "collect.py"
    for content in ("train_ids = (", "train_ids = open('x')\n"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="no such list"):
            read_rare50(file)


def test_our_split_keeps_patients_together_and_codes_apart():
    subject_of = {hadm_id: hadm_id // 2 for hadm_id in range(400)}  # two admissions a patient
    labels_of = {
        hadm_id: ["common", "even" if (hadm_id // 2) % 2 else "odd", f"r{hadm_id // 40}"] for hadm_id in subject_of
    }
    lists = split_by_patient(labels_of, subject_of, seed=0)
    assert [len(ids) for ids in lists.values()] == [300, 40, 60]
    assert shared_patients(lists, subject_of) == {}
    assert lists == split_by_patient(labels_of, subject_of, seed=0) != split_by_patient(labels_of, subject_of, seed=1)
    for ids in lists.values():  # each rare code of twenty patients reaches each split
        assert {name for hadm_id in ids for name in labels_of[hadm_id]} >= {f"r{n}" for n in range(10)}
