"""Rows of a table of numbers, as sparse rows of length 1: the very features that our models of sparse rows read.

Shape legend: N rows, V features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import scipy.sparse

from hf_mlc.comparing.data import Rows
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.modeling.processing_table import TableRowError
from hf_mlc.tabular.feature_files import read_feature_file
from hf_mlc.tabular.fitting import of_user


ROWS_AT_ONCE = 10_000  # of training rows that are Python's own numbers at one time


class NumericRows:
    """Numbers by position, listed whole or those that are not 0.

    Args:
        rows ([`~hf_mlc.comparing.data.Rows`]): of the comparison; V is that of its declared features, or of the training rows.
    """

    num_bytes = 0

    def __init__(self, rows: Rows):
        self.file = rows.train
        declared = None if rows.meta_file is None else read_feature_file(rows.meta_file)
        self.extractor = SparseFeatureExtractor(0 if declared is None else len(declared.names))

    @property
    def num_features(self) -> int:
        return self.extractor.num_features

    def fit(self, rows: datasets.Dataset) -> scipy.sparse.csr_matrix:
        """The training rows, float32 `(N, V)`; a block at a time, since there may be a million."""
        blocks = rows.select_columns("features").with_format(None)
        if not self.num_features:
            parts = blocks.iter(batch_size=ROWS_AT_ONCE)
            self.extractor = SparseFeatureExtractor(max((_width(part["features"]) for part in parts), default=0))
        parts = enumerate(blocks.iter(batch_size=ROWS_AT_ONCE))
        made = [self.matrix(part["features"], first_row=number * ROWS_AT_ONCE + 1) for number, part in parts]
        return scipy.sparse.vstack([self.matrix([]), *made], format="csr")

    def matrix(self, items: Sequence[Any], *, first_row: int = 1) -> scipy.sparse.csr_matrix:
        """Float32 `(N, V)`; numbers of features that training rows do not have are left out.

        Raises:
            `UserError`: a row that the extractor refuses.
        """
        try:
            encoded = self.extractor.encode(items, first_row=first_row)
        except TableRowError as error:
            raise of_user(error, self.file) from None
        shape = (len(items), self.num_features)
        return scipy.sparse.csr_matrix((encoded.token_weights, encoded.input_ids - 1, encoded.offsets), shape)


def _width(items: Sequence[Any]) -> int:
    """How many features these rows need."""
    needed = (max(item["indices"], default=-1) + 1 if isinstance(item, Mapping) else len(item) for item in items)
    return max(needed, default=0)
