"""Drawn pictures of several objects, with the shapes and colours in them as labels: for trying things out, and for tests.

A picture shows one to four objects on a grey, grainy ground: a circle, a square, a triangle, a cross or a ring, each red, green,
blue or yellow, of varying size, turned, not overlapping by much. Its labels are one a kind of object, as "red circle", the
twenty of them not independent: a circle tends to bring a ring of its own colour, and a green object a cross. (A per-label head
can learn what is there as well; what goes together, only a model of label sets.)

    python -m hf_mlc.images.shapes --output_dir DATA
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.files import check_new_folder, folder_written_whole
from hf_mlc.images.opening import check_installed


if TYPE_CHECKING:
    from PIL.Image import Image


SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {"red": (205, 55, 50), "green": (50, 155, 70), "blue": (55, 85, 200), "yellow": (225, 195, 50)}
LABELS = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
# how many objects a picture shows, and how often
NUMBERS, SHARES = (1, 2, 3, 4), (0.3, 0.35, 0.25, 0.1)
TOGETHER = 0.4  # how often a circle brings a ring of its colour, and a green object a green cross
SUPERSAMPLING = 3  # drawn so many times larger, so that edges are smooth


def draw_pictures(number: int, *, seed: int = 0, size: int = 48) -> Iterator[tuple[Image, list[str]]]:
    """Pictures and their labels, sorted; the same seed gives the same ones.

    Args:
        number (`int`): how many.
        seed (`int`, *optional*, defaults to 0): of everything.
        size (`int`, *optional*, defaults to 48): width and height in pixels, 24 or more.

    Raises:
        `UserError`: a size below 24, or Pillow is missing.
    """
    check_installed()
    if size < 24:
        raise UserError(f"found {size}", field="size", accepted="24 or more")
    for place in range(number):
        # a generator of its own for each picture: the tenth is the same however many follow
        yield _picture(np.random.default_rng([seed, place]), size)


def write_shapes(
    folder: str | Path,
    *,
    seed: int = 0,
    size: int = 48,
    num_train: int = 2400,
    num_validation: int = 300,
    num_test: int = 600,
) -> Path:
    """Writes `train.jsonl`, `validation.jsonl`, `test.jsonl`, rows `{"id", "image", "labels"}`, and the pictures they name.

    Args:
        folder (`str` or `Path`): a new or an empty folder.
        seed, size: see [`draw_pictures`].
        num_train, num_validation, num_test (`int`, *optional*): pictures of each split.

    Raises:
        `UserError`: something is in the way; a number below 1.
    """
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    for split, number in sizes.items():
        if number < 1:
            raise UserError(f"{number} pictures asked for", field=f"num_{split}", accepted="1 or more")
    check_new_folder(folder, field="output_dir")
    pictures = draw_pictures(sum(sizes.values()), seed=seed, size=size)
    with folder_written_whole(folder) as inside:
        for split, number in sizes.items():
            (inside / "pictures" / split).mkdir(parents=True)
            with (inside / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
                for place in range(number):
                    picture, labels = next(pictures)
                    name = f"pictures/{split}/{place:05d}.png"
                    picture.save(inside / name)
                    row = {"id": f"{split}-{place:05d}", "image": name, "labels": labels}
                    stream.write(json.dumps(row) + "\n")
    return Path(folder)


def write_coco_shapes(
    folder: str | Path, *, seed: int = 0, size: int = 48, num_train: int = 60, num_validation: int = 20
) -> Path:
    """Drawn pictures in COCO's own format: `annotations/instances_{train,val}2017.json`, `train2017/`, `val2017/`.

    Args:
        folder (`str` or `Path`): a new or an empty folder.
        seed, size: see [`draw_pictures`].
        num_train, num_validation (`int`, *optional*): pictures.
    """
    check_new_folder(folder, field="output_dir")
    pictures = draw_pictures(num_train + num_validation, seed=seed, size=size)
    categories = [{"id": n, "name": name, "supercategory": name.split()[1]} for n, name in enumerate(LABELS, start=1)]
    with folder_written_whole(folder) as inside:
        (inside / "annotations").mkdir()
        identifier = 0
        for split, number in (("train2017", num_train), ("val2017", num_validation)):
            (inside / split).mkdir()
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for _ in range(number):
                identifier += 1
                picture, labels = next(pictures)
                name = f"{identifier:012d}.png"
                picture.save(inside / split / name)
                images.append({"id": identifier, "file_name": name, "width": size, "height": size, "license": 1})
                for label in labels:
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": identifier,
                            "category_id": LABELS.index(label) + 1,
                            "iscrowd": 0,
                            "area": float(size),
                            "bbox": [0.0, 0.0, float(size), float(size)],
                            "segmentation": [[0.0, 0.0, float(size), 0.0, float(size), float(size)]],
                        }
                    )
            content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
            file = inside / "annotations" / f"instances_{split}.json"
            file.write_text(json.dumps({**content, "categories": categories}), encoding="utf-8")
    return Path(folder)


def _picture(rng: np.random.Generator, size: int) -> tuple[Image, list[str]]:
    from PIL import Image, ImageDraw

    kinds = _kinds(rng)
    large = size * SUPERSAMPLING
    picture = Image.new("RGB", (large, large), tuple(int(level) for level in rng.integers(200, 245, 3)))
    draw = ImageDraw.Draw(picture)
    placed: list[tuple[float, float, float]] = []
    for colour, shape in kinds:
        x, y, radius = _place(rng, placed, large)
        placed.append((x, y, radius))
        shade = tuple(int(np.clip(level + rng.integers(-20, 21), 0, 255)) for level in COLOURS[colour])
        _draw(draw, shape, x, y, radius, rng.uniform(0, 2 * math.pi), shade)
    picture = picture.resize((size, size), Image.Resampling.BOX)
    grain = rng.normal(0, 6, (size, size, 3))
    pixels = np.clip(np.asarray(picture, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels), sorted({f"{colour} {shape}" for colour, shape in kinds})


def _kinds(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object."""
    number = int(rng.choice(NUMBERS, p=SHARES))
    kinds: list[tuple[str, str]] = []
    while len(kinds) < number:
        colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
        kinds.append((colour, shape))
        if len(kinds) < number and rng.random() < TOGETHER:
            if shape == "circle":
                kinds.append((colour, "ring"))
            elif colour == "green":
                kinds.append(("green", "cross"))
    return kinds


