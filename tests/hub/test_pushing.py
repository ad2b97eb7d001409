"""`Trainer(push_to_hub=True)` and `model.push_to_hub`: the files of `publish`, in every commit, and nothing else."""

from __future__ import annotations

import inspect
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file
from transformers import PreTrainedModel

from hf_mlc import MultiLabelCollator, MultiLabelTrainer, MultiLabelTrainingArguments, load_model
from hf_mlc.cards import writing
from hf_mlc.errors import UserError
from hf_mlc.publishing import pushing, stage_model, uploading
from hf_mlc.publishing.contents import publication_files
from hf_mlc.publishing.repository import Repository
from hf_mlc.run_facts import weights_fingerprint
from tests.hub.conftest import run_python
from tests.hub.publisher import train_words
from tests.spaces.small_model import write_small_model


@pytest.fixture(scope="session")
def names(demo_model, tmp_path_factory) -> set[str]:
    """The files of a publication of the demo model."""
    staged = tmp_path_factory.mktemp("names")
    stage_model(demo_model, staged, run_snippet=False)
    return {path.name for path in staged.iterdir()}


def train(publisher, corpus, folder, *words: str, **environment: str):
    return publisher.command("train", *train_words(corpus, folder, *words), **environment)


def commits_of(publisher, repo_id: str) -> list[tuple[str, dict[str, bytes]]]:
    """Title and files of every commit but the Hub's own first one, the oldest first."""
    repo = publisher.hub.repo(repo_id)
    commits = []
    for sha, facts in repo.history(repo.resolve("main")):
        files = {path: repo.content(stored) for path, stored in repo.files_at(sha).items() if path != ".gitattributes"}
        commits.append((facts["title"], files))
    return commits[::-1][1:]


# -- the trainer


@pytest.mark.parametrize("strategy", ["end", "every_save", "checkpoint", "all_checkpoints"])
def test_with_every_strategy_all_commits_hold_a_model_and_nothing_else(
    publisher, demo_corpus, names, tmp_path, strategy
):
    repo_id, folder = publisher.repo_id(), tmp_path / "run"
    words = ["--push_to_hub", "true", "--hub_model_id", repo_id, "--hub_strategy", strategy, "--do_predict", "true"]
    outcome = train(publisher, demo_corpus, folder, *words, "--hub_private_repo", "true")
    assert outcome.status == 0, outcome.stderr
    assert f"published as {repo_id}" in outcome.stderr

    *before, (title, files) = commits_of(publisher, repo_id)
    assert title == "End of training"
    assert set(files) == names
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert files["results.json"] == (folder / "results.json").read_bytes()
    results = json.loads(files["results.json"])
    assert f"| {results['test']['f1_micro']:.3f}" in files["README.md"].decode()
    assert str(tmp_path).encode() not in b"".join(files.values())
    assert publisher.hub.repo(repo_id).facts["private"]

    titles = [title for title, _ in before]
    if strategy == "end":
        assert titles == []
    elif strategy == "all_checkpoints":
        assert titles == ["Training in progress, epoch 1", "Training in progress, epoch 2"]
        assert before[0][1]["model.safetensors"] != before[1][1]["model.safetensors"]
    else:  # the second is left out where the first is still going on
        assert titles[0] == "Training in progress, epoch 1"
    for _, files in before:
        assert set(files) == {name for name in names if not name.endswith(".png")} - {"results.json"}
    assert ("what a run is resumed from stays in" in outcome.stderr) == ("checkpoint" in strategy)
    assert not list(folder.rglob("training_args.bin"))


def test_after_a_second_training_its_weights_are_published_and_the_card_says_so(
    publisher, demo_corpus, names, tmp_path
):
    repo_id, folder = publisher.repo_id(), tmp_path / "run"
    outcome = train(
        publisher, demo_corpus, folder, "--refit", "true", "--push_to_hub", "true", "--hub_model_id", repo_id,
        "--hub_strategy", "all_checkpoints", "--do_predict", "true",
    )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    *before, (_, files) = commits_of(publisher, repo_id)
    assert len(before) == 2  # the first training's; checkpoints of the second stay
    assert set(files) == names
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert files["model.safetensors"] not in [earlier["model.safetensors"] for _, earlier in before]
    results, card = json.loads(files["results.json"]), files["README.md"].decode()
    assert results["refit"]["rows"] == 120 + 40
    assert f"then anew on all 160 training and validation rows, {results['refit']['epochs']:.3g} epochs" in card
    assert "The weights are those of the second training" in card


