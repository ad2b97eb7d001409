"""Publishing to a Hub on 127.0.0.1, over HTTP, with the unchanged client."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from hf_mlc.publishing import stage_model
from tests.local_hub.routes import match_route


# what a publication asks the Hub for
FIRST_TIME = ("whoami", "info", "create", "validate_yaml", "preupload", "lfs_batch", "lfs_put", "commit")
UPDATE = ("whoami", "info", "resolve", "validate_yaml", "preupload", "lfs_batch", "lfs_put", "commit")
OWN_WORDS = "Please read this first."
ADD_FILES = """
import json, sys
from huggingface_hub import CommitOperationAdd, HfApi
api, repo_id, files = HfApi(), sys.argv[1], json.loads(sys.argv[2])
api.create_repo(repo_id, exist_ok=True)
files = [CommitOperationAdd(name, text.encode()) for name, text in files.items()]
api.create_commit(repo_id, files, commit_message="by hand")
"""


@pytest.fixture(scope="session")
def staged(demo_model, tmp_path_factory):
    """What is to be on the Hub."""
    folder = tmp_path_factory.mktemp("staged")
    stage_model(demo_model, folder, run_snippet=False)
    return folder


@pytest.fixture
def update(staged, tmp_path):
    """The same after more training: other weights, and no results of them yet."""
    folder = shutil.copytree(staged, tmp_path / "update")
    tensors = {name: tensor + 0.5 for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "results.json").unlink()
    return folder


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def add_files(publisher, repo_id: str, files: dict[str, str]) -> None:
    """Somebody edits the repository on the Hub."""
    outcome = publisher.snippet(ADD_FILES, repo_id, json.dumps(files))
    assert outcome.status == 0, outcome.stderr


def upload(publisher, folder, repo_id: str, **arguments) -> None:
    outcome = publisher.upload(folder, repo_id, **arguments)
    assert outcome.status == 0, outcome.stderr


def error_of(outcome) -> str:
    """The one line of a refusal."""
    assert outcome.status == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("hf-mlc: error: ")]
    return line.removeprefix("hf-mlc: error: ")


def routes_of(publisher) -> set[str]:
    return {match_route(method, path).route for method, path, _ in publisher.hub.requests}


def forget_weights(publisher, folder) -> None:
    """The Hub's storage keeps what tests before this one have uploaded, and wouldn't ask for it again."""
    content = (folder / "model.safetensors").read_bytes()
    publisher.hub.store.blobs.joinpath(hashlib.sha256(content).hexdigest()).unlink(missing_ok=True)


# -- the command


def test_publish_makes_one_commit_of_exactly_the_staged_files_and_prints_the_address(publisher, demo_model, staged):
    repo_id = publisher.repo_id()
    words = ("--model", demo_model, "--repo_id", repo_id, "--commit_message", "first")
    outcome = publisher.command("publish", *words)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == f"{publisher.hub.url}/{repo_id}\n"
    files = publisher.hub.files(repo_id)
    assert set(files) == set(contents(staged))
    assert files["model.safetensors"] == (demo_model / "model.safetensors").read_bytes()
    assert files["results.json"] == (demo_model / "results.json").read_bytes()
    assert publisher.hub.commits(repo_id) == ["first", "initial commit"]

    again = publisher.command("publish", *words[:-1], "second")
    assert again.status == 0
    assert "nothing was changed" in again.stderr
    assert publisher.hub.commits(repo_id) == ["first", "initial commit"]


def test_a_dry_run_writes_and_lists_the_folder_and_asks_the_hub_for_nothing(publisher, demo_model, staged, tmp_path):
    output = tmp_path / "output"
    words = ("--model", demo_model, "--repo_id", "org/dry", "--dry_run", "--output", output)
    outcome = publisher.command("publish", *words)
    assert outcome.status == 0, outcome.stderr
    assert publisher.hub.requests == []
    files = contents(output)
    assert set(files) == set(contents(staged))
    *rows, total, place = outcome.stdout.splitlines()
    assert place == str(output)
    listed = {row.split()[1]: int(row.split()[0].replace(",", "")) for row in rows}
    assert listed == {name: len(content) for name, content in files.items()}
    assert total.strip() == f"{sum(listed.values()):,}  bytes in {len(listed)} files"

    line = error_of(publisher.command("publish", *words))
    assert "is not empty (it holds README.md, " in line and "; accepted: a new or an empty folder" in line


# -- updates


def test_an_upload_of_the_same_makes_no_commit(publisher, staged):
    repo_id = publisher.repo_id()
    for _ in range(2):
        upload(publisher, staged, repo_id)
    assert publisher.hub.commits(repo_id) == ["Publish model", "initial commit"]


def test_files_of_an_earlier_publication_go_and_the_users_own_stay(publisher, staged):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    # as an earlier version of the package may have left it: metrics, weights in parts, a module no longer needed
    old_code = "from .once_needed import x\n" + (staged / "modeling_plant.py").read_text()
    stale = {"metrics.json": "{}", "model-00001-of-00002.safetensors": "x", "once_needed.py": "import torch\n"}
    own = {"logo.png": "a picture", "handler.py": "import torch\n", "onnx/model.onnx": "x", "notes/results.json": "{}"}
    add_files(publisher, repo_id, {**stale, **own, "modeling_plant.py": old_code})
    upload(publisher, staged, repo_id)
    assert publisher.hub.files(repo_id) == contents(staged) | {name: text.encode() for name, text in own.items()}


def test_a_model_pushed_without_its_tokenizer_leaves_the_one_that_is_there(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (update / name).unlink()
    upload(publisher, update, repo_id)
    assert set(publisher.hub.files(repo_id)) == set(contents(staged)) - {"results.json"}


# -- interruptions


@pytest.mark.parametrize("route", FIRST_TIME)
def test_a_first_upload_cut_at_any_route_is_completed_by_running_it_again(publisher, staged, route):
    repo_id = publisher.repo_id()
    forget_weights(publisher, staged)
    publisher.hub.fail(route, "drop", times=None)
    assert "run it again" in error_of(publisher.upload(staged, repo_id, patient=False))
    assert route in routes_of(publisher)
    assert publisher.hub.store.find("model", repo_id) is None or publisher.hub.files(repo_id) == {}
    publisher.hub.repair()
    upload(publisher, staged, repo_id)
    assert publisher.hub.files(repo_id) == contents(staged)


@pytest.mark.parametrize("route", UPDATE)
def test_an_update_whose_answers_get_lost_is_completed_by_running_it_again(publisher, staged, update, route):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    add_files(publisher, repo_id, {"metrics.json": "{}", "logo.png": "a picture"})
    before = publisher.hub.files(repo_id)
    forget_weights(publisher, update)
    publisher.hub.requests.clear()
    publisher.hub.fail(route, "drop_after", times=None)
    assert "run it again" in error_of(publisher.upload(update, repo_id, patient=False))
    assert route in routes_of(publisher)
    wanted = contents(update) | {"logo.png": b"a picture"}
    # never half of it; a commit is made, only the news of it is lost
    assert publisher.hub.files(repo_id) == (wanted if route == "commit" else before)
    publisher.hub.repair()
    upload(publisher, update, repo_id)
    assert publisher.hub.files(repo_id) == wanted
    assert publisher.hub.commits(repo_id)[:2] == ["Publish model", "by hand"]


def test_no_route_of_a_publication_is_missing_above(publisher, staged, update):
    repo_id = publisher.repo_id()
    for folder, routes in ((staged, FIRST_TIME), (update, UPDATE)):
        forget_weights(publisher, folder)
        publisher.hub.requests.clear()
        upload(publisher, folder, repo_id)
        assert routes_of(publisher) == set(routes)


@pytest.mark.parametrize("kind", ["drop", "500", "429"])
def test_a_passing_fault_is_overcome_by_the_client_itself(publisher, staged, kind):
    repo_id = publisher.repo_id()
    publisher.hub.fail("preupload", kind)
    assert publisher.upload(staged, repo_id, patient=False).status == 0
    assert publisher.hub.files(repo_id) == contents(staged)


@pytest.mark.parametrize(
    ("route", "kind", "words"),
    [
        ("commit", "500", "the Hub answered 500"),
        ("commit", "429", "the Hub asks to slow down"),
        ("commit", "drop", "the Hub can't be reached"),
        ("validate_yaml", "500", "the Hub answered 500"),
        ("lfs_put", "500", "the upload broke off"),
    ],
)
def test_a_hub_out_of_order_is_one_line(publisher, update, route, kind, words):
    forget_weights(publisher, update)
    publisher.hub.fail(route, kind, times=None)
    assert words in error_of(publisher.upload(update, publisher.repo_id(), patient=False))


def test_an_edit_that_arrives_meanwhile_is_not_lost(publisher, staged, update):
    """The README is edited after it was merged with and before the commit arrives: that is refused, and made anew."""
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    edit_in_between = """
import pathlib, sys
from huggingface_hub import CommitOperationAdd, HfApi
from hf_mlc.publishing import uploading
merge, done = uploading.merge_card, []
def merged_too_early(there, generated):
    if not done:
        done.append(there)
        text = there.replace("<!-- hf_mlc: begin", "Edited meanwhile.\\n\\n<!-- hf_mlc: begin")
        HfApi().create_commit(sys.argv[2], [CommitOperationAdd("README.md", text.encode())], commit_message="edit")
    return merge(there, generated)
