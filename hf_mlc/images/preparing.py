"""A folder in COCO's format as a data set of pictures, with a check of what it came to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mlc.data.published_counts import compared, flat
from hf_mlc.data.writing import write_data_set
from hf_mlc.errors import UserError
from hf_mlc.images.coco import read_instances, rows_of


# pictures, and pictures with at least one object, as COCO's makers and the literature on multi-label COCO give them (ML-GCN
# measures on 40,137 pictures of 2014); read there, not counted by us
PUBLISHED = {
    "2014": {"train": 82_783, "test": 40_504, "labels": 80},
    "2017": {"train": 118_287, "test": 5_000, "labels": 80},
}
PUBLISHED_WITH_LABELS = {"2014": {"train": 82_081, "test": 40_137}, "2017": {"train": 117_266, "test": 4_952}}
_SPLIT = {"train": r"train", "validation": r"val", "test": r"test"}
_TOOLS_FILE = "_annotations.coco.json"
_ACCEPTED = "annotations/instances_train*.json and so on, or train/_annotations.coco.json and so on"


@dataclass(frozen=True)
class Part:
    """One split: its annotations, and the folder of its pictures."""

    annotations: Path
    image_dir: Path


def find_parts(folder: str | Path, *, year: str | None = None) -> dict[str, Part]:
    """The splits of a folder, in either of two layouts.

    COCO's own: `annotations/instances_train2017.json` (or in the folder itself), the pictures in `train2017/`,
    `images/train2017/` or `images/`. That of annotation tools: `train/_annotations.coco.json` (or any one `.json`) among the
    pictures, and `valid/`, `test/` likewise.

    Args:
        folder (`str` or `Path`): the folder.
        year (`str`, *optional*): which of several years, `"2017"`.

    Raises:
        `UserError`: no such folder, no training annotations, several files for a split, no folder of pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="coco_dir", accepted="a folder in COCO's format")
    parts = _own_layout(folder, year) or _tools_layout(folder)
    if "train" not in parts:
        raise UserError("no training annotations", file=folder, field="coco_dir", accepted=_ACCEPTED)
    return parts


def prepare_coco(
    coco_dir: str | Path,
    output: Path,
    *,
    final: str | Path | None = None,
    name: str = "coco",
    year: str | None = None,
    validation_as: str = "test",
    crowds: str = "keep",
    empty: str = "keep",
    missing: str = "error",
) -> dict[str, Any]:
    """Writes the rows of each split to `output/NAME`, and returns the report.

    Args:
        coco_dir (`str` or `Path`): see [`find_parts`].
        output (`Path`): a folder that is there.
        final (`str` or `Path`, *optional*): where `output` will lie in the end, where that is another place; the pictures' paths lead
            from there.
        name (`str`, *optional*, defaults to `"coco"`): what the data set is called.
        year (`str`, *optional*): which of several years.
        validation_as (`str`, *optional*, defaults to `"test"`):
            what COCO's `val` becomes where there are no test annotations (COCO's own are not public): `"test"`, as the literature
            uses it, so that `train` sets validation rows aside from training; or `"validation"`.
        crowds, empty, missing (`str`, *optional*): see [`hf_mlc.images.coco`].

    Raises:
        `UserError`: naming the file; or that two splits name different categories, or that no training row is left.
    """
    parts = find_parts(coco_dir, year=year)
    if validation_as == "test" and "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    target = Path(final or output) / name
    read = {split: read_instances(part.annotations, crowds=crowds) for split, part in parts.items()}
    names = read["train"].label_names
    for split, instances in read.items():
        if foreign := sorted(set(instances.label_names) - set(names)):
            raise UserError(
                f"has the category {foreign[0]!r}, which the training annotations don't list",
                file=parts[split].annotations,
                field="categories",
                accepted="the same categories in all splits",
            )

    def rows(split: str) -> Iterator[dict[str, Any]]:
        part = parts[split]
        how = {"relative_to": target, "empty": empty, "missing": missing, "file": part.annotations}
        return rows_of(read[split], part.image_dir, **how)

    written = write_data_set(output / name, {split: rows(split) for split in parts}, label_names=names)
    if not written["rows"]["train"]:
        facts = read["train"].facts
        raise UserError(
            f"no training row: {facts['images']:,} pictures listed, {facts['images_missing']:,} missing, "
            f"{facts['images_without_labels_dropped']:,} left out without labels",
            file=parts["train"].annotations,
            field="images",
            accepted="at least one picture to train on",
        )
    with_labels = {split: instances.facts["images_with_labels"] for split, instances in read.items()}
    comparison = []
    if year in PUBLISHED:
        listed = {split: instances.facts["images"] for split, instances in read.items()}
        comparison = compared(name, PUBLISHED[year], {**flat(written), **listed, "labels": len(names)})
        comparison += compared(f"{name}, pictures with labels", PUBLISHED_WITH_LABELS[year], with_labels)
    return {
        "files": {split: part.annotations.name for split, part in parts.items()},
        "annotations": {split: instances.facts for split, instances in read.items()},
        "data_sets": {name: written},
        "comparison": comparison,
    }


