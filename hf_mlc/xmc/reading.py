"""The two layouts in which texts of extreme-classification benchmarks are handed about.

The repository's own: `trn.json(.gz)` and `tst.json(.gz)`, a document a line, `{"uid", "title", "content", "target_ind"}` with
the numbers of its labels, and the labels' names in the order of these numbers, one a line in `Y.txt`, `Yf.txt` or
`lbl.txt`, or as objects with a `title` in `lbl.json(.gz)`.

The older one, which came with AttentionXML and X-Transformer: `train_raw_texts.txt` or `train_texts.txt`, a document a line,
and beside it `train_labels.txt` or `train_raw_labels.txt` with the document's label names, a space between two; likewise
`test_…`.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hf_mlc.data.reading import decoded_line, json_row
from hf_mlc.errors import UserError


LABEL_FILES = ("lbl.json", "lbl.json.gz", "Y.txt", "Yf.txt", "lbl.txt", "Y.txt.gz", "Yf.txt.gz", "lbl.txt.gz")
JSON_FILES = {"train": "trn.json", "test": "tst.json"}
# the raw texts first: the others are cut into tokens, of EURLEX-4K even into stems
TEXT_FILES = ("{split}_raw_texts.txt", "{split}_texts.txt")
TEXT_LABEL_FILES = ("{split}_labels.txt", "{split}_raw_labels.txt")
# between title and body in some of these files
SEPARATOR = "/SEP/"
BLANKS = re.compile(r"[ \t\r\n]+")  # no others: a name may hold a space that does not break


@dataclass(frozen=True)
class Layout:
    """The files that were found: of each split its documents, and in the older layout its label sets."""

    kind: str
    documents: dict[str, Path]
    label_sets: dict[str, Path]
    label_names: Path | None


def find_layout(folder: str | Path) -> Layout:
    """Which layout a folder has. `UserError` where it has neither whole."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="xmc_dir", accepted="the folder of the unpacked data set")
    documents = {split: found for split, name in JSON_FILES.items() if (found := _first(folder, name, f"{name}.gz"))}
    if documents:
        _require(documents, folder, "trn.json[.gz] and tst.json[.gz]")
        names = _first(folder, *LABEL_FILES)
        if names is None:
            raise UserError("no label names", file=folder, field="xmc_dir", accepted=", ".join(LABEL_FILES[:5]))
        return Layout("json", documents, {}, names)
    found = {}
    for what, patterns in (("texts", TEXT_FILES), ("labels", TEXT_LABEL_FILES)):
        files = {
            split: path
            for split in ("train", "test")
            if (path := _first(folder, *(pattern.format(split=split) for pattern in patterns)))
        }
        _require(
            files, folder, f"trn.json and tst.json, or {{train,test}}_raw_texts.txt and {{train,test}}_{what}.txt"
        )
        found[what] = files
    return Layout("text", found["texts"], found["labels"], None)


def read_label_names(file: Path) -> tuple[list[str], dict[str, Any]]:
    """The names in the order of their numbers, each once, and what had to be done for it.

    A name that stands there twice gets its number behind it, and an empty one is its number. Some of the repository's
    files of names are no UTF-8 but Latin-1.
    """
    texts, encoding = _label_lines(file)
    if ".json" in file.suffixes:
        names = [_text(line, "title", file, row) for row, line in _objects(texts, file)]
    else:
        names = [text.strip() for text in texts]
    if not names:
        raise UserError("no label names", file=file, accepted="a name a line")
    counts = Counter(names)
    repeated = {name for name, count in counts.items() if count > 1}
    unique = [name if name and name not in repeated else _numbered(name, n, counts) for n, name in enumerate(names)]
    return unique, {"label_names_encoding": encoding, "repeated_label_names": len(repeated)}


def _numbered(name: str, number: int, taken: Counter[str]) -> str:
    """The name with its number behind it, in as many brackets as it takes for no other label to be called so."""
    numbered = f"[{number}]"
    while (whole := f"{name} {numbered}".strip()) in taken:
        numbered = f"[{numbered}]"
    return whole