def test_a_private_repository_that_was_deleted_is_not_made_anew_for_all_to_see(publisher, demo_model, tmp_path):
    repo_id = publisher.repo_id()
    snippet = """
import sys
from huggingface_hub import HfApi
from hf_mlc import MultiLabelTrainer, MultiLabelTrainingArguments, load_model
loaded = load_model(sys.argv[1], device="cpu")
args = MultiLabelTrainingArguments(
    sys.argv[3], push_to_hub=True, hub_model_id=sys.argv[2], hub_private_repo=True, report_to="none", use_cpu=True,
    eval_strategy="no", save_strategy="no", load_best_model_at_end=False,
)
trainer = MultiLabelTrainer(loaded.model, args, processing_class=loaded.tokenizer)
HfApi().delete_repo(sys.argv[2])
trainer.push_to_hub()
"""
    outcome = publisher.snippet(snippet, demo_model, repo_id, tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert publisher.hub.repo(repo_id).facts["private"]


def test_a_failed_push_in_the_background_is_no_end_of_the_training(publisher, demo_corpus, names, tmp_path):
    repo_id = publisher.repo_id()
    publisher.hub.fail("commit", "500")
    outcome = train(publisher, demo_corpus, tmp_path / "run", "--push_to_hub", "true", "--hub_model_id", repo_id)
    assert outcome.status == 0, outcome.stderr
    assert "a checkpoint was not pushed" in outcome.stderr
    assert set(publisher.hub.files(repo_id)) == names


def test_a_push_that_failed_at_the_end_is_done_by_publish(publisher, demo_corpus, names, tmp_path):
    repo_id, folder = publisher.repo_id(), tmp_path / "run"
    publisher.hub.fail("commit", "drop", times=None)
    outcome = train(publisher, demo_corpus, folder, "--push_to_hub", "true", "--hub_model_id", repo_id)
    assert outcome.status == 2
    assert outcome.stderr.splitlines()[-1].startswith(f"hf-mlc: error: {repo_id}: the Hub can't be reached")
    publisher.hub.repair()
    assert publisher.command("publish", "--model", folder, "--repo_id", repo_id).status == 0
    assert set(publisher.hub.files(repo_id)) == names


@pytest.mark.parametrize(
    ("repo_id", "token", "words"),
    [
        ("nobody/x", "hf_of_org", "belongs to nobody; accepted: org"),
        ("org/x", "hf_of_nobody", "the Hub doesn't accept the token"),
        ("org/x", "hf_read_only", "the token may only read"),
    ],
)
def test_what_stands_in_the_way_is_said_before_training(publisher, demo_corpus, tmp_path, repo_id, token, words):
    given = ["--push_to_hub", "true", "--hub_model_id", repo_id]
    outcome = train(publisher, demo_corpus, tmp_path / "run", *given, HF_TOKEN=token)
    assert outcome.status == 2
    assert words in outcome.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("checkpoint-*"))


# -- the trainer's card


@pytest.fixture
def quick_cards(monkeypatch):
    """Cards without the output of their snippet, which takes seconds to make."""
    monkeypatch.setattr(writing, "printed_by_snippet", lambda facts: None)


