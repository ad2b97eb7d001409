"""From the label sequences that a search found to scores of sets and of labels.

A search gives sequences with the sum of their log-probabilities. Sequences of the same labels in another order are the same
answer, so they are merged first: the probability of a set is the sum over its orders that were found (Qin et al.,
"Adapting RNN Sequence Prediction Model to Multi-label Set Prediction", NAACL 2019). From the merged sets come

- the most probable set, which is what maximises subset accuracy;
- marginals, a score a label: the share of the found probability that lies on sets with it;
- logistic rescoring (Tsai & Lee, "Order-free Learning Alleviating Exposure Bias in Multi-label Classification", AAAI 2020):
  sets are also weighed by a head that scores each label by itself;
- the set of the highest expected F1, for who is measured by F1.

All functions are pure, batched, and give a document the same answer whatever else is in the batch.

Shape legend: B documents, K found sequences (beams or samples), T steps, L labels, V = L + 3 tokens, P padded label ids.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .label_sequences import EOS, LABEL_OFFSET, NO_LABEL, label_sets, unique_label_ids
from .sequence_losses import alive_and_scores


# `generate` gives sequences that it made up to have as many as were asked for sums of about -1e9
IMPOSSIBLE = -1e8
TIE_SHARE = 1e-3
# what a probability is kept away from 0 and 1 by, so that its logit is finite; near 0 float32 can tell far smaller numbers
# apart than near 1, and the ranking of rare labels needs them
LEAST, MOST = 1e-30, 1 - 1e-6


class LabelSets(NamedTuple):
    """The different label sets that were found for each document, the most probable first.

    Args:
        label_ids (`torch.LongTensor` of shape `(B, K, P)`): each set's labels, ascending, padded with -100.
        log_weights (`torch.FloatTensor` of shape `(B, K)`):
            logarithm of each set's probability, not normalised; minus infinity where a document has fewer sets.
        sequences (`torch.LongTensor` of shape `(B, K)`):
            which of the document's sequences is the set's most probable one: the order in which its labels came.
    """

    label_ids: torch.LongTensor
    log_weights: torch.FloatTensor
    sequences: torch.LongTensor

    @property
    def weights(self) -> torch.FloatTensor:
        """Each set's share of the found probability, `(B, K)`; 0 in a row in which nothing was found."""
        return torch.where(self.is_set, self.log_weights, -torch.inf).softmax(dim=1).nan_to_num(0.0)

    @property
    def is_set(self) -> torch.BoolTensor:
        """Which places hold a set, `(B, K)`."""
        return self.log_weights > -torch.inf

    def membership(self, num_labels: int) -> torch.BoolTensor:
        """Which labels each set has, `(B, K, L)`; none where a place holds no set."""
        num_documents, num_sets, width = self.label_ids.shape
        ids = self.label_ids.reshape(num_documents * num_sets, width)
        return label_sets(ids, num_labels).reshape(num_documents, num_sets, num_labels)


def labels_of_sequences(sequences_BT: torch.LongTensor) -> torch.LongTensor:
    """The labels of written sequences in the order in which they came, `(B, T)`, padded with -100.

    What stands behind the first end is not read: beam search fills up with ends, not with padding.

    Args:
        sequences_BT (`torch.LongTensor` of shape `(B, T)`, or with more dimensions before T): ids of the vocabulary.
    """
    has_ended_BT = (sequences_BT == EOS).cumsum(dim=-1) > 0
    is_label_BT = ~has_ended_BT & (sequences_BT >= LABEL_OFFSET)
    places_BT = (~is_label_BT).to(torch.int8).argsort(dim=-1, stable=True)
    return (sequences_BT - LABEL_OFFSET).masked_fill(~is_label_BT, NO_LABEL).gather(-1, places_BT)


