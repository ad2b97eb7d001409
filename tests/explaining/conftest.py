"""A model made by hand, whose explanations can be worked out on paper.

Its token vectors are h = (place on the attention's scale, what it says), an unknown word's is (0, 0). Label "A" attends by
the first number, label "B" to all words alike; both read out 4 times the second, A with the bias -1:

    word       h            a_A before softmax   a_A in "fever cough"   4 h_2
    fever      (ln 3,  1)   3                    3/4                     4
    cough      (0,    -1)   1                    1/4                    -4
    well       (0,     0)   1                                            0
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from hf_mlc.data import train_tokenizer
from hf_mlc.inference import LoadedModel
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification


VECTORS = {"fever": (math.log(3), 1.0), "cough": (0.0, -1.0), "well": (0.0, 0.0)}


def planted_model(*, max_length: int = 16) -> LoadedModel:
    tokenizer = train_tokenizer([" ".join(VECTORS)], min_frequency=1, max_length=max_length)
    space = LabelSpace(["A", "B"], descriptions=["<a> & co", None])
    config = PlantConfig(
        encoder="bag_of_words",
        vocab_size=len(tokenizer),
        hidden_size=2,
        num_labels=2,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        thresholds=[0.5, 0.25],
    )
    store_label_space(config, space)
    model = PlantForMultiLabelClassification(config).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()
        for word, vector in VECTORS.items():
            model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(word)] = torch.tensor(vector)
        model.decoder.query.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        model.decoder.weight.copy_(torch.tensor([[0.0, 4.0], [0.0, 4.0]]))
        model.decoder.bias.copy_(torch.tensor([-1.0, 0.0]))
    return LoadedModel(model, tokenizer, space)


@pytest.fixture
def planted() -> LoadedModel:
    return planted_model()


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory) -> Path:
    """The same, saved."""
    loaded, folder = planted_model(), tmp_path_factory.mktemp("planted")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder
