"""Methods over the columns of a table: one classifier a label, chains of them, boosted trees, a forest of label sets.

scikit-learn and LightGBM do the work, on the columns that MSDN's processor makes of a row: standardised, and sparse where the data
are. Settings are chosen as every arm's are (`hf_mlc.comparing.trials`). What is a method's own is the decision rule: one half, or
thresholds, and a fallback to the best label, by the validation rows.

Shape legend: N rows, P columns, L labels, K labels that can be learned, S distinct label sets.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.arms.problem_transformations import PLANE, powerset_scores, worth_of_answers
from hf_mlc.comparing.arms.table_columns import TableColumns
from hf_mlc.comparing.data import TABLE_SETTINGS
from hf_mlc.comparing.tuning import chosen_rule, multi_hot
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.tabular.powerset_forest import PowersetForest
from hf_mlc.thresholds import SMALLEST_SETS


CHAINS = 10
ROWS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Fits one method on the training rows, and chooses its decision rule on the validation rows.

    Settings: `method`, a key of `METHODS`; those of the method (its `settings`); `TABLE_SETTINGS`, as of `train`;
    `threshold_metric` (a metric of `tune_thresholds`, that the rule is chosen by; micro-F1, as of `train`) and `threshold_kind` ("none": one
    half alone; anything else: thresholds too, where rows that had no part in their choice speak for them); `refit`, as of
    `train`: once the rule is chosen, fit anew with the validation rows as well.
    """
    settings = dict(job.settings)
    name = settings.pop("method", None)
    if name not in METHODS:
        raise UserError(f"found '{name}'", field="method", accepted=", ".join(METHODS))
    method, refit = METHODS[name], settings.pop("refit", False)
    choosing = {key: settings.pop(key) for key in ("threshold_metric", "threshold_kind") if key in settings}
    fitting = {key: settings.pop(key) for key in TABLE_SETTINGS if key in settings}
    unknown = sorted(set(settings) - set(method.settings))
    if unknown:
        accepted = ", ".join(method.settings)
        raise UserError(f"the method has no setting '{unknown[0]}'", field=unknown[0], accepted=accepted)
    space, train, validation = job.rows.label_space(), job.rows.read("train"), job.rows.read("validation")

    def fitted(rows: Sequence[Any], ids: Sequence[np.ndarray]) -> tuple[TableColumns, PerLabelMethod]:
        columns = TableColumns(rows, **{"feature_file": job.rows.meta_file, **fitting})
        return columns, method(job.seed, **settings).fit(columns.matrix(rows), multi_hot(ids, len(space)))

    rows, held_out = train["features"][:], validation["features"][:]
    ids, true_ids = ([space.encode_known(labels)[0] for labels in part["labels"]] for part in (train, validation))
    columns, model = fitted(rows, ids)
    scores_NL = model.scores(columns.matrix(held_out, file=job.rows.validation, ids=validation["id"]))
    rule = _chosen_rule(scores_NL, true_ids, space, job.seed, has_scale=method.has_scale, **choosing)
    if refit:
        rows = [*rows, *held_out]
        columns, model = fitted(rows, [*ids, *true_ids])

    def score(rows: Sequence[Any]) -> Scored:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            places = range(start, start + len(part))
            features_NP = columns.matrix(part, file=job.rows.measured, ids=[place + 1 for place in places])
            scores_NL = model.scores(features_NP).astype(np.float32)
            yield list(places), torch.from_numpy(scores_NL), None

    parameters = model.num_parameters()
    return Fitted(
        score=score,
        thresholds=rule["thresholds"],
        min_labels=rule["min_labels"],
        parameters=parameters,
        model_bytes=8 * parameters,
        facts={**model.settings, "rows": len(rows), "refit": refit, **rule["facts"]},
        versions=model.versions(),
    )


def load_libraries(job: Job) -> None:
    """Imports what the job's method stands on, so that no run pays for it in its seconds of training."""
    _scikit_learn()
    if job.settings.get("method") == "lightgbm-br":
        _lightgbm()


