"""A published model as strangers meet it: a fresh process with only transformers and torch, and one with this package."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_mlc.inference import load_model, predict_texts
from tests.hub.conftest import run_python


TEXTS = ["Chronic atrial fibrillation, on warfarin. Type 2 diabetes.", "", "pneumonia " * 200]
NOT_EMPTY = [TEXTS[0], TEXTS[2]]
DEMO, UPDATED, PRIVATE = "org/plant-demo", "org/updated", "org/private"

# prints what model and pipelines say of the texts, for each repository and revision that was asked for
LOADING = """
import json, sys
asked = json.loads(sys.argv[1])
if asked["package"]:
    import hf_mlc
import torch
from transformers import AutoModel, AutoTokenizer, pipeline
trust = {} if asked["package"] else {"trust_remote_code": True}
found = {}
for repo_id, revision in asked["models"]:
    model = AutoModel.from_pretrained(repo_id, revision=revision, **trust).eval()
    tokenizer = AutoTokenizer.from_pretrained(repo_id, revision=revision, **trust)
    by_task = pipeline("multi-label-classification", model=repo_id, revision=revision, **trust)
    by_model = pipeline(model=repo_id, revision=revision, **trust)
    batches = [tokenizer(text, return_tensors="pt", truncation=True, return_token_type_ids=False) for text in asked["not empty"]]
    with torch.no_grad():
        logits = [model(**batch).logits[0].tolist() for batch in batches]
    found[f"{repo_id}@{revision}"] = {
        "logits": logits,
        "module": type(model).__module__,
        "by task": by_task(asked["texts"]),
        "by model": by_model(asked["texts"]),
        "all": by_task(asked["texts"][0], return_all_scores=True),
    }
found["imported"] = [name for name in ("hf_mlc", "datasets", "pandas", "sklearn") if name in sys.modules]
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def published(one_publisher, demo_model, tmp_path_factory):
    """The demo model on the Hub, put there by the command; also one that was updated after v1, and a private one."""

    def publish(model, repo_id: str, *words: str) -> None:
        given = ("--model", model, "--repo_id", repo_id, *words)
        outcome = one_publisher.command("publish", *given, run_snippet=repo_id == DEMO)
        assert outcome.status == 0, outcome.stderr

    one_publisher.hub.repair()
    publish(demo_model, DEMO)
    publish(demo_model, PRIVATE, "--private")
    publish(demo_model, UPDATED)
    tag = "import sys; from huggingface_hub import HfApi; HfApi().create_tag(sys.argv[1], tag='v1')"
    assert one_publisher.snippet(tag, UPDATED).status == 0
    changed = shutil.copytree(demo_model, tmp_path_factory.mktemp("changed") / "model")
    tensors = load_file(changed / "model.safetensors")
    tensors["decoder.bias"] += 1
    save_file(tensors, changed / "model.safetensors", metadata={"format": "pt"})
    publish(changed, UPDATED)
    return one_publisher


def ask(publisher, home, *models: tuple[str, str], package: bool) -> dict:
    """What a fresh process with an empty cache finds."""
    asked = {"models": models, "package": package, "texts": TEXTS, "not empty": NOT_EMPTY}
    ended = run_python(publisher.hub, home, LOADING, json.dumps(asked), without_package=not package)
    assert publisher.hub.strays == []
    return json.loads(ended.stdout)


@pytest.fixture(scope="session")
def without_package(published, tmp_path_factory):
    """Found where `hf_mlc` can't be imported, with `trust_remote_code=True`."""
    models = [(DEMO, "main"), (UPDATED, "v1"), (UPDATED, "main"), (PRIVATE, "main")]
    return ask(published, tmp_path_factory.mktemp("home-without"), *models, package=False)


@pytest.fixture(scope="session")
def in_folder(demo_model):
    """The same from the folder that was published, without any of the Hub's machinery."""
    loaded = load_model(str(demo_model), device="cpu")
    logits = []
    for text in NOT_EMPTY:
        batch = loaded.tokenizer(text, return_tensors="pt", truncation=True, return_token_type_ids=False)
        with torch.no_grad():
            logits.append(loaded.model(**batch).logits[0].tolist())
    return {"logits": logits, "answers": list(predict_texts(loaded, TEXTS))}


def check_same(found: dict, in_folder: dict) -> None:
    assert torch.allclose(torch.tensor(found["logits"]), torch.tensor(in_folder["logits"]), rtol=0, atol=1e-6)
    assert found["by task"] == found["by model"]
    for answer, expected in zip(found["by task"], in_folder["answers"], strict=True):
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in expected]
        assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in expected], abs=2e-6)
    scores = torch.tensor(in_folder["logits"][0]).sigmoid()
    assert sorted(entry["score"] for entry in found["all"]) == pytest.approx(sorted(scores.tolist()), abs=1e-6)


def test_without_the_package_the_published_model_gives_the_same_logits(without_package, in_folder):
    assert without_package["imported"] == []
    found = without_package[f"{DEMO}@main"]
    assert found["module"].startswith("transformers_modules.org.plant")
    check_same(found, in_folder)


def test_pinned_revisions_stay_loadable_after_an_update(without_package, in_folder):
    check_same(without_package[f"{UPDATED}@v1"], in_folder)
    updated = torch.tensor(without_package[f"{UPDATED}@main"]["logits"])
    # the update adds 1 to the bias of every label
    assert torch.allclose(updated, torch.tensor(in_folder["logits"]) + 1, rtol=0, atol=1e-5)


def test_with_the_package_no_code_of_the_repository_is_run_or_even_fetched(published, in_folder, tmp_path):
    home = tmp_path / "home"
    found = ask(published, home, (DEMO, "main"), package=True)[f"{DEMO}@main"]
    assert found["module"] == "hf_mlc.modeling.modeling_plant"
    check_same(found, in_folder)
    assert [path.name for path in home.rglob("*.py")] == []


def test_a_private_model_opens_with_the_right_token_only(published, without_package, in_folder):
    check_same(without_package[f"{PRIVATE}@main"], in_folder)
    load = "import sys; from transformers import AutoModel; AutoModel.from_pretrained(sys.argv[1])"
    unknown = f"{PRIVATE} is not a local folder and is not a valid model identifier"
    answers = {published.hub.other_token: unknown, "": unknown, published.hub.wrong_token: "Invalid credentials"}
    for token, words in answers.items():
        outcome = published.snippet(load, PRIVATE, HF_TOKEN=token)
        assert (outcome.status, words in outcome.stderr) == (1, True), outcome.stderr


def test_the_cards_snippet_prints_what_the_card_says(published):
    card = published.hub.files(DEMO)["README.md"].decode()
    snippet = card.partition("```python\n")[2].partition("```")[0]
    printed = card.partition("prints\n\n```\n")[2].partition("\n```")[0]
    assert DEMO in snippet and printed
    outcome = published.snippet(snippet)
    assert (outcome.status, outcome.stdout.strip() or "(no label)") == (0, printed)
