"""Omikuji: trees of labels as in Parabel, three of them, and as in Bonsai where layers are collapsed."""

from __future__ import annotations

from pathlib import Path

from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.sparse_features import fit_on_features


def fit(job: Job, folder: Path) -> Fitted:
    """Settings: those of `sparse_features`, `beam_size`, and Omikuji's, by its own names."""
    return fit_on_features(job, folder, "run_omikuji.py", {"n_trees": 3, "min_branch_size": 100, "beam_size": 10})
