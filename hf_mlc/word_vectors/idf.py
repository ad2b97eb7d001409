"""What the tokens of a bag weigh: inverse document frequencies, from TRAINING documents.

Shape legend: N documents, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


def inverse_document_frequencies(documents_V: np.ndarray, num_documents: int) -> np.ndarray:
    """`1 + log((1 + N) / (1 + n_t))`, float64 `(V,)`; scikit-learn's smoothed idf.

    Args:
        documents_V (`np.ndarray` of shape `(V,)`): n_t, documents with each token.
        num_documents (`int`): N.
    """
    return 1 + np.log((1 + num_documents) / (1 + documents_V))


@torch.no_grad()
def fill_idf(
    idf_V: torch.Tensor,
    bags: Iterable[np.ndarray],
    num_documents: int,
    *,
    min_documents: int = 1,
    max_share: float = 1.0,
) -> dict[str, Any]:
    """Fills a model's idf from bags of tokens: 0 for a token that is to count for nothing.

    That is one in fewer than `min_documents` documents, of which too little is learned, and one in more than `max_share` of
    them, which tells nothing.

    Args:
        idf_V (`torch.Tensor` of shape `(V,)`): changed in place.
        bags (iterable of integer arrays): the training documents' token ids, each once a document, in blocks of any size.
        num_documents (`int`): N.
        min_documents (`int`, *optional*, defaults to 1): at least 1.
        max_share (`float`, *optional*, defaults to 1.0): above 0.

    Returns:
        `dict`, for results.json: `documents`, `tokens`, how many count, `too_rare` and `too_common`.
    """
    documents_V = np.zeros(len(idf_V), np.int64)
    for ids in bags:
        documents_V += np.bincount(ids, minlength=len(documents_V))
    rare_V, common_V = documents_V < max(1, min_documents), documents_V > max_share * num_documents
    weights_V = inverse_document_frequencies(documents_V, num_documents)
    weights_V[rare_V | common_V] = 0.0
    idf_V.copy_(torch.from_numpy(weights_V))
    return {
        "documents": num_documents,
        "tokens": int((weights_V > 0).sum()),
        "too_rare": int((rare_V & (documents_V > 0)).sum()),
        "too_common": int((common_V & ~rare_V).sum()),
    }
