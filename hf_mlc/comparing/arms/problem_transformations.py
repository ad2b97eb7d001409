"""The classical ways from one label to many, over tf-idf and linear SVMs: binary relevance, label powerset, classifier chains.

scikit-learn's own classes do the work. *Untuned* they are as somebody has them who changes nothing: C = 1, every answer as the
method gives it, an empty one too. *Tuned* they have what our models have: C, the decision rule and its top-1 fallback
chosen on documents that the model has not seen. Both are fitted on training and validation rows alike in the end, where the latter
are not what is measured: the untuned ones choose nothing, and the tuned ones have chosen.

Shape legend: N documents, F features, L labels, K labels that can be learned, S distinct label sets.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch

from hf_mlc.comparing.arms import Fitted, Job, Scored
from hf_mlc.comparing.tuning import chosen_rule, multi_hot
from hf_mlc.data.splitting import iterative_stratified_split
from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import PARTS, SMALLEST_SETS


CS = (0.3, 1.0, 4.0)
CLASS_WEIGHTS = (None,)
FOLDS = 3
CHAINS = 10
PLANE = 0.5  # the score of a document on the separating plane; a method's own answer is every label from here on
TEXTS_AT_ONCE = 500


def fit(job: Job, folder: Path) -> Fitted:
    """Fits one method.

    Settings: `method`, a key of `METHODS`; `tuned` (`False`); of a tuned one `Cs`, `class_weights` (`None` or "balanced"),
    `folds` (3; 0: choose on the validation rows, one fit a choice), `select_by` (a metric of `tune_thresholds`; the mean
    of micro-F1 and subset accuracy), `threshold_kind` ("auto"; "none": the separating plane alone). `refit` (`True`): in the end
    fitted on the validation rows as well. `threshold_metric`, which a recipe may say for every arm, changes nothing here.
    """
    settings = {name: value for name, value in job.settings.items() if name != "threshold_metric"}
    refit = settings.pop("refit", True)
    method, tuned = settings.pop("method"), settings.pop("tuned", False)
    if method not in METHODS:
        raise UserError(f"found '{method}'", field="method", accepted=", ".join(METHODS))
    space, train, validation = job.rows.label_space(), job.rows.read("train"), job.rows.read("validation")
    texts = [*train["text"], *validation["text"]]
    ids = [space.encode_known(labels)[0] for labels in [*train["labels"], *validation["labels"]]]
    choice = Choice(1.0, None, PLANE, 0, {})
    num_fitted = len(texts) if refit else len(train)
    if tuned:
        num_choosing = num_fitted if settings.get("folds", FOLDS) else len(texts)
        choice = _choose(method, texts[:num_choosing], ids[:num_choosing], len(train), space, job.seed, **settings)
    texts, ids = texts[:num_fitted], ids[:num_fitted]
    vectorizer, features_NF = _features(texts)
    model = METHODS[method](choice.C, choice.class_weight, job.seed, soft=tuned).fit(features_NF, ids, len(space))

    def score(texts: Sequence[str]) -> Scored:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            scores_NL = model.scores(vectorizer.transform(part))
            yield list(range(start, start + len(part))), torch.from_numpy(scores_NL), None

    parameters = model.num_parameters()
    return Fitted(
        score=score,
        thresholds=choice.thresholds,
        min_labels=choice.min_labels,
        parameters=parameters,
        model_bytes=8 * parameters + sum(len(term.encode()) + 4 for term in vectorizer.vocabulary_),
        facts={"C": choice.C, "class_weight": choice.class_weight, "rows": len(texts), **choice.facts},
        versions={"scikit-learn": _scikit_learn().version},
    )


class Choice(NamedTuple):
    """What was chosen on documents that the model had not seen."""

    C: float
    class_weight: str | None
    thresholds: float | list[float]
    min_labels: int
    facts: dict[str, Any]


def _choose(
    method: str, texts: list[str], ids: list[np.ndarray], num_train: int, space, seed: int,
    *, Cs=CS, class_weights=CLASS_WEIGHTS, folds: int = FOLDS, select_by: str = "f1_micro+subset_accuracy",
    threshold_kind: str = "auto",
) -> Choice:  # fmt: skip
    """The best of every C, class weight and decision rule; of equals the first."""
    if folds:
        parts = iterative_stratified_split(ids, [1 / folds] * folds, seed=seed)
    else:
        parts = [np.arange(num_train, len(ids))]
    held_out = np.concatenate(parts)
    true_ids = [ids[place] for place in held_out]
    candidates = [(c, weight) for weight in class_weights for c in Cs]
    scores = {candidate: [] for candidate in candidates}
    for part in parts:
        others = np.setdiff1d(np.arange(len(ids)), part)
        vectorizer, features_NF = _features([texts[place] for place in others])
        held_out_NF = vectorizer.transform([texts[place] for place in part])
        for c, weight in candidates:
            model = METHODS[method](c, weight, seed, soft=True)
            model.fit(features_NF, [ids[place] for place in others], len(space))
            scores[c, weight].append(model.scores(held_out_NF))
    best: tuple[float, Choice] | None = None
    for (c, weight), found in scores.items():
        scores_NL = np.concatenate(found)
        rules = [
            (worth_of_answers(scores_NL, true_ids, select_by, fewest), PLANE, fewest, "plane")
            for fewest in SMALLEST_SETS
        ]
        if threshold_kind != "none":
            rule = chosen_rule(scores_NL, true_ids, space, kind=threshold_kind, metric=select_by, seed=seed)
            rules.append((rule.value, rule.thresholds, rule.min_labels, rule.kind))
        for value, thresholds, fewest, kind in rules:
            if best is None or value > best[0]:
                facts = {"rule": kind, "chosen_on": len(held_out), f"held_out_{select_by}": round(value, 6)}
                best = value, Choice(c, weight, thresholds, fewest, facts)
    return best[1]


def worth_of_answers(scores_NL: np.ndarray, true_ids: list[np.ndarray], metric: str, min_labels: int) -> float:
    """The metric of the separating plane's answers, with a fallback or without."""
    metrics = MultiLabelMetrics(scores_NL.shape[1], thresholds=PLANE, min_labels=min_labels)
    metrics.update(scores_NL, multi_hot(true_ids, scores_NL.shape[1]))
    found = metrics.compute()
    return float(np.mean([found[part] for part in PARTS.get(metric, (metric,))]))


