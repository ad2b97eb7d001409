"""The synthetic control of label relations: labels that are the exclusive or of two labels some way before them.

The first labels are signs of features, so that every model can have them; a later label says whether exactly one of the labels
`offsets` before it holds, and some of these answers are turned over. A model without relations between labels is right about a
later label as often as a coin. One whose relations reach less far than the largest offset is, too.

Shape legend: N rows, F features, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class LabelXor:
    """The generator; its defaults are those of the paper note's control.

    Args:
        num_features (`int`, *optional*, defaults to 16): F, standard normal numbers.
        num_labels (`int`, *optional*, defaults to 20): L.
        num_roots (`int`, *optional*, defaults to 8): labels that are the sign of the feature in their place.
        offsets (`tuple[int, int]`, *optional*, defaults to `(1, 6)`): how far before a later label its two causes stand.
        flip_rate (`float`, *optional*, defaults to 0.03): share of later labels turned over.

    Example:
        >>> control = LabelXor()
        >>> round(control.best_subset_accuracy, 3)
        0.694
        >>> features_NF, labels_NL = control.draw(4000, seed=0)
        >>> features_NF.shape, labels_NL.shape
        ((4000, 16), (4000, 20))
    """

    num_features: int = 16
    num_labels: int = 20
    num_roots: int = 8
    offsets: tuple[int, int] = (1, 6)
    flip_rate: float = 0.03

    def __post_init__(self):
        if not max(self.offsets) <= self.num_roots <= min(self.num_features, self.num_labels) or min(self.offsets) < 1:
            raise ValueError(
                f"num_roots: found {self.num_roots} with offsets {self.offsets}; accepted: from the largest offset to the"
                " numbers of features and labels"
            )
        if not 0 <= self.flip_rate < 0.5:
            raise ValueError(f"flip_rate: found {self.flip_rate}; accepted: 0 up to below 0.5")

    @property
    def best_subset_accuracy(self) -> float:
        """The Bayes rate: who knows the rule is right about a row in which nothing was turned over."""
        return (1 - self.flip_rate) ** (self.num_labels - self.num_roots)

    def draw(self, num_rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features, float32 `(N, F)`, and labels, int8 `(N, L)`."""
        rng = np.random.default_rng(seed)
        features_NF = rng.standard_normal((num_rows, self.num_features)).astype(np.float32)
        labels_NL = np.zeros((num_rows, self.num_labels), np.int8)
        labels_NL[:, : self.num_roots] = features_NF[:, : self.num_roots] > 0
        near, far = self.offsets
        for label in range(self.num_roots, self.num_labels):
            turned_N = rng.random(num_rows) < self.flip_rate
            labels_NL[:, label] = labels_NL[:, label - near] ^ labels_NL[:, label - far] ^ turned_N
        return features_NF, labels_NL


def train_on_rows(
    model: torch.nn.Module,
    features_NF: np.ndarray,
    labels_NL: np.ndarray,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    weight_decay: float = 1e-5,
    seed: int = 0,
) -> torch.nn.Module:
    """Trains a model whose `forward(input_features, labels)` has a `loss`, with Adam and no validation rows: a control has as
    many rows as it wants, so nothing stops early.

    Returns:
        The model, ready to answer.
    """
    features_NF, labels_NL = torch.from_numpy(features_NF), torch.from_numpy(labels_NL).float()
    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(features_NF), generator=draws).split(batch_size):
            loss = model(input_features=features_NF[rows], labels=labels_NL[rows]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def subset_accuracy_and_hamming(
    model: torch.nn.Module, features_NF: np.ndarray, labels_NL: np.ndarray, *, batch_size: int = 500
) -> tuple[float, float]:
    """How many rows' sets the model has exactly right, and which share of all its answers is wrong, by its own decision."""
    wrong_NL = []
    for start in range(0, len(features_NF), batch_size):
        output = model(input_features=torch.from_numpy(features_NF[start : start + batch_size]))
        chosen_BL = model.decide_output(output)
        wrong_NL.append(chosen_BL.bool() != torch.from_numpy(labels_NL[start : start + batch_size]).bool())
    wrong_NL = torch.cat(wrong_NL)
    return (~wrong_NL.any(dim=1)).double().mean().item(), wrong_NL.double().mean().item()
