"""What may come next: against the rules written out for one prefix at a time, and never a dead end."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import pytest
import torch

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_constraints import LabelConstraints, LabelConstraintsProcessor
from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD, sets_of_sequences


L = 5
V = L + LABEL_OFFSET
# 0 above 1 and 2; 3 below 1 and 2; 4 free
PARENTS = [[], [0], [0], [1, 2], []]
RULES = {
    "nothing": {},
    "two at least": {"min_labels": 2},
    "two at most": {"max_labels": 2},
    "exactly two": {"min_labels": 2, "max_labels": 2},
    "parents": {"label_parents": PARENTS},
    "parents, all five asked for": {"label_parents": PARENTS, "min_labels": 5},
    "one of a group": {"label_exclusions": [[0, 1], [1, 2, 4]]},
    "one of a group, more asked for than there can be": {"label_exclusions": [[0, 1, 2, 3, 4]], "min_labels": 3},
    "all at once": {"label_parents": PARENTS, "label_exclusions": [[3, 4]], "min_labels": 3, "max_labels": 4},
    "more than there are": {"min_labels": 9},
}


def rules(**fields) -> LabelConstraints:
    return LabelConstraints(L, **fields)


def used(*sets) -> torch.Tensor:
    flags = torch.zeros(len(sets), V, dtype=torch.bool)
    for row, labels in enumerate(sets):
        flags[row, [label + LABEL_OFFSET for label in labels]] = True
    return flags


def allowed_by_hand(given: set[int], *, min_labels=0, max_labels=None, label_parents=None, label_exclusions=None):
    """The rules in words, for one prefix: the ids that may come next."""
    labels = set()
    for label in set(range(L)) - given:
        has_parents = all(parent in given for parent in (label_parents or [[]] * L)[label])
        is_free = not any(label in group and given & set(group) for group in label_exclusions or [])
        if has_parents and is_free and (max_labels is None or len(given) < max_labels):
            labels.add(label + LABEL_OFFSET)
    return labels | ({EOS} if len(given) >= min_labels or not labels else set())


@pytest.mark.parametrize("name", RULES)
def test_every_subset_of_the_labels_goes_on_as_the_rules_say(name):
    subsets = [set(s) for size in range(L + 1) for s in itertools.combinations(range(L), size)]
    mask = rules(**RULES[name]).mask(used(*subsets))
    assert mask.any(dim=1).all()
    for row, given in enumerate(subsets):
        assert set(mask[row].nonzero().flatten().tolist()) == allowed_by_hand(given, **RULES[name]), given
        alone = rules(**RULES[name]).mask(used(given), step=len(given))
        assert torch.equal(alone[0], mask[row])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("repeat_mask", (True, False))
def test_from_every_prefix_the_end_is_reached_whatever_the_choices(name, repeat_mask):
    constraints = rules(**RULES[name], repeat_mask=repeat_mask)
    generator = random.Random(0)
    for _ in range(60):
        given, steps, owed = [], 0, None
        while True:
            allowed = set(constraints.mask(used(given), step=steps)[0].nonzero().flatten().tolist())
            assert allowed and not allowed & {PAD, BOS}
            if EOS in allowed:
                owed = steps if owed is None else owed
            # it ends as soon as it may, or goes on as long as it can
            longest = not repeat_mask and steps > 12
            choice = (
                EOS if EOS in allowed and (generator.random() < 0.3 or longest) else generator.choice(sorted(allowed))
            )
            if choice == EOS:
                break
            given.append(choice - LABEL_OFFSET)
            steps += 1
            assert steps <= (constraints.most_steps if repeat_mask else 99)
        assert owed <= min(RULES[name].get("min_labels", 0), L)
        assert constraints.keeps(used(given)[:, LABEL_OFFSET:]).all(), given
        if repeat_mask:
            assert len(set(given)) == len(given)


@pytest.mark.parametrize("name", RULES)
def test_a_set_keeps_the_rules_just_when_some_order_of_it_is_allowed(name):
    constraints = rules(**RULES[name])
    for size in range(L + 1):
        for labels in itertools.combinations(range(L), size):
            found = False
            for order in itertools.permutations(labels):
                prefixes = [order[:step] for step in range(size + 1)]
                mask = constraints.mask(used(*prefixes))
                following = [label + LABEL_OFFSET for label in order] + [EOS]
                found = found or bool(mask[torch.arange(size + 1), following].all())
            assert constraints.keeps(used(labels)[:, LABEL_OFFSET:]).item() == found, labels


def test_repeats_are_allowed_only_where_the_end_is_too():
    constraints = rules(min_labels=2, max_labels=3, repeat_mask=False)
    one, two, three = constraints.mask(used([0], [0, 1], [0, 1]), step=torch.tensor([1, 2, 3]))
    assert one.nonzero().flatten().tolist() == [4, 5, 6, 7]  # the second label, and not 0 again
    assert two.nonzero().flatten().tolist() == [EOS, 3, 4, 5, 6, 7]
    assert three.nonzero().flatten().tolist() == [EOS]  # three tokens, one of them a repetition


def test_the_rules_of_a_configuration():
    config = SimpleNamespace(
        num_labels=L, min_labels=1, max_labels=2, label_parents=PARENTS, label_exclusions=[[0, 4]]
    )
    constraints = LabelConstraints.from_config(config)
    assert constraints.restricts and constraints.most_steps == 3
    assert constraints.mask(used([]))[0].nonzero().flatten().tolist() == [3, 7]
    assert constraints.mask(used([0]))[0].nonzero().flatten().tolist() == [EOS, 4, 5]
    assert not LabelConstraints.from_config(SimpleNamespace(num_labels=L, min_labels=0)).restricts


def test_rules_follow_a_configuration_that_is_changed_in_place():
    config = SimpleNamespace(num_labels=L, min_labels=0, label_parents=[list(parents) for parents in PARENTS])
    constraints = LabelConstraints.from_config(config)
    assert LabelConstraints.from_config(config) is constraints
    config.label_parents[4].append(0)
    assert constraints.mask(used([]))[0, 7] and not LabelConstraints.from_config(config).mask(used([]))[0, 7]
    config.num_labels, config.label_parents = L + 1, None
    assert LabelConstraints.from_config(config).num_labels == L + 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"min_labels": -1}, "`min_labels`"),
        ({"max_labels": 0}, "`max_labels`"),
        ({"min_labels": 3, "max_labels": 2}, "`max_labels`"),
        ({"label_parents": [[]] * (L - 1)}, "`label_parents`"),
        ({"label_parents": [[L], [], [], [], []]}, "`label_parents\\[0\\]`"),
        ({"label_exclusions": [[0, -1]]}, "`label_exclusions\\[0\\]`"),
        ({"label_parents": [[1], [2], [0], [], []]}, "circle"),
        ({"label_parents": [[0], [], [], [], []]}, "circle"),
        # 3 needs 1 and 2, which exclude each other; and 3 needs 0, two steps up
        ({"label_parents": PARENTS, "label_exclusions": [[4], [1, 2]]}, "`label_exclusions\\[1\\]` forbids label 3"),
        ({"label_parents": PARENTS, "label_exclusions": [[0, 3]]}, "`label_exclusions\\[0\\]` forbids label 3"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(fields, named):
    with pytest.raises(ValueError, match=named):
        rules(**fields)


def test_a_long_chain_of_parents_is_no_deep_recursion():
    chain = LabelConstraints(3000, label_parents=[[], *([label] for label in range(2999))])
    flags = torch.zeros(1, 3003, dtype=torch.bool)
    flags[0, 3:103] = True
    assert chain.mask(flags)[0].nonzero().flatten().tolist() == [EOS, 103]


def test_generate_keeps_to_the_rules_by_the_processor():
    constraints = rules(**RULES["all at once"])
    process = LabelConstraintsProcessor(constraints)
    torch.manual_seed(0)
    ids = torch.full((64, 1), BOS)
    while ids.shape[1] <= constraints.most_steps:
        probs = process(ids, torch.randn(64, V)).softmax(dim=1)
        has_ended = (ids == EOS).any(dim=1)
        following = torch.multinomial(probs, 1)
        ids = torch.cat([ids, torch.where(has_ended[:, None], EOS, following)], dim=1)
    assert (ids == EOS).any(dim=1).all()
    sets = sets_of_sequences(ids, L)
    assert constraints.keeps(sets).all() and len({tuple(row) for row in sets.tolist()}) > 2
    scores = torch.randn(64, V)
    assert torch.equal(process(ids, scores), scores)  # rows that have ended are not touched


def test_where_a_model_s_own_rules_leave_nothing_that_is_allowed_the_sequence_ends():
    """The model allows the end alone after one label; this call asks for two."""
    process = LabelConstraintsProcessor(rules(min_labels=2))
    scores = torch.full((2, V), float("-inf"))
    scores[0, EOS] = scores[1, LABEL_OFFSET + 1] = -0.5
    masked = process(torch.tensor([[BOS, LABEL_OFFSET]] * 2), scores.clone())
    assert masked.softmax(dim=1).argmax(dim=1).tolist() == [EOS, LABEL_OFFSET + 1] and not masked.isnan().any()


def test_rules_made_under_another_device_serve_models_on_this_one():
    config = SgmConfig(num_labels=4, label_exclusions=[[0, 1]], label_parents=[[], [], [0], []])
    with torch.device("meta"):
        LabelConstraints.from_config(config)
    assert LabelConstraints.from_config(config).mask(torch.zeros(1, 7, dtype=torch.bool)).device.type == "cpu"
