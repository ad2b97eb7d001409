"""How rows of a history and the next label set are made of event sequences; a model keeps it in its processor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_mlc.data.values import number_in
from hf_mlc.errors import UserError
from hf_mlc.modeling.event_periods import PERIODS
from hf_mlc.modeling.event_rows import EventRowError, time_of


@dataclass(frozen=True)
class EventSettings:
    """Which events are targets, of which split, and what their rows hold.

    Args:
        targets (`str`, *optional*, defaults to `"next"`): `"next"`, every event with `min_history` events before it;
            `"last"`, the last event of each sequence; `"column"`, the rows are histories already, and the column
            `labels` is the next set.
        train_targets (`str`, *optional*): `"next"` or `"last"`, where training rows have others than validation and
            test.
        split_by (`str`, *optional*, defaults to `"given"`): `"given"`, the data's own split files hold different users,
            and a validation part that is missing is drawn of the training users; `"time"`, one file, of which each
            user's targets are cut by time.
        fractions (`tuple[float, float, float]`, *optional*, defaults to `(0.7, 0.17, 0.13)`): of each user's targets in
            order of time, those of train, validation and test, rounded.
        time_cuts (`tuple[float, float]`, *optional*): in place of `fractions`, the same for all users: targets before
            the first time train, those from the second on test. Numbers, or dates (which become days since 1970-01-01
            UTC).
        validation_fraction (`float`, *optional*, defaults to 0.1): the share of users that are drawn for validation;
            `None`: none are, the data have a validation part.
        seed (`int`, *optional*, defaults to 0): draws them.
        min_history (`int`, *optional*, defaults to 1): events that a target has before it; 1 with `rows="sequence"`.
        max_history (`int`, *optional*): events of history kept in a row, the last ones; all if not given. A model that
            looks `n` events back asks for `n + 1`: the one before them tells how long it was to the first.
        min_events (`int`, *optional*, defaults to 2): users with fewer events are left out, and counted. Not of
            `targets="column"`.
        merge (`str`, *optional*, defaults to `"none"`): `"hour"`, `"day"` or `"week"` (from Monday on, UTC): events of
            a user in one such period become one, at its beginning, of all their labels, amounts added. Times that are
            numbers count days.
        rows (`str`, *optional*, defaults to `"target"`): `"target"`, a row a target; `"sequence"`, of training a row a
            user, for a model that is trained on every prefix, whatever `targets` says: the history is all but its last
            training event, the target that one. Sequences longer than `max_history` are cut into pieces in which each
            event is a target once.

    Raises:
        `UserError`: a value that is none of these.
    """

    targets: str = "next"
    train_targets: str | None = None
    split_by: str = "given"
    fractions: tuple[float, float, float] = (0.7, 0.17, 0.13)
    time_cuts: tuple[float, float] | None = None
    validation_fraction: float | None = 0.1
    seed: int = 0
    min_history: int = 1
    max_history: int | None = None
    min_events: int = 2
    merge: str = "none"
    rows: str = "target"

    def __post_init__(self):
        for field, accepted in (
            ("targets", ("next", "last", "column")),
            ("train_targets", (None, "next", "last")),
            ("split_by", ("given", "time")),
            ("merge", PERIODS),
            ("rows", ("target", "sequence")),
        ):
            if getattr(self, field) not in accepted:
                shown = ", ".join(name for name in accepted if name is not None)
                raise UserError(f"found {getattr(self, field)!r}", field=field, accepted=shown)
        for field, least in (("min_history", 0), ("max_history", 1), ("min_events", 1), ("seed", 0)):
            value = getattr(self, field)
            if value is None and field == "max_history":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"found {value!r}", field=field, accepted=f"a whole number from {least} on")
        if self.rows == "sequence" and self.min_history != 1:
            accepted = "1: a model that is trained on every prefix begins with the first event"
            raise UserError(f"{self.min_history} beside rows sequence", field="min_history", accepted=accepted)
        if self.validation_fraction is not None and not 0 < self.validation_fraction < 1:
            raise UserError(
                f"found {self.validation_fraction}", field="validation_fraction", accepted="between 0 and 1"
            )
        object.__setattr__(self, "fractions", _checked_fractions(self.fractions))
        if self.time_cuts is not None:
            object.__setattr__(self, "time_cuts", _checked_cuts(self.time_cuts))
            if self.split_by != "time":
                raise UserError("times beside split_by given", field="time_cuts", accepted="split_by time")
        if self.targets == "column":
            for field, wrong in (
                ("split_by", self.split_by == "time"),
                ("train_targets", self.train_targets is not None),
            ):
                if wrong:
                    found = getattr(self, field)
                    raise UserError(f"{found} beside targets column", field=field, accepted="targets next or last")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def draws_validation(self) -> bool:
        """Whether the validation part is made of some training users."""
        return self.split_by == "given" and self.validation_fraction is not None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventSettings:
        """What `to_dict` gave; names that are none are an error."""
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = next((name for name in values if name not in names), None)
        if unknown is not None:
            raise UserError("no such setting", field=unknown, accepted=", ".join(names))
        return cls(**values)

    def targets_of(self, split: str) -> str:
        """Which events are targets in a split."""
        return self.train_targets if split == "train" and self.train_targets is not None else self.targets


def _checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    accepted = "three numbers with the sum 1, the first more than 0"
    try:
        values = tuple(float(value) for value in fractions)
    except (TypeError, ValueError):
        raise UserError(f"found {fractions!r}", field="fractions", accepted=accepted) from None
    sums_to_one = math.isclose(sum(values), 1.0, abs_tol=1e-6)
    if len(values) != 3 or not sums_to_one or values[0] <= 0 or min(values) < 0:
        raise UserError(f"found {list(values)}", field="fractions", accepted=accepted)
    return values


def _checked_cuts(cuts: Sequence[Any]) -> tuple[float, float]:
    accepted = "two times, the first before the second: where validation begins, and where test begins"
    if isinstance(cuts, str) or len(cuts) != 2:
        raise UserError(f"found {cuts!r}", field="time_cuts", accepted=accepted)
    first, kind = cut_of(cuts[0])
    second, _ = cut_of(cuts[1], kind=kind)
    if first > second:
        raise UserError(f"found {list(cuts)}", field="time_cuts", accepted=accepted)
    return first, second


def cut_of(value: Any, *, kind: str | None = None) -> tuple[float, str]:
    """One of `time_cuts` as a number, and its kind; a string of a number, as a command line has it, is that number.

    Args:
        value: a number, a date, or a string of one.
        kind (`str`, *optional*): `"date"` or `"number"`, where it is known.

    Raises:
        `UserError`: it is neither, or is of the other kind.
    """
    number = number_in(value) if isinstance(value, str) else None
    try:
        return time_of(value if number is None else number, kind=kind, field="time_cuts")
    except EventRowError as error:
        raise UserError(error.problem, field="time_cuts", accepted=error.accepted) from None
