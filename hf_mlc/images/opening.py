"""A picture in a file or in bytes, as red, green and blue numbers the right way up.

| what is found | what happens |
| --- | --- |
| grey, palette, CMYK | converted to RGB |
| 16 bits; floats; 32 bits | 65535 is white; 1, 255 or 65535 is, the least that no pixel exceeds; 255 or 65535 likewise |
| transparent parts, a transparent colour | on white |
| a photograph turned by its EXIF note | turned |
| several frames (GIF, TIFF) | the first |
| no picture, a file cut short, more pixels than Pillow trusts | `UserError` |
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_mlc.errors import UserError
from hf_mlc.modeling.image_batch import as_rgb, open_picture


if TYPE_CHECKING:
    from PIL.Image import Image


# what a folder of pictures is searched for; a column may name a file of any ending
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
ACCEPTED = "a whole picture that Pillow reads (JPEG, PNG, ...)"


def check_installed() -> None:
    """`UserError` where Pillow is missing, which opens every picture."""
    if importlib.util.find_spec("PIL") is None:
        raise UserError("Pillow is not installed", field="image", accepted='pip install "hf_mlc[images]"')


def open_image(source: Any, *, file: str | Path | None = None, row: int | None = None) -> Image:
    """The picture, RGB, its pixels read.

    Args:
        source (`str`, `Path`, `dict` or `PIL.Image.Image`): a file; or `{"path", "bytes"}` as `datasets` keeps pictures,
            of which the bytes count where there are some; or an open picture.
        file (`str` or `Path`, *optional*): the data that name the picture, for the error message; the picture itself if
            not given.
        row (`int`, *optional*): its row there.

    Raises:
        `UserError`: see the table of this module.
    """
    check_installed()
    try:
        picture = open_picture(source)
        picture.load()
        return as_rgb(picture)
    except Exception as failure:  # whatever a decoder of Pillow's trips over in a broken file
        raise _error(source, failure, file, row) from None


def check_image(source: Any, *, file: str | Path | None = None, row: int | None = None) -> None:
    """`UserError` unless `source` begins as a picture does; only its head is read, not its pixels."""
    check_installed()
    try:
        with open_picture(source):
            pass
    except Exception as failure:
        raise _error(source, failure, file, row) from None


def pictures_in(place: str | Path) -> list[Path] | None:
    """A picture's file as a list of one, those of a folder sorted by name; `None` for a file of another ending."""
    place = Path(place)
    if place.is_dir():
        found = sorted(file for file in place.iterdir() if file.is_file() and file.suffix.lower() in ENDINGS)
        if not found:
            raise UserError("holds no picture", file=place, accepted=f"files ending in {', '.join(ENDINGS)}")
        return found
    return [place] if place.suffix.lower() in ENDINGS else None


def shown(source: Any) -> str:
    """What an error message calls a picture."""
    if isinstance(source, dict):
        return str(source.get("path") or f"a picture of {len(source.get('bytes') or b'')} bytes")
    return str(source) if isinstance(source, (str, Path)) else "a picture"


def _error(source: Any, failure: Exception, file: str | Path | None, row: int | None) -> UserError:
    name = shown(source)
    if isinstance(failure, FileNotFoundError):
        failure = "no such file"
    elif isinstance(failure, OSError) and failure.strerror:  # no right to read it, a folder
        failure = failure.strerror
    reason = str(failure).replace(repr(name), "it") or type(failure).__name__
    if "cannot identify" in reason:
        reason = "no picture"
    if file is None:
        return UserError(reason, file=name, accepted=ACCEPTED)
    return UserError(f"{name}: {reason}", file=file, row=row, field="image", accepted=ACCEPTED)
