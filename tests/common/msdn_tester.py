"""Tiny MSDN configurations and inputs, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification

from .text_tester import TextModelTester


class MsdnModelTester(TextModelTester):
    """Builds a tiny configuration and batches of token ids, or of table rows for the encoder "mlp".

    The first half is what transformers' `ModelTesterMixin` asks for, the second what `MultiLabelModelTesterMixin` does.

    Args:
        parent: the test case of transformers' tests.
        encoder (`str`): one of `MsdnConfig.encoder`.
        settings: further fields of `MsdnConfig`.
    """

    config_class = MsdnConfig
    model_class = MsdnForMultiLabelClassification

    def __init__(self, parent=None, *, encoder: str = "convolution", **settings):
        super().__init__(parent, encoder=encoder)
        self.settings = settings
        self.input_size = 6
        self.expected_num_hidden_layers = 1 if encoder == "bag_of_words" else self.num_hidden_layers + 1

    def get_config(self, **overrides) -> MsdnConfig:
        """The tiny configuration; nothing is drawn in training (dropout, shown labels) unless asked for."""
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
            "relation_dropout": 0.0,
            **({"label_mask_rate": 1.0} if self.settings.get("variant") == "parallel" else {}),
            "embedding_std": 0.2,
            "channels": 4,
            "num_labels": self.num_labels,
            **self.settings,
        }
        if self.encoder == "mlp":
            arguments["input_size"] = self.input_size
        if self.encoder == "transformer" and "text_config" not in overrides:
            arguments["text_config"] = self.small_bert(arguments, overrides)
        return MsdnConfig(**{**arguments, **overrides})

    def prepare_config_and_inputs_for_common(self) -> tuple[MsdnConfig, dict[str, torch.Tensor]]:
        """The configuration and a batch of whole rows, no padding id among them."""
        if self.encoder == "mlp":
            return self.get_config(), {"input_features": torch.randn(self.batch_size, self.input_size)}
        return super().prepare_config_and_inputs_for_common()

    # -- our own mixin ----------------------------------------------------------------------------------------------

    equivalent_overrides = ()
    compiles_whole = False  # what searches a chain asks whether its table is still that of the weights

    @property
    def empty_document(self) -> tuple | None:
        return None if self.encoder == "mlp" else ()

    @property
    def paddings(self) -> tuple[str, ...]:
        return () if self.encoder == "mlp" else super().paddings

    def __str__(self) -> str:
        return "-".join([self.encoder, *(f"{name}={value}".replace(" ", "") for name, value in self.settings.items())])

    @torch.no_grad()
    def prepare(self, model) -> None:
        """What starts at 0, and where it does nothing before it matters: relations' output, the attention's question."""
        generator = torch.Generator().manual_seed(1)
        output = model.relations.output
        weight = output if isinstance(output, torch.nn.Parameter) else output.weight
        weight.copy_(torch.randn(weight.shape, generator=generator))
        question = getattr(getattr(model.encoder, "pooling", None), "question", None)
        if question is not None:
            question.copy_(torch.randn(question.shape, generator=generator))

    def documents(self, number: int = 4) -> list[tuple]:
        """Token ids of documents of different lengths, or rows of a table; the same at each call."""
        if self.encoder != "mlp":
            return super().documents(number)
        generator = torch.Generator().manual_seed(0)
        return [tuple(torch.randn(self.input_size, generator=generator).tolist()) for _ in range(number)]

    def collate(self, documents: list[tuple], *, padding: str = "right", extra: int = 0) -> dict[str, torch.Tensor]:
        """A batch as wide as its longest document and `extra` more; padded places hold a token that must not be read."""
        if self.encoder == "mlp":
            return {"input_features": torch.tensor(documents)}
        return super().collate(documents, padding=padding, extra=extra)
