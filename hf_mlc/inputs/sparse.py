"""Sparse rows, read through an extractor that knows how many features there are ([`hf_mlc.sparse`]).

Shape legend: B rows, F features of the row that has most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch

from hf_mlc.data.checking import DataReport
from hf_mlc.data.contents import FEATURES
from hf_mlc.inputs.feature_extractors import FeatureExtractorInput
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.pipeline_multi_label_sparse import SPARSE_TASK
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.sparse.collating import SparseCollator, inputs_of
from hf_mlc.sparse.encoding import encode_sparse


_CODE = """import hf_mlc  # registers the architectures and the pipeline
from transformers import pipeline

classifier = pipeline("{task}", model={model_id})
row = {{"indices": [0, 1], "values": [1.0, 0.5]}}  # the features that a row holds, counted from 0
for answer in classifier(row, top_k=5):
    print(f"{{answer['score']:.3f}}  {{answer['label']}}")
"""


class SparseInput(FeatureExtractorInput):
    """Rows as [`~hf_mlc.modeling.processing_sparse.SparseFeatureExtractor`] takes them. No settings."""

    name, content, processor_noun = "features", FEATURES, "sparse feature extractor"
    pipeline_task, hub_task = SPARSE_TASK, "tabular-classification"
    processor_class, processor_reads = SparseFeatureExtractor, "sparse features"
    noun = "sparse rows"  # where tables, which are stored alike, have theirs

    def columns(self, args: Any) -> dict[str, Any]:
        return {"features": args.features_column or FEATURES.column, "absent": "zero"}

    def encode(
        self,
        splits: datasets.DatasetDict,
        processor: SparseFeatureExtractor,
        label_space: LabelSpace,
        *,
        strict: bool = False,
        report: DataReport | None = None,
    ) -> datasets.DatasetDict:
        return encode_sparse(splits, processor, label_space, strict=strict, report=report)

    def collator(
        self, processor: SparseFeatureExtractor, num_labels: int, *, targets: str = "labels"
    ) -> SparseCollator:
        return SparseCollator(processor, num_labels, targets=targets)

    def batch(self, processor: SparseFeatureExtractor, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`input_ids`, int64, and `token_weights`, float32 `(B, F)`."""
        return inputs_of(processor, items)

    def remarks(self, processor: SparseFeatureExtractor) -> list[str]:
        """How many features there were that training didn't have."""
        counts = processor.unseen_counts
        if not counts:
            return []
        named = ", ".join(f"{name}: {number:,}" for name, number in counts.most_common(5))
        more = ", ..." if len(counts) > 5 else ""
        return [f"{counts.total():,} features that the model doesn't know are left out ({named}{more})"]

    def usage_code(self, *, model_id: str, config: Any, example: str | None = None) -> str:
        return _CODE.format(task=self.pipeline_task, model_id=model_id)
