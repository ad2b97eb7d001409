"""A made-up shop and its customers, for demos and fast tests: a long table of (customer, day, item, quantity).

THE PURCHASES ARE SYNTHETIC: drawn by a seeded random generator, after nobody's. What makes them worth a model of event sequences:

- habits: each customer has a few staples, and buys each again after so many visits (`STAPLES`). Who counts a customer's own purchases
  has them, and not when they are due.
- projects: one purchase asks for another at the next visit (`FOLLOW_UPS`: after the tent the sleeping bag, then the stove). Mostly new to the customer:
  only a look from one item at another finds them.
- whims: an item of any kind, now and then, which nobody can know.

    python -m hf_mlc.events.demo --output_dir DIR [--num_customers 300] [--seed 0]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import itertools
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.files import write_files_once


STAPLES = (
    "milk", "bread", "eggs", "coffee", "tea", "butter", "cheese", "apples", "bananas", "rice",
    "pasta", "cereal", "juice", "cat food", "dog food", "soap",
)  # fmt: skip
"""What customers buy again and again, the most common first."""

PROJECTS = (
    ("tent", "sleeping bag", "camping stove", "gas canister"),
    ("wall paint", "paint roller", "masking tape"),
    ("bicycle", "bicycle lock", "tyre pump", "chain oil"),
    ("cake tin", "flour", "icing sugar", "candles"),
    ("seed packets", "potting soil", "watering can"),
    ("guitar", "guitar strings", "song book"),
    ("fish tank", "water filter", "fish food"),
    ("baby cot", "nappies", "baby wipes"),
)
"""Items that follow each other, one a visit."""

FOLLOW_UPS: dict[str, str] = {first: second for items in PROJECTS for first, second in itertools.pairwise(items)}
"""Item -> the item that most buy at the next visit."""

ITEMS: tuple[str, ...] = (*STAPLES, *(item for items in PROJECTS for item in items))
"""All 43 items."""

VISITS = (6, 20)  # fewest and most of a customer
HABITS = (3, 6)  # staples of a customer
PERIODS = (1, 2, 3, 4)  # visits from one purchase of a staple to the next
RHYTHMS = (2, 4, 7, 7, 14)  # days from one visit to the next, with a few more or less
DUE_RATE = 0.9  # a staple that is due is bought
EARLY_RATE = 0.05  # and one that isn't
PROJECT_RATE = 0.3  # of visits begin a project
FOLLOW_UP_RATE = 0.8
WHIM_RATE = 0.2
FIRST_DAY = datetime.date(2024, 1, 1)


def generate_customers(num_customers: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """
    Yields customers with all they bought. Fewer customers of the same seed are the first of more.

    Args:
        num_customers (`int`): how many.
        seed (`int`, *optional*, defaults to 0): the same seed gives the same customers on every machine.

    Yields:
        `dict`: `id` ("c0000"); `events`, one a visit, earliest first, no two on one day: `time` (an ISO date), `labels` (the items, in
        alphabetical order, at least one) and `amount` (of each item how many, 1 to 12).

    Example:
        >>> customer = next(generate_customers(1))
        >>> customer["id"], sorted(customer["events"][0])
        ('c0000', ['amount', 'labels', 'time'])
    """
    for number in range(num_customers):
        yield _Customer(number, random.Random(f"{seed} {number}")).history()


class _Customer:
    """What one customer is like, and what each visit brings."""

    def __init__(self, number: int, rng: random.Random):
        self.name, self.rng = f"c{number:04d}", rng
        self.periods: dict[str, int] = {}
        # the more common a staple, the more have the habit
        weights = [len(STAPLES) - place for place in range(len(STAPLES))]
        num_habits = rng.randint(*HABITS)
        while len(self.periods) < num_habits:
            self.periods.setdefault(rng.choices(STAPLES, weights)[0], rng.choice(PERIODS))
        # habits are at any stage at the first visit
        self.visits_since = {item: rng.randrange(period) + 1 for item, period in self.periods.items()}
        self.rhythm = rng.choice(RHYTHMS)
        self.household = rng.randint(1, 4)

    def history(self) -> dict[str, Any]:
        rng, events, basket = self.rng, [], set()
        day = FIRST_DAY + datetime.timedelta(days=rng.randrange(60))
        for _ in range(rng.randint(*VISITS)):
            basket = self._visit(basket)
            items = sorted(basket)
            events.append(
                {"time": day.isoformat(), "labels": items, "amount": [self._quantity(item) for item in items]}
            )
            day += datetime.timedelta(days=max(1, self.rhythm + rng.randint(-2, 2)))
        return {"id": self.name, "events": events}

    def _visit(self, before: set[str]) -> set[str]:
        """What is bought after the basket before."""
        rng, basket = self.rng, set()
        for item, period in self.periods.items():
            is_due = self.visits_since[item] >= period
            if rng.random() < (DUE_RATE if is_due else EARLY_RATE):
                basket.add(item)
                self.visits_since[item] = 0
            self.visits_since[item] += 1
        for item in sorted(before & FOLLOW_UPS.keys()):
            if rng.random() < FOLLOW_UP_RATE:
                basket.add(FOLLOW_UPS[item])
        if rng.random() < PROJECT_RATE:
            basket.add(rng.choice(PROJECTS)[0])
        if not basket or rng.random() < WHIM_RATE:
            basket.add(rng.choice(ITEMS))
        return basket

    def _quantity(self, item: str) -> int:
        """Of staples so many as there are people and a few more; of anything else mostly one."""
        return self.household + self.rng.randint(0, 8) if item in STAPLES else 1 + (self.rng.random() < 0.2)


def long_table(customers: Iterator[dict[str, Any]]) -> Iterator[tuple[str, str, str, int]]:
    """(customer, day, item, quantity) of every item of every visit."""
    for customer in customers:
        for event in customer["events"]:
            for item, quantity in zip(event["labels"], event["amount"], strict=True):
                yield customer["id"], event["time"], item, quantity


def write_demo_purchases(folder: str | Path, *, num_customers: int = 300, seed: int = 0) -> dict[str, Path]:
    """
    Writes the same purchases twice: `purchases.csv`, a long table with the columns customer, day, item, quantity, and `histories.jsonl`, a line
    a customer as [`generate_customers`] yields them. Files that are already there with the same content are left alone.

    Args:
        folder (`str` or `Path`): made if it is missing.
        num_customers (`int`, *optional*, defaults to 300): about 13 visits and 43 lines of the table each.
        seed (`int`, *optional*, defaults to 0): see [`generate_customers`].

    Returns:
        `dict[str, Path]`: the files, under `purchases` and `histories`.

    Raises:
        `UserError`: the folder is a file, or holds a file of one of these names with another content (nothing is written then), or
            `num_customers` is below 1.
    """
    if num_customers < 1:
        raise UserError(f"{num_customers} customers asked for", field="num_customers", accepted="1 or more")
    customers = list(generate_customers(num_customers, seed=seed))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("customer", "day", "item", "quantity"))
    writer.writerows(long_table(iter(customers)))
    files = {"purchases": Path(folder, "purchases.csv"), "histories": Path(folder, "histories.jsonl")}
    histories = "".join(json.dumps(customer) + "\n" for customer in customers)
    write_files_once({files["purchases"]: table.getvalue(), files["histories"]: histories})
    return files


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hf_mlc.events.demo",
        description="Write made-up purchases: a long table of customer, day, item, quantity, and the same as histories.",
    )
    parser.add_argument("--output_dir", required=True, type=Path, help="folder for the files; made if it is missing")
    parser.add_argument("--num_customers", default=300, type=int, help="how many (default: %(default)s)")
    parser.add_argument("--seed", default=0, type=int, help="the same seed gives the same (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        files = write_demo_purchases(arguments.output_dir, num_customers=arguments.num_customers, seed=arguments.seed)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    for path in files.values():
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
