"""A small corpus of synthetic notes, and a model small enough to count along."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.data.demo_notes import write_demo_corpus
from hf_mlc.label_storage import store_label_space
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from tests.common.tiny_rows import tokenised


TEXTS = ["corn", "wheat corn", "oil", "oil wheat", "profit", "corn oil", "profit oil"]
LABELS = [["grain"], ["grain"], ["crude"], ["crude", "grain"], ["earn"], ["crude", "grain"], ["crude", "earn"]]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder of train, validation and test files: 60, 20 and 20 notes."""
    folder = tmp_path_factory.mktemp("corpus")
    write_demo_corpus(folder, num_train=60, num_validation=20, num_test=20)
    (folder / "label_descriptions.json").unlink()
    return folder


@pytest.fixture
def parts():
    """A model, its tokenizer, its tokenised rows and its label space."""
    space, tokenizer, rows = tokenised(TEXTS, LABELS)
    torch.manual_seed(0)
    config = PlantConfig(vocab_size=len(tokenizer), hidden_size=8, encoder="bag_of_words", num_labels=len(space))
    store_label_space(config, space)
    return PlantForMultiLabelClassification(config), tokenizer, rows, space
