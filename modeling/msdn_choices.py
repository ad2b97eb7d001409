"""Which label set to answer with, given what a chain believes: each metric has its own best answer.

- Subset accuracy, the whole set right: the most probable set. `decoding="viterbi"` finds it exactly; beams, samples and
  greedy approach it.
- Hamming loss, labels right: every label whose marginal is above one half (`hamming_choice`). Labels are counted one by one,
  so only their marginals matter: `decision="thresholds"` with the threshold .5 and `scores="marginals"`.
- F1 of a document: the set of the highest expected F1 (`expected_f1_choice`, `decision="expected_f1"`), from the sets that
  may be true: it takes in labels that are less likely than not where a miss costs more than a false alarm.
- Rankings (precision@k, average precision) ask for no set: they are answered by the marginals.

The most probable set may hold a label of marginal below one half, and the labels above one half may be a set that never
occurs. Neither is wrong; they answer different questions.

Shape legend: B documents, L labels, K sets that were found or drawn, P label ids of a set.
"""

from __future__ import annotations

import torch

from .msdn_search import FoundLabels, SampledLabels
from .set_scores import LabelSets, expected_f1_set


def hamming_choice(log_odds_BL: torch.Tensor) -> torch.BoolTensor:
    """The set of the least expected Hamming loss: all labels whose marginal is above one half, `(B, L)`.

    Args:
        log_odds_BL (`torch.Tensor` of shape `(B, L)`): log-odds of the marginals.
    """
    return log_odds_BL > 0


def expected_f1_choice(found: FoundLabels | SampledLabels, *, only_found: bool = False) -> torch.BoolTensor:
    """The set of the highest expected F1 of a document, `(B, L)`, by the sets that were found or drawn.

    Found ones count by their probabilities, drawn ones each the same; see `set_scores.expected_f1_set`, which ranks the
    labels once for each number of labels that some of the sets hold together.

    Args:
        found ([`~msdn_search.FoundLabels`] or [`~msdn_search.SampledLabels`]): the sets that may be true.
        only_found (`bool`, *optional*, defaults to `False`): answer with one of them.
    """
    labels_BKL, log_probs_BK = found[:2]
    num_labels = labels_BKL.shape[2]
    places_BKL = torch.where(labels_BKL, torch.arange(num_labels, device=labels_BKL.device), num_labels)
    most = int(labels_BKL.sum(dim=2).max()) if labels_BKL.numel() else 0
    ids_BKP = places_BKL.sort(dim=2).values[:, :, : max(1, most)]
    weights_BK = torch.zeros_like(log_probs_BK) if isinstance(found, SampledLabels) else log_probs_BK
    sets = LabelSets(
        ids_BKP.masked_fill(ids_BKP == num_labels, -100),
        weights_BK,
        torch.arange(labels_BKL.shape[1], device=labels_BKL.device).expand_as(log_probs_BK),
    )
    return expected_f1_set(sets, num_labels, only_found=only_found)


__all__ = ["expected_f1_choice", "hamming_choice"]
