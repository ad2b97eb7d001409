"""Tiny LANET configurations and histories, for transformers' common tests (`run.sh`) and for our own (tests/modeling)."""

from __future__ import annotations

import torch

from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification


class LanetModelTester:
    """Builds a tiny configuration and batches of histories, all inputs of which are given whatever the model reads.

    The first half is what transformers' `ModelTesterMixin` asks for, the second what `MultiLabelModelTesterMixin` does.

    Args:
        parent: the test case of transformers' tests.
        settings: fields of `LanetConfig`.
    """

    config_class = LanetConfig
    model_class = LanetForMultiLabelClassification

    def __init__(self, parent=None, **settings):
        self.parent = parent
        self.settings = settings
        self.num_labels = 5
        self.batch_size = 3
        self.num_users = 3
        # of hidden states; where some labels are tokens, as many as the documents need
        self.num_hidden_layers = 2
        self.seq_length = self.num_labels + self.get_config().num_context_tokens
        self.hidden_size = self.get_config().token_dim
        self.is_training = True

    def get_config(self, **overrides) -> LanetConfig:
        """The tiny configuration; nothing is drawn in training."""
        arguments = {
            "embed_dim": 12,
            "num_heads": 2,
            "num_gaps": 9,
            "dropout": 0.0,
            "head_dropout": 0.0,
            "user_dropout": 0.0,
            "num_labels": self.num_labels,
            **self.settings,
        }
        return LanetConfig(**{**arguments, **overrides})

    def prepare_config_and_inputs_for_common(self) -> tuple[LanetConfig, dict[str, torch.Tensor]]:
        """The configuration and a batch of histories."""
        return self.get_config(), self.collate(self.documents(self.batch_size))

    # -- our own mixin ----------------------------------------------------------------------------------------------

    paddings = ("right", "left", "middle")
    empty_document = (0, 2.0, ())
    without_gradient = ()
    equivalent_overrides = ({"attn_implementation": "eager"}, {"attn_implementation": "sdpa"})
    compiles_whole = True

    def __str__(self) -> str:
        return "-".join(f"{name}={value}" for name, value in self.settings.items()) or "windowed"

    def prepare(self, model) -> None:
        """Nothing starts where it does nothing."""

    def documents(self, number: int = 4) -> list[tuple]:
        """Histories of different lengths, the same at each call: `(user, time to the target, ((gap, {label: bin}), ...))`."""
        generator = torch.Generator().manual_seed(0)

        def draw(low: int, high: int) -> int:
            return int(torch.randint(low, high, (), generator=generator))

        histories = []
        for row in range(number):
            events = []
            for place in range(1 + row % 4):
                held = torch.randperm(self.num_labels, generator=generator)[: draw(1, 4)].sort().values.tolist()
                if not place:  # another set for each of the first rows, so that what follows it can be known
                    held = [label for label in range(3) if (1 + row % 7) >> label & 1]
                # an amount may be missing (-100); the first gap is 0
                events.append((draw(1, 9) * (place > 0), {label: draw(-1, 3) for label in held}))
            histories.append((row % (self.num_users + 1), draw(0, 20) / 4, tuple(events)))
        return histories

    def collate(self, documents: list[tuple], *, padding: str = "right", extra: int = 0) -> dict[str, torch.Tensor]:
        """A batch as long as its longest history and `extra` more; padded events hold what must not be read."""
        width = max(1, *(len(events) for _, _, events in documents)) + extra
        shape = (len(documents), width)
        batch = {
            "event_ids": torch.full((*shape, 3 + extra), -100),
            "event_mask": torch.zeros(shape, dtype=torch.bool),
            "event_gaps": torch.full(shape, 3.0),
            "event_times": torch.full(shape, 7.0),
            "event_gap_ids": torch.full(shape, 4),
            "event_amount_bins": torch.full((*shape, 3 + extra), -100),
            "user_ids": torch.tensor([user for user, _, _ in documents]),
            "target_gaps": torch.tensor([gap for _, gap, _ in documents]),
        }
        batch["event_ids"][..., 0] = 1
        batch["event_amount_bins"][..., 0] = 1
        for row, (_, _, events) in enumerate(documents):
            missing, time = width - len(events), 0
            first = {"right": 0, "left": missing, "middle": 0}[padding]
            for number, (gap, held) in enumerate(events):
                place = first + number + (missing if padding == "middle" and number >= len(events) // 2 else 0)
                time += gap
                batch["event_mask"][row, place] = True
                batch["event_gaps"][row, place] = gap
                batch["event_times"][row, place] = time
                batch["event_gap_ids"][row, place] = 1 + gap
                batch["event_ids"][row, place, 0] = batch["event_amount_bins"][row, place, 0] = -100
                for column, (label, amount_bin) in enumerate(held.items()):
                    batch["event_ids"][row, place, column] = label
                    batch["event_amount_bins"][row, place, column] = -100 if amount_bin < 0 else amount_bin
        return batch
