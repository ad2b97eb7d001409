"""Training on some of the labels: what a step costs no longer grows with how many there are.

Nearly all labels are absent from nearly all documents, and say much the same there. A step that scores those of its
documents and a few hundred others, each of them counted for all it stands for, has the same loss on average (importance
sampling, as in Bengio & Senécal, "Quick training of probabilistic neural nets by importance sampling", 2003).

Shape legend: B documents, P padded label ids, L labels, R labels that are scored.
"""

import torch


def draw_labels(label_ids_BP: torch.LongTensor, num_labels: int, num_others: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every label of the documents, and some of the others, drawn evenly and without repetition.

    Args:
        label_ids_BP (`torch.LongTensor` of shape `(B, P)`): the documents' labels; what is negative is none.
        num_labels (`int`): L.
        num_others (`int`): how many of the others at most.

    Returns:
        Ids `(R,)`, ascending, and how many labels each stands for, float32 `(R,)`: 1, or for those drawn their share of
        the others.
    """
    is_present_L = torch.zeros(num_labels, dtype=torch.bool, device=label_ids_BP.device)
    is_present_L[label_ids_BP[label_ids_BP >= 0]] = True
    others = (~is_present_L).nonzero().flatten()
    drawn = others[torch.randperm(len(others), device=others.device)[:num_others]]
    weights_L = is_present_L.float()
    weights_L[drawn] = len(others) / max(len(drawn), 1)
    ids_R = weights_L.nonzero().flatten()
    return ids_R, weights_L[ids_R]


def ids_of_labels(labels_BL: torch.Tensor) -> torch.LongTensor:
    """Multi-hot targets as ids `(B, P)`, padded with -100; 0 and unknown cells are none."""
    present_BL = labels_BL > 0
    most = max(1, int(present_BL.sum(dim=1).max())) if len(labels_BL) else 1
    order_BL = (~present_BL).to(torch.int8).argsort(dim=1, stable=True)[:, :most]
    return torch.where(present_BL.gather(1, order_BL), order_BL, -100)
