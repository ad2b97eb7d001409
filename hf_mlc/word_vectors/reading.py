"""Word vectors out of files: word2vec's and GloVe's text, or a matrix (.npy, .safetensors) with a list of its words.

Text has a word and its numbers on a line, separated by spaces; word2vec's begins with a line "WORDS NUMBERS", GloVe's
doesn't. Either may be gzipped, and so may .npy and the list of words. Nothing that is pickled is ever opened.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from hf_mlc.data.reading import decoded_line
from hf_mlc.errors import UserError


MATRICES = (".npy", ".safetensors")
REFUSED = (".bin", ".kv", ".model", ".npz", ".pickle", ".pkl", ".pt", ".pth")
ACCEPTED = "text of word2vec or GloVe, .npy or .safetensors (text and .npy also with .gz)"


class WordVectors(NamedTuple):
    """`words`, their vectors `(W, E)` in float32, and how many rows the file has."""

    words: list[str]
    vectors_WE: np.ndarray
    num_rows: int


def read_word_vectors(
    file: str | Path, *, vocabulary: str | Path | None = None, keep: Callable[[str], bool] | None = None
) -> WordVectors:
    """Reads a file of word vectors, by its ending.

    Args:
        file (`str` or `Path`): `.npy`, `.safetensors`, or text under any other name; `.gz` after it where gzipped.
        vocabulary (`str` or `Path`, *optional*): the words of a matrix's rows: a word a line, or a JSON list of words, or a
            JSON object of words and row numbers from 0. A text file needs none.
        keep (callable, *optional*): which words are wanted; the others are passed over, and their numbers not read.

    Returns:
        `WordVectors`: in the file's order, each word once; of a word that comes again the first row counts.

    Raises:
        `UserError`: a file that isn't there, cut short, or of a form that isn't read; naming the row of a line that
            holds too few numbers, or what is no number, or an infinite one.
    """
    path = check_word_vectors(file, vocabulary=vocabulary)
    if ending_of(path) in MATRICES:
        matrix_WE = _matrix(path)
        words = _vocabulary(Path(vocabulary))
        if len(words) != len(matrix_WE):
            raise UserError(
                f"{len(words)} words for the {len(matrix_WE)} rows of {path.name}", file=vocabulary,
                field="word_vectors_vocabulary", accepted="as many words as the matrix has rows",
            )  # fmt: skip
        rows = ((number, word, matrix_WE[number - 1]) for number, word in enumerate(words, start=1))
        num_rows, width = len(words), matrix_WE.shape[1]
    else:
        rows, num_rows, width = _text_rows(path), None, None
    places, vectors, last = {}, [], 0
    for number, word, numbers in rows:
        last = number
        if word in places or (keep is not None and not keep(word)):
            continue
        places[word] = len(vectors)
        vectors.append(_as_vector(numbers, path, number))
    if num_rows is None:
        num_rows, width = last - _header_lines(path), text_width(path)
    vectors_WE = np.stack(vectors) if vectors else np.zeros((0, width), np.float32)
    return WordVectors(list(places), vectors_WE, num_rows)


def check_word_vectors(file: str | Path, *, vocabulary: str | Path | None = None) -> Path:
    """`UserError` unless this is a file, of a form that is read, and a matrix comes with its words."""
    path = Path(file)
    if not path.is_file():
        raise UserError("no such file", file=path, field="word_vectors", accepted=ACCEPTED + ", or 'corpus'")
    ending = ending_of(path)
    if ending in REFUSED:
        raise UserError(
            f"a file ending in {ending} may be pickled or binary, and is not opened", file=path, field="word_vectors",
            accepted=ACCEPTED,
        )  # fmt: skip
    if ending in MATRICES and vocabulary is None:
        raise UserError(
            "a matrix without words", file=path, field="word_vectors_vocabulary", accepted="a file of the rows' words"
        )
    if ending not in MATRICES and vocabulary is not None:
        raise UserError(
            "a text file has its words in it", file=path, field="word_vectors_vocabulary", accepted="none given"
        )
    if vocabulary is not None and not Path(vocabulary).is_file():
        raise UserError("no such file", file=vocabulary, field="word_vectors_vocabulary", accepted="a file of words")
    return path


def width_of(file: str | Path) -> int:
    """How many numbers a word has, without reading more than that takes."""
    path = Path(file)
    return _matrix(path).shape[1] if ending_of(path) in MATRICES else text_width(path)


def ending_of(path: Path) -> str:
    """The ending that tells the form, `.gz` left out."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _as_vector(numbers, path: Path, row: int) -> np.ndarray:
    try:
        vector_E = np.array(numbers, dtype=np.float32)
    except ValueError:
        wrong = next(number for number in numbers if not _is_number(number))
        raise UserError(f"found '{wrong}'", file=path, row=row, accepted="a word, then numbers") from None
    if not np.isfinite(vector_E).all():
        raise UserError("a number that is not finite", file=path, row=row, accepted="finite numbers")
    return vector_E


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# -- text -----------------------------------------------------------------------------------------------------------