def read_label_texts(file: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """The name of each label that has a text, and that text, title and content as of a document.

    Args:
        file (`Path`): `lbl.json`, plain or `.gz`.
        names (`list[str]`): what it found there.
    """
    for name, (row, line) in zip(names, _objects(_label_lines(file)[0], file), strict=True):
        text = _whole_text(line, file, row)
        if text:
            yield name, text


def label_names_for(file: Path, num_labels: int | None) -> tuple[list[str] | None, Path | None]:
    """The names of all labels of a file of sparse rows, and the file beside it that they are from.

    Args:
        file (`Path`): of rows, or of their labels.
        num_labels (`int`, *optional*): how many its first line says.

    Returns:
        Where no file beside it has names, the labels' numbers, or `None` where the first line says nothing.

    Raises:
        `UserError`: another number of names than of labels; what is wrong with the file of names.
    """
    found = _first(file.parent, *LABEL_FILES)
    if found is None:
        return None if num_labels is None else [str(number) for number in range(num_labels)], None
    names = read_label_names(found)[0]
    if num_labels not in (None, len(names)):
        accepted = f"{num_labels:,}, as the first line of {file} says; or another name for this file"
        raise UserError(f"{len(names):,} names of labels", file=found, accepted=accepted)
    return names, found


def read_json_documents(file: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of `trn.json` or `tst.json`."""
    for number, raw in enumerate(_raw_lines(file), start=1):
        if not raw.strip():
            continue
        line = json_row(decoded_line(raw, number, file=file), file=file, row=number)
        text = _whole_text(line, file, number)
        targets = line.get("target_ind")
        if not isinstance(targets, list):
            raise UserError(
                f"found {targets!r:.40}", file=file, row=number, field="target_ind", accepted="a list of label numbers"
            )
        relevances = line.get("target_rel", [1.0] * len(targets))
        numbers = isinstance(relevances, list) and all(map(_is_number, relevances))
        if not numbers or len(relevances) != len(targets):
            accepted = "a number for each of target_ind"
            raise UserError(f"found {relevances!r:.40}", file=file, row=number, field="target_rel", accepted=accepted)
        for target in targets:
            if not isinstance(target, int) or isinstance(target, bool) or not 0 <= target < len(names):
                raise UserError(
                    f"found {target!r:.40}",
                    file=file,
                    row=number,
                    field="target_ind",
                    accepted=f"0 to {len(names) - 1}, the lines of the label names",
                )
        labels = [names[target] for target, relevance in zip(targets, relevances, strict=True) if relevance > 0]
        uid = line.get("uid")
        yield {"id": str(number if uid is None else uid), "text": text, "labels": list(dict.fromkeys(labels))}


def read_text_documents(texts: Path, labels: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of texts and its file of label sets, line by line."""
    pairs = zip_longest(_raw_lines(texts), _raw_lines(labels))
    for number, (text, names) in enumerate(pairs, start=1):
        if text is None or names is None:
            longer, shorter = (labels, texts) if text is None else (texts, labels)
            raise UserError(
                f"ends before line {number} of {longer.name}",
                file=shorter,
                row=number,
                accepted="files of equal length",
            )
        text = decoded_line(text, number, file=texts).strip().replace(f" {SEPARATOR} ", "\n").replace(SEPARATOR, "\n")
        yield {
            "id": str(number),
            "text": text,
            "labels": list(dict.fromkeys(filter(None, BLANKS.split(decoded_line(names, number, file=labels))))),
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _first(folder: Path, *names: str) -> Path | None:
    return next((path for name in names if (path := folder / name).is_file()), None)


def _require(files: dict[str, Path], folder: Path, accepted: str) -> None:
    for split in ("train", "test"):
        if split not in files:
            raise UserError(f"no documents or no labels of {split}", file=folder, field="xmc_dir", accepted=accepted)


def _raw_lines(file: Path) -> Iterator[bytes]:
    number = 0
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            for line in stream:
                number += 1
                yield line
    except gzip.BadGzipFile as failure:
        raise _unsound(file, number + 1, failure) from None
    except OSError as failure:
        reason = failure.strerror or failure
        raise UserError(f"cannot be opened ({reason})", file=file, accepted="a readable file") from None
    except EOFError:
        raise UserError("the archive is cut short", file=file, row=number + 1, accepted="a whole .gz file") from None
    except zlib.error as failure:
        raise _unsound(file, number + 1, failure) from None


def _unsound(file: Path, row: int, failure: Exception) -> UserError:
    return UserError(f"not a sound gzip archive ({failure})", file=file, row=row, accepted="a whole .gz file")


def _text(line: dict[str, Any], key: str, file: Path, row: int) -> str:
    value = line.get(key) or ""
    if not isinstance(value, str):
        raise UserError(f"found {value!r:.40}", file=file, row=row, field=key, accepted="a string")
    return value.strip()


def _whole_text(line: dict[str, Any], file: Path, row: int) -> str:
    return "\n".join(part for key in ("title", "content") if (part := _text(line, key, file, row)))


def _label_lines(file: Path) -> tuple[list[str], str]:
    """The lines of a file of label names, and their encoding."""
    lines = list(_raw_lines(file))
    try:
        return [line.decode("utf-8-sig" if n == 0 else "utf-8") for n, line in enumerate(lines)], "utf-8"
    except UnicodeDecodeError:
        return [line.decode("latin-1") for line in lines], "latin-1"


def _objects(texts: list[str], file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, text in enumerate(texts, start=1):
        if text.strip():
            yield row, json_row(text, file=file, row=row)
