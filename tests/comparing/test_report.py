"""The printed tables."""

from __future__ import annotations

from hf_mlc.comparing.bootstrap import Interval
from hf_mlc.comparing.claim import Arm, Claim, ClaimData
from hf_mlc.comparing.report import differences_table, gain_ends, means_table


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
