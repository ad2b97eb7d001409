"""Defaults of `train` where a new model reads bags, sums of vectors of tokens or features, whose large tables learn fast in large
batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_mlc.metrics.ranking_names import headline_ranking
from hf_mlc.training.arguments import RANKING_KS


# training arguments that none is given of
BAG_TRAINING: dict[str, Any] = {
    "optim": "adamw_torch_fused",  # large tables: several times as fast as the plain one on a CPU
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 256,
    "per_device_eval_batch_size": 256,
    "num_train_epochs": 10.0,
}


def bag_training(given: Mapping[str, Any]) -> dict[str, Any]:
    """All defaults; the metric that picks the checkpoint is one of the rankings that are measured.

    Args:
        given (`Mapping[str, Any]`): the command's arguments.
    """
    ks = given.get("ranking_ks") or RANKING_KS
    return {**BAG_TRAINING, "metric_for_best_model": headline_ranking(ks)}
