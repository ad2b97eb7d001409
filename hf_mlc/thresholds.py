"""Thresholds from validation documents: one for all labels, or one a label, drawn towards the common one.

Nothing here may see a test document. The rule that thresholds feed is `hf_mlc.modeling.decision.apply_thresholds`.

Shape legend: N documents, L labels, M true (document, label) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.metrics import counting
from hf_mlc.metrics.batch import UNKNOWN, read_batch
from hf_mlc.metrics.row_store import BYTES_PER_CELL, Rows, RowStore
from hf_mlc.metrics.staircase import DIGITS, ONE, Search, best_f1_threshold, fixed_point
from hf_mlc.modeling.decision import apply_thresholds


logger = logging.get_logger(__name__)

KINDS = ("global", "per_label", "auto")
METRICS = ("f1_micro", "f1_macro", "f1_samples", "subset_accuracy", "f1_micro+subset_accuracy", "balanced")
# Means of metrics. f1_micro alone is nearly flat around its best threshold, and where in the flat part it is best is chance;
# exact label sets decide there, and without rare labels' f1_macro, which jumps by one document.
PARTS = {
    "f1_micro+subset_accuracy": ("f1_micro", "subset_accuracy"),
    "balanced": ("f1_micro", "f1_macro", "subset_accuracy"),
}
SHRINKAGES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
SMALLEST_SETS = (0, 1)  # values of `min_labels` that are chosen among
# A label whose best F1 stays below this has no threshold worth having: the best one is then often "nearly every document"
# (the FBR heuristic of Yang, 2001, "A Study on Thresholding Strategies for Text Categorization", and of Lewis et al.,
# 2004, who found it necessary for rare labels).
LEAST_OWN_F1 = 0.1
KEPT_COLUMNS = 128  # of a row that no longer fits as a whole; no useful threshold lets more labels pass
FEWEST_COLUMNS = 16  # fewer would change the choice


@dataclass
class ThresholdChoice:
    """What was chosen, and what it was worth on the validation documents.

    Args:
        kind (`str`): "global" or "per_label".
        thresholds (`float` or `list[float]`): one number, or L numbers, from 0 to 1. Where predicting nothing would be
            best, the least that a threshold up to 1 can let pass: nothing, unless a score is exactly 1.
        min_labels (`int`): the smallest label set that a document may get.
        value (`float`): the metric.
        metric (`str`): its name.
        num_documents (`int`): validation documents.
        shrinkage (`float`, *optional*): for "per_label", the positives at which a label's own threshold and the common
            one weigh the same.
        value_is_cross_validated (`bool`): whether `value` was measured on documents that had no part in the choice,
            as for "per_label" and for whatever "auto" compared; otherwise it comes from the documents that chose, is
            somewhat optimistic, and must not be compared with one that does not.
    """

    kind: str
    thresholds: float | list[float]
    min_labels: int
    value: float
    metric: str
    num_documents: int
    shrinkage: float | None = None
    value_is_cross_validated: bool = False

    def to_dict(self) -> dict[str, object]:
        """All of it, ready for JSON."""
        return asdict(self)


def tune_thresholds(
    scores,
    labels,
    *,
    kind: str = "global",
    metric: str = "f1_micro",
    shrinkage: float | str = "auto",
    choose_min_labels: bool = True,
    train_counts: Sequence[int] | np.ndarray | None = None,
    num_folds: int = 5,
    seed: int = 0,
) -> ThresholdChoice:
    """Chooses thresholds on validation documents.

    *One for all labels.* Exact: the metric as a function of the threshold is a staircase with steps at the scores, and
    the best stair is found from the sorted scores; the threshold is put halfway between the scores around it. With
    `min_labels` = m the m best labels of a document are predicted at any threshold, so the same search holds.

    *One a label.* A label's own threshold t_l maximises its F1, then
    logit(threshold) = w logit(t_l) + (1 - w) logit(t_global) with w = n / (n + shrinkage) and n its validation
    positives: rare labels, whose own threshold is mostly noise, stay near the common one. Labels without a validation
    positive, or whose best F1 is below 0.1, take the common one. The shrinkage and `min_labels` are those with the best
    cross-validated metric.

    The same documents give exactly the same choice in whatever order they come: the parts of the cross-validation
    follow from the documents' scores and targets. Besides `scores` and `labels` it takes about 10 bytes a cell.

    Args:
        scores (`torch.Tensor` or `np.ndarray` of shape `(N, L)`): probabilities of VALIDATION documents.
        labels (`torch.Tensor` or `np.ndarray` of shape `(N, L)`): multi-hot targets; -100 (unknown) counts nowhere.
        kind (`str`, *optional*, defaults to `"global"`): "global", "per_label", or "auto": whichever has the better
            cross-validated metric (the common threshold is cross-validated as well, and `value` is that).
        metric (`str`, *optional*, defaults to `"f1_micro"`): "f1_micro", "f1_macro" (all labels), "f1_samples" (an
            empty set is right for a document without labels), "subset_accuracy", "f1_micro+subset_accuracy", the mean
            of the two, or "balanced", the mean of f1_micro, f1_macro and subset_accuracy.
        shrinkage (`float` or `"auto"`, *optional*, defaults to `"auto"`): see above; 0 trusts every label's own
            threshold; "auto" tries 0, 1, 3, 10, 30 and 100.
        choose_min_labels (`bool`, *optional*, defaults to `True`): whether `min_labels` is chosen from 0 and 1;
            otherwise it is 0.
        train_counts (`Sequence[int]` of length `L`, *optional*): training documents of each label; a label without any
            takes the common threshold, since its scores were never taught anything.
        num_folds (`int`, *optional*, defaults to 5): parts of the validation documents in cross-validation.
        seed (`int`, *optional*, defaults to 0): of the division into parts.

    Returns:
        [`ThresholdChoice`].

    Raises:
        `UserError`: an unknown kind or metric, a negative shrinkage, no document, shapes or values that
        [`~hf_mlc.metrics.batch.read_batch`] refuses.

    Example:

    ```python
    >>> import numpy as np
    >>> choice = tune_thresholds(np.array([[0.9, 0.4], [0.3, 0.2]]), np.array([[1, 1], [0, 0]]))
    >>> round(choice.thresholds, 4), choice.min_labels, choice.value  # halfway between 0.4, a hit, and 0.3
    (0.35, 0, 1.0)

    ```
    """
    num_labels = np.shape(scores)[-1]
    tuner = ThresholdTuner(
        num_labels,
        kind=kind,
        metric=metric,
        shrinkage=shrinkage,
        choose_min_labels=choose_min_labels,
        train_counts=train_counts,
        num_folds=num_folds,
        seed=seed,
        row_budget_mb=float("inf"),
    )
    # checking takes several copies of what is checked; shapes that do not fit are refused as a whole
    step = max(1, 2**19 // max(num_labels, 1)) if np.shape(scores) == np.shape(labels) else max(len(scores), 1)
    for start in range(0, len(scores), step):
        tuner.update(scores[start : start + step], labels[start : start + step])
    return tuner.tune()


class ThresholdTuner:
    """Collects validation batches, then chooses as [`tune_thresholds`] does.

    Dense rows are kept whole while they fit `row_budget_mb`. Beyond that, and with shortlists from the start, only the
    scored pairs are kept: of a row its 128 best columns, or 64, 32, 16 as the budget shrinks against the rows. From
    pairs, one threshold for all labels can be chosen, not one a label: "per_label" is refused with a shortlist; rows
    that outgrow the budget, and "auto", turn to "global".

    Memory: what is kept stays within the budget (unless 16 columns a row exceed it), and choosing takes as much again
    at most, less for large data, plus some 200 bytes a document and label. All in all, no more than twice the budget;
    besides, a batch and the copies made in checking it, and 20 MB.

    Args:
        num_labels (`int`): L.
        kind, metric, shrinkage, choose_min_labels, train_counts, num_folds, seed: as in [`tune_thresholds`].
        row_budget_mb (`float`, *optional*, defaults to 512): room for rows: 5 bytes a cell of whole ones, 9 a kept pair.
    """

    def __init__(
        self,
        num_labels: int,
        *,
        kind: str = "global",
        metric: str = "f1_micro",
        shrinkage: float | str = "auto",
        choose_min_labels: bool = True,
        train_counts: Sequence[int] | np.ndarray | None = None,
        num_folds: int = 5,
        seed: int = 0,
        row_budget_mb: float = 512,
    ):
        _check_arguments(kind, metric, shrinkage, num_folds)
        self.num_labels, self.kind, self.metric = num_labels, kind, metric
        self.min_label_choices = SMALLEST_SETS if choose_min_labels else (0,)
        self.shrinkages = SHRINKAGES if shrinkage == "auto" else (float(shrinkage),)
        self.own_allowed_L = np.ones(num_labels, bool) if train_counts is None else np.asarray(train_counts) > 0
        self.num_folds, self.seed = num_folds, seed
        self.row_budget_bytes = row_budget_mb * 2**20
        self.num_documents = 0
        self.store = RowStore(num_labels)
        self.kept_columns: int | None = None  # None while rows are kept whole

    def update(self, scores, labels=None, *, candidate_ids=None, label_ids=None) -> None:
        """Takes one batch; arguments and errors as in [`~hf_mlc.metrics.MultiLabelMetrics.update`]."""
        batch = read_batch(
            scores, labels, num_labels=self.num_labels, candidate_ids=candidate_ids, label_ids=label_ids
        )
        if not len(batch):
            return
        if batch.candidate_ids_BS is not None and self.kind == "per_label":
            raise UserError(
                "one threshold a label cannot be tuned where only a shortlist is scored",
                field="kind",
                accepted="'global' or 'auto'",
            )
        self.num_documents += len(batch)
        fits = self.num_documents * self.num_labels * BYTES_PER_CELL <= self.row_budget_bytes
        if self.kept_columns is None and (batch.candidate_ids_BS is not None or not fits):
            if self.kind == "per_label":
                logger.warning(
                    "The validation scores outgrow row_budget_mb: one threshold is tuned for all labels instead of one "
                    "a label."
                )
            self.kept_columns = KEPT_COLUMNS
            self.store.trim(self.kept_columns)
        rows = Rows.of_batch(batch)
        self.store.add(rows if self.kept_columns is None else rows.trimmed(self.kept_columns), batch.true_ids_M)
        while (
            self.kept_columns is not None
            and self.kept_columns > FEWEST_COLUMNS
            and self.store.num_bytes > self.row_budget_bytes
        ):
            self.kept_columns //= 2
            self.store.trim(self.kept_columns)

    def tune(self) -> ThresholdChoice:
        """The choice from all that was seen.

        Raises:
            `UserError`: no document was seen.
        """
        if not self.num_documents:
            raise UserError("no validation document to choose thresholds on", accepted="one document or more")
        if self.kind == "global" or self.kept_columns is not None or self.num_documents < 2:
            return self._choose_common(self.min_label_choices)

        # None stands for the common threshold alone
        shrinkages = self.shrinkages if self.kind == "per_label" else (*self.shrinkages, None)
        tallies = {(s, m): _Tally(self.num_labels) for s in shrinkages for m in self.min_label_choices}
        folds = self.store.split(min(self.num_folds, self.num_documents), self.seed)
        self.store = RowStore.joined(folds)
        for held_out in folds:
            fitted = self._fit(RowStore.joined([fold for fold in folds if fold is not held_out]))
            for _, piece in held_out.pieces():
                for (s, m), tally in tallies.items():
                    tally.add(piece, fitted.thresholds(s, m), m)
        values = {candidate: tally.value(self.metric) for candidate, tally in tallies.items()}
        # of equals the stronger shrinkage, and the common threshold before all
        best = max(values, key=lambda c: (values[c], float("inf") if c[0] is None else c[0]))
        shrinkage, min_labels = best
        if shrinkage is None:
            return replace(self._choose_common((min_labels,)), value=values[best], value_is_cross_validated=True)
        thresholds_L = self._fit(self.store, (min_labels,)).thresholds(shrinkage, min_labels)
        return ThresholdChoice(
            kind="per_label",
            thresholds=thresholds_L.astype(float).tolist(),
            min_labels=min_labels,
            value=values[best],
            metric=self.metric,
            num_documents=self.num_documents,
            shrinkage=shrinkage,
            value_is_cross_validated=True,
        )

    def _search(self, store: RowStore, min_labels: int) -> tuple[float, float]:
        return Search(store, PARTS.get(self.metric, (self.metric,)), min_labels).run()

    def _choose_common(self, min_label_choices: tuple[int, ...]) -> ThresholdChoice:
        found = {m: self._search(self.store, m) for m in min_label_choices}
        min_labels = max(found, key=lambda m: (round(found[m][1], DIGITS), -m))  # of equals the simpler rule
        threshold, value = found[min_labels]
        return ThresholdChoice("global", threshold, min_labels, value, self.metric, self.num_documents)

    def _fit(self, store: RowStore, min_label_choices: tuple[int, ...] | None = None) -> _Fitted:
        common = {m: self._search(store, m)[0] for m in min_label_choices or self.min_label_choices}
        own_L = np.full(self.num_labels, np.nan)
        for label, scores_N, truth_N in store.columns(np.flatnonzero((store.num_true_L > 0) & self.own_allowed_L)):
            known_N = truth_N != UNKNOWN
            threshold, f1 = best_f1_threshold(scores_N[known_N], truth_N[known_N] == 1, int(store.num_true_L[label]))
            if f1 >= LEAST_OWN_F1 and threshold > 0:  # 0 would predict the label everywhere
                own_L[label] = threshold
        return _Fitted(common, own_L, store.num_true_L)


def value_of(metrics: dict[str, float], name: str) -> float:
    """A metric that thresholds can be tuned for, out of computed metrics; some are means of others (`PARTS`)."""
    return float(np.mean([metrics[part] for part in PARTS.get(name, (name,))]))


@dataclass
class _Fitted:
    """What the choices are made of: the common threshold for each `min_labels`, each label's own (NaN where it has
    none), its weight's numerator n."""

    common: dict[int, float]
    own_L: np.ndarray
    num_positive_L: np.ndarray

    def thresholds(self, shrinkage: float | None, min_labels: int) -> float | np.ndarray:
        common = self.common[min_labels]
        if shrinkage is None:
            return common
        weight_L = self.num_positive_L / np.maximum(self.num_positive_L + shrinkage, 1e-9)
        shrunk_L = _expit(weight_L * _logit(self.own_L) + (1 - weight_L) * _logit(common))
        shrunk_L = np.where(weight_L == 1, self.own_L, shrunk_L)  # as it is, also where its logit is infinite
        return np.where(np.isnan(self.own_L), common, shrunk_L).astype(np.float32)


