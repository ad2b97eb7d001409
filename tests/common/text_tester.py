"""What the tiny configurations over a text encoder share, for transformers' common tests (`run.sh`) and for our own."""

from __future__ import annotations

from typing import Any

import torch


class TextModelTester:
    """Sizes, and batches of token ids; a tester of an architecture adds its configuration.

    Args:
        parent: the test case of transformers' tests.
        encoder (`str`): of the configuration.
    """

    paddings = ("right", "left", "middle")
    empty_document = ()
    # a bias on the keys moves all scores of a softmax alike: its gradient is zero but for rounding
    without_gradient = ("key.bias",)

    def __init__(self, parent=None, *, encoder: str):
        self.parent = parent
        self.encoder = encoder
        self.num_labels = 5
        self.batch_size = 3
        self.seq_length = 7
        self.vocab_size = 40
        self.hidden_size = 32
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.is_training = True

    def small_bert(self, arguments: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
        """The small BERT that `encoder="transformer"` stands for, without the dropout on its attention."""
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        return {
            "model_type": "bert",
            **{name: overrides.get(name, arguments[name]) for name in sizes},
            "max_position_embeddings": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }

    def prepare_config_and_inputs_for_common(self):
        """The configuration and a batch of whole rows, no padding id among them."""
        input_ids = torch.randint(2, self.vocab_size, (self.batch_size, self.seq_length))
        return self.get_config(), {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}

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
