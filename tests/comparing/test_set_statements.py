"""Statements over data sets, on made-up runs."""

from __future__ import annotations

import pytest

from hf_mlc.comparing.set_statements import AboveOnEach, BestRank, Faster, NonInferior, SetMeans


def run(dataset: str, arm: str, value: float, *, seed: int = 0, seconds: float = 1.0, dependence: float = 2.0) -> dict:
    return {
        "dataset": dataset, "arm": arm, "seed": seed, "metrics": {"subset_accuracy": value}, "train_cpu_seconds": seconds,
        "optimizer_cpu_seconds": seconds, "predict_ms": seconds, "label_dependence": dependence,
    }  # fmt: skip


def means(*lines: dict, datasets=("a", "b"), ranked=("ours", "rnn", "forest")) -> SetMeans:
    return SetMeans(lines, datasets, ranked)


LEVEL = (run("a", "ours", 0.5), run("a", "rnn", 0.509), run("b", "ours", 0.6), run("b", "rnn", 0.4))


def test_no_worse_by_the_margin_and_at_least_the_rank():
    said = NonInferior("ours", "rnn").answer(means(*LEVEL))
    assert said.startswith("ours is within 0.01 of rnn in subset_accuracy on each set") and ": HOLDS (" in said
    assert "a -0.0090, b +0.2000, average rank there 1.50 against 1.50 of 2 systems" in said
    # one set on which it is worse by more
    worse = means(run("a", "ours", 0.5), run("a", "rnn", 0.52), *LEVEL[2:])
    assert "DOES NOT HOLD" in NonInferior("ours", "rnn").answer(worse) and "not so: a" in NonInferior(
        "ours", "rnn"
    ).answer(worse)
    # within the margin everywhere, and behind in rank
    behind = means(*LEVEL[:2], run("b", "ours", 0.6), run("b", "rnn", 0.601))
    assert "not so: the average rank" in NonInferior("ours", "rnn").answer(behind)


def test_near_copies_of_ours_change_no_rank_and_leave_no_statement_open():
    """Of `ours` and `rnn` each is first once; a copy that is between them on one set, and did not run on the other, or was last there."""
    between = means(*LEVEL, run("a", "copy", 0.505), run("b", "copy", 0.1), ranked=("ours", "rnn", "copy"))
    for lines in (between, means(*LEVEL, run("a", "copy", 0.505), ranked=("ours", "rnn", "copy"))):
        said = NonInferior("ours", "rnn", variants=("copy",)).answer(lines)
        assert ": HOLDS (" in said and "average rank there 1.50 against 1.50 of 2 systems" in said
    assert "2.00 against 1.50 of 3 systems" in NonInferior("ours", "rnn").answer(between)
    above = means(*LEVEL[:3], run("b", "rnn", 0.61), run("a", "copy", 0.505), ranked=("ours", "rnn", "copy"))
    assert "not there" not in BestRank("rnn", variants=("copy",)).answer(above)


def test_a_statement_is_open_while_a_data_set_is_missing_unless_it_failed_already():
    assert ": OPEN (" in NonInferior("ours", "rnn").answer(means(*LEVEL, datasets=("a", "b", "c")))
    worse = means(run("a", "ours", 0.1), *LEVEL[1:], datasets=("a", "b", "c"))
    said = NonInferior("ours", "rnn").answer(worse)
    assert "DOES NOT HOLD" in said and "not there: c" in said
    assert NonInferior("ours", "nobody").answer(means(*LEVEL)) == ""


def test_only_sets_whose_labels_depend_on_each_other_are_asked():
    lines = (*LEVEL[2:], run("a", "ours", 0.5, dependence=0.0), run("a", "rnn", 0.6, dependence=0.0))
    said = AboveOnEach("ours", "rnn").answer(means(*lines))
    assert ": HOLDS (" in said and "a -0.1000 (not asked)" in said
    # there they do, if little
    little = (*LEVEL[2:], run("a", "ours", 0.5, dependence=0.4), run("a", "rnn", 0.6, dependence=0.4))
    assert "not so: a" in AboveOnEach("ours", "rnn").answer(means(*little))
    # with one seed's rows set aside none is seen, with the other's some
    mixed = means(*LEVEL, run("a", "ours", 0.5, seed=1, dependence=0.0))
    assert mixed.dependence("a") == 1.0


