"""How long the best labels of a document take, where documents come one by one or in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


TOP_K = 5  # labels asked for
# documents answered at each size: enough for a mean that repeats, few enough to wait for
FEWEST, MOST_BATCHES = 300, 10


class Timing(NamedTuple):
    """Wall seconds over some documents.

    Args:
        preparing (`float`): from a text, or a row as it is read, to what the model takes.
        answering (`float`): from there to the best labels.
    """

    preparing: float
    answering: float


def latencies(
    timed: Callable[[Sequence[Any], int], Timing] | None, items: Sequence[Any], batch_sizes: Sequence[int]
) -> dict[str, Any]:
    """For the line: by batch size the milliseconds a document takes in all (`ms`), those of preparing it among them
    (`prepare_ms`), and over how many documents. Empty where no batch size is asked for or the arm can't be timed.

    Args:
        timed: of the arm, see [`~hf_mlc.comparing.arms.Fitted`].
        items (`Sequence`): the measured documents; the first of them are answered.
        batch_sizes (`list[int]`): how many come at a time.
    """
    if timed is None or not batch_sizes:
        return {}
    found = {}
    for batch_size in batch_sizes:
        some = items[: max(FEWEST, MOST_BATCHES * batch_size)]
        timing = timed(some, batch_size)
        found[str(batch_size)] = {
            "ms": round(1000 * sum(timing) / len(some), 4),
            "prepare_ms": round(1000 * timing.preparing / len(some), 4),
            "documents": len(some),
        }
    return {"latency": found}
