from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from hf_mlc.cards import write_card
from hf_mlc.cards.attention_steps import attention_steps
from hf_mlc.cards.plots import STEPS_FILE
from hf_mlc.commands.card import main as card
from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.running import run
from hf_mlc.data import fingerprint, load_splits
from hf_mlc.errors import UserError
from hf_mlc.explaining import explain_labels
from hf_mlc.inference import encode_texts
from tests.cards.conftest import read, write
from tests.common.small_sgm import TEXTS, small_sgm


NAMES = ["$grain", "a|b", "<script>", "earn"]


def test_the_words_of_the_first_document_with_two_labels_are_weighed_by_step():
    loaded = small_sgm()
    sequence = loaded.model.label_sequences(encode_texts(loaded, [TEXTS[0]]))[0]
    found = attention_steps(loaded, ["", *TEXTS], [[], ["grain"], [], [], []], ["0", "1", "2", "3", "4"])
    assert found["document"] == "1"  # the first has no words
    assert found["words"] == ["wheat", "and", "corn", ",", "crude", "oil"] and found["num_words"] == 6
    assert found["gaps"] == [False] * 6
    names = loaded.label_space.names
    assert [step["label"] for step in found["steps"]] == [*(names[label] for label in sequence), None]
    assert [step["true"] for step in found["steps"]] == [*(names[label] == "grain" for label in sequence), None]
    for step, explanation in zip(found["steps"], explain_labels(loaded, TEXTS[0], sequence), strict=False):
        assert step["weights"] == pytest.approx(explanation.weights, abs=1e-4) and step["rest"] < 1e-4


def test_of_many_words_the_heaviest_are_shown_and_gaps_are_marked():
    loaded = small_sgm()
    whole = attention_steps(loaded, TEXTS[:1], [[]], ["x"])
    some = attention_steps(loaded, TEXTS[:1], [[]], ["x"], max_words=2)
    heaviest = [max(step["weights"][place] for step in whole["steps"]) for place in range(6)]
    kept = sorted(sorted(range(6), key=lambda place: -heaviest[place])[:2])
    assert some["words"] == [whole["words"][place] for place in kept] and some["num_words"] == 6
    assert some["gaps"] == [kept[0] != 0, kept[1] != kept[0] + 1]
    for few, every in zip(some["steps"], whole["steps"], strict=True):
        assert few["rest"] == pytest.approx(1 - sum(every["weights"][place] for place in kept), abs=1e-3)


def test_without_two_labels_the_first_document_with_words_is_taken_and_without_words_none():
    loaded = small_sgm(max_labels=1, min_labels=1)
    found = attention_steps(loaded, ["", *TEXTS], [[]] * 5, ["0", "1", "2", "3", "4"])
    assert found["document"] == "1" and len(found["steps"]) == 2
    assert attention_steps(loaded, ["", " "], [[], []], ["0", "1"]) == {}


@pytest.fixture
def made(tmp_path) -> tuple[Path, Path, Path]:
    """A saved model with results.json, its data set, and a card folder that may show texts."""
    loaded = small_sgm(labels=NAMES)
    model, data, folder = tmp_path / "model", tmp_path / "data", tmp_path / "model_cards"
    loaded.model.save_pretrained(model)
    loaded.tokenizer.save_pretrained(model)
    for path in (data, folder):
        path.mkdir()
    rows = [{"text": text, "labels": [NAMES[number % 4]]} for number, text in enumerate(TEXTS)]
    for name, part in {"train": rows[:2], "validation": rows[2:], "test": rows[:1]}.items():
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    splits = load_splits(data, splits=["train", "validation"])
    prints = {name: fingerprint(split) for name, split in splits.items()}
    write(model, **{"results.json": {"data": {"fingerprints": prints, "rows": {"train": 2, "validation": 2}}}})
    write(folder, **{"card.yaml": {"show_examples": True}})
    return model, data, folder


def written(made) -> dict[str, bytes]:
    model, data, folder = made
    arguments = ["--model", str(model), "--card_folder", str(folder), "--dataset_name", str(data)]
    assert run(card, [*arguments, "--run_snippet", "false"]) == 0
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_card_shows_the_steps_of_a_validation_document_and_the_measures(made):
    model, data, folder = made
    arguments = ["--model", str(model), "--dataset_name", str(data), "--output", str(folder / "metrics.json")]
    assert run(evaluate, arguments) == 0
    first = written(made)
    text = first["README.md"].decode("utf-8")
    assert f"]({STEPS_FILE})" in text and "Where the decoder looked" in text and "| `sequence_cardinality` |" in text
    assert read(folder / "attention_steps.json")["words"] == TEXTS[2].split()  # the first validation document
    with Image.open(folder / STEPS_FILE) as image:
        assert image.format == "PNG" and image.width > 600
    assert written(made) == first  # byte for byte


def test_texts_that_may_not_be_shown_are_not_drawn(made):
    folder = made[2]
    written(made)
    write(folder, **{"card.yaml": {"show_examples": False}})
    write_card(made[0], card_folder=folder, output=folder / "README.md", run_snippet=False)
    assert not (folder / STEPS_FILE).exists() and STEPS_FILE not in (folder / "README.md").read_text(encoding="utf-8")


def test_steps_of_other_weights_are_an_error(made):
    model, _, folder = made
    written(made)
    small_sgm(seed=1, labels=NAMES).model.save_pretrained(model)
    with pytest.raises(UserError, match="other weights"):
        write_card(model, card_folder=folder, output=folder / "README.md", run_snippet=False)
    write(folder, **{"attention_steps.json": {"words": ["a"], "steps": [{"label": None, "weights": []}]}})
    with pytest.raises(UserError, match="is not what card writes"):
        write_card(model, card_folder=folder, output=folder / "README.md", run_snippet=False)


def test_steps_of_an_earlier_training_are_left_out_of_the_models_own_card(made):
    model, _, folder = made
    written(made)
    stale = read(folder / "attention_steps.json") | {"weights": "sha256:00"}
    write(model, **{"attention_steps.json": stale, "card.yaml": {"show_examples": True}})
    write_card(model, run_snippet=False)
    assert STEPS_FILE not in (model / "README.md").read_text(encoding="utf-8")
    assert not (model / STEPS_FILE).exists()


def test_without_the_rows_of_the_training_there_is_no_picture_and_a_line_says_so(made, capsys):
    _, data, folder = made
    written(made)
    (data / "validation.jsonl").write_text('{"text": "gold", "labels": ["earn"]}\n', encoding="utf-8")
    assert STEPS_FILE not in written(made)
    assert "no picture of attention by step" in capsys.readouterr().err
    assert not (folder / "attention_steps.json").exists()
