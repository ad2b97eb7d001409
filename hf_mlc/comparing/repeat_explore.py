"""What a ranking finds again and what it finds anew: labels that the history holds apart from those that it does not.

Shape legend: N documents, L labels, K ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_mlc.comparing.resampling import looked_up, pair_matrix
from hf_mlc.comparing.scores import RunScores
from hf_mlc.metrics import ranking


K = 10


def repeat_and_explore(scores: RunScores, held: Sequence[np.ndarray]) -> dict[str, float]:
    """`repeat_r@10`, `repeat_ndcg@10`, `explore_r@10`, `explore_ndcg@10`: of the first ten labels of ALL, as in `r@10`, with the true labels
    of one part alone. So a system that only repeats has 0 in what it explores; one that is good at one part pays for it in the other.

    A part that no document has is left out, and so are from each mean the documents without a true label of that part.

    Args:
        scores ([`RunScores`]): of the run.
        held (`list[np.ndarray]`): of each document, the ids of the labels that its history holds.
    """
    shape = (scores.num_documents, len(scores.train_counts))
    rows = np.repeat(np.arange(len(held)), [len(ids) for ids in held])
    held_NL = pair_matrix(np.stack([rows, np.concatenate([*held, np.zeros(0, np.int64)])]).astype(np.int64), shape)
    true_NL = pair_matrix(scores.true, shape)
    repeated_NL = true_NL.multiply(held_NL > 0).tocsr()
    best_NK, found = scores.best(K), {}
    for part, part_NL in (("repeat", repeated_NL), ("explore", (true_NL - repeated_NL).tocsr())):
        hits_NK, num_true_N = looked_up(part_NL, best_NK), np.asarray(part_NL.sum(axis=1)).ravel().astype(np.int64)
        if num_true_N.any():
            found[f"{part}_r@{K}"] = float(np.nanmean(ranking.recall_at_k(hits_NK, num_true_N, K)))
            found[f"{part}_ndcg@{K}"] = float(np.nanmean(ranking.ndcg_at_k(hits_NK, num_true_N, K)))
    return found
