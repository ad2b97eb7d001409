"""A label's centroid: the mean of the vectors of its documents, for all labels at once as a sparse product.

Shape legend: N documents, L labels, D width, F rows of label features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse


BLOCK_ROWS = (
    65_536  # documents of a product; what it holds beside the result is so many vectors and their labels' sums
)


class FeatureVectors(NamedTuple):
    """What labels say of themselves, each row as a further document of its label.

    Attributes:
        labels_FL (`scipy.sparse.csr_array` of shape `(F, L)`): a one where a row is a label's.
        vectors_FD (`np.ndarray` of shape `(F, D)`): of the rows, float16 or float32, perhaps a memory map.
        weight (`float`): how many documents a row counts as.
    """

    labels_FL: sparse.csr_array
    vectors_FD: np.ndarray
    weight: float


def label_centroids(
    labels_NL: sparse.csr_array,
    vectors_ND: np.ndarray,
    *,
    features: FeatureVectors | None = None,
    block_rows: int = BLOCK_ROWS,
) -> np.ndarray:
    """`(Y^T R) / counts`, block of documents by block of documents; not scaled to length 1 (the paper's 1.2).

    Args:
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): ones where a document has a label.
        vectors_ND (`np.ndarray` of shape `(N, D)`): of the documents, float16 or float32; a memory map is read once.
        features ([`FeatureVectors`], *optional*): further documents, which count as `weight` of one.
        block_rows (`int`, *optional*, defaults to 65,536): documents of a block.

    Returns:
        float32 `(L, D)`; zeros for a label without documents and features.
    """
    sums_LD = np.zeros((labels_NL.shape[1], vectors_ND.shape[1]), np.float32)
    _add_sums(sums_LD, labels_NL, vectors_ND, 1.0, block_rows)
    counts_L = label_counts(labels_NL)
    if features is not None:
        _add_sums(sums_LD, *features, block_rows)
        counts_L = counts_L + features.weight * label_counts(features.labels_FL)
    sums_LD /= np.where(counts_L > 0, counts_L, 1).astype(np.float32)[:, None]
    return sums_LD


def _add_sums(
    sums_LD: np.ndarray, labels_NL: sparse.csr_array, vectors_ND: np.ndarray, weight: float, block_rows: int
) -> None:
    """Adds the vectors of each label's rows, times `weight`, to the label's sum."""
    for start in range(0, len(vectors_ND), block_rows):
        block = labels_NL[start : start + block_rows]
        present, columns = np.unique(block.indices, return_inverse=True)
        # only the labels of the block take part: a product with all of them would make a second table of size L x D
        narrow = sparse.csr_array(
            (block.data * np.float32(weight), columns.reshape(-1), block.indptr), shape=(block.shape[0], len(present))
        )
        vectors = np.asarray(vectors_ND[start : start + block_rows], np.float32)
        sums_LD[present] += narrow.T @ vectors


def label_counts(labels_NL: sparse.csr_array) -> np.ndarray:
    """Documents of each label, int64 `(L,)`."""
    return np.bincount(labels_NL.indices, minlength=labels_NL.shape[1])
