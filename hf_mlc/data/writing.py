"""Data sets written to a folder: a gzipped JSON Lines file a split, in a folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.files import folder_written_whole
from hf_mlc.label_checks import check_characters


SPLIT_FILES = {split: f"{split}.jsonl.gz" for split in ("train", "validation", "test")}
SPARSE_FILES = {split: f"{split}.txt.gz" for split in SPLIT_FILES}  # of sparse rows
LABELS_FILE = "labels.json"
# what labels say of themselves, for `--label_features`
LABEL_FEATURES_FILE, LABEL_TEXTS_FILE = "label_features.txt.gz", "label_features.jsonl.gz"
FEATURES_FILE = "features.json"  # of tables
REPORT_FILE = "report.json"


def write_data_set(
    folder: Path, splits: Mapping[str, Iterable[Mapping[str, Any]]], *, label_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Writes the rows of each split, and `labels.json`, the list of all label names (`--label_file` of `train`).

    A split without rows gets no file.

    Args:
        folder (`Path`): is made.
        splits (`dict`): rows `{"id", "text", "labels", ...}` of `train`, `validation`, `test`; read once, one at a time.
        label_names (`list[str]`, *optional*): without it the labels that occur, sorted.

    Raises:
        `UserError`: a label's name that can't be written as UTF-8, which must be the same in rows and labels; in a text what can't
            becomes a question mark.

    Returns:
        Counts: rows of each split, labels, labels in training, rows without labels, labels a row.
    """
    rows = ((split, row) for split, content in splits.items() for row in content)
    return write_mixed_rows(folder, rows, splits=tuple(splits), label_names=label_names)


def write_mixed_rows(
    folder: Path,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    splits: Sequence[str] = tuple(SPLIT_FILES),
    label_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """As [`write_data_set`], of rows whose splits come mixed, as they do where one large file is read once.

    Args:
        folder (`Path`): is made.
        rows (iterable of `(split, row)`): read once, one at a time.
        splits (`list[str]`, *optional*): those that may come; all three.
        label_names (`list[str]`, *optional*): without it the labels that occur, sorted.
    """
    for name in label_names or ():
        check_characters(name, "a label", field="labels")
    folder.mkdir(parents=True)
    counts = dict.fromkeys(splits, 0)
    names_in: dict[str, set[str]] = {split: set() for split in splits}
    without_labels = num_pairs = 0
    with contextlib.ExitStack() as stack:
        streams = {split: stack.enter_context(_gzipped(folder / SPLIT_FILES[split])) for split in splits}
        for split, row in rows:
            present = set(row["labels"])
            for name in present - names_in[split]:
                check_characters(name, "a label", row=row.get("id"), field="labels")
            streams[split].write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            names_in[split] |= present
            num_pairs += len(present)
            without_labels += not present
            counts[split] += 1
    for split, count in counts.items():
        if not count:
            (folder / SPLIT_FILES[split]).unlink()  # who reads it would take it for one that was cut short
    occurring = set().union(*names_in.values())
    label_names = sorted(occurring) if label_names is None else list(label_names)
    (folder / LABELS_FILE).write_text(json.dumps(label_names, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    total = sum(counts.values())
    return {
        "rows": {"all": total, **counts},
        "labels": len(occurring),
        "labels_in_train": len(names_in.get("train", ())),
        "rows_without_labels": without_labels,
        "labels_a_row": round(num_pairs / total, 3) if total else 0.0,
    }


def write_label_texts(folder: Path, texts: Iterable[tuple[str, str]]) -> int:
    """Writes [`LABEL_TEXTS_FILE`], a line a label, and returns how many there are; without any there is no file.

    Args:
        folder (`Path`): is there.
        texts (iterable of `(name, text)`): of the labels that have a text; read once.
    """
    count = 0
    with _gzipped(folder / LABEL_TEXTS_FILE) as stream:
        for name, text in texts:
            line = json.dumps({"label": name, "text": text}, ensure_ascii=False)
            stream.write(line.encode("utf-8", "replace") + b"\n")
            count += 1
    if not count:
        (folder / LABEL_TEXTS_FILE).unlink()
    return count


def check_output(path: str | Path, names: Iterable[str], *, overwrite: bool, field: str = "output_dir") -> None:
    """`UserError` where something is in the way; with `overwrite` an earlier output of the same kind isn't.

    Args:
        path (`str` or `Path`): the output's folder.
        names (`list[str]`): the data sets that this command can make there. A folder that holds anything else is not an
            earlier output, and is never replaced.
    """
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    foreign = _first_foreign(path, set(names))
    if foreign is not None:
        raise UserError(f"holds {foreign}", file=path, field=field, accepted="a new or an empty folder")
    if not overwrite:
        accepted = "a new or an empty folder, or --overwrite_output true"
        raise UserError("holds an earlier output", file=path, field=field, accepted=accepted)


@contextlib.contextmanager
def output_written_whole(path: str | Path) -> Iterator[Path]:
    """A folder that takes the place of `path`, which [`check_output`] has passed, once everything was written."""
    with folder_written_whole(path, replaces=True) as inside:
        yield inside


@contextlib.contextmanager
def _gzipped(path: Path) -> Iterator[gzip.GzipFile]:
    """Without name and time in the header, so that the same rows are the same bytes."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4) as stream,
    ):
        yield stream


def _first_foreign(path: Path, names: set[str]) -> str | None:
    if not path.is_dir():
        return "no folder but a file"
    ours = {*SPLIT_FILES.values(), *SPARSE_FILES.values(), LABELS_FILE, FEATURES_FILE}
    ours |= {LABEL_FEATURES_FILE, LABEL_TEXTS_FILE}
    for inside in sorted(path.iterdir()):
        if inside.name == REPORT_FILE:
            continue
        if inside.name not in names or not inside.is_dir():
            return inside.name
        for file in sorted(inside.iterdir()):
            if file.name not in ours:
                return f"{inside.name}/{file.name}"
    return None
