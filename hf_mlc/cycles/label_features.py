"""What labels say of themselves, in the documents' own kind: a file of it as rows of one label each.

Of sparse rows a text as the extreme-classification repository has it (`lbl_X_Xf.txt`): a first line `N V`, then a line of
`feature:value` a label, row i (from 0) that of label number i. Of texts JSON Lines, `{"label": NAME, "text": "..."}`. Either plain or
`.gz`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter

from hf_mlc.data.reading import format_of, json_row, numbered_lines
from hf_mlc.data.values import RowForm, storable, value_of, what
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.xmc.sparse_reading import matrix_rows


# by the kind of input: how the file must be formed, and how a message says that
_FORMS = {
    "features": ("sparse", "a text of sparse rows, .txt, with a first line of two numbers, of rows and of features"),
    "text": ("jsonl", 'JSON Lines, .jsonl, of {"label": NAME, "text": "..."}'),
}
_ITEMS = {
    "features": {
        "indices": datasets.List(datasets.Value("int32")),
        "values": datasets.List(datasets.Value("float64")),
    },
    "text": datasets.Value("string"),
}
_Item = tuple[int, str | int, Any]  # the row, its label, what it holds


def read_label_features(file: str | Path, label_space: LabelSpace, *, kind: str) -> tuple[datasets.Dataset, int]:
    """The rows of a file, each with its label.

    Args:
        file (`str` or `Path`): as above.
        label_space ([`~hf_mlc.labels.LabelSpace`]): the model's; it says which label a name or a number means.
        kind (`str`): what the model reads, `"features"` or `"text"`.

    Returns:
        `datasets.Dataset` in memory, with the columns `id` (the row's number in the file, from 1), `kind` and `labels` (a name), and
        how many labels of the file are not in the label space, whose rows are left out. So are rows that hold nothing.

    Raises:
        `UserError`: no such file, a file of another form, a row that is none, a label that stands there twice, no label of the
            label space.
    """
    file = Path(file)
    form, accepted = _FORMS[kind]
    if not file.is_file() or format_of(file) != form:
        problem = "no such file" if not file.exists() else f"no features of labels for a model of {kind}"
        raise UserError(problem, file=file, field="label_features", accepted=accepted)
    unknown: list[str | int] = []
    items = _sparse_items(file) if kind == "features" else _text_items(file)
    rows = (
        {"id": str(row), kind: item, "labels": [name]} for row, name, item in _named(items, label_space, unknown, file)
    )
    features = {
        "id": datasets.Value("string"),
        kind: _ITEMS[kind],
        "labels": datasets.List(datasets.Value("string")),
    }
    found = _in_memory(rows, datasets.Features(features), file)
    if not len(found):
        raise UserError(
            "no features of any label of the label space",
            file=file,
            field="label_features",
            accepted="rows by the labels' numbers" if kind == "features" else "rows with the labels' names",
        )
    return found, len(unknown)


def _sparse_items(file: Path) -> Iterator[_Item]:
    for number, features in enumerate(matrix_rows(file, "feature")):
        if features["indices"]:
            yield number + 1, number, features


def _text_items(file: Path) -> Iterator[_Item]:
    form = RowForm(file)
    for row, line in numbered_lines(file):
        if not line.strip():
            continue
        raw = json_row(line, file=file, row=row)
        label, text = (value_of(raw, column, form, row=row) for column in ("label", "text"))
        for field, value, kinds, accepted in (
            ("label", label, (str, int), "a name, or a number"),
            ("text", text, str, "a string"),
        ):
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise UserError(f"found {what(value)}", file=file, row=row, field=field, accepted=accepted)
        if text.strip():
            yield row, label, storable(text, form, row=row, field="text")


def _named(
    items: Iterable[_Item], label_space: LabelSpace, unknown: list[str | int], file: Path
) -> Iterator[tuple[int, str, Any]]:
    """Those of labels that are in the label space, with their names; the others' labels are added to `unknown`."""
    row_of: dict[str | int, int] = {}
    for row, label, item in items:
        ids, is_unknown = label_space.encode_known([label])
        key = str(label) if is_unknown else int(ids[0])
        if key in row_of:
            problem = f"label {label!r} stands in row {row_of[key]} too"
            raise UserError(problem, file=file, row=row, field="label", accepted="each label once")
        row_of[key] = row
        if is_unknown:
            unknown.append(label)
        else:
            yield row, label_space.names[key], item


def _in_memory(rows: Iterable[dict[str, Any]], features: datasets.Features, file: Path) -> datasets.Dataset:
    """Rows in Arrow's form, made one at a time; errors that are found in them later name the file."""
    stream = pa.BufferOutputStream()
    with ArrowWriter(stream=stream, features=features) as writer:
        for row in rows:
            writer.write(row)
        writer.finalize(close_stream=False)
    info = datasets.DatasetInfo(features=features, description=str(file))
    return datasets.Dataset.from_buffer(stream.getvalue(), info=info)