def _place(
    rng: np.random.Generator, placed: list[tuple[float, float, float]], large: int
) -> tuple[float, float, float]:
    """Where an object goes: the place of thirty drawn ones that overlaps the others least."""
    best, least = (0.0, 0.0, 0.0), math.inf
    for _ in range(30):
        radius = rng.uniform(0.13, 0.19) * large
        x, y = rng.uniform(radius, large - radius, 2)
        overlap = max((radius + r - math.hypot(x - px, y - py) for px, py, r in placed), default=-1.0)
        if overlap < least:
            best, least = (x, y, radius), overlap
        if least < 0:
            break
    return best


def _draw(draw: Any, shape: str, x: float, y: float, radius: float, angle: float, colour: tuple[int, ...]) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, fill=colour)
    elif shape == "ring":
        draw.ellipse(box, outline=colour, width=round(radius * 0.4))
    elif shape == "cross":
        for turn in (0.0, math.pi / 2):
            dx, dy = math.cos(angle + turn) * radius, math.sin(angle + turn) * radius
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=round(radius * 0.5))
    else:
        corners = 3 if shape == "triangle" else 4
        points = [
            (x + radius * math.cos(angle + turn), y + radius * math.sin(angle + turn))
            for turn in (2 * math.pi * corner / corners for corner in range(corners))
        ]
        draw.polygon(points, fill=colour)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hf_mlc.images.shapes", description="Draw pictures of coloured shapes, with labels."
    )
    parser.add_argument("--output_dir", required=True, type=Path, help="a new folder")
    parser.add_argument("--coco", action="store_true", help="in COCO's own format, for prepare-coco")
    parser.add_argument("--seed", default=0, type=int, help="the same seed gives the same pictures")
    parser.add_argument("--size", default=48, type=int, help="pixels to a side (default: %(default)s)")
    parser.add_argument("--num_train", default=2400, type=int, help="training pictures (default: %(default)s)")
    parser.add_argument("--num_validation", default=300, type=int, help="validation pictures (default: %(default)s)")
    parser.add_argument("--num_test", default=600, type=int, help="test pictures (default: %(default)s)")
    given = parser.parse_args(argv)
    common = {"seed": given.seed, "size": given.size, "num_train": given.num_train}
    common["num_validation"] = given.num_validation
    try:
        if given.coco:
            folder = write_coco_shapes(given.output_dir, **common)
        else:
            folder = write_shapes(given.output_dir, **common, num_test=given.num_test)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
