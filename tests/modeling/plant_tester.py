"""Tiny PLANT configurations and inputs, for transformers' common tests (tests/common) and for our own (model_tester.py)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_plant import PlantConfig


class PlantModelTester:
    """Builds a tiny configuration and a batch of token ids for one encoder.

    Args:
        parent: the test case, whose assertions transformers' `ConfigTester` uses.
        encoder (`str`): one of `PlantConfig.encoder`.
    """

    config_class = PlantConfig
    main_input_name = "input_ids"

    def __init__(self, parent=None, *, encoder: str = "convolution", num_labels: int = 5):
        self.parent = parent
        self.encoder = encoder
        self.num_labels = num_labels
        self.batch_size = 3
        self.seq_length = 7
        self.vocab_size = 40
        self.hidden_size = 32
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.intermediate_size = 37
        self.is_training = True
        # transformers' name for what a bag of words and a recurrent network never have
        self.expected_num_hidden_layers = 1 if encoder == "bag_of_words" else self.num_hidden_layers + 1

    def get_config(self, **overrides) -> PlantConfig:
        """The tiny configuration, without dropout unless asked for."""
        arguments = {
            "vocab_size": self.vocab_size,
            "encoder": self.encoder,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": 64,
            "conv_kernel_size": 3,
            "word_dropout": 0.0,
            "embedding_dropout": 0.0,
            "hidden_dropout": 0.0,
            "num_labels": self.num_labels,
        }
        return PlantConfig(**{**arguments, **overrides})

    def prepare_config_and_inputs(self) -> tuple[PlantConfig, dict[str, torch.Tensor]]:
        """The configuration and a batch of whole rows, no padding id among them."""
        input_ids = torch.randint(2, self.vocab_size, (self.batch_size, self.seq_length))
        return self.get_config(), {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}

    def prepare_config_and_inputs_for_common(self) -> tuple[PlantConfig, dict[str, torch.Tensor]]:
        return self.prepare_config_and_inputs()
