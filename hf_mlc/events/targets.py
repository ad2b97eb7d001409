"""Rows of a history and the label set that came next, made of event sequences; splits by user or by the target's time.

Histories reach back across the borders between splits, targets never: what a user did before is known when a target is
predicted.

The answers to sequences that give no row (all of them counted, [`EventCounts`]): a user without events or with fewer
than `min_events` is left out; an event with too little before it is history only.

Indices: event i of a user has i events before it, after merging. Events are flat, as [`hf_mlc.modeling.event_rows`] has
them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import datasets
import numpy as np
from transformers.utils import logging

from hf_mlc.data.finding import SPLITS
from hf_mlc.data.storing import causes_raised, file_of
from hf_mlc.errors import UserError
from hf_mlc.events.settings import EventSettings
from hf_mlc.modeling.event_periods import merged_events, period_start


logger = logging.get_logger(__name__)

# part of the cache key: raise it when the same sequences make other rows
_ROWS_VERSION = 3
_TRAIN, _VALIDATION, _ = SPLITS


@dataclass(frozen=True)
class _Events:
    """One user's events, of which any run of consecutive ones is cut out."""

    user: str | None
    times: Sequence[float]
    starts: Sequence[int]  # where the entries of each event begin, and where the last ends
    labels: Sequence[str | int]
    amounts: Sequence[float]
    target_time: float | None  # of a row that is to predict what comes after all of them

    def __len__(self) -> int:
        return len(self.times)

    def labels_of(self, index: int) -> list[str | int]:
        return list(self.labels[self.starts[index] : self.starts[index + 1]])

    def history(self, first: int, end: int, target_time: float | None) -> dict[str, Any]:
        """Events `first` to `end - 1`, as a row holds them."""
        of_entries = slice(self.starts[first], self.starts[end])
        return {
            "user": self.user,
            "times": list(self.times[first:end]),
            "sizes": [self.starts[i + 1] - self.starts[i] for i in range(first, end)],
            "labels": list(self.labels[of_entries]),
            "amounts": list(self.amounts[of_entries]) if self.amounts else [],
            "target_time": target_time,
            "unsorted": 0,
            "merged": 0,
        }


@dataclass
class EventCounts:
    """What became of the sequences of one split.

    Args:
        users, events (`int`): as they were read.
        unsorted (`int`): events that stood after a later one of the same user; they were sorted.
        merged_times (`int`): events that were made one with another of the same time.
        merged_periods (`int`): events that were made one with another of the same hour, day or week, as the settings
            ask.
        users_left_out (`int`): users without events, or with fewer than the settings ask for.
        users_of_one_event (`int`): of those, users with one event.
    """

    users: int = 0
    events: int = 0
    unsorted: int = 0
    merged_times: int = 0
    merged_periods: int = 0
    users_left_out: int = 0
    users_of_one_event: int = 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def __str__(self) -> str:
        """One line; zeros apart from users and events are left out."""
        said = [f"{self.users:,} users, {self.events:,} events"]
        for name, words in (
            ("unsorted", "out of order, sorted"),
            ("merged_times", "merged with one of the same time"),
            ("merged_periods", "merged with one of the same period"),
            ("users_left_out", "users left out for too few events"),
        ):
            number = getattr(self, name)
            said += [f"{number:,} {words}"] if number else []
        if self.users_of_one_event:
            said[-1] += f" ({self.users_of_one_event:,} with one event)"
        return "; ".join(said)