def fact_lines(report: dict[str, Any]) -> list[str]:
    """What a command says of the annotations beside the counts of rows."""
    lines = []
    for split, facts in report["annotations"].items():
        parts = [f"{facts['annotations']:,} annotations", f"{facts['crowd_annotations']:,} of crowds"]
        parts[-1] += f" ({facts['labels_by_crowds_alone']:,} labels by them alone)"
        parts.append(f"{facts['images'] - facts['images_with_labels']:,} pictures without labels")
        for key in (
            "images_without_labels_dropped",
            "images_missing",
            "repeated_images",
            "repeated_categories",
            "annotated_images_not_listed",
        ):
            if facts[key]:
                parts.append(f"{key.replace('_', ' ')}: {facts[key]:,}")
        lines.append(f"{split}: " + ", ".join(parts))
    return lines


def _own_layout(folder: Path, year: str | None) -> dict[str, Part]:
    parts = {}
    for split, pattern in _SPLIT.items():
        found = [
            file
            for place in (folder / "annotations", folder)
            if place.is_dir()
            for file in sorted(place.iterdir())
            if (match := re.fullmatch(rf"instances_({pattern}\w*)\.json(\.gz)?", file.name))
            and (year or "") in match[1]
        ]
        if not found:
            continue
        if len(found) > 1:
            raise _several(split, found, folder, accepted="one a split; --year chooses among years")
        stem = found[0].name.split(".")[0].removeprefix("instances_")
        places = [folder / stem, folder / "images" / stem, folder / "images"]
        image_dir = next((place for place in places if place.is_dir()), None)
        if image_dir is None:
            raise UserError(
                f"no pictures of {split}",
                file=folder,
                field="coco_dir",
                accepted=f"a folder {stem}, images/{stem} or images",
            )
        parts[split] = Part(found[0], image_dir)
    return parts


def _tools_layout(folder: Path) -> dict[str, Part]:
    parts = {}
    for split, pattern in _SPLIT.items():
        places = [place for place in sorted(folder.iterdir()) if place.is_dir() and re.match(pattern, place.name)]
        files = [file for place in places for file in sorted(place.glob("*.json"))]
        found = [file for file in files if file.name == _TOOLS_FILE] or files
        if len(found) > 1:
            raise _several(split, found, folder, accepted=f"one a split, or one called {_TOOLS_FILE}")
        if found:
            parts[split] = Part(found[0], found[0].parent)
    return parts


def _several(split: str, found: list[Path], folder: Path, *, accepted: str) -> UserError:
    names = [file.relative_to(folder).as_posix().removeprefix("annotations/") for file in found]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    problem = f"several annotations for {split}: {', '.join(names[:3])}{more}"
    return UserError(problem, file=folder, field="coco_dir", accepted=accepted)
