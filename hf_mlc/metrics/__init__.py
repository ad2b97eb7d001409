"""What a multi-label model's scores are worth. Start with [`MultiLabelMetrics`]; each metric by itself, with its formula,
is in `counting` (label sets), `ranking` (the first k) and `curves` (AUC, average precision)."""

from hf_mlc.metrics.buckets import BUCKETS
from hf_mlc.metrics.streaming import MultiLabelMetrics


LOWER_IS_BETTER = ("hamming_loss",)  # of all metrics these

__all__ = ["BUCKETS", "LOWER_IS_BETTER", "MultiLabelMetrics"]
