"""Tables of a MIMIC folder, one record at a time.

The files come as PhysioNet ships them: CSV, gzipped or not, column names in upper case (MIMIC-III) or lower case (its demo
and MIMIC-IV), texts quoted, with line breaks and doubled quotes inside. Memory does not grow with them.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from hf_mlc.errors import UserError


def find_table(folder: str | Path, name: str, *, inside: Sequence[str] = ("",), field: str = "mimic_dir") -> Path:
    """The file of a table, in whatever case it is spelled, plain before gzipped.

    Args:
        folder (`str` or `Path`): where the user says the tables are.
        name (`str`): the table, `"noteevents"`.
        inside (`list[str]`, *optional*): folders under `folder` to look in, in this order; `""` is `folder` itself.
        field (`str`, *optional*): the argument that named `folder`, for the error message.

    Raises:
        `UserError`: where there is no such folder or no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field=field, accepted="the folder of the downloaded tables")
    places = [place for part in inside if (place := folder / part).is_dir()]
    for place in places:
        spelled = {file.name.lower(): file for file in sorted(place.iterdir()) if file.is_file()}
        for ending in (".csv", ".csv.gz"):
            if (file := spelled.get(name.lower() + ending)) is not None:
                return file
    looked = ", ".join(str(Path(part) / f"{name}.csv[.gz]") for part in inside)
    raise UserError(
        f"no table {name}; looked for {looked}", file=folder, field=field, accepted="PhysioNet's file names"
    )


def read_table(
    file: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, tuple[str | None, ...]]]:
    """Yields `(row, values)`: the record's number counted from 1, and its values of `columns`, then of `optional`.

    Column names are compared in lower case. An optional column that is not there gives None everywhere.

    Raises:
        `UserError`: naming file and row, on a missing column, a record of the wrong width, a quote that is never closed,
            an archive that is broken or cut short, bytes that are no UTF-8.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # Python's default, 128 KiB, is shorter than a long note
    row = 0
    try:
        with _opened(file) as stream:
            records = csv.reader(stream, strict=True)
            header = [name.strip().lower() for name in next(records, [])]
            places, fill = _places(header, columns, optional, file)
            width = len(header)
            for row, record in enumerate(records, start=1):
                if len(record) != width:
                    if not record:  # a blank line, as some tools leave at the end
                        continue
                    raise UserError(
                        f"{len(record)} fields under a header of {width}",
                        file=file,
                        row=row,
                        accepted="as many fields as the header has",
                    )
                yield row, fill(places(record))
    except csv.Error as failure:
        raise UserError(f"not CSV ({failure})", file=file, row=row + 1, accepted="quotes that are closed") from None
    except UnicodeDecodeError as failure:
        raise UserError(
            f"not UTF-8: byte 0x{failure.object[failure.start]:02x}, in this row or soon after it",
            file=file,
            row=row + 1,
            accepted="UTF-8 text",
        ) from None
    except EOFError:
        raise UserError("the archive is cut short", file=file, row=row + 1, accepted="a whole .gz file") from None
    except (gzip.BadGzipFile, zlib.error) as failure:
        raise UserError(
            f"not a sound gzip archive ({failure})", file=file, row=row + 1, accepted="a whole .gz file"
        ) from None


def whole_number(value: str, *, file: Path, row: int, field: str) -> int:
    """An identifier as a number; `UserError` for anything that is none."""
    # pandas writes an id column that has gaps as 167853.0, and such copies of the tables are about
    digits = value.strip().removesuffix(".0")
    if not (digits.isascii() and digits.isdigit()):
        raise UserError(f"found '{value[:40]}'", file=file, row=row, field=field, accepted="a whole number")
    return int(digits)


def admission_of(hadm: str, subject: str, subject_of: dict[int, int], *, file: Path, row: int) -> int:
    """A record's hadm_id, whose patient is noted in `subject_of`; `UserError` where it was another's in an earlier row."""
    hadm_id = whole_number(hadm, file=file, row=row, field="hadm_id")
    subject_id = whole_number(subject, file=file, row=row, field="subject_id")
    if subject_of.setdefault(hadm_id, subject_id) != subject_id:
        raise UserError(
            f"admission {hadm_id} of patient {subject_id}, and of {subject_of[hadm_id]} in an earlier row",
            file=file,
            row=row,
            field="subject_id",
            accepted="one patient an admission",
        )
    return hadm_id


def _opened(file: Path) -> io.TextIOBase:
    try:
        raw = gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb")  # noqa: SIM115
    except OSError as failure:
        raise UserError(f"cannot be opened ({failure.strerror})", file=file, accepted="a readable file") from None
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")  # quoted line breaks are the reader's to see


def _places(header: list[str], columns: Sequence[str], optional: Sequence[str], file: Path):
    """What picks the wanted values out of a record, and what puts None in the places of missing columns."""
    for name in columns:
        if name not in header:
            found = ", ".join(header) or "an empty file"
            raise UserError(f"no such column; found: {found}", file=file, field=name, accepted=", ".join(columns))
    found_optional = [name for name in optional if name in header]
    wanted = [header.index(name) for name in (*columns, *found_optional)]
    pick = itemgetter(*wanted)
    if len(wanted) == 1:  # a getter of one gives the value itself
        return pick, lambda value: (value,)
    if len(found_optional) == len(optional):
        return pick, lambda values: values
    names = (*columns, *found_optional)
    order = [names.index(name) if name in names else None for name in (*columns, *optional)]
    return pick, lambda values: tuple(None if place is None else values[place] for place in order)
