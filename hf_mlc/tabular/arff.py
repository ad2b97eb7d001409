"""ARFF files, row by row: the header's attributes, then dense rows `v,v,...` or sparse ones `{i v, i v}`.

The format is Weka's. What is read, and what isn't:

| in the file | here |
| --- | --- |
| `% ...`, blank lines, `@RELATION` in any case | skipped; any case |
| names and values in single or double quotes, with `\'` `\"` `\\` `\n` `\t` inside | unquoted |
| `numeric`, `real`, `integer`, `string`, `{a, 'b c'}` | read |
| `date`, `relational` | one line: file, line |
| `?` | a missing value, `None`; `'?'` in quotes is a string |
| a sparse row's attribute that isn't there | 0, and of a nominal attribute its FIRST value, as Weka has it |
| a row's weight, `..., {5}` behind it | one line: file, line |
| anything else that isn't as the header says: width, index, value | one line: file, line, attribute |

No package does it here: liac-arff, the usual one, keeps a file in memory as a whole before it gives a row.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.data.reading import decoded_line
from hf_mlc.errors import UserError


_NUMBERS = ("numeric", "real", "integer")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DECLARATION = re.compile(r"@([A-Za-z]+)\b")


@dataclass(frozen=True)
class Attribute:
    """One attribute of the header.

    Args:
        name (`str`): its name, unquoted.
        kind (`str`): `"numeric"`, `"string"` or `"nominal"`.
        values (`tuple[str, ...]`, *optional*): of a nominal one, in the order of the header.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()