@pytest.mark.parametrize("statement", [NonInferior("ours", "rnn"), AboveOnEach("ours", "rnn"), Faster("ours", "rnn")])
def test_a_statement_is_open_where_the_other_arm_is_missing_on_a_data_set(statement):
    lines = [
        run(name, arm, value, seconds=seconds)
        for name in "ab"
        for arm, value, seconds in (("ours", 0.6, 1.0), ("rnn", 0.5, 9.0), ("forest", 0.1, 1.0))
    ]
    assert all(": HOLDS (" in said for said in statement.answer(means(*lines)).splitlines())
    without = [line for line in lines if (line["dataset"], line["arm"]) != ("b", "rnn")]
    for said in statement.answer(means(*without)).splitlines():
        assert ": OPEN (" in said and "not there: b" in said and "on 1 data set, 1 seed" in said


def test_the_best_rank_is_the_best_alone():
    forest = (run("a", "forest", 0.45), run("b", "forest", 0.5))
    lines = (run("a", "ours", 0.52), *LEVEL[1:], *forest)
    assert ": HOLDS (1.00, the best other one rnn 2.50; on 2 data sets, 1 seed)" in BestRank("ours").answer(
        means(*lines)
    )
    level = (*LEVEL, *forest)  # ranks 2 and 1; 1 and 3; 3 and 2
    assert ": HOLDS (1.50," in BestRank("ours").answer(means(*level))
    tied = (*LEVEL, run("a", "forest", 0.1), run("b", "forest", 0.1))
    assert "DOES NOT HOLD (1.50, the best other one rnn 1.50; not so: rnn; " in BestRank("ours").answer(means(*tied))
    behind = BestRank("forest", variants=("ours",)).answer(means(*tied))
    assert (
        "of 2 ranked systems (ours left out): DOES NOT HOLD (2.00, the best other one rnn 1.00; not so: rnn" in behind
    )
    # an arm that ran on one set only, or on none, has no rank, and leaves the statement open
    part = BestRank("ours").answer(means(*lines[:-1]))
    assert ": OPEN (" in part and "not there: forest on every set" in part
    assert "not there: forest on every set" in BestRank("ours").answer(
        means(*LEVEL[2:], run("a", "ours", 0.6), run("a", "rnn", 0.5))
    )


def test_faster_by_a_factor_on_each_set_in_training_and_in_answering():
    lines = [run(name, arm, 0.5, seconds=seconds) for name in "ab" for arm, seconds in (("ours", 1.0), ("rnn", 6.0))]
    training, whole, answering = Faster("ours", "rnn").answer(means(*lines)).splitlines()
    for said, about in (
        (training, "in training (the optimiser's"),
        (whole, "in training with all"),
        (answering, "in answering"),
    ):
        assert about in said and "on each set: HOLDS (a 6.0x, b 6.0x; on 2 data sets, 1 seed)" in said
    lines[-1]["predict_ms"] = 4.0
    training, _, answering = Faster("ours", "rnn").answer(means(*lines)).splitlines()
    assert "HOLDS (" in training and "DOES NOT HOLD (a 6.0x, b 4.0x; not so: b; " in answering
    # lines of before the optimiser's seconds were written down: nothing is made of the others
    for line in lines:
        del line["optimizer_cpu_seconds"]
    training, whole, _ = Faster("ours", "rnn").answer(means(*lines)).splitlines()
    assert ": OPEN (no seed" in training and ": HOLDS (" in whole
    assert Faster("ours", "rnn", times=("predict_ms",)).answer(means(*lines)).count("\n") == 0


