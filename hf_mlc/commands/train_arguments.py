"""What `train` may be told about data and model."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.data import Columns
from hf_mlc.errors import UserError


TRAINED = [name for name, row in ARCHITECTURES.items() if row.trained]


@dataclass
class DataArguments:
    """Where the rows come from and how they are read."""

    dataset_name: str | None = field(default=None, metadata={"help": "A Hub id, a local file, or a folder of splits."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a Hub data set."})
    train_file: str | None = field(default=None, metadata={"help": "Local file of training rows."})
    validation_file: str | None = field(default=None, metadata={"help": "Local file of validation rows."})
    test_file: str | None = field(default=None, metadata={"help": "Local file of test rows."})
    text_column: list[str] = field(
        default_factory=lambda: ["text"], metadata={"help": "Column of the text; several are joined by a newline."}
    )
    labels_column: str = field(default="labels", metadata={"help": "Column of the labels."})
    labels_separator: str | None = field(
        default=None, metadata={"help": "What separates labels in a string column (CSV: ';')."}
    )
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id."})
    label_file: str | None = field(
        default=None, metadata={"help": "JSON file of the label space; without it the training rows' labels."}
    )
    validation_fraction: float = field(
        default=0.1, metadata={"help": "Share of training rows set aside where no validation split is given."}
    )
    refit: bool = field(
        default=False,
        metadata={
            "help": "After epochs and thresholds were chosen on the validation rows, train anew on these rows as well, for"
            " as much of the plan; the thresholds stay."
        },
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Use the first N training rows."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Use the first N validation rows."})
    max_length: int = field(default=512, metadata={"help": "Tokens of a document that are read."})
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})
    pad_to_multiple_of: int | None = field(default=None, metadata={"help": "Round the padded length up to this."})
    targets: str = field(
        default="labels", metadata={"help": "Target form: labels (multi-hot) or label_ids (for many labels)."}
    )

    def __post_init__(self):
        if self.targets not in ("labels", "label_ids"):
            raise UserError(f"found '{self.targets}'", field="targets", accepted="labels, label_ids")
        if not 0 < self.validation_fraction < 1:
            raise UserError(
                f"found {self.validation_fraction}", field="validation_fraction", accepted="between 0 and 1"
            )

    def columns(self) -> Columns:
        """Which columns hold what, in the loader's terms."""
        return Columns(
            text=self.text_column, labels=self.labels_column, labels_separator=self.labels_separator, id=self.id_column
        )


@dataclass
class ModelArguments:
    """Which model; every field of its configuration is an argument too (`--hidden_size 300`)."""

    model_type: str = field(default="plant", metadata={"help": f"One of {', '.join(TRAINED)}."})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Go on from a trained model of this package, with its tokenizer and labels."}
    )
    text_encoder: str | None = field(
        default=None, metadata={"help": "Pretrained encoder, Hub id or folder, with its tokenizer."}
    )
    text_encoder_revision: str | None = field(default=None, metadata={"help": "Its branch, tag or commit."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, Hub id or folder."})
    tokenizer_kind: str = field(
        default="word", metadata={"help": "From scratch, on training rows: word or bpe, where none is named."}
    )
    tokenizer_vocab_size: int = field(default=30000, metadata={"help": "Its largest vocabulary."})
    tokenizer_min_frequency: int = field(default=2, metadata={"help": "Fewest training occurrences of an entry."})
    tokenizer_lowercase: bool = field(default=True, metadata={"help": "Fold upper case."})
