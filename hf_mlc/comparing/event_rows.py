"""The rows that a comparison over event sequences shares: cut, divided and limited to the frequent labels once, before any arm sees them.

A row is a user's whole history up to an event and the label set of that event. What decides which rows, users and labels there are,
is either no label at all or labels of training targets: a label of a measured event changes that row's own target, and the histories of
the same user's later rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets

from hf_mlc.comparing.claim import Sequences
from hf_mlc.data import Columns, load_splits
from hf_mlc.errors import UserError
from hf_mlc.events.settings import EventSettings
from hf_mlc.events.targets import target_rows


SEQUENCES = "train_sequences"
_LIMITED_VERSION = 1  # raise it when the same rows are limited to others
LONGEST_SEQUENCE = 64  # events; a longer one is several rows, in each of which an event is a target once


def rows_of_sequences(how: Sequences, source: Path, *, seed: int) -> dict[str, datasets.Dataset]:
    """The rows of `"train"`, `"validation"` and `"test"`, and under `SEQUENCES` the training users' whole sequences.

    Args:
        how ([`~hf_mlc.comparing.claim.Sequences`]): what is cut, and how.
        source (`Path`): the data set's folder.
        seed (`int`): by which validation users are drawn, where the data set has none.

    Raises:
        `UserError`: what the data set's sequences can't be cut into.
    """
    read = load_splits(source, columns=Columns(events=how.column))
    if how.one_source:
        read = datasets.DatasetDict(train=datasets.concatenate_datasets(list(read.values())))
    settings = EventSettings(**{"seed": seed, **how.settings})
    made = dict(target_rows(read, settings))
    made[SEQUENCES] = target_rows(read, _whole(settings), parts=["train"])["train"]
    if how.most_frequent is not None:
        kept = most_frequent(made["train"], how.most_frequent)
        made = {name: limited(rows, kept, whole=name == SEQUENCES) for name, rows in made.items()}
    for name, rows in made.items():
        if not len(rows):
            raise UserError(
                f"no {name} row", file=source, field=how.column, accepted="longer sequences, or more of them"
            )
    return made


def _whole(settings: EventSettings) -> EventSettings:
    return replace(settings, rows="sequence", max_history=LONGEST_SEQUENCE)


def most_frequent(train: datasets.Dataset, number: int) -> frozenset[str]:
    """The labels that most training targets hold; of equals the first by name."""
    counts = Counter(str(label) for labels in train["labels"] for label in labels)
    return frozenset(label for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number])


def limited(rows: datasets.Dataset, kept: frozenset[str], *, whole: bool = False) -> datasets.Dataset:
    """The rows with these labels alone; an event that has none of them is no event, and a row without a target or history no row.

    Args:
        rows (`datasets.Dataset`): from `target_rows`.
        kept (`frozenset[str]`): the labels.
        whole (`bool`, *optional*, defaults to `False`): the rows are whole sequences: where nothing is left of the target, the event before
            it takes its place.
    """
    asked = {"rows": rows, "kept": tuple(sorted(kept)), "whole": whole, "version": _LIMITED_VERSION}
    if next(_limited(**asked), None) is None:  # a file of nothing can't be read
        return rows.select([])
    return datasets.Dataset.from_generator(_limited, features=rows.features, gen_kwargs=asked)


def _limited(rows: datasets.Dataset, kept: tuple[str, ...], whole: bool, version: int) -> Iterator[dict[str, Any]]:
    """The rows of `limited`, one at a time; all arguments together are the key of the cache."""
    kept = frozenset(kept)
    for row in rows:
        labels = [label for label in row["labels"] if str(label) in kept]
        history = limited_history(row["events"], kept)
        if whole and not labels and history["sizes"]:
            labels, history = without_last(history)
        if labels and history["sizes"]:
            yield {**row, "labels": labels, "events": history}


def limited_history(history: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    """A stored history with these labels alone."""
    found: dict[str, list] = {"times": [], "sizes": [], "labels": [], "amounts": []}
    start = 0
    for time, size in zip(history["times"], history["sizes"], strict=True):
        places = [place for place in range(start, start + size) if str(history["labels"][place]) in kept]
        start += size
        if places:
            found["times"].append(time)
            found["sizes"].append(len(places))
            found["labels"] += [history["labels"][place] for place in places]
            if history["amounts"]:
                found["amounts"] += [history["amounts"][place] for place in places]
    return {**history, **found}


def without_last(history: Mapping[str, Any]) -> tuple[list[str | int], dict[str, Any]]:
    """The labels of a stored history's last event, and the history before it."""
    end = len(history["labels"]) - history["sizes"][-1]
    before = {name: history[name][:-1] for name in ("times", "sizes")}
    before |= {name: history[name][:end] for name in ("labels", "amounts")}
    return history["labels"][end:], {**history, **before, "target_time": history["times"][-1]}


def with_user(row: Mapping[str, Any], part: str) -> dict[str, Any]:
    """A row whose history says whose it is; of a user without a name by the number of the sequence in its part, since rows of one
    user are no independent witnesses."""
    if row["events"]["user"] is not None:
        return dict(row)
    number = str(row["id"]).rpartition("@")[0]
    return {**row, "events": {**row["events"], "user": f"{part}:{number}"}}


def labels_of_training(train: datasets.Dataset) -> Iterator[list[str]]:
    """All labels of the training events, those that are only ever history too: a label set for each row."""
    for history, labels in zip(train["events"], train["labels"], strict=True):
        yield sorted({*map(str, history["labels"]), *map(str, labels)})
