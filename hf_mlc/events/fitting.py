"""What the training rows say of events, as the processor that travels with a model: gaps, bins of amounts, users, labels.

Only what a model is shown counts: of each row the events of its look-back. An event that stands in several rows counts in each, so
that a bin of amounts holds about as many of those that the model meets as any other.

Shape legend: E events of all rows, A amounts of all rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_mlc.errors import UserError
from hf_mlc.events.encoding import EventRows
from hf_mlc.modeling.event_rows import DATES, NUMBERS
from hf_mlc.modeling.processing_events import EventProcessor


# bins of amounts that the published model has (lanet.md 1.1)
AMOUNT_BINS = 9
MAX_GAP_VALUES = 512


def fit_events(
    rows: datasets.Dataset,
    *,
    label_names: Sequence[str] = (),
    integers_are_ids: bool = False,
    look_back: int | None = None,
    num_amount_bins: int | None = None,
    max_gap_values: int = MAX_GAP_VALUES,
    with_users: bool = False,
    time_kind: str = NUMBERS,
    time_unit: str = "day",
    uses_target_time: bool = False,
    settings: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    file: str | Path = "train",
) -> EventProcessor:
    """The processor of the training rows. One pass, in batches; kept are a float32 a gap and an amount, and the users' names.

    Args:
        rows (`datasets.Dataset`): the TRAINING rows, with the column `events`.
        label_names (`list[str]`, *optional*): the labels in the order of their ids, those of
            `LabelSpace.from_label_lists(all_labels(rows))` ([`~hf_mlc.events.targets.all_labels`]); none if they are set later
            ([`~hf_mlc.modeling.processing_events.EventProcessor.set_labels`]).
        integers_are_ids (`bool`, *optional*, defaults to `False`): of `label_names`, as in `LabelSpace`.
        look_back, time_kind, time_unit, uses_target_time, settings, columns: see
            [`~hf_mlc.modeling.processing_events.EventProcessor`].
        num_amount_bins (`int`, *optional*): how many bins, each of as many amounts (fewer where many are equal); 0 for a model
            that reads no amounts. 9 where the rows have amounts and nothing is given, else 0.
        max_gap_values (`int`, *optional*, defaults to 512): of more different gaps, so many quantiles make the table.
        with_users (`bool`, *optional*, defaults to `False`): whether each user gets a row of its own.
        file (`str` or `Path`, *optional*, defaults to `"train"`): where the rows come from, for error messages.

    Raises:
        `UserError`: no event in any row; bins of amounts, where rows have none; rows of users, where rows name none.
    """
    if num_amount_bins is not None and num_amount_bins < 0:
        raise UserError(f"found {num_amount_bins}", field="num_amount_bins", accepted="0 or more")
    if max_gap_values < 2:
        raise UserError(f"found {max_gap_values}", field="max_gap_values", accepted="2 or more")
    # a processor that knows the units alone measures the gaps
    measure = EventProcessor(look_back=look_back, time_kind=time_kind, time_unit=time_unit, settings=settings)
    seen = _Seen(measure, reads_amounts=num_amount_bins != 0)
    for events in EventRows(rows):
        seen.add(events)
    gaps_E, amounts_A = seen.gaps(), seen.amounts()
    if not seen.num_events:
        raise UserError("no event in any row", file=file, field="events", accepted="histories with events")
    if num_amount_bins and not len(amounts_A):
        raise UserError("no event has an amount", file=file, field="num_amount_bins", accepted="amounts, or 0 bins")
    if with_users and not seen.users:
        raise UserError("no row names its user", file=file, field="with_users", accepted="rows with a user")
    edges = None
    if len(amounts_A) and num_amount_bins != 0:
        edges = amount_edges(amounts_A, AMOUNT_BINS if num_amount_bins is None else num_amount_bins)
    between_E = gaps_E[gaps_E > 0]
    return EventProcessor(
        label_names,
        look_back=look_back,
        gap_values=gap_table(gaps_E, max_gap_values),
        median_gap=float(np.median(between_E)) if len(between_E) else 1.0,
        amount_edges=edges,
        users=list(seen.users) if with_users else None,
        time_kind=time_kind,
        time_unit=time_unit,
        uses_target_time=uses_target_time,
        integers_are_ids=integers_are_ids,
        settings=settings,
        columns=columns,
    )


def gap_table(gaps_E: np.ndarray, max_values: int = MAX_GAP_VALUES) -> list[float]:
    """0, the gap of a user's first event, and the different gaps there are; of too many their quantiles.

    Args:
        gaps_E (`np.ndarray` of shape `(E,)`): float32, 0 or more.
        max_values (`int`, *optional*, defaults to 512): how long the table may get.
    """
    values = np.unique(np.append(gaps_E, np.float32(0)))
    if len(values) > max_values:
        quantiles = np.quantile(gaps_E, np.linspace(0, 1, max_values - 1), method="inverted_cdf")
        values = np.unique(np.append(quantiles, np.float32(0)))
    return values.tolist()


def amount_edges(amounts_A: np.ndarray, num_bins: int) -> list[float]:
    """Where one bin of amounts ends and the next begins: quantiles, each once.

    Args:
        amounts_A (`np.ndarray` of shape `(A,)`): one or more.
        num_bins (`int`): 1 or more; the list is one shorter, and shorter still where many amounts are equal.
    """
    above_A = amounts_A[amounts_A > amounts_A.min()]
    if not len(above_A):
        return []
    # "higher": an edge is an amount that there is, and so no bin between two of them is empty; nor is the first one
    edges = np.quantile(amounts_A, np.linspace(0, 1, num_bins + 1)[1:-1], method="higher")
    return np.unique(np.maximum(edges, above_A.min())).tolist()


def summary(processor: EventProcessor) -> str:
    """One line of what was found."""
    unit = f" in {processor.time_unit}s" if processor.time_kind == DATES else ""
    parts = [f"{len(processor.label_names):,} labels"] if processor.label_names else []
    parts += [f"a table of {processor.num_gaps:,} gaps{unit}"]
    parts.append(f"median gap {processor.median_gap:g}")
    if processor.amount_edges is not None:
        parts.append(f"{processor.num_amount_bins} bins of amounts")
    if processor.users is not None:
        parts.append(f"{processor.num_users:,} users")
    kept = "all events" if processor.look_back is None else f"the last {processor.look_back} events"
    return f"events: {', '.join(parts)}; {kept} of a history are read"


class _Seen:
    """What is kept of the rows on the way: gaps, amounts, users."""

    def __init__(self, measure: EventProcessor, *, reads_amounts: bool):
        self.measure, self.reads_amounts = measure, reads_amounts
        self.num_events = 0
        self.users: dict[str, None] = {}  # in the order in which they come
        self._gaps, self._amounts = array("f"), array("f")

    def add(self, flat: Mapping[str, Any]) -> None:
        user, times, look_back = flat.get("user"), flat["times"], self.measure.look_back
        if user is not None:
            self.users[user] = None
        self.num_events += len(times)
        self._gaps.frombytes(self.measure.gaps(times).tobytes())
        if self.reads_amounts and flat["amounts"]:
            skipped = 0 if look_back is None else sum(flat["sizes"][:-look_back])
            self._amounts.extend(flat["amounts"][skipped:])

    def gaps(self) -> np.ndarray:
        return np.array(self._gaps, dtype=np.float32)

    def amounts(self) -> np.ndarray:
        return np.array(self._amounts, dtype=np.float32)


__all__ = ["AMOUNT_BINS", "MAX_GAP_VALUES", "amount_edges", "fit_events", "gap_table", "summary"]