def _chosen_rule(
    scores_NL: np.ndarray, true_ids: list[np.ndarray], space: LabelSpace, seed: int, *, has_scale: bool,
    threshold_metric: str = "f1_micro", threshold_kind: str = "auto",
) -> dict[str, Any]:  # fmt: skip
    """One half, with the smallest set that answers the validation rows best (of equals 0); or thresholds, where they are better by
    more than one standard error of so many rows.

    Probabilities need no threshold but one half for most sets to be right, and the best one of fifty rows is worse than
    that on others; so thresholds are judged by cross-validation, and of rules that the rows can't tell apart the simple
    one is taken (Breiman and others, "Classification and Regression Trees", 1984, section 3.4.3).
    """
    metric = threshold_metric
    rules = [(worth_of_answers(scores_NL, true_ids, metric, least), PLANE, least, "half") for least in SMALLEST_SETS]
    value, thresholds, min_labels, kind = max(rules, key=lambda rule: rule[0])
    if threshold_kind != "none" and has_scale:
        rule = chosen_rule(scores_NL, true_ids, space, kind="auto", metric=metric, seed=seed)
        if rule.value > value + (value * (1 - value) / len(true_ids)) ** 0.5:
            value, thresholds, min_labels, kind = rule.value, rule.thresholds, rule.min_labels, rule.kind
    facts = {"rule": kind, "chosen_on": len(true_ids), f"validation_{metric}": round(value, 6)}
    return {"thresholds": thresholds, "min_labels": min_labels, "facts": facts}


