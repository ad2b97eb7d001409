"""nDCG by bucket: how well the labels with so many training documents are ranked among all labels.

Shape legend: B documents of one batch, K ranks, L labels, M true (document, label) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_mlc.metrics import ranking
from hf_mlc.metrics.buckets import BUCKETS, bucket_of


class BucketRanking:
    """Sums of `ndcg@k@bucket`: a hit on a label of the bucket gains by its rank among ALL labels, other hits gain nothing, and
    the best ranking has the document's labels of the bucket first. The mean is over the documents with such a label.

    Args:
        train_counts (`np.ndarray` of shape `(L,)`): training documents of each label.
        ks (`Sequence[int]`): cut-offs.
    """

    def __init__(self, train_counts: np.ndarray, ks: Sequence[int]):
        self.ks = tuple(ks)
        number_of = {name: number for number, name in enumerate(BUCKETS)}
        names, places = np.unique(bucket_of(train_counts), return_inverse=True)
        self.bucket_L = np.array([number_of[name] for name in names], np.int8)[places]
        self.sums = np.zeros((len(BUCKETS), len(self.ks)))
        self.num_documents = np.zeros(len(BUCKETS), np.int64)

    def add(self, hits_BK: np.ndarray, ids_BK: np.ndarray, true_rows_M: np.ndarray, true_ids_M: np.ndarray) -> None:
        """Takes one batch: what was hit at each rank, the labels there (-1 for none), and the true pairs."""
        bucket_BK, bucket_M = self.bucket_L[np.maximum(ids_BK, 0)], self.bucket_L[true_ids_M]
        for number in np.unique(bucket_M):
            num_true_B = np.bincount(true_rows_M[bucket_M == number], minlength=len(hits_BK))
            inside_BK = hits_BK & (bucket_BK == number)
            self.num_documents[number] += (num_true_B > 0).sum()
            for column, k in enumerate(self.ks):
                self.sums[number, column] += np.nansum(ranking.ndcg_at_k(inside_BK, num_true_B, k))

    def merge(self, other: BucketRanking) -> None:
        """Adds what another has seen."""
        self.sums += other.sums
        self.num_documents += other.num_documents

    def values(self, bucket: str) -> dict[str, float]:
        """By name; empty where no document has a label of the bucket."""
        number = list(BUCKETS).index(bucket)
        documents = self.num_documents[number]
        if not documents:
            return {}
        return {f"ndcg@{k}@{bucket}": self.sums[number, column] / documents for column, k in enumerate(self.ks)}
