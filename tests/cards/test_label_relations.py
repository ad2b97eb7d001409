"""The card of a model of table rows: its snippet, what it says of the paper, and the relations between its labels."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml

from hf_mlc.cards import write_card
from hf_mlc.cards.facts import RELATIONS, read_facts
from hf_mlc.cards.label_relations import offset_table, pair_table, relations_caption, relations_of, relations_words
from hf_mlc.cards.relation_plot import draw_relations
from hf_mlc.cards.sentences import rule_sentence
from hf_mlc.cards.snippet import usage_snippet
from hf_mlc.commands.card import main as card_command
from hf_mlc.commands.explain import main as explain
from hf_mlc.commands.running import run
from hf_mlc.errors import UserError
from hf_mlc.explaining.label_relations import label_relations
from hf_mlc.inference import load_model
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.publishing import stage_model
from tests.common.small_msdn import NAMES, save_table_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_table_model(tmp_path_factory.mktemp("relations") / "tiny-table")


@pytest.fixture(scope="module")
def found(folder):
    return label_relations(load_model(str(folder), device="cpu")).to_dict()


def test_the_card_of_a_table_model(folder, found, tmp_path, capsys):
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "card.yaml").write_text("pretty_name: Tiny\nshow_examples: false\n", encoding="utf-8")
    # the snippet is run: it prints what the model says
    assert run(card_command, ["--model", str(folder), "--card_folder", str(cards), "--repo_id", "org/tiny"]) == 0
    text = (cards / "README.md").read_text(encoding="utf-8")
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert metadata["pipeline_tag"] == "tabular-classification" and metadata["tags"][:2] == ["hf_mlc", "msdn"]
    assert 'pipeline("multi-label-table-classification", model="org/tiny")' in text
    printed = text.split("prints\n\n```\n")[1].split("\n```")[0].splitlines()
    assert printed and all(line.split("  ")[1] in NAMES for line in printed)
    assert "gives table rows every label that applies, out of 5" in text
    assert "a reconstruction from the paper's abstract" in text and "kim2021multiscale" in text
    assert "Table rows of the data set are not shown." in text
    assert "convolutions over 1 and 3 labels, in one order of the labels, from the most to the least" in text
    # the relations: a picture, a table, and the file to make both from where the weights are gone
    assert "![Relations between labels](label_relations.png)" in text
    assert (cards / "label_relations.png").read_bytes() == draw_relations(found)
    first = found["pairs"][0]
    parts = found["parameters"]
    assert f"{parts['relation']:,} are theirs, {parts['head']:,} those of the scores without" in text
    assert f"| {first['given']} | {first['label']} | {first['offset']} | {first['change']:+.2f} |" in text
    kept = json.loads((cards / RELATIONS).read_text(encoding="utf-8"))
    assert {name: kept[name] for name in found} == found and kept["weights"].startswith("sha256:")
    without = tmp_path / "without"
    without.mkdir()
    shutil.copyfile(folder / "config.json", without / "config.json")
    write_card(without, card_folder=cards, output=tmp_path / "again.md", run_snippet=False)
    assert "### Relations between labels" in (tmp_path / "again.md").read_text(encoding="utf-8")


def test_a_card_without_a_card_folder_reads_the_relations_off_the_weights(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    text = write_card(own, run_snippet=False).read_text(encoding="utf-8")
    assert "### Relations between labels" in text and (own / "label_relations.png").is_file()
    assert not (own / RELATIONS).exists()


def test_relations_of_other_weights_and_broken_files_are_refused(folder, tmp_path):
    cards = tmp_path / "cards"
    cards.mkdir()
    kept = relations_of(load_model(str(folder), device="cpu"), str(folder))
    for content, said in (
        (kept | {"weights": "sha256:00"}, "made with other weights"),
        (kept | {"change": kept["change"][1:]}, "is not what card writes"),
        ({"pairs": []}, "is not what card writes"),
    ):
        (cards / RELATIONS).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(UserError, match=said):
            read_facts(folder, card_folder=cards)


def test_relations_of_an_earlier_training_are_worked_out_anew_in_the_models_own_folder(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    kept = relations_of(load_model(str(folder), device="cpu"), str(folder))
    for content in (kept | {"weights": "sha256:00"}, {"pairs": []}):
        (own / RELATIONS).write_text(json.dumps(content), encoding="utf-8")
        assert read_facts(own).relations == {}
        (tmp_path / "staged").mkdir()
        stage_model(own, tmp_path / "staged", run_snippet=False)  # as a push does
        text = (tmp_path / "staged" / "README.md").read_text(encoding="utf-8")
        assert "### Relations between labels" in text
        shutil.rmtree(tmp_path / "staged")


def test_a_mistyped_card_folder_is_one_line(folder, tmp_path, capsys):
    assert run(card_command, ["--model", str(folder), "--card_folder", str(tmp_path / "carsd")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "field 'card_folder': no such folder" in lines[0] and not (tmp_path / "carsd").exists()


def test_a_model_that_relates_no_labels_says_so_and_has_no_picture(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_table_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["relations.output"].zero_()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    text = write_card(folder, run_snippet=False).read_text(encoding="utf-8")
    assert "The model holds none" in text and not (folder / "label_relations.png").exists()


def test_tables_escape_names_and_show_the_strongest_offsets(folder, found):
    facts = read_facts(folder)
    facts.relations = found
    pairs = pair_table(facts)
    assert r"a\|b" in pairs and r"cost \$5" in pairs
    widths = {len(line.replace(r"\|", "").split("|")) for line in pairs.splitlines()}
    assert widths == {7}
    offsets = offset_table(facts).splitlines()
    assert len(offsets) == 2 + len(found["offsets"])
    assert offsets[2].split("|")[2].strip() == f"{found['change'][0]:.2f}"
    assert "worked out exactly" in relations_caption(facts) and "as often as in training" in relations_caption(facts)
    assert "the same for every document" in relations_caption(facts)
    assert not facts.config.document_relations and "read the document" not in relations_words(facts)
    facts.config.document_relations, facts.relations = True, found | {"reads_document": True}
    assert "differ from document to document" in relations_caption(facts)
    assert "nothing known of the document" in relations_caption(facts) and "read the document" in relations_words(
        facts
    )
    # of many distances those where most changes, in their order
    many = {"offsets": list(range(1, 31)), "change": [float(number % 7) for number in range(30)], "scales": []}
    facts.relations = found | many
    shown = [int(line.split("|")[1]) for line in offset_table(facts).splitlines()[2:]]
    assert len(shown) == 16 and shown == sorted(shown) and all((number - 1) % 7 >= 3 for number in shown)


def test_the_picture_is_the_same_each_time_and_takes_any_model(found):
    picture = draw_relations(found)
    assert picture.startswith(b"\x89PNG") and picture == draw_relations(found)
    wide = found | {
        "offsets": list(range(1, 41)),
        "change": [1.0] * 40,
        "scales": [{"kernel_size": 3, "change": None}],
    }
    assert draw_relations(wide).startswith(b"\x89PNG")
    assert draw_relations(found | {"pairs": []}) is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "the most probable of all label sets, found exactly by the Viterbi algorithm"),
        (
            {"decision": "expected_f1"},
            "the label set whose expected F1 is highest, by label sets drawn from the model",
        ),
        ({"kernel_sizes": [2, 12]}, "the most probable label set that a beam search found"),
        (
            {"decoding": "greedy", "known_sets": "restrict"},
            "of the label sets of training documents the most probable one",
        ),
        (
            {"decoding": "sample", "known_sets": "favour"},
            "drawn from the model; label sets of training documents are fav",
        ),
        (
            {"decision": "expected_f1", "known_sets": "restrict"},
            "of the label sets of training documents the one whose expected F1 is highest",
        ),
        (
            {"known_sets": "restrict", "forest_weight": 2.0, "num_forest_trees": 20},
            "of the label sets of training documents the most probable one, by the model and a random forest of 20 trees over these",
        ),
        ({"variant": "parallel"}, "by fixing labels one after another"),
        ({"variant": "parallel", "label_mask_rate": 1}, "every label that is likelier than not after the last"),
    ],
)
def test_how_sets_are_chosen_is_said(settings, said):
    config = MsdnConfig(num_labels=14, input_size=2, num_known_sets=3, **settings)
    sentence = rule_sentence(SimpleNamespace(config=config, evaluation={}, results={}))
    assert sentence.startswith("A document gets ") and said in sentence


def test_how_labels_are_related_is_said():
    def words(**settings) -> str:
        return relations_words(SimpleNamespace(config=MsdnConfig(num_labels=9, input_size=2, **settings)))

    assert "over 2, 4 and 8 labels" in words()
    assert "labels that occur together" not in words() and "that brings labels together" in words(
        label_order="seriation"
    )
    assert "label sets" not in words()
    assert "holds the 1,234 label sets that training documents have" in words(num_known_sets=1234)
    forest = {
        "known_sets": "restrict",
        "forest_weight": 2.0,
        "num_known_sets": 3,
        "num_forest_trees": 20,
        "num_forest_nodes": 4_567,
    }
    assert (
        "random forest over them, grown on the training documents (4,567 nodes); the logarithm of its votes counts 2 times"
        in words(**forest)
    )
    assert "in 3 orders of the labels (the first from the most to the least" in words(num_orders=3)
    assert "whose taps stand 2 and 4 labels apart" in words(dilations=[2, 4])
    assert words(variant="parallel").startswith("It is the parallel variant") and "over 3, 5 and 9" in words(
        variant="parallel"
    )


def test_the_snippet_is_of_rows_whose_features_the_model_names(folder):
    snippet = usage_snippet(read_facts(folder))
    assert '"multi-label-table-classification"' in snippet and "feature_extractor.feature_names" in snippet


def test_explain_writes_the_relations_of_a_model(folder, found, tmp_path, capsys):
    asked = ["--model", str(folder), "--method", "label_relations"]
    assert run(explain, asked) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == found
    assert f"all together{found['change'][0]:7.2f}" in captured.err
    assert run(explain, [*asked, "--output", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes() == draw_relations(found)
    assert run(explain, [*asked, "--output", str(tmp_path / "a.jsonl")]) == 0
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8")) == found


def test_explain_refuses_what_is_of_texts(folder, tmp_path, capsys):
    asked = ["--model", str(folder), "--method", "label_relations"]
    file = tmp_path / "in.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    for wrong, said in (
        (["--output", str(tmp_path / "a.html")], "field 'output'"),
        (["--input", str(file)], "is of texts, and label_relations is of the model"),
        (["--label", "red"], "is of texts, and label_relations is of the model"),
    ):
        assert run(explain, [*asked, *wrong]) == 2
        assert said in capsys.readouterr().err
    # the methods of texts are none of this model's
    assert run(explain, ["--model", str(folder)]) == 2
    assert "the model reads table rows" in capsys.readouterr().err
