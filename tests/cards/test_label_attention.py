"""Attention between labels: from the command line, as a picture, and in the card of a model of histories."""

from __future__ import annotations

import io
import json
import shutil

import pytest

from hf_mlc.cards import write_card
from hf_mlc.cards.attention_plot import draw_attention
from hf_mlc.cards.facts import ATTENTION, read_facts
from hf_mlc.cards.label_attention import attention_caption, attention_table, percent
from hf_mlc.commands.explain import main as explain
from hf_mlc.commands.running import run
from hf_mlc.errors import UserError
from hf_mlc.events.demo import ITEMS, write_demo_purchases
from hf_mlc.explaining.label_attention_map import label_attention_map
from hf_mlc.inference import load_model
from tests.common.small_lanet import CUSTOMERS, save_event_model
from tests.common.small_msdn import save_table_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_event_model(tmp_path_factory.mktemp("attention") / "tiny-shop")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_demo_purchases(tmp_path_factory.mktemp("demo"), num_customers=len(CUSTOMERS))


@pytest.fixture(scope="module")
def found(folder):
    loaded = load_model(str(folder), device="cpu")
    return label_attention_map(loaded, [customer["events"] for customer in CUSTOMERS]).to_dict()


def test_explain_reads_both_forms_of_histories(folder, files, found, tmp_path, capsys):
    for form in ("purchases", "histories"):
        file = tmp_path / f"{form}.json"
        asked = ["--model", str(folder), "--method", "label_attention", "--input", str(files[form])]
        assert run(explain, [*asked, "--output", str(file)]) == 0
        written = json.loads(file.read_text(encoding="utf-8"))
        assert written.pop("weights").startswith("sha256:")
        assert written == json.loads(json.dumps(found))
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "attention of labels to each other over 12 histories, strongest pairs:"
        first = found["pairs"][0]
        assert lines[2].startswith(first["label"]) and f"{first['attention']:.4f}" in lines[2]
        assert len(lines) == 12


def test_explain_draws_and_shows_named_labels(folder, files, found, tmp_path, capsys, monkeypatch):
    asked = ["--model", str(folder), "--method", "label_attention"]
    given = [*asked, "--input", str(files["histories"])]
    assert run(explain, [*given, "--output", str(tmp_path / "map.png")]) == 0
    assert (tmp_path / "map.png").read_bytes() == draw_attention(found)
    # names as they are, and as many as asked for; from standard input too
    assert run(explain, [*given, "--label", "tent", "milk", "tea"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["labels"]) == ["milk", "tea", "tent"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(files["histories"].read_bytes()), encoding="utf-8"))
    assert run(explain, [*asked, "--top_labels", "5"]) == 0
    fewer = json.loads(capsys.readouterr().out)
    assert len(fewer["labels"]) == 5 and fewer["pairs"] == found["pairs"]


def test_explain_says_what_it_cannot_show(folder, files, tmp_path, capsys):
    def said(*arguments: str, model=folder) -> str:
        assert run(explain, ["--model", str(model), *arguments]) == 2
        return capsys.readouterr().err

    attention, given = ("--method", "label_attention"), ("--input", str(files["histories"]))
    assert "accepted: - or .json, .jsonl, .png" in said(*attention, *given, "--output", str(tmp_path / "a.html"))
    assert "field 'top_labels'" in said(*attention, *given, "--top_labels", "1")
    assert "yeti" in said(*attention, *given, "--label", "yeti", "milk")
    for labels in (["milk"], ["milk", "milk"]):
        assert "field 'label': found 'milk' alone" in said(*attention, *given, "--label", *labels)
    for name, value in (("top_words", "3"), ("steps", "7"), ("baseline", "pad")):
        assert f"field '{name}': is of texts, and label_attention is of histories" in said(
            *attention, *given, f"--{name}", value
        )
        assert f"field '{name}': is of texts, and label_relations" in said(
            "--method", "label_relations", f"--{name}", value
        )
    for method in ("attention", "label_relations"):
        assert "field 'top_labels': is of histories, and" in said("--method", method, "--top_labels", "3")
    without = save_event_model(tmp_path / "without", label_attention=False)
    assert "accepted: a lanet model with label_attention" in said(*attention, *given, model=without)
    table = save_table_model(tmp_path / "table")
    assert "of type msdn without attention between labels" in said(*attention, *given, model=table)
    # the methods of texts, and of the model alone, are none of this model's
    assert "the model reads histories" in said(*given)
    assert "holds no relations between labels" in said("--method", "label_relations")


