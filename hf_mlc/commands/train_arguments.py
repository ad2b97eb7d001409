"""What `train` may be told about data and model."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_mlc.auto import ARCHITECTURES
from hf_mlc.errors import UserError
from hf_mlc.label_checks import checked_propensity


TRAINED = [name for name, row in ARCHITECTURES.items() if row.trained]


@dataclass
class DataArguments:
    """Where the rows come from, and which of them train and choose."""

    dataset_name: str | None = field(default=None, metadata={"help": "A Hub id, a local file, or a folder of splits."})
    train_file: str | None = field(default=None, metadata={"help": "Local file of training rows."})
    validation_file: str | None = field(default=None, metadata={"help": "Local file of validation rows."})
    test_file: str | None = field(default=None, metadata={"help": "Local file of test rows."})
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id."})
    label_file: str | None = field(
        default=None,
        metadata={
            "help": "JSON file of the label space; without it, of tables, labels.json beside the data, or the training rows' labels."
        },
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
    targets: str = field(
        default="labels", metadata={"help": "Target form: labels (multi-hot) or label_ids (for many labels)."}
    )
    propensity: list[float] | None = field(
        default=None, metadata={"help": "A and B of psp@k (0.55 1.5); they stay with the model's labels."}
    )

    def __post_init__(self):
        if self.propensity is not None:
            checked_propensity(self.propensity)
        if self.targets not in ("labels", "label_ids"):
            raise UserError(f"found '{self.targets}'", field="targets", accepted="labels, label_ids")
        if not 0 < self.validation_fraction < 1:
            raise UserError(
                f"found {self.validation_fraction}", field="validation_fraction", accepted="between 0 and 1"
            )


@dataclass
class ModelArguments:
    """Which model; every field of its configuration is an argument too (`--hidden_size 300`)."""

    model_type: str = field(default="plant", metadata={"help": f"One of {', '.join(TRAINED)}."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Go on from a trained model of this package, with its labels and what its input is read through."
        },
    )
    label_rules: str | None = field(
        default=None,
        metadata={"help": "JSON file of a search's rules by labels' names: parents first, one of a group at most."},
    )
