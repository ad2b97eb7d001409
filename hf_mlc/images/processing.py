"""The image processor that goes with a model: made, loaded, applied; and rows of pictures made ready for training.

An image processor of transformers brings a picture to the size and range of numbers that the model was trained on, and is
saved beside the weights (`preprocessor_config.json`). Pillow does the work everywhere (`backend="pil"`), so that a model
sees the same pixels on every machine, with torchvision installed or without.

Shape legend: B pictures, C channels, H rows, W columns of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import AutoImageProcessor, BaseImageProcessor

from hf_mlc.data.checking import DataReport
from hf_mlc.data.encoding import encode_labels, note_unknown_labels
from hf_mlc.errors import UserError, first_line
from hf_mlc.hub_reading import hub_problem
from hf_mlc.images.opening import check_installed, open_image
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.image_batch import encode_images


def new_image_processor(size: int, *, mean: Sequence[float] = (0.5,) * 3, std: Sequence[float] = (0.5,) * 3):
    """A processor that scales every picture to `size` x `size` and its colours to about [-1, 1].

    The picture is stretched to a square, not cut: a label may be of an object at its edge.

    Args:
        size (`int`): pixels to a side.
        mean, std (`list[float]`, *optional*, default to 0.5 each): of red, green and blue, in [0, 1].
    """
    check_installed()
    from transformers import ViTImageProcessorPil

    return ViTImageProcessorPil(size={"height": size, "width": size}, image_mean=list(mean), image_std=list(std))


def load_image_processor(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    field: str = "image_processor_name",
    shown_as: str | None = None,
) -> BaseImageProcessor:
    """The image processor of a folder or a Hub repository; one that needs code from there is refused.

    Args:
        name_or_path (`str` or `Path`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        token (`str` or `bool`, *optional*): one that may read it; that of HF_TOKEN or `hf auth login` if not given.
        field (`str`, *optional*): the argument that named it, for the error message.
        shown_as (`str`, *optional*): what the error message calls it, where that is not its name or path.

    Raises:
        `UserError`: there is none, it can't be read, Pillow is missing.
    """
    check_installed()
    try:
        return AutoImageProcessor.from_pretrained(
            name_or_path, revision=revision, token=token, backend="pil", trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        problem = hub_problem(error) if not Path(name_or_path).is_dir() else None
        reason, accepted = problem or (
            first_line(error),
            "a Hub id or a folder, with a whole preprocessor_config.json",
        )
        raise UserError(
            f"no image processor ({reason})", file=shown_as or name_or_path, field=field, accepted=accepted
        ) from None


def pixels_of(processor: BaseImageProcessor, sources: Sequence[Any]) -> torch.Tensor:
    """Pictures as the model reads them, float32 `(B, C, H, W)`.

    Args:
        processor (`BaseImageProcessor`): the model's.
        sources (`list`): files, or what else [`~hf_mlc.images.opening.open_image`] opens.

    Raises:
        `UserError`: a picture that can't be opened; a processor that leaves pictures at different sizes.
    """
    try:
        return encode_images(processor, [open_image(source) for source in sources])["pixel_values"]
    except UserError:
        raise
    except ValueError as error:
        accepted = "one that scales or cuts them all to one size"
        raise UserError(str(error), field="image_processor_name", accepted=accepted) from None


def encode_pictures(
    dataset: datasets.DatasetDict,
    label_space: LabelSpace,
    *,
    strict: bool = False,
    report: DataReport | None = None,
) -> datasets.DatasetDict:
    """Rows of pictures made ready for training: labels become ids; pictures stay files until a batch is made of them.

    Args:
        dataset (`datasets.DatasetDict`): with the columns `id`, `image`, `labels`, as `load_splits` gives them.
        label_space ([`~hf_mlc.labels.LabelSpace`]): turns labels into ids.
        strict (`bool`, *optional*, defaults to `False`): whether a label that is not in the label space is an error in
            validation and test too, instead of being counted and skipped. In training it always is.
        report ([`~hf_mlc.data.checking.DataReport`], *optional*): gets the numbers of unknown labels.

    Returns:
        `datasets.DatasetDict`: with `id`, `pixel_values` (the picture still undecoded, under the name of what it becomes: the
        Trainer drops columns that a model's `forward` doesn't take), `label_ids` (sorted, each once) and `length`, 1
        for all: pictures are of one size, and none need be batched with its like.

    Raises:
        `UserError`: naming split and row of a label that is not in the label space.
    """
    encoded = datasets.DatasetDict()
    for name, split in dataset.items():
        ids, missed = encode_labels(split["labels"], label_space, split=name, strict=strict)
        rows = split.select_columns(["id", "image"]).rename_column("image", "pixel_values")
        rows = rows.add_column("label_ids", ids, feature=datasets.List(datasets.Value("int64")))
        encoded[name] = rows.add_column("length", [1] * len(rows))
        note_unknown_labels(name, sum(missed), report)
    return encoded