def test_the_card_shows_picture_table_and_what_they_mean(folder, found, tmp_path):
    cards = tmp_path / "cards"
    cards.mkdir()
    assert "Attention between labels" not in write_card(folder, output=cards / "a.md", run_snippet=False).read_text()
    (cards / ATTENTION).write_text(json.dumps(found), encoding="utf-8")
    text = write_card(folder, card_folder=cards, output=cards / "README.md", run_snippet=False).read_text("utf-8")
    assert "### Attention between labels\n\n![Attention between labels](label_attention.png)" in text
    assert (cards / "label_attention.png").read_bytes() == draw_attention(found)
    first = found["pairs"][0]
    assert f"| {first['label']} | {first['looks_at']} | {percent(first['attention'])} |" in text
    assert "heads and 12 histories" in text and f"The picture shows 40 of {len(ITEMS)} labels" in text


def test_of_other_weights_and_broken_files_are_refused(folder, found, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    cards = tmp_path / "cards"
    cards.mkdir()
    for content, said in (
        (found | {"weights": "sha256:00"}, "made with other weights"),
        (found | {"labels": found["labels"][1:]}, "is not what explain writes"),
        (found | {"layers": [{}]}, "is not what explain writes"),
        ({"pairs": []}, "is not what explain writes"),
        *(({k: v for k, v in found.items() if k != name}, "is not what explain writes") for name in found),
        *((found | {name: 5}, "is not what explain writes") for name in found if not name.startswith("num_")),
        (found | {"layers": [5]}, "is not what explain writes"),
        (found | {"rolled_out": {"attention": 5, "usual": 5}}, "is not what explain writes"),
        (found | {"correlation": {"together": None}}, "is not what explain writes"),
        (found | {"pairs": [{"label": "tea"}]}, "is not what explain writes"),
        (found | {"num_histories": None}, "is not what explain writes"),
    ):
        (cards / ATTENTION).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(UserError, match=said):
            read_facts(folder, card_folder=cards)
        # what an earlier training left in the model's own folder is no mistake
        (own / ATTENTION).write_text(json.dumps(content), encoding="utf-8")
        assert read_facts(own).attention == {}


def test_table_and_caption_are_of_what_is_known(folder, found):
    facts = read_facts(folder)
    pair = {"label": "a|b", "looks_at": "cost $5", "attention": 0.25, "usual": 0.0312, "when_there": None}
    facts.attention = found | {
        "pairs": [pair | {"together": 0.0, "before": 0.00049}],
        "correlation": {"together": None, "before": 0.4567},
        "layers": found["layers"][:1],
    }
    row = attention_table(facts).splitlines()[2]
    assert row == r"| a\|b | cost \$5 | 25 % | 3.1 % | – | 0 % | 0.049 % |"
    caption = attention_caption(facts)
    assert "correlates +0.46 with standing in the event before." in caption and "sharing events." not in caption
    assert "through the layer (attention rollout)" in caption
    facts.attention["pairs"] = []
    assert attention_table(facts) is None


def test_pictures_are_the_same_each_time_and_of_any_model(found):
    picture = draw_attention(found)
    assert picture.startswith(b"\x89PNG") and picture == draw_attention(found)
    one_layer = found | {"layers": found["layers"][:1]}
    assert draw_attention(one_layer).startswith(b"\x89PNG") and draw_attention(one_layer) != picture
    size = len(found["labels"])
    unknown = {"attention": [[None] * size] * size, "usual": [None] * size}
    assert draw_attention(found | {"rolled_out": unknown}) is None
