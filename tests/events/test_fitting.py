"""What a processor learns of training rows: gaps, bins of amounts, users, labels; and of training rows alone."""

from __future__ import annotations

import datasets
import numpy as np
import pytest

from hf_mlc.data.contents.events import event_feature
from hf_mlc.errors import UserError
from hf_mlc.events.fitting import amount_edges, fit_events, gap_table, summary
from hf_mlc.modeling.event_rows import flat_events
from hf_mlc.modeling.processing_events import EventProcessor


def rows(*histories, labels=(), kind="string") -> datasets.Dataset:
    """A data set of histories, as `target_rows` gives it."""
    flat = [flat_events(history)[0] for history in histories]
    sets = [*labels, *[[]] * (len(flat) - len(labels))]
    features = {
        "id": datasets.Value("string"),
        "events": event_feature(kind),
        "labels": datasets.List(datasets.Value(kind)),
    }
    columns = {"id": [str(place) for place in range(len(flat))], "events": flat, "labels": sets}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def history(*times, labels=("tea",), amount=None, user=None) -> dict:
    event = {"labels": list(labels)} | ({} if amount is None else {"amount": amount})
    return {"user": user, "events": [{"time": time, **event} for time in times]}


def test_gaps_of_the_events_that_are_shown_and_their_median():
    split = rows(history(0, 100, 101, 104), history(5))
    fitted = fit_events(split)
    assert fitted.gap_values == [0.0, 1.0, 3.0, 100.0] and fitted.median_gap == 3.0
    assert fit_events(split, look_back=2).gap_values == [0.0, 1.0, 3.0]  # 100 is the gap of an event out of sight
    assert fit_events(rows(history(5))).gap_values == [0.0] and fit_events(rows(history(5))).median_gap == 1.0


def test_dates_are_fitted_in_the_unit_that_a_call_measures_them_in():
    split = rows(history("2024-05-06", "2024-05-06T12:00", "2024-05-08"))
    fitted = fit_events(split, time_kind="date", time_unit="hour")
    assert fitted.gap_values == [0.0, 12.0, 36.0] and fitted.median_gap == 24.0
    batch = fitted(split["events"][:])
    assert batch["event_gap_ids"].tolist() == [[1, 2, 3]]


def test_a_long_table_of_gaps_becomes_quantiles_and_keeps_its_ends():
    gaps = np.random.default_rng(0).exponential(10, size=5000).astype(np.float32)
    table = gap_table(gaps, 512)
    assert table[0] == 0.0 and len(table) <= 512 and table[-1] == gaps.max()
    assert set(table[1:]) <= set(gaps.tolist())
    shares = np.diff(np.searchsorted(np.sort(gaps), table))
    assert shares.max() <= 2 * 5000 / 510  # each stands for about as many
    assert gap_table(np.repeat(gaps[:100], 50), 512) == sorted({0.0, *gaps[:100].tolist()})
    assert len(gap_table(gaps, 2)) <= 2


def test_edges_of_amounts_are_quantiles_each_once_and_no_bin_is_empty():
    amounts = np.arange(900) % 90
    edges = amount_edges(amounts, 9)
    counts = np.bincount(np.searchsorted(edges, amounts, side="right"))
    assert len(edges) == 8 and counts.tolist() == [100] * 9
    ties = np.array([1.0] * 80 + [2.0] * 15 + [50.0] * 5)
    edges = amount_edges(ties, 9)
    assert 0 not in np.bincount(np.searchsorted(edges, ties, side="right")) and len(edges) <= 2
    assert amount_edges(np.array([1.0, 1.0, 1.0, 1.0, 7.0]), 2) == [
        7.0
    ]  # the median is the least: what is more is apart
    assert amount_edges(np.full(5, 3.0), 9) == [] and amount_edges(amounts, 1) == []


def test_amounts_are_read_where_there_are_some_and_of_what_is_shown():
    with_amounts = rows(history(0, amount=1000), {"events": history(0, 1, 2, amount=1)["events"]})
    assert fit_events(rows(history(0))).amount_edges is None
    assert fit_events(with_amounts, num_amount_bins=0).amount_edges is None
    assert fit_events(with_amounts).num_amount_bins == 2
    hidden = rows({"events": history(0, amount=1000)["events"] + history(1, 2, amount=1)["events"]})
    assert fit_events(hidden, look_back=2).amount_edges == [] and fit_events(hidden).amount_edges == [1000.0]
    with pytest.raises(UserError, match=r"train\.csv, field 'num_amount_bins': no event has an amount"):
        fit_events(rows(history(0)), num_amount_bins=9, file="train.csv")


def test_users_get_rows_in_the_order_in_which_they_come():
    split = rows(history(0, user="bob"), history(0, user="ann"), history(1, user="bob"))
    assert fit_events(split).users is None
    assert fit_events(split, with_users=True).users == {"bob": 1, "ann": 2}
    with pytest.raises(UserError, match="field 'with_users': no row names its user"):
        fit_events(rows(history(0)), with_users=True)


def test_labels_are_those_that_are_given():
    split = rows(history(0), labels=[["a"]])
    given = fit_events(split, label_names=["x", "tea"], integers_are_ids=True)
    assert given.label_names == ["x", "tea"] and given.integers_are_ids
    assert fit_events(split).label_names == [] and summary(fit_events(split)).startswith("events: a table of 1 gaps")


def test_all_else_is_handed_through_and_said_in_one_line():
    split = rows(history("2024-05-06", "2024-05-13", amount=2, user="u"))
    settings = {"look_back": 3, "time_kind": "date", "time_unit": "week", "uses_target_time": True}
    settings_of_rows, columns = {"merge": "week"}, {"event_user": "who"}
    fitted = fit_events(
        split, label_names=["tea"], settings=settings_of_rows, columns=columns, with_users=True, **settings
    )
    assert isinstance(fitted, EventProcessor) and {name: getattr(fitted, name) for name in settings} == settings
    assert fitted.settings == {"merge": "week"} and fitted.columns == {"event_user": "who"}
    assert summary(fitted) == (
        "events: 1 labels, a table of 2 gaps in weeks, median gap 1, 1 bins of amounts, 1 users; the last 3 events of a history are read"
    )


def test_rows_without_anything_are_one_line():
    for split, problem in (
        (rows(history()), "no event in any row"),
        (rows(), "no event in any row"),
    ):
        with pytest.raises(UserError, match=f"a.jsonl, field 'events': {problem}"):
            fit_events(split, file="a.jsonl")
    for setting in ({"num_amount_bins": -1}, {"max_gap_values": 1}):
        with pytest.raises(UserError, match=f"field '{next(iter(setting))}': found"):
            fit_events(rows(history(0)), **setting)
