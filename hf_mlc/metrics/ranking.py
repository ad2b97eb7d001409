"""Metrics of the first k labels of a ranking: precision, recall, nDCG and propensity-scored precision.

Each metric is pure on arrays. `hits` of shape (B, K) says whether the label at each rank is true (K at least the
largest k; ranks that do not exist are misses), `num_true` of shape (B,) how many labels a document has, whether they
were ranked or not. Labels with equal scores rank by id, the lower first.

Shape legend: B documents, S scored columns, K ranks, L labels, M true (document, label) pairs.
"""

from __future__ import annotations

import numpy as np
import torch


# A and B of `inverse_propensities` where a data set has none of its own
PROPENSITY = (0.55, 1.5)


def top_k(
    scores_BS: torch.Tensor, k: int, *, candidate_ids_BS: torch.Tensor | None = None, mask_BS=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best columns of each row, best first; of equal scores the lower label first, whatever the batch or the
    device (`torch.topk` promises no order among equals).

    Args:
        scores_BS (`torch.Tensor` of shape `(B, S)`): scores.
        k (`int`): how many; where fewer columns may be ranked, the rest is -1.
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): the labels of the columns.
        mask_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): columns that may be ranked.

    Returns:
        columns (`torch.LongTensor` of shape `(B, k)`) and label ids of the same shape, -1 where there is none.
    """
    num_rows, num_columns = scores_BS.shape
    order_BS = None
    if candidate_ids_BS is not None:
        # columns in the order of their labels, so that "lower column" means "lower label"
        candidate_ids_BS, order_BS = candidate_ids_BS.sort(dim=1, stable=True)
        scores_BS = scores_BS.gather(1, order_BS)
        mask_BS = mask_BS.gather(1, order_BS) if mask_BS is not None else None
    if mask_BS is not None:
        scores_BS = scores_BS.masked_fill(~mask_BS, float("-inf"))
    kept = min(k, num_columns)
    columns_BK = torch.full((num_rows, k), -1, dtype=torch.int64, device=scores_BS.device)
    if kept and num_rows:
        # everything above the k-th score, then of its equals the first ones: one pass instead of a stable sort of S
        kth_B1 = scores_BS.topk(kept, dim=1).values[:, -1:]
        above_BS, equal_BS = scores_BS > kth_B1, scores_BS == kth_B1
        room_B1 = kept - above_BS.sum(dim=1, keepdim=True)
        chosen_BS = above_BS | (equal_BS & (equal_BS.cumsum(dim=1, dtype=torch.int32) <= room_B1))
        best_BK = chosen_BS.nonzero()[:, 1].view(num_rows, kept)
        best_scores_BK, rank_BK = scores_BS.gather(1, best_BK).sort(dim=1, descending=True, stable=True)
        columns_BK[:, :kept] = best_BK.gather(1, rank_BK).masked_fill(best_scores_BK == float("-inf"), -1)
    if order_BS is None:
        return columns_BK, columns_BK
    missing_BK, safe_BK = columns_BK < 0, columns_BK.clamp(min=0)
    ids_BK = candidate_ids_BS.gather(1, safe_BK).masked_fill(missing_BK, -1)
    return order_BS.gather(1, safe_BK).masked_fill(missing_BK, -1), ids_BK


def precision_at_k(hits: np.ndarray, k: int) -> np.ndarray:
    """hits among the first k / k, shape (B,). A document with fewer than k labels cannot reach 1, and one without
    any label has 0: it counts in the mean."""
    return hits[:, :k].sum(axis=1) / k


def recall_at_k(hits: np.ndarray, num_true: np.ndarray, k: int) -> np.ndarray:
    """hits among the first k / number of true labels, shape (B,); NaN for a document without any label, which the
    mean leaves out."""
    return np.divide(hits[:, :k].sum(axis=1), num_true, out=np.full(len(hits), np.nan), where=num_true > 0)


def ndcg_at_k(hits: np.ndarray, num_true: np.ndarray, k: int) -> np.ndarray:
    """Σ_{r≤k} hit_r / log2(r + 1), divided by the same sum for the best ranking, Σ_{r≤min(k, true)} 1 / log2(r + 1);
    shape (B,); NaN for a document without any label, which the mean leaves out (Järvelin and Kekäläinen, 2002)."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0.0], discount.cumsum()])[np.minimum(num_true, k)]
    gained = hits[:, :k] @ discount[: hits.shape[1]]
    return np.divide(gained, best, out=np.full(len(hits), np.nan), where=num_true > 0)


def inverse_propensities(
    train_counts: np.ndarray, num_train_documents: int, *, a: float = PROPENSITY[0], b: float = PROPENSITY[1]
) -> np.ndarray:
    """w_l = 1 + C (n_l + B)^-A with C = (ln N - 1)(B + 1)^A, shape (L,): the inverse of the probability that a true
    label was noted down (Jain, Prabhu and Varma, 2016, "Extreme Multi-label Loss Functions", section 4).

    Args:
        train_counts (`np.ndarray` of shape `(L,)`): n_l, training documents a label.
        num_train_documents (`int`): N.
        a (`float`, *optional*, defaults to 0.55): A. The extreme-classification repository uses (A, B) = (0.5, 0.4)
            for its Wikipedia sets, (0.6, 2.6) for its Amazon product sets, and (0.55, 1.5) otherwise.
        b (`float`, *optional*, defaults to 1.5): B.
    """
    # below three documents ln N - 1 is negative and the weights lose their meaning: no correction then
    c = max(np.log(max(num_train_documents, 1)) - 1.0, 0.0) * (b + 1.0) ** a
    return 1.0 + c * (np.asarray(train_counts, np.float64) + b) ** -a


def psp_gain(hits: np.ndarray, ids: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """Σ_{r≤k} hit_r w_(label at r) / k, shape (B,): the numerator of propensity-scored precision.

    PSP@k = Σ_d psp_gain_d / Σ_d psp_best_d, one ratio of sums over all documents, as the extreme-classification
    repository normalises it (not a mean of ratios). Documents without labels add nothing to either sum."""
    return np.where(hits[:, :k] > 0, weights[np.maximum(ids[:, :k], 0)], 0.0).sum(axis=1) / k


def psp_best(true_rows: np.ndarray, true_ids: np.ndarray, weights: np.ndarray, num_documents: int, k: int):
    """Σ of the k largest w_l among a document's true labels / k, shape (B,): what the best ranking would gain.

    Args:
        true_rows (`np.ndarray` of shape `(M,)`): documents of the true pairs.
        true_ids (`np.ndarray` of shape `(M,)`): their labels."""
    pair_weights = weights[true_ids]
    order = np.lexsort((-pair_weights, true_rows))
    rows, pair_weights = true_rows[order], pair_weights[order]
    starts = np.concatenate([[0], np.bincount(rows, minlength=num_documents).cumsum()])
    first_k = np.arange(len(rows)) - starts[rows] < k
    return np.bincount(rows[first_k], weights=pair_weights[first_k], minlength=num_documents) / k