def target_rows(
    splits: Mapping[str, datasets.Dataset], settings: EventSettings, *, parts: Iterable[str] | None = None
) -> datasets.DatasetDict:
    """Rows of histories with the label sets that came next.

    Args:
        splits (`DatasetDict`): sequences, as `load_splits` gives them. With `settings.split_by == "time"` one split,
            whatever it is called: the parts are made of it.
        settings ([`EventSettings`]): which events are targets, of which part.
        parts (`list[str]`, *optional*): of `train`, `validation`, `test`, those to make; without it all that there are.

    Returns:
        `DatasetDict`: rows of `id` (`"ID@INDEX"`, the sequence's id and the target's index; of `targets="column"` the
        row's own, but for the pieces of a long training sequence), `events` (the history; its `target_time` is that of
        the target) and `labels` (the target's, each once). Written to the cache of `datasets` one at a time.

    Raises:
        `UserError`: several splits that are to be split by time, no target in a part at all, no labels where
        `targets="column"`.
    """
    if settings.split_by == "time":
        if len(splits) != 1:
            found = f"{len(splits)} splits: {', '.join(splits)}"
            raise UserError(found, field="split_by", accepted="one file that is split by time, or split_by given")
        sources = dict.fromkeys(SPLITS, next(iter(splits.values())))
        if settings.time_cuts is None:
            _check_one_row_a_user(*next(iter(splits.items())))
            # a part of nothing isn't made
            sources = {part: rows for part, rows in sources.items() if settings.fractions[SPLITS.index(part)]}
    else:
        sources = dict(splits)
        _warn_of_shared_users(sources)
        if settings.draws_validation and _TRAIN in sources and _VALIDATION not in sources:
            sources[_TRAIN], sources[_VALIDATION] = _drawn_users(sources[_TRAIN], settings)
    wanted = SPLITS if parts is None else tuple(parts)
    missing = next((part for part in wanted if part not in sources), None)
    if parts is not None and settings.split_by == "time" and missing is not None:
        raise UserError(f"nothing for {missing}", field="fractions", accepted="a fraction of more than 0 for it")
    return datasets.DatasetDict(
        {part: _rows_of_part(part, sources[part], settings) for part in SPLITS if part in sources and part in wanted}
    )


def split_read(settings: EventSettings, split: str) -> str:
    """The split of the data that the rows of `split` are made of: split by time the one file, which is called train, and so is
    what drawn validation users are drawn from."""
    is_drawn = split == _VALIDATION and settings.draws_validation
    return _TRAIN if settings.split_by == "time" or is_drawn else split


def all_labels(rows: datasets.Dataset) -> Iterator[list[str | int]]:
    """Of each row the labels of history and target together: all that a model of these rows has to know."""
    for batch in rows.with_format(None).select_columns(["events", "labels"]).iter(batch_size=1000):
        for events, labels in zip(batch["events"], batch["labels"], strict=True):
            yield list({*events["labels"], *labels})


def target_sets(rows: datasets.Dataset, settings: EventSettings) -> Iterator[list[str | int]]:
    """The label sets that are predicted of training rows; of one a sequence each event but the first is one.

    Args:
        rows (`datasets.Dataset`): from [`target_rows`].
        settings ([`EventSettings`]): those rows'.
    """
    for batch in rows.with_format(None).select_columns(["events", "labels"]).iter(batch_size=1000):
        for events, labels in zip(batch["events"], batch["labels"], strict=True):
            if settings.rows == "sequence":
                starts = np.cumsum([0, *events["sizes"]]).tolist()
                yield from (events["labels"][starts[i] : starts[i + 1]] for i in range(1, len(events["sizes"])))
            yield labels


def count_events(rows: datasets.Dataset, settings: EventSettings) -> EventCounts:
    """Counts what [`target_rows`] makes of the sequences of a split. One pass over them.

    Args:
        rows (`datasets.Dataset`): sequences, as `load_splits` gives them.
        settings ([`EventSettings`]): what is made of them.
    """
    counts = EventCounts()
    for row in rows.with_format(None).select_columns("events"):
        found = row["events"]
        events = _events(found, settings.merge)
        counts.users += 1
        counts.events += len(found["sizes"])
        counts.unsorted += found.get("unsorted") or 0
        counts.merged_times += found.get("merged") or 0
        counts.merged_periods += len(found["sizes"]) - len(events)
        if settings.targets != "column":
            counts.users_left_out += _is_left_out(events, settings)
            counts.users_of_one_event += len(events) == 1 and _is_left_out(events, settings)
    return counts


# -- splitting


