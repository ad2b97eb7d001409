"""What load_model and the Auto classes do with a model that is not as it should be, in a folder and on the Hub."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
from transformers import AutoModel

from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from tests.hub.conftest import run_python


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


# at the end of a file of code: imported, it makes a file
MINE = "\nfrom pathlib import Path\nPath({witness!r}).touch()\n"


@pytest.fixture
def witness(tmp_path) -> Path:
    """A file that is there once something was run that should not have been."""
    return tmp_path / "was-run"


@pytest.fixture
def model(demo_model, tmp_path) -> Path:
    """A whole model's folder, to be spoilt."""
    return Path(shutil.copytree(demo_model, tmp_path / "spoilt"))


@pytest.fixture
def notes(tmp_path) -> Path:
    """Something to predict on."""
    file = tmp_path / "in.jsonl"
    file.write_text('{"text": "fever and cough"}\n', encoding="utf-8")
    return file


def change_config(model: Path, **changes) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config.update(changes)
    content = {name: value for name, value in config.items() if value is not None}
    (model / "config.json").write_text(json.dumps(content), encoding="utf-8")


def cut(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])


def pickle_weights(model: Path, witness: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"bias": Bomb(witness)}))


def mine_the_code(model: Path, witness: Path) -> None:
    for file in model.glob("*.py"):
        code = file.read_text(encoding="utf-8")
        file.write_text(code + MINE.format(witness=str(witness)), encoding="utf-8")


def become_unknown(model: Path, witness: Path) -> None:
    mine_the_code(model, witness)
    change_config(model, model_type="brand-new")


def bring_a_tokenizer_of_code(model: Path, witness: Path) -> None:
    (model / "tokenizer.json").unlink()
    (model / "tokenization_own.py").write_text(
        MINE.format(witness=str(witness)) + "class Own:\n    pass\n", encoding="utf-8"
    )
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    (model / "tokenizer_config.json").write_text(json.dumps(own), encoding="utf-8")


def drop_a_label(model: Path, witness: Path) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    names = list(config["label2id"])[:-1]
    change_config(
        model,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        label_space=None,
        thresholds=0.5,
    )


