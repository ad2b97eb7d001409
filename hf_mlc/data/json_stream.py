"""One large JSON object read member by member, and its arrays element by element: memory does not grow with the file."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hf_mlc.errors import UserError


CHUNK = 2**20
_SPACE = " \t\n\r"
_ACCEPTED = "one whole JSON object"


def read_members(file: str | Path) -> Iterator[tuple[str, int | None, Any]]:
    """Yields `(key, place, value)` for everything in the object that the file holds, in the file's order.

    Of a member that is an array each element is yielded by itself, `place` counting from 1; an empty array, and any other
    value, comes as a whole with the place `None`. What was yielded is forgotten, so that of an array of a million
    objects one is held at a time.

    Args:
        file (`str` or `Path`): JSON in UTF-8, plain or gzipped.

    Raises:
        `UserError`: no such file, bytes that are no UTF-8, no JSON, no object at the top, an end in the middle.
    """
    file = Path(file)
    if not file.is_file():
        raise UserError("no such file", file=file, accepted="a JSON file, plain or gzipped")
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        yield from _Reader(file, stream).members()


class _Reader:
    """The characters that were read and not yet used up, and where in them we stand."""

    def __init__(self, file: Path, stream: BinaryIO):
        self.file, self.stream = file, stream
        self.decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self.parse = json.JSONDecoder().raw_decode
        self.text, self.place, self.used, self.ended = "", 0, 0, False

    def members(self) -> Iterator[tuple[str, int | None, Any]]:
        self._take("{")
        if self._next() == "}":
            self.place += 1
            return self._expect_end()
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise self._error("a key that is no string")
            self._take(":")
            if self._next() == "[":
                yield from self._elements(key)
            else:
                yield key, None, self._value()
            if not self._goes_on("}"):
                return self._expect_end()

    def _elements(self, key: str) -> Iterator[tuple[str, int | None, Any]]:
        self._take("[")
        if self._next() == "]":
            self.place += 1
            yield key, None, []
            return
        place = 0
        while True:
            place += 1
            yield key, place, self._value()
            if not self._goes_on("]"):
                return

    def _goes_on(self, end: str) -> bool:
        """Past a comma True, past the closing bracket False."""
        found = self._next()
        if found not in (",", end):
            raise self._error(f"found {found!r}, expected ',' or {end!r}")
        self.place += 1
        return found == ","

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._error(f"found {self._next()!r}, expected {character!r}")
        self.place += 1

    def _next(self) -> str:
        """The next character that is no white space; it stays."""
        while True:
            while self.place < len(self.text) and self.text[self.place] in _SPACE:
                self.place += 1
            if self.place < len(self.text):
                return self.text[self.place]
            self._read_on()

    def _value(self) -> Any:
        self._next()
        size = CHUNK
        while True:
            try:
                value, end = self.parse(self.text, self.place)
            except (ValueError, RecursionError) as failure:
                if self.ended or isinstance(failure, RecursionError) or self._is_wrong(failure):
                    raise self._error(str(failure)) from None
            else:
                # a number that ends where our characters do may go on
                if end < len(self.text) or self.ended:
                    self.place = end
                    return value
            # twice as much each time: parsing anew from the value's beginning stays linear in its length
            self._read_on(size, fail_at_end=False)
            size *= 2

    def _is_wrong(self, failure: json.JSONDecodeError) -> bool:
        """Whether no further characters could mend it: what is merely cut off fails at the end, or as an open string."""
        return not failure.msg.startswith("Unterminated string") and failure.pos < len(self.text) - 16

    def _read_on(self, size: int = CHUNK, *, fail_at_end: bool = True) -> None:
        if self.ended:
            raise self._error("the file is cut short")
        try:
            content = self.stream.read(size)
            more = self.decode(content, final=not content)
        except UnicodeDecodeError as failure:
            raise self._error(f"not UTF-8: byte 0x{failure.object[failure.start]:02x}") from None
        except EOFError:
            raise self._error("the archive is cut short") from None
        except (gzip.BadGzipFile, zlib.error) as failure:
            raise self._error(f"not a sound gzip archive ({failure})") from None
        self.ended = not content
        if self.ended and fail_at_end and self.place == len(self.text):
            raise self._error("the file is cut short" if self.used or self.text else "an empty file")
        self.used += self.place
        self.text, self.place = self.text[self.place :] + more, 0

    def _expect_end(self) -> None:
        while not self.ended:
            self._read_on(fail_at_end=False)
            self.text = self.text.lstrip(_SPACE)
        if self.text[self.place :].strip(_SPACE):
            raise self._error("something follows the object")

    def _error(self, problem: str) -> UserError:
        where = f" (near character {self.used + self.place:,})"
        return UserError(f"not JSON: {problem}{where}", file=self.file, accepted=_ACCEPTED)
