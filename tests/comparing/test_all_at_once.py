"""The bars that a model has to pass all at once, and the table of costs."""

from __future__ import annotations

from hf_mlc.comparing.all_at_once import AllAtOnce, Cost
from hf_mlc.comparing.costs_table import costs_table


BARS = AllAtOnce(
    about="all of it",
    ours=("toy", "toy-small"),
    others=("tree", "forest"),
    metrics=("p@1",),
    costs=(
        Cost("CPU", lambda line: line["train_cpu_seconds"]),
        Cost("ms", lambda line: line["latency"]["1"]["ms"], below=True),
        Cost("MB", lambda line: line["model_bytes"] / 1e6, others=("forest",)),
    ),
    datasets=("rows",),
)


def line(arm: str, p: float, *, seed: int = 0, cpu: float = 10.0, ms: float = 1.0, size: float = 2e6) -> dict:
    latency = {"1": {"ms": ms, "prepare_ms": ms / 2, "documents": 9}}
    about = {"arm": arm, "seed": seed, "metrics": {"p@1": p}, "latency": latency}
    return about | {"train_cpu_seconds": cpu, "model_bytes": size}


def rows_of(table: str) -> dict[str, list[str]]:
    return {row.split("  ")[0]: row.split() for row in table.splitlines()}


def test_each_bar_is_set_by_the_best_of_the_others_and_the_misses_are_told():
    lines = [line("toy", 0.8, cpu=20.0, ms=0.5), line("tree", 0.7, cpu=8.0, size=1e6), line("forest", 0.75, cpu=16.0)]
    table = BARS.tables("rows", lines)
    rows = rows_of(table)
    assert rows["p@1"] == ["p@1", "0.8000", "0.7000", "0.7500", "yes", "by", "+0.0500"]
    assert rows["CPU"][1:] == ["20.00", "8.00", "16.00", "no", "2.50", "times"]
    assert rows["ms"][1:5] == ["0.50", "1.00", "1.00", "yes"]
    assert rows["MB"][1:5] == ["2.00", "1.00", "2.00", "yes"]  # the tree's 1 is no bar, and level is enough
    assert table.endswith("toy, all of it: DOES NOT HOLD (3 of 4 bars passed, 1 seed)")


def test_all_bars_passed_hold_and_level_is_not_faster():
    others = [line("tree", 0.7), line("forest", 0.75)]
    assert "HOLDS (4 of 4" in BARS.tables("rows", [line("toy", 0.8, ms=0.9), *others])
    level = BARS.tables("rows", [line("toy", 0.8, ms=1.0), *others])
    assert rows_of(level)["ms"][4] == "no" and "DOES NOT HOLD (3 of 4" in level


def test_without_one_of_the_others_what_is_passed_is_open_and_what_is_missed_is_missed():
    found = BARS.tables("rows", [line("toy", 0.8, ms=0.5), line("tree", 0.7)])
    assert [rows_of(found)[name][3] for name in ("p@1", "CPU", "ms", "MB")] == ["open"] * 4
    assert found.endswith("OPEN (0 of 4 bars passed, 1 seed; not run: forest)")
    missed = BARS.tables("rows", [line("toy", 0.6), line("tree", 0.7)])
    assert rows_of(missed)["p@1"][3] == "no" and "DOES NOT HOLD" in missed


def test_means_are_over_the_seeds_of_every_arm_in_the_table_and_each_of_ours_has_its_own():
    lines = [line("toy", 0.8), line("toy", 0.2, seed=1), line("toy-small", 0.9)]
    lines += [line(arm, 0.5, seed=seed) for arm in BARS.others for seed in (0, 2)]
    first, second = BARS.tables("rows", lines).split("\n\n")
    assert rows_of(first)["p@1"][1] == "0.8000" and rows_of(second)["p@1"][1] == "0.9000"
    assert BARS.tables("others", lines) == "" and BARS.tables("rows", lines[3:]) == ""


def test_a_number_that_a_run_has_not_got_is_open():
    lines = [line("toy", 0.8), line("tree", 0.7), line("forest", 0.7)]
    del lines[0]["latency"]
    found = BARS.tables("rows", lines)
    assert rows_of(found)["ms"][1:] == ["-", "1.00", "1.00", "open"] and "OPEN (3 of 4" in found


def test_costs_show_batch_sizes_in_order_and_what_an_arm_has_not_got():
    lines = [line("toy", 0.8), line("toy", 0.8, seed=1, ms=3.0), line("tree", 0.7)]
    for one in lines[:2]:
        one["latency"]["256"] = {"ms": 0.25, "prepare_ms": 0.125, "documents": 9}
        one["shortlist"] = {"size": 200, "recall": 0.95}
    head, toy, tree = costs_table(["toy", "tree", "absent"], lines).splitlines()
    assert head.index("at 1") < head.index("at 256")
    assert toy.split() == ["toy", "10.0", "2.0", "2.000", "(1.000)", "0.250", "(0.125)", "200", "0.9500"]
    assert tree.split() == ["tree", "10.0", "2.0", "1.000", "(0.500)", "-", "-", "-"]
    assert costs_table(["toy"], [{"arm": "toy"}]) == ""
