"""The printed tables."""

from __future__ import annotations

import pytest

from hf_mlc.comparing.bootstrap import Interval
from hf_mlc.comparing.claim import Arm, Bars, Claim, ClaimData, Statement
from hf_mlc.comparing.report import bars, differences_table, gain_ends, means_table, report, statements, verdict
from hf_mlc.errors import UserError


DATA = ClaimData(name="toy", folder="toy", end_points=("p@1",))
CLAIM = Claim("toy", (DATA,), (Arm("toy", "full"), Arm("toy-plain", "plain")), (("toy", "toy-plain"),), DATA)


def line(arm: str, value: float) -> dict:
    return {"arm": arm, "metrics": {"p@1": value}, "train_seconds": 2.0, "predict_ms": 0.5, "model_bytes": 3e6}


def test_means_and_deviations_stand_in_the_order_of_the_claim():
    rows = means_table(CLAIM, [line("toy-plain", 0.5), line("toy", 0.2), line("toy", 0.4)], ["p@1", "f1_micro"])
    head, full, plain = rows.splitlines()
    assert head.split() == ["arm", "seeds", "p@1", "f1_micro", "train", "s", "ms/doc", "MB"]
    assert full.split() == ["toy", "2", "0.3000", "±0.141", "-", "2.0", "0.50", "3.0"]
    assert plain.split() == ["toy-plain", "1", "0.5000", "-", "2.0", "0.50", "3.0"]


def test_a_star_marks_an_interval_clear_of_zero():
    found = [("toy", "toy-plain", {"p@1": Interval(0.1, 0.05, 0.15, 5), "f1_micro": Interval(0.1, -0.1, 0.3, 5)})]
    head, row = differences_table(found, ["p@1", "f1_micro", "ap_macro"]).splitlines()
    assert "+0.1000 [+0.0500, +0.1500]*" in row and "+0.1000 [-0.1000, +0.3000] " in row and row.endswith("-")
    assert head.startswith("difference [95 % interval]")


def test_the_sizes_at_which_an_arm_is_ahead_are_named():
    ahead, level = Interval(0.1, 0.05, 0.15, 5), Interval(0.01, -0.02, 0.04, 5)
    gains = {50: [("toy", "toy-plain", {"p@1": ahead})], 100: [("toy", "toy-plain", {"p@1": level})]}
    assert gain_ends(gains, ["p@1"]) == "toy is ahead of toy-plain in p@1, the interval clear of 0, at: 50"
    gains[50] = gains[100]
    assert gain_ends(gains, ["p@1"]).endswith("none of the sizes")
    # of a loss the lower one is ahead
    below = Interval(-0.1, -0.15, -0.05, 5)
    gains = {size: [("toy", "toy-plain", {"hamming_loss": found})] for size, found in ((50, ahead), (100, below))}
    assert gain_ends(gains, ["hamming_loss"]).endswith("at: 100")


def measured(arm: str, seed: int, value: float, rows: str) -> dict:
    about = {"seed": seed, "fingerprint": rows, "dataset": "toy", "train_size": None, "split": "unused"}
    return line(arm, value) | about | {"documents": 2, "settings": "0"}


def test_seeds_that_measured_rows_of_their_own_give_differences_without_intervals(tmp_path):
    lines = [measured("toy", 0, 0.5, "a"), measured("toy-plain", 0, 0.25, "a")]
    lines += [measured("toy", 1, 0.5, "b"), measured("toy-plain", 1, 0.5, "b")]
    shown = report(CLAIM, DATA, lines, tmp_path).splitlines()
    assert shown[-1] == "every seed measured other rows: no intervals"
    assert next(row for row in shown if row.startswith("toy - toy-plain")).split()[-1] == "+0.1250"
    with pytest.raises(UserError, match="runs of seed 1 on different rows"):
        report(CLAIM, DATA, [*lines[:3], measured("toy-plain", 1, 0.5, "c")], tmp_path)


def test_metrics_of_labels_that_no_measured_document_has_are_left_out(tmp_path):
    data = ClaimData(
        name="toy", folder="toy", end_points=("f1_macro@1-5", "p@1"), shown=("ap_macro@1-5", "f1_macro@>50")
    )
    claim = Claim("toy", (data,), CLAIM.arms, CLAIM.differences, data, must_be_ahead={"toy": ("toy-plain",)})
    lines = [measured("toy", 0, 0.5, "a"), measured("toy-plain", 0, 0.25, "a")]
    for one in lines:  # as they are measured without a document of these labels
        one["metrics"] |= {
            "f1_micro@1-5": 0.0,
            "f1_macro@1-5": 0.0,
            "precision_micro@1-5": 0.0,
            "recall_micro@1-5": 0.0,
        }
        one["metrics"] |= {"f1_macro@>50": 0.5, "f1_macro_present@>50": 0.5}
    shown = report(claim, data, lines, tmp_path)
    left_out = "no unused label has 1 to 5 training documents: left out are f1_macro@1-5, ap_macro@1-5"
    assert [row for row in shown.splitlines() if "1-5" in row or "1 to 5" in row] == [left_out]
    assert (
        "f1_macro@>50" in shown
        and "+0.2500" in shown
        and "intervals clear of 0: open, without an interval, in p@1" in shown
    )
    # one run that has such a document brings them back: its 0 is a measurement
    lines[0]["metrics"]["f1_macro_present@1-5"] = 0.0
    shown = report(claim, data, lines, tmp_path)
    assert "left out" not in shown and shown.count("f1_macro@1-5") == 3  # both tables and the claim's answer


