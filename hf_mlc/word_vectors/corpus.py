"""Word vectors out of the texts at hand: how much more often two tokens meet than chance has it, factored.

    PPMI_wc = max(0, log(#(w, c) D^.75 / (#(w) #(c)^.75))),    #(c)^.75 with its sum D^.75
    vectors = U_K sqrt(S_K)  of the singular value decomposition of PPMI

with contexts from a window on both sides, the nearer the heavier. That such vectors are as good as word2vec's on small
corpora, and the three choices (context smoothing .75, the square root, no shift), are from Levy, Goldberg and Dagan,
"Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 2015. No label is looked at.

Shape legend: V vocabulary, E vector width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from hf_mlc.word_vectors.factoring import truncated_svd


WINDOW = 5
SMOOTHING = 0.75
# pairs that are counted at one time: bounds the memory beside the table itself
_TOKENS_AT_ONCE = 500_000


def corpus_vectors(
    documents: Iterable[np.ndarray],
    vocab_size: int,
    width: int,
    *,
    window: int = WINDOW,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the tokens of some texts.

    Args:
        documents (iterable of integer arrays): each text's token ids, of training or unlabelled texts; read once.
        vocab_size (`int`): V.
        width (`int`): E; columns beyond the rank of the table are 0.
        window (`int`, *optional*, defaults to 5): a token's contexts are so many tokens to either side; one d places
            away counts `(window + 1 - d) / window`, as in word2vec on average.
        seed (`int`, *optional*, defaults to 0): of the factoring.

    Returns:
        `(vectors_VE, found_V)`: float32, and which tokens have a vector; those that met no other token have none (0).
    """
    counts_VV = cooccurrences(documents, vocab_size, window=window)
    vectors_VE = np.zeros((vocab_size, width), np.float32)
    found_V = np.diff(counts_VV.indptr) > 0
    if not found_V.any():
        return vectors_VE, found_V
    left_VK, values_K, _ = truncated_svd(positive_pmi(counts_VV), width, seed=seed)
    vectors_VE[:, : len(values_K)] = left_VK * np.sqrt(values_K)
    vectors_VE[~found_V] = 0.0
    return vectors_VE, found_V


def cooccurrences(documents: Iterable[np.ndarray], vocab_size: int, *, window: int = WINDOW) -> sparse.csr_array:
    """How often two tokens stand within the window of each other, weighed by nearness, `(V, V)`, symmetric."""
    total_VV = sparse.csr_array((vocab_size, vocab_size), dtype=np.float64)
    waiting, num_waiting = [], 0
    for ids in documents:
        waiting.append(np.asarray(ids))
        num_waiting += len(ids)
        if num_waiting >= _TOKENS_AT_ONCE:
            total_VV = total_VV + _counted(waiting, vocab_size, window)
            waiting, num_waiting = [], 0
    if waiting:
        total_VV = total_VV + _counted(waiting, vocab_size, window)
    return sparse.csr_array(total_VV + total_VV.T)


def _counted(documents: list[np.ndarray], vocab_size: int, window: int) -> sparse.csr_array:
    ids_N = np.concatenate(documents)
    text_N = np.repeat(np.arange(len(documents)), [len(ids) for ids in documents])
    rows, columns, weights = [], [], []
    for distance in range(1, window + 1):
        same_text = text_N[:-distance] == text_N[distance:]
        rows.append(ids_N[:-distance][same_text])
        columns.append(ids_N[distance:][same_text])
        weights.append(np.full(len(rows[-1]), (window + 1 - distance) / window))
    cells = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(sparse.coo_array(cells, shape=(vocab_size, vocab_size)))


def positive_pmi(counts_VV: sparse.csr_array, *, smoothing: float = SMOOTHING) -> sparse.csr_array:
    """Positive pointwise mutual information of tokens (rows) and contexts (columns), of counts that aren't negative."""
    cells = sparse.coo_array(counts_VV)
    token_V, context_V = counts_VV.sum(axis=1), counts_VV.sum(axis=0) ** smoothing
    row, column = cells.coords
    values = np.log(cells.data) + np.log(context_V.sum()) - np.log(token_V[row]) - np.log(context_V[column])
    positive = values > 0
    return sparse.csr_array(
        sparse.coo_array((values[positive], (row[positive], column[positive])), shape=counts_VV.shape)
    )
