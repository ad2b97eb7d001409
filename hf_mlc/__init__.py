"""Multi-label classification for the Hugging Face ecosystem. Importing this registers our models with the Auto classes."""

from hf_mlc.auto import ARCHITECTURES, register
from hf_mlc.building import build_model
from hf_mlc.data import (
    Columns,
    MultiLabelCollator,
    add_validation_split,
    load_splits,
    tokenize_splits,
    train_tokenizer,
)
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model, predict_texts
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.modeling.multi_label import MultiLabelOutput
from hf_mlc.modeling.pipeline_multi_label import MultiLabelClassificationPipeline
from hf_mlc.quick import fit, predict
from hf_mlc.thresholds import tune_thresholds
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.trainer import MultiLabelTrainer
from hf_mlc.version import __version__


register()

__all__ = [
    "ARCHITECTURES",
    "Columns",
    "LabelSpace",
    "LanetConfig",
    "LanetForMultiLabelClassification",
    "LightDxmlConfig",
    "LightDxmlForMultiLabelClassification",
    "MsdnConfig",
    "MsdnForMultiLabelClassification",
    "MultiLabelClassificationPipeline",
    "MultiLabelCollator",
    "MultiLabelMetrics",
    "MultiLabelOutput",
    "MultiLabelTrainer",
    "MultiLabelTrainingArguments",
    "PlantConfig",
    "PlantForMultiLabelClassification",
    "SgmConfig",
    "SgmForMultiLabelClassification",
    "UserError",
    "__version__",
    "add_validation_split",
    "build_model",
    "fit",
    "load_model",
    "load_splits",
    "predict",
    "predict_texts",
    "tokenize_splits",
    "train_tokenizer",
    "tune_thresholds",
]
