"""libpecos' XR-Linear: a tree of labels over PIFA embeddings, a sparse linear ranker in each node, beam search."""

from __future__ import annotations

from pathlib import Path

from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.sparse_features import fit_on_features


def fit(job: Job, folder: Path) -> Fitted:
    """Settings: those of `sparse_features`, and these of libpecos."""
    return fit_on_features(
        job, folder, "run_xr_linear.py", {"threshold": 0.1, "beam_size": 20, "nr_splits": 16, "Cp": 1.0}
    )
