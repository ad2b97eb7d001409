"""Thresholds of outside systems, chosen as our own models' are: on the validation rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from hf_mlc.labels import LabelSpace
from hf_mlc.thresholds import ThresholdChoice, ThresholdTuner, tune_thresholds


def multi_hot(label_ids: Sequence[np.ndarray], num_labels: int) -> np.ndarray:
    """Ids as rows of 0 and 1, int8 `(N, L)`."""
    truth_NL = np.zeros((len(label_ids), num_labels), np.int8)
    for row, ids in enumerate(label_ids):
        truth_NL[row, ids] = 1
    return truth_NL


def padded(label_ids: Sequence[np.ndarray]) -> torch.Tensor:
    """Ids as rows padded with -100, int64 `(N, P)`."""
    tensors = [torch.as_tensor(np.asarray(ids, np.int64)) for ids in label_ids]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=-100)


def chosen_rule(
    scores_NL: np.ndarray, label_ids: Sequence[np.ndarray], space: LabelSpace, *, kind: str, metric: str, seed: int
) -> ThresholdChoice:
    """The decision rule for scores of every label of the validation rows."""
    truth_NL = multi_hot(label_ids, len(space))
    return tune_thresholds(scores_NL, truth_NL, kind=kind, metric=metric, train_counts=space.counts, seed=seed)


def chosen_shortlist_rule(
    batches: Iterable[tuple[list[int], torch.Tensor, torch.Tensor]],
    label_ids: Sequence[np.ndarray],
    space: LabelSpace,
    *,
    metric: str,
    seed: int,
) -> ThresholdChoice:
    """The decision rule, one threshold for all labels, for shortlists of the validation rows."""
    tuner = ThresholdTuner(len(space), kind="global", metric=metric, train_counts=space.counts, seed=seed)
    targets = padded(label_ids)
    for places, scores_BS, candidate_ids_BS in batches:
        tuner.update(scores_BS, candidate_ids=candidate_ids_BS, label_ids=targets[places])
    return tuner.tune()
