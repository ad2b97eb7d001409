"""`train --word_vectors`: from a file and from the texts, frozen and not, what is reported and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model
from tests.commands.conftest import QUIET


EMBEDDING = "encoder.embeddings.word_embeddings.weight"
FROZEN = ["--word_vectors_frozen", "true", "--max_steps", "3", "--max_length", "64"]


@pytest.fixture(scope="module")
def vectors(corpus, tmp_path_factory):
    """A GloVe file of every second word of the training texts, capitalised, and of words that they haven't."""
    words = set()
    for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines():
        words |= {word for word in json.loads(line)["text"].lower().split() if word.isalpha()}
    words = sorted(words)[::2]
    generator = np.random.default_rng(0)
    numbers = {word: generator.standard_normal(12).round(4) for word in words}
    file = tmp_path_factory.mktemp("vectors") / "glove.12d.txt"
    lines = [" ".join([word.title(), *map(str, row)]) for word, row in numbers.items()]
    file.write_text("\n".join([*lines, "Nowhere " + " ".join("1" * 12)]) + "\n", encoding="utf-8")
    return file, numbers


def started(corpus, out, *arguments) -> tuple[dict, torch.Tensor, object]:
    """The facts in results.json, the word vectors after training, and the model."""
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(out), *QUIET, *arguments]) == 0
    facts = json.loads((out / "results.json").read_text(encoding="utf-8"))["word_vectors"]
    assert not (out / "word_vectors.json").exists()
    return facts, load_file(out / "model.safetensors")[EMBEDDING], load_model(str(out))


