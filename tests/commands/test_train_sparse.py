"""Sparse rows end to end: files of the repository's format and of libsvm, to a model, its measures, answers, and a copy elsewhere."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import pipeline

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.prepare_xmc import main as prepare
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model
from hf_mlc.modeling.pipeline_multi_label_sparse import SPARSE_TASK
from hf_mlc.modeling.pipeline_multi_label_tables import TABLE_TASK
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from tests.commands.conftest import QUIET, read_jsonl


NUM_FEATURES, NUM_LABELS = 20, 9  # label 8 is in no training row
ROW = {"indices": [1, 5, 15], "values": [2.0, 2.0, 0.5]}  # of labels 1 and 5
SMALL = ["--model_type", "lightdxml", "--encoder", "features", "--embed_dim", "16", "--shortlist_size", "4",
         "--learning_rate", "0.05", "--per_device_train_batch_size", "16", "--num_train_epochs", "8",
         "--embedding_dropout", "0.1", "--residual_dropout", "0.1", "--cycle_epochs", "4", "--proxy_epochs", "1", *QUIET]  # fmt: skip


def lines(number: int, *, seed: int) -> list[str]:
    """Rows of two labels; feature l says label l, features from 10 on say nothing."""
    draw = random.Random(seed)
    made = []
    for _ in range(number):
        labels = sorted(draw.sample(range(8), 2))
        features = [(label, 2) for label in labels] + [(draw.randrange(10, NUM_FEATURES), 0.5)]
        made.append(",".join(map(str, labels)) + "".join(f" {f}:{v}" for f, v in features))
    return made


def write(file: Path, rows: list[str], *, headed: bool = True) -> Path:
    header = [f"{len(rows)} {NUM_FEATURES} {NUM_LABELS}"] * headed
    file.write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    write(folder / "train.txt", lines(160, seed=0))
    write(folder / "validation.txt", lines(40, seed=1))
    write(folder / "test.txt", lines(40, seed=2))
    return folder


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lightdxml") / "model"
    files = [
        word for split in ("train", "validation", "test") for word in (f"--{split}_file", str(rows / f"{split}.txt"))
    ]
    assert run(train, [*files, "--output_dir", str(folder), *SMALL, "--do_predict", "true"]) == 0
    return folder


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_a_file_s_first_line_says_how_many_features_and_labels_there_are(model):
    loaded, results = load_model(str(model), device="cpu"), results_of(model)
    assert loaded.kind.name == "features" and isinstance(loaded.processor, SparseFeatureExtractor)
    config = loaded.model.config
    assert (loaded.processor.num_features, config.vocab_size, config.pad_token_id) == (
        NUM_FEATURES,
        NUM_FEATURES + 1,
        0,
    )
    assert config.unk_token_id is None  # id 1 is feature 0
    assert loaded.label_space.names == [str(label) for label in range(NUM_LABELS)]
    assert loaded.model.trained_labels.tolist() == [True] * 8 + [False]
    assert results["test"]["p@1"] > 0.9 and results["test"]["r@3"] > 0.8


def test_evaluate_predict_and_pipeline_agree(model, rows, tmp_path):
    found = tmp_path / "found.json"
    assert run(evaluate, ["--model", str(model), "--dataset_name", str(rows), "--output", str(found)]) == 0
    measured = json.loads(found.read_text(encoding="utf-8"))["metrics"]
    expected = results_of(model)["test"]
    for name in ("p@1", "p@3", "psp@1", "f1_micro"):
        assert measured[name] == pytest.approx(expected[name], abs=1e-6)
    # rows without labels, one of them with a feature that training didn't have
    unlabelled = write(tmp_path / "in.svm", ["1:2 5:2 15:.5", "1:2 5:2 15:.5 700:1"], headed=False)
    command = [
        "--model",
        str(model),
        "--input",
        str(unlabelled),
        "--output",
        str(tmp_path / "out.jsonl"),
        "--top_k",
        "2",
    ]
    assert run(predict, command) == 0
    first, second = (row["labels"] for row in read_jsonl(tmp_path / "out.jsonl"))
    assert {entry["label"] for entry in first} == {"1", "5"} and second == first
    (tmp_path / "in.jsonl").write_text(json.dumps({"features": ROW}) + "\n", encoding="utf-8")
    command[3] = str(tmp_path / "in.jsonl")
    assert run(predict, command) == 0
    pipe = pipeline(SPARSE_TASK, model=str(model), device="cpu")
    (answers,) = (row["labels"] for row in read_jsonl(tmp_path / "out.jsonl"))
    for row in (ROW, {"features": ROW}, {"1": 2, "5": 2, "15": 0.5}):
        for answer, told in zip(pipe(row, top_k=2), answers, strict=True):
            assert answer["label"] == told["label"] and answer["score"] == pytest.approx(told["score"], abs=1e-5)
    dense = [2.0 if place in (1, 5) else 0.5 * (place == 15) for place in range(NUM_FEATURES)]
    assert [[entry["label"] for entry in answer] for answer in pipe([dense, ROW], top_k=2, batch_size=2)] == [
        [entry["label"] for entry in answers]
    ] * 2


def test_the_pipeline_refuses_what_is_no_row_and_models_of_other_inputs(model):
    pipe = pipeline(SPARSE_TASK, model=str(model), device="cpu")
    with pytest.raises(ValueError, match="position 1 stands there twice"):
        pipe({"indices": [1, 1], "values": [1, 2]})
    with pytest.raises(ValueError, match="found nan"):
        pipe({"1": float("nan")})
    with pytest.raises(ValueError, match="of models that read `input_features`, found one of `input_ids`"):
        pipeline(TABLE_TASK, model=str(model), device="cpu")
    with pytest.raises(ValueError, match="needs the model's sparse feature extractor"):
        type(pipe)(model=pipe.model)


def test_in_a_process_without_the_package_the_folder_answers_by_itself(model, tmp_path):
    expected = [entry["label"] for entry in pipeline(SPARSE_TASK, model=str(model), device="cpu")(ROW, top_k=2)]
    code = f"""
