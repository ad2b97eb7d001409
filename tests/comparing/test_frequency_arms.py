"""Popularity, personal frequency, their mixes and TIFU-KNN: by hand, and chosen on validation rows."""

from __future__ import annotations

from dataclasses import dataclass

import datasets
import numpy as np
import pytest

from hf_mlc.comparing.arms import Job, fit
from hf_mlc.comparing.arms.event_histories import Histories, HistoryReader
from hf_mlc.comparing.arms.grid_choice import choose_from_grid
from hf_mlc.comparing.arms.next_frequency import METHODS, mixed, personal_shares, scores
from hf_mlc.comparing.arms.tifu_knn import GRID, Neighbours, event_weights
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace


A, B, C, D = range(4)
POPULARITY_L = np.array([0.5, 0.25, 0.25, 0.0])


def histories(*rows) -> Histories:
    return Histories([[np.array(ids, np.int64) for ids in row] for row in rows], 4)


def stored(sets, *, user=None, first: float = 0.0, target_time=None) -> dict:
    """Events a time unit apart as a row stores them; sets as strings, a letter a label."""
    return {
        "user": user,
        "times": [first + place for place in range(len(sets))],
        "sizes": [len(labels) for labels in sets],
        "labels": [label for labels in sets for label in labels],
        "amounts": [],
        "target_time": target_time,
    }


@dataclass
class Made:
    """Rows as the arms read them."""

    parts: dict[str, datasets.Dataset]
    train: str = "train.jsonl"
    validation: str = "validation.jsonl"

    def read(self, split: str) -> datasets.Dataset:
        return self.parts[split]

    def label_space(self) -> LabelSpace:
        return LabelSpace.from_label_lists(self.parts["train"]["labels"], names=list("abcd"))


FEATURES = datasets.Features(
    {
        "events": {
            "user": datasets.Value("string"),
            "times": datasets.List(datasets.Value("float64")),
            "sizes": datasets.List(datasets.Value("int32")),
            "labels": datasets.List(datasets.Value("string")),
            "amounts": datasets.List(datasets.Value("float32")),
            "target_time": datasets.Value("float64"),
        },
        "labels": datasets.List(datasets.Value("string")),
    }
)


def made(train, validation) -> Made:
    """Rows of (history, next labels)."""
    parts = {}
    for name, rows in (("train", train), ("validation", validation)):
        listed = [{"events": events, "labels": list(labels)} for events, labels in rows]
        parts[name] = datasets.Dataset.from_list(listed, features=FEATURES)
    return Made(parts)


# -- counting by hand -------------------------------------------------------------------------------------------------


def test_the_share_of_the_last_events():
    three = histories([[A, B], [A], [C]], [], [[D]])
    assert np.allclose(personal_shares(three, None), [[2 / 3, 1 / 3, 1 / 3, 0], [0] * 4, [0, 0, 0, 1]])
    assert np.allclose(personal_shares(three, 2), [[1 / 2, 0, 1 / 2, 0], [0] * 4, [0, 0, 0, 1]])
    assert np.allclose(personal_shares(three, 1), [[0, 0, 1, 0], [0] * 4, [0, 0, 0, 1]])


def test_the_two_mixes():
    shares_NL = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    added = mixed(shares_NL, np.array([1, 3, 0]), POPULARITY_L, alpha=3.0)
    assert np.allclose(added[0], [3.5 / 4, 0.25 / 4, 0.25 / 4, 0])
    smoothed = mixed(shares_NL, np.array([1, 3, 0]), POPULARITY_L, prior=1.0)
    assert np.allclose(smoothed[0], [0.5 + 0.25, 0.125, 0.125, 0])  # one event against one
    assert np.allclose(smoothed[1], [0.125, 0.75 + 0.0625, 0.0625, 0])  # three against one
    assert np.allclose(smoothed[2], POPULARITY_L)  # nobody knows this user


