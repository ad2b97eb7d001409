"""How every command reads its arguments: a recipe in YAML, the command line on top, one line for a mistake."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser, PreTrainedConfig

from hf_mlc.errors import UserError


class OneLineParser(HfArgumentParser):
    """`HfArgumentParser` whose errors are `UserError`s instead of a usage text and an exit."""

    def error(self, message: str):
        raise UserError(message, accepted="what --help lists")


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The mapping in a recipe file.

    Raises:
        `UserError`: where the file is missing, no YAML, or no mapping of names to values.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't be read ({error.strerror})", file=path, accepted="a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"no YAML ({error})", file=path, accepted="a YAML recipe") from None
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=path, accepted="a mapping of argument names to values")
    return content


def parse_arguments(
    dataclass_types: type | Sequence[type],
    arguments: Sequence[str],
    *,
    extra_names: Sequence[str] = (),
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Fills dataclasses from `--config recipe.yaml` and the command line, which wins; `--help` prints and leaves.

    Args:
        dataclass_types (`type` or sequence of types): what the command takes.
        arguments (`Sequence[str]`): the command line.
        extra_names (`Sequence[str]`): further names accepted as `--name value`, the value read as YAML.

    Returns:
        The dataclasses; the values of `extra_names` that were given; and every value given, in recipe or command line,
        by name, which is the whole recipe of this run.

    Raises:
        `UserError`: an unknown argument (with the nearest known one), a value of the wrong type.
    """
    parser = OneLineParser(dataclass_types, allow_abbrev=False)  # a typo is no abbreviation
    own = OneLineParser([], add_help=False, allow_abbrev=False)
    own.add_argument("--config")
    found, rest = own.parse_known_args(list(arguments))
    recipe = read_recipe(found.config) if found.config else {}

    known = {name for dataclass in parser.dataclass_types for name in _field_names(dataclass)}
    for name in recipe:
        if name not in known and name not in extra_names:
            raise _unknown_argument(name, {*known, *extra_names}, file=found.config)

    rest = _with_value(rest, "--resume_from_checkpoint", "last")
    extra, rest = _take_extra(rest, {name for name in extra_names if name not in known})
    extra = {**{name: value for name, value in recipe.items() if name not in known}, **extra}
    from_recipe = [word for name, value in recipe.items() if name in known for word in _as_words(name, value)]
    try:
        *filled, unknown = parser.parse_args_into_dataclasses([*from_recipe, *rest], return_remaining_strings=True)
    except UserError:
        raise
    except ValueError as error:  # values that don't go together, as transformers' own arguments find them
        raise UserError(str(error), field="arguments") from None
    if unknown:
        raise _unknown_argument(unknown[0], {*known, *extra_names})
    given = {word[2:].split("=")[0] for word in rest if word.startswith("--")} | set(recipe)
    values = {name: getattr(part, name) for part in filled for name in _field_names(type(part)) if name in given}
    return filled, extra, {**values, **extra}


def config_names(config_class: type[PreTrainedConfig]) -> list[str]:
    """The fields of a configuration class that a user may set, transformers' own bookkeeping left out."""
    inherited = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = [field.name for field in dataclasses.fields(config_class) if field.name not in inherited]
    kept_by_us = {"label_space", "label_space_file", "label_count", "vocab_size", "pad_token_id", "unk_token_id"}
    return [name for name in own if name not in kept_by_us]


def _field_names(dataclass) -> list[str]:
    return [field.name for field in dataclasses.fields(dataclass) if field.init]


def _as_words(name: str, value: Any) -> list[str]:
    """One recipe entry as command-line words."""
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{name}", *(str(item) for item in value)]
    if isinstance(value, dict):
        return [f"--{name}", json.dumps(value)]
    return [f"--{name}", str(value)]


def _with_value(words: list[str], name: str, value: str) -> list[str]:
    """A flag given without a value gets one; transformers declares it as a string."""
    if name not in words:
        return words
    place = words.index(name) + 1
    alone = place == len(words) or words[place].startswith("--")
    return [*words[:place], value, *words[place:]] if alone else words


def _take_extra(words: list[str], names: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Splits `--name value` and `--name=value` of the given names off the other words."""
    extra, rest, position = {}, [], 0
    while position < len(words):
        name, equals, value = words[position].removeprefix("--").partition("=")
        if not words[position].startswith("--") or name not in names:
            rest.append(words[position])
            position += 1
            continue
        if not equals:
            position += 1
            if position == len(words):
                raise UserError("no value given", field=name)
            value = words[position]
        extra[name] = yaml.safe_load(value)
        position += 1
    return extra, rest


def _unknown_argument(name: str, names: set[str], *, file: str | None = None) -> UserError:
    close = difflib.get_close_matches(name.lstrip("-"), sorted(names), n=3)
    hint = f", did you mean {' or '.join(close)}?" if close else ""
    return UserError(f"unknown argument '{name}'{hint}", file=file, accepted="what --help lists")