@pytest.mark.parametrize(
    ("encoder", "width_field"),
    [
        ("bag_of_words", "hidden_size"),
        ("convolution", "hidden_size"),
        ("gru", "embedding_size"),
        ("lstm", "embedding_size"),
    ],
)
def test_vectors_of_a_file_are_where_their_words_are(corpus, vectors, tmp_path, encoder, width_field):
    file, numbers = vectors
    facts, weight, loaded = started(
        corpus, tmp_path / "out", "--encoder", encoder, "--word_vectors", str(file), *FROZEN, "--hidden_size", "12"
    )
    assert getattr(loaded.model.config, width_field) == weight.shape[1] == facts["width"] == 12
    vocabulary = loaded.tokenizer.get_vocab()
    inside = [word for word in numbers if word in vocabulary]
    assert 5 < len(inside) == facts["found"] < facts["vocabulary"] == len(vocabulary) - 5
    assert facts["source"] == "glove.12d.txt" and facts["rows"] == len(numbers) + 1 and facts["frozen"]
    for word in inside:
        np.testing.assert_allclose(weight[vocabulary[word]], numbers[word], rtol=1e-6)
    # by hand: the tokens that the model reads of the training rows, and those that have a vector
    rows = [json.loads(line)["text"] for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    ids = [token for text in rows for token in loaded.tokenizer(text, truncation=True)["input_ids"]]
    known = {vocabulary[word] for word in inside}
    assert facts["token_coverage"] == pytest.approx(sum(token in known for token in ids) / len(ids), abs=1e-6)
    # the others are drawn with the same spread; padding is nothing
    others = [number for word, number in vocabulary.items() if word not in numbers and number > 0]
    assert weight[others].std() == pytest.approx(facts["standard_deviation"], rel=0.15)
    assert not weight[0].any()


def test_vectors_of_the_texts_are_the_same_each_time_and_learn_unless_frozen(corpus, tmp_path):
    base = ["--encoder", "bag_of_words", "--hidden_size", "16", "--word_vectors", "corpus", "--learning_rate", "0.01"]
    facts, frozen, _ = started(corpus, tmp_path / "frozen", *base, *FROZEN, "--word_vectors_std", "0.2")
    assert facts["source"] == "corpus" and facts["texts"] == 160 and facts["width"] == 16
    assert facts["token_coverage"] == 1.0 and facts["standard_deviation"] == 0.2
    _, again, _ = started(corpus, tmp_path / "again", *base, *FROZEN, "--word_vectors_std", "0.2", "--seed", "42")
    assert torch.equal(frozen, again)
    _, learned, _ = started(corpus, tmp_path / "learned", *base, "--max_steps", "3", "--word_vectors_std", "0.2")
    moved = (learned - frozen).abs()
    assert 0 < moved.max() < 0.1  # three steps away from the same start


def test_more_texts_make_other_vectors_and_a_bpe_tokenizer_gets_vectors_of_its_pieces(corpus, tmp_path):
    more = tmp_path / "more.txt"
    more.write_text("aspirin was given for chest pain\n\nno fever, no chills\n", encoding="utf-8")
    base = ["--encoder", "bag_of_words", "--hidden_size", "8", "--word_vectors", "corpus", *FROZEN]
    facts, wider, _ = started(corpus, tmp_path / "wider", *base, "--word_vectors_files", str(more))
    assert facts["texts"] == 162 and facts["files"] == ["more.txt"]
    _, plain, _ = started(corpus, tmp_path / "plain", *base)
    assert not torch.equal(wider, plain)
    bpe = ["--tokenizer_kind", "bpe", "--tokenizer_vocab_size", "400"]
    facts, _, loaded = started(corpus, tmp_path / "bpe", *base, *bpe)
    assert facts["vocabulary"] == len(loaded.tokenizer) - 5 and facts["token_coverage"] == 1.0


def test_validation_and_test_texts_are_never_read_for_them(corpus, tmp_path):
    other = tmp_path / "data"
    other.mkdir()
    for name in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (corpus / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        if name != "train":
            rows = [{**row, "text": "pain pain pain aspirin"} for row in rows]
        (other / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    base = [
        "--encoder",
        "bag_of_words",
        "--hidden_size",
        "8",
        "--word_vectors",
        "corpus",
        *FROZEN,
        "--do_predict",
        "true",
    ]
    _, ours, _ = started(corpus, tmp_path / "ours", *base)
    _, theirs, _ = started(other, tmp_path / "theirs", *base)
    assert torch.equal(ours, theirs)


def test_a_run_that_goes_on_keeps_its_vectors_and_what_was_said_of_them(corpus, vectors, tmp_path):
    out = tmp_path / "out"
    base = ["--encoder", "bag_of_words", "--word_vectors", str(vectors[0]), "--word_vectors_frozen", "true"]
    base += ["--num_train_epochs", "2", "--max_length", "64"]
    facts, weight, _ = started(corpus, out, *base)
    # as if it had been killed after its first epoch
    (out / "results.json").unlink()
    (out / "checkpoint-40").rename(tmp_path / "gone")
    (out / "word_vectors.json").write_text(json.dumps(facts), encoding="utf-8")
    again, resumed, _ = started(corpus, out, *base)
    assert again == facts and torch.equal(resumed, weight)
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["training"]["resumed"]


def test_the_second_training_of_a_refit_begins_with_the_same_vectors(corpus, tmp_path):
    base = ["--encoder", "bag_of_words", "--hidden_size", "8", "--word_vectors", "corpus", *FROZEN]
    _, once, _ = started(corpus, tmp_path / "once", *base)
    _, refitted, _ = started(corpus, tmp_path / "refitted", *base, "--refit", "true")
    assert torch.equal(once, refitted)


def refused(capsys, tmp_path, corpus, *arguments) -> str:
    out = tmp_path / "refused"
    assert run(train, ["--dataset_name", str(corpus), "--output_dir", str(out), *QUIET, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hf-mlc: error: ")
    return error


def test_what_does_not_go_together_is_one_line(corpus, vectors, trained, tmp_path, capsys):
    file = str(vectors[0])
    cases = [
        (["--word_vectors", file, "--hidden_size", "32"], "a word has 12 numbers, and hidden_size is 32"),
        (["--word_vectors", file, "--encoder", "gru", "--embedding_size", "8"], "and embedding_size is 8"),
        (["--word_vectors", file, "--tokenizer_kind", "bpe"], "this tokenizer (BPE) cuts words into pieces"),
        (["--word_vectors", file, "--model_name_or_path", str(trained)], "'model_name_or_path': brings its own word vectors"),
        (["--word_vectors", file, "--language_model_epochs", "1", "--encoder", "awd_lstm"], "brings its own word vectors"),
        (["--word_vectors", file, "--model_type", "lanet"], "'word_vectors': is of texts, and the model reads histories; accepted: none beside --model_type lanet"),
        (["--word_vectors", str(tmp_path / "none.txt")], "none.txt, field 'word_vectors': no such file"),
        (["--word_vectors", file, "--word_vectors_files", file], "'word_vectors_files': texts, and vectors from a file"),
        (["--word_vectors_frozen", "true"], "'word_vectors_frozen': no word vectors to go with it"),
        (["--word_vectors", file, "--word_vectors_std", "0"], "'word_vectors_std': found 0.0"),
        (["--word_vectors", "corpus", "--word_vectors_window", "0"], "'word_vectors_window': found 0"),
        (["--word_vectors", "corpus", "--word_vectors_files", str(tmp_path / "no.txt")], "'word_vectors_files': can't be read"),
        (["--word_vectors", "corpus", "--word_vectors_vocabulary", file], "'word_vectors_vocabulary': the corpus has its own"),
    ]  # fmt: skip
    for arguments, message in cases:
        assert message in refused(capsys, tmp_path, corpus, *arguments), arguments
    strange = tmp_path / "strange.txt"
    strange.write_text("qwertz 1 2 3\n", encoding="utf-8")
    assert "none of its words is in the vocabulary" in refused(
        capsys, tmp_path, corpus, "--word_vectors", str(strange)
    )
