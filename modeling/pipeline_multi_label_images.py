"""`pipeline("multi-label-image-classification")`: pictures in; for each its labels with their scores, best first.

It is the pipeline of texts (`pipeline_multi_label.py`) with an image processor in the tokenizer's place, registered when the
package is imported, and it travels with every saved model that reads pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .image_batch import as_rgb, encode_images, open_picture
from .pipeline_multi_label import MultiLabelClassificationPipeline


IMAGE_TASK = "multi-label-image-classification"


class MultiLabelImageClassificationPipeline(MultiLabelClassificationPipeline):
    """
    Multi-label classification of pictures by a model of this package.

    An input is a file, a `PIL.Image.Image`, what is in a file as `bytes`, what `datasets` keeps of a picture undecoded, or a row
    that has one of these under `"image"`; or several of them. Arguments and answers are those of
    [`MultiLabelClassificationPipeline`], but for `explain`, which is of words.

    Raises:
        `ValueError`: no picture, an address on the net, `explain`, a model that reads texts.
    """

    _load_tokenizer = False
    _load_image_processor = True
    _needed = ("image_processor", "image processor")
    _reads = "pixel_values"

    def preprocess(self, inputs, with_offsets: bool = False) -> dict[str, Any]:
        source = inputs
        if isinstance(inputs, Mapping) and "image" in inputs:
            source = inputs["image"]
        elif isinstance(inputs, Mapping) and not {"path", "bytes"} & set(inputs):
            raise ValueError(
                f'a row needs its picture under "image", found {", ".join(map(repr, inputs)) or "nothing"}'
            )
        return encode_images(self.image_processor, [as_rgb(open_picture(source))])

    def _num_words(self, explain: Any) -> int:
        if explain is None or explain is False:
            return 0
        raise ValueError("`explain` names words, and this model reads pictures")


# what `pipeline` reads in a saved model's config.json
IMAGE_CUSTOM_PIPELINES = {
    IMAGE_TASK: {
        "impl": f"{__name__.split('.')[-1]}.{MultiLabelImageClassificationPipeline.__name__}",
        "pt": ["AutoModel"],
        "type": "image",
    }
}

__all__ = ["IMAGE_CUSTOM_PIPELINES", "IMAGE_TASK", "MultiLabelImageClassificationPipeline"]