def test_scores_are_those_of_the_method_from_0_to_1():
    two = histories([[A], [B], [B]], [])
    assert np.allclose(scores(two, POPULARITY_L), [POPULARITY_L, POPULARITY_L])
    assert np.allclose(scores(two, POPULARITY_L, window=2)[0], [0, 1, 0, 0])
    assert np.allclose(scores(two, POPULARITY_L, window=2, alpha=1.0)[0], [0.25, 0.625, 0.125, 0])
    # of a window of 2 no more than 2 events speak for the user
    assert np.allclose(scores(two, POPULARITY_L, window=2, prior=2.0)[0], [0.25, 0.625, 0.125, 0])
    assert scores(two, POPULARITY_L, window=None).dtype == np.float32


# -- histories --------------------------------------------------------------------------------------------------------


def space() -> LabelSpace:
    return LabelSpace.from_label_lists([["a"], ["b", "a"]], names=list("abcd"))


def test_a_label_that_is_unknown_is_left_out_and_its_event_stays():
    sets = HistoryReader(space()).sets(stored(["ax", "x", "ba"]))
    assert [ids.tolist() for ids in sets] == [[A], [], [A, B]]


def test_a_user_s_sequence_is_put_together_from_overlapping_and_cut_histories():
    train = [
        (stored(["a", "b"], user="u", first=0, target_time=2.0), "c"),
        (stored(["c", "d"], user="u", first=2, target_time=4.0), "a"),  # the first two events are cut off
        (stored(["d"], user="v", first=0), "b"),
        (stored(["d", "b"], user="v", first=0), "c"),  # a row further on; neither says when its target is
        (stored(["a"]), "a"),
        (stored(["a"]), "b"),
    ]
    users, sequences = HistoryReader(space()).sequences(made(train, train).read("train"))
    assert users == ["u", "v", None, None]
    assert sequences.lengths_N.tolist() == [5, 3, 2, 2]
    sums = sequences.weighted(lambda length: 10.0 ** np.arange(length)).toarray()
    assert sums.tolist() == [[10001, 10, 100, 1000], [0, 10, 100, 1], [11, 0, 0, 0], [1, 10, 0, 0]]


# -- TIFU-KNN by hand -------------------------------------------------------------------------------------------------


def test_the_weights_of_events_in_groups():
    within, between = 0.5, 0.1
    expected = [0.01 / 3 * 0.25, 0.01 / 3 * 0.5]  # group 1 of 3: two events
    expected += [0.1 / 3 * 0.25, 0.1 / 3 * 0.5]
    expected += [1 / 3 * 0.25 / 3, 1 / 3 * 0.5 / 3, 1 / 3 / 3]  # the last group has one more
    assert np.allclose(event_weights(7, 3, within, between), expected)
    assert np.allclose(event_weights(2, 7, within, between), [0.1 / 2, 1 / 2])  # fewer events than groups
    assert np.allclose(event_weights(4, 2, 1.0, 1.0), [0.25] * 4)  # no decay: shares
    assert event_weights(0, 7, within, between).shape == (0,)


def test_scores_of_the_own_vector_and_the_nearest():
    # with one group and no decay a vector is the shares; u (1, 0, 0, 0), v (.5, .5, 0, 0), w (0, 0, 0, 1)
    training = histories([[A]], [[A], [B]], [[D]])
    model = Neighbours(["u", "v", "w"], training, 1, 1.0, 1.0)
    own = model.vectors(histories([[A], [A, C]], [[A]], [[A]]))  # (1, 0, .5, 0), (1, 0, 0, 0) twice
    nearest = model.nearest(own, [None, "u", "stranger"], 2)
    # squares to the first: u .25, v .25 + .25 + .25, w 1 + .25 + 1
    assert nearest.tolist() == [[0, 1], [1, 2], [0, 1]]  # u is none of its own neighbours
    found = model.scores(own, nearest, neighbours=2, own_share=0.6)
    assert np.allclose(found[0], [0.6 + 0.4 * 0.75, 0.4 * 0.25, 0.3, 0])
    assert np.allclose(found[1], [0.6 + 0.4 * 0.25, 0.4 * 0.25, 0, 0.4 * 0.5])
    assert np.allclose(model.scores(own, nearest, neighbours=1, own_share=0.6)[0], [1.0, 0, 0.3, 0])


