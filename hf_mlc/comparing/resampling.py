"""Metrics of one run on many weightings of its documents at once, as those without one document each.

A weighting says how often each document counts. Every metric here, with all weights 1, is the one of that
name in `hf_mlc.metrics`; with other weights it is that of the documents written down so many times.

Shape legend: N documents, L labels, R weightings, K ranks, M true pairs.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.sparse

from hf_mlc.comparing.resampled_areas import MOST_PAIRS, PooledAreas, aucs_of_labels
from hf_mlc.comparing.resampled_ranks import MOST, RankedDocuments, ranked_name
from hf_mlc.comparing.scores import RunScores
from hf_mlc.errors import UserError
from hf_mlc.metrics import counting
from hf_mlc.metrics.buckets import BUCKETS


METRICS = (
    "f1_micro",
    "f1_macro",
    "f1_macro_present",
    "precision_micro",
    "recall_micro",
    "ap_macro",
    "auc_micro",
    "auc_macro",
    "auc_weighted",
    "ap_micro",
    "subset_accuracy",
    "f1_samples",
    "hamming_loss",
    "p@k",
    "r@k",
    "ndcg@k",
    "psp@k",
)
_RESAMPLES_AT_ONCE = 250  # R x L numbers are held of each


class ResampledMetrics:
    """The metrics of one run under document weights.

    Args:
        scores ([`RunScores`]): what the run answered.
    """

    def __init__(self, scores: RunScores):
        self.scores = scores
        shape = (scores.num_documents, len(scores.train_counts))
        self.true_NL, self.chosen_NL = (pair_matrix(pairs, shape) for pairs in (scores.true, scores.chosen))
        self.hit_NL = self.true_NL.multiply(self.chosen_NL).tocsr()
        self.num_true_N = np.asarray(self.true_NL.sum(axis=1)).ravel().astype(np.int64)
        self._ranked_documents: RankedDocuments | None = None

    def has(self, name: str) -> bool:
        """Whether the metric can be computed: areas need the scores of all labels, and those over all cells memory; `psp@k` the
        labels' weights, which runs of earlier versions did not keep."""
        if name.startswith("psp@"):
            return self.scores.label_weights is not None
        if name in ("auc_micro", "ap_micro") and self.scores.num_documents * self.true_NL.nnz > MOST_PAIRS:
            return False
        return self.scores.every_label or not name.startswith(("ap_", "auc_"))

    def values(self, name: str, weights_RN: np.ndarray) -> np.ndarray:
        """The metric under each weighting, float64 `(R,)`; NaN where it is undefined.

        Args:
            name (`str`): one of `METRICS`, `k` a number up to 10; those with a `k` and the first six also by bucket
                (`ndcg@5@1-5`, `ap_macro@1-5`).
            weights_RN (`np.ndarray` of shape `(R, N)`): how often each document counts.
        """
        kind, _, rest = name.partition("@")
        ranked = ranked_name(name)
        if ranked is not None:
            return self._ranked(*ranked, weights_RN)
        if kind in ("subset_accuracy", "f1_samples", "hamming_loss") and not rest:
            return self._by_document(kind, weights_RN)
        if kind in ("auc_micro", "auc_macro", "auc_weighted", "ap_micro") and not rest:
            return self._area(kind, weights_RN)
        if kind in METRICS[:6] and rest in ("", *BUCKETS):
            least, most = BUCKETS[rest] if rest else (0, np.inf)
            inside_L = (self.scores.train_counts >= least) & (self.scores.train_counts <= most)
            if kind == "ap_macro":
                return self._average_precision(np.flatnonzero(inside_L), weights_RN)
            at_once = range(0, len(weights_RN), _RESAMPLES_AT_ONCE)
            parts = [
                self._counted(kind, inside_L, weights_RN[start : start + _RESAMPLES_AT_ONCE]) for start in at_once
            ]
            return np.concatenate(parts)
        raise UserError(f"found '{name}'", field="metric", accepted=", ".join(METRICS) + ", and NAME@BUCKET")

    def _counted(self, kind: str, inside_L: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
        weights_RN = weights_RN.astype(np.float64)
        tp, predicted, support = (
            np.asarray(weights_RN @ counted[:, inside_L]) for counted in (self.hit_NL, self.chosen_NL, self.true_NL)
        )
        if kind in ("f1_macro", "f1_macro_present"):
            f1_RL = _ratio(2 * tp, predicted + support)
            if kind == "f1_macro":
                return f1_RL.mean(axis=1) if f1_RL.shape[1] else np.full(len(f1_RL), np.nan)
            return _ratio((f1_RL * (support > 0)).sum(axis=1), (support > 0).sum(axis=1), empty=np.nan)
        tp, predicted, support = tp.sum(axis=1), predicted.sum(axis=1), support.sum(axis=1)
        if kind == "precision_micro":
            return _ratio(tp, predicted)
        return _ratio(tp, support) if kind == "recall_micro" else _ratio(2 * tp, predicted + support)

    def _ranked(self, kind: str, k: int, bucket: str, weights_RN: np.ndarray) -> np.ndarray:
        if self._ranked_documents is None:
            ids_NK = self.scores.best(MOST)
            hits_NK = looked_up(self.true_NL, ids_NK)
            self._ranked_documents = RankedDocuments(
                ids_NK, hits_NK, self.true_NL, self.scores.train_counts, self.scores.label_weights
            )
        gained_N, possible_N = self._ranked_documents.sums(kind, k, bucket)
        weights_RN = weights_RN.astype(np.float64)
        return _ratio(weights_RN @ gained_N, weights_RN @ possible_N, empty=np.nan)

    def _by_document(self, kind: str, weights_RN: np.ndarray) -> np.ndarray:
        """A mean over documents of what the predicted label set is worth."""
        hits_N, chosen_N = (np.asarray(pairs.sum(axis=1)).ravel() for pairs in (self.hit_NL, self.chosen_NL))
        if kind == "hamming_loss":
            value_N = (chosen_N + self.num_true_N - 2 * hits_N) / self.true_NL.shape[1]
        else:
            function = counting.exact_match if kind == "subset_accuracy" else counting.f1_per_document
            value_N = np.asarray(function(hits_N, chosen_N, self.num_true_N), np.float64)
        weights_RN = weights_RN.astype(np.float64)
        return _ratio(weights_RN @ value_N, weights_RN.sum(axis=1))

    def _every_score(self) -> np.ndarray:
        if not self.scores.every_label:
            problem = "only the best labels of each document were kept"
            raise UserError(problem, field="metric", accepted="no auc_... and no ap_...")
        return self.scores.scores_NK

    def _area(self, kind: str, weights_RN: np.ndarray) -> np.ndarray:
        scores_NL = self._every_score()
        if kind.endswith("_micro"):
            areas = _pooled_areas(self)
            return areas.auc(weights_RN) if kind == "auc_micro" else areas.average_precision(weights_RN)
        total_R, defined_R = np.zeros((2, len(weights_RN)))
        for auc_R, positives_R in aucs_of_labels(scores_NL, self.true_NL, weights_RN):
            weight_R = ~np.isnan(auc_R) * (positives_R if kind == "auc_weighted" else 1)
            total_R += weight_R * np.nan_to_num(auc_R)
            defined_R += weight_R
        return _ratio(total_R, defined_R, empty=np.nan)

    def _average_precision(self, labels: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
        """Mean over the labels with a positive of any weight; of each, the mean over its positives of the precision among
        the documents that score as high or higher."""
        scores_NL = self._every_score()
        total_R, defined_R = np.zeros((2, len(weights_RN)))
        weights_NR = weights_RN.T.astype(np.float32)  # sums of whole numbers below 2^24 are exact
        positives_of = self.true_NL.tocsc()
        for label in labels:
            positives = positives_of.indices[positives_of.indptr[label] : positives_of.indptr[label + 1]]
            if not len(positives):
                continue
            at_or_above_MN = scores_NL[:, label][None, :] >= scores_NL[positives, label][:, None]
            above_MR = at_or_above_MN.astype(np.float32) @ weights_NR
            positives_MR = at_or_above_MN[:, positives].astype(np.float32) @ weights_NR[positives]
            drawn_MR = weights_NR[positives]
            number_R = drawn_MR.sum(axis=0)
            precision_MR = positives_MR / np.maximum(above_MR, 1)
            total_R += np.divide(
                (drawn_MR * precision_MR).sum(axis=0), number_R, out=np.zeros(len(number_R)), where=number_R > 0
            )
            defined_R += number_R > 0
        return _ratio(total_R, defined_R, empty=np.nan)


@functools.lru_cache(maxsize=1)  # of one run, whose weightings come in parts: some hundred megabytes
def _pooled_areas(run: ResampledMetrics) -> PooledAreas:
    return PooledAreas(run.scores.scores_NK, run.true_NL)


def looked_up(pairs_NL: scipy.sparse.csr_array, ids_NK: np.ndarray) -> np.ndarray:
    """Whether a document and each of its labels in `ids_NK` are among the pairs, bool `(N, K)`; -1 is no label."""
    rows_NK = np.broadcast_to(np.arange(len(ids_NK))[:, None], ids_NK.shape)
    there_NK = np.asarray(pairs_NL[rows_NK.ravel(), np.maximum(ids_NK, 0).ravel()]).reshape(ids_NK.shape) > 0
    return there_NK & (ids_NK >= 0)


def pair_matrix(pairs: np.ndarray, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    """Pairs of shape `(2, M)` as a matrix with a 1 at each."""
    return scipy.sparse.csr_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=shape)


def _ratio(numerator, denominator, *, empty: float = 0.0) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, empty), where=denominator > 0)
