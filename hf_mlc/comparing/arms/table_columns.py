"""Rows of a table as the matrix that scikit-learn and LightGBM read: the very columns that MSDN's encoder reads.

Shape legend: N rows, P columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from hf_mlc.tabular.feature_files import read_feature_file
from hf_mlc.tabular.fitting import fit_table


MOST_FILLED = 0.25  # share of cells that are not 0 up to which a matrix is kept sparse
CELLS_AT_ONCE = 2**22  # numbers that are dense at one time (16 MiB)


class TableColumns:
    """The processor of a table, fitted on rows, and whether they are sparse.

    Args:
        rows (sequence): what it is fitted on.
        feature_file (`str`, *optional*): file of the features' names and types.
        category_columns (`list[str]`, *optional*): features of categories, whatever their values look like.
    """

    def __init__(self, rows: Sequence[Any], *, feature_file: str | None = None, category_columns: Sequence[str] = ()):
        declared = None if feature_file is None else read_feature_file(feature_file)
        self.extractor = fit_table(
            rows,
            names=None if declared is None else declared.names,
            types=None if declared is None else declared.types,
            category_columns=category_columns,
        )
        matrix = self._sparse(rows)
        self.is_sparse = matrix.nnz <= MOST_FILLED * max(1, matrix.shape[0] * matrix.shape[1])

    def matrix(self, rows: Sequence[Any]) -> np.ndarray | scipy.sparse.csr_matrix:
        """Float32 `(N, P)`; sparse where the rows that it was fitted on are."""
        matrix = self._sparse(rows)
        return matrix if self.is_sparse else matrix.toarray()

    def _sparse(self, rows: Sequence[Any]) -> scipy.sparse.csr_matrix:
        size = max(1, CELLS_AT_ONCE // max(1, self.extractor.input_size))
        blocks = [
            scipy.sparse.csr_matrix(self.extractor.encode(rows[start : start + size], first_row=start + 1))
            for start in range(0, len(rows), size)
        ]
        if not blocks:
            return scipy.sparse.csr_matrix((0, self.extractor.input_size), dtype=np.float32)
        return scipy.sparse.vstack(blocks, format="csr")