SPOILT = {
    "pickled weights": (pickle_weights, ["there is no model.safetensors", "pickled weights", "never opened"]),
    "weights cut short": (
        lambda model, _: cut(model / "model.safetensors", -1000),
        ["weights can't be loaded", "incomplete metadata"],
    ),
    "weights cut in their header": (
        lambda model, _: cut(model / "model.safetensors", 20),
        ["weights can't be loaded", "header"],
    ),
    "no weights": (
        lambda model, _: (model / "model.safetensors").unlink(),
        ["weights can't be loaded", "there is no model.safetensors"],
    ),
    "another architecture": (
        lambda model, _: change_config(model, model_type="bert"),
        ["field 'model_type'", "another architecture: 'bert'", "accepted: ", "plant"],
    ),
    "an architecture that only its code knows": (become_unknown, ["another architecture: 'brand-new'"]),
    "no architecture": (
        lambda model, _: change_config(model, model_type=None),
        ["field 'model_type'", "names no architecture"],
    ),
    "a label fewer than the weights": (drop_a_label, ["weights can't be loaded", "other shapes than config.json"]),
    "no config": (
        lambda model, _: (model / "config.json").unlink(),
        ["no readable config.json", "there is none"],
    ),
    "a config that is a list": (
        lambda model, _: (model / "config.json").write_text("[]", encoding="utf-8"),
        ["names no architecture"],
    ),
    "a config cut short": (lambda model, _: cut(model / "config.json", 100), ["no readable config.json"]),
    "no tokenizer": (
        lambda model, _: [file.unlink() for file in model.glob("tokenizer*")],
        ["no tokenizer", "there is no tokenizer.json"],
    ),
    # transformers builds an empty one from what is left, to which every word is unknown
    "a tokenizer without its words": (
        lambda model, _: [
            (model / "tokenizer.json").unlink(),
            (model / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8"),
        ],
        ["no tokenizer", "there is no tokenizer.json"],
    ),
    "a tokenizer cut short": (lambda model, _: cut(model / "tokenizer.json", 1000), ["no tokenizer"]),
    "a tokenizer of code": (bring_a_tokenizer_of_code, ["no tokenizer"]),
}


def predict_words(name: object, notes: Path) -> list[str]:
    return ["--model", str(name), "--input", str(notes)]


def error_line(status: int, stdout: str, stderr: str) -> str:
    """The one line that a command ended with."""
    lines = [line for line in stderr.splitlines() if line.startswith("hf-mlc: error: ")]
    assert status == 2 and stdout == "" and "Traceback" not in stderr, stderr
    assert len(lines) == 1 and stderr.splitlines()[-1] == lines[0]
    return lines[0]


@pytest.mark.parametrize("case", SPOILT)
def test_a_folder_that_is_not_as_it_should_be_is_one_line(case, model, notes, witness, capsys):
    spoil, fragments = SPOILT[case]
    spoil(model, witness)
    status = run(predict, predict_words(model, notes))
    line = error_line(status, *capsys.readouterr())
    for fragment in [str(model), *fragments]:
        assert fragment in line
    assert not witness.exists()


@pytest.mark.parametrize("case", SPOILT)
def test_a_repository_that_is_not_as_it_should_be_is_one_line(case, model, notes, witness, publisher):
    spoil, fragments = SPOILT[case]
    spoil(model, witness)
    repo_id = publisher.repo_id()
    publisher.hub.put(repo_id, model)
    line = error_line(*publisher.command("predict", *predict_words(repo_id, notes)))
    for fragment in [repo_id, *fragments]:
        assert fragment in line
    assert not witness.exists()
    fetched = {path.rpartition("/")[2] for _, path, _ in publisher.hub.requests if "/resolve/" in path}
    assert fetched <= {"config.json", "model.safetensors", "results.json", "run.json", "tokenizer.json"} | {
        "tokenizer_config.json"
    }


def test_the_bombs_are_live(model, witness):
    pickle_weights(model, witness)
    pickle.loads((model / "pytorch_model.bin").read_bytes())
    assert witness.exists()


# -- code that comes along


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_code_beside_the_weights_is_neither_fetched_nor_run(place, model, notes, witness, publisher):
    whole = publisher.command("predict", *predict_words(model, notes))
    mine_the_code(model, witness)
    name = model
    if place == "hub":
        publisher.hub.put(name := publisher.repo_id(), model)
    found = publisher.command("predict", *predict_words(name, notes))
    assert found.status == 0 and found.stdout == whole.stdout != ""
    assert not witness.exists()
    assert not [path for _, path, _ in publisher.hub.requests if path.endswith(".py")]


# arguments: the witness, then jobs as lists of further arguments and names; prints, for each name, the error's class and
# first line, and for each job whether the witness is there after it
AUTO_MODEL = """
import json, os, sys
import transformers
answers = []
for more, names in json.loads(sys.argv[2]):
    found = []
    for name in names:
        try:
            transformers.AutoModel.from_pretrained(name, **more)
            found.append("opened")
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}".split(chr(10))[0])
    answers.append([found, os.path.exists(sys.argv[1])])
print()  # transformers' question stands on the line
print(json.dumps(answers))
"""


@pytest.fixture
def spoilt_models(model, witness, publisher, tmp_path):
    """The same four models as folders and as repositories: pickled, cut short, a label fewer, with mined code."""
    spoils = [pickle_weights, SPOILT["weights cut short"][0], drop_a_label, mine_the_code]
    names = []
    for number, spoil in enumerate(spoils):
        folder = Path(shutil.copytree(model, tmp_path / f"model-{number}"))
        spoil(folder, witness)
        publisher.hub.put(repo_id := publisher.repo_id(), folder)
        names += [str(folder), repo_id]
    return names


def check_refusals(names: list[str], found: list[str]) -> None:
    for name, line in zip(names[:2], found[:2], strict=True):
        assert line.startswith(f"OSError: {name} has no model.safetensors; pickled weights") and "never opened" in line
    for line in found[2:4]:
        assert line.startswith("SafetensorError: ") and "incomplete" in line
    for line in found[4:6]:
        assert line.startswith("RuntimeError: ") and "ignore_mismatched_sizes" in line


def test_with_the_package_auto_model_refuses_the_same_and_runs_our_code(spoilt_models, witness, publisher):
    outcome = publisher.snippet(AUTO_MODEL, witness, json.dumps([[{}, spoilt_models]]))
    ((found, was_run),) = json.loads(outcome.stdout.splitlines()[-1])
    check_refusals(spoilt_models, found)
    assert found[6:] == ["opened", "opened"] and not was_run


def test_without_the_package_code_runs_only_when_it_is_asked_for(spoilt_models, witness, publisher, tmp_path):
    trust, mined = {"trust_remote_code": True}, spoilt_models[6:]
    jobs = [[{}, spoilt_models], [{"trust_remote_code": False}, mined], [trust, spoilt_models[:6]], [trust, mined]]
    words = [AUTO_MODEL, witness, json.dumps(jobs)]
    result = run_python(publisher.hub, tmp_path / "elsewhere", *words, without_package=True)
    unasked, refused, spoilt, asked = json.loads(result.stdout.splitlines()[-1])
    for line in [*unasked[0], *refused[0]]:
        assert line.startswith("ValueError: ") and "contains custom code which must be executed" in line
    check_refusals(spoilt_models, spoilt[0])
    assert not unasked[1] and not refused[1] and not spoilt[1]
    assert asked == [["opened", "opened"], True]  # the mined code is live


def test_pickles_are_not_opened_when_they_are_asked_for_either(model, witness):
    pickle_weights(model, witness)
    with pytest.raises(ValueError, match="use_safetensors=False: pickled weights are never opened"):
        AutoModel.from_pretrained(model, use_safetensors=False)
    assert not witness.exists()


# -- the way to the Hub


def predict_from_hub(publisher, repo_id: str, notes: Path, *more: str, **environment: str) -> str:
    words = [*predict_words(repo_id, notes), *more]
    return error_line(*publisher.command("predict", *words, patient=False, **environment))


def test_what_one_may_not_read_is_one_line(model, notes, publisher):
    hub, private, gated = publisher.hub, publisher.repo_id(), publisher.repo_id()
    hub.put(private, model, private=True)
    hub.put(gated, model)
    hub.repo(gated).set_facts(gated="auto")
    unseen = "no such repository on the Hub, or a private one that you may not see"
    assert unseen in predict_from_hub(publisher, "org/nothing", notes)
    for token in ("", hub.other_token):
        assert f"{private}, field 'model': {unseen}" in predict_from_hub(publisher, private, notes, HF_TOKEN=token)
        line = predict_from_hub(publisher, gated, notes, HF_TOKEN=token)
        assert f"{gated}, field 'model': gated" in line and "HF_TOKEN" in line
    for repo_id in (private, gated):
        line = predict_from_hub(publisher, repo_id, notes, HF_TOKEN=hub.wrong_token)
        assert f"{repo_id}, field 'model': the Hub doesn't accept the token" in line
    line = predict_from_hub(publisher, private, notes, "--revision", "v9")
    assert f"{private}, field 'revision': no revision 'v9'" in line
    assert publisher.command("predict", *predict_words(private, notes)).status == 0


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        ("info", "500", "the Hub answered 500"),
        ("info", "429", "the Hub asks to slow down"),
        ("info", "drop", "the Hub can't be reached (Server disconnected"),
        ("tree", "500", "the Hub answered 500"),
        ("resolve", "500", "the Hub answered 500"),
        ("resolve", "429", "the Hub asks to slow down"),
        ("resolve", "drop", "the Hub can't be reached"),
    ],
)
def test_a_hub_in_trouble_is_one_line_and_the_next_try_goes_on(model, notes, publisher, route, kind, said):
    publisher.hub.put(repo_id := publisher.repo_id(), model)
    publisher.hub.fail(route, kind, times=None)
    line = predict_from_hub(publisher, repo_id, notes)
    assert f"{repo_id}, field 'model': {said}" in line and "run it again" in line
    publisher.hub.repair()
    assert publisher.command("predict", *predict_words(repo_id, notes)).status == 0


