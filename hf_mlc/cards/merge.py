"""Generated facts and the user's own words in one README.md.

What is generated stands between two markers; around them the file is the user's. Of the metadata, a key whose value is
still the generated one follows the next generation; a key that the user has set or changed stays as it is. To tell the two
apart, the generated part records a short hash of every metadata value it came with.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.utils import yaml_dump

from hf_mlc.errors import UserError


BEGIN, END = "<!-- hf_mlc: begin -->", "<!-- hf_mlc: end -->"
_MARKER = re.compile(rf"^[ \t]*({re.escape(BEGIN)}|{re.escape(END)})[ \t]*\r?$", re.MULTILINE)
_RECORD = re.compile(r"<!-- hf_mlc: metadata (\{.*?\}) -->")


def merge_card(own_text: str, generated: str) -> str:
    """The user's README with the generated facts of a new card in it; merging a second time changes nothing.

    Args:
        own_text (`str`): what is there: a README of the user's, or an earlier card, edited or not; may be empty.
        generated (`str`): a card as [`write_card`] makes it.

    Returns:
        `str`: the user's text, in which what stands between the markers is replaced; without markers, the generated
        part follows it. Metadata keys that the user set or changed keep the user's value and, as far as they can be
        told apart, the user's lines; the others are those of `generated`.

    Raises:
        `UserError`: a marker without its counterpart, or more than one pair; metadata that is no YAML mapping.
    """
    own, new = _Parts.of(own_text), _Parts.of(generated)
    assert new.block is not None, "a generated card has both markers"
    if own.block is not None:
        body = own.before + new.block + own.after
    elif own.before.strip():
        newline = "\r\n" if "\r\n" in own.before else "\n"
        body = own.before.rstrip() + 2 * newline + new.block + "\n"
    else:
        body = new.before + new.block + new.after
    return _header(own, new) + body


def metadata_record(metadata: dict[str, Any]) -> str:
    """The comment inside a generated part by which a later merge knows which metadata the user has touched."""
    return f"<!-- hf_mlc: metadata {json.dumps({key: _hash(value) for key, value in metadata.items()})} -->"


@dataclass
class _Parts:
    """A README in pieces: `header` (the YAML as text), `metadata` (as data), the text `before` the generated `block`,
    the block with its markers (`None` where there is none), the text `after` it."""

    header: str
    metadata: dict[str, Any]
    before: str
    block: str | None
    after: str

    @classmethod
    def of(cls, text: str) -> _Parts:
        text = text.removeprefix("\ufeff")
        found = REGEX_YAML_BLOCK.search(text)
        header, body = (found.group(2), text[found.end() :]) if found else ("", text)
        markers = list(_MARKER.finditer(body))
        if not markers:
            return cls(header, _metadata(header), body, None, "")
        if [marker.group(1) for marker in markers] != [BEGIN, END]:
            line = text[: len(text) - len(body) + markers[0].start()].count("\n") + 1
            raise UserError(
                "markers of the generated part that are no single pair",
                file="README.md",
                row=line,
                accepted=f"one line {BEGIN}, and after it one line {END}",
            )
        start, end = markers[0].start(), markers[1].end()
        return cls(header, _metadata(header), body[:start], body[start:end], body[end:])

    @property
    def record(self) -> dict[str, str]:
        """The hashes of the metadata that the block came with."""
        found = _RECORD.search(self.block or "")
        try:
            record = json.loads(found.group(1)) if found else {}
        except ValueError:  # somebody wrote into it: nothing is known then, and everything is the user's
            return {}
        return record if isinstance(record, dict) else {}


def _metadata(header: str) -> dict[str, Any]:
    try:
        metadata = yaml.safe_load(header) if header.strip() else {}
    except yaml.YAMLError as error:
        raise UserError(f"metadata that is no YAML ({error})", file="README.md", accepted="key: value lines") from None
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise UserError(
            f"metadata that is a {type(metadata).__name__}", file="README.md", accepted="a mapping of keys to values"
        )
    return metadata


def _header(own: _Parts, new: _Parts) -> str:
    """The metadata of both, the user's keys first and in their order."""
    record = own.record
    users = {key: value for key, value in own.metadata.items() if record.get(key) != _hash(value)}
    order = [key for key in own.metadata if key in users or key in new.metadata]
    order += [key for key in new.metadata if key not in own.metadata]
    merged = {key: users[key] if key in users else new.metadata[key] for key in order}
    if not merged:
        return ""
    lines = _lines_by_key(own.header)
    parts = [
        lines[key] if key in users and key in lines else yaml_dump({key: merged[key]}, sort_keys=False)
        for key in order
    ]
    text = "\n".join(part.strip("\r\n") for part in parts)
    if yaml.safe_load(text) != merged:  # an anchor, say, whose definition has gone
        text = yaml_dump(merged, sort_keys=False).strip()
    return f"---\n{text}\n---\n"


def _lines_by_key(header: str) -> dict[str, str]:
    """The user's own lines of every top-level key, comments above the first one and under each included."""
    found, above = {}, ""
    for piece in re.split(r"^(?=[^\s#-])", header, flags=re.MULTILINE):
        try:
            content = yaml.safe_load(piece)
        except yaml.YAMLError:
            continue
        if isinstance(content, dict) and len(content) == 1:
            found[next(iter(content))] = above + piece
            above = ""
        elif content is None:
            above += piece
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8")).hexdigest()[:8]