class _Tally:
    """Counts of predicted sets over the parts of a cross-validation, and the metric from all of them together."""

    def __init__(self, num_labels: int):
        self.counts_3L = np.zeros((3, num_labels), np.int64)
        # whole numbers (the F1 in fixed point): sums do not depend on the order of the documents
        self.num_documents, self.f1_sum, self.exact_sum = 0, 0, 0

    def add(self, rows: Rows, thresholds, min_labels: int) -> None:
        thresholds = torch.as_tensor(thresholds, dtype=torch.float32)
        scores_NL, truth_NL = torch.from_numpy(rows.scores_BS), rows.truth_BS
        chosen_NL = apply_thresholds(scores_NL, thresholds)
        # the rule sorts whole rows for min_labels: only those that need it
        lacking_N = chosen_NL.sum(dim=1) < min_labels
        chosen_NL[lacking_N] = apply_thresholds(scores_NL[lacking_N], thresholds, min_labels=min_labels)
        num_documents, num_labels = truth_NL.shape
        truth_C = truth_NL.reshape(-1)
        # few cells are chosen or true: their places are counted many times faster than whole columns
        chosen, true = np.flatnonzero(chosen_NL.numpy() & (truth_NL != UNKNOWN)), np.flatnonzero(truth_C == 1)
        places = (chosen[truth_C[chosen] == 1], chosen, true)
        self.counts_3L += np.stack([np.bincount(at % num_labels, minlength=num_labels) for at in places])
        tp_N, predicted_N, num_true_N = (np.bincount(at // num_labels, minlength=num_documents) for at in places)
        self.num_documents += num_documents
        self.f1_sum += int(fixed_point(counting.f1_per_document(tp_N, predicted_N, num_true_N)).sum())
        self.exact_sum += int(counting.exact_match(tp_N, predicted_N, num_true_N).sum())

    def value(self, metric: str) -> float:
        values = {
            "f1_micro": counting.f1_micro(*self.counts_3L),
            "f1_macro": counting.f1_macro(*self.counts_3L),
            "f1_samples": self.f1_sum / (ONE * self.num_documents),
            "subset_accuracy": self.exact_sum / self.num_documents,
        }
        return value_of(values, metric)


def _check_arguments(kind: str, metric: str, shrinkage: float | str, num_folds: int) -> None:
    if kind not in KINDS:
        raise UserError(f"threshold kind '{kind}'", field="kind", accepted=", ".join(KINDS))
    if metric not in METRICS:
        raise UserError(f"threshold metric '{metric}'", field="metric", accepted=", ".join(METRICS))
    if shrinkage != "auto" and (isinstance(shrinkage, str) or not shrinkage >= 0):
        raise UserError(f"shrinkage {shrinkage!r}", field="shrinkage", accepted="'auto', or a number from 0")
    if num_folds < 2:
        raise UserError(f"num_folds {num_folds}", field="num_folds", accepted="2 or more")


def _logit(probability):
    probability = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.log(probability / (1 - probability))


def _expit(logit):
    return 1 / (1 + np.exp(-logit))
