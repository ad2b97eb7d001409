"""Arguments that several commands share: which columns of the data hold what, and which version of a Hub data set is meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hf_mlc.data import Columns
from hf_mlc.inputs import InputKind


@dataclass
class TextColumnArguments:
    """Where texts stand, for a command that is of texts only."""

    text_column: list[str] = field(
        default_factory=lambda: ["text"], metadata={"help": "Column of the text; several are joined by a newline."}
    )


@dataclass
class LabelColumnArguments:
    """Where labels stand."""

    labels_column: str = field(default="labels", metadata={"help": "Column of the labels."})
    labels_separator: str | None = field(
        default=None, metadata={"help": "What separates labels in a string column (CSV: ';')."}
    )
    label_columns: list[str] | None = field(
        default=None, metadata={"help": "Columns of 0 and 1, one a label, in place of the labels column."}
    )

    def columns_of_labels(self) -> dict[str, Any]:
        """The same in the loader's terms, as arguments of [`~hf_mlc.data.Columns`]."""
        return {
            "labels": self.labels_column,
            "labels_separator": self.labels_separator,
            "label_columns": None if self.label_columns is None else tuple(self.label_columns),
        }


@dataclass
class ContentArguments(TextColumnArguments):
    """Which columns hold what a row is labelled by, of every kind of input; a model reads those of its own kind."""

    image_column: str = field(
        default="image", metadata={"help": "Of pictures: their column, a file or an Image feature."}
    )
    image_folder: str | None = field(
        default=None, metadata={"help": "What pictures' names are relative to; the data's own folder if not given."}
    )
    features_column: str | None = field(
        default=None,
        metadata={
            "help": "Of tables: the one column of lists or objects, 'features'; of a column a feature --feature_columns."
        },
    )
    feature_columns: list[str] | None = field(
        default=None,
        metadata={
            "help": "Of tables: the columns that are features, one each; '*' for all but labels and id. Of one column that holds"
            " them all --features_column."
        },
    )
    events_column: str | None = field(
        default=None,
        metadata={"help": "Of histories: the column of lists of events, 'events'; of a long table see --user_column."},
    )
    user_column: str | None = field(
        default=None,
        metadata={
            "help": "Of histories in a long table, a row a label of an event: whose it is. --time_column and --label_column beside it."
        },
    )
    time_column: str | None = field(
        default=None, metadata={"help": "Of a long table: when it was, a number or a date."}
    )
    label_column: str | None = field(default=None, metadata={"help": "Of a long table: the label."})
    amount_column: str | None = field(
        default=None, metadata={"help": "Of a long table: how much or how many, if wanted."}
    )
    time_format: str | None = field(
        default=None,
        metadata={
            "help": "Of a long table: how dates are written that aren't ISO 8601, as strptime has it: %%d/%%m/%%Y %%H:%%M"
        },
    )

    def columns(self, kind: InputKind, *, id_column: str | None = None, processor: Any = None) -> Columns:
        """Which columns hold what, in the loader's terms: of rows without labels.

        Args:
            kind ([`~hf_mlc.inputs.InputKind`]): what the rows are.
            id_column (`str`, *optional*): the column of the row's id.
            processor (*optional*): that of a trained model, which may know its columns.
        """
        return Columns(**self._of_content(kind, processor), labels=None, id=id_column)

    def _of_content(self, kind: InputKind, processor: Any) -> dict[str, Any]:
        return kind.columns(self) if processor is None else kind.columns_of(processor, self)


@dataclass
class ColumnArguments(LabelColumnArguments, ContentArguments):
    """Which columns hold what a row is labelled by, and its labels."""

    def columns(self, kind: InputKind, *, id_column: str | None = None, processor: Any = None) -> Columns:
        """Which columns hold what, in the loader's terms."""
        return Columns(**self._of_content(kind, processor), **self.columns_of_labels(), id=id_column)


@dataclass
class HubDataArguments:
    """Of a data set on the Hub: which of its versions."""

    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a Hub data set."})

    def version(self) -> dict[str, str | None]:
        """Both, as arguments of [`~hf_mlc.data.load_splits`]."""
        return {"config_name": self.dataset_config_name, "revision": self.dataset_revision}