class BinaryRelevance:
    """One classifier a label (`OneVsRestClassifier`); a score is the sigmoid of its decision function.

    Of a label that no training document has, scikit-learn's decision function is the constant 0, half of the scale, and of
    one that all have too: thresholds would choose it or not by chance. Such labels are not fitted; they have the scores
    0 and 1.

    Args:
        C (`float`): weight of the loss against the regulariser.
        class_weight (`str`, *optional*): "balanced".
        seed (`int`): of liblinear's coordinate order, and of random orders.
        soft (`bool`): only the ensemble of chains asks.
    """

    def __init__(self, C: float, class_weight: str | None, seed: int, *, soft: bool):
        self.options = {"C": C, "class_weight": class_weight, "random_state": seed}
        self.seed, self.soft = seed, soft
        self.fitted: list[Any] = []

    def fit(self, features_NF, label_ids: Sequence[np.ndarray], num_labels: int):
        truth_NL = multi_hot(label_ids, num_labels)
        counts_L = truth_NL.sum(axis=0, dtype=np.int64)
        self.learned = np.flatnonzero((counts_L > 0) & (counts_L < len(truth_NL)))
        if len(self.learned) < 2:
            raise UserError(f"{len(self.learned)} labels that some documents have and some have not", accepted="2")
        self.constant_L = (counts_L == len(truth_NL)).astype(np.float32)
        with warnings.catch_warnings():
            # one label of many that stops a little early does not matter
            warnings.simplefilter("ignore", _scikit_learn().exceptions.ConvergenceWarning)
            # label sets are classes even where nearly every document has one of its own
            warnings.filterwarnings("ignore", message="The number of unique classes")
            self._fit(features_NF, truth_NL[:, self.learned], counts_L[self.learned])
        return self

    def scores(self, features_NF) -> np.ndarray:
        """Float32 `(N, L)`, from `PLANE` on where the method says yes."""
        scores_NL = np.tile(self.constant_L, (features_NF.shape[0], 1))
        scores_NL[:, self.learned] = self._scores(features_NF)
        return scores_NL

    def num_parameters(self) -> int:
        """Weights and biases of all linear classifiers, zeros too: that is how scikit-learn stores them."""
        return sum(svm.coef_.size + svm.intercept_.size for one in self.fitted for svm in one.estimators_)

    def _fit(self, features_NF, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        classes = _scikit_learn()
        one_vs_rest = classes.OneVsRestClassifier(classes.LinearSVC(**self.options))
        self.fitted = [one_vs_rest.fit(features_NF, truth_NK)]

    def _scores(self, features_NF) -> np.ndarray:
        return _sigmoid(self.fitted[0].decision_function(features_NF))


class ClassifierChain(BinaryRelevance):
    """One classifier a label that also reads the answers for the labels before it (`ClassifierChain`), the frequent ones first."""

    def _fit(self, features_NF, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        classes = _scikit_learn()
        order = np.argsort(-counts_K, kind="stable")
        self.fitted = [classes.ClassifierChain(classes.LinearSVC(**self.options), order=order)]
        self.fitted[0].fit(features_NF, truth_NK)


class ChainEnsemble(BinaryRelevance):
    """Ten chains of random orders; the mean of their answers, a label from half of them on, or, softly, of their sigmoids."""

    def _fit(self, features_NF, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        classes = _scikit_learn()
        seeds = np.random.default_rng(self.seed).integers(2**31, size=CHAINS)
        self.fitted = [
            classes.ClassifierChain(classes.LinearSVC(**self.options), order="random", random_state=int(seed))
            for seed in seeds
        ]
        for chain in self.fitted:
            chain.fit(features_NF, truth_NK)

    def _scores(self, features_NF) -> np.ndarray:
        if self.soft:
            return np.mean([_sigmoid(chain.decision_function(features_NF)) for chain in self.fitted], axis=0)
        return np.mean([chain.predict(features_NF) for chain in self.fitted], axis=0)


class LabelPowerset(BinaryRelevance):
    """One classifier over the distinct label sets of the training documents (`LinearSVC`), the answer is its best set.

    Scores are those of `powerset_scores`, from a softmax over the sets' decision functions.
    """

    def _fit(self, features_NF, truth_NK: np.ndarray, counts_K: np.ndarray) -> None:
        self.sets_SK, set_of_N = np.unique(truth_NK, axis=0, return_inverse=True)
        svm = _scikit_learn().LinearSVC(**self.options).fit(features_NF, set_of_N.ravel())
        self.fitted = [SimpleNamespace(estimators_=[svm])]

    def _scores(self, features_NF) -> np.ndarray:
        decisions_NS = self.fitted[0].estimators_[0].decision_function(features_NF)
        if decisions_NS.ndim == 1:  # of two sets scikit-learn gives one column
            decisions_NS = np.stack([-decisions_NS, decisions_NS], axis=1)
        shares_NS = np.exp(decisions_NS - decisions_NS.max(axis=1, keepdims=True))
        shares_NS /= shares_NS.sum(axis=1, keepdims=True)
        return powerset_scores(torch.from_numpy(shares_NS), torch.from_numpy(self.sets_SK)).numpy()


METHODS = {
    "binary-relevance": BinaryRelevance,
    "label-powerset": LabelPowerset,
    "classifier-chain": ClassifierChain,
    "chain-ensemble": ChainEnsemble,
}


def powerset_scores(shares_NS: torch.Tensor, sets_SL: torch.Tensor) -> torch.Tensor:
    """Scores of labels from those of sets, `(N, L)`: half of a label's marginal, and a half more where the best set has it.

    Labels of the best set are those from one half on, so that this threshold gives the powerset's own answer; within either
    side labels are ranked by their marginals, and another threshold takes less or more than the best set.

    Args:
        shares_NS (`torch.Tensor` of shape `(N, S)`): how much each set is worth; rows sum to 1.
        sets_SL (`torch.Tensor` of shape `(S, L)`): which labels each set has, 0 or 1.
    """
    sets_SL = sets_SL.to(shares_NS)
    return ((shares_NS @ sets_SL).clamp(max=1) + sets_SL[shares_NS.argmax(dim=1)]) / 2


def _sigmoid(decisions: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-decisions))


def _features(texts: Sequence[str]) -> tuple[Any, scipy.sparse.csr_matrix]:
    """Words weighted by (1 + ln tf) idf, rows of length 1; vocabulary and idf from these texts."""
    vectorizer = _scikit_learn().TfidfVectorizer(sublinear_tf=True)
    try:
        return vectorizer, vectorizer.fit_transform(texts)
    except ValueError as error:
        raise UserError(f"no features ({error})", accepted="texts with words") from error


def _scikit_learn() -> SimpleNamespace:
    try:
        import sklearn
        from sklearn import exceptions
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.multioutput import ClassifierChain
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[compare]") from error
    return SimpleNamespace(
        exceptions=exceptions, TfidfVectorizer=TfidfVectorizer, OneVsRestClassifier=OneVsRestClassifier,
        ClassifierChain=ClassifierChain, LinearSVC=LinearSVC, version=sklearn.__version__,
    )  # fmt: skip
