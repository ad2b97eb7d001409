from __future__ import annotations

import json

import pytest
from datasets import Dataset

from hf_mlc.cards.examples import extract, label_examples
from hf_mlc.commands.card import main as card
from hf_mlc.commands.running import run
from hf_mlc.data import fingerprint
from hf_mlc.inference import load_model
from tests.cards.conftest import WORDS, read, write
from tests.cards.hub_metadata import check_metadata


LONG = " ".join(f"word{number}" for number in range(40))


def test_an_extract_is_cut_at_words_and_says_where():
    start = LONG.index("word20")
    shown = extract(LONG, (start, start + 6))
    assert shown.startswith("… word") and shown.endswith(" …") and " word20 " in shown
    assert set(shown.split()) - {"…"} <= set(LONG.split())
    assert extract("short  text\nhere", (0, 5)) == "short text here"
    assert extract(LONG, (0, 0)).startswith("word0 word1 ") and extract("", (0, 0)) == ""


def test_the_document_with_fewest_labels_is_taken_and_of_equals_the_first(saved_model):
    loaded = load_model(str(saved_model), device="cpu")
    texts = ["wheat and corn", "crude oil", "gold", "gas"]
    labels = [["plain", "a|b"], ["plain"], ["plain"], ["a|b", "unheard of"]]
    found = label_examples(loaded, texts, labels, ["plain", "a|b", "tick`s"])
    assert found == {"plain": "crude oil", "a|b": "gas"}  # a label that no document has gets no example


def test_the_extract_is_about_the_word_that_the_model_reads(saved_model, monkeypatch):
    loaded = load_model(str(saved_model), device="cpu")
    text = f"{LONG} gold {LONG}"
    monkeypatch.setattr(
        type(loaded.model),
        "token_weights",
        lambda self, ids, input_ids, **rest: (input_ids == loaded.tokenizer.convert_tokens_to_ids("gold")).float()[
            None
        ],
    )
    (shown,) = label_examples(loaded, [text], [["plain"]], ["plain"]).values()
    assert " gold " in shown and len(shown) < 130


@pytest.fixture
def corpus(tmp_path):
    """A training split."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [{"text": "wheat | corn", "labels": ["plain"]}, {"text": "gold", "labels": ["a|b"]}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_the_command_writes_examples_card_and_plots_into_the_card_folder(model_folder, card_folder, corpus, capsys):
    arguments = ["--model", str(model_folder), "--card_folder", str(card_folder), "--repo_id", "org/tiny-news"]
    assert run(card, [*arguments, "--dataset_name", str(corpus), "--run_snippet", "false"]) == 0
    assert capsys.readouterr().out == f"{card_folder / 'README.md'}\n"
    assert read(card_folder / "examples.json")["examples"] == {"plain": "wheat | corn", "a|b": "gold"}
    text = (card_folder / "README.md").read_text(encoding="utf-8")
    assert r"| wheat \| corn |" in text
    assert check_metadata(card_folder / "README.md")["model-index"][0]["name"] == "tiny-news"
    assert not (model_folder / "README.md").exists()
    assert {file.name for file in card_folder.glob("*.png")} == {"precision_recall.png", "f1_by_frequency.png"}


def test_labels_in_columns_of_their_own_and_named_rows_are_read(model_folder, card_folder, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("note,text,plain,a|b\nx7,wheat,1,0\nx8,gold,0,1\n", encoding="utf-8")
    arguments = ["--model", str(model_folder), "--card_folder", str(card_folder), "--dataset_name", str(rows)]
    columns = ["--id_column", "note", "--label_columns", "plain", "a|b"]
    assert run(card, [*arguments, *columns, "--run_snippet", "false"]) == 0
    found = read(card_folder / "examples.json")
    assert found["examples"] == {"plain": "wheat", "a|b": "gold"}
    named = [{"id": "x7", "text": "wheat", "labels": ["plain"]}, {"id": "x8", "text": "gold", "labels": ["a|b"]}]
    assert found["fingerprint"] == fingerprint(Dataset.from_list(named))


def test_examples_of_texts_that_may_not_be_shown_are_refused(model_folder, card_folder, corpus, capsys):
    write(card_folder, **{"card.yaml": WORDS | {"show_examples": False}})
    before = (card_folder / "examples.json").read_bytes()
    arguments = ["--model", str(model_folder), "--card_folder", str(card_folder), "--dataset_name", str(corpus)]
    assert run(card, arguments) == 2
    assert "field 'show_examples': show_examples is not true" in capsys.readouterr().err
    assert (card_folder / "examples.json").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--repo_id", "a/b/c"], "a/b/c"),
        (["--output", "/no/such/folder/README.md"], "no such folder"),
        (["--dataset_name", "x"], "found without card_folder"),
        (["--card_folder", "/no/such/cards"], "no such folder"),
    ],
)
def test_a_mistake_is_one_line(model_folder, capsys, more, problem):
    assert run(card, ["--model", str(model_folder), *more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and problem in lines[0]
