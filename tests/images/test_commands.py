"""Pictures through the commands: train on a folder in COCO's format, evaluate, predict, open by `pipeline`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score
from transformers import AutoConfig, pipeline

from hf_mlc.commands.card import main as card
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.explain import main as explain
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.prepare_coco import main as prepare_coco
from hf_mlc.commands.running import run
from hf_mlc.commands.space import main as space
from hf_mlc.commands.train import main as train
from hf_mlc.data import Columns, load_splits
from hf_mlc.images.shapes import draw_pictures, write_coco_shapes
from hf_mlc.images.shapes import main as draw_shapes
from hf_mlc.inference import load_model, predict_images, score_texts


BACKBONE = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1],
            "layer_type": "basic", "out_features": ["stage2"]}  # fmt: skip
SMALL = ["--model_type", "sgm", "--encoder", "image", "--image_size", "32", "--hidden_size", "16", "--num_beams", "2"]
QUIET = ["--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true"]


def trained_on(data: Path, output: Path, *words: str, backbone: dict | None = BACKBONE) -> int:
    given = [] if backbone is None else ["--backbone_config", json.dumps(backbone)]
    common = ["--dataset_name", str(data), "--output_dir", str(output), "--num_train_epochs", "1", *QUIET]
    return run(train, [*SMALL, *given, *common, *words])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Drawn pictures in COCO's format, prepared, and a model trained on them for one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("work")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
        write_coco_shapes(folder / "coco", num_train=60, num_validation=12, size=32)
        words = ["--coco_dir", str(folder / "coco"), "--output_dir", str(folder / "data")]
        assert run(prepare_coco, words) == 0
        assert trained_on(folder / "data" / "coco", folder / "model", "--do_predict", "true") == 0
    return folder


@pytest.mark.slow
def test_the_recipe_of_shapes_finds_nine_labels_of_ten(tmp_path):
    """A micro-F1 above .9 on drawn pictures of several objects is what it was made for; a minute of one core."""
    recipe = Path(__file__).parents[2] / "model_cards" / "sgm-shapes" / "recipe.yaml"
    draw_shapes(["--output_dir", str(tmp_path / "data")])
    words = ["--config", str(recipe), "--dataset_name", str(tmp_path / "data"), "--output_dir", str(tmp_path / "out")]
    assert run(train, [*words, "--do_predict", "true", *QUIET]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert results["test"]["f1_micro"] > 0.9


@pytest.fixture(scope="module")
def pictures(work) -> list[Path]:
    return sorted((work / "coco" / "val2017").iterdir())


@pytest.fixture(scope="module")
def loaded(work):
    return load_model(str(work / "model"), device="cpu")


def test_training_measures_the_test_split_and_saves_the_processor(work, loaded):
    results = json.loads((work / "model" / "results.json").read_text())
    assert results["data"]["rows"] == {"train": 54, "validation": 6, "test": 12}
    rows = load_splits(work / "data" / "coco", columns=Columns(image="image"), splits=["test"])["test"]
    scores = score_texts(loaded, rows["image"][:])
    truths = [[name in row["labels"] for name in loaded.label_space.names] for row in rows]
    measured = average_precision_score(truths, scores, average="micro")
    assert results["test"]["ap_micro"] == pytest.approx(measured, abs=1e-5)
    processor = json.loads((work / "model" / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 32, "width": 32}
    config = AutoConfig.from_pretrained(work / "model")
    assert list(config.custom_pipelines) == ["multi-label-image-classification"]
    assert not (work / "model" / "tokenizer.json").exists()


def test_evaluate_finds_what_training_measured(work, capsys):
    words = ["--model", str(work / "model"), "--dataset_name", str(work / "data" / "coco")]
    assert run(evaluate, [*words, "--output", str(work / "metrics.json")]) == 0
    measured = json.loads((work / "metrics.json").read_text())
    results = json.loads((work / "model" / "results.json").read_text())
    assert measured["metrics"]["f1_micro"] == pytest.approx(results["test"]["f1_micro"], abs=1e-6)
    assert measured["metrics"]["ap_micro"] == pytest.approx(results["test"]["ap_micro"], abs=1e-6)
    assert measured["fingerprint"] == results["data"]["fingerprints"]["test"]


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predict_takes_a_folder_a_picture_a_list_and_standard_input(work, pictures, tmp_path):
    model = ["--model", str(work / "model"), "--top_k", "2"]
    assert run(predict, [*model, "--input", str(pictures[0].parent), "--output", str(tmp_path / "all.jsonl")]) == 0
    rows = read_jsonl(tmp_path / "all.jsonl")
    assert [row["id"] for row in rows] == [file.name for file in pictures]
    assert all(len(row["labels"]) == 2 for row in rows)
    assert run(predict, [*model, "--input", str(pictures[3]), "--output", str(tmp_path / "one.jsonl")]) == 0
    assert read_jsonl(tmp_path / "one.jsonl") == [rows[3]]  # alone as in a batch
    listed = tmp_path / "list.jsonl"
    listed.write_text(json.dumps({"id": "p", "file": pictures[3].name}) + "\n", encoding="utf-8")
    words = ["--input", str(listed), "--image_column", "file", "--image_folder", str(pictures[0].parent)]
    assert run(predict, [*model, *words, "--output", str(tmp_path / "listed.jsonl")]) == 0
    assert read_jsonl(tmp_path / "listed.jsonl") == [{**rows[3], "id": "p"}]
    ended = subprocess.run(
        [sys.executable, "-m", "hf_mlc.cli", "predict", *model],
        input=json.dumps({"id": "p", "image": pictures[3].name}) + "\n",
        cwd=pictures[0].parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == {**rows[3], "id": "p"}


def test_the_library_and_the_pipeline_answer_alike(work, pictures, loaded):
    files = [str(file) for file in pictures[:3]]
    answers = list(predict_images(loaded, files, top_k=3))
    classifier = pipeline("multi-label-image-classification", model=str(work / "model"), device="cpu")
    undecoded = {"path": None, "bytes": pictures[2].read_bytes()}
    inputs = [files[0], Image.open(files[1]), {"image": undecoded}]
    for expected, answer in zip(answers, classifier(inputs, top_k=3), strict=True):
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in expected]
        for one, other in zip(answer, expected, strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-5)
    assert len(classifier(files[0], return_all_scores=True)) == loaded.model.config.num_labels
    assert classifier(pictures[0].read_bytes(), top_k=3)[0]["label"] == answers[0][0]["label"]
    # without a task it is read off config.json
    assert type(pipeline(model=str(work / "model"), device="cpu")) is type(classifier)
    with pytest.raises(ValueError, match="names words"):
        classifier(files[0], explain=True)
    with pytest.raises(ValueError, match='a row needs its picture under "image"'):
        classifier({"text": "a"})


def test_the_saved_model_answers_without_the_package(work, pictures, loaded, tmp_path):
    (expected,) = predict_images(loaded, [str(pictures[0])], top_k=1)
    code = (
        "import sys; from transformers import pipeline\n"
        "p = pipeline(model=sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "assert 'hf_mlc' not in sys.modules\n"
        "print(p(sys.argv[2], top_k=1)[0]['label'])"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, str(work / "model"), str(pictures[0])],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "m")},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-800:]
    assert ended.stdout.strip() == expected[0]["label"]


def test_scores_do_not_depend_on_the_batch(pictures, loaded):
    together = score_texts(loaded, pictures, batch_size=12)
    alone = score_texts(loaded, pictures, batch_size=1)
    assert torch.allclose(together, alone, atol=1e-5)


def test_training_goes_on_from_a_trained_model_with_its_processor(work, tmp_path):
    common = ["--dataset_name", str(work / "data" / "coco"), "--output_dir", str(tmp_path / "on"), *QUIET]
    assert run(train, ["--model_name_or_path", str(work / "model"), "--max_steps", "1", *common]) == 0
    before, after = (
        json.loads((path / "preprocessor_config.json").read_text()) for path in (work / "model", tmp_path / "on")
    )
    assert before == after


def test_a_vision_transformer_and_a_broken_picture(work, tmp_path, capsys):
    vit = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
           "intermediate_size": 16, "image_size": 32, "patch_size": 8}  # fmt: skip
    data = tmp_path / "data"
    data.mkdir()
    rows = []
    for number, (picture, labels) in enumerate(draw_pictures(12, size=32)):
        picture.save(data / f"{number}.png")
        rows.append(json.dumps({"image": f"{number}.png", "labels": labels}))
    (data / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = ["--vision_config", json.dumps(vit), "--max_steps", "1", "--validation_fraction", "0.25"]
    assert trained_on(data, tmp_path / "vit", *words, backbone=None) == 0
    assert load_model(str(tmp_path / "vit")).model.encoder.backbone.config.model_type == "vit"
    (data / "7.png").write_bytes((data / "7.png").read_bytes()[:60])
    capsys.readouterr()
    for workers in ("0", "1"):
        words = ["--max_steps", "8", "--validation_fraction", "0.25", "--dataloader_num_workers", workers]
        assert trained_on(data, tmp_path / f"cut{workers}", *words) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"hf-mlc: error: {data / '7.png'}: ") and "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--vision_config", '{"model_type": "vit", "hidden_size": 12, "num_attention_heads": 0}'], "`vision_config`"),
        (["--vision_config", '{"model_type": "swin", "num_channels": "x"}'], "'num_channels'"),
        (["--vision_config", '{"model_type": ["vit"]}'], "unknown model_type"),
        (["--backbone_config", '{"model_type": "resnet", "out_features": ["x"]}'], "`backbone_config` is no configuration"),
        (["--backbone_config", '{"model_type": "bert"}'], "`backbone_config` can't be built as 'bert'"),
        (["--vision_config", '{"model_type": "bert", "hidden_size": 4, "num_attention_heads": 1}'], "reads pixel_values, found 'bert'"),
        (["--vision_config", '{"model_type": "vit_mae", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "decoder_hidden_size": 16}'], "found 'vit_mae' with a mask_ratio of 0.75"),
        (["--encoder", "gru", "--backbone_config", json.dumps(BACKBONE)], "field 'encoder': found 'gru' beside backbone_config"),
        (["--encoder", "gru", "--image_encoder", "some/model"], "field 'encoder': found 'gru' beside image_encoder"),
    ],
)  # fmt: skip
def test_a_backbone_that_is_none_is_one_line(work, tmp_path, capsys, words, fragment):
    common = ["--dataset_name", str(work / "data" / "coco"), "--output_dir", str(tmp_path / "out"), *QUIET]
    assert run(train, [*SMALL, *common, *words]) == 2
    assert fragment in capsys.readouterr().err.splitlines()[-1]


def test_arguments_of_the_other_kind_are_one_line(work, pictures, tmp_path, capsys):
    def error(command, *words: str) -> str:
        assert run(command, list(words)) == 2
        return capsys.readouterr().err.splitlines()[-1]

    data, output = ["--dataset_name", str(work / "data" / "coco")], ["--output_dir", str(tmp_path / "out"), *QUIET]
    assert "field 'max_length': is of texts" in error(train, *SMALL, *data, *output, "--max_length", "64")
    assert "field 'word_vectors': is of texts" in error(train, *SMALL, *data, *output, "--word_vectors", "corpus")
    assert "field 'image_size': is of pictures" in error(train, *data, *output, "--image_size", "64")
    assert "no such column; found: 'id', 'image', 'labels'" in error(
        train, *SMALL, *data, *output, "--image_column", "photo"
    )
    assert "the evidence of words is of texts" in error(
        explain,
        "--model",
        str(work / "model"),
        "--label",
        "red ring",
        "--input",
        str(work / "data/coco/test.jsonl.gz"),
    )
    words = ["--model", str(work / "model"), "--input", str(pictures[0]), "--explain", "true"]
    assert "the evidence of words is of texts" in error(predict, *words)
    # a wrong input is not spoken of before
    words[3] = str(work / "data/coco/test.jsonl.gz")
    assert "the evidence of words is of texts" in error(predict, *words, "--image_column", "photo")
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "card.yaml").write_text("show_examples: true\n", encoding="utf-8")
    words = ["--model", str(work / "model"), *data, "--card_folder", str(tmp_path / "card")]
    assert "the model reads pictures, and an extract a label is of texts" in error(card, *words)
    words = ["--model", str(work / "model"), "--output", str(tmp_path / "app")]
    assert "the model reads pictures, and the app is of texts" in error(space, *words)
