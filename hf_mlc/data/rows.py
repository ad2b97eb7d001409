"""One row of a data set: which columns hold what, and the check that turns a raw row into `id`, `text` or `image`, `labels`.

This is the boundary: what passes here is trusted everywhere behind it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.images.opening import check_image


_INT64 = 2**63


@dataclass(frozen=True)
class Columns:
    """Which columns of the data hold what.

    Args:
        text (`str` or `list[str]`, *optional*, defaults to `"text"`): the text; of several columns (a title and a
            body) the values are joined by a newline.
        labels (`str`, *optional*, defaults to `"labels"`): the labels. `None`: texts to predict on, of which labels are
            not looked at even where there are some.
        labels_separator (`str`, *optional*): splits a labels column of strings. A CSV is split by `;` without it, and
            may hold JSON lists (`["a", "b"]`) instead.
        id (`str`, *optional*): the document's own name. Without it a column `id` is kept if there is one, else the
            row's number counted from 1 takes its place.
        image (`str`, *optional*): a picture's file, or what the `Image` feature of `datasets` keeps of one. Given, the rows
            are pictures, and no text is read.
        image_folder (`str`, *optional*): the folder that the files' names are relative to; that of the data's own file
            if not given.
    """

    text: str | Sequence[str] = "text"
    labels: str | None = "labels"
    labels_separator: str | None = None
    id: str | None = None
    image: str | None = None
    image_folder: str | None = None

    def __post_init__(self):
        if not self.text_columns:
            raise UserError("no text column", field="text", accepted="one column name or several")
        if self.labels_separator == "":
            raise UserError("an empty separator", field="labels_separator", accepted="one character or more")

    @property
    def text_columns(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    @property
    def content_columns(self) -> tuple[str, ...]:
        """What a row is labelled by."""
        return self.text_columns if self.image is None else (self.image,)

    @property
    def id_column(self) -> str:
        return self.id or "id"

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that must be there."""
        return self.content_columns if self.labels is None else (*self.content_columns, self.labels)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that is read where it is found."""
        return (*self.required, self.id_column)


@dataclass(frozen=True)
class RowForm:
    """What the rows of one file have in common.

    Args:
        file (`str`): the file or Hub id, for error messages.
        is_csv (`bool`, *optional*, defaults to `False`): labels are strings to be split, and may be JSON lists.
        class_names (`tuple[str, ...]`, *optional*): names behind the integers of a `ClassLabel` column.
        label_type (`type`, *optional*): `str` or `int` once known; a label of the other type is then an error.
        folder (`Path`, *optional*): where the files of pictures lie; without it a picture must be in the row itself.
    """

    file: str | Path
    is_csv: bool = False
    class_names: tuple[str, ...] | None = None
    label_type: type | None = None
    folder: Path | None = None


def checked_row(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> dict[str, Any]:
    """The row as `{"id": str, "text": str, "labels": list}`, or a `UserError` that names file, row and field.

    Where the rows are pictures, `image` takes the place of `text`: `{"path": str, "bytes": bytes or None}`, the file there
    and with the head of a picture. Without a labels column (`columns.labels` is None) the key `labels` is not there.
    Labels keep their order and their duplicates; [`~hf_mlc.labels.LabelSpace`] merges those when it encodes.
    """
    checked = {"id": _checked_id(raw, columns, form, row=row)}
    if columns.image is None:
        checked["text"] = "\n".join(_checked_text(raw, name, form, row=row) for name in columns.text_columns)
    else:
        checked["image"] = _checked_image(raw, columns, form, row=row)
    if columns.labels is not None:
        checked["labels"] = _checked_labels(raw, columns, form, row=row)
    return checked


def _value(raw: Mapping[str, Any], column: str, form: RowForm, *, row: int) -> Any:
    if column not in raw:
        found = ", ".join(repr(name) for name in list(raw)[:10]) or "none"
        raise UserError(
            f"no such column; found: {found}", file=form.file, row=row, field=column, accepted="a column name"
        )
    return raw[column]


def _checked_id(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> str:
    if columns.id is None and raw.get("id") is None:
        return str(row)
    value = _value(raw, columns.id_column, form, row=row)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UserError(
            f"the id is {_what(value)}",
            file=form.file,
            row=row,
            field=columns.id_column,
            accepted="a string or an integer",
        )
    return _storable(str(value), form, row=row, field=columns.id_column)


def _checked_text(raw: Mapping[str, Any], column: str, form: RowForm, *, row: int) -> str:
    value = _value(raw, column, form, row=row)
    if not isinstance(value, str):
        raise UserError(
            f"the text is {_what(value)}", file=form.file, row=row, field=column, accepted="a string, possibly empty"
        )
    return _storable(value, form, row=row, field=column)


def _checked_image(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> dict[str, Any]:
    value = _value(raw, columns.image, form, row=row)

    def error(
        problem: str, accepted: str = "the name of a picture's file, or a column of the feature Image"
    ) -> UserError:
        return UserError(problem, file=form.file, row=row, field=columns.image, accepted=accepted)

    name, content = (value.get("path"), value.get("bytes")) if isinstance(value, dict) else (value, None)
    if content is not None and not isinstance(content, bytes):
        raise error(f"the picture's bytes are {_what(content)}")
    if content is None:
        if not isinstance(name, str) or not name.strip():
            raise error(f"the image is {_what(value)}")
        if "://" in name:
            raise error(f"the image is an address: {_shortened(name)}", "a file on this machine; download it first")
        folder = Path(columns.image_folder) if columns.image_folder is not None else form.folder
        if folder is None:
            raise error(f"the image is a name: {_shortened(name)}")
        # absolute, so that what is kept of the row holds from wherever it is read again
        name = str((folder / _storable(name, form, row=row, field=columns.image)).absolute())
        if not Path(name).is_file():
            raise error(f"no such file: {name}", "a file, by its path from the data's own folder (or --image_folder)")
    reference = {"path": name, "bytes": content}
    check_image(reference, file=form.file, row=row)
    return reference


def _checked_labels(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> list[str] | list[int]:
    value = _value(raw, columns.labels, form, row=row)

    def error(problem: str, accepted: str) -> UserError:
        return UserError(problem, file=form.file, row=row, field=columns.labels, accepted=accepted)

    if isinstance(value, str):
        value = _split_labels(value, columns.labels_separator, form, error)
    if not isinstance(value, (list, tuple)):
        raise error(f"the labels are {_what(value)}", "a list of names or ids, possibly empty")
    if form.class_names is not None:
        value = [_class_name(label, form.class_names, error) for label in value]
    for label in value:
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise error(f"a label is {_what(label)}", "strings or integers")
        if form.label_type is not None and not isinstance(label, form.label_type):
            kinds = {str: "strings", int: "integers"}
            raise error(
                f"the label {label!r} where the labels before it are {kinds[form.label_type]}", "one kind of label"
            )
        if isinstance(label, str):
            if not label.strip():
                raise error(f"an empty label {label!r}", "names with a character; [] where a row has no label")
            _storable(label, form, row=row, field=columns.labels)
        elif not -_INT64 <= label < _INT64:
            raise error(f"the label {_shortened(label)} is too large", "64-bit integers")
    if len({isinstance(label, str) for label in value}) > 1:
        raise error("strings and integers mixed", "one kind of label")
    return list(value)


def _split_labels(value: str, separator: str | None, form: RowForm, error) -> list[Any]:
    if separator is None:
        if not form.is_csv:
            raise error(f"the labels are {_what(value)}", "a list, or a string together with labels_separator")
        stripped = value.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            try:
                return json.loads(stripped)
            except (ValueError, RecursionError):
                raise error(
                    f"no JSON list: {_shortened(stripped)}",
                    'labels separated by ";", a JSON list such as ["a", "b"], or any string with labels_separator',
                ) from None
        separator = ";"
    # a separator at the end, or two in a row, is how spreadsheets write "nothing here": no label, no error
    return [label for label in (part.strip() for part in value.split(separator)) if label]


def _class_name(label: Any, class_names: tuple[str, ...], error) -> str:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(class_names):
        raise error(f"a label is {_what(label)}", f"ids from 0 to {len(class_names) - 1} of the column's class names")
    return class_names[label]


def _storable(value: str, form: RowForm, *, row: int, field: str) -> str:
    # JSON can spell half of a surrogate pair ("\ud800"), which is no character and cannot be stored as UTF-8
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as failure:
        raise UserError(
            f"half a surrogate pair at character {failure.start}",
            file=form.file,
            row=row,
            field=field,
            accepted="text that is valid Unicode",
        ) from None
    return value


def _what(value: Any) -> str:
    """A value as an error message says it."""
    if value is None:
        return "null"
    kind = {dict: "an object", list: "a list", float: "a float", bool: "a boolean", int: "an integer", str: "a string"}
    return f"{kind.get(type(value), f'a {type(value).__name__}')}: {_shortened(value)}"


def _shortened(value: Any) -> str:
    try:
        shown = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a huge integer"
    return shown if len(shown) <= 60 else shown[:57] + "..."
