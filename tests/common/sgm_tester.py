"""Tiny SGM configurations and inputs, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification


class SgmModelTester:
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
        self.parent = parent
        self.encoder = encoder
        self.settings = settings
        self.num_labels = 5
        self.batch_size = 3
        self.seq_length = 7
        self.vocab_size = 40
        self.hidden_size = 32
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.is_training = True
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
            # the small BERT that `encoder="transformer"` stands for, without the dropout on its attention
            sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
            arguments["text_config"] = {
                "model_type": "bert",
                **{name: overrides.get(name, arguments[name]) for name in sizes},
                "max_position_embeddings": 64,
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
            }
        return SgmConfig(**{**arguments, **overrides})

    def prepare_config_and_inputs_for_common(self) -> tuple[SgmConfig, dict[str, torch.Tensor]]:
        """The configuration and a batch of whole rows, no padding id among them."""
        input_ids = torch.randint(2, self.vocab_size, (self.batch_size, self.seq_length))
        return self.get_config(), {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}

    # -- our own mixin ----------------------------------------------------------------------------------------------

    empty_document = ()
    paddings = ("right", "left", "middle")
    # the overrides that may change speed and memory but nothing else, the plainest first
    equivalent_overrides = ({"attention_implementation": "eager"}, {"attention_implementation": "blocks"})
    # a bias on a BERT's keys moves all scores of a softmax alike: its gradient is zero but for rounding
    without_gradient = ("key.bias",)
    compiles_whole = False  # a search asks whether all sequences have ended

    def __str__(self) -> str:
        return "-".join([self.encoder, *(str(value) for value in self.settings.values())])

    def prepare(self, model) -> None:
        """Nothing is put in before training."""

    def documents(self, number: int = 4) -> list[tuple[int, ...]]:
        """Token ids of documents of different lengths, the same at each call."""
        generator = torch.Generator().manual_seed(0)
        return [
            tuple(torch.randint(2, self.vocab_size, (3 + 2 * (row % 4),), generator=generator).tolist())
            for row in range(number)
        ]

    def collate(
        self, documents: list[tuple[int, ...]], *, padding: str = "right", extra: int = 0
    ) -> dict[str, torch.Tensor]:
        """A batch as wide as its longest document and `extra` more; padded places hold a token that must not be read."""
        width = max(1, *map(len, documents)) + extra
        input_ids = torch.full((len(documents), width), 3)
        attention_mask = torch.zeros(len(documents), width, dtype=torch.long)
        for row, document in enumerate(documents):
            missing = width - len(document)
            half = len(document) // 2
            places = list(range(len(document)))
            if padding == "left":
                places = [place + missing for place in places]
            elif padding == "middle":
                places = places[:half] + [place + missing for place in places[half:]]
            for place, token in zip(places, document, strict=True):
                input_ids[row, place] = token
                attention_mask[row, place] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask}
