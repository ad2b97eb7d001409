"""Losses over independent labels, binary cross-entropy, focal, asymmetric; and over labels that compete, a softmax.

Each returns one number a (document, label) cell; `reduce_cells` makes the loss of them. All work in float32 on logits.

Shape legend: B documents, S scored columns (all labels, or a shortlist).
"""

import torch
from torch.nn import functional as F


UNKNOWN = -100  # a target cell with this value says nothing: it costs nothing


def binary_cross_entropy(
    logits_BS: torch.Tensor,
    targets_BS: torch.Tensor,
    *,
    pos_weight_S: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """`-(w y log p + (1 - y) log(1 - p))` a cell, with `y <- y (1 - s) + s / 2` under smoothing `s`.

    Args:
        logits_BS (`torch.Tensor` of shape `(B, S)`): before the sigmoid.
        targets_BS (`torch.Tensor` of shape `(B, S)`): 0, 1, or anything between.
        pos_weight_S (`torch.Tensor` of shape `(S,)`, *optional*): weight `w` of positives.
        label_smoothing (`float`, *optional*, defaults to 0.0): `s` above.
    """
    if label_smoothing:
        targets_BS = targets_BS * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits_BS, targets_BS, pos_weight=pos_weight_S, reduction="none")


def focal(logits_BS: torch.Tensor, targets_BS: torch.Tensor, *, gamma: float = 2.0) -> torch.Tensor:
    """`(1 - p_t)^gamma * -log p_t` a cell, `p_t` the probability of the true side (Lin et al., 2017, equation 4).

    Written as the factor times binary cross-entropy, so that targets between 0 and 1 stay meaningful.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits_BS, targets_BS, reduction="none")
    # log(1 - p_t) through logsigmoid: exact where the sigmoid itself would saturate
    log_miss = torch.where(targets_BS > 0.5, F.logsigmoid(-logits_BS), F.logsigmoid(logits_BS))
    return torch.exp(gamma * log_miss) * cross_entropy


def asymmetric(
    logits_BS: torch.Tensor,
    targets_BS: torch.Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
) -> torch.Tensor:
    """`-y (1 - p)^g+ log p - (1 - y) q^g- log(1 - q)` a cell with `q = max(p - clip, 0)` (Ridnik et al., 2021, equation 7)."""
    # 1 - p is sigmoid(-x), never 1 minus a sigmoid that may have rounded to 1: the gradient of a confident mistake stays
    log_p, log_miss = F.logsigmoid(logits_BS), F.logsigmoid(-logits_BS)
    positive = torch.exp(gamma_positive * log_miss) * log_p
    if clip:
        # not quite 0, where a power below 1 has no derivative; under the margin the logarithm is 0 anyway
        shifted = (torch.sigmoid(logits_BS) - clip).clamp(min=1e-8)
        negative = shifted.pow(gamma_negative) * torch.log((torch.sigmoid(-logits_BS) + clip).clamp(max=1.0))
    else:
        negative = torch.exp(gamma_negative * log_p) * log_miss
    return -(targets_BS * positive + (1 - targets_BS) * negative)


def softmax_cross_entropy(
    logits_BS: torch.Tensor, targets_BS: torch.Tensor, known_BS: torch.BoolTensor
) -> torch.Tensor:
    """`-y log softmax(x)` a cell: a document's labels share one softmax over all known ones.

    Args:
        logits_BS (`torch.Tensor` of shape `(B, S)`): before the softmax.
        targets_BS (`torch.Tensor` of shape `(B, S)`): 0 or 1.
        known_BS (`torch.BoolTensor` of shape `(B, S)`): columns that take part; others have neither cost nor share.
    """
    # a large number in place of infinity: no NaN where nothing is known
    log_p_BS = logits_BS.masked_fill(~known_BS, torch.finfo(logits_BS.dtype).min).log_softmax(dim=1)
    return -targets_BS * log_p_BS.masked_fill(~known_BS, 0.0)


def reduce_cells(
    cells_BS: torch.Tensor,
    known_BS: torch.Tensor,
    *,
    num_labels: int | None,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Sum over a document's labels, divided by their number; mean over documents.

    Args:
        cells_BS (`torch.Tensor` of shape `(B, S)`): one loss a cell.
        known_BS (`torch.BoolTensor` of shape `(B, S)`): cells that count.
        num_labels (`int` or `None`): divide each document's sum by this; `None` leaves the sum.
        num_items_in_batch (`int` or `torch.Tensor`, *optional*):
            Documents in the whole optimiser step, where gradients are accumulated or several processes share it;
            without it, the documents of this batch.
    """
    total = (cells_BS * known_BS).sum()
    if num_labels is not None:
        total = total / num_labels
    documents = cells_BS.shape[0] if num_items_in_batch is None else num_items_in_batch
    return total / documents


