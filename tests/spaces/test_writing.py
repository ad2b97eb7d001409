"""`hf-mlc space`: the folder it writes, what it takes from the card, and what it refuses."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from importlib.metadata import version

import pytest
from huggingface_hub import SpaceCardData
from huggingface_hub.repocard import metadata_load

from hf_mlc.commands.running import run
from hf_mlc.commands.space import main as space
from hf_mlc.spaces.source import NO_MEDICAL_DEVICE, card_examples, card_limits
from hf_mlc.spaces.writing import GRADIO_VERSION
from tests.spaces.small_model import LIMITS, NOTE


FILES = ["README.md", "app.py", "requirements.txt", "space.json", "style.css"]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def failed(capsys, *arguments) -> str:
    """The one line on standard error of a call that ends with status 2."""
    assert run(space, [str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_the_folder_holds_the_app_and_what_belongs_to_this_model(space_folder, model_folder):
    assert files_in(space_folder) == FILES
    assert json.loads((space_folder / "space.json").read_text(encoding="utf-8")) == {
        "model": str(model_folder.resolve()),
        "revision": None,
        "on_hub": False,
        "title": "Small codes",
        "num_labels": 12,
        "thresholds": {"lowest": 0.3, "median": 0.5, "highest": 0.7},
        "examples": [
            {"title": "Fever", "text": NOTE},
            {"title": "A trick of the light", "text": "A trick of the light"},
        ],
        "limits": LIMITS,
    }


def test_the_front_matter_is_that_of_a_gradio_space(space_folder):
    metadata = metadata_load(space_folder / "README.md")
    assert metadata["title"] == "Small codes"
    assert (metadata["sdk"], metadata["app_file"], metadata["license"]) == ("gradio", "app.py", "apache-2.0")
    assert metadata["python_version"] == "3.11"  # a string: 3.1 and 3.10 would be the same number
    assert SpaceCardData(**metadata).to_dict() == metadata
    # the version that a Space installs is one that these tests run on
    assert metadata["sdk_version"] == GRADIO_VERSION
    assert GRADIO_VERSION.split(".")[0] == version("gradio").split(".")[0]


def test_the_readme_says_that_the_models_code_is_run(space_folder):
    text = (space_folder / "README.md").read_text(encoding="utf-8")
    assert "trust_remote_code=True" in text
    assert "runs\nwhere this app runs" in text


def test_the_app_needs_transformers_torch_and_gradio_and_not_our_package(space_folder):
    tree = ast.parse((space_folder / "app.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"gradio", "torch", "transformers"}
    requirements = (space_folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert [line.partition(">=")[0] for line in requirements] == ["safetensors", "torch", "transformers"]
    assert all(">=" in line for line in requirements)


def test_the_same_space_again_is_no_mistake_and_changes_nothing(space_folder, model_folder):
    before = {path.name: path.stat().st_mtime_ns for path in space_folder.iterdir()}
    assert run(space, ["--model", str(model_folder), "--output", str(space_folder), "--title", "Small codes"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in space_folder.iterdir()} == before


def test_an_empty_folder_is_filled(model_folder, tmp_path):
    (tmp_path / "app").mkdir()
    assert run(space, ["--model", str(model_folder), "--output", str(tmp_path / "app")]) == 0
    assert files_in(tmp_path / "app") == FILES
    assert files_in(tmp_path) == ["app"]
    # without a title, the model's name
    assert json.loads((tmp_path / "app/space.json").read_text(encoding="utf-8"))["title"] == "small"


def test_a_folder_with_something_in_it_is_refused_and_left_alone(model_folder, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    line = failed(capsys, "--model", model_folder, "--output", tmp_path)
    assert "field 'output': is not empty (it holds notes.txt)" in line
    assert files_in(tmp_path) == ["notes.txt"]


def test_a_space_that_was_changed_by_hand_is_not_overwritten(model_folder, space_folder, tmp_path, capsys):
    changed = shutil.copytree(space_folder, tmp_path / "app")
    (changed / "app.py").write_text("# mine\n", encoding="utf-8")
    assert "is not empty" in failed(capsys, "--model", model_folder, "--output", changed, "--title", "Small codes")
    assert (changed / "app.py").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("no/such/folder", "no such folder; accepted: a saved model's folder or a Hub id org/name"),
        ("./nothing", "no such folder"),
        ("org/unknown", "not in the cache, and HF_HUB_OFFLINE keeps from asking the Hub; accepted: HF_HUB_OFFLINE=0"),
    ],
)
def test_an_unknown_model_is_one_line(model, said, tmp_path, capsys):
    line = failed(capsys, "--model", model, "--output", tmp_path / "app")
    assert f"{model}, field 'model': {said}" in line
    assert files_in(tmp_path) == []


def test_a_model_of_another_architecture_or_without_the_pipeline_is_refused(model_folder, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    for model_type in ("bert", "brand-new"):
        # of an architecture that nobody knows, transformers would offer to run the code beside it
        config = {"model_type": model_type, "auto_map": {"AutoConfig": "code.Config"}}
        (tmp_path / "other/config.json").write_text(json.dumps(config), encoding="utf-8")
        line = failed(capsys, "--model", tmp_path / "other", "--output", tmp_path / "app")
        assert f"another architecture: '{model_type}'" in line

    old = shutil.copytree(model_folder, tmp_path / "old")
    config = json.loads((old / "config.json").read_text(encoding="utf-8"))
    del config["custom_pipelines"]
    (old / "config.json").write_text(json.dumps(config), encoding="utf-8")
    line = failed(capsys, "--model", old, "--output", tmp_path / "app")
    assert "names no pipeline for multi-label-classification" in line
    assert not (tmp_path / "app").exists()


def test_a_card_whose_metadata_is_no_yaml_is_refused_and_none_at_all_is_fine(model_folder, tmp_path, capsys):
    copied = shutil.copytree(model_folder, tmp_path / "model")
    (copied / "README.md").write_text("---\na: [1\n---\n", encoding="utf-8")
    assert "its metadata can't be read" in failed(capsys, "--model", copied, "--output", tmp_path / "app")
    (copied / "README.md").unlink()
    assert run(space, ["--model", str(copied), "--output", str(tmp_path / "app")]) == 0
    settings = json.loads((tmp_path / "app/space.json").read_text(encoding="utf-8"))
    assert (settings["examples"], settings["limits"]) == ([], "")
    assert "no examples on the page" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--push_to_hub"], "field 'repo_id': is missing"),
        (["--repo_id", "org/app"], "field 'repo_id': has no effect without --push_to_hub"),
        (["--private"], "field 'private': has no effect without --push_to_hub"),
        (["--push_to_hub", "--repo_id", "a/b/c"], "a/b/c"),
        (["--title", " "], "field 'title': is empty"),
        (["--revision", "v1"], "field 'revision': is a folder, which has no revisions"),
        # a folder on this machine is nothing that a Space could read
        (["--push_to_hub", "--repo_id", "org/app"], "is a folder, which a Space can't read"),
    ],
)
def test_arguments_that_do_not_go_together_are_one_line(model_folder, tmp_path, capsys, arguments, said):
    assert said in failed(capsys, "--model", model_folder, "--output", tmp_path / "app", *arguments)
    assert not (tmp_path / "app").exists()


def test_examples_are_the_texts_among_the_widget_entries():
    long = "word " * 30
    widget = [{"text": "one"}, {"text": long}, {"src": "a.png"}, "two", {"text": " "}, {"text": 3}]
    # 59 characters less the space at their end, and the dots
    assert card_examples({"widget": widget}) == [
        {"title": "one", "text": "one"},
        {"title": ("word " * 12)[:59] + "…", "text": long},
    ]
    assert len(card_examples({"widget": [{"text": str(number)} for number in range(9)]})) == 6
    assert card_examples({"widget": "one"}) == card_examples({}) == []


def test_limits_are_what_the_card_says_on_limits_and_risks():
    card = "# x\n\nUnlimited.\n\n## Limits\n\nReads English.\n\n## Use\n\nno\n\n### Risks\n\n<!-- risks: unknown -->\nBias.\n"
    assert card_limits(card, {}) == "Reads English.\n\nBias."
    assert card_limits("# x\n", {}) == ""
    # the first paragraph is kept whatever its length, the next only within 700 characters
    assert card_limits(f"## Limitations\n\n{'a' * 800}\n\nb\n", {}) == "a" * 800


def test_a_section_on_limits_ends_at_a_heading_of_its_level_or_a_higher_one():
    card = (
        "## Bias, Risks, and Limitations\n\n### Out-of-scope\n\nNot for doctors.\n\n### Nothing here\n\n"
        "### Risks ##\nBias.\n#hashtag\n## Use\nno\n### Limits\nEnglish.\n"
    )
    expected = "**Out-of-scope**\nNot for doctors.\n\n**Risks**\nBias.\n#hashtag\n\nEnglish."
    assert card_limits(card, {}) == expected
    assert card_limits("### Limits\n\nEnglish.\n\n## Use\n\nno\n", {}) == "English."


@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_code_is_no_heading_and_no_limit(fence):
    code = f"{fence}python\n# comment on risks\n``\n## Risks\n\nprint()\n{fence}"
    assert card_limits(f"{code}\n\n## Limits\n\nEnglish.\n\n{code}\n\nShort.\n", {}) == "English.\n\nShort."
    assert card_limits(f"## Limits\n\nEnglish.\n\n{fence}\n# never closed\n", {}) == "English."
    assert card_limits("## Limits\n\n```code``` in a line.\n", {}) == "```code``` in a line."


def test_a_title_on_risks_is_no_section_on_them():
    assert card_limits("# Risk factors tagger\n\nIt tags.\n\n## Use\n\nSo.\n", {}) == ""
    assert card_limits("# Risk tagger\n\nIt tags.\n\n## Limits\n\nEnglish.\n", {}) == "English."


def test_a_clinical_model_is_said_to_be_no_medical_device_whatever_its_card_says():
    assert card_limits("# x\n", {"tags": ["Clinical"]}) == NO_MEDICAL_DEVICE
    assert card_limits("## Risks\n\nNo medical device.\n", {"tags": ["clinical"]}) == "No medical device."
    # said in the card, but beyond what the page has room for
    late = f"## Limits\n\n{'a' * 699}\n\n## Risks\n\nNo medical device.\n"
    assert card_limits(late, {}).startswith(NO_MEDICAL_DEVICE)
