"""What the Hub checks in a card's metadata before it takes it, as far as it is known from its documentation and messages.

The wording follows the Hub's: `"license" must be one of [...]`.
"""

from __future__ import annotations

import re
from typing import Any

import yaml


_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0
openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
LICENSES = frozenset(_LICENSES.split())
SDKS = ("gradio", "docker", "static")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_REPO_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TEXTS = ("library_name", "pipeline_tag", "license_name", "license_link", "thumbnail", "title")
_LISTS = ("tags", "datasets", "metrics", "widget", "model-index", "language", "task_categories", "configs")


class _NoDuplicates(yaml.SafeLoader):
    """The Hub's parser refuses a key that stands twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicated mapping key {twice[0]!r}", node.start_mark
            )
        return super().construct_mapping(node, deep)


def front_matter(content: str) -> Any:
    """The metadata block of a card, parsed; `None` where there is none. Raises `yaml.YAMLError`."""
    found = _FRONT_MATTER.match(content)
    return yaml.load(found[1], Loader=_NoDuplicates) if found else None


def check_card(content: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Errors and warnings on the metadata of a README.md."""
    try:
        metadata = front_matter(content)
    except yaml.YAMLError as error:
        return [f"YAML Metadata Error: {getattr(error, 'problem', None) or error}"], []
    if metadata in (None, {}):
        if repo_type == "space":
            return ["Missing configuration in README"], []
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(metadata, dict):
        return ["YAML Metadata Error: the metadata must be an object"], []
    errors: list[str] = []
    _check_common(metadata, errors)
    if repo_type == "model":
        _check_model(metadata, errors)
    elif repo_type == "space":
        _check_space(metadata, errors)
    return errors, []


def _check_common(metadata: dict, errors: list[str]) -> None:
    for key in _TEXTS:
        if key in metadata and not isinstance(metadata[key], str):
            errors.append(f'"{key}" must be a string')
    for key in _LISTS:
        value = metadata.get(key, [])
        if key == "language" and isinstance(value, str):
            continue
        if not isinstance(value, list):
            errors.append(f'"{key}" must be an array')
    for key in ("tags", "datasets", "metrics", "language"):
        for place, value in enumerate(_items(metadata, key)):
            if not isinstance(value, str):
                errors.append(f'"{key}[{place}]" must be a string')
    licenses = metadata.get("license", [])
    for name in licenses if isinstance(licenses, list) else [licenses]:
        if name not in LICENSES:
            errors.append(f'"license" must be one of [{", ".join(sorted(LICENSES))}]')
    for place, name in enumerate(_items(metadata, "language")):
        if isinstance(name, str) and name != name.lower():
            errors.append(f'"language[{place}]" must only contain lowercase characters')
        elif isinstance(name, str) and not re.fullmatch(r"[a-z]{2,3}([-_][a-z0-9]+)*|code|multilingual", name):
            errors.append(
                f'"language[{place}]" with value "{name}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code'
            )
    for place, name in enumerate(_items(metadata, "datasets")):
        if isinstance(name, str) and not _REPO_ID.fullmatch(name):
            errors.append(
                f'"datasets[{place}]" with value "{name}" is not valid. '
                "If possible, use a dataset id from https://hf.co/datasets."
            )


def _check_model(metadata: dict, errors: list[str]) -> None:
    for place, name in enumerate(_items(metadata, "base_model")):
        if not isinstance(name, str) or not _REPO_ID.fullmatch(name):
            errors.append(
                f'"base_model[{place}]" with value "{name}" is not valid. Use a model id from https://hf.co/models.'
            )
    for place, example in enumerate(_items(metadata, "widget")):
        if not isinstance(example, dict):
            errors.append(f'"widget[{place}]" must be of type object')
    for place, entry in enumerate(_items(metadata, "model-index")):
        at = f"model-index[{place}]"
        if not isinstance(entry, dict):
            errors.append(f'"{at}" must be of type object')
            continue
        _require(entry, at, errors, name=str, results=list)
        for number, result in enumerate(_items(entry, "results")):
            _check_result(result, f"{at}.results[{number}]", errors)


def _check_result(result: Any, at: str, errors: list[str]) -> None:
    if not isinstance(result, dict):
        errors.append(f'"{at}" must be of type object')
        return
    _require(result, at, errors, task=dict, dataset=dict, metrics=list)
    if isinstance(task := result.get("task"), dict):
        _require(task, f"{at}.task", errors, type=str)
    if isinstance(dataset := result.get("dataset"), dict):
        _require(dataset, f"{at}.dataset", errors, type=str, name=str)
    for number, metric in enumerate(_items(result, "metrics")):
        where = f"{at}.metrics[{number}]"
        if not isinstance(metric, dict):
            errors.append(f'"{where}" must be of type object')
            continue
        _require(metric, where, errors, type=str)
        if metric.get("value") is None:
            errors.append(f'"{where}.value" is required')
        elif isinstance(metric["value"], float) and metric["value"] != metric["value"]:
            errors.append(f'"{where}.value" must be a number')


def _check_space(metadata: dict, errors: list[str]) -> None:
    if "sdk" not in metadata:
        errors.append('"sdk" is required')
    elif metadata["sdk"] not in SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SDKS)}]')
    for key in ("colorFrom", "colorTo"):
        if key in metadata and metadata[key] not in COLORS:
            errors.append(f'"{key}" must be one of [{", ".join(COLORS)}]')
    if len(str(metadata.get("short_description", ""))) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    if "sdk_version" in metadata and not isinstance(metadata["sdk_version"], str):
        errors.append('"sdk_version" must be a string')


def _require(entry: dict, at: str, errors: list[str], **fields: type) -> None:
    names = {str: "a string", list: "an array", dict: "of type object"}
    for name, kind in fields.items():
        if name not in entry:
            errors.append(f'"{at}.{name}" is required')
        elif not isinstance(entry[name], kind):
            errors.append(f'"{at}.{name}" must be {names[kind]}')


def _items(metadata: dict, key: str) -> list:
    value = metadata.get(key)
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
