"""MIMIC-III by CAML's protocol: one document an admission, all its ICD-9 codes, the published lists of admissions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_mlc.data.published_counts import flat
from hf_mlc.data.writing import write_data_set
from hf_mlc.errors import UserError
from hf_mlc.mimic.codes import read_mimic3_codes
from hf_mlc.mimic.notes import NoteStore, read_mimic3_notes, rows_of_admissions
from hf_mlc.mimic.published import comparison
from hf_mlc.mimic.splits import check_patients, read_caml_lists, read_rare50
from hf_mlc.mimic.subsets import TOP_50, Labels, few_codes, labels_of_listed, rare50_labels, restricted
from hf_mlc.mimic.tables import find_table


DATA_SETS = ("full", "50", "rare50", "few")
COMPATS = ("none", "caml")


def prepare_mimic3(
    mimic_dir: str | Path,
    output: Path,
    *,
    splits: str | Path | None = None,
    rare50_lists: str | Path | None = None,
    data_sets: Sequence[str] | None = None,
    clean: str = "caml",
    compat: str = "none",
    note_order: str = "reports_first",
    allow_shared_patients: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Writes data sets of MIMIC-III v1.4 into `output`, a folder of its own for each, and returns the report.

    Args:
        mimic_dir (`str` or `Path`): with NOTEEVENTS, DIAGNOSES_ICD and PROCEDURES_ICD, `.csv` or `.csv.gz`.
        output (`Path`): a folder that is there.
        splits (`str` or `Path`, *optional*): the folder of CAML's `{train,dev,test}_{full,50}_hadm_ids.csv`, which all but
            rare50 need.
        rare50_lists (`str` or `Path`, *optional*): KEPT's `collectrare50data.py`, which rare50 needs.
        data_sets (`list[str]`, *optional*): of full, 50, rare50, few; without it all, rare50 if its lists are given.
        clean (`str`, *optional*, defaults to `"caml"`): what is done to the words ([`~hf_mlc.mimic.cleaning.cleaned`]).
        compat (`str`, *optional*, defaults to `"none"`): `"caml"`: codes by the names and with the repeats of CAML.
        note_order (`str`, *optional*, defaults to `"reports_first"`): of an admission's notes; or `"file"`.
        allow_shared_patients (`bool`, *optional*): count patients of several splits instead of refusing them.
        tell (callable, *optional*): is told what is being done.
    """
    if data_sets is None:
        data_sets = [name for name in DATA_SETS if name != "rare50" or rare50_lists is not None]
    if "rare50" in data_sets and rare50_lists is None:
        raise UserError("rare50 without lists", field="rare50_lists", accepted="KEPT's collectrare50data.py")
    # all lists before the first table: a mistake in them should not cost minutes
    needed = {"full": ("full", "few"), "50": ("50",)}
    lists = {name: read_caml_lists(splits, name) for name, of in needed.items() if not set(of).isdisjoint(data_sets)}
    rare50 = read_rare50(rare50_lists) if "rare50" in data_sets else None
    tables = {name: find_table(mimic_dir, name) for name in ("noteevents", "diagnoses_icd", "procedures_icd")}

    tell(f"reading {tables['diagnoses_icd'].name} and {tables['procedures_icd'].name}")
    codes = read_mimic3_codes(tables["diagnoses_icd"], tables["procedures_icd"])
    report: dict[str, Any] = {"data_sets": {}, "comparison": []}
    with NoteStore(output, clean) as store:
        tell(f"reading {tables['noteevents'].name}")
        read_mimic3_notes(tables["noteevents"], store)
        if not store.of_admission:
            raise UserError(
                "no discharge summary", file=tables["noteevents"], field="category", accepted="one at least"
            )
        _check_same_patients(store, codes, tables["noteevents"])
        report["notes"] = store.counts()
        report["codes"] = _code_counts(codes)
        report["comparison"] += comparison(
            "mimic3", {"discharge notes": store.kept, "admissions with notes": len(store.of_admission)}
        )

        listed = {
            name: labels_of_listed(of_list, codes, store.of_admission, compat) for name, of_list in lists.items()
        }
        for name in data_sets:
            tell(f"writing {name}")
            label_names, facts = None, {}
            if name == "full":
                labels = listed["full"]
                facts["on_no_list"] = len(store.of_admission) - sum(map(len, labels.values()))
            elif name == "50":
                labels, label_names = restricted(listed["50"], set(TOP_50)), sorted(TOP_50)
            elif name == "few":
                labels = restricted(listed["full"], few_codes(listed["full"]))
            else:
                labels, facts = rare50_labels(rare50, codes, store.subject_of, compat)
            if name in lists:
                in_lists = sum(map(len, lists[name].values()))
                facts["listed_without_note"] = in_lists - sum(map(len, listed[name].values()))
            facts["shared_patients"] = check_patients(
                labels,
                store.subject_of,
                file=Path(rare50_lists if name == "rare50" else splits),
                allow=allow_shared_patients,
            )
            written = _write(output / name, labels, store, note_order, label_names)
            report["data_sets"][name] = {**written, **facts}
            report["comparison"] += comparison(name, flat(written))
    return report


def _write(folder: Path, labels: Labels, store: NoteStore, order: str, label_names) -> dict[str, Any]:
    if not labels["train"]:
        raise UserError(f"no training document of {folder.name}", field="splits", accepted="lists of these admissions")
    rows = {split: rows_of_admissions(store, of_admission, order) for split, of_admission in labels.items()}
    return write_data_set(folder, rows, label_names=label_names)


def _check_same_patients(store: NoteStore, codes, file: Path) -> None:
    for hadm_id, subject_id in store.subject_of.items():
        if codes.subject_of.get(hadm_id, subject_id) != subject_id:
            raise UserError(
                f"admission {hadm_id} of patient {subject_id}, and of {codes.subject_of[hadm_id]} in the tables of codes",
                file=file,
                field="subject_id",
                accepted="tables of the same release",
            )


def _code_counts(codes) -> dict[str, int]:
    distinct = {code for of_admission in codes.of_admission.values() for code in of_admission}
    return {
        "rows": codes.rows,
        "null_codes": codes.null_codes,
        "repeated": sum(map(len, codes.repeats.values())),
        "admissions": len(codes.subject_of),
        "distinct": len({name for name, _ in distinct}),
        "distinct_by_caml": len({codes.also_known_as.get(code, code[0]) for code in distinct}),
    }
