"""Rows of the two text formats of sparse features, line by line.

The extreme-classification repository's (`.txt`): a first line `N V L`, the numbers of rows, features and labels, then a row a
line, `l1,l2 f:v f:v ...`: its labels, and its features with their values, both counted from 0, features in ascending order. A
line that begins with a space or a feature is a row without labels, an empty one a row without either.

Multi-label libsvm or svmlight (`.svm`, `.libsvm`, `.svmlight`): the same lines, most often without the first one; then an empty
line is none. `# ...` at the end of a line is left out. Numbers are taken as they stand: in a file that counts features from 1
feature 0 never occurs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hf_mlc.data.contents.features import CheckedSparseRow
from hf_mlc.errors import UserError


# of features that there may be where nothing says how many: Arrow stores them in 32 bits
_MOST_FEATURES = 2**31 - 1


class Shape(NamedTuple):
    """What a first line says: the numbers of rows, features and labels."""

    rows: int
    features: int
    labels: int


def shape_in(line: str) -> Shape | None:
    """What a first line says of the rows; `None` where it is a row itself."""
    numbers = whole_numbers_in(line, 3)
    return None if numbers is None else Shape(*numbers)


def whole_numbers_in(line: str, count: int) -> tuple[int, ...] | None:
    """The so many whole numbers that a line holds, and nothing else; `None` for any other line."""
    words = line.split()
    if len(words) != count or not all(word.isascii() and word.isdigit() for word in words):
        return None
    return tuple(map(int, words))


def sparse_text_rows(
    lines: Iterable[tuple[int, str]], *, file: str | Path, headed: bool, any_order: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered raw rows `{"features": {"indices", "values"}, "labels": ids}` of numbered lines.

    Args:
        lines (iterable of `(int, str)`): of the file.
        file (`str` or `Path`): for messages.
        headed (`bool`): whether the first line must say `N V L`; features are then those from 0 to V - 1. Where it merely may, a
            feature V is allowed too, of a file that counts from 1.
        any_order (`bool`, *optional*, defaults to `False`): whether features may stand in any order; they come as they stand.

    Raises:
        `UserError`: by file and row: a first line that is none, a label or a feature that is no number or not one of those of the
            first line, a feature that stands there twice or out of order, a value that is no finite number, another number
            of rows than the first line says.
    """
    texts = (line.rstrip("\r\n") for _, line in lines)
    first = next(texts, None)
    shape = None if first is None else shape_in(first)
    if shape is None and headed:
        accepted = "N V L, the numbers of rows, features and labels; a file without it ends in .svm"
        raise UserError(f"the first line is {_quoted(first or '')}", file=file, row=1, accepted=accepted)
    if shape is None and first is not None:
        texts = chain([first], texts)
    if not headed:
        texts = (line.partition("#")[0] for line in texts)
    of_features = None if shape is None else shape.features + (not headed)
    for number, line in counted_rows(texts, None if shape is None else shape.rows, file=file):
        row = SparseLine(line, file, number, shape, of_features=of_features, any_order=any_order)
        yield number, {"features": row.features(), "labels": row.labels()}


def counted_rows(lines: Iterable[str], num_rows: int | None, *, file: str | Path) -> Iterator[tuple[int, str]]:
    """Lines as numbered rows, as many as the first line of the file says; an empty line after these is none.

    Args:
        lines (iterable of `str`): those after the first one.
        num_rows (`int`, *optional*): what that says. Where it says nothing no empty line is a row.
        file (`str` or `Path`): for messages.
    """
    number = 0
    for line in lines:
        if not line.strip() and (num_rows is None or number >= num_rows):
            continue
        number += 1
        if num_rows is not None and number > num_rows:
            raise UserError(f"the first line says {num_rows:,} rows, and more follow", file=file, row=number)
        yield number, line
    if num_rows is not None and number < num_rows:
        accepted = "a whole file"
        raise UserError(f"the first line says {num_rows:,} rows, there are {number:,}", file=file, accepted=accepted)


