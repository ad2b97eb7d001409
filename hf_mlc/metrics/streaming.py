"""All metrics of a multi-label run from batches: memory grows with the number of labels, not with documents x labels.

Shape legend: B documents of one batch, S scored columns (L, or the shortlist's length), L labels, K ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from hf_mlc.errors import UserError
from hf_mlc.metrics import counting, ranking
from hf_mlc.metrics.batch import read_batch
from hf_mlc.metrics.bucket_ranking import BucketRanking
from hf_mlc.metrics.buckets import BUCKETS
from hf_mlc.metrics.score_store import ScoreStore
from hf_mlc.modeling.decision import apply_thresholds


class MultiLabelMetrics:
    """Feed it batches with [`~MultiLabelMetrics.update`], then ask for [`~MultiLabelMetrics.compute`].

    What it keeps: integer counts of shape (L,), hits a label and k of shape (len(ks), L), and a few sums; beyond that
    only the scores for AUC and average precision, within `score_budget_mb`. With a shortlist (`candidate_ids`) nothing
    of size documents x labels is ever made. Splitting the same documents into other batches, or over processes joined
    by [`~MultiLabelMetrics.merge`], gives the same answer.

    Args:
        num_labels (`int`): L.
        train_counts (`Sequence[int]` of length `L`, *optional*): documents a label has in the TRAINING split; with it
            come the metrics by bucket and, with `num_train_documents`, `psp@k`.
        num_train_documents (`int`, *optional*): documents of the training split.
        ks (`Sequence[int]`, *optional*, defaults to `(1, 3, 5)`): cut-offs of the ranking metrics.
        thresholds (`float` or `Sequence[float]` of length `L`, *optional*, defaults to 0.5): a label is predicted
            where its score reaches its threshold (`hf_mlc.modeling.decision.apply_thresholds`), tuned on validation
            data by `hf_mlc.thresholds`.
        min_labels (`int`, *optional*, defaults to 0): the smallest set that a document may get.
        propensity (`tuple[float, float]`, *optional*, defaults to `(0.55, 1.5)`): A and B of `psp@k`.
        score_budget_mb (`float`, *optional*, defaults to 512): room for the scores behind AUC and average precision.
            They are exact while documents x labels x 5 bytes fit, then come from histograms with an error that
            [`~MultiLabelMetrics.facts`] states; where even one histogram a label does not fit, the macro forms are
            left out. Working them out takes as much memory again at most. 0 leaves AUC and average precision out
            altogether and saves their time.
        num_bins (`int`, *optional*, defaults to 2048): bins of a label's histogram.

    Conventions:
        - A document without a true label: counts 0 in `p@k`, is left out of the means `r@k` and `ndcg@k`
          (`facts()["num_documents_without_labels"]` says how many), and has `f1_samples` 1 where nothing is predicted
          either, else 0.
        - Cells whose truth is unknown (-100 in dense targets) enter no count and no ranking; a set is exact when it
          is right on the known cells.
        - With a shortlist, labels that were not scored count as not predicted and not ranked; AUC and average
          precision are left out, since they need a score for every label.
        - Equal scores rank by label id, the lower first.

    Example:

    ```python
    >>> import numpy as np
    >>> metrics = MultiLabelMetrics(num_labels=3, ks=(1,))
    >>> metrics.update(np.array([[0.9, 0.2, 0.6], [0.1, 0.8, 0.3]]), np.array([[1, 0, 0], [0, 1, 1]]))
    >>> result = metrics.compute()  # predicted {0, 2} and {1}, true {0} and {1, 2}: 2 hits, 3 predicted, 3 true
    >>> round(result["f1_micro"], 4), result["subset_accuracy"], result["p@1"]
    (0.6667, 0.0, 1.0)

    ```
    """

    def __init__(
        self,
        num_labels: int,
        *,
        train_counts: Sequence[int] | np.ndarray | None = None,
        num_train_documents: int | None = None,
        ks: Sequence[int] = (1, 3, 5),
        thresholds: float | Sequence[float] = 0.5,
        min_labels: int = 0,
        propensity: tuple[float, float] = ranking.PROPENSITY,
        score_budget_mb: float = 512,
        num_bins: int = 2048,
    ):
        self.num_labels = num_labels
        self.train_counts = None if train_counts is None else np.asarray(train_counts, np.int64)
        self.num_train_documents = num_train_documents
        self.ks = tuple(sorted({int(k) for k in ks}))
        self.thresholds = np.asarray(thresholds, np.float32)
        self.min_labels = min_labels
        self.propensity = tuple(propensity)
        if self.train_counts is not None and self.train_counts.shape != (num_labels,):
            raise UserError(f"train_counts of shape {self.train_counts.shape}", accepted=f"({num_labels},)")
        if self.thresholds.shape not in ((), (num_labels,)):
            raise UserError(
                f"thresholds of shape {self.thresholds.shape}", accepted=f"one number, or {num_labels} numbers"
            )
        if not self.ks or self.ks[0] < 1:
            raise UserError(f"ks {list(ks)}", accepted="one or more whole numbers from 1")

        self.weights_L = None
        if self.train_counts is not None and num_train_documents:
            a, b = self.propensity
            self.weights_L = ranking.inverse_propensities(self.train_counts, num_train_documents, a=a, b=b)
        self.num_documents = self.num_documents_without_labels = self.num_known_cells = 0
        self.tp_L, self.predicted_L, self.support_L = np.zeros((3, num_labels), np.int64)
        self.hits_KL = np.zeros((len(self.ks), num_labels), np.int64)
        self.bucket_ranking = None if self.train_counts is None else BucketRanking(self.train_counts, self.ks)
        self.sums: dict[str, float] = {}
        self.scores: ScoreStore | None = None
        self.no_curves_because: str | None = None
        if score_budget_mb > 0:
            self.scores = ScoreStore(num_labels, budget_bytes=int(score_budget_mb * 2**20), num_bins=num_bins)
        else:
            self.no_curves_because = "score_budget_mb is 0"

    def update(self, scores, labels=None, *, candidate_ids=None, label_ids=None, chosen=None) -> None:
        """Takes one batch.

        Args:
            scores (`torch.Tensor` or `np.ndarray` of shape `(B, L)`, or `(B, S)` with `candidate_ids`): probabilities;
                any float type, compared with the thresholds in float32.
            labels (`torch.Tensor` or `np.ndarray` of shape `(B, L)`, *optional*): multi-hot targets, -100 for unknown.
            candidate_ids (`torch.Tensor` or `np.ndarray` of shape `(B, S)`, *optional*): the labels of the columns,
                each once in a row; negative is padding.
            label_ids (`torch.Tensor` or `np.ndarray` of shape `(B, P)`, *optional*): true labels padded with -100,
                instead of `labels`.
            chosen (`torch.BoolTensor`, shaped as `scores`, *optional*): the predicted sets, of a model that decides on sets
                as a whole; the thresholds then decide nothing.

        Raises:
            `UserError`: what [`~hf_mlc.metrics.batch.read_batch`] refuses; `chosen` of another shape than the scores.
        """
        batch = read_batch(
            scores, labels, num_labels=self.num_labels, candidate_ids=candidate_ids, label_ids=label_ids
        )
        if not len(batch):
            return
        known_BS = batch.truth_BS >= 0
        true_BS = batch.truth_BS == 1
        if chosen is None:
            chosen_BS = apply_thresholds(
                batch.scores_BS,
                torch.from_numpy(self.thresholds),
                min_labels=self.min_labels,
                candidate_ids_BS=batch.candidate_ids_BS,
            )
        else:
            chosen_BS = torch.as_tensor(chosen, device=known_BS.device).bool()
            if chosen_BS.shape != known_BS.shape:
                raise UserError(
                    f"chosen of shape {tuple(chosen_BS.shape)}", accepted=f"{tuple(known_BS.shape)} as scores"
                )
        chosen_BS = known_BS & chosen_BS
        hit_BS = chosen_BS & true_BS
        num_true_B = batch.num_true_B
        self.num_documents += len(batch)
        self.num_documents_without_labels += int((num_true_B == 0).sum())
        self.num_known_cells += batch.num_known_cells
        counting.count_ids(self.support_L, batch.true_ids_M)
        self._count_labels(self.predicted_L, chosen_BS, batch.candidate_ids_BS)
        self._count_labels(self.tp_L, hit_BS, batch.candidate_ids_BS)

        tp_B, predicted_B = hit_BS.sum(dim=1).cpu().numpy(), chosen_BS.sum(dim=1).cpu().numpy()
        self._add("f1_samples", counting.f1_per_document(tp_B, predicted_B, num_true_B))
        self._add("subset_accuracy", counting.exact_match(tp_B, predicted_B, num_true_B))
        self._update_ranking(batch, known_BS, true_BS, num_true_B)

        if batch.candidate_ids_BS is not None:
            self.no_curves_because = self.no_curves_because or "a shortlist was scored, not every label"
            self.scores = None
        if self.scores is not None:
            self.scores.add(batch.scores_BS, batch.truth_BS)

    def _update_ranking(self, batch, known_BS, true_BS, num_true_B) -> None:
        columns_BK, ids_BK = ranking.top_k(
            batch.scores_BS, self.ks[-1], candidate_ids_BS=batch.candidate_ids_BS, mask_BS=known_BS
        )
        hits_BK = (true_BS.gather(1, columns_BK.clamp(min=0)) & (columns_BK >= 0)).cpu().numpy()
        ids_BK = ids_BK.cpu().numpy()
        if self.bucket_ranking is not None:
            self.bucket_ranking.add(hits_BK, ids_BK, batch.true_rows_M, batch.true_ids_M)
        for row, k in enumerate(self.ks):
            self._add(f"p@{k}", ranking.precision_at_k(hits_BK, k))
            self._add(f"r@{k}", ranking.recall_at_k(hits_BK, num_true_B, k))
            self._add(f"ndcg@{k}", ranking.ndcg_at_k(hits_BK, num_true_B, k))
            counting.count_ids(self.hits_KL[row], ids_BK[:, :k][hits_BK[:, :k]])
            if self.weights_L is not None:
                self._add(f"psp_gain@{k}", ranking.psp_gain(hits_BK, ids_BK, self.weights_L, k))
                best_B = ranking.psp_best(batch.true_rows_M, batch.true_ids_M, self.weights_L, len(batch), k)
                self._add(f"psp_best@{k}", best_B)

    @staticmethod
    def _count_labels(counts_L: np.ndarray, flags_BS: torch.Tensor, candidate_ids_BS: torch.Tensor | None) -> None:
        if candidate_ids_BS is None:
            counts_L += flags_BS.sum(dim=0).cpu().numpy()
        else:
            counting.count_ids(counts_L, candidate_ids_BS[flags_BS].cpu().numpy())

    def _add(self, name: str, values_B: np.ndarray) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(np.nansum(values_B))

    def compute(self) -> dict[str, float]:
        """The metrics by name. One that is undefined on these documents (say, `auc_macro` where no label has both a
        positive and a negative) is left out.

        `f1_micro`, `f1_macro`, `f1_macro_present`, `f1_macro_caml`, `f1_samples`, `precision_micro`, `recall_micro`,
        `subset_accuracy`, `hamming_loss`: see [`hf_mlc.metrics.counting`]. `auc_micro`, `ap_micro`: all cells as one
        ranking; `auc_macro`: mean over the labels with a positive and a negative; `auc_weighted`: the same, each label
        weighing as its positives; `ap_macro`: over the labels with a positive; see [`hf_mlc.metrics.curves`]. `p@k`, `r@k`, `ndcg@k`, `psp@k`: see [`hf_mlc.metrics.ranking`].

        With `train_counts`, by bucket of training documents (0, 1-5, 6-20, 21-50, >50; those that hold labels), over
        the bucket's labels alone: `f1_micro@1-5`, `f1_macro@1-5`, `f1_macro_present@1-5`, `precision_micro@1-5`,
        `recall_micro@1-5`, `auc_macro@1-5`, `ap_macro@1-5`, and `r@k@1-5`: true pairs of the bucket's labels found
        among the first k of all labels / true pairs of the bucket's labels (pooled, not a mean over documents).
        `ndcg@k@1-5`: see [`hf_mlc.metrics.bucket_ranking`]. `p@k@1-5`, `psp@k@1-5`: what the bucket's labels contribute to
        `p@k` and `psp@k`; over the buckets they add up to these.

        Raises:
            `UserError`: no document was seen.
        """
        if not self.num_documents:
            raise UserError("no document to measure", accepted="one document or more")
        counts = (self.tp_L, self.predicted_L, self.support_L)
        result = {
            "f1_micro": counting.f1_micro(*counts),
            "f1_macro": counting.f1_macro(*counts),
            "f1_macro_present": counting.f1_macro_present(*counts),
            "f1_macro_caml": counting.f1_macro_caml(*counts),
            "f1_samples": self.sums["f1_samples"] / self.num_documents,
            "precision_micro": counting.precision_micro(self.tp_L, self.predicted_L),
            "recall_micro": counting.recall_micro(self.tp_L, self.support_L),
            "subset_accuracy": self.sums["subset_accuracy"] / self.num_documents,
            "hamming_loss": counting.hamming_loss(*counts, self.num_known_cells),
        }
        areas = None
        if self.scores is not None:
            micro, areas = self.scores.micro(), self.scores.per_label()
            result |= {"auc_micro": micro["auc"][0], "ap_micro": micro["ap"][0]}
        if areas is not None:
            auc_L = areas["auc"][0]
            result |= {"auc_macro": _mean(auc_L), "auc_weighted": _mean(auc_L, self.support_L)}
            result["ap_macro"] = _mean(areas["ap"][0])
        num_labelled = self.num_documents - self.num_documents_without_labels
        for k in self.ks:
            result[f"p@{k}"] = self.sums[f"p@{k}"] / self.num_documents
            if num_labelled:
                result[f"r@{k}"] = self.sums[f"r@{k}"] / num_labelled
                result[f"ndcg@{k}"] = self.sums[f"ndcg@{k}"] / num_labelled
                if self.weights_L is not None:
                    result[f"psp@{k}"] = self.sums[f"psp_gain@{k}"] / self.sums[f"psp_best@{k}"]
        if self.train_counts is not None:
            for bucket, (least, most) in BUCKETS.items():
                inside_L = (self.train_counts >= least) & (self.train_counts <= most)
                if inside_L.any():
                    result |= self._bucket(inside_L, bucket, areas)
        return {name: float(value) for name, value in result.items() if value is not None and not np.isnan(value)}

    def _bucket(self, inside_L: np.ndarray, bucket: str, areas) -> dict[str, float | None]:
        tp, predicted, support = self.tp_L[inside_L], self.predicted_L[inside_L], self.support_L[inside_L]
        result = {
            f"f1_micro@{bucket}": counting.f1_micro(tp, predicted, support),
            f"f1_macro@{bucket}": counting.f1_macro(tp, predicted, support),
            f"f1_macro_present@{bucket}": counting.f1_macro_present(tp, predicted, support),
            f"precision_micro@{bucket}": counting.precision_micro(tp, predicted),
            f"recall_micro@{bucket}": counting.recall_micro(tp, support),
        }
        if areas is not None:
            result[f"auc_macro@{bucket}"] = _mean(areas["auc"][0][inside_L])
            result[f"ap_macro@{bucket}"] = _mean(areas["ap"][0][inside_L])
        if support.any():
            for row, k in enumerate(self.ks):
                result[f"r@{k}@{bucket}"] = self.hits_KL[row, inside_L].sum() / support.sum()
                result[f"p@{k}@{bucket}"] = self.hits_KL[row, inside_L].sum() / (k * self.num_documents)
                if self.weights_L is not None:
                    gain = self.hits_KL[row, inside_L] @ self.weights_L[inside_L] / k
                    result[f"psp@{k}@{bucket}"] = gain / self.sums[f"psp_best@{k}"]
            result |= self.bucket_ranking.values(bucket)
        return result

    def facts(self) -> dict[str, object]:
        """What a reader of the numbers must know, ready for JSON: how many documents (and how many without labels),
        how many labels and how many of them occur, the cells whose truth is unknown, the labels of each bucket, the
        propensity constants, and how AUC and average precision were had: `curves` is "exact", "histograms" or
        "left out: reason"; with histograms, `curve_errors` bounds each value's error, and
        `curves_macro` says where the macro forms did not fit."""
        facts = {
            "num_documents": self.num_documents,
            "num_documents_without_labels": self.num_documents_without_labels,
            "num_labels": self.num_labels,
            "num_labels_present": int((self.support_L > 0).sum()),
            "num_unknown_cells": self.num_documents * self.num_labels - self.num_known_cells,
            "min_labels": self.min_labels,
        }
        if self.weights_L is not None:
            facts["propensity"] = {"A": self.propensity[0], "B": self.propensity[1]}
        if self.train_counts is not None:
            facts["labels_by_bucket"] = {
                bucket: int(((self.train_counts >= least) & (self.train_counts <= most)).sum())
                for bucket, (least, most) in BUCKETS.items()
            }
        if self.scores is None:
            facts["curves"] = f"left out: {self.no_curves_because}"
        elif self.scores.exact:
            facts["curves"] = "exact"
        else:
            facts["curves"] = "histograms"
            errors = {f"{name}_micro": error for name, (_, error) in self.scores.micro().items()}
            per_label = self.scores.per_label()
            if per_label is None:
                facts["curves_macro"] = "left out: one histogram a label does not fit score_budget_mb"
            else:
                errors |= {f"{name}_macro": _mean(error) for name, (_, error) in per_label.items()}
                errors["auc_weighted"] = _mean(per_label["auc"][1], self.support_L)
            facts["curve_errors"] = {name: error for name, error in errors.items() if not np.isnan(error)}
        return facts

    def per_label(self) -> dict[str, np.ndarray]:
        """One array of shape (L,) for each of: `support` (true documents), `predicted`, `tp`, `precision`, `recall`,
        `f1`, `threshold`, with `train_counts` also `train_count`, and, where every label was scored and they fit,
        `auc` and `ap` (NaN for a label on which they are undefined)."""
        table = {
            "support": self.support_L.copy(),
            "predicted": self.predicted_L.copy(),
            "tp": self.tp_L.copy(),
            "precision": counting.precision_per_label(self.tp_L, self.predicted_L),
            "recall": counting.recall_per_label(self.tp_L, self.support_L),
            "f1": counting.f1_per_label(self.tp_L, self.predicted_L, self.support_L),
            "threshold": np.broadcast_to(self.thresholds, (self.num_labels,)).copy(),
        }
        if self.train_counts is not None:
            table["train_count"] = self.train_counts.copy()
        areas = self.scores.per_label() if self.scores is not None and self.num_documents else None
        if areas is not None:
            table |= {"auc": areas["auc"][0], "ap": areas["ap"][0]}
        return table

    def curve(self, num_points: int = 200) -> dict[str, list[float]] | None:
        """The micro precision-recall curve, ready for JSON: `threshold` (falling), `precision`, `recall`, lists of
        `num_points` numbers at most, each point exact; `None` where not every label was scored, or none is true."""
        if self.scores is None or not self.num_documents:
            return None
        points = self.scores.micro_curve(num_points)
        if not len(points[0]):
            return None
        return {
            name: [float(f"{value:.6g}") for value in values]
            for name, values in zip(("threshold", "precision", "recall"), points, strict=True)
        }

    def merge(self, other: MultiLabelMetrics) -> MultiLabelMetrics:
        """Adds what another accumulator, made with the same arguments, has seen (another process, say); returns
        itself."""
        assert (self.num_labels, self.ks, self.min_labels) == (other.num_labels, other.ks, other.min_labels)
        assert np.array_equal(self.thresholds, other.thresholds)
        self.num_documents += other.num_documents
        self.num_documents_without_labels += other.num_documents_without_labels
        self.num_known_cells += other.num_known_cells
        for mine, theirs in (
            (self.tp_L, other.tp_L),
            (self.predicted_L, other.predicted_L),
            (self.support_L, other.support_L),
            (self.hits_KL, other.hits_KL),
        ):
            mine += theirs
        if self.bucket_ranking is not None:
            self.bucket_ranking.merge(other.bucket_ranking)
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.no_curves_because = self.no_curves_because or other.no_curves_because
        if self.no_curves_because is not None:
            self.scores = None
        else:
            self.scores.merge(other.scores)
        return self


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of the defined values, each as often as its weight says; NaN where there is none."""
    defined = ~np.isnan(values)
    if not defined.any():
        return float("nan")
    return float(np.average(values[defined], weights=None if weights is None else weights[defined]))
