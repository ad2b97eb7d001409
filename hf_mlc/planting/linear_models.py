"""Linear support vector machines, one a label, and what the labels' tokens weigh in them: the other seed of the planted read-out.

A machine that has seen a document says little of how it will answer a new one. So the machines are also fitted without each fold
of the documents in turn, and what these answer to their fold says how far a margin is to be trusted: one slope and one
intercept for all labels make log-odds of margins (Platt, "Probabilistic outputs for support vector machines", 1999).

liblinear does the fitting (Fan and others, 2008), through scikit-learn. Of each machine the largest weights are kept.

Shape legend: N documents, V vocabulary, L labels, l labels of a block, K tokens kept of a label, F folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from tqdm.auto import tqdm
from transformers.utils import logging

from hf_mlc.errors import UserError


logger = logging.get_logger(__name__)
BLOCK_LABELS = 64  # fitted by one process at a time
TOLERANCE = 0.01  # scikit-learn's is smaller, and takes more passes over the documents
# margins are counted in bins of this width, and beyond these as if they were there
BIN, WIDEST = 0.01, 6.0


@dataclass(frozen=True)
class LinearModels:
    """One linear model a label, its K largest weights kept.

    Attributes:
        token_ids (`np.ndarray` of shape `(L, K)`): int32, the largest weight first; -1 where there are fewer.
        weights (`np.ndarray` of shape `(L, K)`): float32, 0 where there is no token.
        bias (`np.ndarray` of shape `(L,)`): float32.
    """

    token_ids: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def scaled(self, slope: float, intercept: float) -> LinearModels:
        """`slope x margin + intercept`."""
        weights, bias = (np.float32(slope) * part for part in (self.weights, self.bias))
        return LinearModels(self.token_ids, weights, bias + np.float32(intercept))

    def table(self, vocab_size: int) -> sparse.csc_array:
        """The weights by token and label, float32 `(V, L)`."""
        is_token_LK = self.token_ids >= 0
        labels = np.repeat(np.arange(len(self.bias)), is_token_LK.sum(axis=1))
        cells = (self.token_ids[is_token_LK], labels)
        return sparse.csc_array((self.weights[is_token_LK], cells), (vocab_size, len(self.bias)))

    def margins(self, features_NV: sparse.csr_array) -> np.ndarray:
        """What the models say of documents, float32 `(N, L)`."""
        return _margins(features_NV, self.table(features_NV.shape[1]), self.bias)


@dataclass(frozen=True)
class CrossFitted:
    """Models of all documents, models of all but each fold, and log-odds of their margins.

    Attributes:
        whole ([`LinearModels`]): scaled to log-odds.
        held_out (tuple of F [`LinearModels`]): the same, without fold 0, 1, ...
        slope, intercept (`float`): what the margins were scaled by.
    """

    whole: LinearModels
    held_out: tuple[LinearModels, ...]
    slope: float
    intercept: float


def cross_fit(
    features_NV: sparse.csr_array,
    labels_NL: sparse.csr_array,
    folds_N: np.ndarray,
    *,
    num_folds: int,
    num_tokens: int,
    cost: float = 1.0,
    processes: int = 1,
    progress: bool = False,
) -> CrossFitted:
    """Fits one model a label on all documents and without each fold, and scales their margins to log-odds.

    The results don't depend on the number of processes.

    Args:
        features_NV (`scipy.sparse.csr_array` of shape `(N, V)`): the documents, in rows of length 1.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): 1 where a document has the label.
        folds_N (`np.ndarray` of shape `(N,)`): which fold each document is in, from 0 to F - 1.
        num_folds (`int`): F, 2 or more.
        num_tokens (`int`): K.
        cost (`float`, *optional*, defaults to 1.0): C of the machines; larger fits the documents more closely.
        processes (`int`, *optional*, defaults to 1): how many fit at the same time.
        progress (`bool`, *optional*, defaults to `False`): whether to show progress bars.
    """
    settings = {"num_tokens": num_tokens, "cost": cost, "processes": processes, "progress": progress}
    whole = fit_linear_models(features_NV, labels_NL, **settings)
    held_out, counts_2M = [], np.zeros((2, len(_centres())))
    for fold in range(num_folds):
        others_n, own_n = (np.flatnonzero(folds_N != fold), np.flatnonzero(folds_N == fold))
        models = fit_linear_models(features_NV[others_n], labels_NL[others_n], **settings)
        held_out.append(models)
        counts_2M += _margin_counts(models, features_NV[own_n], labels_NL[own_n])
    slope, intercept = log_odds_scale(counts_2M)
    scaled = tuple(models.scaled(slope, intercept) for models in held_out)
    return CrossFitted(whole.scaled(slope, intercept), scaled, slope, intercept)


def fit_linear_models(
    features_NV: sparse.csr_array,
    labels_NL: sparse.csr_array,
    *,
    num_tokens: int,
    cost: float = 1.0,
    processes: int = 1,
    progress: bool = False,
) -> LinearModels:
    """One linear support vector machine a label, squared hinge loss, and its largest weights, of either sign.

    A label that all documents have, or none, has no weights, and the bias 1 or -1. Arguments are those of [`cross_fit`].

    Raises:
        `UserError`: where scikit-learn is missing.
    """
    try:
        import sklearn  # noqa: F401  (the processes below would each say so in their own way)
    except ImportError as error:
        raise UserError("scikit-learn is not installed", accepted="pip install hf_mlc[planting]") from error
    num_labels = labels_NL.shape[1]
    shape_LK = (num_labels, num_tokens)
    fitted = LinearModels(
        np.full(shape_LK, -1, np.int32), np.zeros(shape_LK, np.float32), np.zeros(num_labels, np.float32)
    )
    features_NV = _as_liblinear_reads(features_NV)
    blocks = [slice(start, start + BLOCK_LABELS) for start in range(0, num_labels, BLOCK_LABELS)]
    labels_NL = sparse.csc_array(labels_NL)
    found = _fit_blocks(features_NV, [labels_NL[:, block] for block in blocks], num_tokens, cost, processes)
    found = tqdm(found, desc="Linear machines", total=len(blocks), unit=" blocks of labels", disable=not progress)
    for block, (token_ids_lK, weights_lK, bias_l) in zip(blocks, found, strict=True):
        fitted.token_ids[block], fitted.weights[block], fitted.bias[block] = token_ids_lK, weights_lK, bias_l
    return fitted


def log_odds_scale(counts_2M: np.ndarray) -> tuple[float, float]:
    """The slope and intercept that make log-odds of margins: logistic regression, its targets smoothed as Platt's are.

    Args:
        counts_2M (`np.ndarray` of shape `(2, M)`): how many held-out cells (document, label) have a margin in each bin,
            without the label and with it.

    Returns:
        Slope (0 or more) and intercept. Where held-out documents with a label have no higher margins than others, the slope is 0.
    """
    (absent_M, present_M), margins_M = counts_2M, _centres()
    absent, present = absent_M.sum(), present_M.sum()
    high, low = (present + 1) / (present + 2), 1 / (absent + 2)
    yes_M, no_M = high * present_M + low * absent_M, (1 - high) * present_M + (1 - low) * absent_M

    def loss(at):
        logits_M = at[0] * margins_M + at[1]
        value = yes_M @ np.logaddexp(0, -logits_M) + no_M @ np.logaddexp(0, logits_M)
        error_M = (yes_M + no_M) / (1 + np.exp(-logits_M)) - yes_M
        return value / max(present, 1), np.array([error_M @ margins_M, error_M.sum()]) / max(present, 1)

    start = np.array([1.0, np.log((present + 1) / (absent + 1))])
    slope, intercept = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]).x
    if slope == 0:
        logger.warning("the linear models rank held-out documents no better than chance: their read-out says nothing")
    return float(slope), float(intercept)


def _margins(features_NV: sparse.csr_array, table_VL: sparse.csc_array, bias_L: np.ndarray) -> np.ndarray:
    return (features_NV @ table_VL).toarray().astype(np.float32) + bias_L


def _centres() -> np.ndarray:
    return np.arange(-WIDEST, WIDEST + BIN / 2, BIN)


def _margin_counts(models: LinearModels, features_nV: sparse.csr_array, labels_nL: sparse.csr_array) -> np.ndarray:
    """How many cells have a margin in each bin, without the label and with it, float64 `(2, M)`; a block of documents at a time."""
    number, table_VL = len(_centres()), models.table(features_nV.shape[1])
    total_2M = np.zeros((2, number))
    for start in range(0, features_nV.shape[0], 1000):
        rows = slice(start, start + 1000)
        margins = _margins(features_nV[rows], table_VL, models.bias)
        bins = np.rint((np.clip(margins, -WIDEST, WIDEST) + WIDEST) / BIN).astype(np.int64)
        is_present = labels_nL[rows].toarray().astype(bool)
        counts_2M = [np.bincount(bins[cells], minlength=number) for cells in (~is_present, is_present)]
        total_2M += np.stack(counts_2M)
    return total_2M


def _as_liblinear_reads(features_NV: sparse.csr_array) -> sparse.csr_matrix:
    """Double precision and 32-bit ids."""
    return sparse.csr_matrix(
        (
            features_NV.data.astype(np.float64),
            features_NV.indices.astype(np.int32),
            features_NV.indptr.astype(np.int32),
        ),
        shape=features_NV.shape,
    )


def _fit_blocks(
    features_NV, blocks, num_tokens, cost, processes
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The models of each block of labels, in order.

    Processes, not threads: liblinear's order of documents comes from one generator that threads would share.
    """
    import joblib  # comes with scikit-learn; its processes share the documents, and no caller needs a guard around `__main__`

    fit = joblib.delayed(_fit_block)
    pool = joblib.Parallel(n_jobs=min(processes, len(blocks)), return_as="generator")
    yield from pool(fit(features_NV, labels_Nl, num_tokens, cost) for labels_Nl in blocks)


