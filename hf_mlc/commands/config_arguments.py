"""Fields of an architecture's configuration as arguments of a command."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

import yaml
from transformers import PreTrainedConfig
from transformers.hf_argparser import string_to_bool

from hf_mlc.commands.recipes import YamlLoader
from hf_mlc.errors import UserError


def config_names(config_class: type[PreTrainedConfig]) -> list[str]:
    """The fields of a configuration class that a user may set, transformers' own bookkeeping left out."""
    inherited = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = [field.name for field in dataclasses.fields(config_class) if field.name not in inherited]
    kept_by_us = {"label_space", "label_space_file", "label_count", "vocab_size", "pad_token_id", "unk_token_id"}
    # of what was counted, not of what is asked for
    kept_by_us |= {"planting_fingerprint", "num_known_sets"}
    kept_by_us |= {"num_forest_trees", "num_forest_nodes", "num_forest_entries"}
    return [name for name in own if name not in kept_by_us]


def add_config_fields(
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


def read_field(field: dataclasses.Field, word: str) -> Any:
    """What a word means as the value of a configuration's field; `UserError` where it is none."""
    try:
        return _reader(_options(field.type))(word)
    except (argparse.ArgumentTypeError, ValueError):
        raise UserError(f"found '{word}'", field=field.name, accepted=_shown(_options(field.type))) from None


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
        value = yaml.load(word, Loader=YamlLoader)
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