def test_who_has_no_neighbour_is_scored_alone():
    model = Neighbours(["u"], histories([[A], [B]]), 1, 1.0, 1.0)
    own = model.vectors(histories([[A], [B]], []))
    nearest = model.nearest(own, ["u", None], 5)
    assert nearest.tolist() == [[-1], [0]]
    found = model.scores(own, nearest, neighbours=5, own_share=0.1)
    assert np.allclose(found, [[0.5, 0.5, 0, 0], [0.45, 0.45, 0, 0]])


def test_equally_near_ones_come_in_their_order():
    training = histories(*[[[A], [B], [C]]] * 4)
    model = Neighbours(list("uvwx"), training, 3, 0.9, 0.7)
    assert model.nearest(model.vectors(histories([[D], [B]])), [None], 3).tolist() == [[0, 1, 2]]


# -- chosen on validation rows ----------------------------------------------------------------------------------------

HABITS = [(stored([one, two]), two) for one in "abcd" for two in "abcd"] * 3  # the last event comes again


def test_a_window_is_chosen_on_validation_rows():
    job = Job("next-frequency", {"method": "personal-frequency"}, made(HABITS, HABITS), 0, "")
    fitted = fit(job, None)
    assert fitted.facts["chosen"] == {"window": 1}
    assert fitted.facts["tried"] == len(METHODS["personal-frequency"]["windows"])
    assert fitted.facts["validation_auc_micro"] == 1.0
    assert fitted.facts["validation_f1_micro"] > 0.99
    places, scores_NL, columns = next(fitted.score([stored(["b", "c"]), stored([])]))
    assert places == [0, 1] and columns is None
    assert scores_NL.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]


def test_the_mix_is_no_worse_than_its_parts_on_validation_rows():
    rng = np.random.default_rng(0)

    def rows(number: int):
        favourite = rng.choice(list("abcd"), p=[0.55, 0.25, 0.15, 0.05], size=number)
        return [
            (stored([[label] if rng.random() < 0.6 else [rng.choice(list("abcd"))] for _ in range(4)]), [label])
            for label in favourite
        ]

    parts = made(rows(200), rows(100))
    values = {}
    for method in METHODS:
        fitted = fit(Job("next-frequency", {"method": method}, parts, 0, ""), None)
        values[method] = fitted.facts["validation_auc_micro"]
        _, scores_NL, _ = next(fitted.score(parts.read("validation")["events"][:]))
        assert scores_NL.shape == (100, 4) and scores_NL.min() >= 0 and scores_NL.max() <= 1
    assert 0.5 < values["popularity"] < values["personal-frequency"] < values["frequency-mix"]


def test_tifu_knn_learns_from_neighbours_what_a_user_never_had():
    """Who had a and b goes on with c; who had d and b stays with b."""
    train = [(stored(["a", "b"], user=f"u{n}", target_time=9.0), "c") for n in range(10)]
    train += [(stored(["d", "b"], user=f"v{n}", target_time=9.0), "b") for n in range(10)]
    held_out = [(stored(["a", "b"], user=f"x{n}"), "c") for n in range(5)]
    grid = {"num_groups": 1, "neighbours": [5, 10], "own_shares": [1.0, 0.3]}
    fitted = fit(Job("tifu-knn", grid, made(train, held_out), 0, ""), None)
    assert fitted.facts["chosen"]["own_share"] == 0.3 and fitted.facts["tried"] == 3 * 3 * 2 * 2
    assert fitted.facts["training_users"] == 20
    _, scores_NL, _ = next(fitted.score([stored(["a", "b"], user="new")]))
    assert scores_NL[0, C] == pytest.approx(0.7 / 3)  # what the neighbours' share of .7 gives the last of three events
    assert scores_NL[0, D] == 0
    assert fitted.parameters == 10 * 3 + 10 * 2


