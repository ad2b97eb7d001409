"""What users get wrong: each mistake is answered by one line that names the place, and leaves nothing behind."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest

from hf_mlc.commands.running import run
from tests.commands.conftest import QUIET, SMALL_MODEL


GOOD = [{"text": f"wheat and corn, report {i}", "labels": ["grain"]} for i in range(20)]


def rows_with(**changes) -> str:
    """Twenty good rows, the third of them changed."""
    rows = [dict(row) for row in GOOD]
    for name, value in changes.items():
        if value is ...:
            rows[2].pop(name)
        else:
            rows[2][name] = value
    return "".join(json.dumps(row) + "\n" for row in rows)


def train_on(content: str | bytes, *more: str, name: str = "data.jsonl"):
    """A case: this file, given to `train`."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        file = folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return "train", ["--train_file", str(file), "--output_dir", str(folder / "out"), *SMALL_MODEL, *QUIET, *more]

    return case


def train_with(*words: str, recipe: str | None = None):
    """A case: good rows, these arguments, this recipe."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        verb, arguments = train_on(rows_with())(folder, trained, copy_of)
        if recipe is not None:
            (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
            words_ = ["--config", str(folder / "recipe.yaml"), *words]
        else:
            words_ = list(words)
        return verb, [*arguments, *words_]

    return case


def encoder_of_code(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
    """A case: an encoder of a kind that only the code beside it knows, which transformers would ask whether to run."""
    (folder / "encoder").mkdir()
    config = {"model_type": "brand-new", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "encoder" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["--text_encoder", str(folder / "encoder"), "--tokenizer_name", str(trained), "--encoder", "transformer"]
    return train_with(*words)(folder, trained, copy_of)


def evaluate_spoilt(spoil, *more: str, rows: str | None = None):
    """A case: a trained model's folder after `spoil(folder)`, given to `evaluate`."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        model = copy_of(trained)
        spoil(model)
        (folder / "test.jsonl").write_text(rows or rows_with(labels=["I10"]), encoding="utf-8")
        return "evaluate", ["--model", str(model), "--dataset_name", str(folder / "test.jsonl"), *more]

    return case


def predict_on(content: str, *more: str):
    """A case: this file, given to `predict`."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        (folder / "in.jsonl").write_text(content, encoding="utf-8")
        words = ["--input", str(folder / "in.jsonl"), "--output", str(folder / "out.jsonl")]
        return "predict", ["--model", str(trained), *words, *more]

    return case


def change_config(**changes):
    def spoil(model: Path) -> None:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        config.update(changes)
        (model / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return spoil


def cut_weights(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def pickle_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04")


def drop_label(model: Path) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    names = list(config["label2id"])[:-1]
    change_config(
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        label_space=None,
        thresholds=0.5,
    )(model)


def drop_tokenizer(model: Path) -> None:
    for file in model.glob("tokenizer*"):
        file.unlink()


def labels_beside(spoil=lambda file: None):
    """Label names in a file of their own, as with very many labels; then `spoil(file)`."""

    def case(model: Path) -> None:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        names = list(config.pop("label2id"))
        config.pop("id2label")
        content = {"names": names, **config.pop("label_space")}
        config.update(label_space_file="labels.json", label_count=len(names))
        (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (model / "labels.json").write_text(json.dumps(content), encoding="utf-8")
        spoil(model / "labels.json")

    return case


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def train_into_a_file(*below: str):
    """A case: `--output_dir` is a file, or lies under one."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        (folder / "file").write_text("", encoding="utf-8")
        return train_with("--output_dir", str(Path(folder / "file", *below)))(folder, trained, copy_of)

    return case


def train_with_label_file(content: str, rows: str | None = None):
    """A case: this label file."""

    def case(folder: Path, trained: Path, copy_of) -> tuple[str, list[str]]:
        (folder / "names.json").write_text(content, encoding="utf-8")
        return train_on(rows or rows_with(), "--label_file", str(folder / "names.json"))(folder, trained, copy_of)

    return case


NO_TOKENIZER = json.dumps({"version": "1.0", "added_tokens": [], "model": {"type": "Abacus"}})