import json, sys
sys.modules["hf_mlc"] = None  # importing it is an error
from transformers import AutoFeatureExtractor, pipeline
AutoFeatureExtractor.from_pretrained({str(model)!r}, trust_remote_code=True)
pipe = pipeline(model={str(model)!r}, trust_remote_code=True, device="cpu")
print(json.dumps([entry["label"] for entry in pipe({ROW!r}, top_k=2)]))
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == expected


SHORT = [*SMALL, "--num_train_epochs", "1", "--cycle_epochs", "1"]


def test_prepared_rows_have_the_names_of_labels(rows, tmp_path):
    (tmp_path / "in").mkdir()
    for split in ("train", "test"):
        (tmp_path / "in" / f"{split}.txt").write_bytes((rows / f"{split}.txt").read_bytes())
    (tmp_path / "in" / "Y.txt").write_text("".join(f"label {n}\n" for n in range(NUM_LABELS)), encoding="utf-8")
    assert run(prepare, ["--xmc_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "data")]) == 0
    named = [f"label {n}" for n in range(NUM_LABELS)]
    (tmp_path / "svm").mkdir()
    write(tmp_path / "svm" / "train.svm", lines(40, seed=4), headed=False)
    (tmp_path / "svm" / "Y.txt").write_bytes((tmp_path / "in" / "Y.txt").read_bytes())
    # those of the folder that was written, and of the file of names beside the rows as they were
    places = (
        (tmp_path / "data" / "data", "prepared"),
        (tmp_path / "in", "direct"),
        (tmp_path / "svm", "no first line"),
    )
    for place, name in places:
        assert run(train, ["--dataset_name", str(place), "--output_dir", str(tmp_path / name), *SHORT]) == 0
        assert load_model(str(tmp_path / name), device="cpu").label_space.names == named


def test_libsvm_that_counts_from_one_and_rows_with_named_features(tmp_path, capsys):
    shifted = [re.sub(r"(\d+):", lambda found: f"{int(found[1]) + 1}:", line) for line in lines(160, seed=3)]
    for headed, num_labels in ((False, 8), (True, NUM_LABELS)):
        file, folder = write(tmp_path / "train.svm", shifted, headed=headed), tmp_path / f"{headed}"
        assert run(train, ["--train_file", str(file), "--output_dir", str(folder), *SHORT]) == 0
        loaded = load_model(str(folder), device="cpu")
        # feature 0, which never comes, is one of them
        assert loaded.processor.num_features == NUM_FEATURES + 1 and len(loaded.label_space) == num_labels
    objects = [
        {"labels": ["ab"[n % 2]], "features": {("wheat", "oil")[n % 2]: 1.0, f"word {n % 3}": 0.1}} for n in range(40)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf-8")
    assert (
        run(train, ["--train_file", str(tmp_path / "train.jsonl"), "--output_dir", str(tmp_path / "b"), *SHORT]) == 0
    )
    assert "5 named features" in capsys.readouterr().err
    named = load_model(str(tmp_path / "b"), device="cpu").processor
    assert named.feature_names == ["oil", "wheat", "word 0", "word 1", "word 2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num_features", "5"], "'num_features': 5 features; accepted: "),
        (["--num_features", "0"], "'num_features': found 0"),
        (["--text_column", "t"], "'text_column': is of texts, and the model reads sparse rows"),
        (["--feature_columns", "*"], "'encoder': found 'features' beside feature_columns; accepted: mlp"),
        (["--model_type", "plant"], "'model_type': plant reads no sparse rows; accepted: --model_type lightdxml"),
    ],
)
def test_arguments_that_do_not_go_together_are_one_line(rows, tmp_path, capsys, words, message):
    command = ["--train_file", str(rows / "train.txt"), "--output_dir", str(tmp_path / "out"), *SMALL, *words]
    assert run(train, command) == 2
    assert message in capsys.readouterr().err


