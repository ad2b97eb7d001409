"""From a batch to answers: which labels a model gives each document, and how they are written down.

Shape legend: B documents, T tokens, S scored columns (all labels, or a shortlist), K labels of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .decision import ranked_labels
from .evidence import evidence_spans


@torch.no_grad()
def choose_labels(
    model,
    batch: dict[str, torch.Tensor],
    *,
    top_k: int | None = None,
    thresholds: float | torch.Tensor | None = None,
) -> tuple[torch.LongTensor, torch.FloatTensor]:
    """The labels that a model gives each document, best first.

    Args:
        model (`MultiLabelPreTrainedModel`): the model.
        batch (`dict[str, torch.Tensor]`): what its `forward` takes, without targets.
        top_k (`int`, *optional*): the k best, whatever their scores; no row of all scores is made for them where the
            architecture can do without. Beside thresholds, at most k of those that reach them.
        thresholds (`float` or `torch.Tensor` of shape `(L,)`, *optional*): every label from this score on. Without it
            and `top_k`, the model's own decision: the tuned thresholds and the smallest label set of its configuration, or
            the sets that it chose as a whole (`MultiLabelOutput.chosen`).

    Returns:
        `(ids, scores)` of shape `(B, K)`; shorter answers are padded with negative ids.
    """
    if top_k is not None and thresholds is None:
        return model.predict_topk(batch, k=top_k)
    output = model(**batch)
    scores_BS = output.logits.float().sigmoid()
    chosen_BS = model.decide_output(output, thresholds=thresholds, min_labels=None if thresholds is None else 0)
    return ranked_labels(scores_BS, chosen_BS, top_k=top_k, candidate_ids_BS=output.candidate_ids)


def written_answer(
    names: Sequence[str] | Mapping[int, str],
    ids_K: torch.LongTensor,
    scores_K: torch.FloatTensor,
    *,
    text: str | None = None,
    offsets_T: torch.LongTensor | None = None,
    weights_KT: torch.FloatTensor | None = None,
    num_words: int | None = None,
) -> list[dict[str, Any]]:
    """One document's labels as `[{"label", "score"}]`; with weights, each with its `"evidence"` (`evidence_spans`).

    Args:
        names (`Sequence[str]` or `Mapping[int, str]`): the labels' names by id.
        ids_K, scores_K (`torch.Tensor` of shape `(K,)`): of one document, from `choose_labels`.
        text (`str`, *optional*): the document; needed for evidence, as are its offsets and the tokens' weights.
        offsets_T (`torch.LongTensor` of shape `(T, 2)`, *optional*): each token's characters in the text.
        weights_KT (`torch.FloatTensor` of shape `(K, T)`, *optional*): from `weights_of_labels`.
        num_words (`int`, *optional*): so many words of evidence a label.
    """
    answer, offsets = [], None if offsets_T is None else offsets_T.tolist()
    for place, (number, score) in enumerate(zip(ids_K.tolist(), scores_K.tolist(), strict=True)):
        if number < 0:
            continue
        entry = {"label": names[number], "score": score}
        if weights_KT is not None:
            entry["evidence"] = evidence_spans(text, offsets, weights_KT[place].tolist(), top_k=num_words)
        answer.append(entry)
    return answer


__all__ = ["choose_labels", "written_answer"]
