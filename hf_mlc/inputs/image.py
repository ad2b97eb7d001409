"""Pictures, read through an image processor ([`hf_mlc.images`]).

Shape legend: B pictures, C channels, H rows, W columns of pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import BaseImageProcessor

from hf_mlc.data.checking import DataReport
from hf_mlc.data.contents import IMAGE
from hf_mlc.images.collating import ImageCollator
from hf_mlc.images.opening import check_image, pictures_in
from hf_mlc.images.processing import encode_pictures, load_image_processor, pixels_of
from hf_mlc.inputs.kind import InputKind
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.pipeline_multi_label_images import IMAGE_TASK


_CODE = """import hf_mlc  # registers the architectures and the pipeline
from PIL import Image
from transformers import pipeline

classifier = pipeline("{task}", model={model_id})
picture = Image.new("RGB", (224, 224), "steelblue")  # or the name of a file: "photo.jpg"
for answer in classifier(picture):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


class ImageInput(InputKind):
    """Files, or what else [`~hf_mlc.images.opening.open_image`] opens. No settings."""

    name, content, processor_noun = "image", IMAGE, "image processor"
    processor_class = BaseImageProcessor
    pipeline_task, hub_task = IMAGE_TASK, "image-classification"

    def load_processor(
        self,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        field: str | None = None,
        shown_as: str | None = None,
    ) -> BaseImageProcessor:
        field = field or "image_processor_name"
        return load_image_processor(name_or_path, revision=revision, token=token, field=field, shown_as=shown_as)

    def processor_state(self, processor: BaseImageProcessor) -> str:
        return json.dumps(processor.to_dict(), sort_keys=True, default=str)

    def columns(self, args: Any) -> dict[str, Any]:
        return {"image": args.image_column, "image_folder": args.image_folder}

    def files_in(self, place: str | Path) -> list[Path] | None:
        return pictures_in(place)

    def item_of_file(self, file: Path) -> str:
        check_image(str(file))
        return str(file)

    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: BaseImageProcessor,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
    ) -> datasets.DatasetDict:
        return encode_pictures(splits, label_space, strict=strict, report=report)

    def collator(self, processor: BaseImageProcessor, num_labels: int, *, targets: str = "labels") -> ImageCollator:
        return ImageCollator(processor, num_labels, targets=targets)

    def batch(self, processor: BaseImageProcessor, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`pixel_values`, float32 `(B, C, H, W)`."""
        return {"pixel_values": pixels_of(processor, items)}

    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        return _CODE.format(task=self.pipeline_task, model_id=model_id)
