"""What `train` does with event sequences: rows of a history and the set after it, the processor fitted on the training rows, and the sizes
that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from hf_mlc.commands.parsing import check_at_least
from hf_mlc.commands.train_inputs import InputStep
from hf_mlc.data import Columns, DataReport
from hf_mlc.data.columns import ColumnRows
from hf_mlc.data.loading import column_names, formed_columns
from hf_mlc.data.storing import file_of
from hf_mlc.errors import UserError
from hf_mlc.events.encoding import EventRows
from hf_mlc.events.fitting import MAX_GAP_VALUES, fit_events, summary
from hf_mlc.events.settings import EventSettings, cut_of
from hf_mlc.events.targets import all_labels, count_events, target_sets
from hf_mlc.inputs import EVENTS
from hf_mlc.inputs.event import LONG_TABLE
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.event_rows import NUMBERS
from hf_mlc.modeling.processing_events import PER_DAY, EventProcessor


# of a new model: transformers' own rate, batch and number of epochs are those of fine-tuning
TRAINING = {
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 64,
    "per_device_eval_batch_size": 256,
    "num_train_epochs": 20.0,
}
PATIENCE = 3
# the published width, 128, is more than sets of some thousand rows can fill: 4 to 12 were as good (lanet.md 3.2)
EMBED_DIM = 16
# events of a causal row, where nothing is said: a longer sequence becomes several rows
CAUSAL_HISTORY = 64


@dataclass
class EventArguments:
    """Where the rows are event sequences (`--model_type lanet`): which events are predicted, and what is learned of them."""

    event_targets: str = field(
        default="next",
        metadata={
            "help": "Which events are predicted: next (all with enough history), last (the last of each sequence) or column (the"
            " rows are histories, the labels column is the next set)."
        },
    )
    train_event_targets: str | None = field(
        default=None, metadata={"help": "next or last, where training rows have others than validation and test."}
    )
    split_by: str | None = field(
        default=None,
        metadata={
            "help": "given (the data's own files hold different users) or time (one file, each user's last events are validation and"
            " test). By time where one local file is all there is."
        },
    )
    split_fractions: list[float] = field(
        default_factory=lambda: [0.7, 0.17, 0.13],
        metadata={"help": "Split by time: the shares of each user's targets in train, validation and test."},
    )
    time_cuts: list[str] | None = field(
        default=None,
        metadata={"help": "Split by time: where validation and test begin, two times, the same for all users."},
    )
    min_history: int = field(default=1, metadata={"help": "Events that a predicted one has before it, at least."})
    max_history: int | None = field(
        default=None,
        metadata={
            "help": "Events of history kept in a row: look_back and one more, or all if that is null; of the causal form look_back, or"
            " 64."
        },
    )
    min_events: int = field(default=2, metadata={"help": "Users with fewer events are left out, and counted."})
    merge_events: str = field(
        default="none",
        metadata={
            "help": "Make a user's events of one hour, day or week one event; none keeps all. Times that are numbers count days."
        },
    )
    time_unit: str = field(
        default="day", metadata={"help": f"Unit of the time between events, of dates: {', '.join(PER_DAY)}."}
    )
    max_gap_values: int = field(
        default=MAX_GAP_VALUES, metadata={"help": "Different times between events that are told apart, at most."}
    )
    user_tokens: bool = field(
        default=False,
        metadata={"help": "Learn a vector of each training user; users that training didn't have share one."},
    )

    def __post_init__(self):
        check_at_least(2, max_gap_values=self.max_gap_values)
        if self.time_unit not in PER_DAY:
            raise UserError(f"found '{self.time_unit}'", field="time_unit", accepted=", ".join(PER_DAY))


# how errors of the settings, and of what is fitted, name the arguments that they come from
_ARGUMENT_OF = {
    "targets": "event_targets",
    "train_targets": "train_event_targets",
    "fractions": "split_fractions",
    "merge": "merge_events",
    "with_users": "user_tokens",
}


@contextmanager
def _named_as_arguments() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(
            error.problem,
            file=error.file,
            row=error.row,
            field=_ARGUMENT_OF.get(error.field, error.field),
            accepted=error.accepted,
        ) from None


class EventStep(InputStep):
    """Of event sequences."""

    kind, arguments = EVENTS, EventArguments
    further = ("events_column", *LONG_TABLE.values())
    naming = further
    of_new = tuple(field.name for field in dataclasses.fields(EventArguments))
    args: EventArguments
    has_validation = False  # whether the data have a validation part; known once they are read

    def __init__(self, *args: Any):
        super().__init__(*args)
        for name, accepted in (("num_users", "--user_tokens"), ("num_gaps", "--max_gap_values")):
            if name in self.given and self.base is None:
                raise UserError("is counted in the training rows", field=name, accepted=accepted)

    @property
    def _source(self) -> str | None:
        return self.data_args.dataset_name or self.data_args.train_file

    # -- rows

    def columns(self, processor: EventProcessor | None = None) -> Columns:
        columns = super().columns(processor)
        # without training rows there is nothing to look at; what is missing is said when rows are read
        is_new = processor is None and self.base is None and self._source is not None
        return self._formed if is_new else columns

    @cached_property
    def _formed(self) -> Columns:
        """The columns with what the first rows say of all: whether times are dates, whether labels are strings."""
        return formed_columns(
            self.data_args.dataset_name,
            config_name=self.given.get("dataset_config_name"),
            revision=self.given.get("dataset_revision"),
            train_file=self.data_args.train_file,
            columns=super().columns(),
        )

    @property
    def row_settings(self) -> EventSettings | None:
        """Those of the trained model, or what the arguments ask for; with what the data had. `UserError` where these don't go
        together."""
        settings = self._asked_settings
        if settings is None or settings.split_by == "time":
            return settings
        fraction = settings.validation_fraction or self.data_args.validation_fraction
        return dataclasses.replace(settings, validation_fraction=None if self.has_validation else fraction)

    @cached_property
    def _asked_settings(self) -> EventSettings | None:
        settings = self._new_settings() if self.base is None else self.kind.row_settings(self.base.processor)
        if settings is None:
            return None
        if settings.rows == "sequence" and self.data_args.refit:
            found = "beside causal: validation rows hold a target each, of which it learns every prefix"
            raise UserError(found, field="refit", accepted="no refit, or causal false")
        for name in ("validation_file", "test_file"):
            if settings.split_by == "time" and getattr(self.data_args, name) is not None:
                accepted = "one train_file, or split_by given"
                raise UserError("a file of its own beside split_by time", field=name, accepted=accepted)
        return settings

    def _new_settings(self) -> EventSettings:
        args = self.args
        for cut in args.time_cuts or ():
            cut_of(cut, kind=self._time_kind)
        with _named_as_arguments():
            return EventSettings(
                targets=args.event_targets,
                train_targets=args.train_event_targets,
                split_by=args.split_by or self._usual_split,
                fractions=tuple(args.split_fractions),
                time_cuts=args.time_cuts,
                validation_fraction=self.data_args.validation_fraction,
                seed=self.given.get("seed", 0),  # draws validation users
                min_history=args.min_history,
                max_history=self._max_history,
                min_events=args.min_events,
                merge=args.merge_events,
                rows="sequence" if self._field("causal") else "target",
            )

    @property
    def _time_kind(self) -> str:
        if self.base is not None:
            return self.base.processor.time_kind
        return self._formed.event_form.time_kind or NUMBERS

    @property
    def _usual_split(self) -> str:
        data = self.data_args
        name = data.dataset_name
        alone = data.train_file is not None or (name is not None and Path(name).is_file())
        has_own_targets = self.args.event_targets == "column"
        others = data.validation_file or data.test_file
        return "time" if alone and not others and not has_own_targets else "given"

    @property
    def _max_history(self) -> int | None:
        if self.args.max_history is not None:
            return self.args.max_history
        if self._field("causal"):
            return self._asked_look_back or CAUSAL_HISTORY
        # the event before those that are read tells how long it was to the first
        return None if self._asked_look_back is None else self._asked_look_back + 1

    def _field(self, name: str) -> Any:
        """A field of the configuration, as it is given or by default."""
        return self.given.get(name, getattr(LanetConfig, name))

    @property
    def _asked_look_back(self) -> int | None:
        """The `look_back` that is given; the default is one of the windowed form alone."""
        look_back = self.given.get("look_back") if self._field("causal") else self._field("look_back")
        check_at_least(1, look_back=look_back)
        return look_back

    @property
    def _look_back(self) -> int | None:
        """Events of a history that the model is shown: those asked for, or as many as a row of training may have."""
        return self._max_history if self._asked_look_back is None else self._asked_look_back

    def arranged(self, splits: DatasetDict, *parts: str) -> DatasetDict:
        if "train" in parts:
            self.has_validation = "validation" in splits
        made = super().arranged(splits, *parts)
        if "train" not in parts or self.row_settings is None:
            return made
        self._note_counts(splits)
        most = self.data_args.max_eval_samples
        if most is not None and "validation" in made and "validation" not in splits:  # else it counted sequences
            made["validation"] = made["validation"].select(range(min(most, len(made["validation"]))))
        return made

    def _note_counts(self, splits: DatasetDict) -> None:
        counts = {split: count_events(rows, self.row_settings) for split, rows in splits.items()}
        self.facts["events"] = {
            "settings": self.row_settings.to_dict(),
            "counts": {split: count.to_dict() for split, count in counts.items()},
        }
        self.notes += [f"{split} sequences: {count}" for split, count in counts.items()]
        if self._time_kind == NUMBERS and _are_compact_dates(splits["train"]):
            self.notes.append(
                "times look like dates written as 20240531, and are read as numbers, of which one a month later is 100 more;"
                " --time_format %Y%m%d reads those of a long table as dates"
            )
        if self.row_settings.split_by == "time" and self._has_test_split:
            self.notes.append(f"the test split of {self._source} is not read: train alone is split by time")

    @property
    def _has_test_split(self) -> bool:
        name = self.data_args.dataset_name
        if name is None or Path(name).is_file():  # of a single file all rows are training rows
            return False
        version = {name: self.given.get(f"dataset_{name}") for name in ("config_name", "revision")}
        try:
            return bool(column_names(name, "test", **version))
        except UserError:
            return False

    def label_lists(self, train: Dataset) -> Iterable[Sequence[str | int]]:
        """Histories included: a label that only they hold is one that may come again."""
        return all_labels(train)

    def target_lists(self, rows: Dataset) -> Iterable[Sequence[str | int]]:
        return ColumnRows(rows, "labels") if self.row_settings is None else target_sets(rows, self.row_settings)

    # -- the processor

    def processor(self, train: Dataset, checkpoint: Path | None) -> EventProcessor:
        processor = super().processor(train, checkpoint)
        if self.base is not None and self.row_settings is not None:  # other data may have a validation part, or none
            processor.settings = self.row_settings.to_dict()
        return processor

    def new_processor(self, train: Dataset) -> EventProcessor:
        """One fitted on the training rows."""
        columns, settings = self._formed, self.row_settings
        named = {name: getattr(columns, name) for name in ("events", *LONG_TABLE)}
        with _named_as_arguments():
            processor = fit_events(
                train,
                look_back=self._look_back,
                num_amount_bins=self.given.get("num_amount_bins"),
                max_gap_values=self.args.max_gap_values,
                with_users=self.args.user_tokens,
                time_kind=self._time_kind,
                time_unit=self.args.time_unit,
                uses_target_time=bool(self._field("uses_target_time")),
                settings=settings.to_dict(),
                columns={name: column for name, column in named.items() if column is not None},
                file=file_of(train, f"{self._source}[train]"),
            )
        self.notes.append(summary(processor))
        return processor

    def encoded(
        self, splits: DatasetDict, processor: EventProcessor, label_space: LabelSpace, report: DataReport
    ) -> DatasetDict:
        if self.base is None:
            # what a history is read by in prediction as well
            processor.set_labels(label_space.names, integers_are_ids=label_space.integers_are_ids)
        return super().encoded(splits, processor, label_space, report)

    # -- the model

    def training_arguments(self) -> dict[str, Any]:
        """A rate, a batch and a number of epochs for a small new model, and early stopping where epochs are measured."""
        chosen = self.given.get("load_best_model_at_end", True) and self.given.get("eval_strategy", "epoch") != "no"
        limited = {"max_steps", "early_stopping_patience"} & set(self.given)
        return TRAINING | ({"early_stopping_patience": PATIENCE} if chosen and not limited else {})

    def settings(self, given: dict[str, Any], processor: EventProcessor) -> dict[str, Any]:
        """Also the sizes that the processor knows, and a small width where none is given."""
        return {
            "embed_dim": EMBED_DIM,
            **given,
            "look_back": processor.look_back,
            "num_users": processor.num_users,
            "num_amount_bins": processor.num_amount_bins,
            "num_gaps": processor.num_gaps,
        }


def _are_compact_dates(rows: Dataset) -> bool:
    """Whether all times are numbers such as 20240531."""

    def is_date(time: float) -> bool:
        year, month, day = time // 10_000, time // 100 % 100, time % 100
        return time.is_integer() and 1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31

    is_any = False
    for events in EventRows(rows):
        if not all(map(is_date, events["times"])):  # of most data the first row says it
            return False
        is_any |= bool(events["times"])
    return is_any
