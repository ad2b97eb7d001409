"""The largest singular values of a sparse table, and what they belong to."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def truncated_svd(
    table_NM: sparse.spmatrix, rank: int, *, seed: int = 0, iterations: int = 6, oversampling: int = 16
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`U_NK, s_K, V_MK` with `table ~ U diag(s) V^T`, singular values from large to small.

    By a random projection sharpened with power iterations (Halko, Martinsson and Tropp, 2011, algorithm 4.4): the table
    is only ever multiplied with thin matrices. The sign of each pair of vectors is chosen so that the number of `V` which
    is largest in magnitude is positive; with the seed that makes the result the same each time.

    Args:
        table_NM (`scipy.sparse.spmatrix` of shape `(N, M)`): any sparse table of floats.
        rank (`int`): K; of a table with fewer rows or columns, so many.
        seed (`int`, *optional*, defaults to 0): of the projection.
        iterations (`int`, *optional*, defaults to 6): power iterations; more, where singular values fall slowly.
        oversampling (`int`, *optional*, defaults to 16): directions projected on beyond `rank`.
    """
    rank = min(rank, *table_NM.shape)
    width = min(rank + oversampling, *table_NM.shape)
    table_dtype = np.float32 if table_NM.dtype == np.float32 else np.float64
    projection_MK = np.random.default_rng(seed).standard_normal((table_NM.shape[1], width), table_dtype)
    basis_NK, _ = np.linalg.qr(table_NM @ projection_MK)
    for _ in range(iterations):
        other_MK, _ = np.linalg.qr(table_NM.T @ basis_NK)
        basis_NK, _ = np.linalg.qr(table_NM @ other_MK)
    small_KK, values_K, right_KM = np.linalg.svd((table_NM.T @ basis_NK).T, full_matrices=False)
    left_NK, right_MK = (basis_NK @ small_KK)[:, :rank], right_KM[:rank].T
    signs_K = np.sign(right_MK[np.abs(right_MK).argmax(axis=0), np.arange(rank)])
    signs_K[signs_K == 0] = 1
    return left_NK * signs_K, values_K[:rank], right_MK * signs_K