def test_end_points_that_are_all_of_such_labels_leave_no_table_of_differences(tmp_path):
    data = ClaimData(name="toy", folder="toy", end_points=("f1_macro@0",), shown=("p@1",))
    claim = Claim("toy", (data,), CLAIM.arms, CLAIM.differences, data, must_be_ahead={"toy": ("toy-plain",)})
    shown = report(claim, data, [measured("toy", 0, 0.5, "a"), measured("toy-plain", 0, 0.25, "a")], tmp_path)
    assert "no unused label has 0 training documents" in shown and "difference" not in shown and "ahead" not in shown


def test_the_claim_is_answered_for_each_end_point():
    claim = Claim("toy", (), (), (), DATA, must_be_ahead={"toy": ("toy-plain", "toy-shuffled")})
    data = ClaimData(name="toy", folder="toy", end_points=("p@1", "f1_micro"))
    ahead, level = Interval(0.1, 0.05, 0.15, 5), Interval(0.01, -0.02, 0.04, 5)
    rows = [("toy", "toy-plain", {"p@1": ahead, "f1_micro": ahead}), ("toy", "toy-shuffled", {"p@1": ahead})]
    expected = "toy is ahead of toy-plain and toy-shuffled, intervals clear of 0: in p@1; open, without an interval, in f1_micro"
    assert verdict(claim, data, rows) == expected
    rows[1] = ("toy", "toy-shuffled", {"p@1": level, "f1_micro": 0.3})  # a bare difference shows nothing, either way
    assert verdict(claim, data, rows).endswith("clear of 0: not in p@1; open, without an interval, in f1_micro")
    rows[0] = ("toy", "toy-plain", {"p@1": ahead, "f1_micro": level})
    assert verdict(claim, data, rows).endswith("clear of 0: not in p@1, f1_micro")
    assert verdict(claim, data, rows[:1]) == ""


def test_a_statement_holds_fails_with_its_reasons_or_is_open():
    statement = Statement("is above the plain ones", ("toy", "toy-big"), ("svm", "chain"), ("p@1", "f1_micro"))
    claim = Claim("toy", (), (), statement.pairs, DATA, statements=(statement,))
    ahead, level = Interval(0.1, 0.05, 0.15, 5), Interval(0.01, -0.02, 0.04, 5)
    rows = [("toy", "svm", {"p@1": ahead, "f1_micro": ahead}), ("toy", "chain", {"p@1": ahead, "f1_micro": ahead})]
    assert statements(claim, rows) == "toy is above the plain ones, in p@1 and f1_micro: HOLDS"
    assert statements(claim, rows[:1]).endswith(": OPEN (not run: chain)")
    # one interval that is not clear of 0 among all of them is enough
    rows[1] = ("toy", "chain", {"p@1": ahead, "f1_micro": level})
    expected = "DOES NOT HOLD (f1_micro less chain's +0.0100 [-0.0200, +0.0400])"
    assert statements(claim, rows).endswith(expected)
    rows[1] = ("toy", "chain", {"p@1": ahead, "f1_micro": 0.3})  # without an interval nothing is shown, either way
    assert statements(claim, rows).endswith("OPEN (no interval: f1_micro less chain's +0.3000)")
    rows[1] = ("toy", "chain", {"p@1": level})
    assert statements(claim, rows).endswith(
        "DOES NOT HOLD (p@1 less chain's +0.0100 [-0.0200, +0.0400]; no interval: f1_micro less chain's -)"
    )


def test_bars_are_passed_all_at_once_or_not_at_all():
    passing = Bars("the bars", ("toy", "toy-plain"), {"p@1": 0.5, "f1_micro": 0.4}, "toy")
    claim = Claim(
        "toy", (DATA,), CLAIM.arms, (), DATA, bars=(passing, Bars("others", ("toy",), {"p@1": 0}, "elsewhere"))
    )
    first, second = line("toy", 0.7), line("toy", 0.5)  # mean .6
    first["metrics"]["f1_micro"] = second["metrics"]["f1_micro"] = 0.4  # not above .4
    shown = bars(claim, DATA, [first, second])
    assert (
        shown
        == "toy, the bars: DOES NOT HOLD: p@1 0.6000 (above 0.5), f1_micro 0.4000 (not above 0.4), mean of 2 seeds"
    )
    first["metrics"]["f1_micro"] = 0.5
    assert bars(claim, DATA, [first, second]).startswith("toy, the bars: HOLDS: ")
    assert bars(claim, DATA, []) == ""


def test_arms_of_a_group_stand_apart_under_its_name():
    arms = (Arm("toy", "full"), Arm("toy-pretrained", "full", group="pretrained"), Arm("svm", "plain"))
    claim = Claim("toy", (DATA,), arms, (), DATA)
    rows = means_table(claim, [line(arm.name, 0.5) for arm in arms], ["p@1"]).splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["toy", "svm", "--", "toy-pretrained"] and rows[
        3
    ] == "-- pretrained"
