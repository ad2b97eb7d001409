from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from hf_mlc import inference
from hf_mlc.cli import main as cli
from hf_mlc.commands import predict as predict_command
from hf_mlc.commands.evaluate import label_scores
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, load_model, predict_texts, score_texts
from hf_mlc.inputs import INPUT_KINDS
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.multi_label import MultiLabelOutput, MultiLabelPreTrainedModel
from tests.commands.conftest import read_jsonl
from tests.commands.test_bad_input import labels_beside


@pytest.fixture
def standard_input(tmp_path, monkeypatch):
    """`standard_input(content)` lets the command read these bytes."""
    stack = contextlib.ExitStack()

    def given(content: bytes) -> None:
        (tmp_path / "stdin").write_bytes(content)
        monkeypatch.setattr(sys, "stdin", stack.enter_context((tmp_path / "stdin").open(encoding="utf-8")))

    with stack:
        yield given


def test_evaluate_repeats_the_test_metrics_that_training_wrote(corpus, trained, tmp_path):
    output = tmp_path / "metrics.json"
    arguments = ["--model", str(trained), "--dataset_name", str(corpus), "--split", "test", "--output", str(output)]
    assert run(evaluate, arguments) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    expected = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    for name, value in found["metrics"].items():
        assert value == pytest.approx(expected["test"][name], abs=1e-6), name
    assert found["documents"] == 40
    assert found["fingerprint"] == expected["data"]["fingerprints"]["test"]


def test_evaluate_says_which_weights_and_which_decision_it_measured(corpus, trained, tmp_path):
    output = tmp_path / "metrics.json"
    arguments = ["--model", str(trained), "--dataset_name", str(corpus), "--output", str(output)]
    assert run(evaluate, arguments) == 0
    found, config = json.loads(output.read_text(encoding="utf-8")), load_model(str(trained)).model.config
    assert found["model"] == trained.name  # and not where it lies on this machine
    assert str(trained.parent) not in output.read_text(encoding="utf-8")
    digest = hashlib.sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    assert found["weights"] == f"sha256:{digest}"
    assert found["decision"]["tuned"] is True and found["decision"]["min_labels"] == config.min_labels
    assert run(evaluate, [*arguments, "--threshold", "0.25"]) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found["decision"] == {"thresholds": 0.25, "min_labels": 0, "tuned": False}


def test_evaluate_lists_how_each_label_fared_and_points_of_the_curve(corpus, trained, tmp_path):
    output = tmp_path / "metrics.json"
    arguments = ["--model", str(trained), "--dataset_name", str(corpus), "--output", str(output)]
    assert run(evaluate, arguments) == 0
    found, space = json.loads(output.read_text(encoding="utf-8")), load_model(str(trained)).label_space
    labels, rows = found["labels"], read_jsonl(corpus / "test.jsonl")
    assert found["facts"]["labels_listed"] == "all" and sorted(labels["name"]) == sorted(space.names)
    assert labels["train_count"] == sorted(space.counts.tolist(), reverse=True)
    for place, name in enumerate(labels["name"][:5]):
        assert labels["support"][place] == sum(name in row["labels"] for row in rows)
    assert sum(labels["tp"]) / sum(labels["predicted"]) == pytest.approx(found["metrics"]["precision_micro"])
    assert np.sum(labels["f1"]) / len(space) == pytest.approx(found["metrics"]["f1_macro"], abs=1e-5)
    assert 2 < len(found["curve"]["recall"]) <= 200 and found["curve"]["recall"][-1] == 1


def test_of_many_labels_those_with_most_training_documents_are_listed():
    space = LabelSpace(["a", "b", "c", "d"], [1, 7, 3, 7], 20)
    metrics = MultiLabelMetrics(4, train_counts=space.counts)
    metrics.update(torch.tensor([[0.9, 0.9, 0.1, 0.1]]), torch.tensor([[1, 0, 1, 0]]))
    labels, listed = label_scores(metrics, space, most=3)
    assert labels["name"] == ["b", "d", "c"] and listed == "the 3 with most training documents"
    assert labels["support"] == [0, 0, 1] and labels["predicted"] == [1, 0, 0] and labels["f1"] == [0, 0, 0]
    unknown_counts = MultiLabelMetrics(4)
    unknown_counts.update(torch.tensor([[0.9, 0.9, 0.1, 0.1]]), torch.tensor([[1, 0, 1, 0]]))
    labels, listed = label_scores(unknown_counts, LabelSpace(["a", "b", "c", "d"]), most=2)
    assert labels["name"] == ["a", "c"] and listed == "the 2 with most documents in this split"


