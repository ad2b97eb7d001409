"""Thresholds from validation documents: one for all labels, or one a label, drawn towards the common one.

Nothing here may see a test document. The rule that thresholds feed is `hf_mlc.modeling.decision.apply_thresholds`.

Shape legend: N documents, L labels, B documents of one batch, S scored columns, K kept ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.metrics import counting
from hf_mlc.metrics.batch import UNKNOWN, read_batch
from hf_mlc.metrics.ranking import top_k
from hf_mlc.metrics.staircase import (
    Cells,
    best_f1_threshold,
    best_step,
    exact_match_steps,
    f1_steps,
    join_cells,
    make_cells,
)
from hf_mlc.modeling.decision import apply_thresholds


logger = logging.get_logger(__name__)

KINDS = ("global", "per_label", "auto")
METRICS = ("f1_micro", "f1_macro", "f1_samples", "subset_accuracy", "balanced")
PARTS = {"balanced": ("f1_micro", "f1_macro", "subset_accuracy")}
SHRINKAGES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
# A label whose best F1 stays below this has no threshold worth having: the best one is then often "nearly every document"
# (the FBR heuristic of Yang, 2001, "A Study on Thresholding Strategies for Text Categorization", and of Lewis et al.,
# 2004, who found it necessary for rare labels).
LEAST_OWN_F1 = 0.1
KEPT_COLUMNS = 128  # of a row that no longer fits as a whole; no useful threshold lets more labels pass


@dataclass
class ThresholdChoice:
    """What was chosen, and what it was worth on the validation documents.

    Args:
        kind (`str`): "global" or "per_label".
        thresholds (`float` or `list[float]`): one number, or L numbers.
        min_labels (`int`): the smallest label set that a document may get.
        value (`float`): the metric; for "global" on the documents that chose it, for "per_label" cross-validated.
        metric (`str`): its name.
        num_documents (`int`): validation documents.
        shrinkage (`float`, *optional*): for "per_label", the positives at which a label's own threshold and the common
            one weigh the same.
    """

    kind: str
    thresholds: float | list[float]
    min_labels: int
    value: float
    metric: str
    num_documents: int
    shrinkage: float | None = None

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
    positive, or whose best F1 is below 0.1, take the common one. The shrinkage and `min_labels` are those with the best cross-validated metric.

    Args:
        scores (`torch.Tensor` or `np.ndarray` of shape `(N, L)`): probabilities of VALIDATION documents.
        labels (`torch.Tensor` or `np.ndarray` of shape `(N, L)`): multi-hot targets; -100 (unknown) counts nowhere.
        kind (`str`, *optional*, defaults to `"global"`): "global", "per_label", or "auto": whichever has the better
            cross-validated metric.
        metric (`str`, *optional*, defaults to `"f1_micro"`): "f1_micro", "f1_macro" (all labels), "f1_samples" (an
            empty set is right for a document without labels), "subset_accuracy", or "balanced", the mean of f1_micro,
            f1_macro and subset_accuracy.
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
    _check_arguments(kind, metric, shrinkage, num_folds)
    num_labels = np.shape(scores)[-1]
    batch = read_batch(scores, labels, num_labels=num_labels)
    num_documents = len(batch)
    if not num_documents:
        raise UserError("no validation document to choose thresholds on", accepted="one document or more")
    scores_NL, truth_NL = batch.scores_BS.cpu(), batch.truth_BS.cpu()
    min_label_choices = (0, 1) if choose_min_labels else (0,)
    common = _best_global(_dense_cells(scores_NL, truth_NL), metric, min_label_choices)
    if kind == "global" or num_documents < 2:
        return common

    own_allowed_L = np.ones(num_labels, bool) if train_counts is None else np.asarray(train_counts) > 0
    shrinkages = SHRINKAGES if shrinkage == "auto" else (float(shrinkage),)
    # None stands for the common threshold alone
    candidates = [(s, m) for s in shrinkages for m in min_label_choices]
    if kind == "auto":
        candidates += [(None, m) for m in min_label_choices]
    tallies = {candidate: _Tally(num_labels) for candidate in candidates}
    num_folds = min(num_folds, num_documents)
    folds_N = np.random.default_rng(seed).permutation(num_documents) % num_folds
    for fold in range(num_folds):
        held_out, rest = torch.from_numpy(folds_N == fold), torch.from_numpy(folds_N != fold)
        fitted = _fit_both(scores_NL[rest], truth_NL[rest], metric, min_label_choices, own_allowed_L)
        for (s, m), tally in tallies.items():
            tally.add(scores_NL[held_out], truth_NL[held_out], fitted.thresholds(s, m), m)
    values = {candidate: tally.value(metric) for candidate, tally in tallies.items()}
    # of equals the stronger shrinkage, and the common threshold before all
    best = max(candidates, key=lambda c: (values[c], float("inf") if c[0] is None else c[0]))
    if best[0] is None:
        return common
    fitted = _fit_both(scores_NL, truth_NL, metric, (best[1],), own_allowed_L)
    return ThresholdChoice(
        kind="per_label",
        thresholds=fitted.thresholds(*best).astype(float).tolist(),
        min_labels=best[1],
        value=values[best],
        metric=metric,
        num_documents=num_documents,
        shrinkage=best[0],
    )


class ThresholdTuner:
    """Collects validation batches, then chooses as [`tune_thresholds`] does.

    Dense rows are kept whole while they fit `row_budget_mb`. Beyond that, and with shortlists from the start, only the
    scored pairs are kept: of a dense row its 128 best columns. From pairs, one threshold for all labels can be chosen,
    not one a label: "per_label" is refused with a shortlist; rows that outgrow the budget, and "auto", turn to "global".

    Args:
        num_labels (`int`): L.
        kind, metric, shrinkage, choose_min_labels, train_counts, num_folds, seed: as in [`tune_thresholds`].
        row_budget_mb (`float`, *optional*, defaults to 512): room for whole rows (5 bytes a cell).
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
        self.choose_min_labels = choose_min_labels
        self.per_label_options = {
            "shrinkage": shrinkage,
            "train_counts": train_counts,
            "num_folds": num_folds,
            "seed": seed,
        }
        self.row_budget_bytes = int(row_budget_mb * 2**20)
        self.num_documents = 0
        self.rows: list[tuple[torch.Tensor, torch.Tensor]] | None = []
        self.pairs: list[Cells] = []

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
        fits = self.num_documents * self.num_labels * 5 <= self.row_budget_bytes
        if self.rows is not None and (batch.candidate_ids_BS is not None or not fits):
            if self.kind == "per_label":
                logger.warning(
                    "The validation scores outgrow row_budget_mb: one threshold is tuned for all labels instead of one "
                    "a label."
                )
            for scores_NL, truth_NL in self.rows:
                true_rows_M, true_ids_M = (truth_NL == 1).nonzero(as_tuple=True)
                self._add_pairs(scores_NL, truth_NL, None, true_rows_M.numpy(), true_ids_M.numpy())
            self.rows = None
        if self.rows is not None:
            # copies: the caller may reuse its buffers
            self.rows.append((batch.scores_BS.cpu().clone(), batch.truth_BS.cpu().clone()))
        else:
            self._add_pairs(
                batch.scores_BS, batch.truth_BS, batch.candidate_ids_BS, batch.true_rows_M, batch.true_ids_M
            )

    def tune(self) -> ThresholdChoice:
        """The choice from all that was seen.

        Raises:
            `UserError`: no document was seen.
        """
        if not self.num_documents:
            raise UserError("no validation document to choose thresholds on", accepted="one document or more")
        if self.rows is not None:
            scores, truth = zip(*self.rows, strict=True)
            return tune_thresholds(
                torch.cat(scores),
                torch.cat(truth),
                kind=self.kind,
                metric=self.metric,
                choose_min_labels=self.choose_min_labels,
                **self.per_label_options,
            )
        cells = join_cells(self.pairs)
        return _best_global(cells, self.metric, (0, 1) if self.choose_min_labels else (0,))

    def _add_pairs(self, scores_BS, truth_BS, candidate_ids_BS, true_rows_M, true_ids_M) -> None:
        if candidate_ids_BS is None:
            columns_BK, candidate_ids_BS = top_k(scores_BS, min(KEPT_COLUMNS, scores_BS.shape[1]))
            scores_BS, truth_BS = scores_BS.gather(1, columns_BK), truth_BS.gather(1, columns_BK)
        num_true_B = np.bincount(true_rows_M, minlength=len(scores_BS))
        num_true_L = np.bincount(true_ids_M, minlength=self.num_labels)
        self.pairs.append(make_cells(scores_BS, truth_BS, candidate_ids_BS, num_true_B, num_true_L))


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
        return np.where(np.isnan(self.own_L), common, shrunk_L).astype(np.float32)


