"""What `train` does otherwise where the rows are pictures: columns, image processor, backbone, batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import AutoConfig, BaseImageProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

from hf_mlc.commands.parsing import check_at_least
from hf_mlc.commands.train_arguments import DataArguments
from hf_mlc.data import Columns, DataReport, texts_of
from hf_mlc.errors import UserError
from hf_mlc.images.collating import ImageCollator
from hf_mlc.images.opening import check_installed
from hf_mlc.images.processing import encode_pictures, load_image_processor, new_image_processor
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_encoder import load_pretrained_encoder


# arguments that say how text is read
OF_TEXTS = (
    "text_column", "max_length", "pad_to_multiple_of", "preprocessing_num_workers", "text_encoder", "text_config",
    "tokenizer_name", "tokenizer_kind", "tokenizer_vocab_size", "tokenizer_min_frequency", "tokenizer_lowercase",
    "language_model", "language_model_epochs", "word_vectors",
)  # fmt: skip


@dataclass
class ImageArguments:
    """Where the rows are pictures (`--encoder image`): their column, and what prepares and reads them."""

    image_column: str = field(
        default="image", metadata={"help": "Column of the picture: a file, or an Image feature."}
    )
    image_folder: str | None = field(
        default=None, metadata={"help": "What the files' names are relative to; the data's own folder if not given."}
    )
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


class PictureStep:
    """What pictures need beyond texts, and nothing where the rows are texts.

    Args:
        image_args ([`ImageArguments`]): the arguments.
        settings (`dict`): the configuration's fields that were given.
        given (iterable of `str`): names of all arguments that were given.
        base (`LoadedModel`, *optional*): the trained model that training goes on from.

    Raises:
        `UserError`: an argument of texts beside pictures or the other way round; Pillow is missing.
    """

    def __init__(
        self, image_args: ImageArguments, settings: dict[str, Any], given: Iterable[str], base: LoadedModel | None
    ):
        self.args, self.base = image_args, base
        naming = [name for name in ("backbone_config", "vision_config") if settings.get(name) is not None]
        named = ["image_encoder"] * ("image_encoder" in given) + naming
        if named and settings.get("encoder", "image") != "image":
            raise UserError(
                f"found '{settings['encoder']}' beside {named[0]}",
                field="encoder",
                accepted=f"image, or no {named[0]}",
            )
        self.wanted = base.reads_images if base is not None else bool(named) or settings.get("encoder") == "image"
        if self.wanted:
            check_installed()
        others = OF_TEXTS if self.wanted else [field.name for field in dataclasses.fields(ImageArguments)]
        for name in others:
            if name in given:
                what = "is of texts, and the model reads pictures" if self.wanted else "is of pictures"
                accepted = "none beside --encoder image" if self.wanted else "--encoder image beside it"
                raise UserError(what, field=name, accepted=accepted)

    def columns(self, columns: Columns) -> Columns:
        """Which columns hold what."""
        if not self.wanted:
            return columns
        return dataclasses.replace(columns, image=self.args.image_column, image_folder=self.args.image_folder)

    def texts(self, rows: Dataset) -> Iterable[str]:
        """The texts of a split; of pictures none."""
        return () if self.wanted else texts_of(rows)

    def token_ids(self, rows: Dataset) -> Iterator[list[list[int]]]:
        """The tokens of a split, in batches; of pictures none."""
        if not self.wanted:
            yield from (batch["input_ids"] for batch in rows.select_columns("input_ids").iter(1000))

    def processor(self, checkpoint: Path | None) -> BaseImageProcessor:
        """The image processor: that of the run that goes on, of the trained model, of the image encoder, or a new one."""
        args = self.args
        if checkpoint is not None:
            return load_image_processor(str(checkpoint), field="resume_from_checkpoint")
        if self.base is not None:
            return self.base.image_processor
        name = args.image_processor_name or args.image_encoder
        if name is None:
            return new_image_processor(args.image_size)
        revision = args.image_encoder_revision if name == args.image_encoder else None
        field = "image_processor_name" if args.image_processor_name else "image_encoder"
        return load_image_processor(name, revision=revision, field=field)

    def encoded(self, splits: DatasetDict, label_space: LabelSpace, report: DataReport) -> DatasetDict:
        """Rows that [`ImageCollator`] makes batches of."""
        return encode_pictures(splits, label_space, report=report)

    def collator(self, processor: BaseImageProcessor, num_labels: int, data_args: DataArguments) -> ImageCollator:
        return ImageCollator(processor, num_labels, targets=data_args.targets)

    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The configuration's fields, with the backbone that `--image_encoder` names."""
        name = self.args.image_encoder
        if name is None:
            return settings
        try:
            config = AutoConfig.from_pretrained(
                name, revision=self.args.image_encoder_revision, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"no readable config.json ({str(error).splitlines()[0]})",
                file=name,
                field="image_encoder",
                accepted="a Hub id or a folder, of one of transformers' own kinds",
            ) from None
        # of a model that is offered as a backbone the last feature map is read, of any other its patches' last states
        field = "backbone_config" if config.model_type in MODEL_FOR_BACKBONE_MAPPING_NAMES else "vision_config"
        return {**settings, "encoder": "image", field: getattr(config, "vision_config", config)}

    def load_weights(self, model: MultiLabelPreTrainedModel) -> None:
        """The pretrained weights of `--image_encoder`, where one was named."""
        if self.args.image_encoder is not None:
            load_pretrained_encoder(model.encoder, self.args.image_encoder, revision=self.args.image_encoder_revision)
