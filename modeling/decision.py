"""From scores to label sets: the one decision rule that models, pipelines, scripts and metrics share.

Shape legend: B documents, L labels, S scored columns (L, or the shortlist's length), K labels of an answer.
"""

import torch


def apply_thresholds(
    scores_BS: torch.Tensor,
    thresholds: float | torch.Tensor | list[float],
    *,
    min_labels: int = 0,
    candidate_ids_BS: torch.Tensor | None = None,
) -> torch.BoolTensor:
    """Which scored columns are predicted.

    A column is predicted when its score is at least its threshold. Where fewer than `min_labels` columns pass, the
    columns whose score exceeds their own threshold by most (or falls short by least) are taken until there are
    `min_labels`; of columns that tie, the one with the lower index. With one threshold for all labels these are the
    columns with the highest scores, told apart however small they are.

    A score of 1 passes any threshold up to 1.

    Args:
        scores_BS (`torch.Tensor` of shape `(B, S)`): probabilities.
        thresholds (`float` or sequence of `L` floats): one for all labels, or one a label.
        min_labels (`int`, *optional*, defaults to 0): the smallest label set that a document may get.
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): the label of each column where only a
            shortlist was scored; negative ids are padding and never predicted.

    Returns:
        `torch.BoolTensor` of shape `(B, S)`.
    """
    thresholds = torch.as_tensor(thresholds, dtype=scores_BS.dtype, device=scores_BS.device)
    if candidate_ids_BS is not None and thresholds.ndim:
        thresholds = thresholds[candidate_ids_BS.clamp(min=0)]
    margin_BS = scores_BS - thresholds
    if candidate_ids_BS is not None:
        margin_BS = margin_BS.masked_fill(candidate_ids_BS < 0, float("-inf"))
    chosen_BS = margin_BS >= 0
    if min_labels > 0:
        # below one common threshold the margins of tiny scores round to the same number; the scores themselves do not
        ranked_BS = margin_BS
        if not thresholds.ndim:
            ranked_BS = scores_BS
            if candidate_ids_BS is not None:
                ranked_BS = scores_BS.masked_fill(candidate_ids_BS < 0, float("-inf"))
        # stable: ties go to the lower index, whatever the batch
        best_BS = ranked_BS.sort(dim=1, descending=True, stable=True).indices[:, :min_labels]
        chosen_BS = chosen_BS.scatter(1, best_BS, torch.ones_like(best_BS, dtype=torch.bool))
        if candidate_ids_BS is not None:
            chosen_BS = chosen_BS & (candidate_ids_BS >= 0)
    return chosen_BS


def ranked_labels(
    scores_BS: torch.Tensor,
    chosen_BS: torch.BoolTensor,
    *,
    top_k: int | None = None,
    candidate_ids_BS: torch.Tensor | None = None,
) -> tuple[torch.LongTensor, torch.Tensor]:
    """The labels of the chosen columns, best first; of columns that tie, the one with the lower index first.

    Args:
        scores_BS (`torch.Tensor` of shape `(B, S)`): probabilities.
        chosen_BS (`torch.BoolTensor` of shape `(B, S)`): from `apply_thresholds`.
        top_k (`int`, *optional*): at most so many a document.
        candidate_ids_BS (`torch.LongTensor` of shape `(B, S)`, *optional*): the columns' labels, for a shortlist.

    Returns:
        `(ids, scores)` of shape `(B, K)` each, K the length of the longest answer; shorter ones are padded with the id
        -1 and the score 0.
    """
    ids, scores = [], []
    for row, chosen_S in enumerate(chosen_BS):
        columns = chosen_S.nonzero().squeeze(1)
        columns = columns[scores_BS[row, columns].sort(descending=True, stable=True).indices[:top_k]]
        ids.append(columns if candidate_ids_BS is None else candidate_ids_BS[row, columns])
        scores.append(scores_BS[row, columns])
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(ids, batch_first=True, padding_value=-1), pad(scores, batch_first=True)
