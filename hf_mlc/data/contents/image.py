"""Rows of pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from hf_mlc.data.contents.content import Content
from hf_mlc.data.values import RowForm, shortened, storable, value_of, what
from hf_mlc.errors import UserError
from hf_mlc.images.opening import check_image


if TYPE_CHECKING:
    from hf_mlc.data.rows import Columns


# pictures stay files, or bytes, until a batch is made of them
UNDECODED = datasets.Image(decode=False)


class ImageContent(Content):
    """`{"path": str, "bytes": bytes or None}`, the file there and with the head of a picture."""

    column, noun = "image", "pictures"

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        return () if columns.image is None else (columns.image,)

    def checked(self, raw: Mapping[str, Any], columns: Columns, form: RowForm, *, row: int) -> dict[str, Any]:
        value = value_of(raw, columns.image, form, row=row, said_by="image_column")

        def error(
            problem: str, accepted: str = "the name of a picture's file, or a column of the feature Image"
        ) -> UserError:
            return UserError(problem, file=form.file, row=row, field=columns.image, accepted=accepted)

        name, content = (value.get("path"), value.get("bytes")) if isinstance(value, dict) else (value, None)
        if content is not None and not isinstance(content, bytes):
            raise error(f"the picture's bytes are {what(content)}")
        if content is None:
            if not isinstance(name, str) or not name.strip():
                raise error(f"the image is {what(value)}")
            if "://" in name:
                raise error(f"the image is an address: {shortened(name)}", "a file on this machine; download it first")
            folder = Path(columns.image_folder) if columns.image_folder is not None else form.folder
            if folder is None:
                raise error(f"the image is a name: {shortened(name)}")
            # absolute, so that what is kept of the row holds from wherever it is read again
            name = str((folder / storable(name, form, row=row, field=columns.image)).absolute())
            if not Path(name).is_file():
                raise error(
                    f"no such file: {name}", "a file, by its path from the data's own folder (or --image_folder)"
                )
        reference = {"path": name, "bytes": content}
        check_image(reference, file=form.file, row=row)
        return reference

    def feature(self, columns: Columns) -> datasets.Image:
        return UNDECODED

    def of_hub(self, data: datasets.Dataset, columns: Columns) -> datasets.Dataset:
        if isinstance(data.features.get(columns.image), datasets.Image):
            return data.cast_column(columns.image, UNDECODED)
        return data

    def sameness(self, value: dict[str, Any]) -> str:
        """The file's name, or the hash of the bytes: a training set of pictures is not read for it."""
        return value["path"] if value["bytes"] is None else hashlib.sha256(value["bytes"]).hexdigest()

    def printed(self, value: dict[str, Any]) -> list[Any]:
        """The file's name without folders and its size in bytes: reading a hundred thousand of them takes minutes, and a
        folder is one machine's."""
        content, path = value["bytes"], value["path"]
        return [os.path.basename(path or ""), os.path.getsize(path) if content is None else len(content)]
