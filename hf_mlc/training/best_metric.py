"""Which names a checkpoint may be chosen by: told before training, not after its first epoch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.metrics import BUCKETS, MultiLabelMetrics
from hf_mlc.thresholds import METRICS


def evaluated_names(ks: Sequence[int], *, score_budget_mb: float) -> tuple[str, ...]:
    """All that an evaluation of the command line may report, though not of all data: what is undefined there is left out.

    Args:
        ks (`Sequence[int]`): `ranking_ks`.
        score_budget_mb (`float`): memory for curves; with 0 there are none.
    """
    # a label of every bucket, with a document that has it and others that don't, leaves nothing undefined
    counts = np.array([least for least, _ in BUCKETS.values()])
    metrics = MultiLabelMetrics(
        len(counts), train_counts=counts, num_train_documents=int(counts.sum()), ks=ks, score_budget_mb=score_budget_mb
    )
    each_alone = np.eye(len(counts))
    metrics.update(each_alone, each_alone)
    return ("loss", *(f"tuned_{name}" for name in METRICS), *metrics.compute())


def check_best_metric(name: str | None, ks: Sequence[int], *, score_budget_mb: float) -> None:
    """`UserError` for a `metric_for_best_model` that no evaluation of the command line reports.

    Args:
        name (`str`, *optional*): as it was given, with `eval_` before it or without.
        ks, score_budget_mb: as of [`evaluated_names`].
    """
    names = evaluated_names(ks, score_budget_mb=score_budget_mb)
    if name is None or name.removeprefix("eval_") in names:
        return
    close = difflib.get_close_matches(name.removeprefix("eval_"), names, n=1)
    hint = f", did you mean '{close[0]}'?" if close else ""
    overall = ", ".join(one for one in names if one.rpartition("@")[2] not in BUCKETS)
    raise UserError(
        f"'{name}' is no metric of an evaluation{hint}",
        field="metric_for_best_model",
        accepted=f"{overall}; or of a bucket of labels, as f1_micro@{next(iter(BUCKETS))} and its like ({', '.join(BUCKETS)})",
    )
