"""Rows of tables, read through the extractor that was fitted on the training rows ([`hf_mlc.tabular`]).

Shape legend: B rows, P columns of `input_features`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch

from hf_mlc.data.checking import DataReport
from hf_mlc.data.contents import FEATURES
from hf_mlc.data.contents.features import ALL
from hf_mlc.errors import UserError
from hf_mlc.inputs.feature_extractors import FeatureExtractorInput
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.pipeline_multi_label_tables import TABLE_TASK
from hf_mlc.modeling.processing_table import TableFeatureExtractor
from hf_mlc.tabular.collating import TableCollator, features_of
from hf_mlc.tabular.encoding import encode_tables


_CODE = """import hf_mlc  # registers the architectures and the pipeline
from transformers import pipeline

classifier = pipeline("{task}", model={model_id})
row = dict.fromkeys(classifier.feature_extractor.feature_names, 0)  # the value of each feature
for answer in classifier(row):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


class TableInput(FeatureExtractorInput):
    """Rows as [`~hf_mlc.modeling.processing_table.TableFeatureExtractor`] takes them. No settings."""

    name, content, processor_noun = "table", FEATURES, "feature extractor"
    pipeline_task, hub_task = TABLE_TASK, "tabular-classification"
    processor_class, processor_reads = TableFeatureExtractor, "a table"

    def columns(self, args: Any) -> dict[str, Any]:
        if args.feature_columns is None:
            return {"features": args.features_column or FEATURES.column}
        if args.features_column is not None:
            accepted = (
                "one column of lists or objects (--features_column), or columns of their own (--feature_columns)"
            )
            raise UserError("both are given", field="feature_columns", accepted=accepted)
        return {"features": _listed(args.feature_columns)}

    def columns_of(self, processor: TableFeatureExtractor, args: Any) -> dict[str, Any]:
        """The features' own columns, where training had them so and nothing else is asked for; `*` is no more than these."""
        columns = self.columns(args)
        unasked = args.feature_columns is None and args.features_column is None
        if (unasked and processor.named_columns) or columns["features"] == ALL:
            columns["features"] = tuple(processor.feature_names)
        return columns | {"absent": processor.absent, "as_written": bool(processor.categories)}

    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: TableFeatureExtractor,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
    ) -> datasets.DatasetDict:
        return encode_tables(splits, processor, label_space, strict=strict, report=report)

    def collator(self, processor: TableFeatureExtractor, num_labels: int, *, targets: str = "labels") -> TableCollator:
        return TableCollator(processor, num_labels, targets=targets)

    def batch(self, processor: TableFeatureExtractor, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`input_features`, float32 `(B, P)`."""
        return {"input_features": torch.from_numpy(features_of(processor, items))}

    def remarks(self, processor: TableFeatureExtractor) -> list[str]:
        """How many values there were that training didn't have."""
        counts = processor.unseen_counts
        if not counts:
            return []
        named = ", ".join(f"{name}: {number:,}" for name, number in counts.most_common(5))
        more = ", ..." if len(counts) > 5 else ""
        return [f"{counts.total():,} values that training didn't have count as none ({named}{more})"]

    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        return _CODE.format(task=self.pipeline_task, model_id=model_id)


def _listed(names: Sequence[str]) -> str | tuple[str, ...]:
    return ALL if list(names) == [ALL] else tuple(names)
