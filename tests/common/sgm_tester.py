"""Tiny SGM configurations and inputs, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification

from .text_tester import TextModelTester


class SgmModelTester(TextModelTester):
    """Builds a tiny configuration and batches of token ids.

    The first half is what transformers' `ModelTesterMixin` asks for, the second what `MultiLabelModelTesterMixin` does.

    Args:
        parent: the test case of transformers' tests.
        encoder (`str`): `"lstm"`, `"gru"` or `"transformer"`.
        settings: further fields of `SgmConfig`.
    """

    config_class = SgmConfig
    model_class = SgmForMultiLabelClassification

    def __init__(self, parent=None, *, encoder: str = "lstm", **settings):
        super().__init__(parent, encoder=encoder)
        self.settings = settings
        self.expected_num_hidden_layers = self.num_hidden_layers + 1 + bool(settings.get("encoder_self_attention"))

    def get_config(self, **overrides) -> SgmConfig:
        """The tiny configuration, without dropout unless asked for."""
        arguments = {
            "vocab_size": self.vocab_size,
            "encoder": self.encoder,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": 37,
            "max_position_embeddings": 64,
            "word_dropout": 0.0,
            "embedding_dropout": 0.0,
            "hidden_dropout": 0.0,
            "decoder_dropout": 0.0,
            "tfidf_dropout": 0.0,
            "num_labels": self.num_labels,
            "num_beams": 3,
            **self.settings,
        }
        if self.encoder == "transformer" and "text_config" not in overrides:
            arguments["text_config"] = self.small_bert(arguments, overrides)
        return SgmConfig(**{**arguments, **overrides})

    # -- our own mixin ----------------------------------------------------------------------------------------------

    # the overrides that may change speed and memory but nothing else, the plainest first
    equivalent_overrides = ({"attention_implementation": "eager"}, {"attention_implementation": "blocks"})
    compiles_whole = False  # a search asks whether all sequences have ended

    def __str__(self) -> str:
        return "-".join([self.encoder, *(str(value) for value in self.settings.values())])

    def prepare(self, model) -> None:
        """Nothing is put in before training."""
