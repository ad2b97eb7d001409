"""A folder of the extreme-classification repository as a data set, with a check of what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.data.published_counts import compared, flat
from hf_mlc.data.writing import (
    LABEL_FEATURES_FILE,
    LABELS_FILE,
    SPARSE_FILES,
    write_data_set,
    write_label_texts,
)
from hf_mlc.errors import UserError
from hf_mlc.label_checks import check_characters
from hf_mlc.labels import LabelSpace
from hf_mlc.xmc.published import published
from hf_mlc.xmc.reading import (
    Layout,
    find_layout,
    label_names_for,
    read_json_documents,
    read_label_names,
    read_label_texts,
    read_text_documents,
)
from hf_mlc.xmc.sparse_reading import (
    SparseRow,
    SparseSplit,
    find_label_features,
    find_sparse_splits,
    matrix_rows,
    matrix_shape,
)
from hf_mlc.xmc.writing import write_matrix, write_rows


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
            _check_names(names, layout.label_names)
            rows = {split: read_json_documents(file, names) for split, file in layout.documents.items()}
        else:
            names = None
            rows = {
                split: read_text_documents(file, layout.label_sets[split]) for split, file in layout.documents.items()
            }
        folder = output / (name or "data")
        written = {**write_data_set(folder, rows, label_names=names), **facts}
        if layout.label_names is not None and ".json" in layout.label_names.suffixes:
            texts = read_label_texts(layout.label_names, names)
            written["labels_with_features"] = write_label_texts(folder, texts)
        files = [*layout.documents.values(), *layout.label_sets.values(), *filter(None, [layout.label_names])]
    if not written["rows"].get("train"):
        raise UserError("no training row", file=files[0], field="xmc_dir", accepted="a training split with documents")
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


def _check_names(names: Sequence[str], file: Path | None) -> None:
    """`UserError` on a name that can't be written, which titles in JSON can be, before any row is read."""
    for row, name in enumerate(names, start=1):
        check_characters(name, "a label's name", file=file, row=row, field="title")


def write_sparse_data_set(folder: Path, splits: Mapping[str, SparseSplit]) -> tuple[dict[str, Any], list[Path]]:
    """Writes `train.txt.gz`, `test.txt.gz` and `labels.json`, the names of all labels, or their numbers where no file beside
    the rows has names; and `label_features.txt.gz`, where there are label features. Features that are out of order are put in order.

    Returns:
        Counts: rows of each split, features, labels, labels in training, labels with features, where there are such, rows without
        labels, rows whose features were out of order, labels a row; and the files besides the rows that were read.

    Raises:
        `UserError`: another number of names than of labels; what is wrong with a row.
    """
    folder.mkdir(parents=True)
    shape = splits["train"].shape
    names, source = label_names_for(splits["train"].files[-1], shape.labels)
    _check_names(names, source)
    of_labels = find_label_features(splits)
    counts = {split: np.zeros(shape.labels, dtype=np.int64) for split in splits}
    num_empty = num_sorted = 0

    def counting(split: str, rows: Iterator[SparseRow]) -> Iterator[tuple[list[int], list[float], list[int]]]:
        nonlocal num_empty, num_sorted
        for features, labels in rows:
            indices, values, was_in_order = _in_order(features)
            num_sorted += not was_in_order
            distinct = sorted(set(labels))
            counts[split][distinct] += 1
            num_empty += not distinct
            yield indices, values, distinct

    for split, found in splits.items():
        write_rows(folder / SPARSE_FILES[split], counting(split, found.rows()), found.shape)
    LabelSpace.from_names(names).save(folder / LABELS_FILE)
    rows = {split: found.shape.rows for split, found in splits.items()}
    total = sum(rows.values())
    facts = {
        "rows": {"all": total, **rows},
        "features": shape.features,
        "labels": shape.labels,
        "labels_in_train": int((counts["train"] > 0).sum()),
        "rows_without_labels": num_empty,
        "rows_put_in_order": num_sorted,
        "labels_a_row": round(sum(int(of_split.sum()) for of_split in counts.values()) / max(total, 1), 3),
    }
    if of_labels is not None:
        facts["labels_with_features"] = _write_label_features(folder, of_labels)
    return facts, [file for file in (source, of_labels) if file is not None]


def _write_label_features(folder: Path, file: Path) -> int:
    """Copies label features, in order, and returns how many labels have some."""
    num_filled = 0

    def counting() -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        nonlocal num_filled
        for features in matrix_rows(file, "feature"):
            indices, values, _ = _in_order(features)
            num_filled += bool(indices)
            yield indices, values

    write_matrix(folder / LABEL_FEATURES_FILE, counting(), matrix_shape(file))
    return num_filled


def _in_order(features: Mapping[str, list]) -> tuple[Sequence[int], Sequence[float], bool]:
    """A row's features in ascending order, with their values, and whether they stood so."""
    indices, values = features["indices"], features["values"]
    if not any(map(int.__gt__, indices, indices[1:])):
        return indices, values, True
    indices, values = zip(*sorted(zip(indices, values, strict=True)), strict=True)
    return indices, values, False