def test_a_label_the_model_does_not_know_is_counted_and_skipped(trained, tmp_path):
    file, output = tmp_path / "test.jsonl", tmp_path / "metrics.json"
    rows = [{"text": "hypertension", "labels": ["I10", "Z99.9"]}, {"text": "cough", "labels": ["Z98.7"]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(evaluate, ["--model", str(trained), "--dataset_name", str(file), "--output", str(output)]) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["unknown_labels_skipped"] == 2


def test_predict_answers_every_row_in_order(corpus, trained, tmp_path):
    output = tmp_path / "out.jsonl"
    arguments = ["--model", str(trained), "--input", str(corpus / "test.jsonl"), "--output", str(output)]
    assert run(predict, [*arguments, "--top_k", "3", "--pool_size", "7"]) == 0
    rows, answers = read_jsonl(corpus / "test.jsonl"), read_jsonl(output)
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    loaded = load_model(str(trained))
    for row, answer in zip(rows, answers, strict=True):
        assert len(answer["labels"]) == 3
        scores = [item["score"] for item in answer["labels"]]
        assert scores == sorted(scores, reverse=True)
        alone = next(predict_texts(loaded, [row["text"]], top_k=3))
        assert [item["label"] for item in alone] == [item["label"] for item in answer["labels"]]


def test_thresholds_at_call_time_override_the_tuned_ones(trained):
    loaded = load_model(str(trained))
    everything = next(predict_texts(loaded, ["hypertension"], threshold=0.0))
    assert len(everything) == len(loaded.label_space)
    assert next(predict_texts(loaded, ["hypertension"], threshold=1.0)) == []
    assert len(next(predict_texts(loaded, ["hypertension"], threshold=0.0, top_k=2))) == 2
    tuned = [item["label"] for item in next(predict_texts(loaded, ["hypertension"]))]
    scores = score_texts(loaded, ["hypertension"])
    chosen = loaded.model.decide(scores)[0].nonzero().flatten().tolist()
    assert sorted(tuned) == sorted(loaded.label_space.names[i] for i in chosen)


def test_an_explained_answer_names_the_words_that_each_label_was_read_from(trained, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    texts = ["Known hypertension, no fever.", ""]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    arguments = ["--model", str(trained), "--input", str(source), "--output", str(output), "--top_k", "2"]
    assert run(predict, [*arguments, "--explain"]) == 0
    loaded = load_model(str(trained))
    for text, answer in zip(texts, read_jsonl(output), strict=True):
        plain = next(predict_texts(loaded, [text], top_k=2))
        assert [(item["label"], item["score"]) for item in answer["labels"]] == [
            (item["label"], pytest.approx(item["score"], abs=2e-6)) for item in plain
        ]
        for item in answer["labels"]:
            assert len(item["evidence"]) == (5 if text else 0)  # of its six words and marks
            assert all(text[word["start"] : word["end"]] == word["text"] for word in item["evidence"])


def test_an_empty_text_is_answered_with_the_base_rates(trained):
    loaded = load_model(str(trained))
    empty, blank = score_texts(loaded, ["", " \n "])
    expected = loaded.model.decoder.bias.detach().sigmoid()
    assert (empty - expected).abs().max() < 1e-6 and (blank - expected).abs().max() < 1e-6


def test_predict_reads_standard_input_and_answers_line_by_line(trained, standard_input, capsys):
    lines = '{"text": "hypertension"}\n\n{"id": "b", "text": "cough and fever"}\n'
    standard_input(lines.encode())
    assert run(predict, ["--model", str(trained), "--top_k", "1"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "b"]
    assert all(len(answer["labels"]) == 1 for answer in answers)


def test_a_line_that_is_typed_is_answered_before_the_next_one_comes(trained):
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_mlc.cli", "predict", "--model", str(trained), "--top_k", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for name in ("first", "second"):
        process.stdin.write(json.dumps({"id": name, "text": "shortness of breath"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == name  # standard input is still open here
    process.stdin.close()
    assert process.wait() == 0


def test_rows_of_standard_input_are_checked_like_those_of_a_file(trained, standard_input, capsys):
    lines = b'\xef\xbb\xbf{"text": "fever", "labels": "not looked at", "id": null}\n{"text": "cough", "id": 7}\n'
    standard_input(lines)
    assert run(predict, ["--model", str(trained), "--top_k", "1"]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["1", "7"]


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        (b'{"text": "caf\xe9"}', "not UTF-8: byte 0xe9"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b'{"text": ', "not JSON"),
        (b"[1]", "a JSON array instead of an object"),
        (b'{"text": 3}', "field 'text': the text is an integer: 3"),
        (b'{"body": "t"}', "field 'text': no such column; found: 'body'"),
        (b'{"text": "t", "id": [1]}', "field 'id': the id is a list"),
    ],
)
def test_a_bad_line_of_standard_input_ends_predict_in_one_line(trained, standard_input, capsys, line, fragment):
    standard_input(b'{"text": "fine"}\n' + line + b"\n")
    assert run(predict, ["--model", str(trained), "--top_k", "1"]) == 2
    printed = capsys.readouterr().err
    assert "hf-mlc: error: standard input, row 2" in printed and fragment in printed


def test_standard_input_that_cannot_be_read_ends_predict_in_one_line(trained, tmp_path, monkeypatch, capsys):
    class Folder:
        def fileno(self) -> int:
            return folder

    folder = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(sys, "stdin", Folder())
    assert run(predict, ["--model", str(trained)]) == 2
    os.close(folder)
    assert "standard input: can't be read (Is a directory)" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)
    assert run(predict, ["--model", str(trained)]) == 2
    assert "standard input: is closed" in capsys.readouterr().err


def test_a_bad_line_ends_predict_while_standard_input_is_still_open(trained):
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_mlc.cli", "predict", "--model", str(trained)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b'{"text": "caf\xe9"}\n')
    process.stdin.flush()
    try:
        assert process.wait(timeout=120) == 2
    finally:
        process.kill()
    printed = process.stderr.read().decode()
    assert "standard input, row 1: not UTF-8" in printed and "Fatal" not in printed


def test_an_output_file_appears_whole_or_not_at_all(trained, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "fine"}\n{"txt": "broken"}\n', encoding="utf-8")
    output.write_text("what was here before\n", encoding="utf-8")
    arguments = ["--model", str(trained), "--input", str(source), "--output", str(output), "--pool_size", "1"]
    assert run(predict, arguments) == 2
    assert output.read_text(encoding="utf-8") == "what was here before\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_an_ending_that_means_nothing_is_no_other_format(trained, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n', encoding="utf-8")
    for name in ("out", "out.v2", "out.json"):
        words = ["--model", str(trained), "--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / name)]
        assert run(predict, words) == 0 and len(read_jsonl(tmp_path / name)) == 1


@pytest.mark.parametrize("name", INPUT_KINDS)
def test_a_folder_without_items_is_refused_in_words_of_what_the_model_reads(name, tmp_path):
    kind = INPUT_KINDS[name]
    said = "holds no picture" if name == "image" else f"is a folder, and the model reads {kind.noun} in a file"
    with pytest.raises(UserError, match=said):
        predict_command._items(str(tmp_path), kind)


def test_the_console_command_knows_its_verbs(trained, tmp_path, capsys):
    assert cli(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hf-mlc ")
    assert cli(["fly"]) == 2
    assert "accepted: train, evaluate, predict" in capsys.readouterr().err
    assert cli(["--help"]) == 0
    assert "evaluate" in capsys.readouterr().out
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\n', encoding="utf-8")
    assert cli(["predict", "--model", str(trained), "--input", str(source)]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "1"


def test_help_names_every_argument(capsys):
    with pytest.raises(SystemExit) as leaving:
        predict_command.main(["--help"])
    assert leaving.value.code == 0
    assert "--threshold" in capsys.readouterr().out


# -- large label spaces ---------------------------------------------------------------------------------------------


class WordTokenizer:
    """The number of words is all that it sees of a text."""

    pad_token_id = 0

    def __call__(self, texts, **kwargs):
        ids = [torch.ones(len(text.split()), dtype=torch.long) for text in texts]
        return {"input_ids": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)}


class Shortlisting(MultiLabelPreTrainedModel):
    """Scores two labels of six: with n words, label n (logit 2) and label 0 (logit -2); one word: label 1 alone."""

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.batches = []

    def forward(self, input_ids):
        words_B = input_ids.sum(dim=1)
        self.batches.append(words_B.tolist())
        other_B = torch.where(words_B == 1, -1, 0)
        logits_BS = torch.tensor([[-2.0, 2.0]]).expand(len(words_B), 2)
        return MultiLabelOutput(logits=logits_BS, candidate_ids=torch.stack([other_B, words_B], dim=1))


HIGH, LOW = 0.880797, 0.119203  # sigmoid(2), sigmoid(-2)


@pytest.fixture
def shortlisting() -> LoadedModel:
    config = MultiLabelConfig(num_labels=6, thresholds=[0.1, 0.5, 0.9, 0.5, 0.5, 0.5])
    return LoadedModel(Shortlisting(config).eval(), WordTokenizer(), LabelSpace.from_names(list("abcdef")))


def test_a_model_that_scores_a_shortlist_scores_and_predicts(shortlisting):
    texts = ["x x x", "x", "x x"]
    expected = torch.zeros(3, 6)
    expected[0, 3] = expected[1, 1] = expected[2, 2] = HIGH
    expected[0, 0] = expected[2, 0] = LOW
    assert (score_texts(shortlisting, texts, batch_size=2) - expected).abs().max() < 1e-6

    def labels(**how):
        return [
            [(item["label"], item["score"]) for item in answer] for answer in predict_texts(shortlisting, texts, **how)
        ]

    # label c needs 0.9, label a only 0.1
    assert labels() == [[("d", HIGH), ("a", LOW)], [("b", HIGH)], [("a", LOW)]]
    assert labels(threshold=0.5) == [[("d", HIGH)], [("b", HIGH)], [("c", HIGH)]]
    assert labels(top_k=2) == [[("d", HIGH), ("a", LOW)], [("b", HIGH)], [("c", HIGH), ("a", LOW)]]
    assert labels(top_k=1, threshold=0.1) == [[("d", HIGH)], [("b", HIGH)], [("c", HIGH)]]


def test_scores_in_memory_stay_within_the_budget(shortlisting, monkeypatch):
    monkeypatch.setattr(inference, "MAX_CELLS", 12)  # two texts of six labels
    texts = ["x x x", "x", "x x", "x x x x", "x x"]
    for how in ({}, {"top_k": 1}, {"threshold": 0.5}):
        shortlisting.model.batches.clear()
        answers = list(predict_texts(shortlisting, texts, **how))
        assert shortlisting.model.batches == [[1, 2], [2, 3], [4]]  # by length, two at a time
        assert len(answers) == 5
    assert all(len(batch.places) <= 2 for batch in inference.scored_batches(shortlisting, texts))


def test_the_best_labels_are_asked_of_the_model_itself(shortlisting, monkeypatch):
    # what is chosen from all scores is never made: `decide` and the dense scores are not asked for
    monkeypatch.setattr(Shortlisting, "decide", lambda *args, **kwargs: pytest.fail("decided over all labels"))
    monkeypatch.setattr(inference, "scored_batches", lambda *args, **kwargs: pytest.fail("kept all scores"))
    assert next(predict_texts(shortlisting, ["x x x"], top_k=1)) == [{"label": "d", "score": HIGH}]


def test_names_of_very_many_labels_are_read_from_their_file(trained, copy_of):
    model = copy_of(trained)
    labels_beside()(model)
    names = load_model(str(trained)).label_space.names
    loaded = load_model(str(model))
    assert loaded.label_space.names == names
    assert list(loaded.model.config.id2label.values()) == names
