"""A random forest whose classes are the distinct label sets of the training rows: the bar on small tables, and what a model of label
relations may have beside its chain (hf_mlc/training/set_forest.py).

It is scikit-learn's `RandomForestClassifier`, tree for tree and drawn row for drawn row, but for what is kept. A tree of
scikit-learn has a number for every node and class: with thousands of label sets three hundred trees would take tens of gigabytes. Here
a tree gives up those numbers when it is grown, and keeps of each leaf the sets that fell into it.

Shape legend: N rows, P columns, S label sets, L labels, T leaves.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from hf_mlc.errors import UserError


class Tree(NamedTuple):
    """A grown tree.

    Args:
        left, right (`np.ndarray`): children of each node; of a leaf -1.
        column, threshold (`np.ndarray`): where a row goes left: its value is at most the threshold.
        counts (`scipy.sparse.csr_matrix` of shape `(nodes, S)`): of each leaf how many of the rows drawn for the tree have each set.
    """

    left: np.ndarray
    right: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    counts: scipy.sparse.csr_matrix

    def leaves(self, features_NP: np.ndarray) -> np.ndarray:
        """The leaf of each row, `(N,)`."""
        node_N, walking = np.zeros(len(features_NP), np.int64), np.arange(len(features_NP))
        while len(walking):
            nodes = node_N[walking]
            inner = self.left[nodes] >= 0
            walking, nodes = walking[inner], nodes[inner]
            goes_left = features_NP[walking, self.column[nodes]] <= self.threshold[nodes]
            node_N[walking] = np.where(goes_left, self.left[nodes], self.right[nodes])
        return node_N

    @property
    def num_parameters(self) -> int:
        """A column and a threshold an inner node, and the numbers of the leaves."""
        return 2 * int((self.left >= 0).sum()) + self.counts.nnz


class PowersetForest:
    """The forest.

    Args:
        n_estimators (`int`, *optional*, defaults to 300): trees.
        max_features (`str` or `float`, *optional*, defaults to `"sqrt"`): columns looked at for a split.
        min_samples_leaf (`int`, *optional*, defaults to 1): rows that a leaf holds at least.
        seed (`int`, *optional*, defaults to 0): of everything drawn.
    """

    def __init__(self, *, n_estimators: int = 300, max_features="sqrt", min_samples_leaf: int = 1, seed: int = 0):
        self.n_estimators, self.seed = n_estimators, seed
        self.settings = {"max_features": max_features, "min_samples_leaf": min_samples_leaf}
        self.trees: list[Tree] = []

    def fit(self, features_NP, truth_NL: np.ndarray) -> PowersetForest:
        """Grows the trees, each on rows drawn with replacement."""
        self.sets_SL, set_of_N = np.unique(truth_NL, axis=0, return_inverse=True)
        return self.fit_sets(features_NP, set_of_N.ravel(), len(self.sets_SL))

    def fit_sets(self, features_NP, set_of_N: np.ndarray, num_sets: int) -> PowersetForest:
        """The same with sets that are numbered already: `set_of_N` is each row's, of `num_sets`."""
        sklearn = _scikit_learn()
        self.num_sets = num_sets
        if scipy.sparse.issparse(features_NP):
            features_NP = features_NP.astype(np.float32).tocsc()
        else:
            features_NP = np.asarray(features_NP, np.float32)
        num_rows, draws = len(set_of_N), np.random.RandomState(self.seed)  # the generator of scikit-learn's forests
        seeds = [draws.randint(np.iinfo(np.int32).max) for _ in range(self.n_estimators)]
        self.trees = []
        for seed in seeds:
            drawn = np.random.RandomState(seed).randint(0, num_rows, num_rows, dtype=np.int32)
            counts_N = np.bincount(drawn, minlength=num_rows).astype(np.float64)
            tree = sklearn.DecisionTreeClassifier(**self.settings, random_state=seed)
            # all rows with the weight of how often they were drawn, 0 for many; but every set is a class of every tree
            with warnings.catch_warnings():
                # of tables in which most rows have a set of their own: that these are numbers to regress on
                warnings.filterwarnings(
                    "ignore", message="The number of unique classes is greater than", category=UserWarning
                )
                tree.fit(features_NP, set_of_N, sample_weight=counts_N)
            self.trees.append(_kept(tree, features_NP, set_of_N, counts_N, num_sets))
        return self

    def shares(self, features_NP) -> np.ndarray:
        """The mean of the trees' leaves, `(N, S)`."""
        if scipy.sparse.issparse(features_NP):
            features_NP = features_NP.toarray()
        features_NP = np.asarray(features_NP, np.float32)
        shares_NS = np.zeros((len(features_NP), self.num_sets))
        for tree in self.trees:
            found = tree.counts[tree.leaves(features_NP)]
            rows = np.repeat(np.arange(len(features_NP)), np.diff(found.indptr))
            totals_N = np.asarray(found.sum(axis=1)).ravel()
            shares_NS[rows, found.indices] += found.data / totals_N[rows]
        return shares_NS / len(self.trees)

    @property
    def num_parameters(self) -> int:
        return sum(tree.num_parameters for tree in self.trees)


def _kept(tree: Any, features_NP, set_of_N: np.ndarray, counts_N: np.ndarray, num_sets: int) -> Tree:
    nodes, drawn = tree.tree_, np.flatnonzero(counts_N)
    rows = features_NP.tocsr()[drawn] if scipy.sparse.issparse(features_NP) else features_NP[drawn]
    leaves = nodes.apply(rows)
    counts = scipy.sparse.csr_matrix(
        (counts_N[drawn], (leaves, set_of_N[drawn])), shape=(nodes.node_count, num_sets), dtype=np.float64
    )
    return Tree(
        nodes.children_left.copy(), nodes.children_right.copy(), nodes.feature.copy(), nodes.threshold.copy(), counts
    )  # fmt: skip


def _scikit_learn() -> SimpleNamespace:
    try:
        from sklearn.tree import DecisionTreeClassifier
    except ImportError as error:
        raise UserError(
            "scikit-learn is not installed", accepted="pip install hf_mlc[planting] or hf_mlc[compare]"
        ) from error
    return SimpleNamespace(DecisionTreeClassifier=DecisionTreeClassifier)