class SparseLine:
    """What stands on one line: labels, where its first word is of these, and features.

    Args:
        line (`str`): without its end.
        file, number: for messages.
        shape ([`Shape`], *optional*): what the first line of the file says.
        of_features (`int`, *optional*): the number of features that there may be; any if not given.
        any_order (`bool`, *optional*, defaults to `False`): whether features may stand in any order, each once.
        noun (`str`, *optional*, defaults to `"feature"`): what messages call a feature.
    """

    def __init__(
        self,
        line: str,
        file: str | Path,
        number: int,
        shape: Shape | None = None,
        *,
        of_features: int | None = None,
        any_order: bool = False,
        noun: str = "feature",
    ):
        self.file, self.number, self.shape, self.any_order, self.noun = file, number, shape, any_order, noun
        self.most = _MOST_FEATURES if of_features is None else min(of_features, _MOST_FEATURES)
        tokens = line.split()
        has_labels = bool(tokens) and ":" not in tokens[0] and not line[0].isspace()
        self.label_text, self.tokens = (tokens[0], tokens[1:]) if has_labels else ("", tokens)

    def labels(self) -> list[int]:
        if not self.label_text:
            return []
        most = None if self.shape is None else self.shape.labels
        labels = []
        for text in self.label_text.split(","):
            label = _whole(text)
            if label is None or (most is not None and label >= most):
                accepted = "numbers from 0 on, a comma between two" if most is None else _up_to(most)
                raise self._error(f"the label {_quoted(text)}", accepted, "labels")
            labels.append(label)
        return labels

    def features(self) -> dict[str, Any]:
        """`{"indices", "values"}`: a [`CheckedSparseRow`], or with `any_order` as they stand."""
        try:
            pairs = [token.split(":") for token in self.tokens]
            indices = [int(key) for key, _ in pairs]
            values = [float(value) for _, value in pairs]
        except ValueError:
            raise self._first_wrong() from None
        # one comparison of all where nothing is wrong; a line that has something unusual is looked at piece by piece
        ordered = sorted(indices) if self.any_order else indices
        ascending = all(map(int.__lt__, ordered, ordered[1:]))
        inside = not ordered or (ordered[0] >= 0 and ordered[-1] < self.most)
        if not (ascending and inside and all(map(math.isfinite, values))) or "_" in "".join(self.tokens):
            raise self._first_wrong()
        return (dict if self.any_order else CheckedSparseRow)(indices=indices, values=values)

    def _first_wrong(self) -> UserError:
        before, seen = -1, set()
        for token in self.tokens:
            key, colon, text = token.partition(":")
            index = _whole(key)
            if not colon or index is None:
                accepted = f"{self.noun.upper()}:VALUE, the {self.noun} a number from 0 on"
                accepted += "; labels stand first, a comma between two" if self.noun == "feature" else ""
                return self._error(f"found {_quoted(token)}", accepted)
            if index >= self.most:
                known = "" if self.shape is None else f" of the {self.shape.features:,} that the first line says"
                return self._error(f"{self.noun} {index}", _up_to(self.most) + known)
            if index in seen or (index < before and not self.any_order):
                problem = f"{self.noun} {index} " + ("stands there twice" if index in seen else f"after {before}")
                order = "each once" if self.any_order else "in ascending order, each once"
                return self._error(problem, f"{self.noun}s {order}")
            value = _finite(text)
            if value is None:
                return self._error(f"the value {_quoted(text)} of {self.noun} {index}", "a finite number")
            before = index
            seen.add(index)
        return self._error(f"found {_quoted(' '.join(self.tokens))}", f"{self.noun.upper()}:VALUE")

    def _error(self, problem: str, accepted: str, field: str | None = None) -> UserError:
        return UserError(problem, file=self.file, row=self.number, field=field or f"{self.noun}s", accepted=accepted)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _finite(text: str) -> float | None:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _up_to(number: int) -> str:
    """The so many whole numbers that there are from 0 on."""
    return f"0 to {number - 1}" if number else "none"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
