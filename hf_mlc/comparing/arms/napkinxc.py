"""napkinXC's probabilistic label tree: hierarchical k-means, a logistic regression in each node."""

from __future__ import annotations

from pathlib import Path

from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.sparse_features import fit_on_features


def fit(job: Job, folder: Path) -> Fitted:
    """Settings: those of `sparse_features`, and these of napkinXC, whose own defaults they are."""
    defaults = {"arity": 2, "max_leaves": 100, "liblinear_c": 10, "weights_threshold": 0.1, "ensemble": 1}
    return fit_on_features(job, folder, "run_napkinxc.py", defaults)
