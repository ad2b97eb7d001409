"""Ranks of labels from training rows, and what is said where an order needs what is not there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_mlc.errors import UserError
from hf_mlc.label_orders import LABEL_ORDERS, fill_label_ranks, label_ranks
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_plant import PlantConfig


NAMES = ["oat", "grain", "wheat", "earn"]
COUNTS = [1, 4, 4, 7]


def space(**given) -> LabelSpace:
    return LabelSpace.from_names(NAMES, **{"counts": COUNTS, "num_documents": 10, **given})


def in_order(ranks: list[int], names: list[str] = NAMES) -> list[str]:
    assert sorted(ranks) == list(range(len(names)))
    return [names[label] for label in sorted(range(len(names)), key=ranks.__getitem__)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("frequency", ["earn", "grain", "wheat", "oat"]),
        ("rare_first", ["oat", "grain", "wheat", "earn"]),  # equals by id here too, so not the other one backwards
        ("alphabetical", ["earn", "grain", "oat", "wheat"]),
        ("random", ["earn", "grain", "wheat", "oat"]),
        ("dynamic", ["earn", "grain", "wheat", "oat"]),
    ],
)
def test_orders_that_need_counts_or_names_alone(order, expected):
    assert in_order(label_ranks(order, space())) == expected


def test_names_that_are_integers_go_by_number():
    numbers = LabelSpace.from_names(["10", "9", "-1"])
    assert in_order(label_ranks("alphabetical", numbers), numbers.names) == ["-1", "9", "10"]


def test_counts_are_those_of_the_training_rows_where_given_and_twice_in_one_is_once():
    assert in_order(label_ranks("frequency", space(), [[0, 0, 0], [1], [1, 2], [2, 3], [2]])) == [
        "wheat", "grain", "oat", "earn",
    ]  # fmt: skip


def test_a_given_order_is_taken_as_it_is():
    assert label_ranks("given", space(), given=[3, 0, 1, 2]) == [3, 0, 1, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            None,
            "field 'label_order': found 'given' but no order; accepted: label_ranks, one rank a label, or a label_file",
        ),
        ([0, 1], "field 'label_ranks': 2 ranks for 4 labels; accepted: 4 ranks, each of 0 ... 3 once"),
        ([0, 1, 1, 2], "field 'label_ranks': found 1 twice; accepted"),
        ([0, 1, 2, 4], "field 'label_ranks': found 4; accepted"),
        ([0, 1, 2, "x"], "field 'label_ranks': found 'x'; accepted"),
    ],
)
def test_a_given_order_that_is_none_is_refused(given, message):
    with pytest.raises(UserError) as error:
        label_ranks("given", space(), given=given)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_parents_come_first_and_the_most_frequent_of_those_that_may():
    # oat under wheat under earn; grain by itself: earn (7), then wheat (4) and grain (4) by id, then oat
    parents = {"oat": "wheat", "wheat": "earn"}
    assert in_order(label_ranks("topological", space(parents=parents))) == ["earn", "grain", "wheat", "oat"]
    # a rare parent holds a frequent child back, and nothing else
    assert in_order(label_ranks("topological", space(parents={"earn": "oat"}))) == ["grain", "wheat", "oat", "earn"]


def test_labels_may_have_several_parents_and_come_after_all_of_them():
    assert in_order(label_ranks("topological", space(), parents=[[], [], [], [0, 2]])) == [
        "grain",
        "wheat",
        "oat",
        "earn",
    ]
    assert in_order(label_ranks("topological", space(parents={"earn": "oat"}), parents=[[3], [], [], []])) == [
        "earn", "grain", "wheat", "oat",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_no_label_of_any_hierarchy_comes_before_a_parent(seed):
    import random

    chance = random.Random(seed)
    size = chance.randrange(2, 30)
    hidden = chance.sample(range(size), size)  # an order that the parents follow
    parents = [
        [other for other in range(size) if hidden[other] < hidden[label] and chance.random() < 0.2]
        for label in range(size)
    ]
    parents[hidden.index(size - 1)] = [hidden.index(0)]
    names, counts = [str(label) for label in range(size)], [chance.randrange(9) for _ in range(size)]
    ranks = label_ranks("topological", LabelSpace.from_names(names, counts=counts, num_documents=9), parents=parents)
    assert sorted(ranks) == list(range(size))
    assert all(ranks[parent] < ranks[label] for label, some in enumerate(parents) for parent in some)
    # greedy: no label that could have stood at a place was more frequent than the one there
    order = sorted(range(size), key=ranks.__getitem__)
    for place, label in enumerate(order):
        could = [other for other in order[place:] if all(ranks[parent] < place for parent in parents[other])]
        assert label == min(could, key=lambda other: (-counts[other], other))


def test_topological_without_parents_is_refused():
    for given in ({}, {"parents": [-1, -1, -1, -1]}):
        with pytest.raises(UserError) as error:
            label_ranks("topological", space(**given))
        assert "field 'label_order': found 'topological', but no label has a parent; accepted: a label_file" in str(
            error.value
        )


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        (
            [[], [1], [], []],
            "field 'label_parents': label 'grain' is its own parent; accepted: parents without cycles",
        ),
        ([[1], [2], [1], []], "2 labels are their own ancestors: 'grain', 'wheat'; accepted"),
        ([[3], [0, 3], [1], [2]], "4 labels are their own ancestors: 'oat', 'earn', 'wheat', ...; accepted"),
        ([[3, 1], [3, 2], [1], []], "2 labels are their own ancestors: 'grain', 'wheat'; accepted"),
        ([[], [0, 2], [0, 1], []], "2 labels are their own ancestors: 'grain', 'wheat'; accepted"),
        ([[0]], "1 entries for 4 labels; accepted: one list a label"),
        ([[], [], [9], []], "the parent 9 of label 'wheat' is not a label; accepted: ids from 0 to 3"),
    ],
)
def test_parents_in_a_circle_and_parents_that_are_none_are_refused_in_one_line(parents, message):
    with pytest.raises(UserError) as error:
        label_ranks("topological", space(), parents=parents)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_order_that_there_is_not_and_counts_that_there_are_not():
    with pytest.raises(UserError, match="field 'label_order': found 'fifo'; accepted: frequency, rare_first"):
        label_ranks("fifo", space())
    uncounted = LabelSpace.from_names(NAMES)
    with pytest.raises(UserError, match="no training counts; accepted: alphabetical, or given"):
        label_ranks("frequency", uncounted)
    assert label_ranks("frequency", uncounted, [[0], [0], [1]]) == [0, 1, 2, 3]


def config(order: str, **given) -> SimpleNamespace:
    return SimpleNamespace(**{"label_order": order, "label_ranks": None, "label_parents": None, **given})


def test_a_configuration_gets_the_ranks_of_its_order():
    for order in set(LABEL_ORDERS) - {"given", "topological", "seriation"}:
        filled = config(order)
        fill_label_ranks(filled, space())
        assert filled.label_ranks == label_ranks(order, space())
        fill_label_ranks(filled, space())  # a second time changes nothing
    filled = config("topological", label_parents=[[1], [], [], []])
    fill_label_ranks(filled, space(parents={"earn": "oat"}))  # the configuration's parents, not these
    assert in_order(filled.label_ranks) == ["earn", "grain", "wheat", "oat"]


def test_the_given_order_is_that_of_the_ranks_else_that_of_the_label_file():
    filled = config("given", label_ranks=[3, 2, 1, 0])
    fill_label_ranks(filled, space(), order_is_given=True)
    assert filled.label_ranks == [3, 2, 1, 0]
    filled = config("given")
    fill_label_ranks(filled, space(), order_is_given=True)
    assert filled.label_ranks == [0, 1, 2, 3]
    with pytest.raises(UserError, match="found 'given' but no order"):
        fill_label_ranks(config("given"), space())


def test_ranks_for_an_order_that_does_not_read_them_are_refused():
    with pytest.raises(UserError, match="field 'label_ranks': set, but label_order is 'frequency'"):
        fill_label_ranks(config("frequency", label_ranks=[0, 1, 2, 3]), space())


@pytest.mark.parametrize(
    ("order", "parents", "loss", "warns"),
    [
        ("alphabetical", [[], [0], [], []], "sequence_ce", True),
        ("alphabetical", [[], [0], [], []], "ocd", False),
        ("alphabetical", [[1], [], [], []], "sequence_ce", False),
        ("topological", [[1], [], [], []], "sequence_ce", False),
        ("random", [[], [0], [], []], "sequence_ce", True),
        ("random", None, "sequence_ce", False),
    ],
)
def test_an_order_that_puts_a_child_before_its_parent_is_warned_of(order, parents, loss, warns, monkeypatch):
    warnings = []
    monkeypatch.setattr("hf_mlc.label_orders.logger.warning_once", warnings.append)
    fill_label_ranks(config(order, label_parents=parents, sequence_loss=loss), space())
    assert len(warnings) == warns
    assert all("before its parent" in words and "label_order: topological" in words for words in warnings)


def test_a_model_that_writes_no_sequence_is_left_alone():
    plant = PlantConfig(num_labels=4)
    before = plant.to_dict()
    fill_label_ranks(plant, space())
    assert plant.to_dict() == before


def test_seriation_reads_the_rows_and_refuses_without():
    rows = [[3, 0], [0, 2], [2, 1]] * 2 + [[3, 0], *[[]] * 9]
    assert in_order(label_ranks("seriation", space(), rows)) == ["earn", "oat", "wheat", "grain"]
    with pytest.raises(UserError, match="found 'seriation', but no training rows; accepted: frequency, given"):
        label_ranks("seriation", space())


def msdn(**given) -> MsdnConfig:
    return MsdnConfig(num_labels=4, **given)


def test_a_chain_has_the_ranks_of_its_order():
    for order in ("frequency", "rare_first", "alphabetical"):
        filled = msdn(label_order=order)
        fill_label_ranks(filled, space(parents={"earn": "oat"}))  # parents say nothing of a chain
        assert filled.label_ranks == label_ranks(order, space())
    filled = msdn(label_order="seriation")
    fill_label_ranks(filled, space(), label_ids=[[3, 0], [0, 2], [2, 1]] * 2 + [[3, 0], *[[]] * 9])
    assert in_order(filled.label_ranks) == ["earn", "oat", "wheat", "grain"]
    filled = msdn(label_order="given", label_ranks=[3, 2, 1, 0])
    fill_label_ranks(filled, space())
    assert filled.label_ranks == [3, 2, 1, 0]


def test_random_orders_are_drawn_once_by_their_seed():
    ranks = {}
    for seed in (0, 0, 1):
        filled = msdn(label_order="random", label_order_seed=seed, num_orders=3)
        fill_label_ranks(filled, space())
        assert all(sorted(some) == [0, 1, 2, 3] for some in filled.label_ranks)
        assert ranks.setdefault(seed, filled.label_ranks) == filled.label_ranks
        # what the model would have drawn without training
        unfilled = msdn(label_order="random", label_order_seed=seed, num_orders=3)
        assert unfilled.label_orders == filled.label_orders
    assert ranks[0] != ranks[1]


def test_several_orders_are_the_asked_one_and_random_ones():
    filled = msdn(num_orders=3)
    fill_label_ranks(filled, space())
    drawn = msdn(label_order="random", num_orders=3)
    fill_label_ranks(drawn, space())
    assert filled.label_ranks == [label_ranks("frequency", space()), *drawn.label_ranks[1:]]
    filled.validate()
    fill_label_ranks(filled, space())  # a second time changes nothing


def test_one_given_order_may_be_a_list_of_one():
    filled = msdn(label_order="given", label_ranks=[[3, 2, 1, 0]])
    fill_label_ranks(filled, space())
    assert filled.label_ranks == [3, 2, 1, 0]


def test_given_orders_are_as_many_as_there_are_chains():
    several = [[3, 2, 1, 0], [0, 1, 2, 3]]
    filled = msdn(label_order="given", num_orders=2, label_ranks=several)
    fill_label_ranks(filled, space())
    assert filled.label_ranks == several
    wrong = SimpleNamespace(label_order="given", label_ranks=several, num_orders=3, label_order_seed=0)
    with pytest.raises(UserError, match="field 'label_ranks': 2 orders; accepted: 3"):
        fill_label_ranks(wrong, space())
    with pytest.raises(UserError, match="set, but label_order is 'frequency'"):
        fill_label_ranks(msdn(num_orders=2, label_ranks=several), space())
