"""What `train` does with pictures: an image processor, named or made here, and a backbone, new or pretrained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset
from transformers import BaseImageProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

from hf_mlc.commands.parsing import check_at_least
from hf_mlc.commands.train_inputs import InputStep, pretrained_config
from hf_mlc.images.opening import check_installed
from hf_mlc.images.processing import new_image_processor
from hf_mlc.inputs import IMAGES
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_encoder import load_pretrained_encoder


@dataclass
class ImageArguments:
    """Where the rows are pictures (`--encoder image`): what prepares and reads them."""

    image_size: int = field(default=224, metadata={"help": "Pixels to a side, of an image processor made here."})
    image_processor_name: str | None = field(
        default=None, metadata={"help": "Image processor, Hub id or folder; the image encoder's, or one made here."}
    )
    image_encoder: str | None = field(
        default=None, metadata={"help": "Pretrained vision model, Hub id or folder, with its image processor."}
    )
    image_encoder_revision: str | None = field(default=None, metadata={"help": "Its branch, tag or commit."})

    def __post_init__(self):
        check_at_least(1, image_size=self.image_size)


class PictureStep(InputStep):
    """Of pictures. `UserError` where Pillow is missing."""

    kind, arguments = IMAGES, ImageArguments
    further = ("image_column", "image_folder")
    naming = ("image_encoder", "backbone_config", "vision_config")
    args: ImageArguments

    def __init__(self, *args: Any):
        super().__init__(*args)
        check_installed()

    def new_processor(self, train: Dataset) -> BaseImageProcessor:
        """The image processor that was named, the encoder's, or a new one."""
        args = self.args
        name = args.image_processor_name or args.image_encoder
        if name is None:
            return new_image_processor(args.image_size)
        revision = args.image_encoder_revision if name == args.image_encoder else None
        field = "image_processor_name" if args.image_processor_name else "image_encoder"
        return self.kind.load_processor(name, revision=revision, field=field)

    def training_arguments(self) -> dict[str, Any]:
        return {} if self.names_encoder else {"learning_rate": self.new_model_learning_rate}

    def settings(self, given: dict[str, Any], processor: BaseImageProcessor) -> dict[str, Any]:
        """Also the backbone that `--image_encoder` names."""
        name = self.args.image_encoder
        if name is None:
            return given
        config = pretrained_config(name, revision=self.args.image_encoder_revision, field="image_encoder")
        # of a model that is offered as a backbone the last feature map is read, of any other its patches' last states
        field = "backbone_config" if config.model_type in MODEL_FOR_BACKBONE_MAPPING_NAMES else "vision_config"
        return {**given, "encoder": "image", field: getattr(config, "vision_config", config)}

    def load_weights(self, model: MultiLabelPreTrainedModel) -> None:
        """Those of `--image_encoder`."""
        if self.args.image_encoder is not None:
            load_pretrained_encoder(model.encoder, self.args.image_encoder, revision=self.args.image_encoder_revision)
