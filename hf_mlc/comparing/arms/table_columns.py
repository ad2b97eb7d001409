"""Rows of a table as the matrix that scikit-learn and LightGBM read: the very columns that MSDN's encoder reads.

Shape legend: N rows, P columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from hf_mlc.commands.train_tables import TableArguments
from hf_mlc.errors import named_row
from hf_mlc.modeling.processing_table import TableRowError
from hf_mlc.tabular.feature_files import read_feature_file
from hf_mlc.tabular.fitting import fit_table, of_user


MOST_FILLED = 0.25  # share of cells that are not 0 up to which a matrix is kept sparse
CELLS_AT_ONCE = 2**22  # numbers that are dense at one time (16 MiB)


class TableColumns:
    """The processor of a table, fitted on rows, and whether they are sparse.

    Args:
        rows (sequence): what it is fitted on.
        settings: what `train` may be told of tables ([`~hf_mlc.commands.train_tables.TableArguments`]), by its names.

    Raises:
        `UserError`: rows that no extractor can be fitted on.
    """

    def __init__(self, rows: Sequence[Any], **settings: Any):
        args = TableArguments(**settings)
        declared = None if args.feature_file is None else read_feature_file(args.feature_file)
        self.extractor = fit_table(
            rows,
            names=None if declared is None else declared.names,
            types=None if declared is None else declared.types,
            category_columns=args.category_columns,
            absent=args.absent_features,
            missing_values=args.missing_values,
            max_categories=args.max_categories,
        )
        matrix = self._sparse(rows, "train", None)
        self.is_sparse = matrix.nnz <= MOST_FILLED * max(1, matrix.shape[0] * matrix.shape[1])

    def matrix(
        self, rows: Sequence[Any], *, file: str = "train", ids: Sequence[str | int] | None = None
    ) -> np.ndarray | scipy.sparse.csr_matrix:
        """Float32 `(N, P)`; sparse where the rows that it was fitted on are.

        Args:
            rows (sequence): N rows.
            file, ids (*optional*): where they stand and what each is called there, for error messages; their numbers if not given.

        Raises:
            `UserError`: a row that the processor refuses: a gap where training had none, a string in a column of numbers.
        """
        matrix = self._sparse(rows, file, ids)
        return matrix if self.is_sparse else matrix.toarray()

    def _sparse(self, rows: Sequence[Any], file: str, ids: Sequence[str | int] | None) -> scipy.sparse.csr_matrix:
        size = max(1, CELLS_AT_ONCE // max(1, self.extractor.input_size))
        try:
            blocks = [
                scipy.sparse.csr_matrix(self.extractor.encode(rows[start : start + size], first_row=start + 1))
                for start in range(0, len(rows), size)
            ]
        except TableRowError as error:
            raise named_row(of_user(error, file), range(1, len(rows) + 1) if ids is None else ids, file) from None
        if not blocks:
            return scipy.sparse.csr_matrix((0, self.extractor.input_size), dtype=np.float32)
        return scipy.sparse.vstack(blocks, format="csr")