class ArffFile:
    """A file whose header has been read; iterate over `rows()`.

    Args:
        path (`str` or `Path`): the file, plain or gzipped, UTF-8.

    Attributes:
        relation (`str`): the relation's name, which MEKA puts options into (`-C 6`).
        attributes (`list[Attribute]`): in order.

    Raises:
        `UserError`: no such file, no attribute, one that can't be read or stands there twice, no `@data`; with file and line.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError("no such file", file=path, accepted="an ARFF file, plain or with .gz")
        self.relation, self.attributes, self.header_lines = "", [], 0
        names: set[str] = set()
        for number, line in self._lines():
            text = line.strip()
            if not text or text.startswith("%"):
                continue
            found = _DECLARATION.match(text)
            keyword = found[1].lower() if found else ""
            rest = text[found.end() :].strip() if found else ""
            if keyword == "relation":
                self.relation = self._name_and_rest(rest, number)[0] if rest else ""
            elif keyword == "attribute":
                attribute = self._attribute(rest, number)
                if attribute.name in names:
                    raise self.error("two attributes of this name", number, attribute.name, "each name once")
                names.add(attribute.name)
                self.attributes.append(attribute)
            elif keyword == "data":
                self.header_lines = number
                break
            else:
                accepted = "@relation, @attribute, @data, or a comment that begins with %"
                raise self.error(f"found {_short(text)} in the header", number, accepted=accepted)
        else:
            raise UserError("no @data", file=self.path, accepted="a whole ARFF file")
        if not self.attributes:
            raise UserError("no @attribute", file=self.path, accepted="a whole ARFF file")
        self._codes = [dict(zip(a.values, range(len(a.values)), strict=True)) for a in self.attributes]

    def rows(self) -> Iterator[tuple[int, dict[int, Any], bool]]:
        """The line's number, the row's values by attribute, and whether the row is sparse, in which attributes are missing.

        A number is a `float`, or an `int` where it is whole; a nominal value and a string a `str`; a missing value `None`.
        """
        for number, line in self._lines():
            text = line.strip()
            if number <= self.header_lines or not text or text.startswith("%"):
                continue
            is_sparse = text.startswith("{")
            yield number, dict(self._sparse(text, number) if is_sparse else self._dense(text, number)), is_sparse

    def error(self, problem: str, line: int, field: str | None = None, accepted: str | None = None) -> UserError:
        """A `UserError` that names the line: rows and the header are counted alike."""
        return UserError(f"line {line}: {problem}", file=self.path, field=field, accepted=accepted)

    # -- lines

    def _lines(self) -> Iterator[tuple[int, str]]:
        is_gzip = self.path.suffix.lower() == ".gz"
        try:
            with gzip.open(self.path, "rb") if is_gzip else self.path.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    yield number, decoded_line(line, number, file=self.path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as failure:
            raise UserError(f"not a sound gzip archive ({failure})", file=self.path, accepted="a whole file") from None
        except OSError as failure:
            reason = failure.strerror or failure
            raise UserError(f"can't be read ({reason})", file=self.path, accepted="a readable file") from None

    def _attribute(self, rest: str, line: int) -> Attribute:
        name, rest = self._name_and_rest(rest, line)
        if rest.startswith("{"):
            if not rest.rstrip().endswith("}"):
                raise self.error("its values have no closing }", line, name, "{a, b, ...} on one line")
            values = [value for value, _ in self._cells(rest.rstrip()[1:-1], line)]
            if not values or len(set(values)) < len(values):
                what = "a value twice" if values else "no value"
                raise self.error(what, line, name, "different values: {a, b, ...}")
            return Attribute(name, "nominal", tuple(values))
        kind = rest.split()[0].lower() if rest.split() else ""
        if kind in _NUMBERS:
            return Attribute(name, "numeric")
        if kind == "string":
            return Attribute(name, "string")
        accepted = "numeric, real, integer, string or {a, b, ...}"
        raise self.error(f"of the type {_short(rest) if rest else '(none)'}", line, name, accepted)

    def _name_and_rest(self, text: str, line: int) -> tuple[str, str]:
        if text[:1] in ("'", '"'):
            name, end = self._quoted(text, 0, line)
            return name, text[end:].strip()
        # the values of a nominal one may follow its name at once
        name = (re.match(r"[^\s{]+(?=\{.*\}$)", text) or re.match(r"\S*", text))[0]
        if not name:
            raise self.error("no name", line, accepted="@attribute NAME TYPE")
        return name, text[len(name) :].strip()

    # -- rows

    def _dense(self, text: str, line: int) -> Iterator[tuple[int, Any]]:
        cells = self._cells(text, line)
        if cells and cells[-1][0].startswith("{") and not cells[-1][1] and len(cells) == len(self.attributes) + 1:
            raise self.error(f"a weight of the row: {_short(cells[-1][0])}", line, accepted="rows without weights")
        if len(cells) != len(self.attributes):
            raise self.error(f"{len(cells)} values", line, accepted=f"{len(self.attributes)}, one an attribute")
        for index, (cell, was_quoted) in enumerate(cells):
            yield index, self._value(index, cell, was_quoted, line)

    def _sparse(self, text: str, line: int) -> Iterator[tuple[int, Any]]:
        if not text.endswith("}"):
            raise self.error("no closing }", line, accepted="{index value, ...}, and no weight behind it")
        held = set()
        for entry in filter(None, self._pieces(text[1:-1], line)):
            key, _, cell = entry.partition(" ") if " " in entry else entry.partition("\t")
            if not key.isdecimal() or not cell.strip():
                raise self.error(f"found {_short(entry)}", line, accepted="index and value, with a space between")
            index = int(key)
            if index >= len(self.attributes):
                raise self.error(f"index {index}", line, accepted=f"0 to {len(self.attributes) - 1}")
            if index in held:
                raise self.error("twice in one row", line, self.attributes[index].name, "each index once")
            held.add(index)
            yield index, self._value(index, *self._unquoted(cell.strip(), line), line)

    def _value(self, index: int, cell: str, was_quoted: bool, line: int) -> Any:
        attribute = self.attributes[index]
        if cell == "?" and not was_quoted:
            return None
        if attribute.kind == "string":
            return cell
        if attribute.kind == "nominal":
            if cell not in self._codes[index]:
                accepted = ", ".join(attribute.values[:8]) + (", ..." if len(attribute.values) > 8 else "")
                raise self.error(f"found {_short(cell)}", line, attribute.name, accepted)
            return cell
        try:
            number = float(cell) if "_" not in cell else math.inf
        except ValueError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(f"found {_short(cell)}", line, attribute.name, "a finite number, or ?")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number

    def _cells(self, text: str, line: int) -> list[tuple[str, bool]]:
        """Values between commas, or between tabs where there is no comma, and whether each stood in quotes."""
        if "," not in text and "\t" in text and "'" not in text and '"' not in text:
            return [(cell.strip(), False) for cell in text.split("\t")]
        return [self._unquoted(piece, line) for piece in self._pieces(text, line)]

    def _unquoted(self, piece: str, line: int) -> tuple[str, bool]:
        if piece[:1] not in ("'", '"'):
            return piece, False
        value, end = self._quoted(piece, 0, line)
        if piece[end:].strip():
            raise self.error(f"found {_short(piece[end:])} behind a quote", line, accepted="a comma")
        return value, True

    def _pieces(self, text: str, line: int) -> list[str]:
        """What stands between the commas that are in no quotes."""
        if "'" not in text and '"' not in text:
            return [piece.strip() for piece in text.split(",")]
        pieces, start, place = [], 0, 0
        while place < len(text):
            # a quote opens where a word begins: inside one it is an apostrophe
            if text[place] in ("'", '"') and (place == 0 or text[place - 1] in ", \t"):
                place = self._quoted(text, place, line)[1]
                continue
            if text[place] == ",":
                pieces.append(text[start:place].strip())
                start = place + 1
            place += 1
        return [*pieces, text[start:].strip()]

    def _quoted(self, text: str, start: int, line: int) -> tuple[str, int]:
        """The string that begins with a quote at `start`, and the place behind its closing one."""
        quote, place, letters = text[start], start + 1, []
        while place < len(text):
            if text[place] == "\\" and place + 1 < len(text):
                letters.append(_ESCAPES.get(text[place + 1], text[place + 1]))
                place += 2
            elif text[place] == quote:
                return "".join(letters), place + 1
            else:
                letters.append(text[place])
                place += 1
        raise self.error(f"no closing {quote}", line, accepted="quotes that are closed")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
