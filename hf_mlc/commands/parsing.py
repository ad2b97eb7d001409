"""How every command reads its arguments: a recipe in YAML, the command line on top, one line for a mistake."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
from collections.abc import Sequence
from typing import Any

from transformers import HfArgumentParser, PreTrainedConfig, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from hf_mlc.commands.config_arguments import add_config_fields
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.errors import UserError


# lists that say something when they are empty
MAY_BE_EMPTY = {"end_biases"}


class OneLineParser(HfArgumentParser):
    """`HfArgumentParser` whose errors are `UserError`s instead of a usage text and an exit."""

    def error(self, message: str):
        raise UserError(message, accepted="what --help lists")


def parse_arguments(
    dataclass_types: type | Sequence[type],
    arguments: Sequence[str],
    *,
    config_classes: Sequence[type[PreTrainedConfig]] = (),
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Fills dataclasses from `--config recipe.yaml` and the command line, which wins; `--help` prints and leaves.

    Args:
        dataclass_types (`type` or sequence of types): what the command takes.
        arguments (`Sequence[str]`): the command line.
        config_classes (sequence of `type`): configurations whose fields are arguments too (`--hidden_size 300`).

    Returns:
        The dataclasses; the configuration fields that were given; and every value given, in recipe or command line, by
        name, which is the whole recipe of this run.

    Raises:
        `UserError`: an unknown argument (with the nearest known one), a value of the wrong type, values that don't go
            together, an argument that asks for a package which is not installed.
    """
    parser = OneLineParser(dataclass_types, allow_abbrev=False)  # a typo is no abbreviation
    for action in parser._actions:
        if action.dest in MAY_BE_EMPTY:
            action.nargs = "*"
    known = {name for dataclass in parser.dataclass_types for name in _field_names(dataclass)}
    parser.add_argument(
        "--config", metavar="FILE", help="A recipe: any of these arguments, in YAML.", default=argparse.SUPPRESS
    )
    add_config_fields(parser, config_classes, taken=known)
    names = {action.dest for action in parser._actions} - {"help", "config"}

    words = _normalised(arguments)
    own = OneLineParser([], add_help=False, allow_abbrev=False)
    own.add_argument("--config")
    found, words = own.parse_known_args(words)
    recipe = read_recipe(found.config) if found.config else {}
    for name, value in recipe.items():
        if name not in names:
            raise _unknown_argument(name, names, file=found.config)
        if value is None and name in known - _may_be_none(parser.dataclass_types):
            raise UserError("found null", file=found.config, field=name, accepted="a value, or no such line")

    words = _with_value(words, "--resume_from_checkpoint", "last")
    from_recipe = [word for name, value in recipe.items() for word in _as_words(name, value, several=name in known)]
    try:
        *parts, unknown = parser.parse_args_into_dataclasses([*from_recipe, *words], return_remaining_strings=True)
    except UserError:
        raise
    except (ValueError, ImportError) as error:  # as transformers' own arguments find them
        raise UserError(str(error), field="arguments") from None
    if unknown:
        raise _unknown_argument(unknown[0], names)
    filled, others = parts[: len(parser.dataclass_types)], parts[len(parser.dataclass_types) :]
    _check_reporters(filled)
    extra = vars(others[0]) if others else {}  # defaults are suppressed: only what was given is there
    given = _names_in(words, known) | set(recipe)
    values = {name: getattr(part, name) for part in filled for name in _field_names(type(part)) if name in given}
    return filled, extra, {**values, **extra}


def check_at_least(least: int, **values: int | None) -> None:
    """`UserError` for a value below `least`, by its argument's name; `None` passes."""
    for name, value in values.items():
        if value is not None and value < least:
            raise UserError(f"found {value}", field=name, accepted=f"{least} or more")


def check_probability(**values: float | None) -> None:
    """`UserError` for a value that is no probability, by its argument's name; `None` passes."""
    for name, value in values.items():
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"found {value}", field=name, accepted="0 to 1")


# -- words ----------------------------------------------------------------------------------------------------------


def _normalised(words: Sequence[str]) -> list[str]:
    """`--hidden-size` is `--hidden_size`."""
    normalised = []
    for word in words:
        name, equals, value = word.partition("=")
        normalised.append(f"--{name[2:].replace('-', '_')}{equals}{value}" if word.startswith("--") else word)
    return normalised


def _names_in(words: list[str], known: set[str]) -> set[str]:
    """The arguments that stand in a command line; `--no_NAME` is a value of NAME."""
    names = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    return {name if name in known else name.removeprefix("no_") for name in names}


def _as_words(name: str, value: Any, *, several: bool) -> list[str]:
    """One recipe entry as command-line words; a list is `several` of them (a dataclass's field), or one in JSON."""
    if value is None:
        return [] if several else [f"--{name}=none"]
    if isinstance(value, list) and several:
        return [f"--{name}", *(str(item) for item in value)]
    if isinstance(value, (list, dict)):
        return [f"--{name}={json.dumps(value)}"]
    return [f"--{name}={value}"]  # in one word: a value may begin with a hyphen


def _with_value(words: list[str], name: str, value: str) -> list[str]:
    """A flag given without a value gets one; transformers declares it as a string."""
    if name not in words:
        return words
    place = words.index(name) + 1
    alone = place == len(words) or words[place].startswith("--")
    return [*words[:place], value, *words[place:]] if alone else words


def _unknown_argument(name: str, names: set[str], *, file: str | None = None) -> UserError:
    close = difflib.get_close_matches(name.lstrip("-").partition("=")[0], sorted(names), n=3)
    hint = f", did you mean {' or '.join(close)}?" if close else ""
    return UserError(f"unknown argument '{name}'{hint}", file=file, accepted="what --help lists")


def _field_names(dataclass) -> list[str]:
    return [field.name for field in dataclasses.fields(dataclass) if field.init]


def _may_be_none(dataclass_types: Sequence[type]) -> set[str]:
    """The fields that are `None` unless something is given: to those null says nothing new."""
    return {field.name for part in dataclass_types for field in dataclasses.fields(part) if field.default is None}


def _check_reporters(filled: list[Any]) -> None:
    """Makes what `report_to` names once: the Trainer would find out only after all the data was read."""
    for part in filled:
        if not isinstance(part, TrainingArguments):
            continue
        try:
            for callback in get_reporting_integration_callbacks(part.report_to):
                callback()
        except (RuntimeError, ImportError, ValueError) as error:
            raise UserError(str(error), field="report_to", accepted="none, or what is installed") from None
