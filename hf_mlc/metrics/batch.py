"""One batch of scores and targets, in whichever form the caller has them, checked and brought into one shape.

Shape legend: B documents, L labels, S scored columns (L, or the shortlist's length), P padded targets, M true pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hf_mlc.errors import UserError


UNKNOWN = -100  # in dense targets: nobody knows; in label_ids: padding


@dataclass
class Batch:
    """Scores and the truth about the same columns.

    Args:
        scores_BS (`torch.Tensor` of shape `(B, S)`): probabilities, float32.
        truth_BS (`torch.Tensor` of shape `(B, S)`): int8; 1 true, 0 not, -100 unknown or no label (padding).
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): the label of each column, negative where
            there is none; `None` where the columns are the labels 0 .. L-1.
        true_rows_M (`np.ndarray` of shape `(M,)`): the documents of the true (document, label) pairs, ascending.
        true_ids_M (`np.ndarray` of shape `(M,)`): their labels; also those that were not scored.
        num_known_cells (`int`): cells of the full B x L table whose truth is known.
    """

    scores_BS: torch.Tensor
    truth_BS: torch.Tensor
    candidate_ids_BS: torch.Tensor | None
    true_rows_M: np.ndarray
    true_ids_M: np.ndarray
    num_known_cells: int

    def __len__(self) -> int:
        return len(self.scores_BS)

    @property
    def num_true_B(self) -> np.ndarray:
        return np.bincount(self.true_rows_M, minlength=len(self))


def read_batch(scores, labels=None, *, num_labels: int, candidate_ids=None, label_ids=None) -> Batch:
    """Checks one batch and brings it into the shape of [`Batch`]; with a shortlist nothing of size B x L is made
    (beyond `labels`, where the caller has it).

    Args:
        scores (`torch.Tensor` or `np.ndarray` of shape `(B, L)` or `(B, S)`): probabilities of any float type.
        labels (`torch.Tensor` or `np.ndarray` of shape `(B, L)`, *optional*): multi-hot targets; -100 is unknown.
        num_labels (`int`): L.
        candidate_ids (`torch.Tensor` or `np.ndarray` of shape `(B, S)`, *optional*): the labels of the columns, each
            at most once in a row; negative is padding.
        label_ids (`torch.Tensor` or `np.ndarray` of shape `(B, P)`, *optional*): ids of the true labels, padded with
            -100; an id given twice counts once.

    Raises:
        `UserError`: shapes that do not fit, ids outside 0 .. L-1, scores that are no probabilities, targets other
        than 0, 1 and -100, both forms of targets or none.
    """
    scores_BS = _tensor(scores).to(torch.float32)
    if scores_BS.ndim != 2:
        raise UserError(f"scores of shape {tuple(scores_BS.shape)}", accepted="two dimensions: documents, labels")
    device, num_documents = scores_BS.device, len(scores_BS)
    if candidate_ids is None and scores_BS.shape[1] != num_labels:
        raise UserError(
            f"scores with {scores_BS.shape[1]} columns for {num_labels} labels",
            accepted="one column a label, or candidate_ids that name the columns",
        )
    if (labels is None) == (label_ids is None):
        raise UserError("both labels and label_ids" if labels is not None else "no targets", accepted="one of them")

    padding_BS = None
    if candidate_ids is not None:
        candidate_ids = _tensor(candidate_ids).to(device=device, dtype=torch.int64)
        if candidate_ids.shape != scores_BS.shape:
            raise UserError(
                f"candidate_ids of shape {tuple(candidate_ids.shape)}", accepted=f"{tuple(scores_BS.shape)} as scores"
            )
        if candidate_ids.numel() and int(candidate_ids.max()) >= num_labels:
            raise UserError(f"candidate id {int(candidate_ids.max())}", accepted=f"0 to {num_labels - 1}")
        padding_BS = candidate_ids < 0
        scores_BS = scores_BS.masked_fill(padding_BS, 0.0)
    # `not all inside` rather than `any outside`: NaN compares false with everything
    if scores_BS.numel() and not bool(((scores_BS >= 0) & (scores_BS <= 1)).all()):
        raise UserError(
            f"scores from {float(scores_BS.min()):.4g} to {float(scores_BS.max()):.4g}",
            accepted="probabilities between 0 and 1 (apply a sigmoid to logits first)",
        )

    num_known_cells = num_documents * num_labels
    if labels is not None:
        labels_BL = _tensor(labels).to(device)
        if labels_BL.shape != (num_documents, num_labels):
            raise UserError(f"labels of shape {tuple(labels_BL.shape)}", accepted=f"({num_documents}, {num_labels})")
        truth_BL = labels_BL.to(torch.int8)
        if not bool(((truth_BL == labels_BL) & ((truth_BL == 0) | (truth_BL == 1) | (truth_BL == UNKNOWN))).all()):
            raise UserError("labels hold other values", accepted="0, 1, or -100 for unknown")
        num_known_cells -= int((truth_BL == UNKNOWN).sum())
        true_rows_M, true_ids_M = (truth_BL == 1).nonzero(as_tuple=True)
        truth_BS = truth_BL if candidate_ids is None else truth_BL.gather(1, candidate_ids.clamp(min=0))
    else:
        ids_BP = _tensor(label_ids).to(device=device, dtype=torch.int64)
        if ids_BP.ndim != 2 or len(ids_BP) != num_documents:
            raise UserError(f"label_ids of shape {tuple(ids_BP.shape)}", accepted=f"({num_documents}, P)")
        bad_BP = (ids_BP >= num_labels) | ((ids_BP < 0) & (ids_BP != UNKNOWN))
        if bool(bad_BP.any()):
            raise UserError(
                f"label id {int(ids_BP[bad_BP][0])}", accepted=f"0 to {num_labels - 1}, or -100 for padding"
            )
        rows_B1 = torch.arange(num_documents, device=device)[:, None]
        # one number a (document, label) pair; unique() also drops an id given twice
        pairs_M = (rows_B1 * num_labels + ids_BP)[ids_BP != UNKNOWN].unique()
        true_rows_M, true_ids_M = pairs_M // num_labels, pairs_M % num_labels
        if candidate_ids is None:
            truth_BS = torch.zeros(num_documents, num_labels, dtype=torch.int8, device=device)
            truth_BS[true_rows_M, true_ids_M] = 1
        else:
            truth_BS = torch.isin(rows_B1 * num_labels + candidate_ids.clamp(min=0), pairs_M).to(torch.int8)
    if padding_BS is not None:
        truth_BS = truth_BS.masked_fill(padding_BS, UNKNOWN)
    return Batch(
        scores_BS, truth_BS, candidate_ids, true_rows_M.cpu().numpy(), true_ids_M.cpu().numpy(), num_known_cells
    )


def _tensor(values) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach()
    values = np.asarray(values)
    if not values.flags.writeable:
        values = values.copy()  # torch warns about memory that it may not write to
    return torch.from_numpy(values)
