"""A folder of the extreme-classification repository as a data set, with a check of what it came to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.data.published_counts import compared, flat
from hf_mlc.data.writing import LABELS_FILE, SPARSE_FILES, write_data_set
from hf_mlc.errors import UserError
from hf_mlc.xmc.published import published
from hf_mlc.xmc.reading import (
    Layout,
    find_layout,
    label_names_beside,
    read_json_documents,
    read_label_names,
    read_text_documents,
)
from hf_mlc.xmc.sparse_reading import SparseRow, SparseSplit, find_sparse_splits
from hf_mlc.xmc.writing import write_rows


def prepare_xmc(
    xmc_dir: str | Path, output: Path, *, name: str | None = None, features: bool = False
) -> dict[str, Any]:
    """Writes the train and test rows of a folder, in any layout, to `output/NAME`, and returns the report.

    Args:
        xmc_dir (`str` or `Path`): see [`hf_mlc.xmc.reading`] of texts, [`hf_mlc.xmc.sparse_reading`] of sparse features.
        output (`Path`): a folder that is there.
        name (`str`, *optional*): one of [`hf_mlc.xmc.published`], to compare with the published counts; else `data`.
        features (`bool`, *optional*, defaults to `False`): take the sparse features where texts are there too.
    """
    layout, splits = _found(Path(xmc_dir), features=features)
    if layout is None:
        kind, files = "features", [file for split in splits.values() for file in split.files]
        written, more = write_sparse_data_set(output / (name or "data"), splits)
        files += more
    else:
        kind, facts = layout.kind, {}
        if kind == "json":
            names, facts = read_label_names(layout.label_names)
            rows = {split: read_json_documents(file, names) for split, file in layout.documents.items()}
        else:
            names = None
            rows = {
                split: read_text_documents(file, layout.label_sets[split]) for split, file in layout.documents.items()
            }
        written = {**write_data_set(output / (name or "data"), rows, label_names=names), **facts}
        files = [*layout.documents.values(), *layout.label_sets.values(), *filter(None, [layout.label_names])]
    counted = flat(written) | ({"features": written["features"]} if layout is None else {})
    return {
        "layout": kind,
        "files": [file.name for file in files],
        "data_sets": {name or "data": written},
        "comparison": compared(name or "data", published(name, sparse=layout is None), counted),
    }


def _found(folder: Path, *, features: bool) -> tuple[Layout | None, dict[str, SparseSplit]]:
    """The texts of a folder, or `None` and its sparse features."""
    try:
        if not features:
            return find_layout(folder), {}
    except UserError:
        splits = find_sparse_splits(folder)
        if not splits:
            raise
        return None, splits
    splits = find_sparse_splits(folder)
    if not splits:
        accepted = "train.txt and test.txt, or {trn,tst}_X_Xf.txt and {trn,tst}_X_Y.txt"
        raise UserError("no sparse rows", file=folder, field="xmc_dir", accepted=accepted)
    return None, splits


def write_sparse_data_set(folder: Path, splits: Mapping[str, SparseSplit]) -> tuple[dict[str, Any], list[Path]]:
    """Writes `train.txt.gz`, `test.txt.gz` and `labels.json`, the names of all labels, or their numbers where no file beside
    the rows has names.

    Returns:
        Counts: rows of each split, features, labels, labels in training, rows without labels, labels a row; and the files
        besides the rows that were read.

    Raises:
        `UserError`: another number of names than of labels; what is wrong with a row.
    """
    folder.mkdir(parents=True)
    shape = splits["train"].shape
    named = label_names_beside(splits["train"].files[0])
    names = [str(number) for number in range(shape.labels)] if named is None else named[1]
    if len(names) != shape.labels:
        accepted = f"{shape.labels:,}, as {splits['train'].files[-1].name} says"
        raise UserError(f"{len(names):,} names of labels", file=named[0], accepted=accepted)
    counts = {split: np.zeros(shape.labels, dtype=np.int64) for split in splits}
    num_empty = 0

    def counting(split: str, rows: Iterator[SparseRow]) -> Iterator[tuple[list[int], list[float], list[int]]]:
        nonlocal num_empty
        for features, labels in rows:
            distinct = sorted(set(labels))
            counts[split][distinct] += 1
            num_empty += not distinct
            yield features["indices"], features["values"], distinct

    for split, found in splits.items():
        write_rows(folder / SPARSE_FILES[split], counting(split, found.rows()), found.shape)
    content = json.dumps(names, ensure_ascii=False, indent=0) + "\n"
    (folder / LABELS_FILE).write_text(content, encoding="utf-8")
    rows = {split: found.shape.rows for split, found in splits.items()}
    total = sum(rows.values())
    facts = {
        "rows": {"all": total, **rows},
        "features": shape.features,
        "labels": shape.labels,
        "labels_in_train": int((counts["train"] > 0).sum()),
        "rows_without_labels": num_empty,
        "labels_a_row": round(sum(int(of_split.sum()) for of_split in counts.values()) / max(total, 1), 3),
    }
    return facts, [] if named is None else [named[0]]