def trainer_of(demo_model, folder) -> MultiLabelTrainer:
    loaded = load_model(str(demo_model), device="cpu")
    rows = [{**loaded.tokenizer("pneumonia and fever"), "labels": [number]} for number in range(6)]
    rows = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
    return MultiLabelTrainer(
        loaded.model,
        MultiLabelTrainingArguments(
            str(folder), num_train_epochs=1, report_to="none", use_cpu=True, disable_tqdm=True, save_strategy="no",
            load_best_model_at_end=False, train_sampling_strategy="random",
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=MultiLabelCollator(loaded.tokenizer, loaded.model.config.num_labels),
        processing_class=loaded.tokenizer,
    )  # fmt: skip


def test_create_model_card_writes_our_card_and_keeps_the_users_words(demo_model, tmp_path, quick_cards):
    trainer = trainer_of(demo_model, tmp_path)
    trainer.train()
    trainer.tune_thresholds()
    trainer.evaluate()
    trainer.evaluate_test(trainer.eval_dataset)
    trainer.save_model()
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n\nMy words.\n")
    trainer.create_model_card(tags="clinical", language="en", dataset_tags="org/notes", finetuned_from="org/base")
    card = (tmp_path / "README.md").read_text()
    assert "license: mit" in card and "My words." in card and "<!-- hf_mlc: begin -->" in card
    header = card.partition("---\n")[2].partition("\n---")[0].splitlines()
    assert {"language: en", "- clinical", "- plant", "- org/notes", "base_model: org/base"} <= set(header)
    results = json.loads((tmp_path / "results.json").read_text())
    newest = {
        split: next(row for row in reversed(trainer.state.log_history) if f"{prefix}f1_micro" in row)
        for split, prefix in (("validation", "eval_"), ("test", "test_"))
    }
    assert results["validation"]["f1_micro"] == newest["validation"]["eval_f1_micro"]
    assert results["test"]["f1_micro"] == newest["test"]["test_f1_micro"]
    assert results["thresholds"] == trainer.threshold_choice.to_dict()
    assert results["training"]["steps"] == trainer.state.global_step == 1

    trainer.create_model_card(tags="clinical")  # a second time
    assert (tmp_path / "README.md").read_text().count("- clinical") == 1


def test_results_that_the_caller_wrote_are_left_alone(demo_model, tmp_path, quick_cards):
    trainer = trainer_of(demo_model, tmp_path)
    trainer.save_model()
    trainer.evaluate()
    shutil.copy(demo_model / "results.json", tmp_path)
    trainer.has_results = True
    trainer.create_model_card()
    assert (tmp_path / "results.json").read_bytes() == (demo_model / "results.json").read_bytes()


# -- the model


PUSH = """
import json, sys
from hf_mlc import load_model
folder, repo_id, arguments = sys.argv[1:]
loaded = load_model(folder, device="cpu")
{change}
print(loaded.model.push_to_hub(repo_id, **json.loads(arguments)).oid)
"""


def push(publisher, folder, repo_id: str, change: str = "", **arguments):
    return publisher.snippet(PUSH.replace("{change}", change), folder, repo_id, json.dumps(arguments))


def test_a_model_pushes_the_files_of_publish(publisher, demo_model, names):
    repo_id = publisher.repo_id()
    outcome = push(publisher, demo_model, repo_id, commit_message="by hand", private=True, tags=["clinical"])
    assert outcome.status == 0, outcome.stderr
    files = publisher.hub.files(repo_id)
    assert set(files) == names
    assert files["results.json"] == (demo_model / "results.json").read_bytes()
    assert "- clinical\n" in files["README.md"].decode()
    assert publisher.hub.commits(repo_id)[0] == "by hand"
    assert publisher.hub.repo(repo_id).facts["private"]

    outcome = push(publisher, demo_model, repo_id, "loaded.model.decoder.bias.data += 1", revision="next")
    assert "its results and its README.md are left out" in outcome.stderr
    assert {name for name in names if not name.endswith(".png")} - {"results.json"} == set(
        publisher.hub.files(repo_id, "next")
    )


def test_a_model_that_was_never_saved_goes_with_the_tokenizer_it_is_given(publisher, demo_model, names):
    repo_id = publisher.repo_id()
    fresh = "loaded.model = type(loaded.model)(loaded.model.config); loaded.model.config.name_or_path = ''"
    assert push(publisher, demo_model, repo_id, fresh).status == 0
    without = {name for name in names if not name.startswith("tokenizer") and not name.endswith(".png")}
    assert set(publisher.hub.files(repo_id)) == without - {"results.json"}
    given = PUSH.replace("repo_id, **", "repo_id, tokenizer=loaded.tokenizer, **").replace("{change}", fresh)
    assert publisher.snippet(given, demo_model, repo_id, "{}").status == 0
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(publisher.hub.files(repo_id))


def test_save_pretrained_pushes_as_well(publisher, demo_model, names, tmp_path):
    repo_id = publisher.repo_id()
    snippet = """
import sys
from hf_mlc import load_model
model = load_model(sys.argv[1], device="cpu").model
model.save_pretrained(sys.argv[3], push_to_hub=True, repo_id=sys.argv[2], private=True, commit_message="saved")
"""
    outcome = publisher.snippet(snippet, demo_model, repo_id, tmp_path / "saved")
    assert outcome.status == 0, outcome.stderr
    assert set(publisher.hub.files(repo_id)) == names
    assert publisher.hub.commits(repo_id)[0] == "saved"
    assert publisher.hub.repo(repo_id).facts["private"]
    assert "README.md" not in {path.name for path in (tmp_path / "saved").iterdir()}


def test_the_copy_beside_the_weights_pushes_as_transformers_does(publisher, demo_model, names, tmp_path):
    """Without this package there is no card and no tokenizer, but weights, configuration and code."""
    repo_id = publisher.repo_id()
    change = "type(loaded.model).publisher = None"
    outcome = push(publisher, demo_model, repo_id, change)
    assert outcome.status == 0, outcome.stderr
    files = publisher.hub.files(repo_id)
    assert {name for name in names if name.endswith(".py")} | {"config.json", "model.safetensors"} <= set(files)
    (tmp_path / "there").mkdir()
    for name, content in files.items():
        (tmp_path / "there" / name).write_bytes(content)
    assert publication_files(files, tmp_path / "there") == set(files)


def test_a_model_of_a_revision_goes_with_that_revisions_tokenizer(publisher, demo_model, tmp_path):
    repo_id, copy = publisher.repo_id(), shutil.copytree(demo_model, tmp_path / "copy")
    assert push(publisher, demo_model, repo_id).status == 0
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 7}))
    assert push(publisher, copy, repo_id, revision="short").status == 0
    snippet = """
import sys
import hf_mlc
from transformers import AutoModel
AutoModel.from_pretrained(sys.argv[1], revision="short").push_to_hub(sys.argv[1], revision="again")
hf_mlc.load_model(sys.argv[1], revision="short", device="cpu").model.push_to_hub(sys.argv[1], revision="third")
"""
    outcome = publisher.snippet(snippet, repo_id)
    assert outcome.status == 0, outcome.stderr
    for revision, length in (("main", 64), ("short", 7), ("again", 7), ("third", 7)):
        there = json.loads(publisher.hub.files(repo_id, revision)["tokenizer_config.json"])
        assert there["model_max_length"] == length, revision


