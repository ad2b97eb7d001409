"""How every command reads its arguments: a recipe in YAML, the command line on top, one line for a mistake."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers import HfArgumentParser, PreTrainedConfig, TrainingArguments
from transformers.hf_argparser import string_to_bool
from transformers.integrations import get_reporting_integration_callbacks

from hf_mlc.errors import UserError


class OneLineParser(HfArgumentParser):
    """`HfArgumentParser` whose errors are `UserError`s instead of a usage text and an exit."""

    def error(self, message: str):
        raise UserError(message, accepted="what --help lists")


class _YamlLoader(yaml.SafeLoader):
    """YAML as its version 1.2 reads it: `1e-2` is a number, which PyYAML takes for a string."""


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The mapping in a recipe file; a hyphen in a name is an underscore.

    Raises:
        `UserError`: where the file is missing, no YAML, or no mapping of names to values.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_YamlLoader)
    except OSError as error:
        raise UserError(f"can't be read ({error.strerror})", file=path, accepted="a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"no YAML ({error})", file=path, accepted="a YAML recipe") from None
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=path, accepted="a mapping of argument names to values")
    return {str(name).replace("-", "_"): value for name, value in content.items()}


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
    known = {name for dataclass in parser.dataclass_types for name in _field_names(dataclass)}
    parser.add_argument(
        "--config", metavar="FILE", help="A recipe: any of these arguments, in YAML.", default=argparse.SUPPRESS
    )
    _add_config_fields(parser, config_classes, taken=known)
    names = {action.dest for action in parser._actions} - {"help", "config"}

    words = _normalised(arguments)
    own = OneLineParser([], add_help=False, allow_abbrev=False)
    own.add_argument("--config")
    found, words = own.parse_known_args(words)
    recipe = read_recipe(found.config) if found.config else {}
    for name in recipe:
        if name not in names:
            raise _unknown_argument(name, names, file=found.config)

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


def config_names(config_class: type[PreTrainedConfig]) -> list[str]:
    """The fields of a configuration class that a user may set, transformers' own bookkeeping left out."""
    inherited = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = [field.name for field in dataclasses.fields(config_class) if field.name not in inherited]
    kept_by_us = {"label_space", "label_space_file", "label_count", "vocab_size", "pad_token_id", "unk_token_id"}
    return [name for name in own if name not in kept_by_us]


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
    """One recipe entry as command-line words; a list is `several` of them, or one in JSON."""
    if value is None:
        return []
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


# -- fields of a configuration as arguments -------------------------------------------------------------------------


def _add_config_fields(
    parser: argparse.ArgumentParser, config_classes: Sequence[type[PreTrainedConfig]], *, taken: set[str]
) -> None:
    """An argument a field, all under one heading of `--help`; architectures that share a name share the argument."""
    group = parser.add_argument_group("configuration of the model")
    fields: dict[str, list[dataclasses.Field]] = {}
    for config_class in config_classes:
        for field in dataclasses.fields(config_class):
            if field.name in config_names(config_class) and field.name not in taken:
                fields.setdefault(field.name, []).append(field)
    sentences = _sentences(config_classes)
    for name, same_name in fields.items():
        options = list(dict.fromkeys(option for field in same_name for option in _options(field.type)))
        default = same_name[0].default
        about = sentences.get(name, "")
        spelled = [f"--{name}", f"--{name.replace('_', '-')}"] if "_" in name else [f"--{name}"]
        group.add_argument(
            *spelled,
            dest=name,
            type=_reader(options),
            default=argparse.SUPPRESS,
            metavar=_shown(options),
            # what holds where nothing is given, the sentence on the argument says
            help=(about if default is None else f"{about} (default: {default})").strip().replace("%", "%%"),
            **({"nargs": "?", "const": True} if bool in options else {}),  # the flag alone means yes
        )


def _options(annotation: Any) -> list[Any]:
    """What a field's annotation allows: types, and the values of a `Literal`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [option for part in typing.get_args(annotation) for option in _options(part)]
    if origin is Literal:
        return list(typing.get_args(annotation))
    return [origin or annotation]


def _reader(options: list[Any]) -> Callable[[str], Any]:
    """Turns a word into the first of the allowed types that it fits."""
    choices = [option for option in options if not isinstance(option, type)]

    def read(word: str) -> Any:
        if types.NoneType in options and word.lower() in ("none", "null"):
            return None
        if word in choices:
            return word
        if bool in options:
            return string_to_bool(word)
        for number in (int, float):
            if number in options:
                try:
                    return number(word)
                except ValueError:
                    pass
        if list in options or dict in options:
            return _read_json(word, options)
        if str in options:
            return word
        raise argparse.ArgumentTypeError(f"found '{word}', expected {_shown(options)}")

    return read


def _read_json(word: str, options: list[Any]) -> Any:
    """A list or a mapping in JSON or YAML, which JSON is a part of."""
    try:
        value = yaml.load(word, Loader=_YamlLoader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise argparse.ArgumentTypeError(f"'{word}' is no JSON ({problem})") from None
    if type(value) not in options:
        raise argparse.ArgumentTypeError(f"found '{word}', expected {_shown(options)}")
    return value


def _shown(options: list[Any]) -> str:
    """What is accepted, as `--help` and error messages say it."""
    choices = [str(option) for option in options if not isinstance(option, type)]
    if choices:
        return "{" + ",".join(choices) + "}"
    names = {bool: "BOOL", int: "INT", float: "FLOAT", str: "TEXT", list: "LIST", dict: "JSON"}
    if float in options:
        options = [option for option in options if option is not int]
    return "|".join(names[option] for option in options if option in names)


def _sentences(config_classes: Sequence[type[PreTrainedConfig]]) -> dict[str, str]:
    """The first sentence on each argument in the docstrings of the classes and of what they are derived from."""
    found: dict[str, str] = {}
    for config_class in config_classes:
        for base in config_class.__mro__:
            if not issubclass(base, PreTrainedConfig) or base is PreTrainedConfig:
                continue
            entries = re.split(r"\n\s+(?=\w+ \(`)", inspect.cleandoc(base.__doc__ or ""))
            for entry in entries[1:]:
                match = re.match(r"(\w+) \(.*?\):\s+(.*)", entry, re.DOTALL)
                if match:
                    sentence = re.split(r"(?<=\.) ", " ".join(match[2].split()))[0]
                    found.setdefault(match[1], sentence[:1].upper() + sentence[1:])
    return found
