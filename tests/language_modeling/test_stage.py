"""The language-model stage of `train`: what it leaves, resuming it, taking it over into another run."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data.tokenizing import train_tokenizer
from hf_mlc.inference import load_model
from hf_mlc.language_modeling import LanguageModel, TokenStream, read_head, training
from hf_mlc.language_modeling.texts import texts_of_file
from hf_mlc.language_modeling.training import perplexity
from tests.common.plant_tester import PlantModelTester
from tests.modeling.model_tester import build


TINY = [
    "--encoder", "awd_lstm", "--hidden_size", "16", "--recurrent_size", "24", "--num_hidden_layers", "2", "--max_length", "64",
    "--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true", "--max_steps", "2", "--dropout_scale", "0.1",
]  # fmt: skip
STAGE = ["--language_model_epochs", "2", "--language_model_learning_rate", "0.02", "--language_model_batch_size", "4",
         "--language_model_sequence_length", "20"]  # fmt: skip


@pytest.fixture(scope="module")
def staged(corpus, tmp_path_factory):
    """The folder of a run with a language-model stage."""
    folder = tmp_path_factory.mktemp("staged") / "out"
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(folder), *TINY, *STAGE]) == 0
    return folder


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "language_model/language_model.json").read_text(encoding="utf-8"))


def test_the_stage_lowers_the_perplexity_and_reports_it(staged):
    found = json.loads((staged / "results.json").read_text(encoding="utf-8"))["language_model"]
    first, second = (row["perplexity"] for row in found["history"])
    assert 1 < second < first
    assert found["perplexity"] == second and found["trained_here"] and found["documents"] == 60
    assert facts_of(staged)["perplexity"] == second
    folder = staged / "language_model"
    assert not (folder / "checkpoint.safetensors").exists()
    assert not [name for name in os.listdir(folder) if name.endswith((".bin", ".pt", ".pkl", ".pth"))]


def test_the_classifier_begins_with_the_language_models_encoder(corpus, staged, tmp_path):
    out = tmp_path / "out"
    more = ["--language_model", str(staged / "language_model"), "--learning_rate", "0"]
    small = [word for pair in zip(TINY[::2], TINY[1::2], strict=True) if pair[0] not in ("--encoder", "--hidden_size", "--recurrent_size", "--num_hidden_layers") for word in pair]  # fmt: skip
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(out), *small, *more]) == 0
    stored = load_file(staged / "language_model/language_model.safetensors")
    weights = load_file(out / "model.safetensors")
    for name, value in stored.items():
        if name != "bias":
            assert torch.equal(weights[name], value), name
    loaded = load_model(str(out))
    assert loaded.model.config.recurrent_size == 24
    assert loaded.tokenizer.get_vocab() == load_model(str(staged)).tokenizer.get_vocab()
    assert not json.loads((out / "results.json").read_text(encoding="utf-8"))["language_model"]["trained_here"]


def test_the_saved_head_expects_the_token_that_the_language_model_does(staged):
    weight_VD, bias_V = read_head(staged / "language_model")
    model = load_model(str(staged)).model
    encoder = model.encoder
    encoder.load_state_dict(
        {n.removeprefix("encoder."): t for n, t in load_file(staged / "language_model/language_model.safetensors").items() if n != "bias"}
    )  # fmt: skip
    language_model = LanguageModel(encoder).eval()
    language_model.bias.data.copy_(bias_V)
    tokens = torch.randint(5, len(bias_V), (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        hidden_BSD, _ = encoder.advance(tokens)
        costs = torch.nn.functional.cross_entropy((hidden_BSD @ weight_VD.T + bias_V).flatten(0, 1), tokens.flatten())
        found, _ = language_model(tokens, tokens)
    torch.testing.assert_close(found, costs)


def test_a_stopped_stage_goes_on_after_its_last_epoch_and_ends_the_same(corpus, tmp_path, monkeypatch, capsys):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    arguments = ["--dataset_name", str(corpus), *TINY, *STAGE[:1], "4", *STAGE[2:]]
    measured = []

    def killed_in_the_third_epoch(*args):
        measured.append(perplexity(*args))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measured[-1]

    monkeypatch.setattr(training, "perplexity", killed_in_the_third_epoch)
    assert run(train, [*arguments, "--output_dir", str(broken)]) == 130
    said = (
        f"there is no whole checkpoint in {broken} yet: the same command starts over, but for the language model in it"
    )
    assert capsys.readouterr().err.splitlines()[-1] == f"hf-mlc: stopped; {said}"
    monkeypatch.undo()
    assert not (broken / "language_model/language_model.json").exists()
    assert run(train, [*arguments, "--output_dir", str(unbroken)]) == 0
    monkeypatch.setattr(training, "perplexity", lambda *args: measured.append(perplexity(*args)) or measured[-1])
    assert run(train, [*arguments, "--output_dir", str(broken)]) == 0
    assert len(measured) == 3 + 2  # the third epoch again, and the fourth
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (unbroken, broken))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    epochs = [row["perplexity"] for row in facts_of(unbroken)["history"]]
    assert epochs == [row["perplexity"] for row in facts_of(broken)["history"]] and len(epochs) == 4


def test_a_finished_stage_is_not_trained_again(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *TINY, *STAGE]
    assert run(train, arguments) == 0
    before, weights = facts_of(out), load_file(out / "model.safetensors")
    (out / "results.json").unlink()
    for checkpoint in out.glob("checkpoint-*"):  # as if it had been killed between the stages
        (checkpoint / "trainer_state.json").unlink()
    assert run(train, arguments) == 0
    assert facts_of(out) == before
    assert all(torch.equal(value, weights[name]) for name, value in load_file(out / "model.safetensors").items())
    (out / "results.json").unlink()
    capsys.readouterr()
    assert run(train, [*arguments, "--language_model_epochs", "3", "--resume_from_checkpoint"]) == 2
    assert "language model of other arguments" in capsys.readouterr().err


def test_overwriting_a_run_does_not_take_its_language_model_away_from_it(corpus, staged, capsys):
    own = ["--language_model", str(staged / "language_model"), "--overwrite_output", "--encoder", "awd_lstm"]
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(staged), *own]) == 2
    assert "would be deleted" in capsys.readouterr().err
    assert facts_of(staged)["documents"] == 60


def test_texts_without_labels_are_learned_from_too(corpus, tmp_path, capsys):
    plain, rows = tmp_path / "more.txt", tmp_path / "more.jsonl"
    plain.write_text("one text\n\nanother text\n", encoding="utf-8")
    rows.write_text('{"text": "a third"}\n', encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["--dataset_name", str(corpus), "--output_dir", str(out), *TINY, *STAGE]
    assert run(train, [*arguments, "--language_model_files", str(plain), str(rows)]) == 0
    assert facts_of(out)["documents"] == 63
    for name in ("language_model/language_model.json", "results.json", "run.json"):
        assert str(tmp_path) not in (out / name).read_text(encoding="utf-8")
    missing = str(tmp_path / "missing.txt")
    assert run(train, [*arguments, "--overwrite_output", "--language_model_files", missing]) == 2
    assert "missing.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "gru"], "sees the tokens it would have to predict"),
        (["--embedding_size", "8"], "embedding_size"),
        (["--language_model", "nowhere", "--language_model_epochs", "0"], "nowhere"),
        (["--language_model", "nowhere"], "one of language_model and language_model_epochs"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(corpus, tmp_path, capsys, arguments, message):
    base = ["--dataset_name", str(corpus), "--output_dir", str(tmp_path / "out"), *TINY, *STAGE]
    assert run(train, [*base, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hf-mlc: error:") and message in error


def test_texts_too_short_to_predict_anything_are_refused(tmp_path, capsys):
    """With one token a stream has no next one, and its perplexity would be that of a perfect model."""
    rows = "".join(f'{{"text": "{word}", "labels": ["a"]}}\n' for word in ("one", "one", "two", "two"))
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    tokenizer = train_tokenizer(["one two", "one two"])
    tokenizer.sep_token = None  # nothing stands between two texts
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = ["--dataset_name", str(tmp_path), "--output_dir", str(tmp_path / "out"), *TINY, *STAGE]
    words += ["--tokenizer_name", str(tmp_path / "tokenizer")]
    assert run(train, [*words, "--language_model_holdout", "0.25"]) == 2
    assert "1 token to set aside, for a language model; accepted: texts of two tokens" in capsys.readouterr().err


def test_the_last_ending_says_what_a_file_holds(tmp_path):
    for name, content in (("x.txt.jsonl", '{"text": "hello"}\n'), ("x.jsonl.txt", "hello\n"), ("X.TXT", "hello\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert list(texts_of_file(tmp_path / name)) == ["hello"]


def test_reading_on_from_a_state_equals_reading_at_once():
    encoder = build(PlantModelTester(encoder="awd_lstm")).encoder
    tokens = torch.randint(2, 40, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, _ = encoder.advance(tokens)
        first, states = encoder.advance(tokens[:, :5])
        second, _ = encoder.advance(tokens[:, 5:], states)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)


def test_an_untrained_model_is_as_perplexed_as_its_vocabulary_is_large():
    model = LanguageModel(build(PlantModelTester(encoder="awd_lstm"), embedding_std=0.0).encoder)
    tokens = torch.randint(2, 40, (2, 6))
    loss, _ = model(tokens, tokens)
    assert math.exp(loss.item()) == pytest.approx(40)  # all 40 tokens alike


def test_a_stream_holds_every_document_and_each_token_s_successor():
    documents = [np.array([10, 11, 12]), np.array([20, 3]), np.array([30])]
    stream = TokenStream(documents, 2, 2, separator=3, seed=0)
    # 10 11 12 3, 20 3 (it ends with the separator by itself), 30 3: eight tokens in two streams of four
    assert stream.num_tokens == 8 and len(stream) == 2
    orders = set()
    for epoch in range(6):
        pieces = list(stream.stretches(epoch))
        assert [inputs.shape for inputs, _ in pieces] == [(2, 2), (2, 1)]
        rows = torch.cat([pieces[0][0], pieces[1][0], pieces[1][1]], dim=1)
        assert sorted(rows.flatten().tolist()) == [3, 3, 3, 10, 11, 12, 20, 30]
        for inputs, targets in pieces:
            assert inputs.shape == targets.shape
        assert torch.equal(pieces[0][1][:, 1], pieces[1][0][:, 0])
        assert torch.equal(rows, torch.cat([pieces[0][0], pieces[1][0], pieces[1][1]], dim=1))
        orders.add(tuple(rows.flatten().tolist()))
        assert [p.tolist() for p, _ in stream.stretches(epoch)] == [p.tolist() for p, _ in pieces]
    assert len(orders) > 1
