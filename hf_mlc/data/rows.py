"""One row of a data set: which columns hold what, and the check that turns a raw row into `id`, content, `labels`.

The content is a text, a picture, ... ([`hf_mlc.data.contents`]), in the column of that name.

This is the boundary: what passes here is trusted everywhere behind it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_mlc.data.contents import CONTENTS, TEXT, Content
from hf_mlc.data.contents.events import EventForm
from hf_mlc.data.contents.features import TableForm
from hf_mlc.data.values import RowForm, name_in, shortened, storable, value_of, what
from hf_mlc.errors import UserError


_INT64 = 2**63
# what is accepted in place of a list of zeros and ones
IDS_OR_COLUMNS = "lists of names or of ids; of a column of 0 and 1 a label --label_columns"


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
        id (`str`, *optional*): the document's own name, a string or an integer. Without it a column `id` is kept if there is
            one, any single value as a string; where there is none, or it is null, the row's number counted from 1 takes its place.
        image (`str`, *optional*): a picture's file, or what the `Image` feature of `datasets` keeps of one. Given, the rows
            are pictures, and no text is read.
        image_folder (`str`, *optional*): the folder that the files' names are relative to; that of the data's own file
            if not given.
        features (`str` or `list[str]`, *optional*): of a table, one column of lists or objects (`"features"`), or the columns
            that are features (a list of names); `"*"` for all but labels and id. Given, no text is read.
        label_columns (`list[str]`, *optional*): columns of 0 and 1, one a label, in place of the labels column.
        absent (`str`, *optional*, defaults to `"error"`): what a feature means that an object of names, or a line of JSON Lines
            where each feature is a column, doesn't hold: an `"error"`, `"zero"` (a sparse table) or `"missing"`.
        as_written (`bool`, *optional*, defaults to `False`): keep a table's values as strings, since some are categories that
            may look like numbers.
        table ([`~hf_mlc.data.contents.features.TableForm`], *optional*): how the rows of a table are stored; loading finds it.
        events (`str`, *optional*): of histories, the column of their events. Given, no text is read, and rows may lack
            labels.
        event_user, event_time, event_label (`str`, *optional*): of a long table, a row a label of an event, its
            columns: whose it is, when it was, and the label. All rows of a user become one, whose id is the user.
            Beside `events` rows decide: those that hold these columns are a long table's.
        event_amount (`str`, *optional*): of a long table, the column of amounts, if it has one that is wanted.
        event_time_format (`str`, *optional*): of a long table, how its times are written where that is none of the
            usual ways, as `strptime` of Python takes it: `"%d/%m/%Y %H:%M"`.
        event_form ([`~hf_mlc.data.contents.events.EventForm`], *optional*): what all events have in common; loading
            finds it.
    """

    text: str | Sequence[str] = "text"
    labels: str | None = "labels"
    labels_separator: str | None = None
    id: str | None = None
    image: str | None = None
    image_folder: str | None = None
    features: str | Sequence[str] | None = None
    label_columns: Sequence[str] | None = None
    absent: str = "error"
    as_written: bool = False
    table: TableForm | None = None
    events: str | None = None
    event_user: str | None = None
    event_time: str | None = None
    event_label: str | None = None
    event_amount: str | None = None
    event_time_format: str | None = None
    event_form: EventForm | None = None

    def __post_init__(self):
        if not self.text_columns:
            raise UserError("no text column", field="text", accepted="one column name or several")
        if self.labels_separator == "":
            raise UserError("an empty separator", field="labels_separator", accepted="one character or more")
        if self.absent not in ("error", "zero", "missing"):
            raise UserError(f"found '{self.absent}'", field="absent_features", accepted="error, zero, missing")
        for field in ("features", "label_columns"):
            names = getattr(self, field)
            if names is None or isinstance(names, str):
                continue
            if not names:
                raise UserError("no column", field=field, accepted="one column name or several")
            twice = [name for place, name in enumerate(names) if name in names[:place]]
            if twice:
                raise UserError(f"'{twice[0]}' stands there twice", field=field, accepted="each column once")
        self._check_long_table()
        both = set(self.label_columns or ()) & set(self.content_columns if self.features else ())
        if both:
            raise UserError(f"'{min(both)}' is a feature too", field="label_columns", accepted="features or labels")

    def _check_long_table(self):
        names = {name: getattr(self, f"event_{name}") for name in ("user", "time", "label", "amount")}
        given = {name: column for name, column in names.items() if column is not None}
        if not given and self.event_time_format is None:
            return
        missing = next((name for name in ("user", "time", "label") if name not in given), None)
        if missing is not None:
            found = ", ".join(f"{name}_column" for name in given) or "time_format"
            accepted = "user_column, time_column and label_column, all three"
            raise UserError(f"a long table with {found} alone", field=f"{missing}_column", accepted=accepted)
        for name, column in given.items():
            if list(given.values()).count(column) > 1:
                raise UserError(f"'{column}' is another of them too", field=f"{name}_column", accepted="a column each")
        if self.id is not None and self.events is None:
            raise UserError("of a long table the user is the id", field="id_column", accepted="user_column alone")

    @property
    def text_columns(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    @property
    def content(self) -> Content:
        """What the rows are labelled by: what else than texts is named, or texts."""
        named = (content for content in CONTENTS.values() if content is not TEXT and content.columns_of(self))
        return next(named, TEXT)

    @property
    def content_columns(self) -> tuple[str, ...]:
        """Where that stands."""
        return self.content.columns_of(self)

    @property
    def id_column(self) -> str:
        return self.id or "id"

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that must be there."""
        return (*self.content_columns, *(self.columns_of_labels if self.content.needs_labels else ()))

    @property
    def columns_of_labels(self) -> tuple[str, ...]:
        """Where the labels stand; nowhere in rows to predict on."""
        if self.labels is None:
            return ()
        return (self.labels,) if self.label_columns is None else tuple(self.label_columns)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that is read where it is found."""
        return (*self.content_columns, *self.content.also_read(self), *self.columns_of_labels, self.id_column)


def checked_row(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> dict[str, Any]:
    """The row as `{"id": str, "text": str, "labels": list}`, or a `UserError` that names file, row and field.

    Where the rows are no texts, their own column takes the place of `text` ([`Columns.content`]). Without a labels column
    (`columns.labels` is None) the key `labels` is not there. Labels keep their order and their duplicates;
    [`~hf_mlc.labels.LabelSpace`] merges those when it encodes.
    """
    content = columns.content
    checked = {
        "id": _checked_id(raw, columns, form, row=row),
        content.column: content.checked(raw, columns, form, row=row),
    }
    if columns.labels is not None and columns.label_columns is not None:
        checked["labels"] = _labels_of_columns(raw, columns, form, row=row)
    elif columns.labels is not None:
        is_there = content.needs_labels or columns.labels in raw
        checked["labels"] = _checked_labels(raw, columns, form, row=row) if is_there else []
    return checked


def _checked_id(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> str:
    if columns.id is None and not isinstance(raw.get(columns.id_column), (list, dict)):
        name = name_in(raw.get(columns.id_column))  # nobody said that it names rows: it may hold any single value
        return str(row) if name is None else storable(name, form, row=row, field=columns.id_column)
    value = value_of(raw, columns.id_column, form, row=row, said_by="id_column")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UserError(
            f"the id is {what(value)}",
            file=form.file,
            row=row,
            field=columns.id_column,
            accepted="a string or an integer",
        )
    return storable(str(value), form, row=row, field=columns.id_column)


def _checked_labels(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> list[str] | list[int]:
    value = value_of(raw, columns.labels, form, row=row, said_by="labels_column or label_columns")

    def error(problem: str, accepted: str) -> UserError:
        return UserError(problem, file=form.file, row=row, field=columns.labels, accepted=accepted)

    if isinstance(value, str):
        value = _split_labels(value, columns.labels_separator, form, error)
    if not isinstance(value, (list, tuple)):
        raise error(f"the labels are {what(value)}", "a list of names or ids, possibly empty")
    if form.class_names is not None:
        value = [_class_name(label, form.class_names, error) for label in value]
    for label in value:
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise error(f"a label is {what(label)}", "strings or integers")
        if form.label_type is not None and not isinstance(label, form.label_type):
            kinds = {str: "strings", int: "integers"}
            raise error(
                f"the label {label!r} where the labels before it are {kinds[form.label_type]}", "one kind of label"
            )
        if isinstance(label, str):
            if not label.strip():
                raise error(f"an empty label {label!r}", "names with a character; [] where a row has no label")
            storable(label, form, row=row, field=columns.labels)
        elif not -_INT64 <= label < _INT64:
            raise error(f"the label {shortened(label)} is too large", "64-bit integers")
    if len({isinstance(label, str) for label in value}) > 1:
        raise error("strings and integers mixed", "one kind of label")
    return list(value)


def _labels_of_columns(raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> list[str]:
    """The names of the columns that hold 1."""
    labels = []
    for name in columns.label_columns:
        value = value_of(raw, name, form, row=row)
        text = value.strip() if isinstance(value, str) else value
        if text not in (0, 1, "0", "1", "0.0", "1.0"):  # True and 1.0 are 1 as well
            raise UserError(
                f"the label is {what(value)}", file=form.file, row=row, field=name, accepted="0 or 1 in a label column"
            )
        if float(text):
            labels.append(name)
    return labels


def _split_labels(value: str, separator: str | None, form: RowForm, error) -> list[Any]:
    if separator is None:
        if not form.is_csv:
            raise error(f"the labels are {what(value)}", "a list, or a string together with labels_separator")
        stripped = value.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            try:
                return json.loads(stripped)
            except (ValueError, RecursionError):
                raise error(
                    f"no JSON list: {shortened(stripped)}",
                    'labels separated by ";", a JSON list such as ["a", "b"], or any string with labels_separator',
                ) from None
        separator = ";"
    # a separator at the end, or two in a row, is how spreadsheets write "nothing here": no label, no error
    return [label for label in (part.strip() for part in value.split(separator)) if label]


def _class_name(label: Any, class_names: tuple[str, ...], error) -> str:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(class_names):
        raise error(f"a label is {what(label)}", f"ids from 0 to {len(class_names) - 1} of the column's class names")
    return class_names[label]
