"""The arguments that name columns, as the loader takes them: of event sequences."""

from __future__ import annotations

import pytest

from hf_mlc.commands.column_arguments import ColumnArguments, ContentArguments
from hf_mlc.data.contents import EVENTS as CONTENT
from hf_mlc.errors import UserError
from hf_mlc.inputs import EVENTS
from hf_mlc.modeling.processing_events import EventProcessor


LONG = {"user_column": "who", "time_column": "when", "label_column": "what", "amount_column": "much"}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, ("events",)),
        ({"events_column": "visits"}, ("visits",)),
        (LONG, ("who", "when", "what", "much")),
        ({name: column for name, column in LONG.items() if name != "amount_column"}, ("who", "when", "what")),
    ],
)
def test_columns_of_histories_or_of_a_long_table(given, read):
    columns = ColumnArguments(**given).columns(EVENTS)
    assert columns.content is CONTENT and columns.content_columns == read
    assert columns.required == read  # labels needn't be there
    assert columns.wanted[-2:] == ("labels", "id")


def test_a_format_of_times_belongs_to_a_long_table():
    assert ColumnArguments(**LONG, time_format="%d.%m.%Y").columns(EVENTS).event_time_format == "%d.%m.%Y"
    with pytest.raises(UserError, match="field 'user_column': a long table with time_format alone"):
        ColumnArguments(time_format="%d.%m.%Y").columns(EVENTS)
    with pytest.raises(UserError, match="field 'label_column': a long table with user_column, time_column alone"):
        ColumnArguments(user_column="who", time_column="when").columns(EVENTS)


def test_a_model_knows_the_long_table_of_its_training():
    long = {"event_user": "who", "event_time": "when", "event_label": "what", "event_time_format": "%d.%m.%Y"}
    processor = EventProcessor(["a"], time_kind="date", columns=long)
    columns = ContentArguments().columns(EVENTS, processor=processor)
    assert (columns.events, columns.event_user, columns.event_time_format) == ("events", "who", "%d.%m.%Y")
    assert columns.event_form.time_kind == "date" and columns.labels is None
    asked = ContentArguments(events_column="visits").columns(EVENTS, processor=processor)
    assert (asked.events, asked.event_user, asked.event_form) == ("visits", None, columns.event_form)
