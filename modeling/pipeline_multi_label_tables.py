"""`pipeline("multi-label-table-classification")`: rows of a table in; for each its labels with their scores, best first.

It is the pipeline of texts (`pipeline_multi_label.py`) with the table's feature extractor in the tokenizer's place, registered when
the package is imported, and it travels with every saved model that reads tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .pipeline_multi_label import MultiLabelClassificationPipeline
from .processing_sparse import listed_matrix


TABLE_TASK = "multi-label-table-classification"


class MultiLabelTableClassificationPipeline(MultiLabelClassificationPipeline):
    """
    Multi-label classification of rows of a table by a model of this package.

    An input is one row or several. A row is what the feature extractor takes (`TableFeatureExtractor`): an object of values by
    feature name, a list of values by position, `{"indices": [...], "values": [...]}` of a sparse one, or an object that has one of
    these under `"features"`. A list is one row if it holds values, and several if it holds lists or objects; an array of two
    dimensions, a sparse matrix of scipy and a `DataFrame` are several; of a `DataFrame` the columns are read that are features. Arguments and answers are those of [`MultiLabelClassificationPipeline`], but for
    `explain`, which is of words.

    Raises:
        `ValueError`: what the feature extractor refuses, `explain`, a model that reads no tables.
    """

    _load_tokenizer = False
    _load_feature_extractor = True
    _needed = ("feature_extractor", "feature extractor")
    _reads = "input_features"

    def __call__(self, inputs, **arguments):
        """Labels of one row or of many; see the class, and [`MultiLabelClassificationPipeline.__call__`]."""
        if hasattr(inputs, "iterrows"):  # a DataFrame; iterating over it would give the names of its columns
            inputs = self._read_columns(inputs).to_dict("records")
        elif hasattr(inputs, "tocsr"):  # a sparse matrix of scipy, which is no list of rows
            inputs = listed_matrix(inputs)
        elif hasattr(inputs, "tolist"):  # of numpy or torch, or a column or row of a DataFrame
            inputs = inputs.to_dict() if hasattr(inputs, "to_dict") else inputs.tolist()
        if isinstance(inputs, (list, tuple)) and inputs and not any(map(_is_row, inputs)):
            inputs = {"features": list(inputs)}
        return super().__call__(inputs, **arguments)

    def _read_columns(self, table: Any) -> Any:
        """A table's columns that the model reads, as of a file: others, an id or the labels, are none of its features. The table itself
        where it has none of them, or names have no meaning."""
        names = set(getattr(self.feature_extractor, "feature_names", None) or ())
        known = [name for name in table.columns if name in names]
        return table[known] if known else table

    def preprocess(self, inputs, with_offsets: bool = False) -> dict[str, Any]:
        row, extractor = inputs, self.feature_extractor
        is_wrapped = isinstance(inputs, Mapping) and "features" in inputs
        if is_wrapped and "features" not in (getattr(extractor, "feature_names", None) or ()):
            row = inputs["features"]
        if hasattr(row, "tocsr"):
            (row,) = listed_matrix(row)
        elif hasattr(row, "tolist"):
            row = row.tolist()
        try:
            return dict(extractor([row], return_tensors="pt"))
        except ValueError as error:
            if getattr(error, "row", None) is None:
                raise
            # each row comes by itself, so its number would always be 1
            raise type(error)(error.problem, field=error.field, accepted=error.accepted) from None

    def _num_words(self, explain: Any) -> int:
        if explain is None or explain is False:
            return 0
        raise ValueError("`explain` names words, and this model reads tables")


def _is_row(value: Any) -> bool:
    """Whether something in a list is a row, and so no value of one."""
    return isinstance(value, (Mapping, list, tuple)) or getattr(value, "ndim", 0) > 0


# what `pipeline` reads in a saved model's config.json
TABLE_CUSTOM_PIPELINES = {
    TABLE_TASK: {
        "impl": f"{__name__.split('.')[-1]}.{MultiLabelTableClassificationPipeline.__name__}",
        "pt": ["AutoModel"],
        "type": "tabular",
    }
}

__all__ = ["TABLE_CUSTOM_PIPELINES", "TABLE_TASK", "MultiLabelTableClassificationPipeline"]
