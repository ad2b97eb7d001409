"""Tiny LightDXML configurations and inputs, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification

from .text_tester import TextModelTester


class LightDxmlModelTester(TextModelTester):
    """Builds a tiny configuration and batches of token ids, or of features with weights; no cycle has filled the index.

    The first half is what transformers' `ModelTesterMixin` asks for, the second what `MultiLabelModelTesterMixin` does.

    Args:
        parent: the test case of transformers' tests.
        encoder (`str`): one of `LightDxmlConfig.encoder`.
        settings: further fields of `LightDxmlConfig`.
    """

    config_class = LightDxmlConfig
    model_class = LightDxmlForMultiLabelClassification

    def __init__(self, parent=None, *, encoder: str = "tfidf", **settings):
        super().__init__(parent, encoder=encoder)
        self.settings = settings
        self.expected_num_hidden_layers = self.num_hidden_layers + 1 if encoder == "transformer" else 1

    def get_config(self, **overrides) -> LightDxmlConfig:
        """The tiny configuration; nothing is drawn in training, and the loss is a mean over labels as other architectures' is."""
        arguments = {
            "vocab_size": self.vocab_size,
            "encoder": self.encoder,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": 37,
            "embedding_dropout": 0.0,
            "residual_dropout": 0.0,
            "hidden_dropout": 0.0,
            "loss_reduction": "mean",
            "num_labels": self.num_labels,
            **self.settings,
        }
        if self.encoder == "transformer" and "text_config" not in overrides:
            arguments["text_config"] = self.small_bert(arguments, overrides)
        return LightDxmlConfig(**{**arguments, **overrides})

    def prepare_config_and_inputs_for_common(self) -> tuple[LightDxmlConfig, dict[str, torch.Tensor]]:
        """The configuration and a batch of whole rows, no padding id among them."""
        config, batch = super().prepare_config_and_inputs_for_common()
        if self.encoder == "features":
            batch["token_weights"] = torch.rand(self.batch_size, self.seq_length)
        return config, batch

    # -- our own mixin ----------------------------------------------------------------------------------------------

    equivalent_overrides = ({"block_size": 2}, {"block_size": 100})
    compiles_whole = True

    def __str__(self) -> str:
        return "-".join([self.encoder, *(f"{name}={value}" for name, value in self.settings.items())])

    def prepare(self, model) -> None:
        """Nothing starts where it does nothing."""

    def collate(
        self, documents: list[tuple[int, ...]], *, padding: str = "right", extra: int = 0
    ) -> dict[str, torch.Tensor]:
        """As of texts; features weigh what their ids say, and padding weighs something that must not be read."""
        batch = super().collate(documents, padding=padding, extra=extra)
        if self.encoder == "features":
            batch["token_weights"] = (batch["input_ids"] % 7 + 1) / 10
        return batch
