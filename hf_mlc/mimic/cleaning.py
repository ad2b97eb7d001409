"""What is done to the words of a note."""

from __future__ import annotations

import re


CLEANINGS = ("caml", "edin", "none")

_WORD = re.compile(r"\w+")
# the same words less the numbers, in lower case, where all characters are ASCII's; three times as fast
_ASCII_WORD = re.compile("[0-9]*[a-z_][a-z0-9_]*")
_EDIN_WORD = re.compile("[0-9]*[a-z][a-z0-9]*")


def cleaned(text: str, how: str) -> str:
    """The note by CAML's rule, by Edin's, or as it is.

    `"caml"`: words only, in lower case, without those that are numbers through and through (500 goes, 250mg stays), a
    space between two. `"edin"`: likewise, but words are of the letters a to z and digits, so that an underscore is no word;
    MIMIC-IV has ___ in the place of every name and date. `"none"`: untouched, which suits a pretrained encoder with its own tokenizer.
    """
    if how == "none":
        return text
    if how == "edin":
        return " ".join(_EDIN_WORD.findall(text.lower()))
    if text.isascii():
        return " ".join(_ASCII_WORD.findall(text.lower()))
    return " ".join(word.lower() for word in _WORD.findall(text) if not word.isnumeric())
