"""Lists in, a model out, labels of further texts."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest

from hf_mlc.data import load_splits
from hf_mlc.errors import UserError
from hf_mlc.inference import predict_texts
from hf_mlc.quick import fit, predict


WORDS = ("wheat", "corn", "oil", "gold", "tin", "rice", "rye", "silk")
PAIRS = [(one, other) for one in WORDS for other in WORDS if one < other] * 3
SMALL = {"embed_dim": 16, "num_train_epochs": 8, "per_device_train_batch_size": 8, "learning_rate": 0.05,
         "embedding_dropout": 0.1, "residual_dropout": 0.1, "disable_tqdm": True, "use_cpu": True}  # fmt: skip


def test_what_was_learned_from_lists_is_answered_and_kept_in_a_folder(tmp_path, capsys):
    texts = (f"so much {one} and {other}" for one, other in PAIRS)  # read once
    model = fit(texts, [list(pair) for pair in PAIRS], output_dir=tmp_path / "model", **SMALL)
    assert f"saved in {tmp_path / 'model'}\n" in capsys.readouterr().err
    asked = ["oil, tin", "rye with corn"]
    answers = predict(model, asked, k=2)
    assert [{label for label, _ in answer} for answer in answers] == [{"oil", "tin"}, {"rye", "corn"}]
    assert all(1 >= answer[0][1] >= answer[1][1] >= 0 for answer in answers)
    assert predict(tmp_path / "model", asked, k=2) == answers
    by_rule = predict(model, asked)
    assert by_rule == [[pair for pair in answer if pair in by_rule[place]] for place, answer in enumerate(by_rule)]
    assert all(score >= 0.1 for answer in predict(model, asked, threshold=0.1) for _, score in answer)


def test_numbers_are_labels_too_and_nothing_need_be_kept(tmp_path, capsys):
    numbers = {word: np.int64(place) for place, word in enumerate(WORDS)}
    lists = [[numbers[one], numbers[other]] for one, other in PAIRS]
    file = tmp_path / "labels.json"  # a path is an argument as any other
    file.write_text(json.dumps([str(number) for number in range(8)]), encoding="utf-8")
    arguments = {**SMALL, "max_steps": 1, "label_file": file}
    model = fit([f"{one} {other}" for one, other in PAIRS], lists, **arguments)
    assert "saved in" not in capsys.readouterr().err  # its folder is gone
    assert {label for label, _ in predict(model, ["oil"], k=8)[0]} <= {str(number) for number in range(8)}


@pytest.mark.parametrize(
    ("texts", "lists", "message"),
    [
        (["a", "b"], [["x"]], "more texts than label lists, which are 1"),
        (["a"], [["x"], ["y"]], "more label lists than texts, which are 1"),
        (["a", 3], [["x"], ["y"]], "row 2, field 'texts': found int"),
        (["a"], ["xy"], "row 1, field 'label_lists': found one string; accepted: a list of labels"),
        (["a"], [None], "row 1, field 'label_lists': found NoneType; accepted: a list of labels"),
        (["a"], [{"x": 1.0}], "row 1, field 'label_lists': found dict; accepted: a list of labels"),
        (["a", "b"], [["x"], [None]], "row 2, field 'label_lists': found None; accepted: labels that are strings or whole numbers"),
        (["a"], [[2.7, 1]], "row 1, field 'label_lists': found 2.7"),
        (["a"], [[2, True]], "row 1, field 'label_lists': found True"),
        ("ab", [["x"], ["y"]], "field 'texts': found one string; accepted: a list of texts"),
        (["a"] * 3, np.eye(3, dtype=int), "^field 'label_lists': looks like a table of zeros and ones: lists of 3 that hold nothing"
         " else; accepted: lists of names or of ids$"),
        (["a"] * 101, [[0, 1, 1]] * 100 + [[2.5]], "^field 'label_lists': looks like a table of zeros and ones"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_an_error(texts, lists, message):
    with pytest.raises(UserError, match=message):
        fit(texts, lists)


def test_rows_are_not_left_in_the_cache(monkeypatch, tmp_path):
    """They came from a file that is gone, and so would never be found again."""
    users, kept = tmp_path / "cache", []

    def train(arguments, **how):
        recipe = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        kept.extend(file["filename"] for file in load_splits(recipe["train_file"])["train"].cache_files)

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", users)
    monkeypatch.setattr("hf_mlc.commands.train.main", train)
    monkeypatch.setattr("hf_mlc.quick.load_model", lambda name: name)
    fit(["a", "b"], [["x"], []], output_dir=tmp_path / "model")
    assert kept and not any(Path(file).exists() for file in kept) and not list(tmp_path.rglob("*.arrow"))
    assert users == datasets.config.HF_DATASETS_CACHE


def test_one_string_instead_of_texts_is_an_error():
    with pytest.raises(UserError, match="field 'texts': found one string; accepted: a list of texts"):
        predict("no model is loaded for it", "oil and tin")
    with pytest.raises(UserError, match="row 2, field 'texts': found NoneType; accepted: a string"):
        predict("no model is loaded for it", ["oil", None])
    with pytest.raises(UserError, match="field 'texts': found one object; accepted: a list of texts"):
        predict("no model is loaded for it", {"text": "oil"})
    with pytest.raises(UserError, match="row 1, field 'texts': half a surrogate pair at character 0"):
        predict("no model is loaded for it", ["\ud800"])
    with pytest.raises(UserError, match="field 'texts': found one string; accepted: a list of texts"):
        list(predict_texts(None, "oil and tin"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 0}, "field 'k': found 0; accepted: a whole number from 1"),
        ({"k": -1}, "field 'k': found -1"),
        ({"batch_size": 0}, "field 'batch_size': found 0"),
        ({"threshold": 2}, "field 'threshold': found 2; accepted: 0 to 1"),
        ({"threshold": float("nan")}, "field 'threshold': found nan"),
        ({"threshold": "0.5"}, "field 'threshold': found '0.5'"),
    ],
)
def test_a_number_that_is_none_is_an_error(wrong, message):
    with pytest.raises(UserError, match=message):
        predict("no model is loaded for it", ["oil"], **wrong)
