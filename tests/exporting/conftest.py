"""A small model with everything an export needs, and the folders it is exported to, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_mlc.exporting import export_onnx
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

WORDS = ["<pad>", "<unk>", *(f"w{number}" for number in range(2, 40))]
TEXTS = ["w2 w3 w4 w5", "", "w9", "w30 w31 w2 w2 w2 w7 w8 w21 w22 w23 w24", "no word of these", "w12 w13"]


def small_model(num_labels: int = 5, **overrides) -> LoadedModel:
    """A bag of words with random weights, as spread out as training makes them, and a threshold a label."""
    torch.manual_seed(0)
    names = [f"label {number}" for number in range(num_labels)]
    arguments = {
        "encoder": "bag_of_words",
        "vocab_size": len(WORDS),
        "hidden_size": 32,
        "embedding_std": 1.0,
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        "thresholds": [0.3 + 0.4 * number / num_labels for number in range(num_labels)],
        "min_labels": 1,
    }
    model = PlantForMultiLabelClassification(PlantConfig(**{**arguments, **overrides})).eval()
    spread_out(model)
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", model_max_length=8
    )
    return LoadedModel(model, tokenizer, LabelSpace(names))


def spread_out(model: PlantForMultiLabelClassification) -> None:
    """Attention that chooses and logits of some size: what is near uniform would agree whatever went wrong."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (model.decoder.query, model.decoder.weight, model.decoder.bias):
            parameter.normal_(generator=generator)


@pytest.fixture(scope="session")
def loaded() -> LoadedModel:
    """Five labels; to be read only."""
    return small_model()


@pytest.fixture(scope="session")
def exported(loaded, tmp_path_factory) -> Path:
    """Its export in float32."""
    folder = tmp_path_factory.mktemp("exported") / "float32"
    export_onnx(loaded, folder)
    return folder


@pytest.fixture(scope="session")
def exported_int8(loaded, tmp_path_factory) -> Path:
    """Its export with int8 tables."""
    folder = tmp_path_factory.mktemp("exported") / "int8"
    export_onnx(loaded, folder, int8=True)
    return folder
