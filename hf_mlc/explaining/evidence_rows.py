"""Rows whose labels come with the places in the text that a person marked as their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hf_mlc.data import Columns
from hf_mlc.data.reading import read_raw_rows
from hf_mlc.data.rows import RowForm, checked_row
from hf_mlc.errors import UserError


Spans = dict[str, list[tuple[int, int]]]


class EvidenceRow(NamedTuple):
    """`id`, `text`, `labels`, and `evidence`: each label's (start, end) characters, where any were marked."""

    id: str
    text: str
    labels: list[str]
    evidence: Spans


def read_evidence(file: str | Path) -> list[EvidenceRow]:
    """The rows of a JSON Lines file with the columns `id`, `text`, `labels` and `evidence`.

    `evidence` is either `{label: [[start, end], ...]}` or `[{"label": ..., "spans": [[start, end], ...]}, ...]`. An empty
    span, of which CodiEsp has a few, marks nothing.

    Raises:
        `UserError`: evidence that isn't there, has another form or isn't in the text, naming file and row.
    """
    rows = []
    columns, form = Columns(), RowForm(file=file)
    for number, raw in read_raw_rows(file, columns):
        row = checked_row(raw, columns, form, row=number)
        try:
            evidence = _spans(raw.get("evidence"), len(row["text"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"no evidence that can be read ({error})",
                file=file,
                row=number,
                field="evidence",
                accepted="{label: [[start, end], ...]}, characters of the text",
            ) from None
        rows.append(EvidenceRow(row["id"], row["text"], row["labels"], evidence))
    return rows


def _spans(evidence: Any, length: int) -> Spans:
    if isinstance(evidence, Mapping):
        entries = list(evidence.items())
    else:
        entries = [(entry["label"], entry["spans"]) for entry in evidence]
    found: Spans = {}
    for label, spans in entries:
        for start, end in spans:
            if not 0 <= start <= end <= length:
                raise ValueError(f"the span [{start}, {end}] in a text of {length} characters")
            if start < end:
                found.setdefault(label, []).append((start, end))
    return found
