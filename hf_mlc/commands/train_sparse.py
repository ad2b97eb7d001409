"""What `train` does with sparse rows: how many features and labels there are, as the training file or its rows say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from hf_mlc.commands.parsing import check_at_least
from hf_mlc.commands.train_bags import bag_training
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.data.finding import training_file
from hf_mlc.data.reading import format_of, shape_of
from hf_mlc.data.sparse_text import Shape
from hf_mlc.data.storing import file_of
from hf_mlc.data.writing import LABELS_FILE
from hf_mlc.errors import UserError
from hf_mlc.inputs import SPARSE
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.tabular.feature_files import file_beside
from hf_mlc.xmc.reading import label_names_for


@dataclass
class SparseArguments:
    """Where the rows are of sparse features (`--encoder features`): how many there are, and whether rows are scaled."""

    num_features: int | None = field(
        default=None,
        metadata={"help": "Number of features; that of the file's first line, or of the training rows, if not given."},
    )
    scale_rows: bool = field(default=True, metadata={"help": "Divide a row's values by their length (L2 norm)."})

    def __post_init__(self):
        if self.num_features is not None:
            check_at_least(1, num_features=self.num_features)


class SparseStep(InputStep):
    """Of sparse rows."""

    kind, arguments = SPARSE, SparseArguments
    further = ("features_column",)
    of_new = ("num_features", "scale_rows")
    args: SparseArguments

    @cached_property
    def _file(self) -> Path | None:
        """The file of training rows, where it is one on this machine."""
        return training_file(self.data_args.dataset_name, self.data_args.train_file)

    @cached_property
    def _shape(self) -> Shape | None:
        return None if self._file is None else shape_of(self._file)

    def label_file(self) -> str | Path | None:
        """Also the labels.json that `prepare-xmc` writes beside the rows."""
        return self.data_args.label_file or file_beside(self._file, LABELS_FILE)

    def label_names(self) -> list[str] | None:
        """Of a text of sparse rows the names in a file beside it, where there is one, else the numbers of all labels that its first
        line says, where it says how many."""
        names = super().label_names()
        if (
            names is not None
            or self.label_file() is not None
            or self._file is None
            or format_of(self._file) != "sparse"
        ):
            return names
        names, source = label_names_for(self._file, None if self._shape is None else self._shape.labels)
        if source is not None:
            self.notes.append(f"names of labels from {source}")
        return names

    def new_processor(self, train: Dataset) -> SparseFeatureExtractor:
        """One of as many features as the arguments or the first line say, else of those that training rows hold."""
        extractor = self._extractor(train)
        source = "named features" if extractor.feature_names else "features"
        self.notes.append(f"{extractor.num_features:,} {source}")
        return extractor

    def _extractor(self, train: Dataset) -> SparseFeatureExtractor:
        given, scale_rows = self.args.num_features, self.args.scale_rows
        stored = train.features["features"]
        file = file_of(train, f"{self.data_args.dataset_name or self.data_args.train_file}[train]")
        if not isinstance(stored, dict):  # lists of all values
            return SparseFeatureExtractor(given or len(train[0]["features"]), scale_rows=scale_rows)
        if "names" in stored:
            names = sorted({name for row in _column(train, "names") for name in pc.unique(row).to_pylist()})
            if given not in (None, len(names)):
                raise UserError(f"{given:,} features, and {len(names):,} are named in {file}", field="num_features")
            return SparseFeatureExtractor(feature_names=names, scale_rows=scale_rows)
        largest = max((pc.max(chunk).as_py() for chunk in _column(train, "indices") if len(chunk)), default=-1)
        if given is None and self._shape is not None:
            given = self._shape.features
            if largest == given:  # of a file that counts from 1, where the reader lets it pass
                given += 1
        if given is None:
            given = largest + 1
        if largest >= given or given < 1:
            accepted = f"{largest + 1} or more, since training rows hold feature {largest}" if largest >= 0 else None
            raise UserError(f"{given:,} features", file=file, field="num_features", accepted=accepted)
        return SparseFeatureExtractor(given, scale_rows=scale_rows)

    def training_arguments(self) -> dict[str, Any]:
        return bag_training(self.given)

    def settings(self, given: dict[str, Any], processor: SparseFeatureExtractor) -> dict[str, Any]:
        """Also the number of ids, 0 among them, which is padding."""
        return given | {
            "encoder": "features",
            "vocab_size": processor.vocab_size,
            "pad_token_id": 0,
            "unk_token_id": None,
        }


def _column(train: Dataset, name: str):
    """All entries of a list in `features`, a chunk of rows at a time, as Arrow has them."""
    rows = train.select_columns("features").with_format("arrow")
    for batch in rows.iter(batch_size=10_000):
        yield pc.list_flatten(pc.struct_field(batch["features"].combine_chunks(), name))
