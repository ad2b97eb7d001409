"""Recipes: arguments in a YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from hf_mlc.errors import UserError


class YamlLoader(yaml.SafeLoader):
    """YAML as its version 1.2 reads it: `1e-2` is a number, which PyYAML takes for a string; `NO` and `on` are words, `010` is ten
    and `1:30` no number at all, which PyYAML, being of version 1.1, takes for truth values, eight and ninety."""


TRUTH_VALUES = ("yes", "no", "on", "off")
_TAG = "tag:yaml.org,2002:"
_OF_1_1 = {f"{_TAG}{name}" for name in ("bool", "int", "float", "timestamp")}
YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag not in _OF_1_1]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _form, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?\d+|0o[0-7]+|0x[\da-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    YamlLoader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_form})$"), list(_first))


def _integer(loader: YamlLoader, node: yaml.ScalarNode) -> int:
    word = loader.construct_scalar(node)
    return int(word, {"0o": 8, "0x": 16}.get(word[:2], 10))


YamlLoader.add_constructor(f"{_TAG}int", _integer)


def _content(text: str) -> Any:
    loader = YamlLoader(text)
    try:
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            for _, value in node.value:
                # style: none is plain, without quotes
                if isinstance(value, yaml.ScalarNode) and value.style is None and value.value.lower() in TRUTH_VALUES:
                    value.tag = f"{_TAG}bool"
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The mapping in a recipe file; a hyphen in a name is an underscore. Of an argument the whole value `yes`, `no`, `on` or `off` is a
    truth value, as it was before YAML 1.2; in a list, and in quotes, it is a word.

    Raises:
        `UserError`: where the file is missing, no YAML, or no mapping of names to values.
    """
    try:
        content = _content(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't be read ({error.strerror})", file=path, accepted="a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"no YAML ({error})", file=path, accepted="a YAML recipe") from None
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"found {type(content).__name__}"
        raise UserError(found, file=path, accepted="a mapping of argument names to values")
    return {str(name).replace("-", "_"): value for name, value in content.items()}
