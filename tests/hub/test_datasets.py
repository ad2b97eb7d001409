"""Data sets on the Hub: pushed with `datasets`, trained on by their id, of the revision that was asked for."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.hub.test_loading_safely import error_line


ROOT = Path(__file__).parents[2]
SMALL = "--encoder bag_of_words --hidden_size 8 --max_length 64 --threshold_kind global --max_steps 2"
QUIET = "--disable_tqdm true --report_to none --use_cpu true"

# arguments: a Hub id, rows by split in JSON, class names in JSON or null, further arguments of `push_to_hub` in JSON
PUSH = """
import json, sys
import datasets
repo_id, splits, names, more = sys.argv[1], *map(json.loads, sys.argv[2:])
label = datasets.Value("string") if names is None else datasets.ClassLabel(names=names)
features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(label)})
data = datasets.DatasetDict({name: datasets.Dataset.from_list(rows, features=features) for name, rows in splits.items()})
print(data.push_to_hub(repo_id, **more).oid)
"""

# arguments: a Hub id, a revision; prints the rows that the loader makes of it
ROWS = """
import json, sys
from hf_mlc.data import load_splits
splits = load_splits(sys.argv[1], revision=sys.argv[2] or None)
print(json.dumps({name: data.to_list() for name, data in splits.items()}))
"""


def rows(*labels: list[str] | list[int], word: str = "note") -> list[dict]:
    """A row for each list of labels."""
    return [{"text": f"{word} {number} on {own}", "labels": own} for number, own in enumerate(labels)]


def push(publisher, splits: dict, *, names: list[str] | None = None, repo_id: str = "", **more) -> tuple[str, str]:
    """Pushes rows to a data set's repository, a new one without `repo_id`; its id and the commit."""
    repo_id = repo_id or publisher.repo_id().replace("model", "data")
    outcome = publisher.snippet(PUSH, repo_id, *map(json.dumps, (splits, names, more)))
    assert outcome.status == 0, outcome.stderr
    return repo_id, outcome.stdout.splitlines()[-1]


def train(publisher, repo_id: str, output: Path, *more: str, patient: bool = True, **environment: str):
    words = ["--dataset_name", repo_id, "--output_dir", str(output), *SMALL.split(), *QUIET.split(), *more]
    return publisher.command("train", *words, patient=patient, **environment)


def labels_of(model: Path) -> list[str]:
    return list(json.loads((model / "config.json").read_text(encoding="utf-8"))["label2id"])


STRINGS = {
    "train": rows(["fever", "cough"], [], ["cough"], ["rash"], ["fever"], ["rash", "cough"]),
    "validation": rows(["fever"], ["rash"]),
    "test": rows(["cough"], [], ["rash", "fever"]),
}


def test_what_was_pushed_is_what_is_loaded(publisher):
    repo_id, commit = push(publisher, STRINGS)
    expected = {
        split: [{"id": str(number), **row} for number, row in enumerate(given, start=1)]
        for split, given in STRINGS.items()
    }
    for revision in ("", commit):
        outcome = publisher.snippet(ROWS, repo_id, revision)
        assert json.loads(outcome.stdout.splitlines()[-1]) == expected


def test_classes_of_a_feature_become_label_names_and_a_dev_split_is_for_validation(publisher, tmp_path):
    names = ["fever", "cough", "rash"]
    train_rows = rows([0, 1], [], [1], [2], [0], [2, 1])
    repo_id, _ = push(publisher, {"train": train_rows, "dev": rows([0], [2]), "test": rows([1])}, names=names)
    loaded = json.loads(publisher.snippet(ROWS, repo_id, "").stdout.splitlines()[-1])
    assert [row["labels"] for row in loaded["train"]] == [row["labels"] for row in STRINGS["train"]]
    assert [row["labels"] for row in loaded["validation"]] == [["fever"], ["rash"]]

    outcome = train(publisher, repo_id, tmp_path / "model")
    assert outcome.status == 0, outcome.stderr
    assert sorted(labels_of(tmp_path / "model")) == sorted(names)


