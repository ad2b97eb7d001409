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
from pathlib import Path
from typing import Any, NamedTuple

from hf_mlc.data.contents.features import CheckedSparseRow
from hf_mlc.errors import UserError


class Shape(NamedTuple):
    """What a first line says: the numbers of rows, features and labels."""

    rows: int
    features: int
    labels: int


def shape_in(line: str) -> Shape | None:
    """What a first line says of the rows; `None` where it is a row itself."""
    words = line.split()
    if len(words) != 3 or not all(word.isascii() and word.isdigit() for word in words):
        return None
    return Shape(*map(int, words))


def sparse_text_rows(
    lines: Iterable[tuple[int, str]], *, file: str | Path, headed: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered raw rows `{"features": {"indices", "values"}, "labels": ids}` of numbered lines.

    Args:
        lines (iterable of `(int, str)`): of the file.
        file (`str` or `Path`): for messages.
        headed (`bool`): whether the first line must say `N V L`; features are then those from 0 to V - 1. Where it merely may, a
            feature V is allowed too, of a file that counts from 1.

    Raises:
        `UserError`: by file and row: a first line that is none, a label or a feature that is no number or not one of those of the
            first line, a feature that stands there twice or out of order, a value that is no finite number, another number
            of rows than the first line says.
    """
    shape, number = None, 0
    for line_number, raw in lines:
        line = raw.rstrip("\r\n")
        if line_number == 1:
            shape = shape_in(line)
            if shape is not None:
                continue
            if headed:
                accepted = "N V L, the numbers of rows, features and labels; a file without it ends in .svm"
                raise UserError(f"the first line is {_quoted(line)}", file=file, row=1, accepted=accepted)
        if not headed:
            line = line.partition("#")[0]
        if not line.strip() and (shape is None or number >= shape.rows):
            continue
        number += 1
        if shape is not None and number > shape.rows:
            raise UserError(f"the first line says {shape.rows:,} rows, and more follow", file=file, row=number)
        of_features = None if shape is None else shape.features + (not headed)
        row = SparseLine(line, file, number, shape, of_features=of_features)
        yield number, {"features": row.features(), "labels": row.labels()}
    if shape is not None and number < shape.rows:
        accepted = "a whole file"
        raise UserError(f"the first line says {shape.rows:,} rows, there are {number:,}", file=file, accepted=accepted)


class SparseLine:
    """What stands on one line: labels, where its first word is of these, and features.

    Args:
        line (`str`): without its end.
        file, number: for messages.
        shape ([`Shape`], *optional*): what the first line of the file says.
        of_features (`int`, *optional*): the number of features that there may be; any if not given.
    """

    def __init__(
        self, line: str, file: str | Path, number: int, shape: Shape | None = None, *, of_features: int | None = None
    ):
        self.file, self.number, self.shape, self.of_features = file, number, shape, of_features
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
                accepted = "numbers from 0 on, a comma between two" if most is None else f"0 to {most - 1}"
                raise self._error(f"the label {_quoted(text)}", accepted, "labels")
            labels.append(label)
        return labels

    def features(self) -> CheckedSparseRow:
        try:
            pairs = [token.split(":") for token in self.tokens]
            indices = [int(key) for key, _ in pairs]
            values = [float(value) for _, value in pairs]
        except ValueError:
            raise self._first_wrong() from None
        # one comparison of all where nothing is wrong; a line that has something unusual is looked at piece by piece
        ascending = all(map(int.__lt__, indices, indices[1:]))
        inside = not indices or (indices[0] >= 0 and indices[-1] < (self.of_features or 2**31 - 1))
        if not (ascending and inside and all(map(math.isfinite, values))) or "_" in "".join(self.tokens):
            raise self._first_wrong()
        return CheckedSparseRow(indices=indices, values=values)

    def _first_wrong(self) -> UserError:
        before = -1
        for token in self.tokens:
            key, colon, text = token.partition(":")
            index = _whole(key)
            if not colon or index is None:
                accepted = "FEATURE:VALUE, the feature a number from 0 on; labels stand first, a comma between two"
                return self._error(f"found {_quoted(token)}", accepted)
            if index >= (self.of_features or 2**31 - 1):
                known = "" if self.shape is None else f" of the {self.shape.features:,} that the first line says"
                return self._error(f"feature {index}", f"0 to {(self.of_features or 2**31 - 1) - 1}{known}")
            if index <= before:
                problem = f"feature {index} " + ("stands there twice" if index == before else f"after {before}")
                return self._error(problem, "features in ascending order, each once")
            value = _finite(text)
            if value is None:
                return self._error(f"the value {_quoted(text)} of feature {index}", "a finite number")
            before = index
        return self._error(f"found {_quoted(' '.join(self.tokens))}", "FEATURE:VALUE")

    def _error(self, problem: str, accepted: str, field: str = "features") -> UserError:
        return UserError(problem, file=self.file, row=self.number, field=field, accepted=accepted)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _finite(text: str) -> float | None:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
