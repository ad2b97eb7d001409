"""Rows of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import datasets

from hf_mlc.data.contents.content import Content
from hf_mlc.data.values import RowForm, storable, value_of, what
from hf_mlc.errors import UserError


if TYPE_CHECKING:
    from hf_mlc.data.rows import Columns


class TextContent(Content):
    """A string; of several columns the strings joined by a newline."""

    column, noun = "text", "texts"

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        return columns.text_columns

    def checked(self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> str:
        return "\n".join(_checked(raw, name, form, row=row) for name in columns.text_columns)

    def feature(self, columns: Columns) -> datasets.Value:
        return datasets.Value("string")

    def sameness(self, value: str) -> str | None:
        return value if value.strip() else None


def _checked(raw: Mapping[str, Any], column: str, form: RowForm, *, row: int) -> str:
    value = value_of(raw, column, form, row=row, said_by="text_column")
    if not isinstance(value, str):
        raise UserError(
            f"the text is {what(value)}", file=form.file, row=row, field=column, accepted="a string, possibly empty"
        )
    return storable(value, form, row=row, field=column)
