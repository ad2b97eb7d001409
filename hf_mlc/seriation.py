"""Labels put in a row so that those that occur together stand together: seriation of the co-occurrence graph.

Two labels are joined by their phi coefficient, the correlation of their columns of 0 and 1, where it is positive. The order is that
of the Fiedler vector, the eigenvector of the graph Laplacian's second smallest eigenvalue: of all vectors orthogonal to the constant
one and of length 1 the one with the least `sum_ij phi_ij (v_i - v_j)^2` (Atkins, Boman and Hendrickson, "A Spectral Algorithm for
Seriation and the Consecutive Ones Problem", SIAM Journal on Computing, 1998). Parts of the graph that nothing joins are put in order
each by itself, the one with the most frequent label first.

Shapes: `L` labels, `N` rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components, laplacian
from transformers.utils import logging

from hf_mlc.errors import UserError


logger = logging.get_logger(__name__)

# Beyond it a part's Laplacian isn't decomposed whole (8 bytes x n^2, and minutes)
_DENSE_LABELS = 1500
# Lanczos' vectors that are kept at once, and how often it begins anew from the best of them before the graph is factorised instead:
# some 3,500 products with the Laplacian, which is 6 s for 20,000 labels
_LANCZOS_VECTORS, _RESTARTS = 60, 60
_DIGITS = 9  # of an eigenvector's entries; what agrees so far is a tie


def seriation_order(label_ids: Iterable[Iterable[int]], num_labels: int) -> list[int]:
    """The labels in the order in which they stand, all of 0 ... L-1.

    An eigenvector has no direction: of both the one that begins with the more frequent labels is taken. Ties, and labels that are
    joined to none, go by frequency, then by id.

    Args:
        label_ids (iterable of lists): the labels of each training row; twice is once.
        num_labels (`int`): L.

    Example:
        >>> seriation_order([[0, 2], [0, 2], [2, 1], [2, 1], [1], [3], [0], []], 4)  # 0 with 2, 2 with 1, 3 alone
        [0, 2, 1, 3]
    """
    hits_NL = _hits(label_ids, num_labels)
    counts_L = np.asarray(hits_NL.sum(axis=0)).ravel()
    return order_of_graph(_positive_phi(hits_NL, counts_L), counts_L)


def order_of_graph(graph_LL: sparse.csr_matrix, counts_L: np.ndarray) -> list[int]:
    """The same of any graph over the labels: those that are joined stand together.

    Args:
        graph_LL (`scipy.sparse.csr_matrix` of shape `(L, L)`): how strongly any two are joined: symmetric, at least 0, 0 on the diagonal.
        counts_L (`np.ndarray` of shape `(L,)`): how frequent each label is.
    """
    part_L = connected_components(graph_LL, directed=False)[1]
    by_frequency = np.lexsort((np.arange(len(counts_L)), -counts_L))
    parts: dict[int, list[int]] = {}  # in the order of their most frequent labels
    for label in by_frequency:
        parts.setdefault(int(part_L[label]), []).append(int(label))
    return [label for part in parts.values() for label in _in_a_row(graph_LL, part)]


def _hits(label_ids: Iterable[Iterable[int]], num_labels: int) -> sparse.csr_matrix:
    """Rows by labels, 0 and 1, float64."""
    sets = [sorted({int(label) for label in ids}) for ids in label_ids]
    columns = np.fromiter((label for labels in sets for label in labels), dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(labels) for labels in sets], dtype=np.int64)])
    return sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(sets), num_labels))


def _positive_phi(hits_NL: sparse.csr_matrix, counts_L: np.ndarray) -> sparse.csr_matrix:
    """phi of each pair of labels where it is above 0, which it can only be where they occur together; 0 on the diagonal.

    `phi = (N n_ij - n_i n_j) / sqrt(n_i (N - n_i) n_j (N - n_j))`; 0 with a label that no row or every row has.
    """
    num_rows, num_labels = hits_NL.shape
    together = (hits_NL.T @ hits_NL).tocoo()
    i, j, joint = together.row, together.col, together.data
    spread_L = np.sqrt(counts_L * (num_rows - counts_L))
    covariance = num_rows * joint - counts_L[i] * counts_L[j]
    is_joined = (i != j) & (covariance > 0) & (spread_L[i] > 0) & (spread_L[j] > 0)
    i, j, covariance = i[is_joined], j[is_joined], covariance[is_joined]
    return sparse.csr_matrix((covariance / (spread_L[i] * spread_L[j]), (i, j)), shape=(num_labels, num_labels))


def _in_a_row(graph_LL: sparse.csr_matrix, part: list[int]) -> list[int]:
    """The labels of one connected part, given by frequency, along its Fiedler vector."""
    if len(part) < 3:
        return part
    vector = np.round(_fiedler_vector(graph_LL[part][:, part]), _DIGITS)
    places = np.arange(len(part))
    if np.corrcoef(places, vector)[0, 1] < 0:  # frequent labels come first in `part`: let them do so in the row
        vector = -vector
    return [part[place] for place in np.lexsort((places, vector))]


def _fiedler_vector(graph_nn: sparse.csr_matrix) -> np.ndarray:
    """The eigenvector of the Laplacian's second smallest eigenvalue, of a connected graph.

    Large graphs have two ways that complement each other. Lanczos' iterations only multiply by the Laplacian, and come to an end soon where
    labels are mixed, so that the eigenvalues lie apart. Where they are strung out, as in a chain, the eigenvalues crowd at 0; there a
    factorisation adds few entries, while of a mixed graph it fills nearly the whole matrix, with the cube of the labels in time.

    Raises:
        `UserError`: neither way came to an end.
    """
    laplacian_nn = laplacian(graph_nn)
    num_labels = graph_nn.shape[0]
    if num_labels <= _DENSE_LABELS:
        return np.linalg.eigh(laplacian_nn.toarray())[1][:, 1]
    # two eigenvalues, of which 0 is one, from a start that is the same each time
    asked = {"k": 2, "v0": np.random.default_rng(0).standard_normal(num_labels)}
    laplacian_nn = laplacian_nn.tocsc()
    try:
        most = min(num_labels, _LANCZOS_VECTORS)
        values, vectors = sparse.linalg.eigsh(laplacian_nn, which="SA", ncv=most, maxiter=_RESTARTS, **asked)
    except sparse.linalg.ArpackNoConvergence:
        logger.warning(
            f"The order of {num_labels:,} labels that are joined wasn't found in {_RESTARTS} rounds of iterations: their graph is "
            "factorised, which can take minutes and much memory where many labels occur together."
        )
        # nearest to a number just below 0
        shift = -1e-4 * laplacian_nn.diagonal().mean()
        try:
            values, vectors = sparse.linalg.eigsh(laplacian_nn, sigma=shift, **asked)
        except (sparse.linalg.ArpackNoConvergence, MemoryError) as failure:
            reason = "out of memory" if isinstance(failure, MemoryError) else "its eigenvectors weren't found"
            raise UserError(
                f"no order by what occurs together, of {num_labels:,} labels that are joined: neither iterations nor a factorisation "
                f"of their graph came to an end ({reason})",
                accepted="fewer labels, or another order",
            ) from None
    return vectors[:, np.argmax(values)]
