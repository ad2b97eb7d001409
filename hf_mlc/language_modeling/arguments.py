"""What `train` may be told about the language model that an encoder begins as."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError


@dataclass
class LanguageModelArguments:
    """Epochs, texts and optimisation of the language model; or one that is there already."""

    language_model: str | None = field(
        default=None,
        metadata={"help": "Folder of a language model (OUT/language_model of another run), with its tokenizer."},
    )
    language_model_epochs: int = field(
        default=0, metadata={"help": "Epochs in which the encoder first learns to predict each next token; 0: none."}
    )
    language_model_learning_rate: float = field(
        default=3e-3, metadata={"help": "Its largest learning rate, reached after a tenth of the steps."}
    )
    language_model_batch_size: int = field(default=32, metadata={"help": "Streams of text read side by side."})
    language_model_sequence_length: int = field(
        default=72, metadata={"help": "Tokens that a gradient goes back through."}
    )
    language_model_weight_decay: float = field(default=0.01, metadata={"help": "On its matrices."})
    language_model_dropout_scale: float | None = field(
        default=None, metadata={"help": "dropout_scale while it is trained; the model's if not given."}
    )
    language_model_holdout: float = field(
        default=0.05, metadata={"help": "Share of its texts that it isn't trained on, for its perplexity."}
    )
    language_model_files: list[str] = field(
        default_factory=list,
        metadata={"help": "More texts, without labels: .txt (a text a line), .jsonl, .csv, .parquet, plain or .gz."},
    )

    def __post_init__(self):
        least = {"epochs": 0, "batch_size": 1, "sequence_length": 1}
        for name, value in least.items():
            found = getattr(self, f"language_model_{name}")
            if found < value:
                raise UserError(f"found {found}", field=f"language_model_{name}", accepted=f"{value} or more")
        if not 0 < self.language_model_holdout < 1:
            raise UserError(
                f"found {self.language_model_holdout}", field="language_model_holdout", accepted="between 0 and 1"
            )
        if not self.language_model_learning_rate > 0:
            raise UserError(
                f"found {self.language_model_learning_rate}", field="language_model_learning_rate", accepted="above 0"
            )
        if self.language_model is not None and self.language_model_epochs:
            raise UserError(
                "a language model that is there, and epochs to train one",
                field="language_model",
                accepted="one of language_model and language_model_epochs",
            )
        if self.language_model_files and not self.language_model_epochs:
            raise UserError("texts, and no epochs", field="language_model_files", accepted="language_model_epochs")

    @property
    def wanted(self) -> bool:
        """Whether there is such a stage at all."""
        return self.language_model is not None or self.language_model_epochs > 0

    def to_dict(self) -> dict[str, Any]:
        """What the outcome depends on, files by their names."""
        settings = {name.removeprefix("language_model_"): value for name, value in asdict(self).items()}
        del settings["language_model"]
        return settings | {"files": [Path(file).name for file in self.language_model_files]}
