"""tf-idf with a linear SVM on a whole data set, on the same rows as `scripts/train.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_mlc.baselines.tfidf import run_tfidf_baseline
from hf_mlc.data import Columns, add_validation_split, fingerprint, load_splits
from hf_mlc.errors import MissingSplitError
from hf_mlc.labels import LabelSpace
from hf_mlc.run_facts import versions


def tfidf_report(
    dataset_name: str | Path,
    *,
    text_column: Sequence[str] = ("text",),
    threshold_metric: str = "balanced",
    C: float = 4.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Fits, tunes on validation rows, measures on test rows; everything that is worth keeping of it.

    Without a validation split the very rows are set aside that training sets aside with the same seed.

    Args:
        dataset_name (`str` or `Path`): as for training.
        text_column (`list[str]`, *optional*, defaults to `["text"]`): the text's columns, joined as for training.
        threshold_metric (`str`, *optional*, defaults to `"balanced"`): what thresholds maximise.
        C (`float`, *optional*, defaults to 4.0): of the SVM.
        seed (`int`, *optional*, defaults to 0): of the split and of liblinear.

    Returns:
        `dict`: `system`, `test` (metrics), `curve`, `thresholds`, `train_seconds`, `model_bytes`, `fingerprints`, `versions` and
        the arguments.
    """
    splits = load_splits(dataset_name, columns=Columns(text=list(text_column)))
    space = LabelSpace.from_label_lists(splits["train"]["labels"])
    if "validation" not in splits:
        splits, _ = add_validation_split(splits, space, seed=seed)
    if "test" not in splits:
        raise MissingSplitError("no test split", file=dataset_name, accepted="a data set with one")
    data = []
    for split in ("train", "validation", "test"):
        data += [splits[split]["text"][:], [space.encode_known(labels)[0] for labels in splits[split]["labels"]]]
    result = run_tfidf_baseline(*data, num_labels=len(space), threshold_metric=threshold_metric, C=C, seed=seed)
    return {
        "system": f"tf-idf + linear SVM (C={C:g})",
        "test": result.metrics,
        "curve": result.curve,
        "thresholds": result.thresholds.to_dict(),
        "text_column": list(text_column),
        "threshold_metric": threshold_metric,
        "seed": seed,
        "train_seconds": round(result.seconds, 2),
        "model_bytes": result.model_bytes,
        "fingerprints": {split: fingerprint(rows) for split, rows in splits.items()},
        "versions": versions(),
    }
