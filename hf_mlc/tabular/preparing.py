"""ARFF files as a data set for `train`: rows in JSON Lines, the labels' names, the features' names and types.

A dense file becomes rows of lists, a sparse one rows of objects by position. There a nominal attribute of two values is written
as the number of its value (0 is the header's first, which Weka leaves out); of one with more values every row holds its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.data.writing import FEATURES_FILE, write_data_set
from hf_mlc.errors import UserError
from hf_mlc.tabular.arff import ArffFile, Attribute
from hf_mlc.tabular.feature_files import DeclaredFeatures, write_feature_file
from hf_mlc.tabular.mulan import label_attributes


DATA_SET = "data"


@dataclass(frozen=True)
class _Layout:
    """What each attribute is.

    Args:
        labels (`dict[int, str]`): positions of labels, and their names.
        features (`list[int]`): positions of features, in the order of the rows.
        id (`int`, *optional*): position of the rows' name.
        sparse (`bool`): whether rows leave zeros out.
    """

    labels: dict[int, str]
    features: list[int]
    id: int | None
    sparse: bool


def prepare_arff(
    arff: str | Path,
    output: Path,
    *,
    xml: str | Path | None = None,
    validation_arff: str | Path | None = None,
    test_arff: str | Path | None = None,
    id_attribute: str | None = None,
    drop_attributes: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes the rows to `output/data`, and returns the report.

    Args:
        arff (`str` or `Path`): the training rows.
        output (`Path`): a folder that is there.
        xml (`str` or `Path`, *optional*): Mulan's file of label names; without it MEKA's `-C` counts.
        validation_arff, test_arff (`str` or `Path`, *optional*): the rows of these splits, with the same attributes.
        id_attribute (`str`, *optional*): the attribute that names a row.
        drop_attributes (`list[str]`, *optional*): attributes to leave out.

    Raises:
        `UserError`: see [`hf_mlc.tabular.arff`] and [`hf_mlc.tabular.mulan`]; a file with other attributes than the training
            file's; a label that is neither 0 nor 1.
    """
    given = {"train": arff, "validation": validation_arff, "test": test_arff}
    files = {split: ArffFile(file) for split, file in given.items() if file is not None}
    train = files["train"]
    for file in files.values():
        _check_same_attributes(train, file)
    labels = {position: train.attributes[position].name for position in label_attributes(train, xml)}
    left_out = _positions(train, drop_attributes, "drop_attributes", labels)
    names_row = _positions(train, [id_attribute] if id_attribute else [], "id_attribute", labels)
    features = [i for i in range(len(train.attributes)) if i not in labels and i not in left_out + names_row]
    if not features:
        raise UserError("no feature is left", file=train.path, field="drop_attributes", accepted="one feature or more")
    layout = _Layout(labels, features, next(iter(names_row), None), sparse=_is_sparse(train))
    written = write_data_set(
        output / DATA_SET,
        {split: _rows(file, layout) for split, file in files.items()},
        label_names=list(labels.values()),
    )
    declared = DeclaredFeatures(
        [train.attributes[i].name for i in features],
        [_declared_type(train.attributes[i], sparse=layout.sparse) for i in features],
    )
    write_feature_file(output / DATA_SET / FEATURES_FILE, declared)
    return {
        "relation": train.relation,
        "files": [file.path.name for file in files.values()],
        "sparse": layout.sparse,
        "features": len(features),
        "left_out": [train.attributes[i].name for i in left_out],
        "data_sets": {DATA_SET: written},
        "comparison": [],
    }


def _check_same_attributes(train: ArffFile, file: ArffFile) -> None:
    if file.attributes == train.attributes:
        return
    if len(file.attributes) != len(train.attributes):
        number = len(train.attributes)
        raise UserError(
            f"{len(file.attributes)} attributes", file=file.path, accepted=f"{number}, as in {train.path.name}"
        )
    own, other = next(pair for pair in zip(file.attributes, train.attributes, strict=True) if pair[0] != pair[1])
    raise UserError(
        f"another attribute than '{other.name}' of {train.path.name}, or of another type",
        file=file.path,
        field=own.name,
        accepted="the same attributes in every file",
    )


def _positions(file: ArffFile, names: Sequence[str], field: str, labels: Mapping[int, str]) -> list[int]:
    position_of = {attribute.name: position for position, attribute in enumerate(file.attributes)}
    for name in names:
        if name not in position_of:
            raise UserError(f"no attribute '{name}'", file=file.path, field=field, accepted="names of attributes")
        if position_of[name] in labels:
            raise UserError(f"'{name}' is a label", file=file.path, field=field, accepted="attributes that are none")
    return [position_of[name] for name in names]


def _is_sparse(file: ArffFile) -> bool:
    first = next(file.rows(), None)
    if first is None:
        raise UserError("no rows", file=file.path, accepted="at least one row")
    return first[2]


def _declared_type(attribute: Attribute, *, sparse: bool) -> Any:
    if attribute.kind == "nominal":
        return "num" if sparse and len(attribute.values) <= 2 else list(attribute.values)
    return "num" if attribute.kind == "numeric" else "category"


def _rows(file: ArffFile, layout: _Layout) -> Iterator[dict[str, Any]]:
    place_of = {position: place for place, position in enumerate(layout.features)}
    attributes = file.attributes
    # what a sparse row must say although Weka leaves it out
    unsaid = {i: attributes[i].values[0] for i in layout.features if len(attributes[i].values) > 2}
    for line, values, is_sparse in file.rows():
        row: dict[str, Any] = {}
        if layout.id is not None:
            row["id"] = str(values.get(layout.id, _unsaid(attributes[layout.id])))
        if layout.sparse:
            said = values if not is_sparse else {**unsaid, **values}
            coded = {place_of[i]: _coded(attributes[i], said[i]) for i in sorted(place_of.keys() & said.keys())}
            row["features"] = {str(place): value for place, value in coded.items() if value != 0}
        else:
            row["features"] = [_plain(attributes[i], values.get(i, _unsaid(attributes[i]))) for i in layout.features]
        row["labels"] = [
            name for i, name in layout.labels.items() if _is_set(file, line, i, values.get(i, _unsaid(attributes[i])))
        ]
        yield row


def _unsaid(attribute: Attribute) -> Any:
    """The value that a sparse row leaves out."""
    return attribute.values[0] if attribute.values else 0


def _plain(attribute: Attribute, value: Any) -> Any:
    """A value of a dense row: 0 and 1 as numbers, also where the header calls them names."""
    return int(value) if value is not None and set(attribute.values) in ({"0"}, {"1"}, {"0", "1"}) else value


def _coded(attribute: Attribute, value: Any) -> Any:
    """A value of a sparse row: of a nominal attribute of two values their number."""
    if value is None or attribute.kind != "nominal" or len(attribute.values) > 2:
        return value
    return attribute.values.index(value)


def _is_set(file: ArffFile, line: int, position: int, value: Any) -> bool:
    if value in (0, 1, "0", "1"):
        return value in (1, "1")
    found = "missing" if value is None else repr(value)
    raise file.error(f"the label is {found}", line, file.attributes[position].name, "0 or 1")
