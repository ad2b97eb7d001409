"""The first k labels of each document, as numbers to sum: every ranking metric is one ratio of sums over documents.

Shape legend: N documents, K ranks, L labels.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse

from hf_mlc.metrics import ranking
from hf_mlc.metrics.buckets import BUCKETS


KINDS = ("p", "r", "ndcg", "psp")
MOST = 10  # largest k


def ranked_name(name: str) -> tuple[str, int, str] | None:
    """Metric, k and bucket (or nothing) of a name like `ndcg@5` or `psp@3@1-5`; `None` of any other."""
    kind, _, rest = name.partition("@")
    k, _, bucket = rest.partition("@")
    if kind not in KINDS or not k.isdigit() or not 1 <= int(k) <= MOST or bucket not in ("", *BUCKETS):
        return None
    return kind, int(k), bucket


class RankedDocuments:
    """What each document adds to the sums.

    Args:
        ids_NK (`np.ndarray` of shape `(N, K)`): its best labels, -1 where there are fewer.
        hits_NK (`np.ndarray` of shape `(N, K)`): which of them are true.
        true_NL (`scipy.sparse.csr_array` of shape `(N, L)`): a 1 at each true pair.
        train_counts (`np.ndarray` of shape `(L,)`): training documents of each label.
        label_weights (`np.ndarray` of shape `(L,)`, *optional*): inverse propensities; `psp@k` needs them.
    """

    def __init__(
        self, ids_NK: np.ndarray, hits_NK: np.ndarray, true_NL: scipy.sparse.csr_array, train_counts: np.ndarray,
        label_weights: np.ndarray | None,
    ):  # fmt: skip
        self.ids_NK, self.hits_NK, self.train_counts, self.weights_L = ids_NK, hits_NK, train_counts, label_weights
        true = true_NL.tocoo()
        order = np.argsort(true.row, kind="stable")
        self.rows_M, self.labels_M = true.row[order], true.col[order]

    def sums(self, kind: str, k: int, bucket: str) -> tuple[np.ndarray, np.ndarray]:
        """Float64 numerator and denominator of every document, each `(N,)`; as in [`~hf_mlc.metrics.MultiLabelMetrics`]."""
        num_documents, hits_NK, inside_M = len(self.hits_NK), self.hits_NK, np.ones(len(self.labels_M), bool)
        if bucket:
            least, most = BUCKETS[bucket]
            inside_L = (self.train_counts >= least) & (self.train_counts <= most)
            hits_NK, inside_M = hits_NK & inside_L[np.maximum(self.ids_NK, 0)], inside_L[self.labels_M]
        num_true_N = np.bincount(self.rows_M[inside_M], minlength=num_documents)
        if kind == "psp":
            best_N = ranking.psp_best(self.rows_M, self.labels_M, self.weights_L, num_documents, k)
            return ranking.psp_gain(hits_NK, self.ids_NK, self.weights_L, k), best_N
        if kind == "p":
            return ranking.precision_at_k(hits_NK, k), np.ones(num_documents)
        if kind == "r" and bucket:  # pooled
            return hits_NK[:, :k].sum(axis=1).astype(np.float64), num_true_N.astype(np.float64)
        value_N = (ranking.recall_at_k if kind == "r" else ranking.ndcg_at_k)(hits_NK, num_true_N, k)
        defined_N = ~np.isnan(value_N)
        return np.where(defined_N, value_N, 0.0), defined_N.astype(np.float64)