def targets_from_ids(target_ids_BP: torch.Tensor, num_labels: int) -> torch.Tensor:
    """Multi-hot float32 `(B, L)` from int64 ids `(B, P)` padded with negative numbers."""
    # padding goes to an extra last column that is cut off again
    target_ids_BP = torch.where(target_ids_BP < 0, num_labels, target_ids_BP)
    targets = torch.zeros(target_ids_BP.shape[0], num_labels + 1, device=target_ids_BP.device)
    return targets.scatter_(1, target_ids_BP, 1.0)[:, :num_labels]


def targets_of_candidates(target_ids_BP: torch.Tensor, candidate_ids: torch.Tensor) -> torch.Tensor:
    """Float32 `(B, S)`: 1 where a shortlist's column is among the document's label ids; padding ids (< 0) never match.

    Args:
        target_ids_BP (`torch.LongTensor` of shape `(B, P)`): label ids, padded with negative numbers.
        candidate_ids (`torch.LongTensor` of shape `(B, S)`, or `(S,)`): the columns' labels, each once; `(S,)` are the same for all.
    """
    if candidate_ids.ndim == 1:
        columns_BP = columns_of_targets(target_ids_BP, candidate_ids)
        # what isn't found goes to the extra last column that is cut off again
        targets = torch.zeros(len(target_ids_BP), len(candidate_ids) + 1, device=target_ids_BP.device)
        return targets.scatter_(1, columns_BP, 1.0)[:, :-1]
    if not target_ids_BP.shape[1]:
        return torch.zeros(candidate_ids.shape, device=target_ids_BP.device)
    sorted_ids_BP = target_ids_BP.sort(dim=1).values
    places = torch.searchsorted(sorted_ids_BP, candidate_ids.contiguous()).clamp(max=sorted_ids_BP.shape[1] - 1)
    return ((sorted_ids_BP.gather(1, places) == candidate_ids) & (candidate_ids >= 0)).float()


def columns_of_targets(target_ids_BP: torch.Tensor, candidate_ids_S: torch.Tensor) -> torch.LongTensor:
    """The column of each target, int64 `(B, P)`; one behind the last column for padding and for what has no column.

    Args:
        target_ids_BP (`torch.LongTensor` of shape `(B, P)`): label ids, padded with negative numbers.
        candidate_ids_S (`torch.LongTensor` of shape `(S,)`): the columns' labels, each once.
    """
    if not len(candidate_ids_S):
        return torch.zeros_like(target_ids_BP)
    sorted_ids_S, order_S = candidate_ids_S.sort()
    places_BP = torch.searchsorted(sorted_ids_S, target_ids_BP.contiguous()).clamp(max=len(candidate_ids_S) - 1)
    found_BP = (sorted_ids_S[places_BP] == target_ids_BP) & (target_ids_BP >= 0)
    return torch.where(found_BP, order_S[places_BP], len(candidate_ids_S))


def summed_cross_entropy(logits_BS: torch.Tensor, columns_BP: torch.LongTensor) -> torch.Tensor:
    """The sum of all cells' binary cross-entropy, without a target for each: `sum log(1 + e^x) - sum of the positives' x`.

    Args:
        logits_BS (`torch.Tensor` of shape `(B, S)`): before the sigmoid.
        columns_BP (`torch.LongTensor` of shape `(B, P)`): of the positives, from `columns_of_targets`; a column given twice
            counts once.
    """
    if not logits_BS.shape[1]:
        return logits_BS.sum()
    columns_BP = columns_BP.sort(dim=1).values
    again_BP = F.pad(columns_BP[:, 1:] == columns_BP[:, :-1], (1, 0), value=False)
    there_BP = ~again_BP & (columns_BP < logits_BS.shape[1])
    positives_BP = logits_BS.gather(1, columns_BP.clamp(max=logits_BS.shape[1] - 1))
    return F.softplus(logits_BS).sum() - positives_BP.masked_fill(~there_BP, 0.0).sum()