def test_the_card_names_the_owner_where_the_user_did_not(publisher, demo_model):
    name = publisher.repo_id().partition("/")[2]
    assert push(publisher, demo_model, name).status == 0
    assert f'model="org/{name}"' in publisher.hub.files(f"org/{name}")["README.md"].decode()


@pytest.fixture
def commits(monkeypatch):
    """What the Hub is asked to commit, in place of a Hub."""
    asked = []

    def create_commit(self, repo_id, operations, **how):
        asked.append({"token": self.token, "files": {operation.path_in_repo for operation in operations}, **how})
        return SimpleNamespace(oid="new")

    monkeypatch.setattr(HfApi, "create_commit", create_commit)
    monkeypatch.setattr(pushing, "own_repo_id", lambda api, repo_id: repo_id)
    there = Repository("org/x", "old", frozenset(), False)
    monkeypatch.setattr(uploading, "open_repository", lambda *args, **how: there)
    return asked


def test_all_that_transformers_lets_one_say_of_a_push_is_taken(tmp_path, commits, quick_cards):
    model = load_model(str(write_small_model(tmp_path / "model", card=None)), device="cpu").model
    known = set(inspect.signature(PreTrainedModel.push_to_hub).parameters) - {"self", "repo_id"}
    assert known <= set(inspect.signature(pushing.push_model).parameters)
    said = {"commit_message": "by hand", "commit_description": "All of it."}
    model.push_to_hub("org/x", **said, max_shard_size=None, token=True)
    model.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="org/x", **said, tags=["clinical"])
    for asked in commits:
        assert said.items() <= asked.items() and "model.safetensors" in asked["files"]
    assert [asked["token"] for asked in commits] == [True, None]
    with pytest.raises(UserError, match="field 'token': found False"):
        model.push_to_hub("org/x", token=False)


def test_the_places_of_save_pretrained_are_those_of_transformers(tmp_path, commits, quick_cards):
    """`save_pretrained(folder, True)` is said by whoever means `is_main_process`, and must publish nothing."""
    model = load_model(str(write_small_model(tmp_path / "model", card=None)), device="cpu").model
    ours, theirs = (inspect.signature(one.save_pretrained).parameters for one in (type(model), PreTrainedModel))
    assert list(ours)[:5] == list(theirs)[:5]
    other = {name: values + 1 for name, values in model.state_dict().items()}
    model.save_pretrained(tmp_path / "main", True, other)
    assert torch.equal(load_file(tmp_path / "main/model.safetensors")["decoder.bias"], other["decoder.bias"])
    model.save_pretrained(tmp_path / "helper", False)
    assert not (tmp_path / "helper/model.safetensors").exists()
    model.save_pretrained(tmp_path / "helper", False, push_to_hub=True, repo_id="org/x")
    assert commits == []
    model.save_pretrained(tmp_path / "pushed", True, None, True, repo_id="org/x")
    assert len(commits) == 1