def merge_sets(sequences_BKT: torch.LongTensor, scores_BK: torch.Tensor) -> LabelSets:
    """Joins sequences of the same labels; a set's probability is the sum of theirs.

    Args:
        sequences_BKT (`torch.LongTensor` of shape `(B, K, T)`):
            ids of the decoder's vocabulary, with or without the start token; the labels before the first end count.
        scores_BK (`torch.Tensor` of shape `(B, K)`):
            sums of log-probabilities, not divided by lengths (`length_penalty=0`). A sequence with -1e8 or less was not
            found and is dropped. With equal scores, as for samples, a set's weight is the number of its sequences.

    Returns:
        [`LabelSets`]; of sets with equal probability the one whose sequence came first.
    """
    num_sequences, num_steps = sequences_BKT.shape[1:]
    given_BKT = labels_of_sequences(sequences_BKT)
    ids_BKP = unique_label_ids(given_BKT.reshape(-1, num_steps))[0].reshape(given_BKT.shape)
    scores_BK = torch.where(scores_BK > IMPOSSIBLE, scores_BK.float(), -torch.inf)
    found_BK = scores_BK > -torch.inf
    same_BKK = (ids_BKP[:, :, None] == ids_BKP[:, None]).all(dim=3) & found_BK[:, :, None] & found_BK[:, None]
    summed_BK = torch.where(same_BKK, scores_BK[:, None], -torch.inf).logsumexp(dim=2)
    # the first sequence of a set stands for it; sequences need not come best first
    places_K = torch.arange(num_sequences, device=scores_BK.device)
    earlier_KK = places_K[:, None] > places_K
    is_first_BK = found_BK & ~(same_BKK & earlier_KK).any(dim=2)
    best_BK = torch.where(same_BKK, scores_BK[:, None], -torch.inf).argmax(dim=2)
    return _sorted(
        LabelSets(
            ids_BKP.masked_fill(~is_first_BK[:, :, None], NO_LABEL),
            torch.where(is_first_BK, summed_BK, -torch.inf),
            torch.where(is_first_BK, best_BK, 0),
        )
    )


def best_set(sets: LabelSets, num_labels: int) -> torch.BoolTensor:
    """The most probable set of each document, multi-hot `(B, L)`; the empty one where nothing was found."""
    return label_sets(sets.label_ids[:, 0], num_labels)


def beam_marginals(
    sets: LabelSets, num_labels: int, first_step_BL: torch.Tensor | None = None, *, tie_share: float = TIE_SHARE
) -> torch.FloatTensor:
    """Each label's share of the found probability: `sum_{S with l} p(S) / sum_S p(S)`.

    Exact where the search found every set; otherwise labels that are in no set tie at 0. With `first_step_BL` they are told
    apart: a label in no set gets `first_step * tie_share * m`, m the document's smallest score above 0, so that none
    overtakes a label that is in a set.

    Args:
        sets ([`LabelSets`]): from `merge_sets` or `rescore`.
        num_labels (`int`): L.
        first_step_BL (`torch.Tensor` of shape `(B, L)`, *optional*): each label's probability in the first step, or any
            other numbers in [0, 1] by which to order.
        tie_share (`float`, *optional*, defaults to 0.001): at most 1.

    Returns:
        `torch.FloatTensor` of shape `(B, L)`, in [0, 1].
    """
    members_BKL = sets.membership(num_labels)
    # weights sum to 1 only up to rounding
    marginals_BL = torch.einsum("bk,bkl->bl", sets.weights, members_BKL.float()).clamp(max=1.0)
    if first_step_BL is None:
        return marginals_BL
    in_none_BL = ~members_BKL.any(dim=1)
    smallest_B1 = torch.where(marginals_BL > 0, marginals_BL, 1.0).amin(dim=1, keepdim=True)
    ties_BL = first_step_BL.float().clamp(0, 1) * (tie_share * smallest_B1)
    return torch.where(in_none_BL, ties_BL, marginals_BL)


def monte_carlo_marginals(samples_BKT: torch.LongTensor, num_labels: int) -> torch.FloatTensor:
    """The share of sampled sequences that hold each label, `(B, L)`: an unbiased estimate of its probability.

    Its standard error is `sqrt(s (1 - s) / K)`, at most .05 with 100 samples. For ancestral samples, one a draw:
    `generate(do_sample=True, top_k=0, num_return_sequences=K)`.

    Args:
        samples_BKT (`torch.LongTensor` of shape `(B, K, T)`): sequences drawn from the model.
        num_labels (`int`): L.
    """
    num_documents, num_samples, num_steps = samples_BKT.shape
    labels = labels_of_sequences(samples_BKT).reshape(-1, num_steps)
    return label_sets(labels, num_labels).reshape(num_documents, num_samples, num_labels).float().mean(dim=1)


