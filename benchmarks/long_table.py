"""What a long table of events costs in memory until its last row: bytes a row, for users of few and of many rows.

    python benchmarks/long_table.py [--rows 100000]

Counted by `tracemalloc` before the first history is made, without the file itself.
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Iterator
from typing import Any

from hf_mlc.data.contents import EVENTS
from hf_mlc.data.rows import Columns
from hf_mlc.data.values import RowForm


COLUMNS = Columns(event_user="user", event_time="time", event_label="item", event_amount="amount")
ROWS_A_USER = (2, 10, 100, 1000)
NUM_ITEMS = 500


def bytes_kept(num_rows: int, rows_a_user: int) -> int:
    """What is allocated when the last row was read."""
    kept = 0

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        nonlocal kept
        num_users = num_rows // rows_a_user
        for place in range(num_users * rows_a_user):
            time, user = divmod(place, num_users)  # users mixed, in order of time
            item = (7 * user + time) % NUM_ITEMS
            yield place + 1, {"user": f"user{user}", "time": f"{time}.5", "item": f"item{item}", "amount": "2"}
        kept = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    next(EVENTS.gathered(rows(), COLUMNS, RowForm(file="long table", is_csv=True)))
    tracemalloc.stop()
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    print("rows a user  bytes a row  bytes a user over 20 a row")
    for rows_a_user in ROWS_A_USER:
        a_row = bytes_kept(args.rows, rows_a_user) / (args.rows // rows_a_user * rows_a_user)
        print(f"{rows_a_user:>11}  {a_row:>11.1f}  {(a_row - 20) * rows_a_user:>26.0f}")


if __name__ == "__main__":
    main()
