"""LoRA: a pretrained backbone is trained by small factors beside its frozen weights, and ends as the backbone it was.

Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685; the factors are peft's (`pip install
-e .[lora]`). They are put into the backbone alone: labels, and all else that is ours, are trained in full. Checkpoints of
the run hold backbone and factors, and are for resuming; before anything is measured or saved as the result the factors
are added to the weights they stand beside, so that a result opens without peft.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from hf_mlc.errors import UserError


if TYPE_CHECKING:
    from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


EVERY_LINEAR = "all-linear"  # peft's own word


@dataclass
class LoraArguments:
    """What `train` may be told about LoRA."""

    lora_rank: int | None = field(
        default=None, metadata={"help": "Train the backbone by LoRA factors of this rank; without it, in full."}
    )
    lora_alpha: float = field(default=32.0, metadata={"help": "The factors' product is scaled by alpha / rank."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout on what the factors read."})
    lora_targets: list[str] = field(
        default_factory=lambda: [EVERY_LINEAR],
        metadata={"help": "Names of the linear layers that get factors (query value, q_proj v_proj); all by default."},
    )

    def __post_init__(self):
        if self.lora_rank is not None and self.lora_rank < 1:
            raise UserError(f"found {self.lora_rank}", field="lora_rank", accepted="1 or more")
        if not 0 <= self.lora_dropout < 1:
            raise UserError(f"found {self.lora_dropout}", field="lora_dropout", accepted="0 to less than 1")
        if self.lora_rank is not None:
            _peft()  # before the data is read


class LoraBackbone:
    """The factors in a model's backbone, from their putting in to their merging.

    Args:
        model (`MultiLabelPreTrainedModel`): its encoder must be a transformer; changed in place.
        args (`LoraArguments`): with a `lora_rank`.

    Raises:
        `UserError`: for another encoder, where peft isn't installed, and for targets that the backbone hasn't got.
    """

    def __init__(self, model: MultiLabelPreTrainedModel, args: LoraArguments):
        peft = _peft()
        self.backbone: nn.Module | None = getattr(getattr(model, "encoder", None), "backbone", None)
        if self.backbone is None:
            raise UserError("this encoder has no backbone", field="lora_rank", accepted="an encoder 'transformer'")
        targets: Any = args.lora_targets
        settings = peft.LoraConfig(
            r=args.lora_rank,
            lora_alpha=args.lora_alpha,
            lora_dropout=args.lora_dropout,
            target_modules=EVERY_LINEAR if targets == [EVERY_LINEAR] else targets,
        )
        try:
            # freezes the rest of the backbone
            self._tuner = peft.LoraModel(self.backbone, settings, "default")
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise UserError(reason, field="lora_targets", accepted=f"{EVERY_LINEAR}, or names of its layers") from None
        self.backbone.train(model.training)

    def merge(self) -> None:
        """Adds the factors' products to the weights and takes the factors out; everything can be trained again."""
        self._tuner.merge_and_unload()
        self.backbone.requires_grad_(True)


def _peft():
    try:
        import peft
    except ImportError:
        raise UserError("peft is not installed", field="lora_rank", accepted="pip install -e .[lora]") from None
    return peft
