"""Rows of pictures to a batch of tensors.

Shapes: `B` pictures, `C` channels, `H` rows and `W` columns of pixels, `L` labels, `P` labels of the picture that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import BaseImageProcessor

from hf_mlc.data.target_collator import TargetCollator
from hf_mlc.errors import UserError
from hf_mlc.images.processing import pixels_of


@dataclass
class ImageCollator(TargetCollator):
    """Opens the pictures of a batch, prepares them, and makes the targets.

    Pictures are opened here and not before: a training set of them is larger than memory, and
    `--dataloader_num_workers` opens them beside the training.

    Args:
        image_processor (`BaseImageProcessor`): the model's.
        num_labels (`int`): L.
        targets (`str`, *optional*, defaults to `"labels"`): `"labels"` makes the multi-hot float32 `labels` `(B, L)`;
            `"label_ids"` the int64 `label_ids` `(B, P)`, padded with -100 and P >= 1 (large L).
        return_ids (`bool`, *optional*, defaults to `False`): whether the rows' `id` come out as the list `ids`.

    A row is a dict with its picture under `pixel_values` or `image`: a file, `{"path", "bytes"}`, or one that is open. Its
    targets stand under `labels` or `label_ids` ([`~hf_mlc.data.targets`]), or there are none (prediction).

    Returns:
        `dict[str, torch.Tensor]`: `pixel_values`, float32 `(B, C, H, W)`; `labels` or `label_ids`.

    Raises:
        `UserError`: a row without a picture, a picture that can't be opened, targets that are none.
    """

    image_processor: BaseImageProcessor
    num_labels: int
    targets: Literal["labels", "label_ids"] = "labels"
    return_ids: bool = False

    def _inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return {"pixel_values": pixels_of(self.image_processor, [_picture(row) for row in rows])}


def _picture(feature: Mapping[str, Any]) -> Any:
    for name in ("pixel_values", "image"):
        if feature.get(name) is not None:
            return feature[name]
    raise UserError("a row without a picture", field="image", accepted="a file, or what datasets keeps of an Image")