def step_hazard(log_probs_BTV: torch.Tensor, sequences_BT: torch.LongTensor) -> torch.FloatTensor:
    """The probability that each label is written at some step of a sequence: `1 - prod_t (1 - a_t y_t(l))`.

    From one pass: `y_t` is each step's distribution along the one sequence that was written (greedily), `a_t` the
    probability that the sequence goes on so far. Steps behind the end don't count.

    Args:
        log_probs_BTV (`torch.Tensor` of shape `(B, T, V)`): of each step of the sequence.
        sequences_BT (`torch.LongTensor` of shape `(B, T)`): what was written at each of these steps (without the start
            token); the step that writes the end counts.

    Returns:
        `torch.FloatTensor` of shape `(B, L)`, in [0, 1).
    """
    counts_BT = (sequences_BT == EOS).cumsum(dim=1) - (sequences_BT == EOS).long() == 0
    return alive_and_scores(log_probs_BTV.exp(), counts_BT)


def rescore(sets: LabelSets, auxiliary_logits_BL: torch.Tensor, weight: float = 1.0) -> LabelSets:
    """Weighs each set by a head that scores every label by itself, and sorts anew (logistic rescoring).

    `log p(S) + weight (sum_{l in S} log s(b_l) + sum_{l not in S} log(1 - s(b_l)))`, with s the sigmoid. As
    `log s(b) - log(1 - s(b)) = b`, that is `log p(S) + weight sum_{l in S} b_l` and a number that all sets share, which is
    left out.

    Args:
        sets ([`LabelSets`]): from `merge_sets`.
        auxiliary_logits_BL (`torch.Tensor` of shape `(B, L)`): the head's, before the sigmoid.
        weight (`float`, *optional*, defaults to 1.0): 0 leaves the sets as they are. Choose it on validation rows.

    Returns:
        [`LabelSets`], most probable first.
    """
    is_label_BKP = sets.label_ids >= 0
    num_documents, num_sets, width = is_label_BKP.shape
    places = sets.label_ids.clamp(min=0).reshape(num_documents, num_sets * width)
    logits_BKP = auxiliary_logits_BL.float().gather(1, places).reshape(is_label_BKP.shape)
    bonus_BK = torch.where(is_label_BKP, logits_BKP, 0.0).sum(dim=2)
    log_weights_BK = torch.where(sets.is_set, sets.log_weights + weight * bonus_BK, -torch.inf)
    return _sorted(sets._replace(log_weights=log_weights_BK))


def expected_f1(sets: LabelSets, candidates_BL: torch.Tensor) -> torch.FloatTensor:
    """What F1 a candidate set is expected to have, `(B,)`: `sum_S p(S) 2 |C and S| / (|C| + |S|)`; two empty sets have 1.

    Args:
        sets ([`LabelSets`]): the sets that may be true, and their probabilities.
        candidates_BL (`torch.Tensor` of shape `(B, L)`): one candidate a document, multi-hot.
    """
    members_BKL = sets.membership(candidates_BL.shape[1]).float()
    shared_BK = torch.einsum("bkl,bl->bk", members_BKL, candidates_BL.float())
    sizes_BK = members_BKL.sum(dim=2) + candidates_BL.float().sum(dim=1, keepdim=True)
    return (sets.weights * torch.where(sizes_BK > 0, 2 * shared_BK / sizes_BK.clamp(min=1), 1.0)).sum(dim=1)


def expected_f1_set(sets: LabelSets, num_labels: int, *, only_found: bool = False) -> torch.BoolTensor:
    """The set of the highest expected F1, multi-hot `(B, L)`.

    Of all sets of n labels the best one has the n labels with the largest `sum_{S with l} p(S) 2 / (n + |S|)`, so the
    search is exact: one ranking for each n up to the largest number of labels that any document's found sets hold.

    Args:
        sets ([`LabelSets`]): the sets that may be true, and their probabilities.
        num_labels (`int`): L.
        only_found (`bool`, *optional*, defaults to `False`): choose among the found sets alone. They keep the rules of
            the search (parents, exclusions, sizes); a set put together from several of them may not.

    Returns:
        `torch.BoolTensor` of shape `(B, L)`. Of equally good sets the smaller one, then that of the lower label ids;
        among found sets the more probable one.
    """
    if only_found:
        return answered_set(sets, num_labels, "expected_f1")
    members_BKL = sets.membership(num_labels)
    weights_BK, sizes_BK = sets.weights, members_BKL.sum(dim=2)
    is_empty_BK = sets.is_set & (sizes_BK == 0)
    best_value_B = torch.where(is_empty_BK, weights_BK, 0.0).sum(dim=1)  # of the empty set
    best_BL = torch.zeros_like(members_BKL[:, 0])
    most = int(members_BKL.any(dim=1).sum(dim=1).max()) if len(members_BKL) else 0
    for size in range(1, most + 1):
        share_BK = 2 * weights_BK / (size + sizes_BK)
        gains_BL = torch.einsum("bk,bkl->bl", share_BK, members_BKL.float())
        top = gains_BL.sort(dim=1, descending=True, stable=True)
        value_B = top.values[:, :size].sum(dim=1)
        is_better_B = value_B > best_value_B + 1e-6  # float32 rounding is no reason for one label more
        candidate_BL = torch.zeros_like(best_BL).scatter_(1, top.indices[:, :size], True)
        best_BL = torch.where(is_better_B[:, None], candidate_BL, best_BL)
        best_value_B = torch.where(is_better_B, value_B, best_value_B)
    return best_BL