def _drawn_users(train: datasets.Dataset, settings: EventSettings) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Training and validation users, each with all of its rows: of those that have targets a share is drawn; the others stay, they
    give no row. A row that names no user is one by itself."""
    places_of: dict[str | int, list[int]] = {}
    with_targets: dict[str | int, None] = {}  # in order of their first rows that have one
    for place, row in enumerate(train.with_format(None).select_columns("events")):
        events = _events(row["events"], settings.merge)
        user = place if events.user is None else events.user
        places_of.setdefault(user, []).append(place)
        if _num_targets(events, _VALIDATION, settings):
            with_targets[user] = None
    users = list(with_targets)
    number = max(1, math.floor(settings.validation_fraction * len(users) + 0.5))
    if number >= len(users):
        raise UserError(
            f"{len(users)} users with targets cannot give a fraction of {settings.validation_fraction}",
            file=file_of(train, _TRAIN),
            field="validation_fraction",
            accepted="one that leaves a user or more on both sides",
        )
    drawn = np.random.default_rng(settings.seed).permutation(len(users))[:number]
    is_drawn = np.zeros(len(train), dtype=bool)
    is_drawn[[place for user in drawn for place in places_of[users[user]]]] = True
    return train.select(np.flatnonzero(~is_drawn)), train.select(np.flatnonzero(is_drawn))


def _warn_of_shared_users(sources: Mapping[str, datasets.Dataset]) -> None:
    users = {part: _named_users(rows) for part, rows in sources.items()} if len(sources) > 1 else {}
    for first, second in itertools.combinations(users, 2):
        both = len(users[first] & users[second])
        if both:
            logger.warning(
                f"{both:,} users stand in {first} and in {second}, which know nothing of each other's events; for one"
                " file that is to be split by time: split_by time"
            )


def _check_one_row_a_user(split: str, rows: datasets.Dataset) -> None:
    """`UserError` for a user with several rows: each would be cut by itself, and what is training in one be later than a test in another."""
    seen: dict[str, int] = {}
    for row, user in enumerate(_users(rows), start=1):
        first = row if user is None else seen.setdefault(user, row)
        if first != row:
            raise UserError(
                f"the user '{user}' has a row already, row {first}",
                file=file_of(rows, split),
                row=row,
                field="user",
                accepted="all events of a user in one row, where each user's are split by time; time_cuts; or split_by given",
            )


def _users(rows: datasets.Dataset) -> Iterable[str | None]:
    return rows.with_format(None).select_columns("events").flatten()["events.user"]


def _named_users(rows: datasets.Dataset) -> set[str]:
    return set(_users(rows)) - {None}


def _num_targets(events: _Events, part: str, settings: EventSettings) -> int:
    if settings.targets == "column":
        return int(len(events) >= settings.min_history)
    return len(_targets(events, part, settings))


def _targets(events: _Events, part: str, settings: EventSettings) -> range:
    """The indices of a user's targets in a part; consecutive, since cuts are by time."""
    if _is_left_out(events, settings):
        return range(0)
    targets = range(min(settings.min_history, len(events)), len(events))
    if settings.split_by == "time":
        targets = targets[_cut(events, targets, part, settings)]
    # the last event is the target of a sequence that is one part's alone, and of each part's share of one that is cut
    return targets[-1:] if settings.targets_of(part) == "last" else targets


def _cut(events: _Events, targets: range, part: str, settings: EventSettings) -> slice:
    place = SPLITS.index(part)
    if settings.time_cuts is not None:
        # a merged event stands at the beginning of its period: one that a cut goes through is of the later part
        merged = settings.merge != "none"
        cuts = [period_start(cut, settings.merge) if merged else cut for cut in settings.time_cuts]
        borders = [int(np.searchsorted(events.times[targets.start :], cut, side="left")) for cut in cuts]
    else:
        first, second = settings.fractions[0], settings.fractions[0] + settings.fractions[1]
        # half a target more than a whole number rounds up; of sums like 0.7 + 0.3 the last digits are noise
        borders = [math.floor(share * len(targets) + 0.5 + 1e-9) for share in (first, second)]
    borders = [0, *borders, len(targets)]
    return slice(borders[place], borders[place + 1])


def _is_left_out(events: _Events, settings: EventSettings) -> bool:
    return len(events) < max(settings.min_events, 1)


