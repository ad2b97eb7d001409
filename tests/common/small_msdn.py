"""A tiny model of table rows, saved with its feature extractor, whose labels move each other's logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import hf_mlc  # noqa: F401  # what is saved then carries its code
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.processing_table import TableFeatureExtractor


NAMES = ["red", "a|b", "cost $5", "late", "sad"]
COUNTS = [60, 45, 30, 20, 5]  # of 100 rows
ROWS = [
    {"age": 50, "height": 1.5, "colour": "blue"},
    {"age": "30", "height": None, "colour": "red"},
    {"age": 41.0, "height": 1.8, "colour": "green"},
]


def table_extractor() -> TableFeatureExtractor:
    """Two numbers, one of which may be missing, and one feature of two categories: five columns."""
    return TableFeatureExtractor(
        ["age", "height", "colour"],
        ["numeric", "numeric", "category"],
        means=[40.0, 1.7],
        scales=[10.0, 0.1],
        missing=["height"],
        categories={"colour": ["blue", "red"]},
    )


def save_table_model(folder: Path, **settings) -> Path:
    """Saves one of random weights, large enough to tell rows and labels apart."""
    torch.manual_seed(0)
    extractor = table_extractor()
    usual = {
        "num_labels": len(NAMES),
        "input_size": extractor.input_size,
        "numeric_size": extractor.numeric_size,
        "numeric_embedding": "piecewise_linear",
        "hidden_size": 8,
        "kernel_sizes": [1, 3],
    }
    config = MsdnConfig(**usual | settings)
    store_label_space(config, LabelSpace(NAMES, counts=np.array(COUNTS), num_documents=100))
    model = MsdnForMultiLabelClassification(config).eval()
    with torch.no_grad():
        model.head.weight.mul_(20)
        output = model.relations.output
        torch.nn.init.normal_(output if isinstance(output, torch.Tensor) else output.weight)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder
