"""Histories of events to the numbers that a model reads: ids of labels, gaps between events, bins of amounts, a row for the user.

What was learned of the training rows (the table of gaps, the edges of the bins, the users) is saved as `preprocessor_config.json` and
travels with the weights, so that a history means the same wherever the model is. `hf_mlc.events.fitting` makes one; here nothing is
learned.

Shape legend: B histories of a batch, n events of the longest one that is kept, M labels of the largest event, E labels of one history
in all its events, G gaps of the table, U users.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin

from .event_periods import PERIODS, merged_events, period_after
from .event_rows import DATES, NUMBERS, EventRowError, flat_events


# fills the places of labels that are not there
PADDING = -100
# how many of a unit make a day
PER_DAY = {"minute": 1440.0, "hour": 24.0, "day": 1.0, "week": 1 / 7}
# what of a history only a whole one has: a list of its events, or their times as `datasets` keeps them
_OF_HISTORIES = {"events", "times"}
# an id as a CSV writes it
_ID = re.compile(r"0|[1-9][0-9]{0,17}")


class EventProcessor(FeatureExtractionMixin):
    r"""
    Turns histories of events into tensors, right-padded, the earliest event first.

    Args:
        label_names (`list[str]`, *optional*, defaults to `[]`): the labels, in the order of their ids.
        look_back (`int`, *optional*): how many events are kept, the last ones; all if not given.
        gap_values (`list[float]`, *optional*, defaults to `[0.0]`): the G gaps between events that training had, in `time_unit`,
            ascending; another one counts as the nearest of them.
        median_gap (`float`, *optional*, defaults to 1.0): the median of training's gaps: how long after the last event the next one is
            taken to be where nobody says.
        amount_edges (`list[float]`, *optional*): where one bin of amounts ends and the next begins, ascending: bin i holds the
            amounts `edges[i - 1] <= amount < edges[i]`. `None`: the model reads no amounts.
        users (`list[str]` or `dict[str, int]`, *optional*): names of the U users, or their rows 1 ... U; row 0 is for anybody else. `None`:
            the model does not look at who it is.
        time_kind (`str`, *optional*, defaults to `"number"`): `"date"` or `"number"`: what times are.
        time_unit (`str`, *optional*, defaults to `"day"`): of dates the unit of gaps and times: `"minute"`, `"hour"`, `"day"` or
            `"week"`. Numbers stay in their own unit.
        uses_target_time (`bool`, *optional*, defaults to `False`): whether the model is told how long after the last event the next one
            is.
        integers_are_ids (`bool`, *optional*, defaults to `False`): whether an integer in place of a label is an id, and no name that is
            a number (`LabelSpace`).
        settings (`dict`, *optional*): how the training rows were cut from sequences, as `hf_mlc.events.targets.EventSettings` writes
            itself. Of it `"merge"` and `"max_history"` are looked at here, so that a history is cut as those rows were: events of one
            `"hour"`, `"day"` or `"week"` become one, and the last `max_history` events are all that there is.
        columns (`dict[str, str]`, *optional*): the columns of the training data that events were read from, as arguments of
            `hf_mlc.data.rows.Columns`.

    Attributes:
        num_gaps (`int`): G.
        num_amount_bins (`int`): how many bins amounts fall into; 0 where the model reads none.
        num_users (`int`): U.
        unseen_counts (`collections.Counter`): by label, how often one came that is none of `label_names` (it is left out); grows with
            every call, and is not saved.
        num_unseen_users (`int`): likewise, histories of a named user that training didn't have.

    Raises:
        `ValueError`: labels named twice, gaps or edges that do not ascend, an unknown unit, kind or period.

    Example:
        >>> processor = EventProcessor(["bread", "milk", "tea"], look_back=2, gap_values=[0.0, 1.0, 7.0])
        >>> history = [
        ...     {"time": 0, "labels": ["tea"]},
        ...     {"time": 6, "labels": ["milk", "bread"]},
        ...     {"time": 7, "labels": ["tea", "jam"]},
        ... ]
        >>> batch = processor([history])
        >>> batch["event_ids"].tolist(), batch["event_gap_ids"].tolist(), dict(processor.unseen_counts)
        ([[[0, 1], [2, -100]]], [[3, 2]], {'jam': 1})
    """

    model_input_names = ["event_ids", "event_mask", "event_gaps", "event_times", "event_gap_ids"]

    def __init__(
        self,
        label_names: Sequence[str] | None = None,
        look_back: int | None = None,
        gap_values: Sequence[float] | None = None,
        median_gap: float = 1.0,
        amount_edges: Sequence[float] | None = None,
        users: Sequence[str] | Mapping[str, int] | None = None,
        time_kind: Literal["date", "number"] = NUMBERS,
        time_unit: Literal["minute", "hour", "day", "week"] = "day",
        uses_target_time: bool = False,
        integers_are_ids: bool = False,
        settings: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.label_names = list(label_names or [])
        self.look_back = look_back
        self.gap_values = [float(gap) for gap in ([0.0] if gap_values is None else gap_values)]
        self.median_gap = float(median_gap)
        self.amount_edges = None if amount_edges is None else [float(edge) for edge in amount_edges]
        if users is not None and not isinstance(users, Mapping):
            users = {name: row for row, name in enumerate(users, start=1)}
        self.users = None if users is None else dict(users)
        self.time_kind, self.time_unit, self.uses_target_time = time_kind, time_unit, uses_target_time
        self.integers_are_ids = integers_are_ids
        self.settings, self.columns = dict(settings or {}), dict(columns or {})
        self._validate()
        self._prepare()

    # -- what it is

    @property
    def num_gaps(self) -> int:
        return len(self.gap_values)

    @property
    def num_amount_bins(self) -> int:
        return 0 if self.amount_edges is None else len(self.amount_edges) + 1

    @property
    def num_users(self) -> int:
        return len(self.users or ())

    def to_dict(self) -> dict[str, Any]:
        """What is saved: the arguments, and nothing of what is derived or counted."""
        return {name: value for name, value in super().to_dict().items() if name not in self._derived}

    def with_labels(self, label_names: Sequence[str], *, integers_are_ids: bool = False) -> EventProcessor:
        """The same processor of a model with these labels, in this order; its counts begin at 0."""
        other = copy.copy(self)
        other.set_labels(label_names, integers_are_ids=integers_are_ids)
        return other

    def set_labels(self, label_names: Sequence[str], *, integers_are_ids: bool = False) -> None:
        """Makes these the labels, in the order of their ids."""
        self.label_names, self.integers_are_ids = list(label_names), integers_are_ids
        self._validate()
        self._prepare()

    # -- histories

    def __call__(
        self, histories: Any, return_tensors: str | None = "pt", *, first_row: int = 1, **kwargs
    ) -> BatchFeature:
        """
        Args:
            histories (`list`): B of them, or one. A history is a list of events `{"time", "labels", "amount"?}` in any order, an
                object `{"user"?, "events", "target_time"?}` with such a list, or the flat form in which data sets store it
                (`event_rows.flat_events`). Without a user the `"id"` of an object is taken for it.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.
            first_row (`int`, *optional*, defaults to 1): the number of the first history in error messages.

        Returns:
            `BatchFeature`: of the last `look_back` events of each history; a history without events is padding alone.

            - `event_ids`, int64 `(B, n, M)`: the labels of each event, ascending; -100 is padding. An event of labels that are
              none of `label_names` stays, without any.
            - `event_mask`, bool `(B, n)`: where there is an event.
            - `event_gaps`, float32 `(B, n)`: the time since the event before it, also where that one is not kept; 0 for the first of all.
            - `event_times`, float32 `(B, n)`: the time since the first event that is kept.
            - `event_gap_ids`, int64 `(B, n)`: which of the G gaps it is, from 1 on; 0 is padding.
            - `event_amount_bins`, int64 `(B, n, M)`, if the model reads amounts: the bin of each label's amount; -100 is padding, and
              an amount that nobody gave.
            - `user_ids`, int64 `(B,)`, if it looks at who it is: 1 ... U, 0 for a user that training didn't have.
            - `target_gaps`, float32 `(B,)`, with `uses_target_time`: the time from the last event to the one to predict; `median_gap` where
              nobody says.

        Raises:
            `ValueError`: what is no history, a time that can't be read, dates where training had numbers or numbers where it had dates, an
                amount below 0, a time to predict for before the last event; it names row and field.
        """
        if return_tensors not in ("pt", "np", None):
            raise ValueError(f"`return_tensors` must be 'pt' or 'np', found {return_tensors!r}")
        return BatchFeature(
            self.pad(self.encode(listed_histories(histories), first_row=first_row)), tensor_type=return_tensors
        )

    def flat(self, history: Any, *, row: int | None = None) -> dict[str, Any]:
        """A history in the flat form, as a row of training holds it: checked, in order, events of one period merged, cut to the last
        `max_history` events of the settings.

        Raises:
            `ValueError`: see the call.
        """
        whose = history.get("id") if isinstance(history, Mapping) else None
        try:
            flat, _ = flat_events(history, time_kind=self.time_kind, user=whose)
        except EventRowError as error:
            raise EventRowError(error.problem, field=error.field, accepted=error.accepted, row=row) from None
        user = flat["user"]
        # data sets store amounts so, and an edge of a bin is one of them
        amounts = np.array(flat["amounts"], dtype=np.float32).tolist()
        flat = merged_events({**flat, "user": None if user is None else str(user), "amounts": amounts}, self._merge)
        return _last_events(flat, self.settings.get("max_history"))

    def followed(self, history: Any, label_names: Sequence[str], *, is_flat: bool = False) -> dict[str, Any]:
        """The history with one event more, of these labels, at the time it was asked for or else one `median_gap` after its last: a
        roll-out's next step.

        Args:
            history: as a call takes it.
            label_names (`list[str]`): none is no event, and only time goes on.
            is_flat (`bool`, *optional*, defaults to `False`): the history is what `flat` gives; nothing is looked at again.

        Returns:
            `dict`: what `flat` gives. An amount of what has not happened yet is that of the middle bin; where events of a period are
                one, the new one is at the beginning of a period.
        """
        flat = history if is_flat else self.flat(history)
        if not label_names:
            return {**flat, "target_time": None}
        last, gap = flat["times"][-1] if flat["times"] else 0.0, self.median_gap / self._units
        time = flat.get("target_time")
        if time is None or (flat["times"] and time <= last):
            time = last + gap if self._merge == "none" else period_after(last, gap, self._merge)
        has_amounts = bool(flat["amounts"]) or (self.amount_edges is not None and not flat["labels"])
        labels, new = flat["labels"], list(label_names)
        if labels and isinstance(labels[0], int):  # a history's labels are all numbers or all names
            if self.integers_are_ids:
                new = [self._id_of[name] for name in new]
            else:
                labels = [str(label) for label in labels]
        followed = {
            **flat,
            "times": [*flat["times"], time],
            "sizes": [*flat["sizes"], len(new)],
            "labels": [*labels, *new],
            "amounts": [*flat["amounts"], *[self._middle_amount] * len(new)] if has_amounts else [],
            "target_time": None,
        }
        return _last_events(followed, self.settings.get("max_history"))

    def encode(self, histories: Sequence[Any], *, first_row: int = 1, is_flat: bool = False) -> list[dict[str, Any]]:
        """Each history by itself, unpadded: what `pad` makes a batch of.

        Args:
            histories (`list`): as a call takes them.
            first_row (`int`, *optional*, defaults to 1): the number of the first one in error messages.
            is_flat (`bool`, *optional*, defaults to `False`): they are in the flat form, checked and merged; nothing is looked at again.

        Returns:
            `list[dict]`: the keys of a call without `event_mask`; of each event its labels and their bins in an array of their own.
        """
        encoded = []
        for row, history in enumerate(histories, start=first_row):
            encoded.append(self._encoded(history if is_flat else self.flat(history, row=row), row))
        return encoded

    def pad(self, encoded: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Histories from `encode` as the arrays of a batch; see the call."""
        num_events_B = np.array([len(row["event_gaps"]) for row in encoded], dtype=np.int64)
        n = max(1, num_events_B.max(initial=0))
        mask_Bn = np.arange(n) < num_events_B[:, None]
        batch = {"event_ids": _padded_labels([row["event_ids"] for row in encoded], mask_Bn), "event_mask": mask_Bn}
        for name, dtype in (("event_gaps", np.float32), ("event_times", np.float32), ("event_gap_ids", np.int64)):
            values_Bn = np.zeros(mask_Bn.shape, dtype=dtype)
            values_Bn[mask_Bn] = _joined([row[name] for row in encoded], dtype)
            batch[name] = values_Bn
        if self.amount_edges is not None:
            batch["event_amount_bins"] = _padded_labels([row["event_amount_bins"] for row in encoded], mask_Bn)
        if self.users is not None:
            batch["user_ids"] = np.array([row["user_ids"] for row in encoded], dtype=np.int64)
        if self.uses_target_time:
            batch["target_gaps"] = np.array([row["target_gaps"] for row in encoded], dtype=np.float32)
        return batch

    def gaps(self, times: Sequence[float]) -> np.ndarray:
        """The time since the event before it of each event that is kept, of all times of a history; float32 `(n,)`, in `time_unit`."""
        times, start = np.asarray(times, dtype=np.float64), self._start(len(times))
        return (np.diff(times, prepend=times[:1])[start:] * self._units).astype(np.float32)

    # -- inside

    _derived = (
        "unseen_counts",
        "num_unseen_users",
        "_id_of",
        "_gaps_G",
        "_edges",
        "_units",
        "_merge",
        "_middle_amount",
    )

    def _validate(self) -> None:
        choices = {"time_kind": (DATES, NUMBERS), "time_unit": tuple(PER_DAY)}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise ValueError(f"`{name}` must be one of {', '.join(accepted)}, found {getattr(self, name)!r}")
        if self.look_back is not None and self.look_back < 1:
            raise ValueError(f"`look_back` must be 1 or more, or None, found {self.look_back!r}")
        twice = [name for name, times in Counter(self.label_names).items() if times > 1]
        if twice:
            raise ValueError(f"`label_names` must be different names, found {twice[0]!r} twice")
        for name in ("gap_values", "amount_edges"):
            values = getattr(self, name)
            if values is not None and not (np.isfinite(values).all() and (np.diff(values) > 0).all()):
                raise ValueError(f"`{name}` must be finite numbers, ascending, found {values[:5]}")
        if not self.gap_values or self.gap_values[0] < 0:
            raise ValueError(f"`gap_values` must be numbers from 0 on, one or more, found {self.gap_values[:5]}")
        if self.users is not None and set(self.users.values()) != set(range(1, len(self.users) + 1)):
            raise ValueError("`users` must have the rows 1 ... U, each once")
        merge = self.settings.get("merge", "none")
        if merge not in PERIODS:
            raise ValueError(f"`merge` must be one of {', '.join(PERIODS)}, found {merge!r}")

    def _prepare(self) -> None:
        self.unseen_counts: Counter[str] = Counter()
        self.num_unseen_users = 0
        self._id_of = {name: i for i, name in enumerate(self.label_names)}
        self._gaps_G = np.array(self.gap_values)
        self._edges = None if self.amount_edges is None else np.array(self.amount_edges)
        # units in one of the numbers that times are: of dates in a day
        self._units = PER_DAY[self.time_unit] if self.time_kind == DATES else 1.0
        self._merge = self.settings.get("merge", "none")
        edges = self.amount_edges or [0.0]  # the lower edge of the middle bin
        self._middle_amount = edges[(len(edges) - 1) // 2]

    def _start(self, num_events: int) -> int:
        """The place of the first event that is kept."""
        return 0 if self.look_back is None else max(0, num_events - self.look_back)

    def _id(self, label: Any) -> int:
        """The id of a label that is no name as it stands, or -1; as `LabelSpace` finds it."""
        if isinstance(label, str) and not (self.integers_are_ids and _ID.fullmatch(label)):
            return -1
        if self.integers_are_ids:
            return int(label) if 0 <= int(label) < len(self.label_names) else -1
        return self._id_of.get(str(label), -1)

    def _encoded(self, flat: Mapping[str, Any], row: int) -> dict[str, Any]:
        times, sizes = np.array(flat["times"], dtype=np.float64), np.array(flat["sizes"], dtype=np.int64)
        start = self._start(len(times))
        skipped = int(sizes[:start].sum())
        sizes_n, times_n, gaps_n = sizes[start:], times[start:], self.gaps(times)
        ids_per_event, bins_per_event = self._labels(
            flat["labels"][skipped:], (flat.get("amounts") or [])[skipped:], sizes_n
        )
        encoded = {
            "event_ids": ids_per_event,
            "event_gaps": gaps_n,
            "event_times": ((times_n - times_n[:1]) * self._units).astype(np.float32),
            "event_gap_ids": nearest(self._gaps_G, gaps_n) + 1,
        }
        if self.amount_edges is not None:
            encoded["event_amount_bins"] = bins_per_event
        if self.users is not None:
            user = flat.get("user")
            encoded["user_ids"] = self.users.get(user, 0)
            self.num_unseen_users += user is not None and user not in self.users
        if self.uses_target_time:
            encoded["target_gaps"] = self._target_gap(flat, times, row)
        return encoded

    def _labels(
        self, labels: Sequence[Any], amounts: Sequence[float], sizes_n: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of each event the ids of its known labels, ascending, and the bins of their amounts."""
        ids_E = np.fromiter((self._id_of.get(label, -1) for label in labels), dtype=np.int64, count=len(labels))
        for place in np.flatnonzero(ids_E < 0):
            ids_E[place] = self._id(labels[place])
            if ids_E[place] < 0:
                self.unseen_counts[str(labels[place])] += 1
        event_E = np.repeat(np.arange(len(sizes_n)), sizes_n)
        known_E = ids_E >= 0
        # an event's own labels stay together and ascend; two spellings of one label are one, with amounts added
        keys_E = event_E[known_E] * max(1, len(self.label_names)) + ids_E[known_E]
        keys_K, of_key_E = np.unique(keys_E, return_inverse=True)
        event_K, ids_K = np.divmod(keys_K, max(1, len(self.label_names)))
        bins_K = np.full(len(keys_K), PADDING, dtype=np.int64)
        if self._edges is not None and len(amounts):
            amounts_K = np.bincount(of_key_E, np.asarray(amounts, dtype=np.float64)[known_E], minlength=len(keys_K))
            bins_K = np.searchsorted(self._edges, amounts_K.astype(np.float32), side="right")
        ends = [0, *np.bincount(event_K, minlength=len(sizes_n)).cumsum().tolist()]
        parts = [slice(*border) for border in itertools.pairwise(ends)]
        return [ids_K[part] for part in parts], [bins_K[part] for part in parts]

    def _target_gap(self, flat: Mapping[str, Any], times: np.ndarray, row: int) -> float:
        target_time = flat.get("target_time")
        if target_time is None or not len(times):
            return self.median_gap
        if target_time < times[-1]:
            found = f"{target_time:g}, before the last event's {times[-1]:g}"
            raise EventRowError(found, field="target_time", accepted="a time after all events", row=row)
        return (target_time - times[-1]) * self._units


def nearest(values_G: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Positions of the nearest of ascending values, of the lower one where two are as near; int64, of the shape of `given`."""
    middles = (values_G[1:] + values_G[:-1]) / 2
    return np.searchsorted(middles, given, side="left").astype(np.int64)


def _last_events(flat: Mapping[str, Any], number: int | None) -> dict[str, Any]:
    """A history with so many events, the last ones; as it is where `number` is `None`."""
    start = 0 if number is None else max(0, len(flat["times"]) - number)
    skipped = sum(flat["sizes"][:start])
    return {
        **flat,
        "times": flat["times"][start:],
        "sizes": flat["sizes"][start:],
        "labels": flat["labels"][skipped:],
        "amounts": flat["amounts"][skipped:],
    }


def listed_histories(histories: Any) -> Sequence[Any]:
    """One history, or several, as a list of them.

    Raises:
        `EventRowError`: it is no list; a `DataFrame` is none either.
    """
    if isinstance(histories, Mapping):
        return [histories]
    if isinstance(histories, (str, bytes)) or not hasattr(histories, "__len__"):
        raise EventRowError(f"histories are a {type(histories).__name__}", accepted="a list of histories")
    if hasattr(histories, "iterrows"):  # indexing it would look for a column
        accepted = "a list of histories; the pipeline 'multi-label-event-prediction' takes a long table"
        raise EventRowError(f"histories are a {type(histories).__name__}", accepted=accepted)
    return [histories] if is_list_of_events(histories) else histories


def is_list_of_events(values: Sequence[Any]) -> bool:
    """Whether a list is one history, and not several: whether its first value is an event. One without any is several, and none of them."""
    return len(values) > 0 and isinstance(values[0], Mapping) and not _OF_HISTORIES & set(values[0])


def _joined(values: Sequence[Sequence[Any]], dtype: Any) -> np.ndarray:
    return np.concatenate([*values, ()], dtype=dtype, casting="unsafe")  # () for a batch without any


def _padded_labels(values: Sequence[Sequence[Sequence[int]]], mask_Bn: np.ndarray) -> np.ndarray:
    """Numbers of the labels of each event, int64 `(B, n, M)`, M >= 1."""
    events = list(itertools.chain.from_iterable(values))
    sizes = np.array([len(event) for event in events], dtype=np.int64)
    places = np.arange(max(1, sizes.max(initial=0)))
    padded = np.full((len(events), len(places)), PADDING, dtype=np.int64)
    padded[places < sizes[:, None]] = _joined(events, np.int64)
    padded_BnM = np.full((*mask_Bn.shape, len(places)), PADDING, dtype=np.int64)
    padded_BnM[mask_Bn] = padded
    return padded_BnM


__all__ = ["PADDING", "PER_DAY", "EventProcessor", "is_list_of_events", "listed_histories", "nearest"]
