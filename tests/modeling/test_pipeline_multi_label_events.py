"""`pipeline("multi-label-event-prediction")`: every way to hand in histories, what it refuses, with the package and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, pipeline

from hf_mlc.inference import load_model, score_texts
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from hf_mlc.modeling.pipeline_multi_label_events import EVENT_TASK, MultiLabelEventPredictionPipeline, _histories_of
from hf_mlc.modeling.processing_events import EventProcessor


NAMES = ["bread", "milk", "soap", "tea", "tent"]
FIRST = [
    {"time": "2024-01-01", "labels": ["tea"], "amount": [1.0]},
    {"time": "2024-01-04", "labels": ["milk", "bread"], "amount": [2.0, 5.0]},
]
SECOND = [
    {"time": "2024-02-01", "labels": ["tent"], "amount": [1.0]},
    {"time": "2024-02-02", "labels": ["soap", "tea", "milk"], "amount": [3.0, 1.0, 4.0]},
    {"time": "2024-02-09", "labels": ["bread"], "amount": [1.0]},
]
HISTORIES = [{"user": "ann", "events": FIRST}, {"user": "bob", "events": SECOND}, {"user": "eve", "events": []}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small saved model with random weights, amounts and users."""
    torch.manual_seed(0)
    processor = EventProcessor(
        NAMES, look_back=3, gap_values=[0.0, 1.0, 3.0, 7.0], amount_edges=[1.5, 3.5], users=["ann", "bob"],
        time_kind="date", median_gap=3.0,
    )  # fmt: skip
    config = LanetConfig(
        id2label=dict(enumerate(NAMES)), label2id={name: place for place, name in enumerate(NAMES)}, embed_dim=4, num_heads=2,
        num_layers=1, num_gaps=4, num_amount_bins=3, num_users=2, thresholds=0.45,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("events") / "model"
    LanetForMultiLabelClassification(config).save_pretrained(place)
    processor.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pipe(folder) -> MultiLabelEventPredictionPipeline:
    return pipeline(EVENT_TASK, model=str(folder), device="cpu")


@pytest.fixture(scope="module")
def scores(folder, pipe) -> torch.Tensor:
    """What the model itself says of each history."""
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(**pipe.feature_extractor(HISTORIES)).logits.sigmoid()


def assert_answers(answers, scores) -> None:
    for answer, row in zip(answers, scores, strict=True):
        assert [entry["label"] for entry in answer] == [NAMES[i] for i in row.argsort(descending=True)]
        for entry in answer:
            assert entry["score"] == pytest.approx(float(row[NAMES.index(entry["label"])]), abs=1e-5)


def test_answers_are_the_model_s_own_however_histories_are_handed_in(pipe, scores):
    every = {"return_all_scores": True}
    flat = [pipe.feature_extractor.flat(history) for history in HISTORIES]
    rows = [{"id": history["user"], "events": history["events"], "labels": ["tea"]} for history in HISTORIES]
    stored = [{"id": "7", "events": one, "labels": []} for one in flat]
    for histories in (HISTORIES, tuple(HISTORIES), flat, rows, stored, iter(HISTORIES)):
        assert_answers(pipe(histories, **every), scores)
    for batch_size in (2, 3, 8):
        assert_answers(pipe(HISTORIES, batch_size=batch_size, **every), scores)
    # one by itself
    for history in (HISTORIES[0], flat[0], rows[0], stored[0]):
        assert_answers([pipe(history, **every)], scores[:1])
    assert_answers([pipe(HISTORIES[2], **every)], scores[2:])
    assert pipe([]) == []


def test_a_list_of_events_is_one_history_and_a_list_of_lists_several(pipe):
    every = {"return_all_scores": True}
    nobody = pipe({"events": FIRST}, **every)
    assert pipe(FIRST, **every) == pipe(tuple(FIRST), **every) == nobody
    assert pipe([FIRST, SECOND], **every) == [nobody, pipe(SECOND, **every)]
    assert nobody != pipe({"user": "ann", "events": FIRST}, **every)
    # events come in any order
    assert pipe(FIRST[::-1], **every) == nobody
    assert pipe(np.array(FIRST, dtype=object), **every) == nobody
    # one by one, nobody could say whose they are, and a batch would hold the events of one answer
    for how in ({}, {"batch_size": 2}):
        with pytest.raises(ValueError, match="found one event where histories come one by one; accepted: a history"):
            list(pipe((event for event in FIRST), **every, **how))


def test_a_data_frame_is_a_long_table_of_several_users(folder, pipe):
    pandas = pytest.importorskip("pandas")
    columns = {"event_user": "who", "event_time": "day", "event_label": "item", "event_amount": "number"}
    rows = [
        {"who": history["user"], "day": event["time"], "item": label, "number": amount}
        for history in HISTORIES[:2]
        for event in history["events"]
        for label, amount in zip(event["labels"], event["amount"], strict=True)
    ]
    table = pandas.DataFrame(rows)
    table["day"] = pandas.to_datetime(table["day"])
    with pytest.raises(ValueError, match="the model was trained on lists of events"):
        pipe(table)
    processor = EventProcessor.from_pretrained(folder)
    processor.columns = columns
    of_tables = pipeline(EVENT_TASK, model=str(folder), feature_extractor=processor, device="cpu")
    expected = pipe(HISTORIES[:2], top_k=5)
    assert of_tables(table, top_k=5) == of_tables(table.sort_values("item", kind="stable"), top_k=5) == expected
    processor.users = None  # as where training tells users apart by nothing
    assert len(of_tables(table, top_k=5)) == len(expected)
    padded = pandas.DataFrame({"who": ["ann"], "day": [1], "item": [" tea "]})
    names = {"event_user": "who", "event_time": "day", "event_label": "item"}
    for labels, found in (({"tea"}, "tea"), ({" tea "}, " tea ")):  # as training knew it
        (history,) = _histories_of(padded, names, users=None, labels=labels)
        assert history["events"] == [{"time": 1, "labels": [found]}]
    with pytest.raises(ValueError, match="the table has no column 'number'; found: who, day, item"):
        of_tables(table.drop(columns="number"))


@pytest.fixture(scope="module")
def of_tables(folder):
    """Of a model that was trained on a long table with times of its own spelling."""
    pytest.importorskip("pandas")
    processor = EventProcessor.from_pretrained(folder)
    processor.columns = {"event_user": "who", "event_time": "day", "event_label": "item", "event_amount": "number"}
    processor.columns["event_time_format"] = "%d/%m/%Y"
    return pipeline(EVENT_TASK, model=str(folder), feature_extractor=processor, device="cpu")


def _table(rows):
    import pandas

    return pandas.DataFrame(rows, columns=["who", "day", "item", "number"])


def test_times_of_a_data_frame_are_written_as_training_s_were(pipe, of_tables):
    rows = [("ann", "03/01/2024", "tea", 1.0), ("ann", "01/02/2024", "milk", 2.0)]  # days first
    history = {"user": "ann", "events": [{"time": f"2024-{day}", "labels": [item], "amount": amount}
                                         for day, item, amount in (("01-03", "tea", 1.0), ("02-01", "milk", 2.0))]}  # fmt: skip
    expected = pipe([history], top_k=5)
    assert of_tables(_table(rows), top_k=5) == expected
    blanks = [(f"{who} ", day, f" {item}", amount) for who, day, item, amount in rows]  # as a CSV's are read
    assert of_tables(_table(blanks), top_k=5) == expected
    import pandas

    dates = _table(rows)
    dates["day"] = pandas.to_datetime(dates["day"], format="%d/%m/%Y")
    assert of_tables(dates, top_k=5) == expected
    with pytest.raises(
        ValueError, match=r"row 2, field 'day': the time is '2024-02-01'; accepted: dates as training's: %d/%m/%Y"
    ):
        of_tables(_table([rows[0], ("ann", "2024-02-01", "milk", 1.0)]))
    of_tables.feature_extractor.columns["event_time_format"] = "%Y%m%d"
    digits = _table([("ann", 20240103, "tea", 1.0), ("ann", 20240201, "milk", 2.0)])
    assert of_tables(digits, top_k=5) == expected
    of_tables.feature_extractor.columns["event_time_format"] = "%d/%m/%Y"


def test_users_of_a_data_frame_are_there_and_whole_numbers_are_integers(folder, of_tables):
    rows = [
        (17850.0, "03/01/2024", "tea", 1.0),
        (None, "04/01/2024", "milk", 2.0),
        (17851.0, "04/01/2024", "tent", 1.0),
    ]
    with pytest.raises(ValueError, match="row 2, field 'who': nothing there; accepted: a value in each row"):
        of_tables(_table(rows))
    processor = EventProcessor.from_pretrained(folder)
    processor.columns, processor.users = of_tables.feature_extractor.columns, {"17851": 1, "17850": 2}
    known = pipeline(EVENT_TASK, model=str(folder), feature_extractor=processor, device="cpu")
    known(_table(rows[::2]), top_k=5)  # a column of floats
    assert processor.num_unseen_users == 0
    for place, name in enumerate(("day", "item", "number"), start=1):
        row = list(rows[0])
        row[place] = None
        with pytest.raises(ValueError, match=f"row 2, field '{name}': nothing there"):
            of_tables(_table([rows[0], row]))


def test_the_tuned_rule_and_arguments_decide(pipe, scores):
    for answer, row in zip(pipe(HISTORIES), scores, strict=True):
        assert {entry["label"] for entry in answer} == {NAMES[i] for i in (row >= 0.45).nonzero().flatten()}
    assert [len(answer) for answer in pipe(HISTORIES, top_k=2)] == [2, 2, 2]
    threshold = float(scores[0].median())
    assert {entry["label"] for entry in pipe(HISTORIES[0], threshold=threshold)} == {
        NAMES[i] for i in (scores[0] >= threshold).nonzero().flatten()
    }


def test_steps_are_those_of_predict_next(pipe):
    for how in ({"top_k": 2}, {}, {"threshold": 0.4}):
        own = {"top_k": how.get("top_k"), "thresholds": how.get("threshold")}
        expected = pipe.model.predict_next(HISTORIES, pipe.feature_extractor, steps=3, **own)
        for answers in (pipe(HISTORIES, steps=3, **how), pipe(HISTORIES, steps=3, batch_size=2, **how)):
            for answer, steps in zip(answers, expected, strict=True):
                assert [[entry["label"] for entry in step] for step in answer] == [
                    [entry["label"] for entry in step] for step in steps
                ]
        assert len(pipe(FIRST, steps=3, **how)) == 3
    (only,) = pipe(FIRST, steps=1, top_k=2)
    assert [entry["label"] for entry in only] == [entry["label"] for entry in pipe(FIRST, top_k=2)]


def test_the_library_and_the_pipeline_answer_alike(folder, scores):
    torch.testing.assert_close(score_texts(load_model(str(folder)), HISTORIES).float(), scores, atol=1e-5, rtol=0)


def test_what_the_processor_refuses_is_said_in_one_line(pipe):
    for history, said in (
        ([{"time": "soon", "labels": ["tea"]}], r"field 'events\[0\].time': the time is a string: soon"),
        ([{"time": 3, "labels": ["tea"]}], "other times are dates"),
        ([{"time": "2024-01-01"}], "an event without 'labels'"),
        ("tea", "the history is a string"),
    ):
        for how in ({}, {"steps": 2}, {"batch_size": 2}):
            with pytest.raises(ValueError, match=said) as caught:
                pipe([FIRST, history], **how)
            assert "row" not in str(caught.value)  # its number would be that in a batch
    with pytest.raises(ValueError, match="`explain` names words"):
        pipe(FIRST, explain=True)
    with pytest.raises(ValueError, match="`steps` must be a whole number from 1 on, found 0"):
        pipe(FIRST, steps=0)
    with pytest.raises(ValueError, match="`return_all_scores` and `steps` ask for different answers"):
        pipe(FIRST, steps=2, return_all_scores=True)
    for own, given in (({"return_all_scores": True}, {"steps": 2}), ({"steps": 2}, {"return_all_scores": True})):
        asked = pipeline(EVENT_TASK, model=pipe.model, feature_extractor=pipe.feature_extractor, device="cpu", **own)
        with pytest.raises(ValueError, match="`return_all_scores` and `steps` ask for different answers"):
            asked(FIRST, **given)
    with pytest.raises(ValueError, match="unknown argument `step`; this pipeline takes steps, "):
        pipe(FIRST, step=2)


def test_a_model_of_something_else_is_refused(pipe):
    model = LanetForMultiLabelClassification(pipe.model.config)
    with pytest.raises(ValueError, match="needs the model's event processor, found none"):
        MultiLabelEventPredictionPipeline(model=model)
    model.main_input_name = "input_ids"
    with pytest.raises(ValueError, match="models that read `event_ids`, found one of `input_ids`"):
        MultiLabelEventPredictionPipeline(model=model, feature_extractor=pipe.feature_extractor)


def test_the_task_is_read_off_the_saved_model_and_our_class_taken(folder, pipe):
    config = AutoConfig.from_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["custom_pipelines"].keys() == {EVENT_TASK}
    assert config.input_kind == "event"
    found = pipeline(model=str(folder), device="cpu")
    assert type(found) is type(pipe) is MultiLabelEventPredictionPipeline


def test_the_saved_model_answers_without_the_package(folder, pipe, tmp_path):
    code = (
        "import json, sys; from transformers import AutoFeatureExtractor, pipeline\n"
        "p = pipeline(model=sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "assert 'hf_mlc' not in sys.modules\n"
        "p.save_pretrained(sys.argv[2])\n"
        "q = pipeline('multi-label-event-prediction', model=sys.argv[2], trust_remote_code=True, device='cpu')\n"
        "histories = json.loads(sys.argv[3])\n"
        "processor = AutoFeatureExtractor.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "every = [one(histories, return_all_scores=True) for one in (p, q)]\n"
        "print(json.dumps([every, p(histories, steps=2, top_k=2), p.model.predict_next(histories, processor, steps=2, top_k=2)]))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder), str(tmp_path / "again"), json.dumps(HISTORIES)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "m")},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-1500:]
    every, steps, own_steps = json.loads(ended.stdout.splitlines()[-1])
    expected = pipe(HISTORIES, return_all_scores=True)
    for found in every:
        for answer, own in zip(found, expected, strict=True):
            assert [entry["label"] for entry in answer] == [entry["label"] for entry in own]
            assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in own], abs=1e-6)
    labels = [[[entry["label"] for entry in step] for step in answer] for answer in pipe(HISTORIES, steps=2, top_k=2)]
    for found in (steps, own_steps):
        assert [[[entry["label"] for entry in step] for step in answer] for answer in found] == labels
