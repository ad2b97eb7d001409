"""Sets and scores of found sequences: against sums over all sequences of a small distribution, and against brute force."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD
from hf_mlc.modeling.set_scores import (
    LabelSets,
    answered_places,
    beam_marginals,
    best_set,
    expected_f1,
    expected_f1_set,
    labels_of_sequences,
    merge_sets,
    monte_carlo_marginals,
    rescore,
    score_logits,
    sets_at,
    step_hazard,
)


L = 4


def distribution(seed: int) -> dict[tuple[int, ...], float]:
    """Every sequence of different labels, with its probability under random steps that depend on the prefix."""
    generator = torch.Generator().manual_seed(seed)
    found = {}

    def extend(prefix: tuple[int, ...], log_prob: float) -> None:
        logits = torch.randn(L + 1, generator=generator, dtype=torch.float64) * 1.5
        logits[list(prefix)] = -torch.inf  # the last column is the end
        log_probs = logits.log_softmax(dim=0).tolist()
        found[prefix] = log_prob + log_probs[L]
        for label in set(range(L)) - set(prefix):
            extend((*prefix, label), log_prob + log_probs[label])

    extend((), 0.0)
    return found


def tensors(
    *distributions: dict[tuple[int, ...], float], most: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sequences of several documents as beam search gives them: start, labels, end, filled up with ends."""
    sequences, scores = [], []
    for found in distributions:
        best = sorted(found, key=found.get, reverse=True)[:most]
        sequences.append([[BOS, *(label + LABEL_OFFSET for label in s), *[EOS] * (L + 1 - len(s))] for s in best])
        scores.append([found[s] for s in best])
    return torch.tensor(sequences), torch.tensor(scores)


def sums_by_set(found: dict[tuple[int, ...], float]) -> dict[frozenset[int], float]:
    sums: dict[frozenset[int], float] = {}
    for sequence, log_prob in found.items():
        sums[frozenset(sequence)] = sums.get(frozenset(sequence), 0.0) + math.exp(log_prob)
    return sums


def as_sets(flags_BL: torch.Tensor) -> list[frozenset[int]]:
    return [frozenset(row.nonzero().flatten().tolist()) for row in flags_BL]


