"""The two files of Yelp's open data set that labels and texts are in, an object a line.

`yelp_academic_dataset_business.json`: `{"business_id", "name", ..., "categories": "Food, Coffee & Tea" | null}`; in rounds before
2018 a list of names. `yelp_academic_dataset_review.json`: `{"review_id", "business_id", "stars", ..., "text"}`. Both plain
or gzipped, also without the long prefix.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_mlc.data.reading import decoded_line, json_row
from hf_mlc.errors import UserError
from hf_mlc.label_checks import check_characters


PREFIX = "yelp_academic_dataset_"
# categories with a comma in their own name, which the list of a business does not mark
WITH_COMMA = (
    ("Beer", "Wine & Spirits"),
    ("Books", "Mags", "Music & Video"),
    ("Used", "Vintage & Consignment"),
    ("Wills", "Trusts", "& Probates"),
)


def find_file(folder: str | Path, name: str) -> Path:
    """The file of `name` (`"review"`, `"business"`). `UserError` where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            "no such folder", file=folder, field="yelp_dir", accepted="the folder of Yelp's unpacked files"
        )
    for stem in (f"{PREFIX}{name}", name):
        for ending in (".json", ".json.gz"):
            if (file := folder / f"{stem}{ending}").is_file():
                return file
    accepted = f"{PREFIX}{name}.json[.gz], out of yelp_dataset.tar"
    raise UserError(f"no file of {name}s", file=folder, field="yelp_dir", accepted=accepted)


def read_objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields `(line, object)`; blank lines are skipped, and counted."""
    number = 0
    try:
        opened = gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # noqa: SIM115
    except OSError as failure:
        raise UserError(f"cannot be opened ({failure.strerror})", file=file, accepted="a readable file") from None
    try:
        with opened as stream:
            for line in stream:
                number += 1
                if line.strip():
                    yield number, json_row(decoded_line(line, number, file=file), file=file, row=number)
    except EOFError:
        raise UserError("the archive is cut short", file=file, row=number + 1, accepted="a whole .gz file") from None
    except (gzip.BadGzipFile, zlib.error) as failure:
        problem = f"not a sound gzip archive ({failure})"
        raise UserError(problem, file=file, row=number + 1, accepted="a whole .gz file") from None


def string_of(row: dict[str, Any], key: str, *, file: Path, number: int) -> str:
    """A field that must be a string, possibly empty."""
    value = row.get(key)
    if not isinstance(value, str):
        raise UserError(f"found {value!r:.40}", file=file, row=number, field=key, accepted="a string")
    return value


def categories_of(row: dict[str, Any], *, file: Path, number: int) -> list[str]:
    """The categories of a business, each once, in their order; none where the field is null, missing or empty.

    A string is cut at its commas, and names that hold one themselves are put together again ([`WITH_COMMA`]). A name that can't be
    written as UTF-8 is an error here, before the pass over the reviews.
    """
    value = row.get("categories")
    if value is None:
        return []
    if isinstance(value, str):
        names = _whole_names([part.strip() for part in value.split(",")])
    elif isinstance(value, list) and all(isinstance(name, str) for name in value):
        names = [name.strip() for name in value]
    else:
        accepted = "a string with commas, a list of strings, or null"
        raise UserError(f"found {value!r:.40}", file=file, row=number, field="categories", accepted=accepted)
    names = list(dict.fromkeys(name for name in names if name))
    for name in names:
        check_characters(name, "a category", file=file, row=number, field="categories")
    return names


def _whole_names(parts: list[str]) -> list[str]:
    names, place = [], 0
    while place < len(parts):
        for pieces in WITH_COMMA:
            if tuple(parts[place : place + len(pieces)]) == pieces:
                names.append(", ".join(pieces))
                place += len(pieces)
                break
        else:
            names.append(parts[place])
            place += 1
    return names
