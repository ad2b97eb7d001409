"""Which names a checkpoint may be chosen by: told before training, not after its first epoch."""

from __future__ import annotations

import difflib

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.metrics import BUCKETS, MultiLabelMetrics
from hf_mlc.thresholds import METRICS
from hf_mlc.training.arguments import MultiLabelTrainingArguments


def evaluated_names(args: MultiLabelTrainingArguments) -> tuple[str, ...]:
    """All that an evaluation of the command line may report, though not of all data: what is undefined there is left out, and curves
    where a model scores shortlists.

    Args:
        args ([`~hf_mlc.training.arguments.MultiLabelTrainingArguments`]): of which `ranking_ks`, `score_budget_mb` and whether predictions
            are measured at all decide.
    """
    if args.prediction_loss_only or not args.batch_eval_metrics:
        return ("loss",)
    # a label of every bucket, with a document that has it and others that don't, leaves nothing undefined
    counts = np.array([least for least, _ in BUCKETS.values()])
    metrics = MultiLabelMetrics(
        len(counts),
        train_counts=counts,
        num_train_documents=int(counts.sum()),
        ks=args.ranking_ks,
        score_budget_mb=args.score_budget_mb,
    )
    each_alone = np.eye(len(counts))
    metrics.update(each_alone, each_alone)
    return ("loss", *(f"tuned_{name}" for name in METRICS), *metrics.compute())


def check_best_metric(args: MultiLabelTrainingArguments) -> None:
    """`UserError` for a `metric_for_best_model` that no evaluation of the command line reports; it may have `eval_` before it."""
    name = args.metric_for_best_model
    if name is None:
        return
    plain, names = name.removeprefix("eval_"), evaluated_names(args)
    if plain in names:
        return
    close = difflib.get_close_matches(plain, names, n=1)
    hint = f", did you mean '{close[0]}'?" if close else ""
    accepted = ", ".join(one for one in names if one.rpartition("@")[2] not in BUCKETS)
    if len(names) > 1:
        accepted += (
            f"; or of a bucket of labels, as f1_micro@{next(iter(BUCKETS))} and its like ({', '.join(BUCKETS)})"
        )
    raise UserError(f"'{name}' is no metric of an evaluation{hint}", field="metric_for_best_model", accepted=accepted)
