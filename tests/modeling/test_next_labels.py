"""`predict_next`: names, several steps ahead, in a process without the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import datasets
import pytest
import torch
from transformers import set_seed

import hf_mlc  # noqa: F401  # what is saved then carries its code
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from hf_mlc.modeling.processing_events import EventProcessor


NAMES = ["bread", "milk", "tea", "jam", "salt", "rice"]
HISTORIES = [
    {"user": "ann", "events": [{"time": day, "labels": NAMES[day : day + 2]} for day in range(4)]},
    [{"time": 2, "labels": ["tea", "jam", "salt"]}],
    {"user": "nobody", "events": []},
]


def shop(**settings):
    """A model of random weights, and its processor."""
    set_seed(0)
    processor = EventProcessor(NAMES, look_back=3, gap_values=[0.0, 1.0, 7.0], median_gap=7.0, users=["ann", "bob"])
    config = LanetConfig(
        id2label=dict(enumerate(NAMES)),
        embed_dim=8,
        num_heads=2,
        num_gaps=3,
        num_users=2,
        **{"thresholds": 0.55, **settings},
    )
    config.label2id = {name: number for number, name in enumerate(NAMES)}
    return LanetForMultiLabelClassification(config).eval(), processor


def scores(model, processor, histories) -> torch.Tensor:
    with torch.no_grad():
        return model(**processor(histories)).logits.sigmoid()


def test_the_best_labels_are_named():
    model, processor = shop()
    answers = model.predict_next(HISTORIES, processor, top_k=2)
    for (answer,), row in zip(answers, scores(model, processor, HISTORIES), strict=True):
        best = row.topk(2)
        assert [entry["label"] for entry in answer] == [NAMES[place] for place in best.indices]
        assert [entry["score"] for entry in answer] == pytest.approx(best.values.tolist(), abs=1e-6)


def test_without_top_k_it_is_the_decided_set_and_thresholds_decide_where_they_are_given():
    model, processor = shop()
    rows = scores(model, processor, HISTORIES)
    for thresholds, limits in ((None, 0.55), (0.45, 0.45), ([0.9, 0.4, 0.4, 0.4, 0.9, 0.9], None)):
        limits = torch.tensor([0.9, 0.4, 0.4, 0.4, 0.9, 0.9]) if limits is None else torch.full((6,), limits)
        answers = model.predict_next(HISTORIES, processor, top_k=None, thresholds=thresholds)
        for (answer,), row in zip(answers, rows, strict=True):
            expected = [NAMES[place] for place in row.argsort(descending=True) if row[place] >= limits[place]]
            assert [entry["label"] for entry in answer] == expected
    (first,) = model.predict_next(HISTORIES[:1], processor, top_k=1, thresholds=0.4)[0]
    assert len(first) == 1


@pytest.mark.parametrize("thresholds", [0.55, 1.0], ids=["decided", "nothing decided"])
def test_each_step_takes_the_one_before_it_for_true(thresholds):
    model, processor = shop(thresholds=thresholds)
    answers = model.predict_next(HISTORIES[:2], processor, top_k=6, steps=3)
    for history, steps in zip(HISTORIES[:2], answers, strict=True):
        events = list(history["events"] if isinstance(history, dict) else history)
        whose = history.get("user") if isinstance(history, dict) else None
        for answer in steps:
            row = scores(model, processor, [{"user": whose, "events": events}])[0]
            assert {entry["label"]: entry["score"] for entry in answer} == pytest.approx(
                dict(zip(NAMES, row.tolist(), strict=True)), abs=1e-5
            )
            names = [entry["label"] for entry in answer if entry["score"] >= thresholds]
            usual = round(sum(len(event["labels"]) for event in events) / len(events))
            names = names or [entry["label"] for entry in answer[:usual]]
            events.append({"time": events[-1]["time"] + 7.0, "labels": names})


def test_batches_change_nothing_and_neither_does_the_mode():
    model, processor = shop(user_dropout=0.9)
    whole = model.predict_next(HISTORIES, processor, steps=2)
    model.train()
    single = model.predict_next(HISTORIES, processor, steps=2, batch_size=1)
    assert model.training
    for steps, others in zip(whole, single, strict=True):
        for answer, other in zip(steps, others, strict=True):
            assert [entry["label"] for entry in answer] == [entry["label"] for entry in other]
            assert [e["score"] for e in answer] == pytest.approx([e["score"] for e in other], abs=1e-5)
    assert model.predict_next([], processor) == []


def test_a_data_set_of_histories_is_answered_row_by_row():
    model, processor = shop()
    listed = [history if isinstance(history, dict) else {"user": None, "events": history} for history in HISTORIES[:2]]
    rows = datasets.Dataset.from_list(listed)
    assert model.predict_next(rows, processor, top_k=2) == model.predict_next(listed, processor, top_k=2)


@pytest.mark.parametrize("argument", ["steps", "top_k", "batch_size"])
def test_less_than_one_of_anything_is_refused(argument):
    model, processor = shop()
    with pytest.raises(ValueError, match=f"`{argument}` must be 1 or more, found 0"):
        model.predict_next(HISTORIES, processor, **{argument: 0})


def test_a_history_that_cannot_be_read_is_named_by_its_number():
    model, processor = shop()
    with pytest.raises(ValueError, match="row 3"):
        model.predict_next([*HISTORIES[:2], [{"time": "soon", "labels": ["tea"]}]], processor, batch_size=2)


def test_one_history_is_a_batch_of_one_however_it_is_written():
    model, processor = shop()
    events = HISTORIES[0]["events"]
    for history in (HISTORIES[0], processor.flat(HISTORIES[0])):
        assert model.predict_next(history, processor) == model.predict_next(HISTORIES[:1], processor)
    for history in (events, tuple(events)):
        assert model.predict_next(history, processor) == model.predict_next([events], processor)
    assert len(model.predict_next(events, processor, steps=2)) == 1


def test_thresholds_that_are_given_know_no_smallest_set():
    model, processor = shop(min_labels=2, thresholds=0.9999)
    assert [len(answer) for (answer,) in model.predict_next(HISTORIES, processor, top_k=None)] == [2, 2, 2]
    for how in ({"top_k": None}, {"top_k": 4}, {"top_k": None, "steps": 2}):
        answers = model.predict_next(HISTORIES, processor, thresholds=0.9999, **how)
        assert all(step == [] for steps in answers for step in steps)


def test_what_is_unknown_is_counted_once_whatever_the_steps():
    model, processor = shop()
    unknown = {"user": "zoe", "events": [{"time": 0, "labels": ["gin", "tea"]}, {"time": 2, "labels": ["gin"]}]}
    model.predict_next([unknown, HISTORIES[0], unknown], processor, steps=4, batch_size=2)
    assert processor.unseen_counts == {"gin": 4} and processor.num_unseen_users == 2


def test_each_history_is_looked_at_once(monkeypatch):
    model, processor = shop()
    looked_at = []
    flat = EventProcessor.flat
    monkeypatch.setattr(
        EventProcessor, "flat", lambda self, history, **how: looked_at.append(1) or flat(self, history, **how)
    )
    model.predict_next(HISTORIES, processor, steps=3)
    assert len(looked_at) == len(HISTORIES)


def test_a_target_before_the_last_event_is_named_by_the_history_s_number():
    set_seed(0)
    processor = EventProcessor(NAMES, look_back=3, uses_target_time=True)
    config = LanetConfig(id2label=dict(enumerate(NAMES)), embed_dim=8, num_heads=2, num_gaps=1, uses_target_time=True)
    early = {"events": [{"time": 5, "labels": ["tea"]}], "target_time": 4}
    with pytest.raises(ValueError, match="row 3, field 'target_time'"):
        LanetForMultiLabelClassification(config).predict_next([[], [], early], processor, batch_size=2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gap_values": [0.0, 1.0, 2.0, 7.0]}, "`num_gaps` is 4, and the model's 3"),
        ({"users": ["ann", "bob", "eve"]}, "`num_users` is 3, and the model's 2"),
        ({"label_names": NAMES[:5]}, "5 labels are not the model's 6"),
        ({"label_names": NAMES[::-1]}, "or in another order"),
    ],
)
def test_the_processor_of_another_model_is_refused(changes, said):
    model, processor = shop()
    other = EventProcessor(**{**processor.to_dict(), **changes})
    with pytest.raises(ValueError, match=f"the processor's .*{said}.*; accepted: the processor saved with the model"):
        model.predict_next(HISTORIES, other)


def test_what_the_model_does_not_read_may_be_more():
    model, processor = shop(time_encoding="log_bucket")
    more = EventProcessor(**{**processor.to_dict(), "gap_values": [0.0, 1.0, 2.0, 7.0], "amount_edges": [1.0]})
    assert model.predict_next(HISTORIES, more) == model.predict_next(HISTORIES, processor)


WITHOUT_PACKAGE = """
import json, sys

class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_mlc":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoPackage())
from transformers import AutoFeatureExtractor, AutoModel

model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
processor = AutoFeatureExtractor.from_pretrained(sys.argv[1], trust_remote_code=True)
answers = model.predict_next(json.loads(sys.argv[2]), processor, top_k=3, steps=2)
print(json.dumps([type(model).__module__, answers]))
"""


def test_a_saved_folder_predicts_in_a_process_without_the_package(tmp_path):
    model, processor = shop()
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_MODULES_CACHE": str(tmp_path / "m"),
    }
    result = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_PACKAGE, str(tmp_path / "model"), json.dumps(HISTORIES)],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    module, answers = json.loads(result.stdout.splitlines()[-1])
    assert module.startswith("transformers_modules.")
    expected = model.predict_next(HISTORIES, processor, top_k=3, steps=2)
    for steps, others in zip(answers, expected, strict=True):
        for answer, other in zip(steps, others, strict=True):
            assert [entry["label"] for entry in answer] == [entry["label"] for entry in other]
            assert [e["score"] for e in answer] == pytest.approx([e["score"] for e in other], abs=1e-5)