class _Tally:
    """Counts of predicted sets over the parts of a cross-validation, and the metric from all of them together."""

    def __init__(self, num_labels: int):
        self.counts_3L = np.zeros((3, num_labels), np.int64)
        self.num_documents, self.f1_sum, self.exact_sum = 0, 0.0, 0

    def add(self, scores_NL: torch.Tensor, truth_NL: torch.Tensor, thresholds, min_labels: int) -> None:
        thresholds = torch.as_tensor(thresholds, dtype=torch.float32)
        chosen_NL = apply_thresholds(scores_NL, thresholds)
        # the rule sorts whole rows for min_labels: only those that need it
        lacking_N = chosen_NL.sum(dim=1) < min_labels
        chosen_NL[lacking_N] = apply_thresholds(scores_NL[lacking_N], thresholds, min_labels=min_labels)
        num_documents, num_labels = truth_NL.shape
        truth_C = truth_NL.numpy().reshape(-1)
        # few cells are chosen or true: their places are counted many times faster than whole columns
        chosen, true = np.flatnonzero(chosen_NL.numpy() & (truth_NL.numpy() != UNKNOWN)), np.flatnonzero(truth_C == 1)
        places = (chosen[truth_C[chosen] == 1], chosen, true)
        self.counts_3L += np.stack([np.bincount(at % num_labels, minlength=num_labels) for at in places])
        tp_N, predicted_N, num_true_N = (np.bincount(at // num_labels, minlength=num_documents) for at in places)
        self.num_documents += num_documents
        self.f1_sum += counting.f1_per_document(tp_N, predicted_N, num_true_N).sum()
        self.exact_sum += counting.exact_match(tp_N, predicted_N, num_true_N).sum()

    def value(self, metric: str) -> float:
        values = {
            "f1_micro": counting.f1_micro(*self.counts_3L),
            "f1_macro": counting.f1_macro(*self.counts_3L),
            "f1_samples": self.f1_sum / self.num_documents,
            "subset_accuracy": self.exact_sum / self.num_documents,
        }
        return float(np.mean([values[part] for part in PARTS.get(metric, (metric,))]))


def _check_arguments(kind: str, metric: str, shrinkage: float | str, num_folds: int) -> None:
    if kind not in KINDS:
        raise UserError(f"threshold kind '{kind}'", field="kind", accepted=", ".join(KINDS))
    if metric not in METRICS:
        raise UserError(f"threshold metric '{metric}'", field="metric", accepted=", ".join(METRICS))
    if shrinkage != "auto" and (isinstance(shrinkage, str) or not shrinkage >= 0):
        raise UserError(f"shrinkage {shrinkage!r}", field="shrinkage", accepted="'auto', or a number from 0")
    if num_folds < 2:
        raise UserError(f"num_folds {num_folds}", field="num_folds", accepted="2 or more")


def _dense_cells(scores_NL: torch.Tensor, truth_NL: torch.Tensor) -> Cells:
    num_documents, num_labels = truth_NL.shape
    true = np.flatnonzero(truth_NL.numpy() == 1)
    num_true_N = np.bincount(true // num_labels, minlength=num_documents)
    return make_cells(scores_NL, truth_NL, None, num_true_N, np.bincount(true % num_labels, minlength=num_labels))


def _best_global(cells: Cells, metric: str, min_label_choices: tuple[int, ...]) -> ThresholdChoice:
    found = {m: _search_global(cells, metric, m) for m in min_label_choices}
    min_labels = max(found, key=lambda m: (found[m][1], -m))  # of equals the simpler rule
    threshold, value = found[min_labels]
    return ThresholdChoice("global", threshold, min_labels, value, metric, len(cells.num_true_N))


def _search_global(cells: Cells, metric: str, min_labels: int) -> tuple[float, float]:
    scores_C = cells.with_min_labels(min_labels)
    if metric == "f1_micro":
        return best_f1_threshold(scores_C, cells.truth_C, int(cells.num_true_N.sum()))
    return best_step([_steps(part, cells, scores_C) for part in PARTS.get(metric, (metric,))])


def _steps(metric: str, cells: Cells, scores_C: np.ndarray):
    if metric == "f1_micro":
        everything_C = np.zeros(len(scores_C), np.int32)
        return f1_steps(everything_C, scores_C, cells.truth_C, cells.num_true_N.sum(keepdims=True), empty=0.0)
    if metric == "f1_macro":
        return f1_steps(cells.ids_C, scores_C, cells.truth_C, cells.num_true_L, empty=0.0)
    if metric == "f1_samples":
        return f1_steps(cells.rows_C, scores_C, cells.truth_C, cells.num_true_N, empty=1.0)
    return exact_match_steps(cells.rows_C, scores_C, cells.truth_C, cells.num_true_N)


def _fit_both(scores_NL, truth_NL, metric: str, min_label_choices: tuple[int, ...], own_allowed_L) -> _Fitted:
    cells = _dense_cells(scores_NL, truth_NL)
    common = {m: _search_global(cells, metric, m)[0] for m in min_label_choices}
    num_positive_L = cells.num_true_L
    del cells
    own_L = np.full(len(num_positive_L), np.nan)
    labels_with_own = np.flatnonzero((num_positive_L > 0) & own_allowed_L)
    scores_LN = scores_NL[:, labels_with_own].T.contiguous().numpy()
    truth_LN = truth_NL[:, labels_with_own].T.contiguous().numpy()
    for label, scores_N, truth_N in zip(labels_with_own, scores_LN, truth_LN, strict=True):
        known_N = truth_N != UNKNOWN
        threshold, f1 = best_f1_threshold(scores_N[known_N], truth_N[known_N] == 1, int(num_positive_L[label]))
        if f1 >= LEAST_OWN_F1 and threshold > 0:  # 0 would predict the label everywhere
            own_L[label] = threshold
    return _Fitted(common, own_L, num_positive_L)


def _logit(probability):
    probability = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.log(probability / (1 - probability))


def _expit(logit):
    return 1 / (1 + np.exp(-logit))
