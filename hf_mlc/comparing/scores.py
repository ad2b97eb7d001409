"""What one run answered, document by document, kept so that its metrics can be computed on resampled documents.

Shape legend: N documents, L labels, K kept labels of a document, M true (document, label) pairs, C chosen pairs.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.metrics import ranking
from hf_mlc.modeling.decision import apply_thresholds


MOST_CELLS = 12_000_000  # up to so many, every label's score is kept: 48 MB a run, as long as a report is made
KEPT = 100  # beyond, the best of each document


@dataclass
class RunScores:
    """Scores of the measured documents, in their order in the data.

    Args:
        label_ids_NK (`np.ndarray`, int32): the kept labels of each document, best first, -1 where there are fewer; an array
            with no column where every label was kept.
        scores_NK (`np.ndarray`, float32): their scores; of shape `(N, L)`, in the labels' order, where all are kept.
        chosen (`np.ndarray` of shape `(2, C)`, int32): documents and labels of the predicted pairs.
        true (`np.ndarray` of shape `(2, M)`, int32): documents and labels of the true pairs.
        train_counts (`np.ndarray` of shape `(L,)`): training documents of each label.
        groups (`np.ndarray` of shape `(N,)`, *optional*): which documents belong together, as those of one user do, by a number that
            they share; what is drawn anew for an interval is then a group.
        label_weights (`np.ndarray` of shape `(L,)`, *optional*): inverse propensities, of `psp@k`.
    """

    label_ids_NK: np.ndarray
    scores_NK: np.ndarray
    chosen: np.ndarray
    true: np.ndarray
    train_counts: np.ndarray
    groups: np.ndarray | None = None
    label_weights: np.ndarray | None = None

    @property
    def num_documents(self) -> int:
        return len(self.scores_NK)

    @property
    def every_label(self) -> bool:
        """Whether the score of every label was kept; average precision needs that."""
        return not self.label_ids_NK.shape[1]

    def best(self, k: int) -> np.ndarray:
        """The k labels of each document that score highest, best first, -1 where there are fewer; `(N, k)`, k up to `KEPT`."""
        if not self.every_label:
            return self.label_ids_NK[:, :k]
        return ranking.top_k(torch.from_numpy(self.scores_NK), k)[1].numpy()

    def save(self, path: str | Path) -> None:
        arrays = {name: array for name, array in vars(self).items() if array is not None}
        with written_whole(path, binary=True) as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> RunScores:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**{name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            problem, accepted = f"no scores of a run ({error})", "what `compare` wrote; without the file, no interval"
            raise UserError(problem, file=path, accepted=accepted) from None


class ScoreCollector:
    """Collects batches of scores, in any order of the documents.

    Args:
        num_documents, num_labels (`int`): N and L.
        thresholds, min_labels: the decision rule, as in [`~hf_mlc.modeling.decision.apply_thresholds`].
    """

    def __init__(self, num_documents: int, num_labels: int, *, thresholds, min_labels: int):
        self.num_documents, self.num_labels = num_documents, num_labels
        self._keep(every_label=num_documents * num_labels <= MOST_CELLS)
        self.thresholds, self.min_labels = torch.as_tensor(np.asarray(thresholds, np.float32)), min_labels
        self.chosen: list[np.ndarray] = []

    def _keep(self, *, every_label: bool) -> None:
        kept = self.num_labels if every_label else min(KEPT, self.num_labels)
        self.every_label = every_label
        self.scores_NK = np.zeros((self.num_documents, kept), np.float32)
        self.label_ids_NK = np.full((self.num_documents, 0 if every_label else kept), -1, np.int32)

    def add(
        self,
        places: list[int],
        scores_BS: torch.Tensor,
        candidate_ids_BS: torch.Tensor | None = None,
        chosen_BS: torch.Tensor | None = None,
    ) -> None:
        """Takes the scores of the documents at `places`, of every label or, in all batches then, of a shortlist. `chosen_BS`: the
        predicted sets where thresholds don't decide."""
        places = np.asarray(places)
        if self.every_label and candidate_ids_BS is not None:
            if self.chosen:
                raise ValueError("`candidate_ids_BS` is for all batches or none: found them after a batch without")
            self._keep(every_label=False)  # nobody said what the other labels' scores are
        if chosen_BS is None:
            chosen_BS = apply_thresholds(
                scores_BS, self.thresholds, min_labels=self.min_labels, candidate_ids_BS=candidate_ids_BS
            )
        rows, columns = chosen_BS.nonzero(as_tuple=True)
        labels = columns if candidate_ids_BS is None else candidate_ids_BS[rows, columns]
        self.chosen.append(np.stack([places[rows.numpy()], labels.numpy()]).astype(np.int32))
        if self.every_label:
            self.scores_NK[places] = scores_BS.numpy()
        else:
            mask_BS = None if candidate_ids_BS is None else candidate_ids_BS >= 0
            columns, ids = ranking.top_k(
                scores_BS, self.label_ids_NK.shape[1], candidate_ids_BS=candidate_ids_BS, mask_BS=mask_BS
            )
            self.label_ids_NK[places] = ids.numpy()
            self.scores_NK[places] = scores_BS.gather(1, columns.clamp(min=0)).masked_fill(columns < 0, 0).numpy()

    def done(self, true_ids: list[np.ndarray], train_counts: np.ndarray) -> RunScores:
        """Everything collected, with the true labels of each document."""
        rows = np.repeat(np.arange(len(true_ids)), [len(ids) for ids in true_ids])
        true = np.stack([rows, np.concatenate([*true_ids, np.zeros(0, np.int64)])]).astype(np.int32)
        chosen = np.concatenate([*self.chosen, np.zeros((2, 0), np.int32)], axis=1)
        order = np.lexsort((chosen[1], chosen[0]))
        return RunScores(self.label_ids_NK, self.scores_NK, chosen[:, order], true, np.asarray(train_counts))