def test_sparse_rows_without_the_encoder_that_reads_them_are_one_line(rows, tmp_path, capsys):
    command = ["--model_type", "lightdxml", "--train_file", str(rows / "train.txt"), "--output_dir", str(tmp_path / "out"), *QUIET]  # fmt: skip
    assert run(train, command) == 2
    assert "train.txt: holds sparse rows; accepted: --encoder features, or texts in" in capsys.readouterr().err


def test_a_trained_model_keeps_its_labels_whatever_names_lie_beside_the_rows(model, rows, tmp_path, capsys):
    file = write(tmp_path / "train.txt", [*lines(40, seed=0), "", ""])
    (tmp_path / "Y.txt").write_text("a\nb\n", encoding="utf-8")
    further = ["--model_name_or_path", str(model), "--output_dir", str(tmp_path / "out"), "--max_steps", "1", *QUIET]
    assert run(train, ["--train_file", str(file), "--validation_file", str(rows / "validation.txt"), *further]) == 0
    told = capsys.readouterr().err
    assert "Y.txt" not in told and "empty sparse rows" in told
    assert load_model(str(tmp_path / "out"), device="cpu").label_space.names == [str(n) for n in range(NUM_LABELS)]


def test_another_number_of_names_and_an_unknown_feature_in_training_are_one_line(rows, tmp_path, capsys):
    write(tmp_path / "train.txt", lines(40, seed=0))
    (tmp_path / "Y.txt").write_text("a\nb\n", encoding="utf-8")
    command = ["--train_file", str(tmp_path / "train.txt"), "--output_dir", str(tmp_path / "out"), *SMALL]
    assert run(train, command) == 2
    assert "Y.txt: 2 names of labels; accepted: 9, as the first line of" in capsys.readouterr().err
