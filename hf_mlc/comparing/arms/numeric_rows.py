"""Rows of a table of numbers, as sparse rows of length 1; nothing else is done to them.

Shape legend: N rows, V features, Z numbers other than 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import scipy.sparse

from hf_mlc.comparing.data import Rows
from hf_mlc.errors import UserError
from hf_mlc.tabular.feature_files import read_feature_file


class NumericRows:
    """Numbers by position, listed whole or those that are not 0.

    Args:
        rows ([`~hf_mlc.comparing.data.Rows`]): of the comparison; V is that of its declared features, or of the training rows.
    """

    num_bytes = 0

    def __init__(self, rows: Rows):
        self.file = rows.train
        declared = None if rows.meta_file is None else read_feature_file(rows.meta_file)
        self.num_features = 0 if declared is None else len(declared.names)

    def fit(self, rows: datasets.Dataset) -> scipy.sparse.csr_matrix:
        """The training rows, `(N, V)`; read as Arrow holds them, since there may be a million."""
        column = rows.with_format("arrow")[:]["features"].combine_chunks()
        if pa.types.is_struct(column.type) and column.type.get_field_index("indices") >= 0:
            keys, values = column.field("indices"), column.field("values")
            lengths_N = np.asarray(keys.value_lengths().fill_null(0))
            return self._scaled(keys.flatten().to_numpy(), values.flatten().to_numpy(False), lengths_N, counting=True)
        return self.matrix(column.to_pylist(), counting=True)

    def matrix(self, items: Sequence[Any], *, counting: bool = False) -> scipy.sparse.csr_matrix:
        """Float32 `(N, V)`; numbers of features that training rows do not have are left out."""
        parts = [_sparse(item, self.file) for item in items]
        lengths_N = np.array([len(keys) for keys, _ in parts], np.int64)
        empty = np.zeros(0)
        keys_Z, values_Z = (np.concatenate([empty, *(part[place] for part in parts)]) for place in (0, 1))
        return self._scaled(keys_Z.astype(np.int64), values_Z, lengths_N, counting=counting)

    def _scaled(
        self, keys_Z: np.ndarray, values_Z: np.ndarray, lengths_N: np.ndarray, *, counting: bool
    ) -> scipy.sparse.csr_matrix:
        if counting:
            self.num_features = max(self.num_features, int(keys_Z.max(initial=-1)) + 1)
        rows_Z, known_Z = np.repeat(np.arange(len(lengths_N)), lengths_N), keys_Z < self.num_features
        shape = (len(lengths_N), self.num_features)
        values_Z = np.asarray(values_Z, np.float32)
        matrix = scipy.sparse.csr_matrix((values_Z[known_Z], (rows_Z[known_Z], keys_Z[known_Z])), shape)
        squares_N = np.bincount(rows_Z[known_Z], values_Z[known_Z].astype(np.float64) ** 2, minlength=len(lengths_N))
        matrix.data /= np.repeat(np.sqrt(np.maximum(squares_N, 1e-30)), np.diff(matrix.indptr)).astype(np.float32)
        return matrix


def _sparse(item: Any, file: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions and numbers of one row."""
    try:
        if isinstance(item, Mapping):
            return np.asarray(item["indices"], np.float64), np.asarray(item["values"], np.float64)
        values_V = np.asarray(item, np.float64)
    except (KeyError, TypeError, ValueError):
        raise UserError("rows that are no numbers by position", file=file, field="features") from None
    return np.flatnonzero(values_V).astype(np.float64), values_V[values_V != 0]