# arguments: the attribute of huggingface_hub.constants and its value, then those of predict
PREDICT_WITH = """
import json, sys
from huggingface_hub import constants
from hf_mlc.commands.predict import main
from hf_mlc.commands.running import run
setattr(constants, sys.argv[1], json.loads(sys.argv[2]))
sys.exit(run(main, sys.argv[3:]))
"""


def test_a_hub_that_does_not_answer_in_time_is_one_line(model, notes, publisher):
    publisher.hub.put(repo_id := publisher.repo_id(), model)
    publisher.hub.fail("resolve", "slow", times=None, seconds=1)
    words = ["HF_HUB_DOWNLOAD_TIMEOUT", "0.1", *predict_words(repo_id, notes)]
    line = error_line(*publisher.snippet(PREDICT_WITH, *words, patient=False))
    assert "the Hub can't be reached (timed out)" in line


def test_offline_what_was_fetched_before_serves(model, notes, publisher):
    publisher.hub.put(repo_id := publisher.repo_id(), model)
    offline = ["HF_HUB_OFFLINE", "true", *predict_words(repo_id, notes)]
    assert "not in the cache, and HF_HUB_OFFLINE" in error_line(*publisher.snippet(PREDICT_WITH, *offline))
    online = publisher.command("predict", *predict_words(repo_id, notes))

    def asked() -> int:  # for this model: a slow answer to another test may still be on its way
        return sum(repo_id in path for _, path, _ in publisher.hub.requests)

    before = asked()
    assert publisher.snippet(PREDICT_WITH, *offline)[:2] == online[:2] == (0, online.stdout)
    assert asked() == before > 0


def test_all_files_are_of_the_revision_that_was_asked_for(model, notes, publisher):
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    # label names in a file of their own, as with very many labels
    names = list(config["label2id"])
    change_config(
        model, label2id=None, id2label=None, label_space=None, label_space_file="labels.json", label_count=len(names)
    )
    repo_id, commits = publisher.repo_id(), []
    for version in ("one", "two"):
        content = {"names": [f"{version}-{name}" for name in names]}
        (model / "labels.json").write_text(json.dumps(content), encoding="utf-8")
        commits.append(publisher.hub.put(repo_id, model))
    for more, version in ([[], "two"], [["--revision", commits[0]], "one"]):
        outcome = publisher.command("predict", *predict_words(repo_id, notes), "--top_k", "2", *more)
        labels = [label["label"] for label in json.loads(outcome.stdout)["labels"]]
        assert len(labels) == 2 and all(label.startswith(f"{version}-") for label in labels)