# name of the mistake: (the case, what the line must hold)
CASES = {
    "no such data": (train_with("--train_file", "/nowhere/rows.jsonl"), ["/nowhere/rows.jsonl", "no such file"]),
    "unknown file format": (train_on(rows_with(), name="data.xlsx"), ["data.xlsx", ".jsonl"]),
    "empty file": (train_on(""), ["data.jsonl", "empty"]),
    "line is no JSON": (train_on(rows_with().replace('"labels"', "labels", 1)), ["data.jsonl", "row 1"]),
    "row is no object": (train_on("[1, 2]\n"), ["data.jsonl", "row 1"]),
    "no such column": (train_with("--text_column", "body"), ["data.jsonl", "row 1", "'body'"]),
    "row without labels": (train_on(rows_with(labels=...)), ["data.jsonl", "row 3", "'labels'"]),
    "text is null": (train_on(rows_with(text=None)), ["data.jsonl", "row 3", "'text'"]),
    "text is a number": (train_on(rows_with(text=17)), ["data.jsonl", "row 3", "'text'", "17"]),
    "labels are a number": (train_on(rows_with(labels=7)), ["data.jsonl", "row 3", "'labels'", "7"]),
    "label is a fraction": (train_on(rows_with(labels=[0.5])), ["data.jsonl", "row 3", "'labels'", "0.5"]),
    "label is empty": (train_on(rows_with(labels=[" "])), ["data.jsonl", "row 3", "'labels'"]),
    "names and ids mixed": (train_on(rows_with(labels=["grain", 3])), ["data.jsonl", "row 3", "'labels'"]),
    "bytes are no UTF-8": (train_on(b'{"text": "caf\xe9", "labels": ["a"]}\n'), ["data.jsonl", "row 1", "UTF-8"]),
    "gzip cut short": (
        train_on(gzip.compress(rows_with().encode() * 50)[:-40], name="data.jsonl.gz"),
        ["data.jsonl.gz"],
    ),
    "no label at all": (
        train_on("".join(json.dumps({"text": f"t {i}", "labels": []}) + "\n" for i in range(20))),
        ["no label", "training rows"],
    ),
    "unknown argument": (train_with("--learning_rat", "1e-3"), ["--learning_rat", "did you mean", "learning_rate"]),
    "value of the wrong type": (train_with("--learning_rate", "fast"), ["learning_rate", "fast"]),
    "recipe with an unknown key": (
        train_with(recipe="hiden_size: 32\n"),
        ["recipe.yaml", "hiden_size", "did you mean hidden_size"],
    ),
    "recipe is a list": (train_with(recipe="- 1\n- 2\n"), ["recipe.yaml", "list"]),
    "no such recipe": (train_with("--config", "/nowhere/recipe.yaml"), ["/nowhere/recipe.yaml"]),
    "unknown architecture": (train_with("--model_type", "bert"), ["bert", "plant"]),
    "unknown encoder": (train_with("--encoder", "rnn"), ["encoder", "rnn", "convolution"]),
    "size of the wrong type": (train_with("--hidden_size", "many"), ["hidden_size", "many"]),
    "numbers in a notation that is no integer": (train_with("--hidden_size", "1e2"), ["hidden_size", "1e2"]),
    "dropout above 1": (
        train_with("--hidden_dropout", "1.5"),
        ["error: `hidden_dropout` must be in [0, 1), found 1.5"],
    ),
    "no layers": (train_with("--num_hidden_layers", "0"), ["`num_hidden_layers` must be 1 or more, found 0"]),
    "negative width": (train_with("--hidden_size", "-8"), ["`hidden_size` must be 1 or more, found -8"]),
    "negative deviation": (train_with("--embedding_std=-0.1"), ["`embedding_std` must not be negative"]),
    "heads that don't divide the width": (
        train_with("--encoder", "transformer", "--num_attention_heads", "5"),
        ["`hidden_size` must be a multiple of `num_attention_heads`, found 32 and 5"],
    ),
    "backbone without attention": (
        train_with("--text_config", '{"model_type": "mamba"}', "--encoder", "transformer"),
        ["text_config", "'mamba' without num_attention_heads"],
    ),
    "backbone with a decoder": (
        train_with("--text_config", '{"model_type": "t5"}', "--encoder", "transformer"),
        ["text_config", "the encoder-decoder 't5'"],
    ),
    "backbone that nobody knows": (
        train_with("--text_config", '{"model_type": "bertt"}', "--encoder", "transformer"),
        ["'bertt'"],
    ),
    "backbone in broken JSON": (train_with("--text_config", "{a"), ["text_config", "{a", "no JSON"]),
    "thresholds in broken JSON": (train_with("--thresholds", "["), ["thresholds", "no JSON"]),
    "output_dir is a file": (train_into_a_file(), ["file", "output_dir", "is no folder"]),
    "output_dir under a file": (train_into_a_file("a", "b"), ["output_dir", "is no folder"]),
    "label file with bad counts": (
        train_with_label_file('{"names": ["grain"], "counts": ["many"]}'),
        ["names.json", "counts", "many"],
    ),
    "label file without a label": (
        train_with_label_file('["grain"]', rows_with(labels=["grain", "corn"])),
        ["row 3", "'labels'", "corn"],
    ),
    "an encoder that brings its own code": (
        encoder_of_code,
        ["encoder", "field 'text_encoder'", "custom code", "of transformers' own kinds"],
    ),
    "two encoders": (
        train_with("--encoder", "lstm", "--text_encoder", "/nowhere"),
        ["'encoder'", "found lstm beside text_encoder", "transformer"],
    ),
    "unknown target form": (train_with("--targets", "dense"), ["targets", "dense", "label_ids"]),
    "unknown threshold kind": (train_with("--threshold_kind", "best"), ["threshold_kind", "best", "per_label"]),
    "no such checkpoint": (
        train_with("--resume_from_checkpoint", "/nowhere/checkpoint-7"),
        ["/nowhere/checkpoint-7", "resume_from_checkpoint"],
    ),
    "no such model": (
        lambda folder, trained, copy_of: ("evaluate", ["--model", "/nowhere", "--dataset_name", str(folder)]),
        ["/nowhere", "model"],
    ),
    "weights cut short": (evaluate_spoilt(cut_weights), ["weights can't be loaded"]),
    "pickled weights": (evaluate_spoilt(pickle_weights), ["weights can't be loaded", "model.safetensors"]),
    "labels don't fit the weights": (evaluate_spoilt(drop_label), ["other shapes than config.json"]),
    "no tokenizer": (evaluate_spoilt(drop_tokenizer), ["no tokenizer"]),
    "tokenizer cut short": (
        evaluate_spoilt(lambda model: cut(model / "tokenizer.json")),
        ["copy-of-model", "no tokenizer"],
    ),
    "tokenizer that is none": (
        evaluate_spoilt(lambda model: (model / "tokenizer.json").write_text(NO_TOKENIZER, encoding="utf-8")),
        ["copy-of-model", "no tokenizer"],
    ),
    "report to nobody": (train_with("--report_to", "pigeon"), ["report_to", "pigeon"]),
    "names of labels missing": (evaluate_spoilt(labels_beside(Path.unlink)), ["copy-of-model", "labels.json"]),
    "names of labels cut short": (evaluate_spoilt(labels_beside(cut)), ["copy-of-model", "labels.json", "JSON"]),
    "names of too few labels": (
        evaluate_spoilt(labels_beside(lambda file: file.write_text('{"names": ["I10"]}', encoding="utf-8"))),
        ["copy-of-model", "labels.json names 1 labels"],
    ),
    "names of labels without names": (
        evaluate_spoilt(labels_beside(lambda file: file.write_text("[]", encoding="utf-8"))),
        ["copy-of-model", "labels.json holds no `names`"],
    ),
    "no documents a pass": (evaluate_spoilt(lambda model: None, "--batch_size", "0"), ["batch_size", "1 or more"]),
    "metrics at no place": (evaluate_spoilt(lambda model: None, "--ranking_ks", "0"), ["ranking_ks", "1 or more"]),
    "threshold of evaluate out of range": (
        evaluate_spoilt(lambda model: None, "--threshold", "30"),
        ["threshold", "30", "0 to 1"],
    ),
    "metrics into no folder": (
        # the model is spoilt too: the output is looked at first
        evaluate_spoilt(cut_weights, "--output", "/nowhere/metrics.json"),
        ["/nowhere", "no such folder"],
    ),
    "a revision of a folder": (
        evaluate_spoilt(lambda model: None, "--revision", "v1"),
        ["copy-of-model", "'revision'", "no revisions", "Hub id"],
    ),
    "a revision of files": (
        evaluate_spoilt(lambda model: None, "--dataset_revision", "v1"),
        ["'revision'", "v1", "Hub id"],
    ),
    "another architecture": (evaluate_spoilt(change_config(model_type="bert")), ["bert", "plant"]),
    "too few thresholds": (evaluate_spoilt(change_config(thresholds=[0.5, 0.5])), ["2 entries"]),
    "unknown label, strict": (
        evaluate_spoilt(lambda model: None, "--strict", "true", rows=rows_with(labels=["I10", "Z99.9"])),
        ["row 1", "grain"],
    ),
    "no such split": (
        evaluate_spoilt(lambda model: None, "--split", "holdout"),
        ["holdout", "train, validation, test"],
    ),
    "threshold out of range": (predict_on(rows_with(), "--threshold", "30"), ["threshold", "30", "0 to 1"]),
    "top_k of nothing": (predict_on(rows_with(), "--top_k", "0"), ["top_k", "1 or more"]),
    "predictions into no folder": (
        lambda folder, trained, copy_of: ("predict", ["--model", "/nowhere", "--output", "/nowhere/out.jsonl"]),
        ["/nowhere", "output", "no such folder"],
    ),
    "predictions into a table": (
        lambda folder, trained, copy_of: ("predict", ["--model", "/nowhere", "--output", str(folder / "out.CSV")]),
        ["out.CSV", "'output'", "JSON Lines", ".jsonl"],
    ),
    "predictions into an archive": (
        lambda folder, trained, copy_of: (
            "predict",
            ["--model", "/nowhere", "--output", str(folder / "out.jsonl.gz")],
        ),
        ["out.jsonl.gz", "'output'", ".jsonl"],
    ),
    "predictions from an empty folder": (
        lambda folder, trained, copy_of: ("predict", ["--model", str(trained), "--input", str(folder)]),
        ["'input'", "is a folder, and the model reads texts in a file", "a file of texts"],
    ),
    "predictions from no file": (
        lambda folder, trained, copy_of: ("predict", ["--model", "/nowhere", "--input", "/nowhere/in.jsonl"]),
        ["/nowhere/in.jsonl", "no such file"],
    ),
    "half a character to predict on": (predict_on('{"text": "\\ud800"}\n'), ["in.jsonl", "row 1", "surrogate"]),
    "a row to predict without text": (predict_on(rows_with(text=...)), ["in.jsonl", "row 3", "'text'"]),
}


@pytest.mark.parametrize("mistake", CASES)
def test_a_mistake_is_answered_by_one_line(mistake, tmp_path, trained, copy_of, capfd):
    case, expected = CASES[mistake]
    verb, arguments = case(tmp_path, trained, copy_of)
    before = set(tmp_path.rglob("*"))
    capfd.readouterr()
    status = run(importlib.import_module(f"hf_mlc.commands.{verb}").main, arguments)
    printed = capfd.readouterr()
    answers = [line for line in printed.err.splitlines() if line.startswith("hf-mlc: error: ")]
    assert status == 2, printed.err
    assert len(answers) == 1 and printed.out == "", printed.err
    assert "Traceback" not in printed.err
    for fragment in expected:
        assert fragment in answers[0], answers[0]
    left = set(tmp_path.rglob("*")) - before
    assert not left, f"left behind: {left}"
    with capfd.disabled():
        sys.stdout.write(f"\n  {mistake}\n      {answers[0].replace(str(tmp_path), '.')}")