# -- rows


def _rows_of_part(part: str, source: datasets.Dataset, settings: EventSettings) -> datasets.Dataset:
    with causes_raised():
        rows = datasets.Dataset.from_generator(
            _some_rows,
            features=source.select_columns(["id", "events", "labels"]).features,
            split=datasets.NamedSplit(part),
            # all of this is the key of the cache
            gen_kwargs={"source": source, "part": part, "settings": settings, "version": _ROWS_VERSION},
        )
    rows.info.description = source.info.description  # which file they come from, for messages
    return rows


def _some_rows(source: datasets.Dataset, part: str, settings: EventSettings, version: int) -> Iterator[dict[str, Any]]:
    """The generator behind a part; `version` only makes the key of the cache change with it."""
    number, file = 0, file_of(source, part)
    for row in _rows(source, part, settings):
        number += 1
        yield row
    if not number:
        raise _without_targets(source, part, settings, file)
    if settings.targets == "column" and not any(source.with_format(None)["labels"]):
        accepted = "a labels column, or targets next or last"
        raise UserError("no row has a next set", file=file, field="labels", accepted=accepted)


def _without_targets(source: datasets.Dataset, part: str, settings: EventSettings, file: str) -> UserError:
    """Why a part has none: all users have too few events, or what splits by time gives it none."""
    least = max(settings.min_events, settings.min_history + (settings.targets != "column"))
    found, accepted = f"no target for {part}", f"users with at least {least} events"
    if settings.split_by == "time":
        numbers = dict.fromkeys(SPLITS, 0)
        for row in source.with_format(None).select_columns("events"):
            events = _events(row["events"], settings.merge)
            for name in SPLITS:
                numbers[name] += _num_targets(events, name, settings)
        found += f" ({', '.join(f'{name}: {number:,}' for name, number in numbers.items())})"
        if any(numbers.values()):
            how = "split_fractions" if settings.time_cuts is None else "time_cuts"
            accepted = f"longer sequences, or other {how}"
    return UserError(found, file=file, field="events", accepted=accepted)


def _rows(source: datasets.Dataset, part: str, settings: EventSettings) -> Iterator[dict[str, Any]]:
    for row in source.with_format(None):
        events = _events(row["events"], settings.merge)
        if settings.targets == "column":
            if len(events) >= settings.min_history:
                first = _first(len(events), settings)
                if part == _TRAIN and settings.rows == "sequence":  # events that the last row doesn't reach
                    yield from _pieces(row["id"], events, range(1, first + 1), settings)
                history = events.history(first, len(events), events.target_time)
                yield {"id": row["id"], "events": history, "labels": list(dict.fromkeys(row["labels"]))}
            continue
        targets = _targets(events, part, settings)
        if part == _TRAIN and settings.rows == "sequence":
            yield from _pieces(row["id"], events, targets, settings)
            continue
        for index in targets:
            yield _row(row["id"], events, _first(index, settings), index)


def _row(name: str, events: _Events, first: int, target: int) -> dict[str, Any]:
    return {
        "id": f"{name}@{target}",
        "events": events.history(first, target, events.times[target]),
        "labels": events.labels_of(target),
    }


def _first(end: int, settings: EventSettings) -> int:
    """Where the history of the events before `end` begins."""
    return 0 if settings.max_history is None else max(0, end - settings.max_history)


def _pieces(name: str, events: _Events, targets: range, settings: EventSettings) -> Iterator[dict[str, Any]]:
    """A user's training events up to the last target, cut so that every one but the first is predicted in one piece."""
    if not targets:
        return
    start, last = 0, targets[-1]
    while start < last:
        end = last if settings.max_history is None else min(start + settings.max_history, last)
        yield _row(name, events, start, end)
        start = end


def _events(flat: Mapping[str, Any], merge: str) -> _Events:
    """The events of a stored history; those of one period as one."""
    flat = merged_events(flat, merge)
    starts = [0, *np.cumsum(flat["sizes"], dtype=np.int64).tolist()]
    return _Events(flat["user"], flat["times"], starts, flat["labels"], flat["amounts"], flat.get("target_time"))
