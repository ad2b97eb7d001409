"""Pictures to what a model's `forward` takes: opened, made red, green and blue, brought to size by the image processor.

Pillow is imported when a picture comes, by name: a model of texts travels with this file too, and does without Pillow.

Shape legend: B pictures, C channels, H rows, W columns of pixels.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Mapping
from typing import Any

import torch


def open_picture(source: Any):
    """The picture, `PIL.Image.Image`, its pixels not yet read.

    Args:
        source (`str`, `Path`, `bytes`, `Mapping` or `PIL.Image.Image`): a file, what is in one, what `datasets` keeps of a
            picture undecoded (`{"path", "bytes"}`, of which bytes count where there are some), or an open picture.

    Raises:
        `ValueError`: anything else, or an address on the net. Whatever Pillow raises for a file that it can't open.
    """
    image = importlib.import_module("PIL.Image")
    if isinstance(source, image.Image):
        return source
    if isinstance(source, Mapping):
        source = source.get("path") if source.get("bytes") is None else source["bytes"]
    if isinstance(source, bytes):
        return image.open(io.BytesIO(source))
    if isinstance(source, str) and "://" in source:
        raise ValueError(f"a picture must be on this machine, found the address {source[:80]!r}; download it first")
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"a picture must be a file, bytes or an open picture, found {type(source).__name__}")
    return image.open(source)


def as_rgb(picture):
    """A picture as it is meant to be seen: turned as its EXIF note says, transparent parts on white, 8 bits of RGB."""
    image = importlib.import_module("PIL.Image")
    picture = importlib.import_module("PIL.ImageOps").exif_transpose(picture)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):  # Pillow would cut these at 255, not scale them
        most = _white_level(picture)
        pixels = importlib.import_module("numpy").asarray(picture, dtype="float64").clip(0, most)
        return image.fromarray((pixels * (255 / most)).round().astype("uint8")).convert("RGB")
    clear = picture.info.get("transparency")  # of RGB a colour; anything else there is left over from another mode
    if "A" in picture.mode or isinstance(clear, tuple) or (clear is not None and picture.mode != "RGB"):
        picture = picture.convert("RGBA")
        return image.alpha_composite(image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _white_level(picture) -> int:
    """The number that is white: of 16 bits the highest there is. Wider modes don't say theirs; the least usual one that the picture's
    own maximum doesn't exceed is taken: 1 (floats alone), 255, 65535."""
    if picture.mode.startswith("I;16"):
        return 65535
    highest = picture.getextrema()[1]
    if highest > 255:
        return 65535
    return 1 if picture.mode == "F" and highest <= 1 else 255


def encode_images(image_processor, images: list[Any]) -> dict[str, torch.Tensor]:
    """Pictures to `pixel_values`, float32 `(B, C, H, W)`.

    Args:
        image_processor (`BaseImageProcessor`): of any kind.
        images (`list[PIL.Image.Image]`): from `as_rgb`.

    Raises:
        `ValueError`: the processor leaves them at different sizes.
    """
    rows = [torch.as_tensor(pixels, dtype=torch.float32) for pixels in image_processor(images)["pixel_values"]]
    sizes = {tuple(row.shape) for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"the image processor must bring pictures to one size, found {sorted(sizes)[:3]}")
    return {"pixel_values": torch.stack(rows)}


__all__ = ["as_rgb", "encode_images", "open_picture"]
