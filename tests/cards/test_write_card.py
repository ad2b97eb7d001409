from __future__ import annotations

import builtins
import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoTokenizer

from hf_mlc.cards import check_installed, write_card
from hf_mlc.cards.merge import BEGIN, END
from hf_mlc.cards.metric_names import metric_name
from hf_mlc.cards.plots import CURVE_FILE, FREQUENCY_FILE
from hf_mlc.cards.tables import BUCKET_METRICS
from hf_mlc.commands.card import CardArguments
from hf_mlc.commands.column_arguments import HubDataArguments, LabelColumnArguments, TextColumnArguments
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model, predict_texts
from hf_mlc.metrics import BUCKETS
from hf_mlc.modeling.configuration_plant import PlantConfig
from tests.cards.conftest import RESULTS, WORDS, read, write
from tests.cards.hub_metadata import check_metadata


@pytest.fixture
def card(model_folder, card_folder) -> Path:
    """A card with everything in it, its snippet not run."""
    return write_card(model_folder, repo_id="org/tiny-news", card_folder=card_folder, run_snippet=False)


def section(text: str, title: str) -> str:
    """What stands under one heading."""
    return re.split(r"^#+ .*$", text.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def cells(text: str, first: str) -> list[str]:
    """The cells of the table row that begins with `first`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_config_alone_makes_a_card_in_which_the_rest_is_comments(model_folder):
    for file in model_folder.iterdir():
        if file.name != "config.json":
            file.unlink()
    card = write_card(model_folder)
    text = card.read_text(encoding="utf-8")
    for unknown in (
        "summary",
        "printed output",
        "results",
        "data set",
        "time, memory, hardware",
        "risks",
        "known issues",
    ):
        assert f"<!-- {unknown}: unknown" in text, unknown
    assert "# tiny-news\n" in text and 'model="tiny-news"' in text
    assert "model-index" not in check_metadata(card)
    assert sorted(file.name for file in model_folder.iterdir()) == ["README.md", "config.json"]


def test_the_validation_metrics_of_a_run_without_test_rows_say_what_they_are(model_folder):
    card = write_card(model_folder, run_snippet=False)
    text = card.read_text(encoding="utf-8")
    assert "Measured on the validation split, 20 documents." in text and "the numbers are too good" in text
    assert cells(text, "`f1_micro`")[1] == "0.500" and "tuned_f1_micro" not in text
    assert "model-index" not in check_metadata(card)  # these are no test metrics


def test_the_test_metrics_that_training_took_are_used_where_evaluate_was_not_run(model_folder):
    write(model_folder, **{"results.json": RESULTS | {"test": {"f1_micro": 0.25, "runtime": 3.0}}})
    metadata = check_metadata(write_card(model_folder, run_snippet=False))
    metrics = metadata["model-index"][0]["results"][0]["metrics"]
    assert [(metric["name"], metric["value"]) for metric in metrics] == [("f1_micro", 0.25)]


def in_model_index(measured: dict) -> dict:
    """Of metrics by training documents of a label those that cards show: where some test document has such a label."""
    shown = {name for name in measured if metric_name(name).bucket is None}
    present = [bucket for bucket in BUCKETS if f"f1_macro_present@{bucket}" in measured]
    shown |= {f"{base}@{bucket}" for base in BUCKET_METRICS for bucket in present}
    return {name: value for name, value in measured.items() if name in shown}


def test_every_test_metric_is_in_the_model_index_with_its_split_and_threshold_rule(card, card_folder):
    metadata = check_metadata(card)
    (model,) = metadata["model-index"]
    (result,) = model["results"]
    assert model["name"] == "tiny-news"
    assert result["dataset"] == {"name": "Made-up news", "type": "made-up-news", "split": "test"}
    measured = read(card_folder / "metrics.json")["metrics"]
    found = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert found == in_model_index(measured) and "f1_macro@1-5" in measured.keys() - found.keys()
    by_name = {metric["name"]: metric for metric in result["metrics"]}
    rule = {"threshold": pytest.approx(0.4), "min_labels": 1}
    tuned = {"threshold_tuned_on": "validation", "threshold_tuned_for": "f1_micro"}
    assert by_name["f1_micro"]["type"] == "f1"
    assert by_name["f1_micro"]["args"] == {"average": "micro", **rule, **tuned}
    assert by_name["p@3"] == {"type": "precision_at_k", "value": measured["p@3"], "name": "p@3", "args": {"k": 3}}
    assert by_name["auc_micro"]["args"] == {"average": "micro"}
    assert by_name["f1_macro_present@1-5"]["args"]["training_documents_of_a_label"] == "1-5"


def test_of_labels_without_a_test_document_no_number_is_given(model_folder, card_folder):
    evaluation = read(card_folder / "metrics.json")
    # as measured where no test document has one of the two labels with 1 to 5 training documents
    of_none = dict.fromkeys(["f1_micro@1-5", "f1_macro@1-5", "precision_micro@1-5", "recall_micro@1-5"], 0.0)
    others = {name: value for name, value in evaluation["metrics"].items() if not name.endswith("@1-5")}
    write(card_folder, **{"metrics.json": evaluation | {"metrics": others | of_none}})
    card = write_card(model_folder, card_folder=card_folder, run_snippet=False)
    text = card.read_text(encoding="utf-8")
    assert cells(text, "1-5") == ["1-5", "2", *["–"] * len(BUCKET_METRICS)]
    assert cells(text, "6-20")[1] == "1" and "–" not in cells(text, "6-20")
    assert "- 2 labels with 1 to 5 training documents.\n" in section(text, "Limits")
    metrics = check_metadata(card)["model-index"][0]["results"][0]["metrics"]
    assert not {metric["name"] for metric in metrics} & of_none.keys()


def test_of_rare_labels_the_share_found_is_among_the_limits(card, card_folder):
    share = read(card_folder / "metrics.json")["metrics"]["recall_micro@1-5"]
    said = f"- 2 labels with 1 to 5 training documents; it finds {share:.0%} of their test documents.\n"
    assert said in section(card.read_text(encoding="utf-8"), "Limits")


def test_the_rest_of_the_metadata_is_what_the_hub_filters_by(card):
    metadata = check_metadata(card)
    assert metadata["license"] == "apache-2.0" and metadata["language"] == ["en"]
    assert metadata["library_name"] == "transformers" and metadata["pipeline_tag"] == "text-classification"
    assert metadata["tags"][:2] == ["hf_mlc", "plant"]
    assert metadata["metrics"] == ["f1", "precision", "recall", "accuracy", "roc_auc"]
    assert metadata["widget"] == [{"text": WORDS["widget"][0]["text"], "example_title": "Grain"}]
    assert "datasets" not in metadata  # it is not on the Hub


def test_a_data_set_on_the_hub_is_named_by_its_id(model_folder, card_folder):
    write(card_folder, **{"card.yaml": WORDS | {"dataset": {"id": "org/news"}, "base_model": "org/encoder"}})
    card = write_card(model_folder, card_folder=card_folder, run_snippet=False)
    metadata = check_metadata(card)
    assert metadata["datasets"] == ["org/news"] and metadata["base_model"] == "org/encoder"
    assert metadata["model-index"][0]["results"][0]["dataset"]["type"] == "org/news"
    assert "https://huggingface.co/datasets/org/news" in card.read_text(encoding="utf-8")


def test_who_is_ahead_is_counted_and_the_better_number_is_bold(card, card_folder):
    text, measured = card.read_text(encoding="utf-8"), read(card_folder / "metrics.json")["metrics"]
    assert cells(text, "`f1_micro`")[1:3] == [f"{measured['f1_micro']:.3f}", "**1.000**"]
    assert cells(text, "`ndcg@5`")[1:3] == [f"**{measured['ndcg@5']:.3f}**", "0.000"]
    assert cells(text, "`hamming_loss`")[1:3] == [f"{measured['hamming_loss']:.4f}", "**0.0000**"]  # lower is better
    assert r"**The baseline (guess\|ing) is ahead on 2 of these" in text
    assert "measures**: `f1_micro`, `hamming_loss`." in text
    assert "one run each (seed 7)" in text
    assert r"guess\|ing is better by `f1_micro`, `hamming_loss`" in section(text, "Limits")


def test_a_baseline_that_is_ahead_nowhere_is_said_to_be(model_folder, card_folder):
    baseline = read(card_folder / "baseline.json")
    baseline["test"] |= {"f1_micro": 0.0, "hamming_loss": 1.0}
    write(card_folder, **{"baseline.json": baseline})
    text = write_card(model_folder, card_folder=card_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "is ahead on none of these" in text and "is better by" not in text


def test_numbers_that_look_the_same_are_equal(model_folder, card_folder):
    baseline, measured = read(card_folder / "baseline.json"), read(card_folder / "metrics.json")["metrics"]
    # a value between two that are shown, .8125, looks the same as the lower or the higher one
    nearby = {name: [value + 1e-7, value - 1e-7] for name, value in measured.items()}
    baseline["test"] = {
        name: next(one for one in values if all(round(one, d) == round(measured[name], d) for d in (3, 4)))
        for name, values in nearby.items()
    }
    write(card_folder, **{"baseline.json": baseline})
    text = write_card(model_folder, card_folder=card_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "is ahead on none of these" in text and "Equal: `f1_micro`," in text
    assert "**" not in cells(text, "`f1_micro`")[1]


def test_labels_stand_by_training_count_with_their_scores_and_an_example(card, card_folder):
    text = section(card.read_text(encoding="utf-8"), "Labels")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [re.split(r"(?<!\\)\|", row)[2].strip() for row in rows] == ["60", "30", "12", "3", "1", "0"]
    measured = read(card_folder / "metrics.json")["labels"]

    def precision_of(label: str) -> str:
        place = measured["name"].index(label)
        return f"{measured['precision'][place]:.2f}" if measured["predicted"][place] else "–"

    place = measured["name"].index("a|b")
    _, train, test, precision, recall, f1, example = cells(text, r"a\|b")
    assert (train, test) == ("30", str(measured["support"][place]))
    assert precision == precision_of("a|b")
    assert (recall, f1) == (f"{measured['recall'][place]:.2f}", f"{measured['f1'][place]:.2f}")
    assert example == r"net \| profit \`x\` &lt;y&gt;"
    # a label that no test document has: no recall to speak of
    assert cells(text, "`*star* _under_`")[1:6] == ["0", "0", precision_of("*star* _under_"), "–", "–"]


def test_names_of_labels_and_texts_break_neither_tables_nor_markers_nor_html(card):
    text = card.read_text(encoding="utf-8")
    assert text.count(BEGIN) == 1 and text.count(END) == 1 and text.rstrip().endswith(END)
    assert "<script>" not in text
    for row in [line for line in text.splitlines() if line.startswith("| ")]:
        assert not re.search(r"(?<!\\)`[^`]*$", re.sub(r"`[^`|]*`", "", row).replace(r"\`", "")), row
    body = section(text, "Labels")
    widths = {len(re.split(r"(?<!\\)\|", line)) for line in body.splitlines() if line.startswith("| ")}
    assert len(widths) == 1
    assert "# News \\| of &lt;today&gt;" in text


def test_examples_are_not_shown_unless_it_is_allowed(model_folder, card_folder):
    write(card_folder, **{"card.yaml": WORDS | {"show_examples": False}})
    text = write_card(model_folder, card_folder=card_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "net \\| profit" not in text and "Texts of the data set are not shown." in text


def test_the_card_says_how_the_model_was_made(card):
    text = section(card.read_text(encoding="utf-8"), "Training")
    assert "[Made-up news](https://example.org/news) (licence: cc-by-4.0)" in text
    assert "Rows: 100 train, 20 validation." in text and "- train: `sha256:11`" in text
    assert cells(text, "`learning_rate`") == ["`learning_rate`", "`0.003`", "`5e-05`"]
    assert cells(text, "`hidden_size`") == ["`hidden_size`", "`8`", "`256`"]
    assert cells(text, "`encoder`")[1] == "`bag_of_words`"  # not in the recipe, but in the configuration
    assert "num_train_epochs" not in text  # 3 is the default
    assert "1,234 parameters; 3 epochs, 40 steps in 12 s (20 s of processor time), on cpu, 2 cores" in text
    assert "peak memory 500 MB" in text and "step 30" in text and "hf_mlc 0.1.0" in text
    assert "--config model_cards/tiny-news/recipe.yaml" in text and "--split test" in text


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({}, "in 12 s (20 s of processor time), the last part of a resumed run"),
        (
            {"before_resuming": {"seconds": 5.0, "cpu_seconds": 8.0}},
            "in 12 s (20 s of processor time), in several parts",
        ),
    ],
)
def test_of_a_resumed_run_the_card_says_what_its_seconds_are_of(model_folder, before, said):
    training = RESULTS["training"] | {"resumed": True} | before
    write(model_folder, **{"results.json": RESULTS | {"training": training}})
    assert said in write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")


def test_what_a_python_user_run_does_not_know_is_left_out(model_folder):
    results = {"training": {"seconds": None, "epochs": 1.0, "steps": 5, "peak_memory_bytes": 10**6}, "parameters": 10}
    write(model_folder, **{"results.json": results})
    text = write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "10 parameters; 1 epochs, 5 steps; peak memory 1 MB." in text
    assert "<!-- rows and their fingerprints: unknown -->" in text


def test_the_paper_and_what_of_it_is_in_the_model_are_said(card):
    text = card.read_text(encoding="utf-8")
    assert "https://arxiv.org/abs/2410.23066" in text and "does **not** hold the paper's own idea" in text
    assert "eprint        = {2410.23066}" in section(text, "Citation")


def test_plots_lie_beside_the_card_and_are_named_in_it(card):
    text = card.read_text(encoding="utf-8")
    for name in (CURVE_FILE, FREQUENCY_FILE):
        assert f"]({name})" in text
        with Image.open(card.parent / name) as image:
            assert image.format == "PNG" and image.width > 600


def test_the_same_facts_give_the_same_bytes(model_folder, card_folder, card):
    before = {file.name: file.read_bytes() for file in card.parent.iterdir()}
    write_card(model_folder, repo_id="org/tiny-news", card_folder=card_folder, run_snippet=False)
    assert {file.name: file.read_bytes() for file in card.parent.iterdir()} == before


def test_a_users_own_words_are_kept(model_folder, card_folder, card):
    own = card.read_text(encoding="utf-8").replace("license: apache-2.0", "license: mit") + "\n## Mine\n\nWords.\n"
    card.write_text(own, encoding="utf-8")
    write(model_folder, **{"results.json": RESULTS | {"parameters": 999}})
    write_card(model_folder, repo_id="org/tiny-news", card_folder=card_folder, run_snippet=False)
    text = card.read_text(encoding="utf-8")
    assert text.endswith("\n## Mine\n\nWords.\n") and "999 parameters" in text and "1,234" not in text
    assert check_metadata(card)["license"] == "mit"


def test_the_snippet_prints_what_the_card_says_and_shows_the_models_id(model_folder, card_folder):
    card = write_card(model_folder, repo_id="org/tiny-news", card_folder=card_folder)
    text = card.read_text(encoding="utf-8")
    use = section(text, "Use")
    assert 'model="org/tiny-news"' in use and str(model_folder) not in text
    printed = use.split("prints\n\n```\n")[1].split("\n```")[0]

    loaded = load_model(str(model_folder), device="cpu")
    (answer,) = predict_texts(loaded, [WORDS["widget"][0]["text"]])
    assert printed.splitlines() == [f"{entry['score']:.3f}  {entry['label']}" for entry in answer]
    snippet = use.split("```python\n")[1].split("\n```")[0]
    compile(snippet, "snippet", "exec")
    assert all(len(line) <= 120 for line in snippet.splitlines())


def test_a_model_that_cannot_be_used_as_the_card_says_gets_no_card(model_folder, monkeypatch):
    monkeypatch.setattr("hf_mlc.inputs.text._CODE", "raise OSError('no tokenizer in', {model_id}, {text})")
    with pytest.raises(UserError, match=r"the card's usage snippet fails \(OSError: .*no tokenizer in"):
        write_card(model_folder)
    assert not (model_folder / "README.md").exists()


@pytest.fixture
def without(monkeypatch):
    """`without("jinja2")`: as if the package were not installed."""

    def hide(package: str) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        real = builtins.__import__

        def imported(name, *args, **kwargs):
            if name.split(".")[0] == package:
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", imported)

    return hide


def test_without_jinja2_the_error_names_the_extra(model_folder, without):
    without("jinja2")
    for call in (check_installed, lambda: write_card(model_folder, run_snippet=False)):
        with pytest.raises(UserError, match=r"jinja2 is not installed; accepted: pip install hf_mlc\[cards\]"):
            call()
    assert not (model_folder / "README.md").exists()


def test_without_matplotlib_there_are_no_plots_and_a_line_names_the_extra(
    model_folder, card_folder, without, monkeypatch
):
    said = []
    monkeypatch.setattr("hf_mlc.cards.writing.logger.warning", said.append)
    without("matplotlib")
    card = write_card(model_folder, card_folder=card_folder, run_snippet=False)
    assert said == ["The card has no plots: matplotlib is not installed; accepted: pip install hf_mlc[cards]"]
    assert "![" not in card.read_text(encoding="utf-8") and not list(model_folder.glob("*.png"))


@pytest.mark.parametrize("num_labels", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_million_labels_give_a_card_of_ordinary_size(tmp_path, num_labels):
    PlantConfig(num_labels=2).save_pretrained(tmp_path)
    config = {
        key: value for key, value in read(tmp_path / "config.json").items() if key not in ("id2label", "label2id")
    }
    space = {
        "names": [f"l{number}" for number in range(num_labels)],
        "counts": [number % 977 for number in range(num_labels)],
        "num_documents": 10**6,
    }
    config |= {"label_space_file": "labels.json", "label_count": num_labels}
    write(tmp_path, **{"config.json": config, "labels.json": space})
    text = write_card(tmp_path).read_text(encoding="utf-8")
    assert len(text) < 20_000
    assert f"{num_labels - 100:,} more labels are not listed here." in text and f"{num_labels:,} labels" in text
    assert cells(text, "`l976`")[1] == "976"


def test_the_committed_cards_are_valid():
    cards = list((Path(__file__).parents[2] / "model_cards").glob("*/README.md"))
    assert cards
    for card in cards:
        metadata = check_metadata(card)
        measured = read(card.parent / "metrics.json")["metrics"]
        found = metadata["model-index"][0]["results"][0]["metrics"]
        assert {metric["name"]: metric["value"] for metric in found} == in_model_index(measured), card
        for name in re.findall(r"\]\((\w+\.png)\)", card.read_text(encoding="utf-8")):
            assert (card.parent / name).exists()


def test_what_a_run_was_told_beyond_its_recipe_is_among_the_commands(model_folder, card_folder):
    recipe = RESULTS["recipe"] | {"seed": 3, "text_column": ["title", "text"], "dataset_name": "news"}
    write(model_folder, **{"results.json": RESULTS | {"recipe": recipe}})
    card = write_card(model_folder, repo_id="org/tiny-news", card_folder=card_folder, run_snippet=False)
    train, _, evaluate, baseline, made = (
        section(card.read_text(encoding="utf-8"), "Training").split("```")[1].split("\n")[1:-1]
    )
    assert train.endswith("--output_dir MODEL --seed 3 --text_column title text")
    assert "--dataset_name DATA --text_column title text --split test" in evaluate
    assert "--threshold_metric f1_micro" in baseline
    assert made.endswith("--repo_id org/tiny-news --dataset_name DATA --text_column title text")


def test_the_part_of_a_long_text_that_is_read_goes_by_the_saved_tokenizer(model_folder):
    assert "it reads the first 64 tokens" in write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    AutoTokenizer.from_pretrained(model_folder, truncation_side="left").save_pretrained(model_folder)
    assert "it reads the last 64 tokens" in write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer(["wheat and corn"], truncation=True)
    tokenizer.save_pretrained(model_folder)  # its file remembers the side by itself then
    settings = read(model_folder / "tokenizer_config.json")
    settings.pop("truncation_side")
    write(model_folder, **{"tokenizer_config.json": settings})
    assert "it reads the last 64 tokens" in write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")


def test_each_command_is_told_where_the_rows_are_in_words_that_it_takes(model_folder, card_folder):
    told = {
        "id_column": "note", "dataset_config_name": "v2", "dataset_revision": "abc", "label_columns": ["plain", "a|b"],
        "image_column": "photo", "labels_separator": None,
    }  # fmt: skip
    write(model_folder, **{"results.json": RESULTS | {"recipe": RESULTS["recipe"] | told}})
    text = write_card(model_folder, card_folder=card_folder, run_snippet=False).read_text(encoding="utf-8")
    *_, evaluate, _, made = section(text, "Training").split("```")[1].split("\n")[1:-1]
    for line in (evaluate, made):
        assert "--dataset_config_name v2 --dataset_revision abc --id_column note" in line
        assert "--label_columns plain 'a|b'" in line and "None" not in line
    assert "--image_column photo" in evaluate and "--image_column" not in made
    words = shlex.split(made.partition("scripts/card.py ")[2])
    classes = (CardArguments, TextColumnArguments, LabelColumnArguments, HubDataArguments)
    (_, _, labels, _), _, _ = parse_arguments(classes, [*words, "--card_folder", str(card_folder)])
    assert labels.label_columns == ["plain", "a|b"]


def test_a_model_that_was_trained_anew_on_all_rows_says_so(model_folder, card_folder):
    refit = {"rows": 120, "epochs": 2.5, "steps": 33, "seconds": 7.0, "cpu_seconds": 9.0}
    write(model_folder, **{"results.json": RESULTS | {"refit": refit}})
    text = write_card(model_folder, card_folder=card_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "then anew on all 120 training and validation rows, 2.5 epochs, 33 steps in 7 s" in text
    assert "The weights are those of step" not in text
    assert "The weights are those of the second training" in text
    assert "on 20 validation documents with the scores of a first model, before this one was trained on" in text
    assert "(validation rows among them)" in text
    assert "The same test rows for both; this model was trained on the validation rows as well" in text
    # by training documents the two count differently: nothing is compared
    assert "so its buckets hold other labels" in text
    by_count = section(text, "By training documents of a label")
    assert " / " not in by_count.partition("![")[0]
    # the validation metrics are of the model before
    text = write_card(model_folder, run_snippet=False).read_text(encoding="utf-8")
    assert "<!-- results: unknown" in text


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("metrics.json", {"accuracy": 0.5}, "is not what evaluate writes"),
        ("baseline.json", {"accuracy": 0.5}, "is not what benchmarks/tfidf.py writes"),
        ("results.json", {"training": 3}, "field 'training': found int"),
    ],
)
def test_a_file_of_that_name_that_something_else_wrote_is_refused(model_folder, card_folder, name, content, problem):
    write(model_folder if name == "results.json" else card_folder, **{name: content})
    with pytest.raises(UserError, match=re.escape(problem)):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)


def test_after_an_error_card_and_plots_are_as_before(model_folder, card_folder, card):
    card.write_text(f"{BEGIN}\nno end\n", encoding="utf-8")
    before = {file.name: file.read_bytes() for file in model_folder.iterdir()}
    evaluation = read(card_folder / "metrics.json")
    evaluation["curve"]["recall"] = evaluation["curve"]["recall"][::-1]
    write(card_folder, **{"metrics.json": evaluation})
    with pytest.raises(UserError, match="no single pair"):
        write_card(model_folder, card_folder=card_folder, run_snippet=False)
    assert {file.name: file.read_bytes() for file in model_folder.iterdir()} == before