def test_train_evaluate_and_predict_by_the_id(publisher, tmp_path):
    repo_id, _ = push(publisher, STRINGS, private=True)
    model, scores = tmp_path / "model", tmp_path / "scores.json"
    assert train(publisher, repo_id, model).status == 0
    evaluated = publisher.command("evaluate", "--model", model, "--dataset_name", repo_id, "--output", scores)
    assert evaluated.status == 0, evaluated.stderr
    found = json.loads(scores.read_text(encoding="utf-8"))
    assert found["metrics"]["f1_micro"] >= 0 and found["documents"] == 3
    given = tmp_path / "in.jsonl"
    given.write_text("".join(json.dumps(row) + "\n" for row in STRINGS["test"]), encoding="utf-8")
    predicted = publisher.command("predict", "--model", model, "--input", given, "--top_k", "2")
    assert [len(json.loads(line)["labels"]) for line in predicted.stdout.splitlines()] == [2, 2, 2]


def test_reuters_goes_up_and_the_script_trains_on_it(publisher, real_data, tmp_path):
    splits = {}
    for split, most in (("train", 300), ("test", 60)):
        with gzip.open(real_data("reuters21578") / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            given = [json.loads(line) for line in islice(file, most)]
        splits[split] = [{"text": row["text"], "labels": row["labels"]} for row in given]
    # the same, from files
    for split, given in splits.items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    outcome = publisher.snippet(PUSH_FILES, "org/reuters", tmp_path)
    assert outcome.status == 0, outcome.stderr

    def run_script(verb: str, *words: object) -> None:
        result = subprocess.run(
            [sys.executable, ROOT / "scripts" / f"{verb}.py", *map(str, words)],
            env=publisher.hub.environment(publisher.home, OMP_NUM_THREADS="1"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr[-3000:]

    from_hub, from_files = tmp_path / "from-hub", tmp_path / "from-files"
    run_script("train", "--dataset_name", "org/reuters", "--output_dir", from_hub, *SMALL.split(), *QUIET.split())
    assert train(publisher, str(tmp_path), from_files).status == 0
    weights = [(model / "model.safetensors").read_bytes() for model in (from_hub, from_files)]
    assert labels_of(from_hub) == labels_of(from_files) and weights[0] == weights[1]
    assert {label for row in splits["train"] for label in row["labels"]} == set(labels_of(from_hub))


PUSH_FILES = """
import sys
import datasets
data = datasets.load_dataset("json", data_files={name: f"{sys.argv[2]}/{name}.jsonl" for name in ("train", "test")})
data.push_to_hub(sys.argv[1])
"""


# -- revisions


def test_a_revision_is_a_commit_a_tag_or_a_branch(publisher, tmp_path):
    first = {split: [{**row, "labels": ["old", *row["labels"]]} for row in given] for split, given in STRINGS.items()}
    repo_id, commit = push(publisher, first)
    publisher.hub.repo(repo_id, "dataset").set_facts(tags={"v1": commit})
    push(publisher, STRINGS, repo_id=repo_id)
    assert "old" not in models_labels(publisher, repo_id, tmp_path / "newest")
    for revision in (commit, "v1"):
        assert "old" in models_labels(publisher, repo_id, tmp_path / revision, "--dataset_revision", revision)
    line = error_line(*train(publisher, repo_id, tmp_path / "none", "--dataset_revision", "v9"))
    assert f"{repo_id}, field 'revision': no revision 'v9'" in line and not (tmp_path / "none").exists()


def models_labels(publisher, repo_id: str, output: Path, *more: str) -> list[str]:
    outcome = train(publisher, repo_id, output, *more)
    assert outcome.status == 0, outcome.stderr
    return labels_of(output)


def test_without_the_hub_no_other_revision_takes_the_place_of_the_one_asked_for(publisher):
    first = {split: rows(["old"], ["older"], word=split) for split in STRINGS}
    repo_id, old = push(publisher, first)
    _, new = push(publisher, STRINGS, repo_id=repo_id)
    assert publisher.snippet(ROWS, repo_id, new).status == 0  # now in the cache
    publisher.hub.fail("info", "drop", times=None)
    publisher.hub.fail("resolve", "drop", times=None)

    def error_of(revision: str) -> str:
        return publisher.snippet(ROWS, repo_id, revision, patient=False).stderr.splitlines()[-1]

    assert f"the cache holds another revision ({new})" in error_of(old)
    assert "or the whole hash of a cached commit" in error_of("main")
    assert json.loads(publisher.snippet(ROWS, repo_id, new, patient=False).stdout.splitlines()[-1])["train"]
    newest = publisher.snippet(ROWS, repo_id, "", patient=False)
    assert newest.status == 0 and "latest cached version" in newest.stderr


def test_a_configuration_has_a_name(publisher, tmp_path):
    repo_id, _ = push(publisher, STRINGS, config_name="small")
    push(
        publisher,
        {split: rows(["big"], ["bigger"], word=split) for split in STRINGS},
        repo_id=repo_id,
        config_name="big",
    )
    assert models_labels(publisher, repo_id, tmp_path / "big", "--dataset_config_name", "big") == ["big", "bigger"]
    line = error_line(*train(publisher, repo_id, tmp_path / "none"))
    assert f"{repo_id}: cannot be loaded (Config name is missing." in line and "['big', 'small']);" in line
    line = error_line(*train(publisher, repo_id, tmp_path / "none", "--dataset_config_name", "huge"))
    assert "huge" in line and not (tmp_path / "none").exists()


# -- the way to the Hub


def test_a_set_that_one_may_not_read_is_one_line(publisher, tmp_path):
    hub = publisher.hub
    repo_id, _ = push(publisher, STRINGS, private=True)
    cases = {
        hub.wrong_token: "the Hub doesn't accept the token",
        hub.other_token: "no such repository on the Hub, or a private one that you may not see",
        "": "no such repository on the Hub, or a private one that you may not see",
    }
    for token, said in cases.items():
        line = error_line(*train(publisher, repo_id, tmp_path / "model", HF_TOKEN=token))
        assert repo_id in line and said in line and "HF_TOKEN" in line
    hub.repo(repo_id, "dataset").set_facts(private=False, gated="auto")
    line = error_line(*train(publisher, repo_id, tmp_path / "model", HF_TOKEN=hub.other_token))
    assert repo_id in line and "gated" in line
    assert not (tmp_path / "model").exists()


# a token that was never right is not helped by what is in the cache: nobody would notice that the data is old
def test_a_wrong_token_is_told_even_where_the_set_is_in_the_cache(publisher):
    repo_id, _ = push(publisher, STRINGS)
    assert publisher.snippet(ROWS, repo_id, "").status == 0
    outcome = publisher.snippet(ROWS, repo_id, "", HF_TOKEN=publisher.hub.wrong_token)
    assert outcome.status == 1 and "the Hub doesn't accept the token" in outcome.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        ("info", "500", "the Hub answered 500"),
        ("info", "drop", "the Hub can't be reached"),
        ("tree", "429", "the Hub asks to slow down"),
        ("resolve", "drop", "the Hub can't be reached"),
    ],
)
def test_a_hub_in_trouble_is_one_line_and_the_next_try_goes_on(publisher, tmp_path, route, kind, said):
    repo_id, _ = push(publisher, STRINGS)
    publisher.hub.fail(route, kind, times=None)
    line = error_line(*train(publisher, repo_id, tmp_path / "model", patient=False))
    assert repo_id in line and said in line and "run it again" in line
    assert not (tmp_path / "model").exists()
    publisher.hub.repair()
    assert train(publisher, repo_id, tmp_path / "model").status == 0
