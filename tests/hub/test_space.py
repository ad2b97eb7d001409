"""A Space on the Hub: made for a published model, pinned to its commit, run without our package."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.hub.conftest import run_python
from tests.spaces.small_model import NOTE, write_small_model


# several steps in one process, which takes seconds to start: an upload by the client, or a run of the command
STEPS = """
import contextlib, io, json, os, sys
from huggingface_hub import HfApi
from hf_mlc.commands.running import run
from hf_mlc.commands.space import main
outcomes = []
for step in json.load(open(sys.argv[1])):
    os.environ.pop("HF_TOKEN", None)
    if step["token"]:
        os.environ["HF_TOKEN"] = step["token"]
    if "upload" in step:
        where = dict(repo_id=step["to"], repo_type=step["type"])
        sdk = {"space_sdk": "static"} if step["type"] == "space" else {}
        HfApi().create_repo(**where, **sdk, private=step["private"], exist_ok=True)
        HfApi().upload_folder(**where, folder_path=step["upload"])
    else:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = run(main, step["space"])
        outcomes.append([status, said.getvalue()])
print(json.dumps(outcomes))
"""
# the app's own functions, run as the page would; prints the labels by the model's own thresholds
SCORE = """
import json, os, runpy, sys
app = runpy.run_path(sys.argv[1] + "/app.py")
settings = json.load(open(sys.argv[1] + "/space.json"))
found = app["score"](app["load"](settings["model"], settings["revision"]), sys.argv[2])
print(json.dumps([(entry["label"], round(entry["score"], 4), entry["evidence"][0]["text"]) for entry in found["labels"] if entry["tuned"]]))
"""
FILES = {"README.md", "app.py", "requirements.txt", "space.json", "style.css"}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def model_folder(tmp_path):
    return write_small_model(tmp_path / "model")


def upload(hub, folder, to="org/small", *, type="model", private=False) -> dict:
    return {"upload": str(folder), "to": to, "type": type, "private": private, "token": hub.token}


def space(hub, *arguments, token="") -> dict:
    return {"space": [str(argument) for argument in arguments], "token": hub.token if token == "" else token}


def push(hub, output, *more, repo_id="org/codes", token="") -> dict:
    arguments = ["--model", "org/small", "--output", output, "--push_to_hub", "--repo_id", repo_id, *more]
    return space(hub, *arguments, token=token)


def outcomes(hub, home, *steps) -> list[tuple[int, str]]:
    """Exit status and standard error of each run of the command among the steps."""
    home.mkdir(exist_ok=True)
    (home / "steps.json").write_text(json.dumps(steps), encoding="utf-8")
    result = run_python(hub, home, STEPS, home / "steps.json")
    return [(status, said) for status, said in json.loads(result.stdout.splitlines()[-1])]


def test_a_space_is_pushed_and_runs_without_the_package_on_the_commit_it_was_made_for(
    local_hub, home, model_folder, tmp_path
):
    # the model changes afterwards: no threshold is reached any more
    changed = shutil.copytree(model_folder, tmp_path / "changed")
    config = json.loads((changed / "config.json").read_text(encoding="utf-8"))
    config["thresholds"] = 1.0
    (changed / "config.json").write_text(json.dumps(config), encoding="utf-8")
    made = push(local_hub, tmp_path / "app", "--title", "Codes", "--private")
    [(status, said)] = outcomes(local_hub, home, upload(local_hub, model_folder), made, upload(local_hub, changed))
    assert status == 0, said
    assert f"pushed to {local_hub.url}/spaces/org/codes" in said

    files = local_hub.files("org/codes", repo_type="space")
    assert set(files) == FILES
    assert all(files[name] == (tmp_path / "app" / name).read_bytes() for name in FILES)
    facts = local_hub.repo("org/codes", repo_type="space").facts
    assert (facts["private"], facts["sdk"]) == (True, "gradio")
    settings = json.loads(files["space.json"])
    assert (settings["model"], settings["on_hub"], len(settings["revision"])) == ("org/small", True, 40)
    readme = files["README.md"].decode()
    assert "models:\n- org/small\n" in readme
    assert f"at commit `{settings['revision']}`" in readme

    visitor = run_python(local_hub, tmp_path / "visitor", SCORE, tmp_path / "app", NOTE, without_package=True)
    expected = [["J18.9", 0.9, "Pneumonia"], ["I10", 0.4, "hypertension"]]
    assert json.loads(visitor.stdout.splitlines()[-1]) == expected
    assert not local_hub.strays


def test_a_broken_push_can_be_run_again(local_hub, home, model_folder, tmp_path):
    local_hub.fail("commit", "500", times=1, after=1)  # the model's upload passes
    pushed = push(local_hub, tmp_path / "app")
    (status, said), again = outcomes(local_hub, home, upload(local_hub, model_folder), pushed, pushed)
    assert (status, said.splitlines()[-1].startswith("hf-mlc: error: org/codes: the Hub answered 500")) == (2, True)
    assert again[0] == 0, again
    assert set(local_hub.files("org/codes", repo_type="space")) == FILES


def test_what_may_not_be_written_to_or_read_is_one_line(local_hub, home, model_folder, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/index.html").write_text("hello", encoding="utf-8")
    app, secret, other = (tmp_path / name for name in ("app", "secret", "other"))
    to = ("--push_to_hub", "--repo_id")
    unseen = "no such repository on the Hub, or a private one that you may not see"
    cases = [
        (
            push(local_hub, app, repo_id="org/page"),
            "org/page, field 'repo_id': this Space holds another app (index.html)",
        ),
        (push(local_hub, app, token=local_hub.other_token), "org/codes, field 'repo_id': belongs to org"),
        (push(local_hub, app, token=local_hub.wrong_token), "the Hub doesn't accept the token"),
        (push(local_hub, app, "--private", repo_id="org/open"), "org/open, field 'private': is public already"),
        (space(local_hub, "--model", "org/nothing", "--output", other), f"org/nothing, field 'model': {unseen}"),
        (
            space(local_hub, "--model", "org/small", "--revision", "v9", "--output", other),
            "org/small, field 'revision': no revision 'v9'",
        ),
        (
            space(local_hub, "--model", "org/secret", "--output", other, token=None),
            f"org/secret, field 'model': {unseen}",
        ),
        (
            space(local_hub, "--model", "org/theirs", "--output", other, token=local_hub.wrong_token),
            "org/theirs, field 'model': the Hub doesn't accept the token",
        ),
        (
            space(local_hub, "--model", "org/theirs", "--output", other),
            "org/theirs, field 'model': it holds no config.json",
        ),
        (
            space(local_hub, "--model", "org/secret", "--output", secret, *to, "org/new"),
            "org/secret, field 'private': is a private model, and the Space would be public; accepted: --private",
        ),
        (
            space(local_hub, "--model", "org/secret", "--output", secret, *to, "org/open"),
            "org/secret, field 'private': is a private model",
        ),
    ]
    before = [
        upload(local_hub, model_folder),
        upload(local_hub, model_folder, "org/secret", private=True),
        upload(local_hub, tmp_path / "theirs", "org/page", type="space"),
        upload(local_hub, tmp_path / "theirs", "org/theirs"),
        push(local_hub, app, repo_id="org/open"),
    ]
    first, *found = outcomes(local_hub, home, *before, *(step for step, _ in cases))
    assert first[0] == 0, first
    for (status, said), (_, expected) in zip(found, cases, strict=True):
        assert (status, expected in said.splitlines()[-1]) == (2, True), (said, expected)
    assert set(local_hub.files("org/page", repo_type="space")) == {"index.html"}
    for name in ("org/codes", "org/new"):
        with pytest.raises(KeyError):
            local_hub.repo(name, repo_type="space")
    assert json.loads(local_hub.files("org/open", repo_type="space")["space.json"])["model"] == "org/small"
    assert not other.exists()
