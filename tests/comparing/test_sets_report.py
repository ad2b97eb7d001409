"""The tables over data sets, from made-up lines."""

from __future__ import annotations

import sys

import pytest

from hf_mlc.comparing.claim import Arm, Claim, ClaimData
from hf_mlc.comparing.report import parameters_table
from hf_mlc.comparing.set_statements import AboveOnEach, OverSets
from hf_mlc.comparing.sets_report import sets_report
from tests.comparing.test_set_statements import run


DATA = ClaimData(name="a", folder="a", end_points=("subset_accuracy",))
OVER = OverSets("ours", ("ours",), ("ours", "rnn", "forest"), ("subset_accuracy",), (AboveOnEach("ours", "rnn"),))
CLAIM = Claim(
    "toy",
    tuple(ClaimData(name=name, folder=name, end_points=("subset_accuracy",)) for name in "abc"),
    tuple(Arm(name, name) for name in ("ours", "ours-greedy", "rnn", "forest")),
    (),
    DATA,
    over_sets=OVER,
)


def line(dataset: str, arm: str, value: float, **other) -> dict:
    return {**run(dataset, arm, value), "train_size": None, **other}


LINES = [
    line(dataset, arm, value)
    for dataset, values in (("a", (0.5, 0.4, 0.3)), ("b", (0.6, 0.7, 0.2)), ("c", (0.9, 0.8, 0.95)))
    for arm, value in zip(("ours", "rnn", "forest"), values, strict=True)
]


def test_values_ranks_tests_and_statements_stand_in_one_report(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "ranks.png"
    shown = sets_report(CLAIM, [*LINES, line("a", "ours-greedy", 0.1)], picture=picture)
    rows = [row.split() for row in shown.splitlines()]
    assert ["ours", "0.5000*", "0.6000", "0.9000"] in rows and ["forest", "0.3000", "0.2000", "0.9500*"] in rows
    # ranks of ours 1, 2, 2; of the chain 2, 1, 3; of the forest 3, 3, 1
    assert [row for row in rows if len(row) == 2 and row[0] in ("ours", "rnn", "forest")] == [
        ["ours", "1.67"], ["rnn", "2.00"], ["forest", "2.33"],
    ]  # fmt: skip
    assert any(row[:6] == ["rnn", "-0.0333", "3", "3", "1", "2"] for row in rows)
    assert "ours-greedy" not in shown  # on one set only: nothing to test, and it is not ranked
    assert "DOES NOT HOLD (a +0.1000, b -0.1000, c +0.1000; not so: b; on 3 data sets, 1 seed)" in shown
    assert picture.read_bytes()[:4] == b"\x89PNG" and str(picture) in shown


def test_p_values_are_corrected_for_the_ranked_baselines_alone_and_the_least_of_them_is_said():
    everywhere = [line(name, "ours-greedy", 0.1) for name in "abc"]
    rows = sets_report(CLAIM, [*LINES, *everywhere]).splitlines()
    greedy = next(row.split() for row in rows if row.startswith("ours-greedy"))
    assert greedy[-2:] == ["0.2500", "-"]  # below on all of three, and no system
    start = next(place for place, row in enumerate(rows) if row.startswith("less ours"))
    tests = {row.split()[0]: row.split()[-1] for row in rows[start:] if row}
    assert tests["rnn"] == tests["forest"] == "1.0000"
    assert "on 3 data sets p is 0.2500 at the least, and for 2 at once 0.5000" in rows
    assert "so no pair can be told apart at 0.05 here, whatever the values" in rows
    many = [
        line(str(name), arm, value) for name in range(8) for arm, value in (("ours", 0.5 + name / 20), ("rnn", 0.4))
    ]
    claim = Claim(
        "toy", tuple(ClaimData(name=str(name), folder="", end_points=()) for name in range(8)), CLAIM.arms, (), DATA,
        over_sets=OVER,
    )  # fmt: skip
    said = sets_report(claim, many)
    assert "p is 0.0078 at the least, and for 1 at once 0.0078" in said and "no pair can be" not in said


def test_without_matplotlib_the_tables_stand_and_a_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shown = sets_report(CLAIM, LINES, picture=tmp_path / "ranks.png")
    assert "DOES NOT HOLD" in shown and "no picture of the ranks: matplotlib is not installed" in shown
    assert not (tmp_path / "ranks.png").exists()


def test_one_data_set_or_drawn_sizes_alone_say_nothing_over_sets():
    assert sets_report(CLAIM, [row for row in LINES if row["dataset"] == "a"]) == ""
    assert sets_report(CLAIM, [{**row, "train_size": 50} for row in LINES]) == ""
    assert sets_report(Claim("toy", (), (), (), DATA), LINES) == ""


def test_parameters_are_told_apart_by_what_they_do():
    parts = {"encoder": 16, "head": 10, "relation": 3}
    lines = [
        {"arm": "ours", "parameter_parts": parts},
        {"arm": "ours", "parameter_parts": {**parts, "relation": 5}},
        {"arm": "rnn"},
    ]
    head, row = parameters_table(["rnn", "ours"], lines).splitlines()
    assert head.split() == ["parameters", "encoder", "head", "relation", "all"]
    assert row.split() == ["ours", "16", "10", "4", "30"]
    assert parameters_table(["rnn"], lines) == ""
