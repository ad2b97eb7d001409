"""Words weighted by tf-idf, as sparse rows of length 1.

Shape legend: N texts, V terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import scipy.sparse

from hf_mlc.data.bags import CUTTINGS
from hf_mlc.errors import UserError


# by the words of our own tokenizer
DEFAULTS = {"ngram_range": (1, 1), "min_df": 3, "max_df": 0.5, "max_features": None, "token_pattern": CUTTINGS["word"]}


class TfidfTerms:
    """scikit-learn's vectoriser with sublinear counts.

    Args:
        settings (`dict`): what it holds of `DEFAULTS`, arguments of the vectoriser, is taken out of it.
    """

    def __init__(self, settings: dict[str, Any]):
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[compare]") from error
        options = {name: settings.pop(name, default) for name, default in DEFAULTS.items()}
        options["ngram_range"] = tuple(options["ngram_range"])
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)

    def fit(self, rows: datasets.Dataset) -> scipy.sparse.csr_matrix:
        """Counts the terms of training rows; returns these rows, `(N, V)`."""
        return scipy.sparse.csr_matrix(self.vectorizer.fit_transform(rows["text"][:]))

    def matrix(self, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
        """Float32 `(N, V)`."""
        return scipy.sparse.csr_matrix(self.vectorizer.transform(texts))

    @property
    def num_features(self) -> int:
        return len(self.vectorizer.vocabulary_)

    @property
    def num_bytes(self) -> int:
        """Of the terms, and of a number each."""
        return sum(len(term.encode()) + 4 for term in self.vectorizer.vocabulary_)