def test_what_was_loaded_from_the_hub_and_not_changed_is_pushed_with_its_results(publisher, demo_model, tmp_path):
    repo_id, folder = publisher.repo_id(), shutil.copytree(demo_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    decision = {"thresholds": config["thresholds"], "min_labels": config["min_labels"], "tuned": True}
    measured = {"split": "test", "metrics": {"f1_micro": 0.98765}, "decision": decision}
    (folder / "metrics.json").write_text(json.dumps(measured | {"weights": weights_fingerprint(str(folder))}))
    (folder / "README.md").write_text("# Mine\n\nMy words.\n")
    assert push(publisher, folder, repo_id).status == 0
    before = publisher.hub.files(repo_id)
    assert {"results.json", "metrics.json"} <= set(before) and "0.988" in before["README.md"].decode()
    snippet = """
import sys
import hf_mlc
from transformers import AutoModel
repo_id = sys.argv[1]
AutoModel.from_pretrained(repo_id).push_to_hub(repo_id)
AutoModel.from_pretrained(repo_id).push_to_hub(repo_id + "-copy")
hf_mlc.load_model(repo_id, device="cpu").model.push_to_hub(repo_id + "-other")
trained = AutoModel.from_pretrained(repo_id)
trained.decoder.bias.data += 1
trained.push_to_hub(repo_id, revision="trained")
"""
    outcome = publisher.snippet(snippet, repo_id)
    assert outcome.status == 0, outcome.stderr
    for name in (repo_id, f"{repo_id}-copy", f"{repo_id}-other"):
        files = publisher.hub.files(name)
        assert set(files) == set(before), name
        assert all(files[one] == before[one] for one in ("results.json", "metrics.json", "model.safetensors")), name
        card = files["README.md"].decode()
        assert "My words." in card and "0.988" in card, name
    assert not {"results.json", "metrics.json"} & set(publisher.hub.files(repo_id, "trained"))
    assert f"no longer those in {repo_id}: its results" in outcome.stderr


def test_a_private_model_is_loaded_and_pushed_whole_by_a_token_that_is_given(publisher, demo_model):
    """No token in the environment: tokenizer, results and README.md are asked for with the one that pushes."""
    repo_id = publisher.repo_id()
    assert push(publisher, demo_model, repo_id, private=True).status == 0
    snippet = """
import sys
import hf_mlc
from transformers import AutoModel
repo_id, token = sys.argv[1:]
AutoModel.from_pretrained(repo_id, token=token).push_to_hub(repo_id + "-copy", token=token, private=True)
"""
    outcome = publisher.snippet(snippet, repo_id, publisher.hub.token, HF_TOKEN="", HF_HOME=f"{publisher.home}/none")
    assert outcome.status == 0, outcome.stderr
    assert "goes without" not in outcome.stderr
    assert set(publisher.hub.files(f"{repo_id}-copy")) == set(publisher.hub.files(repo_id))


WITH_TOKEN = """
import sys
from transformers import AutoModel
repo_id, token, *package = sys.argv[1:]
if package:
    import hf_mlc
model = AutoModel.from_pretrained(repo_id, token=token, trust_remote_code=not package)
assert token not in str(vars(model.config)), "the token is kept"
print(*model.config.id2label.values())
"""


@pytest.mark.parametrize("package", [True, False])
def test_the_file_of_names_of_a_private_model_is_read_by_the_token_that_is_given(
    publisher, demo_model, tmp_path, package
):
    repo_id, folder = publisher.repo_id(), shutil.copytree(demo_model, tmp_path / "model")
    loaded = load_model(str(folder), device="cpu")
    loaded.model.config.label_space_file = "labels.json"  # as of more than 20,000 labels
    loaded.model.save_pretrained(folder)
    assert push(publisher, folder, repo_id, private=True).status == 0
    assert "labels.json" in publisher.hub.files(repo_id)
    said = (WITH_TOKEN, repo_id, publisher.hub.token, *(["package"] if package else []))
    ended = run_python(publisher.hub, tmp_path / "home", *said, token=None, without_package=not package)
    assert ended.stdout.split() == " ".join(loaded.label_space.names).split()


def test_a_pull_request_is_refused(publisher, demo_model):
    outcome = push(publisher, demo_model, "org/x", create_pr=True)
    assert "field 'create_pr': found True; accepted: False" in outcome.stderr
