"""Labels by how often they occur in training: the buckets in which every metric is also reported."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


# name: smallest and largest number of training documents of a label
BUCKETS = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), "21-50": (21, 50), ">50": (51, float("inf"))}
# what is given of a bucket's labels though none of them has a document, 0 then: what is divided by nothing counts as 0
_GIVEN_OF_NONE = ("f1_micro", "f1_macro", "precision_micro", "recall_micro")


def bucket_of(train_counts: np.ndarray) -> np.ndarray:
    """The name of each label's bucket, str `(L,)`.

    Args:
        train_counts (`np.ndarray` of shape `(L,)`): training documents of each label.
    """
    smallest = [least for least, _ in BUCKETS.values()]
    return np.array(list(BUCKETS))[np.searchsorted(smallest, train_counts, side="right") - 1]


def is_measured(bucket: str, names: Iterable[str]) -> bool:
    """Whether some measured document has a label of the bucket: without one, only metrics that are then 0 have a name.

    Args:
        bucket (`str`): a key of `BUCKETS`.
        names (iterable of `str`): those of all the metrics that were computed: `"f1_micro@1-5"`.
    """
    ending = f"@{bucket}"
    return any(name.endswith(ending) and name.removesuffix(ending) not in _GIVEN_OF_NONE for name in names)
