"""LightDXML over texts, end to end: train, evaluate, predict, the pipeline, explanations, resuming, publishing, small tables, going on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from hf_mlc.commands.ensemble import main as ensemble
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.publish import main as publish
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.cycles.cycle import INDEX_FILE
from hf_mlc.cycles.folder import CYCLE_FOLDER, LAST
from hf_mlc.cycles.trainer import LightDxmlTrainer
from hf_mlc.inference import load_model
from tests.commands.conftest import QUIET, read_jsonl


WORDS = ("wheat", "corn", "oil", "gold", "tin", "rice", "rye", "silk", "wool", "salt", "tea", "jute")
SMALL = ["--model_type", "lightdxml", "--embed_dim", "16", "--shortlist_size", "4", "--learning_rate", "0.05",
         "--per_device_train_batch_size", "16", "--embedding_dropout", "0.1", "--residual_dropout", "0.1",
         "--cycle_epochs", "3", "--proxy_epochs", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """Texts that name two goods, whose names are their labels; every text is longer than 512 words, and the goods come last."""
    folder = tmp_path_factory.mktemp("many-goods")
    pairs = [(one, other) for one in WORDS for other in WORDS if one < other]
    lines = [
        json.dumps({"id": f"{one}-{other}", "text": f"{'report on ' * 300}{one} and {other}", "labels": [one, other]})
        for one, other in pairs
    ]
    parts = {"validation": lines[4::6], "test": lines[5::6]}
    parts["train"] = [line for line in lines if line not in parts["validation"] + parts["test"]] * 2
    for split, some in parts.items():
        (folder / f"{split}.jsonl").write_text("\n".join(some) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory) -> Path:
    """One trained for as long as it takes to know all words."""
    folder = tmp_path_factory.mktemp("lightdxml") / "model"
    command = ["--dataset_name", str(rows), "--output_dir", str(folder), "--num_train_epochs", "12"]
    assert run(train, [*command, *SMALL, *QUIET, "--do_predict", "true"]) == 0
    return folder


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_idf_comes_from_training_rows_and_whole_texts_are_read(model):
    loaded, results = load_model(str(model), device="cpu"), results_of(model)
    vocabulary = loaded.tokenizer.get_vocab()
    # "report", "on" and "and" are in all texts: in the vocabulary they would be 0, by documents they aren't there
    assert set(vocabulary) == {*WORDS, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    idf = loaded.model.encoder.idf
    assert (idf[:5] == 0).all() and (idf[5:] > 1).all()
    assert results["tfidf"] == {"documents": 88, "tokens": 12, "too_rare": 0, "too_common": 0}
    assert loaded.tokenizer.model_max_length > 10**6
    assert results["test"]["p@1"] > 0.8


def test_evaluate_predict_and_pipeline_agree_with_training(model, rows, tmp_path):
    expected = results_of(model)["test"]
    found, answers = tmp_path / "found.json", tmp_path / "answers.jsonl"
    assert run(evaluate, ["--model", str(model), "--dataset_name", str(rows), "--output", str(found)]) == 0
    measured = json.loads(found.read_text(encoding="utf-8"))["metrics"]
    # counted while training, counted by the model from plain tokens here
    for name in ("p@1", "p@3", "psp@1", "ndcg@3", "f1_micro"):
        assert measured[name] == pytest.approx(expected[name], abs=1e-6)
    test_file = rows / "test.jsonl"
    command = ["--model", str(model), "--input", str(test_file), "--output", str(answers), "--top_k", "2"]
    assert run(predict, command) == 0
    predicted = [[entry["label"] for entry in row["labels"]] for row in read_jsonl(answers)]
    true = [set(row["labels"]) for row in read_jsonl(test_file)]
    hits = [answer[0] in labels for answer, labels in zip(predicted, true, strict=True)]
    assert sum(hits) / len(hits) == pytest.approx(expected["p@1"], abs=1e-6)
    pipe = pipeline("multi-label-classification", model=str(model), device="cpu")
    piped = pipe([row["text"] for row in read_jsonl(test_file)], top_k=2, batch_size=4)
    assert [[entry["label"] for entry in answer] for answer in piped] == predicted


def test_labels_are_explained_by_the_words_that_name_them(model, rows, tmp_path):
    answers = tmp_path / "explained.jsonl"
    command = ["--model", str(model), "--input", str(rows / "test.jsonl"), "--output", str(answers), "--top_k", "1"]
    assert run(predict, [*command, "--explain"]) == 0
    named = [row["labels"][0]["evidence"][0]["text"] == row["labels"][0]["label"] for row in read_jsonl(answers)]
    assert sum(named) / len(named) > 0.8


def test_a_run_that_was_cut_short_goes_on_to_the_same_weights(model, rows, tmp_path, monkeypatch):
    folder, steps = tmp_path / "cut", iter(range(1000))
    command = ["--dataset_name", str(rows), "--output_dir", str(folder), "--num_train_epochs", "12", *SMALL, *QUIET]
    whole_step = LightDxmlTrainer.training_step

    def cut_short(self, *args, **kwargs):
        if next(steps) == 27:  # in the fifth epoch, the second of its cycle
            raise RuntimeError("cut short")
        return whole_step(self, *args, **kwargs)

    monkeypatch.setattr(LightDxmlTrainer, "training_step", cut_short)
    with pytest.raises(RuntimeError, match="cut short"):
        run(train, [*command, "--do_predict", "true"])
    monkeypatch.undo()
    assert run(train, [*command, "--do_predict", "true"]) == 0
    results = results_of(folder)
    assert results["training"]["resumed"] and results["test"]["p@1"] == results_of(model)["test"]["p@1"]
    unbroken, resumed = (load_file(place / "model.safetensors") for place in (model, folder))
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(values, resumed[name]) for name, values in unbroken.items())


def test_permuted_test_labels_change_nothing_but_the_test_metrics(model, rows, tmp_path):
    other, folder = tmp_path / "permuted", tmp_path / "model"
    other.mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (other / name).write_bytes((rows / name).read_bytes())
    test = read_jsonl(rows / "test.jsonl")
    labels = [row["labels"] for row in test]
    permuted = [{**row, "labels": label} for row, label in zip(test, labels[1:] + labels[:1], strict=True)]
    (other / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in permuted), encoding="utf-8")
    command = ["--dataset_name", str(other), "--output_dir", str(folder), "--num_train_epochs", "12"]
    assert run(train, [*command, *SMALL, *QUIET, "--do_predict", "true"]) == 0
    ours, theirs = results_of(model), results_of(folder)
    for key in ("thresholds", "beta", "parameters", "tfidf"):
        assert ours[key] == theirs[key]
    assert [_recalls(cycle) for cycle in ours["cycles"]] == [_recalls(cycle) for cycle in theirs["cycles"]]
    timings = ("runtime", "samples_per_second", "steps_per_second")
    assert all(theirs["validation"][name] == ours["validation"][name] for name in ours["validation"].keys() - timings)
    unpermuted, weights = (load_file(place / "model.safetensors") for place in (model, folder))
    assert unpermuted.keys() == weights.keys()
    assert all(torch.equal(values, weights[name]) for name, values in unpermuted.items())
    for name in ("beta", "thresholds", "min_labels"):
        written = [json.loads((place / "config.json").read_text(encoding="utf-8"))[name] for place in (model, folder)]
        assert written[0] == written[1]
    assert ours["test"]["p@1"] != theirs["test"]["p@1"]


def _recalls(cycle: dict) -> dict:
    return {phase: cycle[phase]["recall@4"] for phase in ("shortlists", "validation") if phase in cycle}


def test_an_ensemble_refuses_it_in_one_line(model, tmp_path, capsys):
    capsys.readouterr()
    assert run(ensemble, ["--models", str(model), str(model), "--output_dir", str(tmp_path / "together")]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"hf-mlc: error: {model}, field 'models': is of the type 'lightdxml'; accepted: ")
    assert not (tmp_path / "together").exists()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_small_tables_are_what_is_measured_and_saved(rows, model, tmp_path, dtype, capsys):
    folder = tmp_path / dtype
    command = ["--dataset_name", str(rows), "--output_dir", str(folder), "--num_train_epochs", "12", *SMALL, *QUIET]
    assert run(train, [*command, "--do_predict", "true", "--table_dtype", dtype]) == 0
    assert f"tables in {dtype}: " in capsys.readouterr().err
    weights, whole = (load_file(place / "model.safetensors") for place in (folder, model))
    # words and classifier count, in however few bytes
    assert results_of(folder)["parameters"] == results_of(model)["parameters"] > 2 * 12 * 16
    kind = {"float16": torch.int16, "int8": torch.int8}[dtype]
    assert weights["classifier.values"].dtype == kind and weights["index_vectors.values"].dtype == kind
    assert weights["encoder.embeddings.word_embeddings.values"].dtype == torch.int16
    assert torch.equal(weights["encoder.idf"], whole["encoder.idf"])
    # trained as the other one was, and rounded after that
    small, large = (load_model(str(place), device="cpu").model for place in (folder, model))
    rounded, true = small.classifier.read(slice(None)), large.classifier.weight.detach()
    worst = {"float16": 2**-10, "int8": 1 / 127}[dtype] * true.abs().amax(dim=1, keepdim=True)
    assert ((rounded - true).abs() <= worst).all() and not torch.equal(rounded, true)
    found = tmp_path / "found.json"
    assert run(evaluate, ["--model", str(folder), "--dataset_name", str(rows), "--output", str(found)]) == 0
    measured = json.loads(found.read_text(encoding="utf-8"))["metrics"]
    assert measured["p@1"] == pytest.approx(results_of(folder)["test"]["p@1"], abs=1e-6) and measured["p@1"] > 0.8
    go_on = ["--model_name_or_path", str(folder), "--dataset_name", str(rows), "--output_dir", str(tmp_path / "on")]
    assert run(train, [*go_on, *QUIET]) == 2
    assert f"its tables are {dtype}, to predict with" in capsys.readouterr().err


def test_a_published_folder_answers_without_the_package(model, rows, tmp_path):
    staged = tmp_path / "staged"
    command = ["--model", str(model), "--repo_id", "someone/many-goods", "--dry_run", "--output", str(staged)]
    assert run(publish, [*command, "--run_snippet", "false"]) == 0
    text = read_jsonl(rows / "test.jsonl")[0]["text"]
    answer = fresh_process(staged, text)
    here = pipeline("multi-label-classification", model=str(model), device="cpu")(text, top_k=3)
    assert [entry["label"] for entry in answer] == [entry["label"] for entry in here]
    assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in here], abs=1e-5)


def fresh_process(folder: Path, text: str) -> list[dict]:
    """What the pipeline answers in a process that can't import the package."""
    program = (
        "import json, sys\n"
        "sys.modules['hf_mlc'] = None\n"  # an import of it fails
        "from transformers import pipeline\n"
        "answers = pipeline('multi-label-classification', model=sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "print(json.dumps(answers(sys.argv[2], top_k=3)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), text],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_training_goes_on_from_a_trained_model(model, rows, tmp_path):
    folder = tmp_path / "on"
    command = ["--model_name_or_path", str(model), "--dataset_name", str(rows), "--output_dir", str(folder)]
    command += ["--num_train_epochs", "1", "--shortlist_size", "3", "--learning_rate", "1e-4"]
    assert run(train, [*command, "--sparse_gradients", "true", *QUIET]) == 0
    before, after = (load_model(str(place), device="cpu") for place in (model, folder))
    assert after.model.config.shortlist_size == 3
    sparse = [
        {part.sparse for part in one.model.modules() if isinstance(part, torch.nn.Embedding)}
        for one in (before, after)
    ]
    assert sparse == [{False}, {True}]
    assert torch.equal(before.model.encoder.idf, after.model.encoder.idf)
    assert before.tokenizer.get_vocab() == after.tokenizer.get_vocab()


def test_labels_that_go_lost_on_further_rows_are_told_and_half_precision_trains_on(model, rows, tmp_path, capsys):
    further, halved = tmp_path / "further", tmp_path / "halved"
    further.mkdir()
    for split in ("train", "validation"):
        some = [
            line
            for line in (rows / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(True)
            if "jute" not in line
        ]
        (further / f"{split}.jsonl").write_text("".join(some), encoding="utf-8")
    shutil.copytree(model, halved)
    loaded = load_model(str(model), device="cpu").model
    loaded.to(torch.bfloat16).save_pretrained(halved)
    command = [
        "--model_name_or_path",
        str(halved),
        "--dataset_name",
        str(further),
        "--output_dir",
        str(tmp_path / "on"),
    ]
    assert run(train, [*command, "--num_train_epochs", "1", "--learning_rate", "1e-4", *QUIET]) == 0
    said = capsys.readouterr().err
    assert (
        "1 of the 12 labels that the model could find have no training row here, and can't be found any more" in said
    )
    after = load_model(str(tmp_path / "on"), device="cpu")
    assert after.model.dtype == torch.float32
    assert [after.label_space.names[number] for number in (~after.model.trained_labels).nonzero()] == ["jute"]


def test_cycle_files_that_are_kept_are_those_of_the_second_training(rows, tmp_path):
    out = tmp_path / "out"
    command = ["--dataset_name", str(rows), "--output_dir", str(out), "--num_train_epochs", "4", *SMALL, *QUIET]
    assert run(train, [*command, "--refit", "true", "--keep_cycle_files", "true"]) == 0
    index_LD = torch.from_numpy(np.load(out / CYCLE_FOLDER / LAST / INDEX_FILE))
    kept = load_model(str(out), device="cpu").model.index_vectors
    torch.testing.assert_close(torch.nn.functional.normalize(index_LD, dim=1), kept)
    assert not (out / "refit").exists()


def test_a_training_that_diverged_says_so(rows, tmp_path, capsys):
    command = ["--dataset_name", str(rows), "--output_dir", str(tmp_path / "out"), "--num_train_epochs", "4"]
    command += ["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false"]
    assert run(train, [*command, *SMALL, *QUIET, "--learning_rate", "1e30"]) == 2
    assert "field 'learning_rate': the vectors of documents are no numbers any more" in capsys.readouterr().err


def test_bags_have_training_defaults_of_their_own_and_given_arguments_win(rows, tmp_path, capsys):
    command = [
        "--dataset_name",
        str(rows),
        "--model_type",
        "lightdxml",
        "--max_steps",
        "1",
        "--embed_dim",
        "8",
        *QUIET,
    ]
    assert run(train, [*command, "--output_dir", str(tmp_path / "bag"), "--learning_rate", "0.01"]) == 0
    told = capsys.readouterr().err
    assert "per_device_train_batch_size: 256, since none is given and the model is new" in told
    recipe = results_of(tmp_path / "bag")["recipe"]
    assert (recipe["learning_rate"], recipe["num_train_epochs"]) == (0.01, 10)
    # those are none for a transformer, which reads tokens in their order, up to 512
    small = ["--encoder", "transformer", "--num_attention_heads", "2", "--intermediate_size", "8"]
    assert run(train, [*command, "--output_dir", str(tmp_path / "transformer"), *small]) == 0
    assert "since none is given" not in capsys.readouterr().err
    assert "num_train_epochs" not in results_of(tmp_path / "transformer")["recipe"]
    loaded = load_model(str(tmp_path / "transformer"), device="cpu")
    assert loaded.tokenizer.model_max_length == 512 and "report" in loaded.tokenizer.get_vocab()


def test_word_vectors_of_a_file_set_the_width(rows, tmp_path):
    vectors, folder = tmp_path / "vectors.txt", tmp_path / "model"
    lines = [
        f"{word} {' '.join(str((place + number) % 5 - 2) for number in range(6))}" for place, word in enumerate(WORDS)
    ]
    vectors.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [
        "--dataset_name",
        str(rows),
        "--output_dir",
        str(folder),
        "--model_type",
        "lightdxml",
        "--max_steps",
        "1",
    ]
    command += ["--word_vectors", str(vectors), "--word_vectors_frozen", "true", *QUIET]
    assert run(train, command) == 0
    loaded = load_model(str(folder), device="cpu")
    assert loaded.model.config.embed_dim == 6
    table = loaded.model.get_input_embeddings().weight[loaded.tokenizer.convert_tokens_to_ids(list(WORDS))]
    expected = torch.tensor([[float((place + number) % 5 - 2) for number in range(6)] for place in range(len(WORDS))])
    # as wide as they were in the file up to one factor
    factor = (table * expected).sum() / expected.square().sum()
    assert torch.allclose(table, factor * expected, atol=1e-5) and factor > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tfidf_max_share", "0"], "tfidf_max_share"),
        (["--tfidf_max_share", "0.001"], "no word occurs"),
        (["--model_type", "plant", "--table_dtype", "int8"], "plant has no argument 'table_dtype'"),
    ],
)
def test_a_mistake_is_one_line(rows, tmp_path, capsys, arguments, message):
    command = ["--dataset_name", str(rows), "--output_dir", str(tmp_path / "out"), "--model_type", "lightdxml", *QUIET]
    assert run(train, [*command, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
