"""COCO's own format, `instances_*.json`, as rows of a picture's file and the names of the categories in it.

The file is read once, in a stream: what stays in memory is a name for each picture and a number for each of its categories,
not the outlines that make up nearly all of the file.

| what is found | what happens |
| --- | --- |
| several objects of a category in a picture | one label |
| `iscrowd: 1`, a crowd outlined as a whole | a label like any other, as in the literature; counted, and so are the labels that crowds alone give. With `crowds="drop"` they give none |
| a picture without annotations | kept with an empty label set, counted; with `empty="drop"` left out (ML-GCN and its followers measure on the others) |
| a file that is listed and isn't there | error; with `missing="drop"` left out and counted |
| two categories of one name | one label, counted |
| a category's id twice | with the same name counted; with another an error |
| a picture's id twice, or its file under two ids | labels joined, counted; one id with two files is an error |
| an annotation of a picture that isn't listed | skipped, counted |
| an annotation of a category that isn't listed | error |
| a category without objects | a label all the same: it is in `labels.json` |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_mlc.data.json_stream import read_members
from hf_mlc.errors import UserError


CHOICES = {"crowds": ("keep", "drop"), "empty": ("keep", "drop"), "missing": ("error", "drop")}


@dataclass
class Instances:
    """What an `instances_*.json` says, as far as labels go.

    Args:
        categories (`dict[int, str]`): names by id, in the file's order.
        files (`dict[int, str]`): `file_name` of each picture by id, in the file's order; a file once.
        labels (`dict[int, set[int]]`): ids of the categories in a picture; pictures without any are missing here.
        facts (`dict[str, int]`): what was counted on the way.
    """

    categories: dict[int, str]
    files: dict[int, str]
    labels: dict[int, set[int]]
    facts: dict[str, int] = field(default_factory=dict)

    @property
    def label_names(self) -> list[str]:
        """The categories' names in the file's order, each once."""
        return list(dict.fromkeys(self.categories.values()))


def read_instances(file: str | Path, *, crowds: str = "keep") -> Instances:
    """Reads the file, whatever the order of its parts.

    Args:
        file (`str` or `Path`): `instances_*.json`, plain or gzipped.
        crowds (`str`, *optional*, defaults to `"keep"`): whether annotations of crowds give labels, `"keep"` or `"drop"`.

    Raises:
        `UserError`: naming file, the element's number and field; see the table of this module.
    """
    seen = set()
    categories: dict[int, str] = {}
    files: dict[int, str] = {}
    single: dict[int, set[int]] = {}
    crowd: dict[int, set[int]] = {}
    counted = dict.fromkeys(("annotations", "crowd_annotations", "repeated_categories", "repeated_images"), 0)
    for key, place, value in read_members(file):
        if key not in ("categories", "images", "annotations"):
            continue
        seen.add(key)
        if place is None:
            if value != []:
                raise UserError(f"found {_kind(value)}", file=file, field=key, accepted="a list")
            continue
        if not isinstance(value, dict):
            raise UserError(f"found {_kind(value)}", file=file, row=place, field=key, accepted="a list of objects")
        where = {"file": file, "row": place}
        if key == "categories":
            number, name = _integer(value, "id", key, **where), _string(value, "name", key, **where)
            counted["repeated_categories"] += _added(categories, number, name, key, **where)
        elif key == "images":
            number, name = _integer(value, "id", key, **where), _string(value, "file_name", key, **where)
            counted["repeated_images"] += _added(files, number, name, key, **where)
        else:
            image, category = (_integer(value, name, key, **where) for name in ("image_id", "category_id"))
            is_crowd = value.get("iscrowd", 0) in (1, True)
            counted["annotations"] += 1
            counted["crowd_annotations"] += is_crowd
            (crowd if is_crowd else single).setdefault(image, set()).add(category)
    for key in ("images", "annotations", "categories"):
        if key not in seen:
            raise UserError(f"no {key}", file=file, field=key, accepted="COCO's instances_*.json")
    if not categories:
        raise UserError("no category", file=file, field="categories", accepted="at least one")
    used = {category for parts in (single, crowd) for ids in parts.values() for category in ids}
    if used - categories.keys():
        raise UserError(
            f"an annotation has the category {min(used - categories.keys())}, which isn't listed",
            file=file,
            field="category_id",
            accepted="an id from categories",
        )
    return _joined(categories, files, single, crowd if crowds == "keep" else {}, counted)


def _joined(
    categories: dict[int, str],
    files: dict[int, str],
    single: dict[int, set[int]],
    crowd: dict[int, set[int]],
    counted: dict[str, int],
) -> Instances:
    """The pictures by file, with the labels of all their ids."""
    first_of_name: dict[str, int] = {}
    same = {number: first_of_name.setdefault(name, number) for number, name in categories.items()}
    first_of_file: dict[str, int] = {}
    picture = {number: first_of_file.setdefault(name, number) for number, name in files.items()}
    labels: dict[int, set[int]] = {}
    by_crowds_alone = unlisted = 0
    for parts in (single, crowd):
        for image, ids in parts.items():
            if image not in picture:
                unlisted += parts is single or image not in single
                continue
            of_picture = labels.setdefault(picture[image], set())
            before = len(of_picture)
            of_picture |= {same[category] for category in ids}
            by_crowds_alone += (len(of_picture) - before) if parts is crowd else 0
    counted = {
        **counted,
        "repeated_categories": counted["repeated_categories"] + len(categories) - len(first_of_name),
        "repeated_images": counted["repeated_images"] + len(files) - len(first_of_file),
        "labels_by_crowds_alone": by_crowds_alone,
        "annotated_images_not_listed": unlisted,
        "images": len(first_of_file),
        "images_with_labels": len(labels),
    }
    return Instances(categories, {number: name for name, number in first_of_file.items()}, labels, counted)


def rows_of(
    instances: Instances,
    image_dir: str | Path,
    *,
    relative_to: str | Path,
    empty: str = "keep",
    missing: str = "error",
    file: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows `{"id", "image", "labels"}`, in the order of the file; what is dropped is counted in `instances.facts`.

    Args:
        instances ([`Instances`]): from [`read_instances`].
        image_dir (`str` or `Path`): where the pictures lie.
        relative_to (`str` or `Path`): the folder that the rows are going to lie in; the pictures' paths lead from there.
        empty (`str`, *optional*, defaults to `"keep"`): `"drop"` leaves out pictures without labels.
        missing (`str`, *optional*, defaults to `"error"`): `"drop"` leaves out pictures that aren't in `image_dir`.
        file (`str` or `Path`, *optional*): the annotations, for the error message.

    Raises:
        `UserError`: no such folder; a picture that is missing.
    """
    image_dir, relative_to = Path(image_dir).resolve(), Path(relative_to).resolve()
    if not image_dir.is_dir():
        raise UserError("no such folder", file=image_dir, accepted="the folder of the pictures")
    facts = instances.facts
    facts["images_missing"] = facts["images_without_labels_dropped"] = 0
    names, order = instances.categories, {number: place for place, number in enumerate(instances.categories)}
    for row, (number, name) in enumerate(instances.files.items(), start=1):
        labels = sorted(instances.labels.get(number, ()), key=order.__getitem__)
        if not labels and empty == "drop":
            facts["images_without_labels_dropped"] += 1
            continue
        path = image_dir / name
        if not path.is_file():
            if missing == "error":
                raise UserError(
                    f"there is no {path}",
                    file=file,
                    row=row,
                    field="file_name",
                    accepted="all pictures in their folder, or --missing drop",
                )
            facts["images_missing"] += 1
            continue
        yield {
            "id": str(number),
            "image": Path(os.path.relpath(path, relative_to)).as_posix(),
            "labels": [names[category] for category in labels],
        }


def _added(known: dict[int, str], number: int, name: str, key: str, *, file: str | Path, row: int) -> bool:
    """Adds a name under its number; whether the two were known already."""
    if number not in known:
        known[number] = name
        return False
    if known[number] != name:
        raise UserError(
            f"the id {number} stands for {known[number]!r} and for {name!r}",
            file=file,
            row=row,
            field=key,
            accepted="each id once",
        )
    return True


def _integer(value: dict[str, Any], name: str, key: str, *, file: str | Path, row: int) -> int:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UserError(f"found {found!r:.40}", file=file, row=row, field=f"{key}.{name}", accepted="an integer")
    return found


def _string(value: dict[str, Any], name: str, key: str, *, file: str | Path, row: int) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found.strip():
        raise UserError(f"found {found!r:.40}", file=file, row=row, field=f"{key}.{name}", accepted="a name")
    return found.strip()


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(type(value), repr(value)[:40])
