"""Metrics of label sets: what was predicted against what is true, from counts.

Each function is pure on arrays. Counts a label: `tp` (predicted and true), `predicted`, `support` (true), each of shape
(L,); the same formulas serve documents with counts of shape (B,). A ratio 0/0 counts as 0 (scikit-learn's
`zero_division=0`) unless a function says otherwise.
"""

from __future__ import annotations

import numpy as np


def count_ids(counts_L: np.ndarray, ids_M: np.ndarray) -> None:
    """Adds to `counts_L`, of shape (L,), how often each label stands in `ids_M`, of shape (M,), in place.

    A batch of a few hundred documents holds few of a million labels: a pass over all of them would cost more than the rest
    of a batch's metrics.
    """
    if 8 * len(ids_M) < len(counts_L):
        np.add.at(counts_L, ids_M, 1)
    else:
        counts_L += np.bincount(ids_M, minlength=len(counts_L))


def _ratio(numerator, denominator, *, empty: float = 0.0) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, empty), where=denominator > 0)


def precision_per_label(tp: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """tp_l / predicted_l, shape (L,); 0 for a label that is never predicted."""
    return _ratio(tp, predicted)


def recall_per_label(tp: np.ndarray, support: np.ndarray) -> np.ndarray:
    """tp_l / support_l, shape (L,); 0 for a label that is never true."""
    return _ratio(tp, support)


def f1_per_label(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> np.ndarray:
    """2 tp_l / (predicted_l + support_l), shape (L,); 0 for a label neither predicted nor true."""
    return _ratio(2 * np.asarray(tp), np.asarray(predicted) + np.asarray(support))


def precision_micro(tp: np.ndarray, predicted: np.ndarray) -> float:
    """Σ_l tp_l / Σ_l predicted_l."""
    return float(_ratio(np.sum(tp), np.sum(predicted)))


def recall_micro(tp: np.ndarray, support: np.ndarray) -> float:
    """Σ_l tp_l / Σ_l support_l."""
    return float(_ratio(np.sum(tp), np.sum(support)))


def f1_micro(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> float:
    """2 Σ_l tp_l / (Σ_l predicted_l + Σ_l support_l)."""
    return float(_ratio(2 * np.sum(tp), np.sum(predicted) + np.sum(support)))


def f1_macro(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> float:
    """Mean over ALL labels of the per-label F1; a label absent from the data counts 0 whether or not it is predicted.

    The stricter of the common definitions (scikit-learn's, with every label named). Do not compare it with
    [`f1_macro_present`] or [`f1_macro_caml`]."""
    return float(f1_per_label(tp, predicted, support).mean())


def f1_macro_present(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> float | None:
    """Mean of the per-label F1 over the labels with a true document in the data (Edin et al., 2023, "Automated
    Medical Coding on MIMIC-III and MIMIC-IV"); `None` where there is no such label."""
    present = np.asarray(support) > 0
    return float(f1_per_label(tp, predicted, support)[present].mean()) if present.any() else None


def f1_macro_caml(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> float:
    """2 P R / (P + R) with P and R the means over ALL labels of per-label precision and recall (Mullenbach et al.,
    2018, CAML): the "macro-F1" of most papers on medical coding. It is at least as large as the F1 of the mean label
    and not the mean of anything; kept for comparison with those papers."""
    precision = precision_per_label(tp, predicted).mean()
    recall = recall_per_label(tp, support).mean()
    return float(_ratio(2 * precision * recall, precision + recall))


def hamming_loss(tp: np.ndarray, predicted: np.ndarray, support: np.ndarray, num_cells: int) -> float:
    """Share of wrong cells: (Σ predicted + Σ support - 2 Σ tp) / cells, over the cells whose truth is known."""
    return float(_ratio(np.sum(predicted) + np.sum(support) - 2 * np.sum(tp), num_cells))


def f1_per_document(tp: np.ndarray, predicted: np.ndarray, num_true: np.ndarray) -> np.ndarray:
    """2 tp_d / (predicted_d + true_d), shape (B,); 1 where both sets are empty, since the empty set is then the right
    answer. scikit-learn's `f1_score(average="samples", zero_division=1)`; its default `zero_division=0` gives such a
    document 0. A document without a true label that gets a prediction has 0 in both."""
    return _ratio(2 * np.asarray(tp), np.asarray(predicted) + np.asarray(num_true), empty=1.0)


def exact_match(tp: np.ndarray, predicted: np.ndarray, num_true: np.ndarray) -> np.ndarray:
    """Whether the predicted set is the true set, shape (B,): tp_d = predicted_d = true_d."""
    return (np.asarray(tp) == predicted) & (np.asarray(tp) == num_true)