def _fit_block(
    features_NV: sparse.csr_matrix, labels_Nl: sparse.csc_array, num_tokens: int, cost: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    number, (num_documents, vocab_size) = labels_Nl.shape[1], features_NV.shape
    token_ids_lK, weights_lK = np.full((number, num_tokens), -1, np.int32), np.zeros((number, num_tokens), np.float32)
    bias_l, kept = np.zeros(number, np.float32), min(num_tokens, vocab_size)
    for label in range(number):
        has_label_N = np.zeros(num_documents, bool)
        has_label_N[labels_Nl.indices[labels_Nl.indptr[label] : labels_Nl.indptr[label + 1]]] = True
        if has_label_N.all() or not has_label_N.any():
            bias_l[label] = 1.0 if num_documents and has_label_N.all() else -1.0
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # what has not converged in a thousand passes will do
            machine = LinearSVC(C=cost, tol=TOLERANCE, random_state=0).fit(features_NV, has_label_N)
        weights_V = machine.coef_[0]
        largest = np.argpartition(-np.abs(weights_V), kept - 1)[:kept]
        largest = largest[np.argsort(-np.abs(weights_V[largest]), kind="stable")]
        largest = largest[weights_V[largest] != 0]
        token_ids_lK[label, : len(largest)], weights_lK[label, : len(largest)] = largest, weights_V[largest]
        bias_l[label] = machine.intercept_[0]
    return token_ids_lK, weights_lK, bias_l
