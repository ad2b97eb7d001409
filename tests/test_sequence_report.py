from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.data import fingerprint, load_splits
from hf_mlc.explaining import explain
from hf_mlc.explaining.faithfulness import deletion_drops, deletion_scores
from hf_mlc.inference import encode_texts
from hf_mlc.sequence_report import measure_sequences, reference_order, writes_sequences
from tests.common.small_sgm import LABELS, TEXTS, small_sgm


TRUE = [[0, 1], [2], [3, 1, 0], []]


def test_the_report_is_about_the_sequences_that_the_model_answers_with():
    loaded = small_sgm(label_ranks=[2, 0, 3, 1])
    answers = [loaded.model.label_sequences(encode_texts(loaded, [text]))[0] for text in TEXTS]
    found = measure_sequences(loaded, TEXTS, TRUE, training_sets=[frozenset(answers[0])], batch_size=3)["metrics"]
    assert found["sequence_cardinality"] == np.mean([len(answer) for answer in answers])
    assert found["unseen_sets"] == np.mean([set(answer) != set(answers[0]) for answer in answers])
    assert found["coverage"] == sum(len({*a} & {*t}) for a, t in zip(answers, TRUE, strict=True)) / 6
    taus = []
    for answer, true in zip(answers, TRUE, strict=True):
        ranks = [[2, 0, 3, 1][label] for label in answer if label in true]
        taus += [kendalltau(range(len(ranks)), ranks).statistic] if len(ranks) > 1 else []
    assert len(taus) >= 1 and found["kendall_tau_b"] == pytest.approx(np.mean(taus))
    assert 0 < found["attention_entropy_share@1"] < 1


def test_batches_do_not_matter():
    loaded = small_sgm()
    one, all_of_them = (measure_sequences(loaded, TEXTS, TRUE, batch_size=size) for size in (1, 4))
    assert one["metrics"] == pytest.approx(all_of_them["metrics"], abs=1e-6) and one["facts"] == all_of_them["facts"]


def test_deletion_is_measured_on_the_generated_labels_and_again_the_same():
    loaded = small_sgm()
    first, second = (measure_sequences(loaded, TEXTS, TRUE, deletion_documents=2) for _ in range(2))
    assert first == second
    number = sum(len(loaded.model.label_sequences(encode_texts(loaded, [text]))[0]) for text in TEXTS[:2])
    assert first["facts"]["deletion_labels"] == number and first["facts"]["deletion_documents"] == 2
    assert {"deletion_drop@1", "random_drop@1", "deletion_drop@5", "random_drop@5"} <= set(first["metrics"])
    assert not any("drop" in name for name in measure_sequences(loaded, TEXTS, TRUE)["metrics"])


def test_drops_are_those_of_deleting_so_many_words():
    loaded = small_sgm()
    explanation = explain(loaded, TEXTS[0], "grain")  # five words and marks
    ours, random = deletion_drops(loaded, explanation, np.random.default_rng(0), ks=(1, 9), random_draws=2)
    of_one_word = deletion_scores(loaded, explanation, fractions=[1 / 5]).comprehensiveness_F
    assert ours[0] == pytest.approx(of_one_word[0])
    # of nine words there are five: all go, whichever way
    assert ours[1] == pytest.approx(random[1])


def test_which_order_the_sequences_are_compared_with_is_said():
    def order(**settings):
        return reference_order(small_sgm(**settings).model.config)

    assert order(label_ranks=[3, 2, 1, 0]) == ([3, 2, 1, 0], "frequency")
    ranks, words = order(label_order="random")
    assert ranks is None and "without a fixed order" in words
    assert order(label_order="dynamic", sequence_loss="alignment")[0] is None
    ranks, words = order(label_ranks=[3, 2, 1, 0], sequence_loss="ocd")
    assert ranks == [3, 2, 1, 0] and "not trained towards it (ocd)" in words
    assert "memorised" in order(label_ranks=[3, 2, 1, 0], label_order="alphabetical")[1]
    assert order()[0] == [0, 1, 2, 3]


def test_only_a_model_that_writes_sequences_has_a_report():
    assert writes_sequences(small_sgm().model) and writes_sequences(small_sgm(scores="hazard").model)
    head = {"scores": "auxiliary", "auxiliary_weight": 0.1}
    assert writes_sequences(small_sgm(**head).model)  # the search decides
    assert not writes_sequences(small_sgm(**head, decision="thresholds").model)
    found = measure_sequences(small_sgm(**head), TEXTS, TRUE, deletion_documents=2)
    assert "kendall_tau_b" in found["metrics"] and "deletion_drop@1" not in found["metrics"]
    assert not writes_sequences(torch.nn.Linear(1, 1))


@pytest.fixture
def folder(tmp_path):
    """A saved model, beside it results.json of a training on `train` and `validation` of the data set beside it."""
    loaded = small_sgm()
    loaded.model.save_pretrained(tmp_path / "model")
    loaded.tokenizer.save_pretrained(tmp_path / "model")
    rows = [
        {"text": text, "labels": [LABELS[label] for label in true]} for text, true in zip(TEXTS, TRUE, strict=True)
    ]
    (tmp_path / "data").mkdir()
    for name, part in {"train": rows[:2], "validation": rows[2:], "test": rows}.items():
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    splits = load_splits(tmp_path / "data", splits=["train", "validation"])
    prints = {name: fingerprint(split) for name, split in splits.items()}
    (tmp_path / "model" / "results.json").write_text(json.dumps({"data": {"fingerprints": prints}}), encoding="utf-8")
    return tmp_path


def test_evaluate_prints_and_writes_the_report(folder, capsys):
    output = folder / "metrics.json"
    arguments = ["--model", str(folder / "model"), "--dataset_name", str(folder / "data"), "--output", str(output)]
    assert run(evaluate, [*arguments, "--deletion_documents", "1"]) == 0
    shown = capsys.readouterr().err
    assert "label sequences (reference order: label ids; an order without meaning" in shown
    found = json.loads(output.read_text(encoding="utf-8"))["sequences"]
    for name, value in found["metrics"].items():
        assert f"{name:<32}{value:.4f}" in shown
    assert found["metrics"]["unseen_sets_true"] == 0.5  # {0, 1, 3} and the empty set; training has {0, 1} and {2}
    assert found["facts"]["deletion_documents"] == 1
    assert "kendall_tau_b" not in json.loads(output.read_text(encoding="utf-8"))["metrics"]


def test_evaluate_on_other_data_says_that_unseen_sets_are_not_counted(folder, capsys):
    test = str(folder / "data" / "test.jsonl")
    arguments = ["--model", str(folder / "model"), "--dataset_name", test, "--split", "train"]
    assert run(evaluate, [*arguments, "--deletion_documents", "0"]) == 0
    shown = capsys.readouterr().err
    assert "unseen sets are not counted" in shown and "unseen_sets " not in shown and "deletion_drop" not in shown
