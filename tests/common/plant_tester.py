"""Tiny PLANT configurations and inputs, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification

from .text_tester import TextModelTester


class PlantModelTester(TextModelTester):
    """Builds a tiny configuration and batches of token ids for one encoder.

    The first half is what transformers' `ModelTesterMixin` asks for, the second what `MultiLabelModelTesterMixin` does.

    Args:
        parent: the test case of transformers' tests.
        encoder (`str`): one of `PlantConfig.encoder`.
        planted (`dict`, *optional*): `PlantConfig`'s planting fields, for a model with planted attention.
    """

    config_class = PlantConfig
    model_class = PlantForMultiLabelClassification

    def __init__(self, parent=None, *, encoder: str = "convolution", planted: dict | None = None):
        super().__init__(parent, encoder=encoder)
        self.planted = (
            {} if planted is None else {"planting": "attention", "stored_tokens": 6, "rank_size": 4, **planted}
        )
        self.expected_num_hidden_layers = 1 if encoder == "bag_of_words" else self.num_hidden_layers + 1

    def get_config(self, **overrides) -> PlantConfig:
        """The tiny configuration, without dropout unless asked for."""
        arguments = {
            "vocab_size": self.vocab_size,
            "encoder": self.encoder,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": 37,
            "max_position_embeddings": 64,
            "conv_kernel_size": 3,
            "word_dropout": 0.0,
            "embedding_dropout": 0.0,
            "hidden_dropout": 0.0,
            "input_dropout": 0.0,
            "weight_dropout": 0.0,
            "recurrent_size": 24,
            "num_labels": self.num_labels,
            **self.planted,
        }
        if self.encoder == "transformer" and "text_config" not in overrides:
            arguments["text_config"] = self.small_bert(arguments, overrides)
        return PlantConfig(**{**arguments, **overrides})

    # -- our own mixin ----------------------------------------------------------------------------------------------

    # the overrides that may change speed and memory but nothing else, the plainest first
    equivalent_overrides = (
        {"attention_implementation": "eager"},
        {"attention_implementation": "blocks", "attention_block_size": 2},
        {"attention_implementation": "sdpa"},
    )

    @property
    def compiles_whole(self) -> bool:
        """Whether `torch.compile(fullgraph=True)` works; recurrent networks and loops over chunks break the graph."""
        return not self.planted.get("stateful") and self.encoder in ("bag_of_words", "convolution", "transformer")

    def __str__(self) -> str:
        planted = "-".join(name for name, value in self.planted.items() if value is True or name == "planting")
        return f"{self.encoder}-{planted}" if planted else self.encoder

    def prepare(self, model) -> None:
        """Random lists of tokens, the last label's short, where mutual information or a read-out is planted."""
        generator = torch.Generator().manual_seed(1)
        if (readout := model.decoder.readout) is not None:
            with torch.no_grad():
                for tokens_K, weight_K in zip(readout.tokens, readout.weight, strict=True):
                    tokens_K.copy_(torch.randperm(self.vocab_size - 2, generator=generator)[: len(tokens_K)] + 2)
                    weight_K.copy_(torch.randn(len(weight_K), generator=generator) / 10)
        part = model.decoder.mutual_information
        if part is None:
            return
        for tokens_K, values_K in zip(part.tokens, part.values, strict=True):
            tokens_K.copy_(torch.randperm(self.vocab_size - 2, generator=generator)[: len(tokens_K)] + 2)
            values_K.copy_(torch.rand(len(values_K), generator=generator).sort(descending=True).values)
        part.tokens[-1, 1:], part.values[-1, 1:] = -1, 0.0
