"""tf-idf and one linear classifier a label: the plain baseline that a text model has to beat.

Shape legend: N documents, L labels, F features.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import ThresholdChoice, tune_thresholds


# Below every trained label's score, so that a label never seen in training is never predicted by chance. Where
# scikit-learn's one-vs-rest answers with the constant 0, half of the probability scale, thresholds cannot be tuned.
NEVER_TRUE, ALWAYS_TRUE = 0.0, 1.0


class TfidfLinear:
    """Words and word pairs weighted by tf-idf, then for each label a linear classifier of its own (one-vs-rest).

    Term weights are (1 + ln tf) idf, rows scaled to length 1; the vocabulary and the idf come from the training texts.

    Args:
        kind (`str`, *optional*, defaults to `"svm"`): "svm" (squared hinge, L2) or "logistic" (log loss, L2), both by
            liblinear.
        ngram_range (`tuple[int, int]`, *optional*, defaults to `(1, 2)`): shortest and longest word sequence.
        min_df (`int`, *optional*, defaults to 2): training texts in which a term must occur.
        max_features (`int`, *optional*, defaults to 200000): the most frequent terms kept.
        C (`float`, *optional*, defaults to 1.0): weight of the loss against the regulariser.
        class_weight (`str`, *optional*): "balanced" gives a label's positives and negatives equal weight together.
        seed (`int`, *optional*, defaults to 0): of liblinear's coordinate order.

    Raises:
        `UserError`: scikit-learn is missing; an unknown kind.
    """

    def __init__(
        self,
        kind: str = "svm",
        *,
        ngram_range: tuple[int, int] = (1, 2),
        min_df: int = 2,
        max_features: int | None = 200_000,
        C: float = 1.0,
        class_weight: str | None = None,
        seed: int = 0,
    ):
        if kind not in ("svm", "logistic"):
            raise UserError(f"baseline kind '{kind}'", field="kind", accepted="svm, logistic")
        self.kind, self.C, self.class_weight, self.seed = kind, C, class_weight, seed
        self.vectorizer = _scikit_learn().text.TfidfVectorizer(
            # float64: liblinear would make itself a float64 copy for every label
            sublinear_tf=True,
            ngram_range=ngram_range,
            min_df=min_df,
            max_features=max_features,
            dtype=np.float64,
        )
        self.weights_FL = None  # sparse: a term that no support vector holds has weight 0
        self.bias_L: np.ndarray | None = None
        self.constant_L: np.ndarray | None = None  # a score where there is nothing to learn, else NaN

    def fit(self, texts: Sequence[str], label_ids: Sequence[Sequence[int]], num_labels: int) -> TfidfLinear:
        """Learns from training texts.

        Args:
            texts (`Sequence[str]`): N texts.
            label_ids (`Sequence[Sequence[int]]`): their label ids, possibly none.
            num_labels (`int`): L; a label without a training text gets the constant score 0, one that every text has 1.

        Raises:
            `UserError`: no term in the texts; a label id outside 0 .. L-1.
        """
        import scipy.sparse

        classes = _scikit_learn()
        truth_NL = _multi_hot(label_ids, num_labels)
        try:
            features_NF = self.vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn's words for it: an empty vocabulary, nothing left after min_df
            raise UserError(f"no features for the baseline: {error}", accepted="texts with repeated words") from error
        num_positive_L = truth_NL.sum(axis=0, dtype=np.int64)
        self.constant_L = np.full(num_labels, np.nan, np.float32)
        self.constant_L[num_positive_L == 0] = NEVER_TRUE
        self.constant_L[num_positive_L == len(truth_NL)] = ALWAYS_TRUE
        self.bias_L = np.zeros(num_labels, np.float32)
        weights = [scipy.sparse.csc_matrix((features_NF.shape[1], 1), dtype=np.float32)] * num_labels
        for label in np.flatnonzero(np.isnan(self.constant_L)):
            options = {"C": self.C, "class_weight": self.class_weight, "random_state": self.seed, "max_iter": 2000}
            if self.kind == "svm":
                classifier = classes.svm.LinearSVC(dual=True, **options)
            else:
                classifier = classes.linear_model.LogisticRegression(solver="liblinear", dual=True, **options)
            with warnings.catch_warnings():
                # one label in thousands that stops a little early does not matter
                warnings.simplefilter("ignore", classes.exceptions.ConvergenceWarning)
                classifier.fit(features_NF, truth_NL[:, label])
            weights[label] = scipy.sparse.csc_matrix(classifier.coef_.T.astype(np.float32))
            self.bias_L[label] = classifier.intercept_[0]
        self.weights_FL = scipy.sparse.hstack(weights, format="csr")
        return self

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """sigmoid(decision function), float32 of shape (N, L): probabilities for "logistic"; for "svm" numbers between
        0 and 1 in the right order and with 0.5 at the separating plane, but not calibrated."""
        margins_NL = (self.vectorizer.transform(texts) @ self.weights_FL).toarray() + self.bias_L
        scores_NL = 1.0 / (1.0 + np.exp(-margins_NL))
        return np.where(np.isnan(self.constant_L), scores_NL, self.constant_L).astype(np.float32)

    @property
    def model_bytes(self) -> int:
        """Bytes of what prediction needs: sparse weights, biases, idf and the terms of the vocabulary."""
        weights = self.weights_FL
        idf_F = self.vectorizer.idf_.astype(np.float32)
        arrays = (weights.data, weights.indices, weights.indptr, self.bias_L, self.constant_L, idf_F)
        return sum(array.nbytes for array in arrays) + sum(len(term.encode()) for term in self.vectorizer.vocabulary_)


class TfidfResult(NamedTuple):
    """What [`run_tfidf_baseline`] measured: test metrics, seconds of fitting and tuning, bytes of the model, the
    thresholds chosen on validation, and points of the precision-recall curve
    ([`~hf_mlc.metrics.MultiLabelMetrics.curve`])."""

    metrics: dict[str, float]
    seconds: float
    model_bytes: int
    thresholds: ThresholdChoice
    curve: dict[str, list[float]] | None


def run_tfidf_baseline(
    train_texts: Sequence[str],
    train_label_ids: Sequence[Sequence[int]],
    validation_texts: Sequence[str],
    validation_label_ids: Sequence[Sequence[int]],
    test_texts: Sequence[str],
    test_label_ids: Sequence[Sequence[int]],
    *,
    num_labels: int,
    threshold_kind: str = "auto",
    threshold_metric: str = "f1_micro",
    threshold_folds: int | None = None,
    seed: int = 0,
    ks: Sequence[int] = (1, 3, 5),
    **options,
) -> TfidfResult:
    """Fits [`TfidfLinear`] on the training texts, tunes its thresholds on the validation texts, measures it once on the
    test texts; or, with `threshold_folds`, makes the most of the same data: thresholds from cross-validated scores of
    the training and validation texts together, and the model fitted on both.

    Args:
        train_texts, validation_texts, test_texts (`Sequence[str]`): texts.
        train_label_ids, validation_label_ids, test_label_ids (`Sequence[Sequence[int]]`): their label ids.
        num_labels (`int`): L.
        threshold_kind (`str`, *optional*, defaults to `"auto"`): `kind` of [`~hf_mlc.thresholds.tune_thresholds`].
        threshold_metric (`str`, *optional*, defaults to `"f1_micro"`): its `metric`.
        threshold_folds (`int`, *optional*): how many times to fit for cross-validated scores; `None` tunes on the
            validation texts and fits once.
        seed (`int`, *optional*, defaults to 0): of liblinear and of the division into folds.
        ks (`Sequence[int]`, *optional*, defaults to `(1, 3, 5)`): cut-offs of the ranking metrics.
        options: of [`TfidfLinear`].

    Returns:
        [`TfidfResult`].

    Raises:
        `UserError`: as in [`TfidfLinear`] and [`~hf_mlc.thresholds.tune_thresholds`].
    """
    start = time.perf_counter()
    if threshold_folds is None:
        model = TfidfLinear(seed=seed, **options).fit(train_texts, train_label_ids, num_labels)
        tuning_scores, tuning_label_ids = model.scores(validation_texts), validation_label_ids
    else:
        train_texts = [*train_texts, *validation_texts]
        train_label_ids = tuning_label_ids = [*train_label_ids, *validation_label_ids]
        tuning_scores = _cross_validated_scores(
            train_texts, train_label_ids, num_labels, threshold_folds, seed, options
        )
        model = TfidfLinear(seed=seed, **options).fit(train_texts, train_label_ids, num_labels)
    train_counts = _multi_hot(train_label_ids, num_labels).sum(axis=0, dtype=np.int64)
    choice = tune_thresholds(
        tuning_scores,
        _multi_hot(tuning_label_ids, num_labels),
        kind=threshold_kind,
        metric=threshold_metric,
        train_counts=train_counts,
        seed=seed,
    )
    seconds = time.perf_counter() - start
    metrics = MultiLabelMetrics(
        num_labels,
        train_counts=train_counts,
        num_train_documents=len(train_texts),
        ks=ks,
        thresholds=choice.thresholds,
        min_labels=choice.min_labels,
    )
    for begin in range(0, len(test_texts), 1000):
        part = slice(begin, begin + 1000)
        metrics.update(model.scores(test_texts[part]), _multi_hot(test_label_ids[part], num_labels))
    return TfidfResult(metrics.compute(), seconds, model.model_bytes, choice, metrics.curve())


def _cross_validated_scores(texts, label_ids, num_labels: int, num_folds: int, seed: int, options) -> np.ndarray:
    """Scores of each text by a model that has not seen it, shape (N, L)."""
    if not 2 <= num_folds <= len(texts):
        raise UserError(f"threshold_folds {num_folds}", field="threshold_folds", accepted=f"2 to {len(texts)}")
    scores_NL = np.zeros((len(texts), num_labels), np.float32)
    folds_N = np.random.default_rng(seed).permutation(len(texts)) % num_folds
    for fold in range(num_folds):
        inside, outside = np.flatnonzero(folds_N == fold), np.flatnonzero(folds_N != fold)
        model = TfidfLinear(seed=seed, **options)
        model.fit([texts[i] for i in outside], [label_ids[i] for i in outside], num_labels)
        scores_NL[inside] = model.scores([texts[i] for i in inside])
    return scores_NL


def _multi_hot(label_ids: Sequence[Sequence[int]], num_labels: int) -> np.ndarray:
    truth_NL = np.zeros((len(label_ids), num_labels), np.int8)
    for row, ids in enumerate(label_ids):
        for label in ids:
            if not 0 <= label < num_labels:
                raise UserError(f"label id {label}", row=row + 1, accepted=f"0 to {num_labels - 1}")
            truth_NL[row, label] = 1
    return truth_NL


def _scikit_learn() -> SimpleNamespace:
    """The parts of scikit-learn that the baseline uses; it is an extra, so nothing imports it before it is needed."""
    try:
        from sklearn import exceptions, linear_model, svm
        from sklearn.feature_extraction import text
    except ImportError as error:
        raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[compare]") from error
    return SimpleNamespace(exceptions=exceptions, linear_model=linear_model, svm=svm, text=text)