def f1(one: frozenset[int], other: frozenset[int]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


ALL_SETS = [frozenset(s) for size in range(L + 1) for s in itertools.combinations(range(L), size)]


def test_labels_stand_before_the_first_end_in_the_order_in_which_they_came():
    sequences = torch.tensor([[BOS, 6, 3, EOS, EOS], [BOS, EOS, 5, 4, PAD], [BOS, 5, PAD, 4, 3]])
    assert labels_of_sequences(sequences).tolist() == [
        [3, 0, -100, -100, -100],
        [-100] * 5,
        [2, 1, 0, -100, -100],  # no end: cut off by the longest length
    ]


def test_orders_of_one_set_are_joined_and_the_likelier_order_stands_for_it():
    # {0, 1} in two orders, .2 + .25, beats {2}, .3; the empty set, .1; one that beam search made up
    sequences = torch.tensor([[[3, 4, EOS], [5, EOS, EOS], [4, 3, EOS], [EOS, EOS, EOS], [6, 6, 6]]])
    scores = torch.tensor([[math.log(0.2), math.log(0.3), math.log(0.25), math.log(0.1), -1e9]])
    sets = merge_sets(sequences, scores)
    assert sets.label_ids[0, :3].tolist() == [[0, 1, -100], [2, -100, -100], [-100, -100, -100]]
    assert torch.allclose(sets.log_weights[0, :3].exp(), torch.tensor([0.45, 0.3, 0.1]))
    assert sets.log_weights[0, 3:].tolist() == [-math.inf] * 2 and sets.is_set.tolist() == [[True] * 3 + [False] * 2]
    assert sets.sequences[0, :3].tolist() == [2, 1, 3]
    assert best_set(sets, L).tolist() == [[True, True, False, False]]
    expected = torch.tensor([[0.45, 0.45, 0.3, 0.0]]) / 0.85
    assert torch.allclose(beam_marginals(sets, L), expected)


def test_a_label_written_twice_counts_once():
    sets = merge_sets(torch.tensor([[[3, 3, EOS], [3, EOS, EOS]]]), torch.tensor([[-1.0, -1.0]]))
    assert sets.label_ids[0, 0].tolist() == [0, -100, -100] and sets.is_set.tolist() == [[True, False]]
    assert math.isclose(sets.log_weights[0, 0], math.log(2) - 1, rel_tol=1e-6)


def test_with_all_sequences_sets_and_marginals_are_the_true_probabilities():
    documents = [distribution(seed) for seed in range(5)]
    sets = merge_sets(*tensors(*documents))
    marginals, members = beam_marginals(sets, L, torch.rand(5, L)), sets.membership(L)
    disagreed = 0
    for row, found in enumerate(documents):
        sums = sums_by_set(found)
        assert math.isclose(sum(sums.values()), 1, rel_tol=1e-9)
        assert sets.is_set[row].sum() == len(ALL_SETS)
        for place, labels in enumerate(as_sets(members[row, : len(ALL_SETS)])):
            assert math.isclose(sets.log_weights[row, place].exp(), sums[labels], rel_tol=1e-4)
        for label in range(L):
            assert math.isclose(marginals[row, label], sum(p for s, p in sums.items() if label in s), rel_tol=1e-4)
        assert as_sets(best_set(sets, L))[row] == max(sums, key=sums.get)
        disagreed += frozenset(max(found, key=found.get)) != max(sums, key=sums.get)
    assert disagreed  # the best sequence is not always of the best set: what merging is for


def test_a_document_has_the_same_scores_alone_as_among_others():
    documents = [distribution(seed) for seed in range(4)]
    sequences, scores = tensors(*documents, most=6)
    first, auxiliary = torch.rand(4, L), torch.randn(4, L)
    sets = rescore(merge_sets(sequences, scores), auxiliary, 0.5)
    for row in range(4):
        alone = rescore(merge_sets(sequences[row, None], scores[row, None]), auxiliary[row, None], 0.5)
        assert torch.equal(beam_marginals(alone, L, first[row, None])[0], beam_marginals(sets, L, first)[row])
        assert torch.equal(expected_f1_set(alone, L)[0], expected_f1_set(sets, L)[row])


def test_labels_in_no_set_are_ordered_by_the_first_step_and_overtake_none():
    sequences = torch.tensor([[[3, EOS], [4, EOS]]])
    sets = merge_sets(sequences, torch.tensor([[0.0, math.log(1e-5)]]))
    marginals = beam_marginals(sets, L, torch.tensor([[0.0, 0.0, 0.2, 1.0]]))[0]
    assert torch.equal(marginals[:2], beam_marginals(sets, L)[0, :2])
    assert marginals.argsort(descending=True).tolist() == [0, 1, 3, 2]
    assert 0 < marginals[2] < marginals[3] <= 1e-3 * marginals[1]
    logits = score_logits(marginals)
    assert logits.argsort(descending=True).tolist() == [0, 1, 3, 2] and logits.isfinite().all()
    assert torch.allclose(logits.sigmoid(), marginals, rtol=1e-4, atol=2e-6)


def test_nothing_found_is_the_empty_set_without_scores():
    sets = merge_sets(torch.tensor([[[3, EOS]]]), torch.tensor([[-1e9]]))
    assert sets.weights.tolist() == [[0.0]] and not best_set(sets, L).any() and not beam_marginals(sets, L).any()
    assert not expected_f1_set(sets, L).any() and not expected_f1_set(sets, L, only_found=True).any()


def test_sampled_marginals_are_shares_and_come_near_the_true_ones():
    assert monte_carlo_marginals(torch.tensor([[[3, 4, EOS], [EOS, 3, 4], [4, EOS, PAD]]]), L).tolist() == [
        pytest.approx([1 / 3, 2 / 3, 0, 0])
    ]
    found = distribution(0)
    sequences, scores = tensors(found)
    torch.manual_seed(0)
    drawn = torch.multinomial(scores[0].exp(), 4000, replacement=True)
    estimate = monte_carlo_marginals(sequences[0, drawn][None], L)
    assert torch.allclose(estimate, beam_marginals(merge_sets(sequences, scores), L), atol=4 * 0.5 / 4000**0.5)


def test_the_hazard_is_the_product_written_out():
    torch.manual_seed(0)
    probs = torch.rand(2, 3, L + LABEL_OFFSET, dtype=torch.float64)
    probs /= probs.sum(dim=2, keepdim=True)
    written = torch.tensor([[3, EOS, EOS], [4, 5, 6]])  # the first ends at its second step, whose end counts
    scores = step_hazard(probs.log(), written)
    for row, steps in enumerate((2, 3)):
        for label in range(L):
            alive, missed = 1.0, 1.0
            for step in range(steps):
                missed *= 1 - alive * probs[row, step, label + LABEL_OFFSET].item()
                alive *= 1 - probs[row, step, EOS].item()
            assert math.isclose(scores[row, label], 1 - missed, rel_tol=1e-6)


def test_rescoring_ranks_by_the_sum_written_out_and_weight_0_changes_nothing():
    documents = [distribution(seed) for seed in range(3)]
    sets = merge_sets(*tensors(*documents))
    logits = torch.randn(3, L) * 2
    same = rescore(sets, logits, 0.0)
    assert torch.equal(same.label_ids, sets.label_ids) and torch.equal(same.log_weights, sets.log_weights)
    weight, changed = 0.8, 0
    rescored = rescore(sets, logits, weight)
    for row, found in enumerate(documents):
        sums = sums_by_set(found)
        on, off = torch.sigmoid(logits[row]).log(), torch.sigmoid(-logits[row]).log()
        totals = {
            labels: math.log(p) + weight * sum((on if label in labels else off)[label].item() for label in range(L))
            for labels, p in sums.items()
        }
        order = sorted(totals, key=totals.get, reverse=True)
        assert as_sets(rescored.membership(L)[row, : len(order)]) == order
        norm = math.log(sum(math.exp(total) for total in totals.values()))
        expected = torch.tensor([math.exp(totals[labels] - norm) for labels in order])
        assert torch.allclose(rescored.weights[row, : len(order)], expected, atol=1e-5)
        changed += order[0] != max(sums, key=sums.get)
    assert changed


@pytest.mark.parametrize("most", (None, 5, 1))
def test_the_set_of_highest_expected_f1_is_that_of_brute_force(most):
    documents = [distribution(seed) for seed in range(12)]
    sequences, scores = tensors(*documents, most=most)
    sets = merge_sets(sequences, scores)
    chosen, among_found = expected_f1_set(sets, L), expected_f1_set(sets, L, only_found=True)
    differs = 0
    for row in range(len(documents)):
        places = sets.is_set[row].nonzero().flatten().tolist()
        found = [as_sets(sets.membership(L)[row])[place] for place in places]
        weights = sets.weights[row, places].tolist()
        value = {c: sum(w * f1(c, s) for s, w in zip(found, weights, strict=True)) for c in ALL_SETS}
        best = max(value.values())
        assert math.isclose(value[as_sets(chosen)[row]], best, abs_tol=2e-6)
        assert math.isclose(expected_f1(sets, chosen)[row], best, abs_tol=2e-6)
        assert math.isclose(value[as_sets(among_found)[row]], max(value[s] for s in found), abs_tol=2e-6)
        differs += as_sets(chosen)[row] != as_sets(best_set(sets, L))[row]
    assert bool(differs) == (most != 1)  # not the most probable set, which subset accuracy asks for


def test_the_weights_of_sets_sum_to_one_and_padding_has_none():
    sets = LabelSets(
        torch.tensor([[[0, -100], [1, 2], [-100, -100]]]),
        torch.tensor([[0.0, -1.0, -math.inf]]),
        torch.zeros(1, 3).long(),
    )
    assert math.isclose(sets.weights.sum(), 1, rel_tol=1e-6) and sets.weights[0, 2] == 0
    assert sets.membership(L)[0].tolist() == [[True, False, False, False], [False, True, True, False], [False] * L]


def test_the_answered_place_is_the_first_or_that_of_the_highest_expected_f1():
    # {0} .4, {1, 2} .3, {1, 2, 3} .3: expected F1 .4, .3 + .3 * .8 = .54, .3 * .8 + .3 = .54, the first of the two
    ids = torch.tensor([[[0, -100, -100], [1, 2, -100], [1, 2, 3]]])
    sets = LabelSets(ids, torch.tensor([[0.4, 0.3, 0.3]]).log(), torch.zeros(1, 3).long())
    for decision, place in (("sequence", 0), ("thresholds", 0), ("expected_f1", 1)):
        places = answered_places(sets, L, decision)
        assert places.tolist() == [place]
        assert as_sets(sets_at(sets, places, L)) == as_sets(sets.membership(L)[0, place : place + 1])
    nothing = LabelSets(torch.full((1, 3, 3), -100), torch.full((1, 3), -math.inf), torch.zeros(1, 3).long())
    for decision in ("sequence", "expected_f1"):
        assert not sets_at(nothing, answered_places(nothing, L, decision), L).any()
