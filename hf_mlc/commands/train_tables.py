"""What `train` does with tables: the feature extractor, fitted on the training rows, and the sizes that follow from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_mlc.commands.parsing import check_at_least
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.data import Columns
from hf_mlc.data.columns import ColumnRows
from hf_mlc.data.storing import file_of
from hf_mlc.data.writing import FEATURES_FILE, LABELS_FILE
from hf_mlc.errors import UserError, named_row
from hf_mlc.inputs import TABLES
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.processing_table import TableFeatureExtractor
from hf_mlc.tabular.bins import fill_bins
from hf_mlc.tabular.feature_files import DeclaredFeatures, file_beside, read_feature_file
from hf_mlc.tabular.fitting import declares_categories, fit_table, remarks, summary


@dataclass
class TableArguments:
    """Where the rows are of a table (`--model_type msdn`): what its features are."""

    feature_file: str | None = field(
        default=None,
        metadata={
            "help": "JSON file of the features' names and types; features.json in the data's folder if there is one."
        },
    )
    category_columns: list[str] = field(
        default_factory=list, metadata={"help": "Features of categories that are written as numbers, or mostly so."}
    )
    max_categories: int = field(default=1000, metadata={"help": "More different strings in a feature are an error."})
    absent_features: str = field(
        default="error",
        metadata={
            "help": "What a feature means that an object of names, or a line of JSON, doesn't hold: error, zero or missing."
        },
    )
    missing_values: str = field(
        default="indicator",
        metadata={
            "help": "Where a value may be missing: indicator (in features with missing values in training, which get a column"
            " that says so), mean (anywhere; the mean takes its place) or error (nowhere)."
        },
    )

    def __post_init__(self):
        check_at_least(1, max_categories=self.max_categories)
        for name, accepted in (
            ("absent_features", ("error", "zero", "missing")),
            ("missing_values", ("indicator", "mean", "error")),
        ):
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))


class TableStep(InputStep):
    """Of tables."""

    kind, arguments = TABLES, TableArguments
    further = ("features_column", "feature_columns")
    naming = ("features_column", "feature_columns", "feature_file")
    of_new = tuple(field.name for field in dataclasses.fields(TableArguments))
    args: TableArguments

    @property
    def _source(self) -> str | None:
        return self.data_args.dataset_name or self.data_args.train_file

    @cached_property
    def _declared(self) -> DeclaredFeatures | None:
        """What a file says of the features: the one that is given, or features.json beside the data."""
        file = self.args.feature_file or file_beside(self._source, FEATURES_FILE)
        return None if file is None else read_feature_file(file)

    def columns(self, processor: TableFeatureExtractor | None = None) -> Columns:
        columns = super().columns(processor)
        if processor is not None or self.base is not None:
            return columns
        declared = self._declared
        names, types = ((), None) if declared is None else (declared.names, declared.types)
        return dataclasses.replace(
            columns,
            absent=self.args.absent_features,
            as_written=declares_categories(names, types, self.args.category_columns),
        )

    def label_file(self) -> str | Path | None:
        """Also the labels.json that `prepare-arff` writes beside the rows, unless columns are named."""
        found = None if self.column_args.label_columns is not None else file_beside(self._source, LABELS_FILE)
        return self.data_args.label_file or found

    def training_arguments(self) -> dict[str, Any]:
        return {"learning_rate": self.new_model_learning_rate}

    def new_processor(self, train: Dataset) -> TableFeatureExtractor:
        """One fitted on the training rows."""
        declared, rows = self._declared, ColumnRows(train, "features")
        has_columns = self.column_args.feature_columns is not None
        if declared is not None and has_columns:
            declared = declared.of_columns(list(train.features["features"]))
        file = file_of(train, f"{self._source}[train]")
        try:
            extractor = fit_table(
                rows,
                names=None if declared is None else declared.names,
                types=None if declared is None else declared.types,
                category_columns=self.args.category_columns,
                absent=self.args.absent_features,
                missing_values=self.args.missing_values,
                max_categories=self.args.max_categories,
                named_columns=has_columns,
                file=file,
            )
        except UserError as error:
            raise named_row(error, train["id"], file) from None
        self.notes += [summary(extractor), *remarks(extractor, len(rows))]
        return extractor

    def settings(self, given: dict[str, Any], processor: TableFeatureExtractor) -> dict[str, Any]:
        """Also the number of columns, and how many of them, the first, are numbers."""
        return given | {
            "encoder": "mlp",
            "input_size": processor.input_size,
            "numeric_size": processor.numeric_size,
        }

    def begin(self, model: MultiLabelPreTrainedModel, processor: Any, rows: Dataset, encoded: Dataset) -> None:
        """The edges of the bins that numbers are cut into, of a model that does so."""
        bins = fill_bins(model, encoded, self.collator(processor, model.config.num_labels))
        if bins is not None:
            self.facts["numeric_bins"] = bins
