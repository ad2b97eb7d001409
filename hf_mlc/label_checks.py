"""What a label space may be made of: names, whole counts, one entry a label, a hierarchy without cycles.

Shapes: `L` labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.errors import UserError


def checked_names(names: Iterable[str]) -> list[str]:
    """The names as a list; `UserError` unless there is one at least, all strings, none empty, none twice, all of whole characters."""
    names = list(names)
    if not names:
        raise UserError("a label space without labels", field="names", accepted="at least one label")
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise UserError(f"label {i} is a {type(name).__name__}: {name!r}", field="names", accepted="strings")
        if not name.strip():
            raise UserError(
                f"label {i} has an empty name ({name!r})", field="names", accepted="names with a character"
            )
        check_characters(name, f"label {i}", field="names")
    if len(set(names)) < len(names):
        first_at: dict[str, int] = {}
        for i, name in enumerate(names):
            if first_at.setdefault(name, i) != i:
                raise UserError(
                    f"label {name!r} stands twice, at {first_at[name]} and {i}",
                    field="names",
                    accepted="each name once",
                )
    return names


def check_characters(
    text: str, what: str, *, field: str, file: str | Path | None = None, row: int | str | None = None
) -> None:
    """`UserError` where a text can't be stored as UTF-8: JSON can spell half of a surrogate pair ("\\ud800"), which is no character.

    Args:
        text (`str`): a label's name, or what is said of it.
        what (`str`): what the message calls it.
        field (`str`): where it stands, and `file` and `row` if known.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as failure:
        raise UserError(
            f"{what}, {text!r:.60}, has half a surrogate pair at character {failure.start}",
            file=file,
            row=row,
            field=field,
            accepted="text that is valid Unicode",
        ) from None


def whole_numbers(values: Any, what: str) -> np.ndarray:
    """Values from 0 on as int64; a fraction, a string or a negative number is not cut to fit."""
    accepted = "whole numbers from 0"
    try:
        numbers = np.asarray(values)
    except ValueError:  # lists of several lengths in one
        raise UserError("lists inside a list", field=what, accepted=accepted) from None
    if numbers.ndim != 1:
        raise UserError("lists inside a list", field=what, accepted=accepted)
    if numbers.size and numbers.dtype.kind not in "iu":
        wrong = next((value for value in values if isinstance(value, bool) or not isinstance(value, int)), values[0])
        raise UserError(f"found {shortened([wrong])}", field=what, accepted=accepted)
    if numbers.size and numbers.min() < 0:
        raise UserError(f"found {numbers.min()}", field=what, accepted=accepted)
    if numbers.size and numbers.max() > np.iinfo(np.int64).max:
        raise UserError(f"found {numbers.max()}", field=what, accepted=f"{accepted} to {np.iinfo(np.int64).max}")
    return numbers.astype(np.int64)


def check_length(values: Sequence[Any] | np.ndarray, num_labels: int, what: str) -> None:
    """`UserError` unless there are as many values as labels."""
    if len(values) != num_labels:
        raise UserError(f"{len(values)} entries for {num_labels} labels", field=what, accepted="one entry a label")


def checked_propensity(given: Any) -> tuple[float, float]:
    """A and B of the labels' propensities as two floats; `UserError` unless A is 0 or more and B above 0.

    B is added to a label's training count before that is raised to -A, and the count may be 0.
    """
    accepted = "two numbers, A of 0 or more and B above 0 (0.55 1.5)"
    try:
        a, b = map(float, given)
    except (TypeError, ValueError):
        raise UserError(f"found {given!r}", field="propensity", accepted=accepted) from None
    if not (0 <= a < math.inf and 0 < b < math.inf):
        raise UserError(f"found {a:g} and {b:g}", field="propensity", accepted=accepted)
    return a, b


def checked_parents(given: list[Any], names: list[str], name_to_id: Mapping[str, int]) -> np.ndarray:
    """The parent of each label as int64 `(L,)`, -1 for none; given as ids or names, `None` or -1 for none.

    Raises:
        `UserError`: on a parent that is no label, and on a label that is its own ancestor.
    """
    parents = np.full(len(names), -1, dtype=np.int64)
    for child, parent in enumerate(given):
        if parent is None or parent == -1:
            continue
        if isinstance(parent, str):
            found = name_to_id.get(parent)
        elif isinstance(parent, (int, np.integer)) and not isinstance(parent, bool):
            found = int(parent) if 0 <= parent < len(names) else None
        else:
            found = None
        if found is None:
            raise UserError(
                f"the parent {parent!r} of label {names[child]!r} is not a label",
                field="parents",
                accepted=f"a label's name, an id from 0 to {len(names) - 1}, or none",
            )
        parents[child] = found
    cyclic = _a_label_on_a_cycle(parents)
    if cyclic is not None:
        raise UserError(
            f"label {names[cyclic]!r} is its own ancestor", field="parents", accepted="parents without cycles"
        )
    return parents


def _a_label_on_a_cycle(parents: np.ndarray) -> int | None:
    """A label that reaches itself through `parents` (-1 = none), or None. One walk over each label: O(L)."""
    walk_of = np.zeros(len(parents), dtype=np.int64)  # 0 = not visited, else the number of the walk that did
    for start in np.flatnonzero(parents >= 0):
        label, walk = int(start), int(start) + 1
        while label >= 0 and walk_of[label] == 0:
            walk_of[label] = walk
            label = int(parents[label])
        if label >= 0 and walk_of[label] == walk:
            return label
    return None


def shortened(names: list[str], most: int = 3) -> str:
    """The first few names as they would be quoted in a message."""
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")
