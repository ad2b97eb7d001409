"""A label's centroid: the mean of the vectors of its documents, for all labels at once as a sparse product.

Shape legend: N documents, L labels, D width.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse


BLOCK_ROWS = (
    65_536  # documents of a product; what it holds beside the result is so many vectors and their labels' sums
)


def label_centroids(
    labels_NL: sparse.csr_array, vectors_ND: np.ndarray, *, block_rows: int = BLOCK_ROWS
) -> np.ndarray:
    """`(Y^T R) / counts`, block of documents by block of documents; not scaled to length 1 (the paper's 1.2).

    Args:
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): ones where a document has a label.
        vectors_ND (`np.ndarray` of shape `(N, D)`): of the documents, float16 or float32; a memory map is read once.
        block_rows (`int`, *optional*, defaults to 65,536): documents of a block.

    Returns:
        float32 `(L, D)`; zeros for a label without documents.
    """
    (num_rows, num_labels), width = labels_NL.shape, vectors_ND.shape[1]
    sums_LD = np.zeros((num_labels, width), np.float32)
    for start in range(0, num_rows, block_rows):
        block = labels_NL[start : start + block_rows]
        present, columns = np.unique(block.indices, return_inverse=True)
        # only the labels of the block take part: a product with all of them would make a second table of size L x D
        narrow = sparse.csr_array(
            (block.data, columns.reshape(-1), block.indptr), shape=(block.shape[0], len(present))
        )
        vectors = np.asarray(vectors_ND[start : start + block_rows], np.float32)
        sums_LD[present] += narrow.T @ vectors
    counts_L = label_counts(labels_NL)
    sums_LD /= np.maximum(counts_L, 1).astype(np.float32)[:, None]
    return sums_LD


def label_counts(labels_NL: sparse.csr_array) -> np.ndarray:
    """Documents of each label, int64 `(L,)`."""
    return np.bincount(labels_NL.indices, minlength=labels_NL.shape[1])
