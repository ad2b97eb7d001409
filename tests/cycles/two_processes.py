"""Trains in each of the ways in which processes share a step; run by torchrun, and in one process by the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.cycles.conftest import features_of, rows_of, trainer_of


# without dropout: each process draws its own
QUIET = {"embedding_dropout": 0.0, "residual_dropout": 0.0}
CASES = {
    "shared": {},
    "sparse": {"fields": {"sparse_gradients": True}},
    "documents": {"fields": {"shared_shortlist": False}},
    "random": {"negatives": "random"},
    "all": {"negatives": "all"},
    # labels 10 and 11 have no training row, and label 10 is found by its features
    "features": {
        "rows": (rows_of(40, seed=1, num_labels=10), rows_of(16, seed=2)),
        "label_features": features_of([10, 3, 0, 7, 1]),
    },
}


def train_all(folder: Path, *, batch_size: int) -> None:
    """Trains each case in a folder of its own, with `batch_size` rows a process and step, and saves the model there.

    Args:
        folder (`Path`): holds a folder of each case afterwards.
        batch_size (`int`): 8 of one process, 4 of two.
    """
    for case, settings in CASES.items():
        trainer = trainer_of(
            folder / case,
            **{**settings, "fields": {**QUIET, **settings.get("fields", {})}},
            per_device_train_batch_size=batch_size,
            ddp_backend="gloo" if "LOCAL_RANK" in os.environ else None,
            random_negatives=2,
            max_grad_norm=1.0,
            keep_cycle_files=True,
            load_best_model_at_end=False,  # the best may be the first, which says little
        )
        trainer.train()
        trainer.tune_beta()
        trainer.save_model()


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), batch_size=4)
