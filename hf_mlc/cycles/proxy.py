"""Phase 1's training: an affine map that carries each label's centroid nearer to most of its documents.

The loss of a (document, label) pair is `ln(1 + ||u_l - r_i||^2)` with `u_l = A mu_l + a`; the logarithm makes far documents count
little, and there are no negatives (the paper's section on label embeddings; notes in its released code).

Shape legend: N documents, L labels, D width, M (document, label) pairs, B pairs of a step.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional as F
from tqdm.auto import tqdm

from hf_mlc.cycles.encoding import as_tensor
from hf_mlc.modeling.label_proxy import LabelProxy


BLOCK_LABELS = 65_536


def train_proxy(
    proxy: LabelProxy,
    centroids_LD: np.ndarray,
    vectors_ND: np.ndarray,
    labels_NL: sparse.csr_array,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> list[float]:
    """Trains `proxy` in place on all pairs, with a fresh Adam; the global random states are left alone.

    Memory: 12 bytes a pair. A pair's vector is looked up by the document's number: copies would take D times as much.

    Args:
        proxy ([`~hf_mlc.modeling.label_proxy.LabelProxy`]): of one layer or two; it changes once training is at its end.
        centroids_LD (`np.ndarray` of shape `(L, D)`): float32.
        vectors_ND (`np.ndarray` of shape `(N, D)`): of the documents, float16 or float32, perhaps a memory map.
        labels_NL (`scipy.sparse.csr_array` of shape `(N, L)`): which documents have which labels.
        epochs, learning_rate, batch_size: of this training; a batch is of pairs.
        rng (`np.random.Generator`): of the order of the pairs.
        device (`torch.device`, *optional*): where `proxy` is.
        progress (`bool`, *optional*, defaults to `False`): whether a bar is shown.

    Returns:
        `list[float]`: the mean loss of each epoch, before each step.
    """
    labels_M = labels_NL.indices
    rows_M = np.repeat(np.arange(labels_NL.shape[0], dtype=np.int32), np.diff(labels_NL.indptr))
    order_M = np.arange(len(labels_M), dtype=np.int32 if len(labels_M) < 2**31 else np.int64)
    layers = proxy.trainable()
    optimizer = torch.optim.Adam(layers.parameters(), lr=learning_rate)
    history = []
    for epoch in range(epochs if len(labels_M) else 0):
        rng.shuffle(order_M)
        total = 0.0
        name = f"Label embeddings, epoch {epoch + 1} of {epochs}"
        starts = range(0, len(order_M), batch_size)
        for start in tqdm(starts, desc=name, unit=" steps", disable=not progress, leave=False):
            pairs = order_M[start : start + batch_size]
            centroids_BD = as_tensor(centroids_LD[labels_M[pairs]], device)
            vectors_BD = as_tensor(vectors_ND[rows_M[pairs]], device)
            loss = robust_distance(layers(centroids_BD), vectors_BD).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(pairs)
        history.append(total / len(order_M))
    proxy.take(layers)
    return history


def robust_distance(embeddings_BD: torch.Tensor, vectors_BD: torch.Tensor) -> torch.Tensor:
    """`ln(1 + ||u - r||^2)` of each pair, `(B,)`."""
    return torch.log1p((embeddings_BD - vectors_BD).square().sum(dim=1))


@torch.no_grad()
def label_embeddings(
    proxy: LabelProxy,
    centroids_LD: np.ndarray,
    *,
    device: torch.device | str = "cpu",
    block_labels: int = BLOCK_LABELS,
) -> torch.Tensor:
    """What the index holds: label embeddings of length 1, float32 `(L, D)` on the CPU, **written over the centroids**: of very many
    labels there is no room for a second table.

    Args:
        proxy ([`~hf_mlc.modeling.label_proxy.LabelProxy`]): of the centroids.
        centroids_LD (`np.ndarray` of shape `(L, D)`): float32; a label without documents has zeros here. What is returned is its memory.
        device (`torch.device`, *optional*): where `proxy` is.
        block_labels (`int`, *optional*, defaults to 65,536): labels that are mapped at a time.
    """
    embeddings_LD = torch.from_numpy(centroids_LD)
    for start in range(0, len(centroids_LD), block_labels):
        mapped = proxy(as_tensor(centroids_LD[start : start + block_labels], device)).float().cpu()
        embeddings_LD[start : start + block_labels] = F.normalize(mapped, dim=1)
    return embeddings_LD