uploading.merge_card = merged_too_early
uploading.upload_staged(pathlib.Path(sys.argv[1]), sys.argv[2])
"""
    outcome = publisher.snippet(edit_in_between, update, repo_id)
    assert outcome.status == 0, outcome.stderr
    files = publisher.hub.files(repo_id)
    assert b"Edited meanwhile." in files["README.md"]
    assert files["model.safetensors"] == contents(update)["model.safetensors"]


# -- whose repository


def test_a_private_publication_is_private(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id, private=True)
    assert publisher.hub.repo(repo_id).facts["private"]
    upload(publisher, update, repo_id, private=True)
    assert publisher.hub.files(repo_id) == contents(update)


def test_what_is_to_be_private_does_not_go_into_a_public_repository(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    line = error_of(publisher.upload(update, repo_id, private=True))
    assert line.startswith(f"{repo_id}, field 'private': is public")
    assert publisher.hub.files(repo_id) == contents(staged)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("hf_of_nobody", "the Hub doesn't accept the token"),
        ("hf_read_only", "the token may only read"),
        ("hf_of_somebody", "belongs to org; accepted: somebody as owner"),
        (None, "no token; accepted: a token that may write"),
    ],
)
def test_without_the_right_to_write_nothing_happens(publisher, staged, token, words):
    repo_id = publisher.repo_id()
    environment = {"HF_TOKEN": ""} if token is None else {}
    outcome = publisher.upload(staged, repo_id, environment=environment, token=token)
    assert words in error_of(outcome)
    assert publisher.hub.store.find("model", repo_id) is None


def test_a_name_without_an_owner_is_the_users_own(publisher, staged):
    name = publisher.repo_id().removeprefix("org/")
    upload(publisher, staged, name, token=publisher.hub.other_token)
    assert publisher.hub.files(f"somebody/{name}") == contents(staged)


def test_publish_says_who_may_not_before_anything_else_and_whose_it_is_in_the_card(publisher, demo_model, tmp_path):
    words = ("publish", "--model", tmp_path / "no-model", "--repo_id", "nobody/x")
    assert "belongs to nobody" in error_of(publisher.command(*words))
    name = publisher.repo_id().removeprefix("org/")
    assert publisher.command("publish", "--model", demo_model, "--repo_id", name).status == 0
    assert f'model="org/{name}"' in publisher.hub.files(f"org/{name}")["README.md"].decode()


def test_offline_and_without_a_network_it_is_one_line(publisher, staged):
    snippet = """
