"""Settings of a method without training: all points of a grid are tried on validation rows, the best is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hf_mlc.comparing.data import Rows
from hf_mlc.comparing.tuning import chosen_rule, multi_hot
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.metrics.curves import roc_auc_and_average_precision


RANKING_KS = (1, 3, 5, 10)
RULE = ("select_by", "threshold_kind", "threshold_metric")  # settings of every method


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
    """Tries every point; of equals the first stays, and one without a value is none.

    Args:
        points (iterable): settings and the scores that they give the validation rows, `(N, L)` from 0 to 1.
        label_ids: the validation rows' labels.
        space ([`~hf_mlc.labels.LabelSpace`]): with training counts.
        seed (`int`): of the thresholds' cross-validation.
        select_by (`str`, *optional*, defaults to `"auc_micro"`): the metric that chooses.
        threshold_kind, threshold_metric (`str`, *optional*): as of `train`: how thresholds are chosen, then.

    Raises:
        `UserError`: the metric is undefined at every point.
    """
    truth_NL, best, tried = multi_hot(label_ids, len(space)), None, 0
    for settings, scores_NL in points:
        value, tried = _worth(scores_NL, truth_NL, select_by), tried + 1
        if not np.isnan(value) and (best is None or value > best[0]):
            best = float(value), settings, scores_NL
    if best is None:
        raise UserError(
            f"'{select_by}' is no number at any point of the grid", field="select_by", accepted="another metric"
        )
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


def grid_and_rule(
    settings: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The grid with what the settings say of it, one value for a list of one; and what they say of the choice, arguments of
    `choose_from_grid`.

    Raises:
        `UserError`: an axis without values, or a setting that the method doesn't have.
    """
    axes, rule = {name: list(values) for name, values in grid.items()}, {}
    for name, values in settings.items():
        if name in RULE:
            rule[name] = values
        elif name in grid:
            axes[name] = list(values) if isinstance(values, (list, tuple)) else [values]
        else:
            raise UserError(f"the method has no setting '{name}'", field=name, accepted=", ".join([*grid, *RULE]))
    for name, values in axes.items():
        if not values:
            raise UserError("no value", field=name, accepted="a value, or a list of some")
    return axes, rule


class HeldOut(NamedTuple):
    """Validation rows of events: the stored histories, and the ids of what came next."""

    histories: Sequence[Mapping[str, Any]]
    label_ids: list[np.ndarray]


def held_out(rows: Rows, space: LabelSpace) -> HeldOut:
    """The validation rows; `UserError` unless these, and so all rows of the comparison, hold histories of events."""
    validation = rows.read("validation")
    if "events" not in validation.column_names:
        raise UserError(
            "no histories of events", file=rows.validation, field="events", accepted="a data set of event sequences"
        )
    return HeldOut(validation["events"], [space.encode_known(labels)[0] for labels in validation["labels"]])


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
