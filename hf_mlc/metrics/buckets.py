"""Labels by how often they occur in training: the buckets in which every metric is also reported."""

from __future__ import annotations

import numpy as np


# name: smallest and largest number of training documents of a label
BUCKETS = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), "21-50": (21, 50), ">50": (51, float("inf"))}


def bucket_of(train_counts: np.ndarray) -> np.ndarray:
    """The name of each label's bucket, str `(L,)`.

    Args:
        train_counts (`np.ndarray` of shape `(L,)`): training documents of each label.
    """
    smallest = [least for least, _ in BUCKETS.values()]
    return np.array(list(BUCKETS))[np.searchsorted(smallest, train_counts, side="right") - 1]