import pathlib, sys
import huggingface_hub.constants
from hf_mlc.commands.running import run
from hf_mlc.publishing import upload_staged
if sys.argv[2] == "offline":
    huggingface_hub.constants.HF_HUB_OFFLINE = True
sys.exit(run(lambda _: upload_staged(pathlib.Path(sys.argv[1]), "org/x", endpoint="http://127.0.0.1:9")))
"""
    assert "HF_HUB_OFFLINE is set" in error_of(publisher.snippet(snippet, staged, "offline"))
    assert "the Hub can't be reached" in error_of(publisher.snippet(snippet, staged, "online", patient=False))


OTHERS = {
    "a model of type bert": {"config.json": '{"model_type": "bert"}', "pytorch_model.bin": "x", "vocab.txt": "a"},
    "a config.json without a model_type": {"config.json": "[1]"},
    "weights of another model": {"weights.gguf": "x"},
}


@pytest.mark.parametrize("holds", OTHERS)
def test_another_models_repository_is_refused_until_told_otherwise(publisher, staged, holds):
    repo_id = publisher.repo_id()
    add_files(publisher, repo_id, OTHERS[holds] | {"README.md": "Another model.", "logo.png": "a picture"})
    before = publisher.hub.files(repo_id)
    line = error_of(publisher.upload(staged, repo_id))
    assert f"holds {holds}; accepted: another repo_id, or --overwrite" in line
    assert publisher.hub.files(repo_id) == before
    upload(publisher, staged, repo_id, overwrite=True)
    assert publisher.hub.files(repo_id) == contents(staged) | {"logo.png": b"a picture"}


def test_a_repository_without_a_model_may_be_filled(publisher, staged):
    repo_id = publisher.repo_id()
    add_files(publisher, repo_id, {"README.md": OWN_WORDS})
    upload(publisher, staged, repo_id)
    assert set(publisher.hub.files(repo_id)) == set(contents(staged))
    assert OWN_WORDS.encode() in publisher.hub.files(repo_id)["README.md"]


# -- branches


def test_a_branch_is_made_and_main_stays(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    for _ in range(2):
        outcome = publisher.upload(update, repo_id, revision="next")
        assert outcome.stdout == f"{publisher.hub.url}/{repo_id}/tree/next\n", outcome.stderr
    assert publisher.hub.files(repo_id) == contents(staged)
    assert publisher.hub.files(repo_id, "next") == contents(update)


def test_a_first_publication_may_go_to_a_branch(publisher, staged):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id, revision="next")
    assert publisher.hub.files(repo_id) == {}
    assert publisher.hub.files(repo_id, "next") == contents(staged)


def test_a_branch_of_another_models_repository_is_refused_too(publisher, staged):
    repo_id = publisher.repo_id()
    add_files(publisher, repo_id, OTHERS["a model of type bert"])
    assert "holds a model of type bert" in error_of(publisher.upload(staged, repo_id, revision="ours"))
    assert set(publisher.hub.repo(repo_id).facts["branches"]) == {"main"}


def test_a_tag_is_no_branch_to_publish_to(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    tag = "import sys; from huggingface_hub import HfApi; HfApi().create_tag(sys.argv[1], tag='v1')"
    assert publisher.snippet(tag, repo_id).status == 0
    assert "v1 is no branch" in error_of(publisher.upload(update, repo_id, revision="v1"))


# -- cards


def edited(card: bytes) -> str:
    """As a user edits a card on the Hub: words around the generated part, a licence, something inside that isn't so."""
    text = card.decode().replace("---\n", "---\nlicense: mit\n", 1)
    text = text.replace("<!-- hf_mlc: begin -->\n", f"{OWN_WORDS}\n\n<!-- hf_mlc: begin -->\nWRONG\n", 1)
    return f"{text}\nThanks to all.\n"


