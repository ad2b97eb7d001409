"""card.yaml: the few things about a model that no run can know, written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from hf_mlc.cards.merge import BEGIN, END
from hf_mlc.errors import UserError


CARD_FILE = "card.yaml"
_DATASET_KEYS = {"name", "id", "url", "license", "description", "command"}
_WIDGET_KEYS = {"text", "title"}


@dataclass
class CardWords:
    """The hand-written part of a card. Texts are Markdown; whatever is not given becomes an HTML comment in the card.

    Args:
        pretty_name (`str`, *optional*): the card's title.
        license (`str`, *optional*): a licence id of the Hub (`apache-2.0`), or `other` with the two that follow.
        license_name, license_link (`str`, *optional*): of a licence that the Hub has no id for.
        language (`str` or `list[str]`, *optional*): ISO 639 codes.
        tags (`list[str]`, *optional*): besides those that follow from the model.
        base_model (`str` or `list[str]`, *optional*): Hub ids of what the weights started from.
        dataset (`dict`, *optional*): `name`, `id` (on the Hub), `url`, `license`, `description`, `command` (which makes
            or fetches it).
        show_examples (`bool`, *optional*, defaults to `False`): whether texts of the data set may be shown.
        widget (`list[dict]`, *optional*): texts to try the model with, `text` and `title`; shown on the Hub, in the Space
            and in the card's snippet, so they must be free to publish.
        summary, intended_use, risks, known_issues (`str` or `list[str]`, *optional*): prose; a list becomes bullets.
    """

    pretty_name: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: str | list[str] | None = None
    tags: list[str] = field(default_factory=list)
    base_model: str | list[str] | None = None
    dataset: dict[str, str] = field(default_factory=dict)
    show_examples: bool = False
    widget: list[dict[str, str]] = field(default_factory=list)
    summary: str | list[str] | None = None
    intended_use: str | list[str] | None = None
    risks: str | list[str] | None = None
    known_issues: str | list[str] | None = None


def read_words(file: Path | None) -> CardWords:
    """The content of a card.yaml; nothing known where there is no file.

    Raises:
        `UserError`: it can't be read, is no YAML, or holds a key or a value that a card has no place for.
    """
    if file is None:
        return CardWords()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't be read ({error.strerror})", file=file, accepted="a card.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"no YAML ({error})", file=file, accepted="a card.yaml") from None
    if content is None:
        return CardWords()
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=file, accepted="a mapping of keys to values")
    known = [item.name for item in fields(CardWords)]
    for key in content:
        if key not in known:
            raise UserError(f"unknown key '{key}'", file=file, accepted=", ".join(known))
    words = CardWords(**{key: value for key, value in content.items() if value is not None})
    _check(words, file)
    return words


def _check(words: CardWords, file: Path) -> None:
    for key in ("pretty_name", "license", "license_name", "license_link"):
        _expect(getattr(words, key), (str,), file, key, "a text")
    for key in ("language", "base_model", "summary", "intended_use", "risks", "known_issues"):
        value = getattr(words, key)
        # YAML reads the language `no` as a truth value
        _expect(value, (str, list), file, key, "a text (in quotes where YAML would not see one), or a list of texts")
        for item in value if isinstance(value, list) else []:
            _expect(item, (str,), file, key, "a list of texts")
    _expect(words.tags, (list,), file, "tags", "a list of texts")
    _expect(words.show_examples, (bool,), file, "show_examples", "true or false")
    _expect(words.dataset, (dict,), file, "dataset", ", ".join(sorted(_DATASET_KEYS)))
    for key, value in words.dataset.items():
        if key not in _DATASET_KEYS:
            raise UserError(
                f"unknown key '{key}'", file=file, field="dataset", accepted=", ".join(sorted(_DATASET_KEYS))
            )
        _expect(value, (str,), file, f"dataset.{key}", "a text")
    _expect(words.widget, (list,), file, "widget", "a list of `text:` entries")
    for place, entry in enumerate(words.widget):
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str) or set(entry) - _WIDGET_KEYS:
            raise UserError(
                f"found {entry!r}", file=file, row=place + 1, field="widget", accepted="text: ..., title: ..."
            )
    if words.license == "other" and not words.license_name:
        raise UserError("license is other", file=file, field="license_name", accepted="a name for it")
    for key in ("pretty_name", "summary", "intended_use", "risks", "known_issues"):
        if any(marker in str(getattr(words, key)) for marker in (BEGIN, END)):
            raise UserError("holds a marker of the generated part", file=file, field=key, accepted="any other text")


def _expect(value: Any, types: tuple[type, ...], file: Path, key: str, accepted: str) -> None:
    if value is not None and not isinstance(value, types):
        raise UserError(f"found {value!r}", file=file, field=key, accepted=accepted)
