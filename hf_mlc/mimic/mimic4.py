"""MIMIC-IV by Edin's protocol: one document a discharge note, ICD-9 and ICD-10 apart, codes seen ten times or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_mlc.data.published_counts import flat
from hf_mlc.data.writing import write_data_set
from hf_mlc.errors import UserError
from hf_mlc.mimic.codes import CodeTable, read_mimic4_codes
from hf_mlc.mimic.notes import NoteStore, read_mimic4_notes
from hf_mlc.mimic.published import comparison
from hf_mlc.mimic.splits import SPLITS, check_patients, read_feather_split, split_by_patient
from hf_mlc.mimic.tables import find_table


DATA_SETS = {"icd9": 9, "icd10": 10}


def prepare_mimic4(
    mimic_dir: str | Path,
    output: Path,
    *,
    note_dir: str | Path | None = None,
    splits: str | Path | None = None,
    data_sets: Sequence[str] | None = None,
    clean: str = "edin",
    min_count: int = 10,
    allow_shared_patients: bool = False,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Writes data sets of MIMIC-IV v2.2 and MIMIC-IV-Note v2.2 into `output`, and returns the report.

    Args:
        mimic_dir (`str` or `Path`): with `hosp/diagnoses_icd.csv.gz` and `hosp/procedures_icd.csv.gz`.
        output (`Path`): a folder that is there.
        note_dir (`str` or `Path`, *optional*): with `note/discharge.csv.gz`; `mimic_dir` if not given.
        splits (`str` or `Path`, *optional*): the folder of Edin's `mimiciv_icd{9,10}_split.feather`. Without it a split of
            our own: by patient, 75/10/15, iterative stratification.
        data_sets (`list[str]`, *optional*): of icd9, icd10; without it both.
        clean (`str`, *optional*, defaults to `"edin"`): what is done to the words ([`~hf_mlc.mimic.cleaning.cleaned`]).
        min_count (`int`, *optional*, defaults to 10): notes that a code must have, over all splits, to be kept.
        allow_shared_patients (`bool`, *optional*): count patients of several splits instead of refusing them.
        seed (`int`, *optional*, defaults to 0): of a split of our own.
        tell (callable, *optional*): is told what is being done.
    """
    data_sets = list(DATA_SETS) if data_sets is None else data_sets
    given = {name: read_feather_split(splits, f"mimiciv_{name}") for name in data_sets} if splits is not None else {}
    names = ("diagnoses_icd", "procedures_icd")
    tables = {name: find_table(mimic_dir, name, inside=("hosp", "")) for name in names}
    field = "mimic_dir" if note_dir is None else "note_dir"
    tables["discharge"] = find_table(note_dir or mimic_dir, "discharge", inside=("note", ""), field=field)

    tell(f"reading {tables['diagnoses_icd'].name} and {tables['procedures_icd'].name}")
    codes = read_mimic4_codes(tables["diagnoses_icd"], tables["procedures_icd"])
    report: dict[str, Any] = {"data_sets": {}, "comparison": []}
    with NoteStore(output, clean) as store:
        tell(f"reading {tables['discharge'].name}")
        read_mimic4_notes(tables["discharge"], store)
        report["notes"] = store.counts()
        for name in data_sets:
            table = codes[DATA_SETS[name]]
            labels_of = frequent_labels(table, store, min_count)
            if not labels_of:
                raise UserError(
                    f"no note with a code of {name} that {min_count} notes have",
                    file=tables["discharge"],
                    field="min_count",
                    accepted="tables of the same release",
                )
            lists = given.get(name)
            if lists is None:
                tell(f"splitting {name} by patient")
                lists = split_by_patient(labels_of, store.subject_of, seed=seed)
            lists = {split: [hadm_id for hadm_id in lists[split] if hadm_id in labels_of] for split in SPLITS}
            if not lists["train"]:
                raise UserError(
                    f"no training document of {name}", field="splits", accepted="lists of these admissions"
                )
            shared = check_patients(
                lists, store.subject_of, file=Path(splits or mimic_dir), allow=allow_shared_patients
            )
            tell(f"writing {name}")
            rows = {split: _rows(store, lists[split], labels_of) for split in SPLITS}
            written = write_data_set(output / name, rows)
            listed = sum(map(len, given[name].values())) if name in given else None
            report["data_sets"][name] = {
                **written,
                "split": "given" if name in given else f"ours, by patient, seed {seed}",
                "on_no_list": len(labels_of) - sum(map(len, lists.values())),
                "listed_but_left_out": listed - sum(map(len, lists.values())) if listed is not None else 0,
                "shared_patients": shared,
                "codes": {"rows": table.rows, "null_codes": table.null_codes, "repeated": _num_repeats(table)},
            }
            counted = flat(written)
            if name not in given:  # the published sizes are those of another split
                counted = {what: counted[what] for what in ("all", "labels")}
            report["comparison"] += comparison(name, counted)
    return report


def frequent_labels(codes: CodeTable, store: NoteStore, min_count: int) -> dict[int, list[str]]:
    """The labels of each admission that has a note: codes that `min_count` notes have; admissions without one are out.

    Counted over notes, not admissions, as Edin counts, diagnoses and procedures apart; both are the same but where an
    admission has two notes or two codes share a name.
    """
    with_codes = {hadm_id: found for hadm_id, found in codes.of_admission.items() if hadm_id in store.of_admission}
    counts: Counter = Counter()
    for hadm_id, found in with_codes.items():
        for code in found:
            counts[code] += len(store.of_admission[hadm_id])
    labels_of = {}
    for hadm_id, found in with_codes.items():
        names = list(dict.fromkeys(code[0] for code in found if counts[code] >= min_count))
        if names:
            labels_of[hadm_id] = names
    return labels_of


def _rows(store: NoteStore, hadm_ids: Sequence[int], labels_of: Mapping[int, list[str]]) -> Iterator[dict]:
    """One row a note, by patient and admission."""
    for hadm_id in sorted(hadm_ids, key=lambda hadm_id: (store.subject_of[hadm_id], hadm_id)):
        for note in store.ordered(hadm_id):
            yield {
                "id": note.name,
                "text": store.text(note),
                "labels": labels_of[hadm_id],
                "subject_id": str(store.subject_of[hadm_id]),
                "hadm_id": str(hadm_id),
            }


def _num_repeats(table: CodeTable) -> int:
    return sum(map(len, table.repeats.values()))
