"""Text that came from data, made safe for Markdown: names of labels and extracts hold |, <, backticks and line ends."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


# with $ the Hub would begin a formula
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")


def escaped(value: object) -> str:
    """Plain text as Markdown that shows just that text, on one line; also fit for a cell of a table."""
    text = " ".join(str(value).split())
    text = "".join(character for character in text if character.isprintable())
    return _SPECIAL.sub(r"\\\1", html.escape(text, quote=False))


def code(value: object) -> str:
    """A value as inline code, on one line; one that holds a backtick or a bar is escaped text instead."""
    text = " ".join(str(value).split())
    return escaped(text) if not text or re.search(r"[`|<>]", text) else f"`{text}`"


def fenced(text: str, language: str = "") -> str:
    """A block of code, its fence longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already.

    Args:
        head (`list[str]`): the columns' names.
        rows (iterable of lists): the cells.
        numbers (`list[int]`, *optional*): the columns that are set to the right.
    """
    rule = ["---:" if place in numbers else "---" for place in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def prose(value: str | list[str] | None) -> str | None:
    """Hand-written Markdown: a text as it is, a list as bullets."""
    if not value:
        return None
    if isinstance(value, list):
        return "\n".join("- " + " ".join(item.split()) for item in value)
    return value.strip()
