"""Recipes: arguments in a YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from hf_mlc.errors import UserError


class YamlLoader(yaml.SafeLoader):
    """YAML as its version 1.2 reads it: `1e-2` is a number, which PyYAML takes for a string."""


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The mapping in a recipe file; a hyphen in a name is an underscore.

    Raises:
        `UserError`: where the file is missing, no YAML, or no mapping of names to values.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=YamlLoader)
    except OSError as error:
        raise UserError(f"can't be read ({error.strerror})", file=path, accepted="a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"no YAML ({error})", file=path, accepted="a YAML recipe") from None
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=path, accepted="a mapping of argument names to values")
    return {str(name).replace("-", "_"): value for name, value in content.items()}