def test_two_arms_are_compared_over_the_seeds_that_both_have_on_a_data_set():
    lines = [run("a", "ours", 0.5), run("a", "ours", 0.9, seed=1), run("a", "rnn", 0.4), run("a", "rnn", 0.1, seed=2)]
    pair = means(*lines).paired("ours", "rnn", "subset_accuracy")
    assert pair.values == {"a": (pytest.approx(0.5), pytest.approx(0.4))}
    assert (pair.seeds, pair.missing) == ({"a": [0]}, ["b"])
    # a seed that one data set lacks is used on the others all the same
    both = [run(name, arm, 0.5, seed=seed) for name in "ab" for arm in ("ours", "rnn") for seed in (0, 1, 2)]
    found = means(*[line for line in both if (line["dataset"], line["arm"], line["seed"]) != ("b", "rnn", 1)])
    assert found.paired("ours", "rnn", "subset_accuracy").seeds == {"a": [0, 1, 2], "b": [0, 2]}
    assert "on 2 data sets, 2 to 3 seeds a set)" in AboveOnEach("ours", "rnn").answer(found)
    # none in common: nothing can be said
    apart = means(run("a", "ours", 0.5), run("a", "rnn", 0.1, seed=1))
    assert AboveOnEach("ours", "rnn").answer(apart).endswith(": OPEN (no seed with which both have it)")


def test_ranks_are_over_the_seeds_that_all_ranked_arms_have_on_a_data_set():
    arms = ("ours", "rnn", "forest")
    level = [run(name, arm, 0.5, seed=seed) for name in "ab" for arm in arms for seed in (0, 1)]
    lucky = run("a", "rnn", 1.0, seed=2)  # a third seed of one arm alone
    found = means(*level, lucky)
    assert found.ranked_seeds == {"a": [0, 1], "b": [0, 1]}
    assert found.average_ranks("subset_accuracy") == {"ours": 2.0, "rnn": 2.0, "forest": 2.0}
    # one seed of one data set takes nothing from the other
    few = means(*[line for line in level if (line["dataset"], line["seed"]) != ("b", 1)])
    assert few.ranked_seeds == {"a": [0, 1], "b": [0]} and len(few.average_ranks("subset_accuracy")) == 3
    apart = means(run("a", "ours", 0.5), run("a", "rnn", 0.4, seed=1), datasets=("a",), ranked=("ours", "rnn"))
    assert apart.average_ranks("subset_accuracy") == {}
    assert ": OPEN (no ranks of it and another" in BestRank("ours").answer(apart)


def test_the_rank_beside_a_margin_is_over_the_sets_that_both_ran_on():
    forest = (run("a", "forest", 0.1), run("b", "forest", 0.1))
    third = (run("c", "ours", 0.2), run("c", "forest", 0.9))  # where the other has no run
    said = NonInferior("ours", "rnn").answer(means(*LEVEL, *forest, *third, datasets=("a", "b", "c")))
    assert (
        ": OPEN (a -0.0090, b +0.2000, average rank there 1.50 against 1.50 of 3 systems; not there: c; on 2 data sets"
        in said
    )


def test_means_level_in_six_digits_are_level_for_statements_as_for_ranks():
    by_the_margin = (run("a", "ours", 0.49), run("a", "rnn", 0.5), *LEVEL[2:])
    assert 0.49 - 0.5 < -0.01  # in floating point
    assert ": HOLDS (" in NonInferior("ours", "rnn").answer(means(*by_the_margin))
    level = (run("a", "ours", 0.1 + 0.2), run("a", "rnn", 0.3), *LEVEL[2:])
    assert "not so: a" in AboveOnEach("ours", "rnn").answer(means(*level))


def test_of_a_loss_the_smaller_one_is_better():
    def lines(ours: float, rnn: float) -> SetMeans:
        runs = [run(data, arm, 0.0) for data in "ab" for arm in ("ours", "rnn")]
        for line in runs:
            line["metrics"]["hamming_loss"] = ours if line["arm"] == "ours" else rnn
        return means(*runs)

    for statement in (NonInferior, AboveOnEach):
        assert ": HOLDS (" in statement("ours", "rnn", metric="hamming_loss").answer(lines(0.1, 0.2))
        assert "DOES NOT HOLD" in statement("ours", "rnn", metric="hamming_loss").answer(lines(0.2, 0.1))
    assert ": HOLDS (" in BestRank("ours", metric="hamming_loss").answer(lines(0.1, 0.2)).replace(
        ": OPEN (", ": HOLDS ("
    )
    assert "DOES NOT HOLD" in BestRank("ours", metric="hamming_loss").answer(lines(0.2, 0.1))
