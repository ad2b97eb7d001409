"""Values of a raw row: where they stand, whether they can be stored, and how an error message calls them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError


@dataclass(frozen=True)
class RowForm:
    """What the rows of one file have in common.

    Args:
        file (`str`): the file or Hub id, for error messages.
        is_csv (`bool`, *optional*, defaults to `False`): labels are strings to be split, and may be JSON lists.
        is_json (`bool`, *optional*, defaults to `False`): each row says its own columns, and may leave out what another has.
        class_names (`tuple[str, ...]`, *optional*): names behind the integers of a `ClassLabel` column.
        label_type (`type`, *optional*): `str` or `int` once known; a label of the other type is then an error.
        folder (`Path`, *optional*): where the files of pictures lie; without it a picture must be in the row itself.
    """

    file: str | Path
    is_csv: bool = False
    is_json: bool = False
    class_names: tuple[str, ...] | None = None
    label_type: type | None = None
    folder: Path | None = None


def value_of(
    raw: Mapping[str, Any],
    column: str,
    form: RowForm,
    *,
    row: int,
    accepted: str = "a column name",
    said_by: str | None = None,
) -> Any:
    """What stands in a column; `UserError` with what is `accepted` where the row has no such column, and with the arguments that say
    which column it is."""
    if column not in raw:
        if said_by is not None:
            accepted += f", said by {said_by}"
        found = ", ".join(repr(name) for name in list(raw)[:10]) or "none"
        raise UserError(f"no such column; found: {found}", file=form.file, row=row, field=column, accepted=accepted)
    return raw[column]


def storable(value: str, form: RowForm, *, row: int, field: str) -> str:
    """The string itself; `UserError` where it can't be stored as UTF-8."""
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


def name_in(value: Any) -> str | None:
    """A value as a name, of a whole number its digits alone: pandas writes integers with a gap among them as floats. `None` of null
    and NaN."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    return None if value is None else str(value)


def number_in(text: str) -> float | None:
    """The number that a string spells, or `None`; `1_000`, which Python takes for one, is none. NaN is a number here."""
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def what(value: Any) -> str:
    """A value as an error message says it."""
    if value is None:
        return "null"
    kind = {dict: "an object", list: "a list", float: "a float", bool: "a boolean", int: "an integer", str: "a string"}
    return f"{kind.get(type(value), f'a {type(value).__name__}')}: {shortened(value)}"


def shortened(value: Any) -> str:
    """At most 60 characters of a value."""
    try:
        shown = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a huge integer"
    return shown if len(shown) <= 60 else shown[:57] + "..."
