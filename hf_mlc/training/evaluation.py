"""From batches of logits to metrics, as transformers' Trainer hands them over."""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import EvalPrediction

from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import ThresholdTuner, value_of


class StreamingEvaluation:
    """`compute_metrics` for `batch_eval_metrics=True`: every batch is counted, then forgotten.

    The logits may be those of all labels `(B, L)`, or a pair of a shortlist's logits and `candidate_ids` `(B, S)`; a model
    that decides on sets as a whole adds these, `(B, L)` or `(B, S)`, and the metrics of sets are of them.

    Besides the metrics at the given thresholds it reports `tuned_<metric>`, the best that one threshold can do on the same
    documents, and `tuned_threshold`, where it does so for the first of the metrics to tune. Choose checkpoints by a tuned
    metric, on validation rows; a model whose scores are merely shifted is not a worse model. Of a model that decides on sets
    as a whole, `tuned_<metric>` is these sets' own value, and there is no `tuned_threshold`.

    Args:
        label_space (`LabelSpace`): names and training counts.
        target_name (`str`): the form of the targets, `"labels"` (multi-hot) or `"label_ids"`.
        thresholds (`float` or `list[float]`): the decision rule in force.
        min_labels (`int`): its smallest label set.
        ks (`list[int]`): of the ranking metrics.
        tuned_metrics (`tuple[str, ...]`): what reported thresholds maximise; an empty one reports none (a test split).
        score_budget_mb (`int`): memory for exact curves.
    """

    def __init__(
        self,
        label_space: LabelSpace,
        *,
        target_name: str,
        thresholds: float | list[float],
        min_labels: int,
        ks: list[int],
        tuned_metrics: tuple[str, ...],
        score_budget_mb: int,
    ):
        self.metrics = MultiLabelMetrics(
            len(label_space),
            train_counts=label_space.counts,
            num_train_documents=label_space.num_documents,
            ks=ks,
            thresholds=thresholds,
            min_labels=min_labels,
            propensity=label_space.propensity,
            score_budget_mb=score_budget_mb,
        )
        self.target_name, self.tuned_metrics = target_name, tuple(dict.fromkeys(tuned_metrics))
        self.is_of_sets = False
        self.tuners = [
            ThresholdTuner(len(label_space), kind="global", metric=metric, row_budget_mb=score_budget_mb)
            for metric in self.tuned_metrics
        ]

    def update(self, predictions: torch.Tensor | tuple[torch.Tensor, ...], targets: torch.Tensor) -> None:
        """Counts one batch of logits against multi-hot targets `(B, L)` or label ids `(B, P)`."""
        scores, candidate_ids, chosen = scores_of(predictions)
        target = {self.target_name: targets.cpu()}
        self.metrics.update(scores, candidate_ids=candidate_ids, chosen=chosen, **target)
        self.is_of_sets = self.is_of_sets or chosen is not None
        for tuner in () if self.is_of_sets else self.tuners:
            tuner.update(scores, candidate_ids=candidate_ids, **target)

    def compute(self) -> dict[str, float]:
        """All metrics of what was counted."""
        result = self.metrics.compute()
        if self.is_of_sets:
            return result | {f"tuned_{name}": value_of(result, name) for name in self.tuned_metrics}
        for tuner in self.tuners:
            choice = tuner.tune()
            result[f"tuned_{tuner.metric}"] = choice.value
            result.setdefault("tuned_threshold", choice.thresholds)
        return result


class Predictions(NamedTuple):
    """What a model returned, on the CPU: probabilities, for a shortlist `candidate_ids`, where it decides itself the sets."""

    scores: torch.Tensor
    candidate_ids: torch.Tensor | None = None
    chosen: torch.Tensor | None = None


def scores_of(predictions: torch.Tensor | tuple[torch.Tensor, ...]) -> Predictions:
    """[`Predictions`] from the tensors that transformers' Trainer keeps of an output, without their names.

    The logits come first; of what follows, truth values are the sets and whole numbers the ids of a shortlist.
    """
    logits, *others = predictions if isinstance(predictions, tuple | list) else (predictions,)
    named = {"chosen" if values.dtype == torch.bool else "candidate_ids": values.cpu() for values in others}
    return Predictions(logits.float().sigmoid().cpu(), **named)


class ComputeMetrics:
    """Keeps one `StreamingEvaluation` between the batches of one evaluation.

    Args:
        start: called at the first batch of each evaluation; gives a fresh `StreamingEvaluation`.
    """

    def __init__(self, start):
        self.start = start
        self.running: StreamingEvaluation | None = None

    def forget(self) -> None:
        """Starts the next evaluation afresh."""
        self.running = None

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        if self.running is None:
            self.running = self.start()
        self.running.update(prediction.predictions, prediction.label_ids)
        if not compute_result:
            return {}
        result = self.running.compute()
        self.running = None
        return result
