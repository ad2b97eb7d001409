"""The table of architectures. Importing `hf_mlc` registers every row with transformers' Auto classes.

After that `AutoConfig`, `AutoModel` and, for text, `AutoModelForSequenceClassification` open our models by themselves;
`AutoModel` returns the classifier, since an architecture has one model class. `pipeline("multi-label-classification")`
is registered as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import transformers
from transformers.pipelines import PIPELINE_REGISTRY

from hf_mlc.cycles.trainer import LightDxmlTrainer
from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_ensemble import EnsembleConfig
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_ensemble import EnsembleForMultiLabelClassification
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.pipeline_multi_label import TASK, MultiLabelClassificationPipeline
from hf_mlc.modeling.pipeline_multi_label_events import EVENT_TASK, MultiLabelEventPredictionPipeline
from hf_mlc.modeling.pipeline_multi_label_images import IMAGE_TASK, MultiLabelImageClassificationPipeline
from hf_mlc.modeling.pipeline_multi_label_sparse import SPARSE_TASK, MultiLabelSparseClassificationPipeline
from hf_mlc.modeling.pipeline_multi_label_tables import TABLE_TASK, MultiLabelTableClassificationPipeline
from hf_mlc.modeling.processing_events import EventProcessor
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.modeling.processing_table import TableFeatureExtractor
from hf_mlc.training.trainer import MultiLabelTrainer


@dataclass(frozen=True)
class Architecture:
    """One row: the classes that a `model_type` stands for, whether `train` makes one, and whether it may read tables or
    sparse features, or reads events; whether its trainer takes features of the labels; and the form of its targets, where none
    is asked for."""

    config: type[MultiLabelConfig]
    model: type[MultiLabelPreTrainedModel]
    trainer: type[MultiLabelTrainer] = MultiLabelTrainer
    trained: bool = True
    reads_tables: bool = False
    reads_events: bool = False
    reads_features: bool = False
    takes_label_features: bool = False
    targets: Literal["labels", "label_ids"] = "labels"


ARCHITECTURES: dict[str, Architecture] = {
    "plant": Architecture(PlantConfig, PlantForMultiLabelClassification),
    "sgm": Architecture(SgmConfig, SgmForMultiLabelClassification),
    "msdn": Architecture(MsdnConfig, MsdnForMultiLabelClassification, reads_tables=True),
    "lanet": Architecture(LanetConfig, LanetForMultiLabelClassification, reads_events=True),
    "lightdxml": Architecture(
        LightDxmlConfig,
        LightDxmlForMultiLabelClassification,
        trainer=LightDxmlTrainer,
        reads_features=True,
        takes_label_features=True,
        targets="label_ids",
    ),
    "ensemble": Architecture(EnsembleConfig, EnsembleForMultiLabelClassification, trained=False, reads_tables=True),
}


class OwnProcessor:
    """What `AutoProcessor` finds for a configuration of ours. Without it, it would try every Auto class in turn, and that of
    pictures asks for `trust_remote_code` where the extractor of tables, events or sparse features names its own code."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """The tokenizer, image processor or feature extractor of what the model reads; arguments are those of its Auto class."""
        config = transformers.AutoConfig.from_pretrained(pretrained_model_name_or_path, **kwargs)
        others = {"text": transformers.AutoTokenizer, "image": transformers.AutoImageProcessor}
        auto_class = others.get(config.input_kind, transformers.AutoFeatureExtractor)
        return auto_class.from_pretrained(pretrained_model_name_or_path, **kwargs)


def register() -> None:
    """Registers every architecture with the Auto classes, the pipeline, `push_to_hub`; a second call changes nothing."""
    for model_type, architecture in ARCHITECTURES.items():
        transformers.AutoConfig.register(model_type, architecture.config, exist_ok=True)
        architecture.config.register_for_auto_class()  # saving then copies the code beside the weights
        for auto_class in architecture.model.auto_classes:
            getattr(transformers, auto_class).register(architecture.config, architecture.model, exist_ok=True)
        architecture.model.register_for_auto_class("AutoModel")
        transformers.AutoProcessor.register(architecture.config, OwnProcessor, exist_ok=True)
        if architecture.reads_tables:
            transformers.AutoFeatureExtractor.register(architecture.config, TableFeatureExtractor, exist_ok=True)
        if architecture.reads_events:
            transformers.AutoFeatureExtractor.register(architecture.config, EventProcessor, exist_ok=True)
        if architecture.reads_features:
            transformers.AutoFeatureExtractor.register(architecture.config, SparseFeatureExtractor, exist_ok=True)
    EventProcessor.register_for_auto_class()
    SparseFeatureExtractor.register_for_auto_class()
    TableFeatureExtractor.register_for_auto_class()
    for task, pipeline_class, kind in (
        (TASK, MultiLabelClassificationPipeline, "text"),
        (IMAGE_TASK, MultiLabelImageClassificationPipeline, "image"),
        (TABLE_TASK, MultiLabelTableClassificationPipeline, "tabular"),
        (EVENT_TASK, MultiLabelEventPredictionPipeline, "event"),
        (SPARSE_TASK, MultiLabelSparseClassificationPipeline, "tabular"),
    ):
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(
                task, pipeline_class=pipeline_class, pt_model=transformers.AutoModel, type=kind
            )
    MultiLabelPreTrainedModel.publisher = _publish
    MultiLabelConfig.pipelines_are_registered = True  # so that `pipeline` takes ours, not the copy beside the weights


def _publish(model: MultiLabelPreTrainedModel, repo_id: str, **kwargs):
    from hf_mlc.publishing.pushing import push_model  # it stands on this table

    return push_model(model, repo_id, **kwargs)


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
