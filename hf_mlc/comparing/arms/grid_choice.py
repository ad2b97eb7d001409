"""Settings of a method without training: all points of a grid are tried on validation rows, the best is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hf_mlc.comparing.tuning import chosen_rule, multi_hot
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.metrics.curves import roc_auc_and_average_precision


RANKING_KS = (1, 3, 5, 10)


class Chosen(NamedTuple):
    """The best point of a grid, and the decision rule for its scores."""

    settings: Mapping[str, Any]
    thresholds: float | list[float]
    min_labels: int
    facts: dict[str, Any]


def choose_from_grid(
    points: Iterable[tuple[Mapping[str, Any], np.ndarray]],
    label_ids: Sequence[np.ndarray],
    space: LabelSpace,
    *,
    seed: int,
    select_by: str = "auc_micro",
    threshold_kind: str = "auto",
    threshold_metric: str = "f1_micro",
) -> Chosen:
    """Tries every point; of equals the first stays.

    Args:
        points (iterable): settings and the scores that they give the validation rows, `(N, L)` from 0 to 1.
        label_ids: the validation rows' labels.
        space ([`~hf_mlc.labels.LabelSpace`]): with training counts.
        seed (`int`): of the thresholds' cross-validation.
        select_by (`str`, *optional*, defaults to `"auc_micro"`): the metric that chooses.
        threshold_kind, threshold_metric (`str`, *optional*): as of `train`: how thresholds are chosen, then.
    """
    truth_NL, best, tried = multi_hot(label_ids, len(space)), None, 0
    for settings, scores_NL in points:
        value, tried = _worth(scores_NL, truth_NL, select_by), tried + 1
        if best is None or value > best[0]:
            best = float(value), settings, scores_NL
    value, settings, scores_NL = best
    rule = chosen_rule(scores_NL, label_ids, space, kind=threshold_kind, metric=threshold_metric, seed=seed)
    facts = {
        "chosen": dict(settings),
        "tried": tried,
        "chosen_on": len(label_ids),
        f"validation_{select_by}": round(value, 6),
        "threshold_kind": rule.kind,
        f"validation_{rule.metric}": round(rule.value, 6),
    }
    return Chosen(settings, rule.thresholds, rule.min_labels, facts)


def taken(settings: dict[str, Any], grid: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """The grid with what the settings say of it; these are taken out of `settings`. One value stands for a list of one.

    Raises:
        `UserError`: an axis without values.
    """
    found = {}
    for name, values in grid.items():
        values = settings.pop(name, values)
        found[name] = list(values) if isinstance(values, (list, tuple)) else [values]
        if not found[name]:
            raise UserError("no value", field=name, accepted="a value, or a list of some")
    return found


def check_all_taken(settings: Mapping[str, Any], accepted: Iterable[str]) -> None:
    """`UserError` if a setting is left that the method doesn't have."""
    for name in settings:
        raise UserError(f"the method has no setting '{name}'", field=name, accepted=", ".join(accepted))


def _worth(scores_NL: np.ndarray, truth_NL: np.ndarray, metric: str) -> float:
    areas = ("auc_micro", "ap_micro")
    if metric in areas:  # of all metrics only these are needed here, and cheap
        return roc_auc_and_average_precision(scores_NL.ravel(), truth_NL.ravel())[areas.index(metric)]
    metrics = MultiLabelMetrics(scores_NL.shape[1], ks=RANKING_KS)
    metrics.update(scores_NL, truth_NL)
    values = metrics.compute()
    if metric not in values:
        raise UserError(f"found '{metric}'", field="select_by", accepted=", ".join(values))
    return values[metric]
