"""How much the labels of a data set depend on each other, from its training rows alone.

Shape legend: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats

from hf_mlc.comparing.tuning import multi_hot


ALPHA = 0.01


def label_dependence(label_ids: Sequence[np.ndarray], num_labels: int) -> float:
    """How many other labels a label depends on, the mean over labels.

    Two labels depend on each other where chi-squared of their 2 x 2 table says so, at the level .01 for all pairs at once
    (Bonferroni). Labels that no row or every row has depend on none and are left out of the mean. It is dependence without a
    look at the features: what they explain of it, a model of single labels has too.
    """
    truth_NL = multi_hot(label_ids, num_labels).astype(np.float64)
    num_rows, counts_L = len(truth_NL), truth_NL.sum(axis=0)
    truth_NL = truth_NL[:, (counts_L > 0) & (counts_L < num_rows)]
    if truth_NL.shape[1] < 2:
        return 0.0
    phi_LL = np.corrcoef(truth_NL, rowvar=False)
    chi2 = num_rows * phi_LL[np.triu_indices(len(phi_LL), k=1)] ** 2  # of a 2 x 2 table
    return float(2 * (chi2 > scipy.stats.chi2.isf(ALPHA / len(chi2), df=1)).sum() / len(phi_LL))
