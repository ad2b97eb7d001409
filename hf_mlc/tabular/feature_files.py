"""The file that says what the features of a data set are: their names in order, and their types.

    {"feature_names": ["age", "work"], "feature_types": ["num", ["private", "public"]]}

`prepare-arff` writes it as features.json beside the rows; names may be given without types.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole


@dataclass(frozen=True)
class DeclaredFeatures:
    """Names of the features in order, and, where they are known, their types.

    Args:
        names (`list[str]`): the names.
        types (`list`, *optional*): of each `"num"`, `"category"` or the list of its categories.
    """

    names: list[str]
    types: list[Any] | None = None

    def of_columns(self, columns: list[str]) -> DeclaredFeatures:
        """Of those features that are columns of the data, in their order."""
        if self.types is None:
            return DeclaredFeatures(columns)
        type_of = dict(zip(self.names, self.types, strict=True))
        unknown = [name for name in columns if name not in type_of]
        if unknown:
            raise UserError(
                f"the feature file has no '{unknown[0]}'", field="feature_columns", accepted="features of the file"
            )
        return DeclaredFeatures(columns, [type_of[name] for name in columns])


def file_beside(source: str | Path | None, name: str) -> Path | None:
    """The file `name` in a data set's folder on this machine, or in the folder of a data file, where there is one."""
    if source is None:
        return None
    folder = Path(source) if not Path(source).is_file() else Path(source).parent
    return folder / name if (folder / name).is_file() else None


def read_feature_file(file: str | Path) -> DeclaredFeatures:
    """The features that a file declares.

    Raises:
        `UserError`: no such file, no JSON object with a list `feature_names`, as many types as names.
    """
    accepted = '{"feature_names": [...], "feature_types": [...]}, the types if known'
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"not JSON: {error}"
        raise UserError(f"can't be read ({reason})", file=file, field="feature_file", accepted=accepted) from None
    names = content.get("feature_names") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names:
        raise UserError("no list of names", file=file, field="feature_names", accepted=accepted)
    types = content.get("feature_types")
    if types is not None and (not isinstance(types, list) or len(types) != len(names)):
        raise UserError("not a type a feature", file=file, field="feature_types", accepted=accepted)
    return DeclaredFeatures(names, types)


def write_feature_file(file: Path, features: DeclaredFeatures) -> None:
    """Writes it, whole or not at all."""
    content = {"feature_names": features.names, "feature_types": features.types}
    with written_whole(file) as stream:
        json.dump(content, stream, ensure_ascii=False)
        stream.write("\n")
