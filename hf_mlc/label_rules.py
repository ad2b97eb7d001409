"""Rules between labels that a search follows, read from a file that names the labels.

[`~hf_mlc.modeling.configuration_sgm.SgmConfig`] has them as ids, which nobody knows before the label space is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


OF_LABEL_FILE = "label_file"  # in the place of parents: those that the label file has
_ACCEPTED = '{"parents": {"wheat": ["grain"]}, "exclusions": [["earn", "acq"]]}, one of the two or both'


def read_label_rules(file: str | Path, label_space: LabelSpace) -> dict[str, list[list[int]]]:
    """The rules of a file as fields of an SGM configuration.

    The file is a JSON object with one or both of

        {"parents": {"wheat": ["grain"], "corn": "grain"}, "exclusions": [["earn", "acq", "crude"]]}

    `parents`: labels that a label is written after, all of them; or `"label_file"`, for those that the label file has.
    `exclusions`: groups of labels of which a document gets one at most.

    Args:
        file (`str` or `Path`): the JSON file, in UTF-8.
        label_space (`LabelSpace`): the model's.

    Returns:
        `label_parents`, a list of ids a label, and `label_exclusions`, a list of ids a group; what the file doesn't name is left out.

    Raises:
        `UserError`: no such file, no JSON, another form, a name that is no label.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"not JSON: {error}"
        raise UserError(f"can't be read ({reason})", file=file, field="label_rules", accepted=_ACCEPTED) from None
    if not isinstance(content, dict) or not content or set(content) - {"parents", "exclusions"}:
        found = f"the keys {', '.join(content) or 'of nothing'}" if isinstance(content, dict) else "no JSON object"
        raise UserError(found, file=file, field="label_rules", accepted=_ACCEPTED)
    id_of = {name: label for label, name in enumerate(label_space.names)}
    rules = {}
    try:
        if "parents" in content:
            rules["label_parents"] = _parents(content["parents"], id_of, label_space.parents)
        if "exclusions" in content:
            rules["label_exclusions"] = _exclusions(content["exclusions"], id_of)
    except UserError as error:
        raise error.at(file=file) from None
    return rules


def _parents(given: Any, id_of: Mapping[str, int], of_label_file: np.ndarray | None) -> list[list[int]]:
    if given == OF_LABEL_FILE:
        if of_label_file is None:
            accepted = "a label_file that has parents, or parents here"
            raise UserError("the labels have no parents", field="parents", accepted=accepted)
        return [[parent] if parent >= 0 else [] for parent in of_label_file.tolist()]
    if not isinstance(given, dict):
        accepted = f'{{"child": ["parent", ...], ...}} or "{OF_LABEL_FILE}"'
        raise UserError(f"found {given!r}", field="parents", accepted=accepted)
    parents: list[list[int]] = [[] for _ in id_of]
    for child, some in given.items():
        (label,) = _ids([child], "parents", id_of)
        parents[label] = _ids([some] if isinstance(some, str) else some, "parents", id_of)
    return parents


def _exclusions(given: Any, id_of: Mapping[str, int]) -> list[list[int]]:
    if not isinstance(given, list):
        raise UserError(f"found {given!r}", field="exclusions", accepted='[["one", "another"], ...]')
    return [_ids(group, "exclusions", id_of) for group in given]


def _ids(names: Any, field: str, id_of: Mapping[str, int]) -> list[int]:
    """The ids of a list of names."""
    if not isinstance(names, list):
        raise UserError(f"found {names!r}", field=field, accepted="a list of labels' names")
    for name in names:
        if not isinstance(name, str) or name not in id_of:
            raise UserError(f"found {name!r}", field=field, accepted=f"names of the {len(id_of)} labels")
    return [id_of[name] for name in names]
