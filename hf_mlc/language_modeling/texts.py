"""The texts a language model learns from: the training rows', and files without labels."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.reading import decoded_line, ending_of
from hf_mlc.data.rows import Columns
from hf_mlc.errors import UserError


def texts_of_file(
    file: str | Path, *, text_column: Sequence[str] = ("text",), field: str = "language_model_files"
) -> Iterator[str]:
    """The texts of a file: of `.txt` its lines that aren't blank, of any other form of rows its text column.

    `field` is the argument that named it, for the error message.
    """
    path = Path(file)
    if ending_of(path) != ".txt":
        for row in iterate_rows(path, columns=Columns(text=list(text_column), labels=None)):
            yield row["text"]
        return
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                text = decoded_line(line, number, file=path).strip()
                if text:
                    yield text
    except (OSError, EOFError, zlib.error) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise UserError(f"can't be read ({reason})", file=path, field=field, accepted="a readable file") from None


def token_ids(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, *, batch_size: int = 1000) -> list[np.ndarray]:
    """Each text's tokens, whole, four bytes a token; empty texts are left out."""
    texts, documents = iter(texts), []
    while batch := list(islice(texts, batch_size)):
        encoded = tokenizer(batch, truncation=False, return_attention_mask=False, verbose=False)
        documents.extend(np.asarray(ids, dtype=np.int32) for ids in encoded["input_ids"] if len(ids))
    return documents


def all_texts(
    train: Iterable[str],
    files: Sequence[str],
    *,
    text_column: Sequence[str] = ("text",),
    field: str = "language_model_files",
) -> Iterator[str]:
    """The training texts, then those of the files."""
    return chain(train, *(texts_of_file(file, text_column=text_column, field=field) for file in files))
