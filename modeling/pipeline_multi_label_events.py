"""`pipeline("multi-label-event-prediction")`: histories of events in; for each the labels of the next event with their scores, best first.

It is the pipeline of texts (`pipeline_multi_label.py`) with the event processor in the tokenizer's place, registered when the package is
imported, and it travels with every saved model that reads events.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any

from .event_rows import EventRowError
from .pipeline_multi_label import MultiLabelClassificationPipeline, check_count
from .processing_events import is_list_of_events


EVENT_TASK = "multi-label-event-prediction"


class MultiLabelEventPredictionPipeline(MultiLabelClassificationPipeline):
    """
    The labels of the event that follows a history, by a model of this package.

    An input is one history or several. A history is a list of events, `{"time", "labels"}` and perhaps `"amount"`, or an object that
    has such a list under `"events"`, and perhaps a `"user"` (or `"id"`) and the `"target_time"` to predict for; what else the event
    processor takes (`EventProcessor`) is one too. A list is one history if it holds events, and several if it holds histories. A history
    without events is written `{"events": []}`. A `DataFrame` is a long table with the columns of the training data, and strings in the
    column of times are written as there; its answers are those of its users, in the order in which they first come. Arguments and answers
    are those of [`MultiLabelClassificationPipeline`], but for `explain`, which is of words.

    Args:
        steps (`int`, *optional*): the label sets of so many events to come, each a list of `{"label", "score"}`. What is decided of one becomes an
            event itself before the next is asked for (`predict_next`).

    Raises:
        `ValueError`: what the event processor refuses, a table with an empty cell, `explain`, `return_all_scores` beside `steps`, a
            model that reads no events.
    """

    _load_tokenizer = False
    _load_feature_extractor = True
    _needed = ("feature_extractor", "event processor")
    _reads = "event_ids"
    _arguments = ("steps", *MultiLabelClassificationPipeline._arguments)

    def __call__(self, inputs, **arguments):
        """The next labels of one history or of many; see the class, and [`MultiLabelClassificationPipeline.__call__`]."""
        if hasattr(inputs, "iterrows"):  # a DataFrame; iterating over it would give the names of its columns
            extractor = self.feature_extractor
            inputs = _histories_of(inputs, extractor.columns, users=extractor.users, labels=extractor.label_names)
        elif hasattr(inputs, "tolist"):  # an array, which means what a list of the same does
            inputs = inputs.tolist()
        if isinstance(inputs, (list, tuple)) and is_list_of_events(inputs):
            inputs = {"events": list(inputs)}
        return super().__call__(inputs, **arguments)

    def _sanitize_parameters(self, **given):
        preprocess, forward, postprocess = super()._sanitize_parameters(**given)
        if "steps" in given:
            forward["steps"] = check_count("steps", given["steps"])
        return preprocess, forward, postprocess

    def preprocess(self, inputs, with_offsets: bool = False) -> dict[str, Any]:
        # raw: histories of one batch are padded together, by the processor, and a roll-out adds events to them
        if isinstance(inputs, Mapping) and is_list_of_events([inputs]):
            accepted = "a history: a list of events, or an object with one under 'events'"
            raise ValueError(f"found one event where histories come one by one; accepted: {accepted}")
        return {"history": dict(inputs) if isinstance(inputs, Mapping) else {"events": inputs}}

    def _forward(self, inputs: dict[str, Any], steps: int | None = None, **how: Any) -> dict[str, Any]:
        # one of them may be the pipeline's, the other the call's
        if steps is not None and how.get("return_all_scores"):
            raise ValueError("`return_all_scores` and `steps` ask for different answers; give one of them")
        batched = isinstance(inputs["history"], list)
        histories = inputs["history"] if batched else [inputs["history"]]
        try:
            if steps is not None:
                top_k, thresholds = how.get("top_k"), how.get("thresholds")
                answers = self.model.predict_next(
                    histories, self.feature_extractor, top_k=top_k, steps=steps, thresholds=thresholds
                )
                return {"answers": answers if batched else answers[0]}
            batch = self.feature_extractor(histories, return_tensors="pt")
        except ValueError as error:
            if getattr(error, "row", None) is None:
                raise
            # its number counts within a batch, of which the caller knows nothing
            raise type(error)(error.problem, field=error.field, accepted=error.accepted) from None
        return super()._forward(self.ensure_tensor_on_device(**batch), **how)

    def postprocess(self, outputs: dict[str, Any], num_words: int = 0) -> list[Any]:
        return outputs["answers"] if "answers" in outputs else super().postprocess(outputs)

    def _num_words(self, explain: Any) -> int:
        if explain is None or explain is False:
            return 0
        raise ValueError("`explain` names words, and this model reads events")


def _histories_of(
    table: Any, columns: Mapping[str, str], *, users: Collection[str] | None, labels: Collection[str]
) -> list[dict[str, Any]]:
    """The history of each user of a long table, a `DataFrame`, that has these columns; `users` and `labels` are those of training."""
    if "event_user" not in columns:
        raise ValueError("found a table, and the model was trained on lists of events; accepted: histories")
    names = {part: columns.get(f"event_{part}") for part in ("user", "time", "label", "amount")}
    for name in names.values():
        if name is None:
            continue
        if name not in table:
            raise ValueError(f"the table has no column '{name}'; found: {', '.join(map(str, table))}")
        missing = table[name].isna().to_numpy().nonzero()[0]
        if len(missing):
            raise EventRowError("nothing there", row=int(missing[0]) + 1, field=name, accepted="a value in each row")
    histories: dict[Any, dict[str, Any]] = {}
    users, labels = set(users or ()), set(labels)
    for number, row in enumerate(table.to_dict("records"), start=1):
        user = str(_trimmed(_whole(row[names["user"]]), users))
        event = {"time": row[names["time"]], "labels": [_trimmed(_whole(row[names["label"]]), labels)]}
        if columns.get("event_time_format") is not None:
            event["time"] = _time_of(event["time"], columns, row=number)
        if names["amount"] is not None:
            event["amount"] = row[names["amount"]]
        histories.setdefault(user, {"user": user, "events": []})["events"].append(event)
    return list(histories.values())


def _trimmed(value: Any, known: Collection[str]) -> Any:
    """A name without the blanks around it, as names of a CSV are read, unless training knew it with them."""
    return value.strip() if isinstance(value, str) and value not in known else value


def _whole(value: Any) -> Any:
    """A whole float as the integer that it was: a column of integers with gaps is read as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _time_of(value: Any, columns: Mapping[str, str], *, row: int) -> Any:
    """A time that is written as training's were; another one, such as a `datetime`, as it is."""
    value, written_as = _whole(value), columns["event_time_format"]
    if not isinstance(value, (str, int)):
        return value
    try:
        return datetime.datetime.strptime(str(value).strip(), written_as)
    except ValueError:
        raise EventRowError(
            f"the time is {value!r}",
            row=row,
            field=columns["event_time"],
            accepted=f"dates as training's: {written_as}",
        ) from None


# what `pipeline` reads in a saved model's config.json
EVENT_CUSTOM_PIPELINES = {
    EVENT_TASK: {
        "impl": f"{__name__.split('.')[-1]}.{MultiLabelEventPredictionPipeline.__name__}",
        "pt": ["AutoModel"],
        "type": "event",
    }
}

__all__ = ["EVENT_CUSTOM_PIPELINES", "EVENT_TASK", "MultiLabelEventPredictionPipeline"]
