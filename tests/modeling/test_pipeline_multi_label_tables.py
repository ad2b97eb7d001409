"""`pipeline("multi-label-table-classification")`: every way to hand in rows, what it refuses, with the package and without."""

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
from hf_mlc.modeling.pipeline_multi_label_tables import TABLE_TASK, MultiLabelTableClassificationPipeline
from tests.common.small_msdn import NAMES, ROWS, save_table_model, table_extractor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_table_model(tmp_path_factory.mktemp("tables") / "model")


@pytest.fixture(scope="module")
def pipe(folder) -> MultiLabelTableClassificationPipeline:
    return pipeline(TABLE_TASK, model=str(folder), device="cpu")


@pytest.fixture(scope="module")
def scores(folder) -> torch.Tensor:
    """What the model itself says of each row."""
    features = table_extractor()(ROWS)["input_features"]
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(input_features=features).logits.sigmoid()


def assert_answers(answers, scores) -> None:
    for answer, row in zip(answers, scores, strict=True):
        assert [entry["label"] for entry in answer] == [NAMES[i] for i in row.argsort(descending=True)]
        for entry in answer:
            assert entry["score"] == pytest.approx(float(row[NAMES.index(entry["label"])]), abs=1e-5)


def test_answers_are_the_model_s_own_whatever_the_rows_are_written_as(pipe, scores):
    every = {"return_all_scores": True}
    by_position = [list(row.values()) for row in ROWS]
    sparse = [{"indices": [2, 0, 1], "values": [row[2], row[0], row[1]]} for row in by_position]
    wrapped = [{"id": "7", "features": row, "labels": ["red"]} for row in ROWS]
    for rows in (ROWS, tuple(ROWS), by_position, sparse, wrapped, iter(ROWS)):
        assert_answers(pipe(rows, **every), scores)
    assert_answers(pipe(ROWS, batch_size=3, **every), scores)
    # one row by itself
    for row in (ROWS[0], by_position[0], tuple(by_position[0]), wrapped[0]):
        assert_answers([pipe(row, **every)], scores[:1])
    assert pipe([]) == []


def test_arrays_and_data_frames_are_rows(folder, scores):
    pandas = pytest.importorskip("pandas")
    pipe = pipeline(TABLE_TASK, model=str(folder), device="cpu", return_all_scores=True)
    frame = pandas.DataFrame(ROWS)
    assert_answers(pipe(frame), scores)
    assert_answers([pipe(frame.iloc[0])], scores[:1])
    # columns that are no features, as `predict` passes over those of a file
    assert_answers(pipe(frame.assign(id=range(len(ROWS)), labels="red")), scores)
    with pytest.raises(ValueError, match="no such feature"):
        pipe(pandas.DataFrame({"nothing": [1], "of this": [2]}))
    pipe.feature_extractor = type(pipe.feature_extractor)(["age", "height"])
    pipe.model = AutoModel.from_config(
        type(pipe.model.config)(num_labels=5, input_size=2, numeric_size=2, hidden_size=4)
    ).eval()
    pipe.model.config.id2label = dict(enumerate(NAMES))
    values = np.array([[1.0, 2.0], [0.5, -1.0]])
    expected = [pipe([float(value) for value in row]) for row in values]
    assert pipe(values) == expected and pipe(torch.from_numpy(values)) == expected
    assert pipe(values[1]) == expected[1] and pipe(list(values)) == expected


def test_the_tuned_rule_and_arguments_decide(pipe, scores):
    with torch.no_grad():
        features = pipe.feature_extractor(ROWS)["input_features"]
        chosen = pipe.model.decide_output(pipe.model(input_features=features))
    for answer, row in zip(pipe(ROWS), chosen, strict=True):
        assert {entry["label"] for entry in answer} == {NAMES[i] for i in row.nonzero().flatten()}
    assert [len(answer) for answer in pipe(ROWS, top_k=2)] == [2, 2, 2]
    threshold = float(scores[0].median())
    assert {entry["label"] for entry in pipe(ROWS[0], threshold=threshold)} == {
        NAMES[i] for i in (scores[0] >= threshold).nonzero().flatten()
    }


def test_the_library_and_the_pipeline_answer_alike(folder, scores):
    torch.testing.assert_close(score_texts(load_model(str(folder)), ROWS).float(), scores, atol=1e-5, rtol=0)


def test_what_the_extractor_refuses_is_said_in_one_line(pipe):
    for row, said in (
        ({"age": 1, "height": 2}, "field 'colour': the feature is not there"),
        ([1.0, 2.0], "2 values; accepted: 3"),
        ({"age": "old", "height": 1, "colour": "red"}, "field 'age': found"),
        ({"age": float("inf"), "height": 1, "colour": "red"}, "infinite"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            pipe([ROWS[0], row])
        assert "row 1" not in str(caught.value)  # rows come one by one: their numbers would say nothing
    with pytest.raises(ValueError, match="`explain` names words"):
        pipe(ROWS[0], explain=True)


def test_a_model_of_texts_is_refused(pipe):
    class OfTexts(type(pipe.model)):
        main_input_name = "input_ids"

    model = OfTexts(pipe.model.config)
    model.main_input_name = "input_ids"
    with pytest.raises(ValueError, match="models that read `input_features`, found one of `input_ids`"):
        MultiLabelTableClassificationPipeline(model=model, feature_extractor=pipe.feature_extractor)
    with pytest.raises(ValueError, match="needs the model's feature extractor"):
        MultiLabelTableClassificationPipeline(model=pipe.model)


def test_the_task_is_read_off_the_saved_model_and_our_class_taken(folder, pipe):
    config = AutoConfig.from_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["custom_pipelines"].keys() == {TABLE_TASK}
    assert config.input_kind == "table"
    found = pipeline(model=str(folder), device="cpu")
    assert type(found) is type(pipe) is MultiLabelTableClassificationPipeline


def test_the_saved_model_answers_without_the_package(folder, pipe, tmp_path):
    code = (
        "import json, sys; from transformers import pipeline\n"
        "p = pipeline(model=sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "assert 'hf_mlc' not in sys.modules\n"
        "p.save_pretrained(sys.argv[2])\n"
        "q = pipeline('multi-label-table-classification', model=sys.argv[2], trust_remote_code=True, device='cpu')\n"
        "rows = json.loads(sys.argv[3])\n"
        "print(json.dumps([p(rows, return_all_scores=True), q(rows, return_all_scores=True)]))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder), str(tmp_path / "again"), json.dumps(ROWS)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "m")},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-1500:]
    expected = pipe(ROWS, return_all_scores=True)
    for found in json.loads(ended.stdout.splitlines()[-1]):
        for answer, own in zip(found, expected, strict=True):
            assert [entry["label"] for entry in answer] == [entry["label"] for entry in own]
            assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in own], abs=1e-6)
