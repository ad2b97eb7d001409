"""The score of a label from the classifier's logit and the index's similarity.

Shape legend: B documents, S scored columns.
"""

import torch


def mixed_probabilities(
    logits_BS: torch.Tensor,
    cosines_BS: torch.Tensor,
    beta: float,
    *,
    top_logit_B1: torch.Tensor,
    top_cosine_B1: torch.Tensor,
) -> torch.DoubleTensor:
    """`(beta s / max s + (1 - beta) q / max q) x max s`, s and q the sigmoids of logit and cosine; float64 `(B, S)` in (0, 1].

    The bracket is LightDXML's score. Multiplied by the classifier's highest probability of the row it ranks as before, the best label
    is no surer than the classifier makes it, and with `beta` 1 it is the classifier's probability. The share of the similarity lifts
    all labels of a list: thresholds are to be tuned on mixed scores.

    Args:
        logits_BS (`torch.Tensor` of shape `(B, S)`): of the classifier.
        cosines_BS (`torch.Tensor` of shape `(B, S)`): of document and label in the index.
        beta (`float`): the classifier's share.
        top_logit_B1, top_cosine_B1 (`torch.Tensor` of shape `(B, 1)`): the highest of all columns of the row.
    """
    # double: a probability that rounds to 1 would tie with others
    ours_BS, top_B1 = logits_BS.double().sigmoid(), top_logit_B1.double().sigmoid()
    if beta == 1:
        return ours_BS
    similar_BS = cosines_BS.double().sigmoid() / top_cosine_B1.double().sigmoid()
    return beta * ours_BS + (1 - beta) * similar_BS * top_B1


def mixed_logits(
    logits_BS: torch.Tensor, cosines_BS: torch.Tensor, beta: float, *, is_there_BS: torch.BoolTensor | None = None
) -> torch.FloatTensor:
    """The logit of `mixed_probabilities`, float32 `(B, S)`; the maxima are those of the columns given.

    Args:
        logits_BS, cosines_BS (`torch.Tensor` of shape `(B, S)`): as there.
        beta (`float`): as there; with 1, the logits are returned as they are.
        is_there_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): columns that are no padding; others mean nothing.
    """
    if beta == 1:
        return logits_BS.float()
    lowest = float("-inf")
    there = [logits_BS, cosines_BS]
    if is_there_BS is not None:
        there = [values_BS.masked_fill(~is_there_BS, lowest) for values_BS in there]
    top_logit_B1, top_cosine_B1 = (values_BS.amax(dim=1, keepdim=True) for values_BS in there)
    probabilities_BS = mixed_probabilities(
        logits_BS, cosines_BS, beta, top_logit_B1=top_logit_B1, top_cosine_B1=top_cosine_B1
    )
    return probabilities_BS.logit(eps=1e-15).float()


__all__ = ["mixed_logits", "mixed_probabilities"]