class PerLabelMethod:
    """One classifier a label.

    Of a label that no training row has, or all have, there is nothing to learn: it is not fitted, and scored 0 or 1.
    (scikit-learn's `OneVsRestClassifier` gives the former the decision 0, half of the scale.)

    Args:
        seed (`int`): of everything drawn.
        settings: of the method, on top of its own.
    """

    settings: Mapping[str, Any] = {}
    has_scale = True  # whether a score's height goes over from one fit to another, so that thresholds mean something

    def __init__(self, seed: int, **settings: Any):
        self.seed, self.settings = seed, {**type(self).settings, **settings}
        self.fitted: list[Any] = []

    def fit(self, features_NP, truth_NL: np.ndarray) -> PerLabelMethod:
        counts_L = truth_NL.sum(axis=0, dtype=np.int64)
        self.learned = np.flatnonzero((counts_L > 0) & (counts_L < len(truth_NL)))
        self.constant_L = (counts_L == len(truth_NL)).astype(np.float32)
        if len(self.learned):
            with warnings.catch_warnings():
                # one label of many that stops a little early does not matter
                warnings.simplefilter("ignore", _scikit_learn().ConvergenceWarning)
                self._fit(features_NP, truth_NL[:, self.learned], counts_L[self.learned])
        return self

    def scores(self, features_NP) -> np.ndarray:
        """Probabilities `(N, L)`."""
        scores_NL = np.tile(self.constant_L, (features_NP.shape[0], 1))
        if len(self.learned):
            scores_NL[:, self.learned] = self._scores(features_NP)
        return scores_NL

    def num_parameters(self) -> int:
        """Weights and biases, zeros too: that is how scikit-learn stores them."""
        return sum(one.coef_.size + one.intercept_.size for one in self.fitted)

    def versions(self) -> dict[str, str]:
        return {"scikit-learn": _scikit_learn().version}

    def classifier(self) -> Any:
        """A new classifier of one label."""
        raise NotImplementedError

    def _fit(self, features_NP, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        self.fitted = [self.classifier().fit(features_NP, column_N) for column_N in truth_NK.T]

    def _scores(self, features_NP) -> np.ndarray:
        return np.stack([one.predict_proba(features_NP)[:, 1] for one in self.fitted], axis=1)


class LogisticBinaryRelevance(PerLabelMethod):
    """Logistic regression by liblinear. Settings: `C`, `class_weight`."""

    settings = {"C": 1.0, "class_weight": None}

    def classifier(self) -> Any:
        options = {name: self.settings[name] for name in ("C", "class_weight")}
        return _scikit_learn().LogisticRegression(solver="liblinear", random_state=self.seed, **options)


class LogisticChain(LogisticBinaryRelevance):
    """A chain of these (`ClassifierChain`): each also reads the answers for the labels before it. Settings: also `order`,
    "frequency" (the frequent label first), "given" or "random"."""

    settings = {**LogisticBinaryRelevance.settings, "order": "frequency"}

    def _fit(self, features_NP, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        order = {
            "frequency": np.argsort(-counts_K, kind="stable"),
            "given": np.arange(len(counts_K)),
            "random": "random",
        }
        if self.settings["order"] not in order:
            raise UserError(f"found '{self.settings['order']}'", field="order", accepted=", ".join(order))
        self.chains = [self._chain(features_NP, truth_NK, order[self.settings["order"]], self.seed)]

    def _chain(self, features_NP, truth_NK: np.ndarray, order, seed: int) -> Any:
        chain = _scikit_learn().ClassifierChain(self.classifier(), order=order, random_state=seed)
        return chain.fit(features_NP, truth_NK)

    def _scores(self, features_NP) -> np.ndarray:
        return np.mean([chain.predict_proba(features_NP) for chain in self.chains], axis=0)

    def num_parameters(self) -> int:
        chains = self.chains if len(self.learned) else []
        return sum(one.coef_.size + one.intercept_.size for chain in chains for one in chain.estimators_)


class LogisticChainEnsemble(LogisticChain):
    """The mean probabilities of ten chains of random orders. Settings: also `chains`."""

    settings = {**LogisticBinaryRelevance.settings, "chains": CHAINS}

    def _fit(self, features_NP, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        seeds = np.random.default_rng(self.seed).integers(2**31, size=self.settings["chains"])
        self.chains = [self._chain(features_NP, truth_NK, "random", int(seed)) for seed in seeds]


class BoostedBinaryRelevance(PerLabelMethod):
    """Boosted trees of LightGBM. Settings: `n_estimators`, `num_leaves`, `learning_rate`, `min_child_samples`."""

    settings = {"n_estimators": 100, "num_leaves": 15, "learning_rate": 0.1, "min_child_samples": 20}

    def classifier(self) -> Any:
        # one thread and rows in one order: the same trees in every run
        return _lightgbm().LGBMClassifier(
            **self.settings, random_state=self.seed, n_jobs=1, deterministic=True, force_row_wise=True, verbosity=-1
        )

    def _fit(self, features_NP, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        super()._fit(_plain(features_NP), truth_NK, counts_K)

    def _scores(self, features_NP) -> np.ndarray:
        return super()._scores(_plain(features_NP))

    def num_parameters(self) -> int:
        """A column and a threshold a split, a number a leaf."""
        trees = [tree for one in self.fitted for tree in one.booster_.dump_model()["tree_info"]]
        return sum(3 * tree["num_leaves"] - 2 for tree in trees)

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "lightgbm": _lightgbm().__version__}


class ForestPowerset(PerLabelMethod):
    """A random forest over the distinct label sets; the answer is its best set, scores are those of `powerset_scores`. Settings:
    `n_estimators`, `max_features`, `min_samples_leaf`."""

    settings = {"n_estimators": 300, "max_features": "sqrt", "min_samples_leaf": 1}
    has_scale = False  # of hundreds of sets the share of one label shrinks as sets are added

    def fit(self, features_NP, truth_NL: np.ndarray) -> ForestPowerset:
        self.forest = PowersetForest(**self.settings, seed=self.seed).fit(features_NP, truth_NL)
        return self

    def scores(self, features_NP) -> np.ndarray:
        shares_NS, sets_SL = torch.from_numpy(self.forest.shares(features_NP)), torch.from_numpy(self.forest.sets_SL)
        return powerset_scores(shares_NS, sets_SL).numpy()

    def num_parameters(self) -> int:
        return self.forest.num_parameters


METHODS = {
    "logistic-br": LogisticBinaryRelevance,
    "logistic-chain": LogisticChain,
    "logistic-chain-ensemble": LogisticChainEnsemble,
    "lightgbm-br": BoostedBinaryRelevance,
    "forest-powerset": ForestPowerset,
}


def _plain(features_NP):
    """As LightGBM takes it: sparse rows as floats, dense ones in float64 or 32."""
    return features_NP.astype(np.float32) if scipy.sparse.issparse(features_NP) else features_NP


def _scikit_learn() -> SimpleNamespace:
    try:
        import sklearn
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.multioutput import ClassifierChain
    except ImportError as error:
        raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[compare]") from error
    return SimpleNamespace(
        ConvergenceWarning=ConvergenceWarning,
        LogisticRegression=LogisticRegression,
        ClassifierChain=ClassifierChain,
        version=sklearn.__version__,
    )


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise UserError("LightGBM is not installed", accepted="pip install hf_mlc[compare]") from error
    return lightgbm