@pytest.mark.parametrize("runner, settings", [("next-frequency", {"method": "frequency-mix"}), ("tifu-knn", {})])
def test_an_arm_does_the_same_again_and_for_each_row_alone(runner, settings):
    job = Job(runner, settings, made(HABITS, HABITS[:20]), 3, "")
    first, second = fit(job, None), fit(job, None)
    assert first.facts == second.facts and first.thresholds == second.thresholds
    rows = [history for history, _ in HABITS]
    whole = next(first.score(rows))[1]
    for row in (0, 7):
        assert np.array_equal(next(second.score(rows[row : row + 1]))[1][0], whole[row])


def test_of_equals_the_first_is_kept():
    points = [({"point": number}, np.full((2, 4), 0.5, np.float32)) for number in range(3)]
    chosen = choose_from_grid(points, [np.array([0]), np.array([1, 2])], space(), seed=0)
    assert chosen.settings == {"point": 0} and chosen.facts["tried"] == 3


def test_another_metric_may_choose():
    right = np.array([[0.9, 0.1, 0.2, 0.3]], np.float32)
    points = [({"point": 0}, 1 - right), ({"point": 1}, right)]
    chosen = choose_from_grid(points, [np.array([0])], space(), seed=0, select_by="ndcg@10")
    assert chosen.settings == {"point": 1} and chosen.facts["validation_ndcg@10"] == 1.0
    with pytest.raises(UserError, match="select_by"):
        choose_from_grid(points, [np.array([0])], space(), seed=0, select_by="luck")


def test_a_point_without_a_value_is_none_of_those_to_choose_from():
    right = np.array([[0.9, 0.1, 0.2, 0.3]], np.float32)
    points = [({"point": 0}, np.full((1, 4), np.nan, np.float32)), ({"point": 1}, right)]

    def worth(scores_NL, *_):  # as a metric has it that is undefined there
        return float(scores_NL[0, 0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_mlc.comparing.arms.grid_choice._worth", worth)
        assert choose_from_grid(points, [np.array([0])], space(), seed=0).settings == {"point": 1}
    nothing_true = [np.array([], np.int64)]
    with pytest.raises(UserError, match="'auc_micro' is no number") as caught:
        choose_from_grid([({}, right)], nothing_true, space(), seed=0)
    assert caught.value.field == "select_by"


@pytest.mark.parametrize(
    "runner, settings, problem",
    [
        ("next-frequency", {}, "method"),
        ("next-frequency", {"method": "popularity", "windows": [1]}, "windows"),
        ("next-frequency", {"method": "personal-frequency", "windows": []}, "windows"),
        ("tifu-knn", {"neighbors": 5}, "neighbors"),
    ],
)
def test_a_setting_that_means_nothing_is_an_error(runner, settings, problem):
    with pytest.raises(UserError) as caught:
        fit(Job(runner, settings, made(HABITS, HABITS), 0, ""), None)
    assert caught.value.field == problem


def test_rows_without_histories_are_an_error():
    parts = {name: datasets.Dataset.from_list([{"text": "x", "labels": ["a"]}]) for name in ("train", "validation")}
    for runner, settings in (("next-frequency", {"method": "popularity"}), ("tifu-knn", {})):
        with pytest.raises(UserError, match="events"):
            fit(Job(runner, settings, Made(parts), 0, ""), None)


def test_the_grids_start_with_what_is_likeliest():
    assert [GRID[axis][0] for axis in GRID] == [7, 0.9, 0.7, 300, 0.7]
    assert METHODS["frequency-mix"]["windows"][0] is None
