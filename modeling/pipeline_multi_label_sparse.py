"""`pipeline("multi-label-sparse-classification")`: sparse rows in; for each its labels with their scores, best first.

It is the pipeline of tables (`pipeline_multi_label_tables.py`) with the extractor of sparse rows, registered when the package is
imported, and it travels with every saved model that reads sparse features.
"""

from __future__ import annotations

from .pipeline_multi_label_tables import MultiLabelTableClassificationPipeline


SPARSE_TASK = "multi-label-sparse-classification"


class MultiLabelSparseClassificationPipeline(MultiLabelTableClassificationPipeline):
    """
    Multi-label classification of sparse rows by a model of this package.

    A row is what the extractor takes (`SparseFeatureExtractor`): `{"indices": [...], "values": [...]}`, an object of values by
    position or by feature name, a list of all values, or an object that has one of these under `"features"`. A feature that
    training didn't have is left out. Arguments and answers are those of [`MultiLabelTableClassificationPipeline`].
    """

    _needed = ("feature_extractor", "sparse feature extractor")
    _reads = "input_ids"


# what `pipeline` reads in a saved model's config.json
SPARSE_CUSTOM_PIPELINES = {
    SPARSE_TASK: {
        "impl": f"{__name__.split('.')[-1]}.{MultiLabelSparseClassificationPipeline.__name__}",
        "pt": ["AutoModel"],
        "type": "tabular",
    }
}

__all__ = ["SPARSE_CUSTOM_PIPELINES", "SPARSE_TASK", "MultiLabelSparseClassificationPipeline"]
