"""The made-up shop: the same on every machine, in both forms, and with the regularities it promises."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
from collections import Counter

import pytest

from hf_mlc.errors import UserError
from hf_mlc.events import demo
from hf_mlc.events.demo import FOLLOW_UPS, ITEMS, STAPLES, generate_customers, main, write_demo_purchases


@pytest.fixture(scope="module")
def customers():
    return list(generate_customers(200))


def test_customers_are_the_same_each_time_and_fewer_are_the_first_of_more(customers):
    assert list(generate_customers(20)) == customers[:20]
    assert next(generate_customers(1, seed=1)) != customers[0]
    # a generator of another Python or machine would change them
    assert customers[0]["events"][0] == {
        "time": "2024-01-14",
        "labels": ["eggs", "fish tank", "rice"],
        "amount": [6, 1, 6],
    }


def test_events_are_whole(customers):
    assert len({customer["id"] for customer in customers}) == 200
    for customer in customers:
        days = [datetime.date.fromisoformat(event["time"]) for event in customer["events"]]
        assert all(before < after for before, after in itertools.pairwise(days))
        assert demo.VISITS[0] <= len(days) <= demo.VISITS[1]
        for event in customer["events"]:
            assert event["labels"] == sorted(set(event["labels"])) and set(event["labels"]) <= set(ITEMS)
            assert len(event["amount"]) == len(event["labels"]) > 0 and min(event["amount"]) >= 1
            assert max(event["amount"]) <= 12


def test_projects_go_on_at_the_next_visit_and_nowhere_else(customers):
    followed, others = [], []
    for customer in customers:
        for before, after in zip(customer["events"][:-1], customer["events"][1:], strict=True):
            for first, second in FOLLOW_UPS.items():
                (followed if first in before["labels"] else others).append(second in after["labels"])
    assert sum(followed) / len(followed) == pytest.approx(demo.FOLLOW_UP_RATE, abs=0.04) and len(followed) > 500
    assert sum(others) / len(others) < 0.02


def test_habits_come_back_in_their_rhythm(customers):
    """A customer who bought a staple five times or more has the habit; gaps between purchases cluster at the period."""
    gaps_of_habits, num_with_habit = [], 0
    for customer in customers:
        visits = {
            item: [at for at, event in enumerate(customer["events"]) if item in event["labels"]] for item in STAPLES
        }
        for places in visits.values():
            if len(places) >= 5:
                num_with_habit += 1
                gaps = Counter(after - before for before, after in itertools.pairwise(places))
                gaps_of_habits.append(gaps.most_common(1)[0][1] / gaps.total())
    assert num_with_habit > 200
    assert sum(gaps_of_habits) / len(gaps_of_habits) > 0.7


def test_files_hold_the_same_purchases_in_both_forms(tmp_path, capsys):
    main(["--output_dir", str(tmp_path / "demo"), "--num_customers", "7"])
    table, histories = (tmp_path / "demo" / name for name in ("purchases.csv", "histories.jsonl"))
    assert capsys.readouterr().out == f"{table}\n{histories}\n"
    kept = [json.loads(line) for line in histories.read_text(encoding="utf-8").splitlines()]
    assert kept == list(generate_customers(7))
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["customer"], row["day"], row["item"], int(row["quantity"])) for row in rows] == [
        (customer["id"], event["time"], item, number)
        for customer in kept
        for event in customer["events"]
        for item, number in zip(event["labels"], event["amount"], strict=True)
    ]
    # once more: nothing happens; with others in the way, nothing is overwritten
    before = table.stat().st_mtime_ns
    write_demo_purchases(tmp_path / "demo", num_customers=7)
    assert table.stat().st_mtime_ns == before
    with pytest.raises(UserError, match=r"purchases.csv: is there already, with another content"):
        write_demo_purchases(tmp_path / "demo", num_customers=8)
    assert table.stat().st_mtime_ns == before


@pytest.mark.parametrize(("number", "folder", "said"), [(0, "new", "num_customers"), (1, "taken", "is no folder")])
def test_what_cannot_be_written_is_said_in_one_line(tmp_path, capsys, number, folder, said):
    (tmp_path / "taken").touch()
    with pytest.raises(SystemExit):
        main(["--output_dir", str(tmp_path / folder), "--num_customers", str(number)])
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1
    assert not (tmp_path / "new").exists()
