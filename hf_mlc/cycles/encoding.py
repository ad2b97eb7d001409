"""Every training row as a vector, by the model as it is now: the ground of centroids, label embeddings and shortlists.

Shape legend: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm


def batches_of_rows(
    lengths_N: np.ndarray | None, num_rows: int, batch_size: int, *, rank: int = 0, num_ranks: int = 1
) -> list[np.ndarray]:
    """Numbers of rows that are encoded together: of like length, so that little is padding; this process's share of them.

    The division into batches is the same for any number of processes.
    """
    order = np.arange(num_rows) if lengths_N is None else np.argsort(lengths_N, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, num_rows, batch_size)]
    return batches[rank::num_ranks]


@torch.no_grad()
def encode_rows(
    model: Any,
    rows: Dataset,
    collator: Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]],
    batches: Sequence[np.ndarray],
    *,
    device: torch.device | str = "cpu",
    progress: bool = False,
    description: str = "Encoding documents",
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Yields the numbers of a batch's rows and their vectors, float32 `(B, D)` on the device, without dropout.

    Args:
        model (`LightDxmlForMultiLabelClassification`): its `encode` is asked; it is left in the mode that it was in.
        rows ([`~hf_mlc.cycles.rows.NumberedRows`]): encoded rows.
        collator (callable): makes batches of them; `encode` passes over targets in these.
        batches (list of `np.ndarray`): which rows, together.
        device (`torch.device`, *optional*): where the model is.
        progress (`bool`, *optional*, defaults to `False`): whether a bar is shown.
        description (`str`, *optional*): what it says.
    """
    was_training = model.training
    model.eval()
    try:
        for numbers in tqdm(batches, desc=description, unit=" batches", disable=not progress, leave=False):
            batch = collator(rows.__getitems__(numbers))
            inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
            yield numbers, model.encode(**inputs).float()
    finally:
        model.train(was_training)


def as_tensor(vectors: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """A float32 copy of vectors. numpy's memory begins where it will, torch's at a multiple of 64 bytes, and the last bits of a matrix
    product depend on it: with copies, two runs have the same."""
    return torch.tensor(vectors, dtype=torch.float32, device=device)
