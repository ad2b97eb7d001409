"""From batches of logits to metrics, as transformers' Trainer hands them over."""

from __future__ import annotations

import torch
from transformers import EvalPrediction

from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import ThresholdTuner


class StreamingEvaluation:
    """`compute_metrics` for `batch_eval_metrics=True`: every batch is counted, then forgotten.

    The logits may be those of all labels `(B, L)`, or a pair of a shortlist's logits and `candidate_ids` `(B, S)`.

    Besides the metrics at the given thresholds it reports `tuned_<metric>`, the best that one threshold can do on the same
    documents, and `tuned_threshold`, where it does so for the first of the metrics to tune. Choose checkpoints by a tuned
    metric, on validation rows; a model whose scores are merely shifted is not a worse model.

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
            score_budget_mb=score_budget_mb,
        )
        self.target_name = target_name
        self.tuners = [
            ThresholdTuner(len(label_space), kind="global", metric=metric, row_budget_mb=score_budget_mb)
            for metric in dict.fromkeys(tuned_metrics)
        ]

    def update(self, predictions: torch.Tensor | tuple[torch.Tensor, ...], targets: torch.Tensor) -> None:
        """Counts one batch of logits against multi-hot targets `(B, L)` or label ids `(B, P)`."""
        scores, candidate_ids = scores_of(predictions)
        for accumulator in (self.metrics, *self.tuners):
            accumulator.update(scores, candidate_ids=candidate_ids, **{self.target_name: targets.cpu()})

    def compute(self) -> dict[str, float]:
        """All metrics of what was counted."""
        result = self.metrics.compute()
        for tuner in self.tuners:
            choice = tuner.tune()
            result[f"tuned_{tuner.metric}"] = choice.value
            result.setdefault("tuned_threshold", choice.thresholds)
        return result


def scores_of(predictions: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Probabilities and, for a shortlist, `candidate_ids`, both on the CPU, from what a model returned."""
    logits, candidate_ids = predictions if isinstance(predictions, tuple | list) else (predictions, None)
    return logits.float().sigmoid().cpu(), None if candidate_ids is None else candidate_ids.cpu()


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
