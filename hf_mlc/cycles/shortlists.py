"""Phase 2: each training row's nearest labels, and how many of the true ones are among them.

Shape legend: N rows, S shortlist, D width, B rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from tqdm.auto import tqdm

from hf_mlc.cycles.collating import PADDING
from hf_mlc.cycles.encoding import as_tensor


@dataclass
class Recall:
    """Which share of the true (row, label) pairs is in the rows' lists: what can be predicted at all.

    Args:
        found, pairs (`int`): pairs in the lists, and all of them.
    """

    found: int = 0
    pairs: int = 0

    def count(self, shortlists_BS: np.ndarray, rows: np.ndarray, labels_NL: sparse.csr_array) -> None:
        """Counts the pairs of these rows, whose lists are given."""
        true = labels_NL[rows]
        self.pairs += len(true.indices)
        # a pair as one number, a padding's below those of its row: sorted row by row, all are sorted
        width = labels_NL.shape[1] + 1
        starts = np.arange(len(rows), dtype=np.int64) * width
        listed = (starts[:, None] + np.sort(shortlists_BS, axis=1) + 1).reshape(-1)
        owned = np.repeat(starts, np.diff(true.indptr)) + true.indices + 1
        if len(listed) and len(owned):
            places = np.searchsorted(listed, owned).clip(max=len(listed) - 1)
            self.found += int((listed[places] == owned).sum())

    @property
    def value(self) -> float | None:
        """The share, `None` where no row has a label."""
        return self.found / self.pairs if self.pairs else None


@torch.no_grad()
def fill_shortlists(
    model: Any,
    vectors_ND: np.ndarray,
    labels_NL: sparse.csr_array,
    shortlists_NS: np.ndarray,
    blocks: Sequence[np.ndarray],
    *,
    listed_L: np.ndarray | None = None,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Recall:
    """Writes the nearest labels of these rows, nearest first, by the model's index.

    Args:
        model (`LightDxmlForMultiLabelClassification`): with its index filled; it leaves out labels that may not be found.
        vectors_ND (`np.ndarray` of shape `(N, D)`): the rows' vectors, perhaps a memory map.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): the rows' labels, for the recall.
        shortlists_NS (`np.ndarray` of shape `(N, S)`): int32, written to.
        blocks (list of `np.ndarray`): numbers of the rows that are looked at together.
        listed_L (`np.ndarray` of shape `(L,)`, *optional*): labels that are written; the place of another is padding. All.
        device (`torch.device`, *optional*): where the model is.
        progress (`bool`, *optional*, defaults to `False`): whether a bar is shown.

    Returns:
        [`Recall`] of these rows.
    """
    recall, width = Recall(), shortlists_NS.shape[1]
    for rows in tqdm(blocks, desc="Shortlists", unit=" blocks", disable=not progress, leave=False):
        vectors_BD = as_tensor(vectors_ND[rows], device)
        ids_BS = model.shortlist(vectors_BD, width)[0].cpu().numpy()
        shortlists_NS[rows] = ids_BS if listed_L is None else np.where(listed_L[ids_BS], ids_BS, PADDING)
        recall.count(ids_BS, rows, labels_NL)
    return recall