def text_width(path: Path) -> int:
    """How many numbers a word has in a text file: as its first line says, or, without such a line, has."""
    header = _header_of(path)
    return header[1] if header is not None else len(next(_fields(path))[1]) - 1


def _header_lines(path: Path) -> int:
    return int(_header_of(path) is not None)


def _header_of(path: Path) -> tuple[int, int] | None:
    """word2vec's first line, `(words, numbers)`; `None` where the first line is a word with its numbers."""
    first = next(_fields(path), None)
    if first is None:
        raise UserError("an empty file", file=path, field="word_vectors", accepted=ACCEPTED)
    fields = first[1]
    if len(fields) == 2 and all(field.isascii() and field.isdigit() for field in fields):
        found = int(fields[0]), int(fields[1])
        if min(found) < 1:
            raise UserError(f"found '{' '.join(fields)}'", file=path, row=1, accepted="WORDS NUMBERS, both above 0")
        return found
    if len(fields) < 2:
        raise UserError(f"found '{fields[0][:40]}' alone", file=path, row=1, accepted="a word, then its numbers")
    return None


def _text_rows(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """`(line number, word, numbers as text)` of each line but word2vec's first."""
    header, width, number = _header_of(path), text_width(path), 0
    for number, fields in _fields(path):
        if number == 1 and header is not None:
            continue
        if len(fields) <= width:
            raise UserError(
                f"{len(fields) - 1} numbers, where the first line has {width}", file=path, row=number,
                accepted=f"a word, then {width} numbers",
            )  # fmt: skip
        # what is in front of the numbers is the word; GloVe's largest file has words with spaces in them
        yield number, " ".join(fields[:-width]), fields[-width:]
    if header is not None and number - 1 != header[0]:
        raise UserError(
            f"{number - 1} words, and the first line says {header[0]}", file=path, row=number, accepted="a whole file"
        )


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The numbered lines, cut at spaces and tabs (a word may hold other kinds of blank)."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = decoded_line(line, number, file=path).rstrip("\r\n \t").replace("\t", " ")
                yield number, text.split(" ")
    except (OSError, EOFError, zlib.error) as failure:
        raise _unreadable(path, failure, "word_vectors") from None


def _unreadable(path: Path, failure: Exception, field: str) -> UserError:
    reason = getattr(failure, "strerror", None) or failure
    return UserError(f"can't be read ({reason})", file=path, field=field, accepted="a whole, readable file")


# -- matrices -------------------------------------------------------------------------------------------------------


def _matrix(path: Path) -> np.ndarray:
    """A matrix of floats; one of .npy is mapped into memory, not read."""
    try:
        if ending_of(path) == ".safetensors":
            matrix = _only_tensor(path)
        elif path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as stream:
                matrix = np.lib.format.read_array(stream, allow_pickle=False)
        else:
            matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, zlib.error, SafetensorError) as failure:
        if isinstance(failure, UserError):
            raise
        raise _unreadable(path, failure, "word_vectors") from None
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating) or 0 in matrix.shape:
        raise UserError(
            f"an array of {matrix.dtype} and shape {matrix.shape}", file=path, field="word_vectors",
            accepted="a matrix of floats, a row a word",
        )  # fmt: skip
    return matrix


def _only_tensor(path: Path) -> np.ndarray:
    with safe_open(path, framework="pt") as tensors:  # torch knows bfloat16, numpy doesn't
        names = list(tensors.keys())
        if len(names) != 1:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise UserError(
                f"{len(names)} tensors ({shown})", file=path, field="word_vectors", accepted="a file of one matrix"
            )
        tensor = tensors.get_tensor(names[0])
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _vocabulary(path: Path) -> list[str]:
    """The words of a matrix's rows, in order."""
    if ending_of(path) != ".json":
        return [word for _, word in _word_lines(path)]
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            content = json.load(stream)
    except (OSError, EOFError, ValueError, zlib.error) as failure:
        raise _unreadable(path, failure, "word_vectors_vocabulary") from None
    if isinstance(content, dict):
        if sorted(content.values(), key=str) != sorted(range(len(content)), key=str):
            raise UserError(
                "row numbers that leave one out or repeat one", file=path, field="word_vectors_vocabulary",
                accepted=f"each of 0 to {len(content) - 1} once",
            )  # fmt: skip
        content = sorted(content, key=content.get)
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise UserError(
            "no list of words", file=path, field="word_vectors_vocabulary",
            accepted='["word", ...] or {"word": row, ...}',
        )  # fmt: skip
    return content


def _word_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                word = decoded_line(line, number, file=path).rstrip("\r\n")
                if not word:
                    raise UserError("an empty line", file=path, row=number, accepted="a word a line")
                yield number, word
    except (OSError, EOFError, zlib.error) as failure:
        raise _unreadable(path, failure, "word_vectors_vocabulary") from None
