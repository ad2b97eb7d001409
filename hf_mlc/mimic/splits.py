"""Who is trained on: lists of admissions that others published, or a split of our own by patient."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from hf_mlc.data.splitting import iterative_stratified_split
from hf_mlc.errors import UserError
from hf_mlc.mimic.tables import whole_number


SPLITS = ("train", "validation", "test")
_CAML_NAME = {"train": "train", "validation": "dev", "test": "test"}
_FEATHER_NAME = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}

# of a split of our own: Edin's shares
FRACTIONS = (0.75, 0.10, 0.15)


def read_caml_lists(folder: str | Path, name: str) -> dict[str, list[int]]:
    """CAML's `{train,dev,test}_{full,50}_hadm_ids.csv`: an admission a line.

    Raises:
        `UserError`: on a missing file, a line that is no number, an admission in two lists.
    """
    folder = Path(folder)
    lists = {}
    for split in SPLITS:
        file = folder / f"{_CAML_NAME[split]}_{name}_hadm_ids.csv"
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            raise UserError(
                "can't be read",
                file=file,
                field="splits",
                accepted="a folder with CAML's lists, {train,dev,test}_{full,50}_hadm_ids.csv",
            ) from None
        numbers = [
            whole_number(line, file=file, row=row, field="hadm_id") for row, line in enumerate(lines, 1) if line
        ]
        lists[split] = list(dict.fromkeys(numbers))
    check_disjoint(lists, file=folder)
    return lists


def read_feather_split(folder: str | Path, name: str) -> dict[str, list[int]]:
    """Edin's `mimiciv_icd10_split.feather`, in `folder` or in a folder there: admissions `_id` and their `split`.

    Raises:
        `UserError`: on a missing or broken file, a missing column, an unknown split, an admission twice.
    """
    folder = Path(folder)
    places = [folder / f"{name}_split.feather", folder / name / f"{name}_split.feather"]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(
            f"no {places[0].name}",
            file=folder,
            field="splits",
            accepted="the folder of Edin's split files, or no --splits for a split of our own",
        )
    try:
        table = feather.read_table(file)
    except (pa.ArrowException, OSError) as failure:
        problem = str(failure).partition("\n")[0]
        raise UserError(f"not readable as Feather ({problem})", file=file, accepted="a whole .feather file") from None
    for column in ("_id", "split"):
        if column not in table.column_names:
            found = ", ".join(table.column_names)
            raise UserError(f"no such column; found: {found}", file=file, field=column, accepted="_id, split")
    lists: dict[str, list[int]] = {split: [] for split in SPLITS}
    pairs = zip(table.column("_id").to_pylist(), table.column("split").to_pylist(), strict=True)
    for row, (identifier, split) in enumerate(pairs, start=1):
        if split not in _FEATHER_NAME:
            raise UserError(f"found '{split}'", file=file, row=row, field="split", accepted="train, val, test")
        lists[_FEATHER_NAME[split]].append(whole_number(str(identifier), file=file, row=row, field="_id"))
    lists = {split: list(dict.fromkeys(ids)) for split, ids in lists.items()}
    check_disjoint(lists, file=file)
    return lists


def read_rare50(file: str | Path) -> dict[str, dict[tuple[int, int], list[str]]]:
    """KEPT's rare50: by split, `(subject_id, hadm_id)` and its labels, each once.

    The lists stand in a program, `collectrare50data.py`, as `train_ids = ['406_113900', …]` and `train_labels = ['990',
    '378.52;40.7', …]`, likewise dev and test. It is read, never run. A JSON file of these six lists will do too.
    """
    file = Path(file)
    lists = _six_lists(file)
    found: dict[str, dict[tuple[int, int], list[str]]] = {}
    for split, prefix in _CAML_NAME.items():
        keys, labels = lists[f"{prefix}_ids"], lists[f"{prefix}_labels"]
        if len(keys) != len(labels):
            problem = f"{len(keys)} admissions and {len(labels)} label sets"
            raise UserError(problem, file=file, field=f"{prefix}_labels", accepted="lists of the same length")
        found[split] = {}
        for row, (key, names) in enumerate(zip(keys, labels, strict=True), start=1):
            subject, underscore, hadm = str(key).partition("_")
            if not underscore:
                accepted = "SUBJECT_HADM"
                raise UserError(f"found '{key}'", file=file, row=row, field=f"{prefix}_ids", accepted=accepted)
            pair = tuple(whole_number(part, file=file, row=row, field=f"{prefix}_ids") for part in (subject, hadm))
            found[split][pair] = list(dict.fromkeys(name for name in str(names).split(";") if name))
    check_disjoint({split: [hadm for _, hadm in pairs] for split, pairs in found.items()}, file=file)
    return found


def check_disjoint(lists: Mapping[str, Sequence[int]], *, file: Path) -> None:
    """`UserError` where an admission stands in two splits."""
    split_of: dict[int, str] = {}
    for split, ids in lists.items():
        for hadm_id in ids:
            if split_of.setdefault(hadm_id, split) != split:
                problem = f"admission {hadm_id} is in {split_of[hadm_id]} and in {split}"
                raise UserError(problem, file=file, field="splits", accepted="each admission in one split")


def shared_patients(lists: Mapping[str, Sequence[int]], subject_of: Mapping[int, int]) -> dict[int, set[str]]:
    """The patients of several splits, and which. Admissions that are not in `subject_of` are passed over."""
    splits_of: dict[int, set[str]] = {}
    for split, ids in lists.items():
        for hadm_id in ids:
            if hadm_id in subject_of:
                splits_of.setdefault(subject_of[hadm_id], set()).add(split)
    return {subject: splits for subject, splits in splits_of.items() if len(splits) > 1}


def check_patients(
    lists: Mapping[str, Sequence[int]], subject_of: Mapping[int, int], *, file: Path, allow: bool = False
) -> int:
    """How many patients stand in several splits; `UserError` on the first unless they are allowed."""
    shared = shared_patients(lists, subject_of)
    if shared and not allow:
        subject = min(shared)
        raise UserError(
            f"patient {subject} is in {' and '.join(sorted(shared[subject]))} ({len(shared):,} such patients)",
            file=file,
            field="splits",
            accepted="each patient in one split, or --allow_shared_patients",
        )
    return len(shared)


def split_by_patient(
    labels_of: Mapping[int, Sequence[str]], subject_of: Mapping[int, int], *, seed: int
) -> dict[str, list[int]]:
    """A split of our own: patients dealt out 75/10/15 so that each part has its share of every code.

    A patient counts for the codes of all of his admissions at once; the shares are of patients, so those of admissions
    are near 75/10/15 but not exact.
    """
    admissions: dict[int, list[int]] = {}
    for hadm_id in labels_of:
        admissions.setdefault(subject_of[hadm_id], []).append(hadm_id)
    subjects = sorted(admissions)
    number = {name: i for i, name in enumerate(sorted({name for names in labels_of.values() for name in names}))}
    ids = [
        np.array(
            sorted({number[name] for hadm_id in admissions[subject] for name in labels_of[hadm_id]}), dtype=np.int64
        )
        for subject in subjects
    ]
    parts = iterative_stratified_split(ids, FRACTIONS, seed=seed)
    return {
        split: sorted(hadm_id for n in part.tolist() for hadm_id in admissions[subjects[n]])
        for split, part in zip(SPLITS, parts, strict=True)
    }


def _six_lists(file: Path) -> dict[str, list]:
    names = [f"{prefix}_{what}" for prefix in _CAML_NAME.values() for what in ("ids", "labels")]
    accepted = "KEPT's collectrare50data.py, or a JSON object of its six lists"
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            found = json.loads(text)
        else:
            assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
            targets = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
            found = {name: ast.literal_eval(targets[name]) for name in names if name in targets}
    except OSError as failure:
        raise UserError(
            f"can't be read ({failure.strerror})", file=file, field="rare50_lists", accepted=accepted
        ) from None
    except (ValueError, SyntaxError) as failure:
        raise UserError(f"no such lists ({failure})", file=file, field="rare50_lists", accepted=accepted) from None
    for name in names:
        if not isinstance(found, dict) or not isinstance(found.get(name), list):
            raise UserError("no such list", file=file, field=name, accepted=accepted)
    return {name: found[name] for name in names}
