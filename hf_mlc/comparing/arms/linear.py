"""tf-idf and one linear classifier a label, its regularisation chosen on the validation rows like its thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hf_mlc.baselines.tfidf import TfidfLinear
from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.tuning import chosen_rule, multi_hot
from hf_mlc.metrics import MultiLabelMetrics


# the best of either kind has been inside, not at an end
CS = {"svm": (0.25, 1.0, 4.0, 16.0, 64.0), "logistic": (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)}
TEXTS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Fits with every `C` in turn and keeps the one that ranks validation rows best (`select_by`, average precision over
    all cells if not given); of equals the smaller. Settings: those of `TfidfLinear`, and `Cs`, `select_by`,
    `threshold_kind`, `threshold_metric`, and `refit`, as of `train`: once `C` and thresholds are chosen, fit anew with the
    validation rows as well."""
    settings = dict(job.settings)
    refit = settings.pop("refit", False)
    kind, metric = settings.pop("threshold_kind", "auto"), settings.pop("threshold_metric", "f1_micro")
    select_by, choices = settings.pop("select_by", "ap_micro"), settings.pop("Cs", CS[settings.get("kind", "svm")])
    space = job.rows.label_space()
    train, validation = job.rows.read("train"), job.rows.read("validation")
    ids = [space.encode(labels) for labels in train["labels"]]
    validation_ids = [space.encode_known(labels)[0] for labels in validation["labels"]]
    best = None
    for c in choices:
        model = TfidfLinear(seed=job.seed, C=c, **settings).fit(train["text"][:], ids, len(space))
        scores_NL = model.scores(validation["text"][:])
        value = _worth(scores_NL, validation_ids, select_by)
        if best is None or value > best[0]:
            best = (value, c, model, scores_NL)
    value, c, model, scores_NL = best
    rule = chosen_rule(scores_NL, validation_ids, space, kind=kind, metric=metric, seed=job.seed)
    if refit:
        model = TfidfLinear(seed=job.seed, C=c, **settings)
        model.fit([*train["text"], *validation["text"]], [*ids, *validation_ids], len(space))

    def score(texts) -> Scored:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            yield list(range(start, start + len(part))), torch.from_numpy(model.scores(part)), None

    return Fitted(
        score=score,
        thresholds=rule.thresholds,
        min_labels=rule.min_labels,
        parameters=int(model.weights_FL.nnz + np.isnan(model.constant_L).sum()),
        model_bytes=model.model_bytes,
        facts={"C": c, "refit": refit, f"validation_{select_by}": round(value, 6)},
    )


def _worth(scores_NL: np.ndarray, label_ids: list[np.ndarray], metric: str) -> float:
    metrics = MultiLabelMetrics(scores_NL.shape[1])
    metrics.update(scores_NL, multi_hot(label_ids, scores_NL.shape[1]))
    return metrics.compute()[metric]