def answered_places(sets: LabelSets, num_labels: int, decision: str) -> torch.LongTensor:
    """Which of its found sets each document is answered with, `(B,)`: a place in `sets`.

    Args:
        sets ([`LabelSets`]): from `merge_sets` or `rescore`.
        num_labels (`int`): L.
        decision (`str`):
            `"expected_f1"`, the found set with the highest expected F1, of equals the more probable one; otherwise the
            most probable one.
    """
    if decision != "expected_f1":
        return torch.zeros(len(sets.label_ids), dtype=torch.long, device=sets.label_ids.device)
    members_BKL = sets.membership(num_labels)
    values_BK = torch.stack([expected_f1(sets, members_BKL[:, k]) for k in range(members_BKL.shape[1])], dim=1)
    return torch.where(sets.is_set, values_BK, -1.0).argmax(dim=1)


def answered_set(sets: LabelSets, num_labels: int, decision: str) -> torch.BoolTensor:
    """The found set that each document is answered with, multi-hot `(B, L)`; arguments as `answered_places`."""
    return sets_at(sets, answered_places(sets, num_labels, decision), num_labels)


def sets_at(sets: LabelSets, places_B: torch.LongTensor, num_labels: int) -> torch.BoolTensor:
    """The set at one place of each document, multi-hot `(B, L)`; the empty one where nothing was found."""
    rows_B = torch.arange(len(places_B), device=places_B.device)
    return label_sets(sets.label_ids[rows_B, places_B], num_labels)


def score_logits(scores_BL: torch.Tensor) -> torch.FloatTensor:
    """Scores in [0, 1] as logits, of which the sigmoid gives them back; the ends are moved in by 1e-30 and 1e-6.

    Args:
        scores_BL (`torch.Tensor` of shape `(B, L)`): probabilities.
    """
    return torch.logit(scores_BL.float().clamp(LEAST, MOST))


def with_fewest(chosen_BL: torch.BoolTensor, logits_BL: torch.Tensor, min_labels: int) -> torch.BoolTensor:
    """Label sets, those with fewer than `min_labels` filled up with the labels of the highest scores.

    Args:
        chosen_BL (`torch.BoolTensor` of shape `(B, L)`): the sets.
        logits_BL (`torch.Tensor` of shape `(B, L)`): the labels' scores.
        min_labels (`int`): 0 changes nothing.
    """
    if not min_labels:
        return chosen_BL
    # chosen labels first, then by scores; stable, so that ties go to the lower number
    by_score_BL = logits_BL.sort(dim=1, descending=True, stable=True).indices
    chosen_first_BL = chosen_BL.gather(1, by_score_BL).long().sort(dim=1, descending=True, stable=True).indices
    first_BK = by_score_BL.gather(1, chosen_first_BL)[:, :min_labels]
    return chosen_BL.scatter(1, first_BK, True)


def _sorted(sets: LabelSets) -> LabelSets:
    """The most probable set first; of equals the earlier one."""
    order_BK = sets.log_weights.sort(dim=1, descending=True, stable=True).indices
    return LabelSets(
        sets.label_ids.gather(1, order_BK[:, :, None].expand_as(sets.label_ids)),
        sets.log_weights.gather(1, order_BK),
        sets.sequences.gather(1, order_BK),
    )


__all__ = [
    "LabelSets",
    "answered_places",
    "answered_set",
    "beam_marginals",
    "best_set",
    "expected_f1",
    "expected_f1_set",
    "labels_of_sequences",
    "merge_sets",
    "monte_carlo_marginals",
    "rescore",
    "score_logits",
    "sets_at",
    "step_hazard",
    "with_fewest",
]
