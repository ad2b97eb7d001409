"""Defaults of `train` where a new model reads bags, sums of vectors of tokens or features, whose large tables learn fast in large
batches."""

from __future__ import annotations

from typing import Any


# training arguments that none is given of
BAG_TRAINING: dict[str, Any] = {
    "optim": "adamw_torch_fused",  # large tables: several times as fast as the plain one on a CPU
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 256,
    "per_device_eval_batch_size": 256,
    "num_train_epochs": 10.0,
    "metric_for_best_model": "p@5",
}
