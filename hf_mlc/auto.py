"""The table of architectures. Importing `hf_mlc` registers every row with transformers' Auto classes.

After that `AutoConfig`, `AutoModel` and, for text, `AutoModelForSequenceClassification` open our models by themselves;
`AutoModel` returns the classifier, since an architecture has one model class.
"""

from __future__ import annotations

from dataclasses import dataclass

import transformers

from hf_mlc.data.collating import MultiLabelCollator
from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.training.trainer import MultiLabelTrainer


@dataclass(frozen=True)
class Architecture:
    """One row: the classes that a `model_type` stands for, and which input it reads."""

    config: type[MultiLabelConfig]
    model: type[MultiLabelPreTrainedModel]
    collator: type = MultiLabelCollator
    trainer: type[MultiLabelTrainer] = MultiLabelTrainer
    processor: type = transformers.PreTrainedTokenizerFast
    input: str = "text"


ARCHITECTURES: dict[str, Architecture] = {
    "plant": Architecture(PlantConfig, PlantForMultiLabelClassification),
}


def register() -> None:
    """Registers every architecture with the Auto classes; a second call changes nothing."""
    for model_type, architecture in ARCHITECTURES.items():
        transformers.AutoConfig.register(model_type, architecture.config, exist_ok=True)
        architecture.config.register_for_auto_class()  # saving then copies the code beside the weights
        for auto_class in architecture.model.auto_classes:
            getattr(transformers, auto_class).register(architecture.config, architecture.model, exist_ok=True)
        architecture.model.register_for_auto_class("AutoModel")


def architecture_of(model_type: str) -> Architecture:
    """The row of `model_type`.

    Raises:
        `UserError`: for a model type that isn't one of ours.
    """
    if model_type not in ARCHITECTURES:
        raise UserError(
            f"unknown architecture '{model_type}'", field="model_type", accepted=", ".join(sorted(ARCHITECTURES))
        )
    return ARCHITECTURES[model_type]