def with_words(folder, words: str) -> None:
    """As staging leaves a card that has words of the user's."""
    card = (folder / "README.md").read_text()
    head, marker, rest = card.partition("<!-- hf_mlc: begin -->\n")
    (folder / "README.md").write_text(f"{head.partition('# ')[0]}# Mine\n\n{words}\n\n{marker}{rest}")


def test_words_written_on_the_hub_are_kept_and_facts_are_renewed(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    add_files(publisher, repo_id, {"README.md": edited(publisher.hub.files(repo_id)["README.md"])})
    upload(publisher, update, repo_id)
    card = publisher.hub.files(repo_id)["README.md"].decode()
    assert OWN_WORDS in card and "Thanks to all." in card and "license: mit" in card
    assert "WRONG" not in card
    assert card.count("<!-- hf_mlc: begin -->") == 1


def test_words_written_in_the_folder_arrive(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    add_files(
        publisher,
        repo_id,
        {"README.md": (staged / "README.md").read_text().replace("---\n", "---\nlicense: mit\n", 1)},
    )
    with_words(update, OWN_WORDS)
    upload(publisher, update, repo_id)
    card = publisher.hub.files(repo_id)["README.md"].decode()
    assert OWN_WORDS in card and "license: mit" in card and "pipeline_tag: text-classification" in card


def test_of_two_texts_the_one_on_the_hub_is_kept_unless_told_otherwise(publisher, demo_model, staged, tmp_path):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    add_files(publisher, repo_id, {"README.md": edited((staged / "README.md").read_bytes())})
    model = shutil.copytree(demo_model, tmp_path / "model")
    (model / "README.md").write_text("# Mine\n\nOther words.\n")
    words = ("publish", "--model", model, "--repo_id", repo_id)
    outcome = publisher.command(*words)
    assert "README.md: the text on the Hub was kept, not the folder's" in outcome.stderr
    assert OWN_WORDS.encode() in publisher.hub.files(repo_id)["README.md"]
    assert publisher.command(*words, "--overwrite").status == 0
    card = publisher.hub.files(repo_id)["README.md"].decode()
    assert "Other words." in card and OWN_WORDS not in card


def test_a_card_that_the_hub_refuses_is_one_line_and_nothing_is_committed(publisher, staged, update):
    repo_id = publisher.repo_id()
    upload(publisher, staged, repo_id)
    card = (update / "README.md").read_text().replace("---\n", "---\nlicense: of my own\n", 1)
    (update / "README.md").write_text(card)
    line = error_of(publisher.upload(update, repo_id))
    assert line.startswith('README.md: the Hub refuses its metadata ("license" must be one of')
    assert publisher.hub.commits(repo_id) == ["Publish model", "initial commit"]
