"""A comparison on a table end to end: trials, runs that share a process, what is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from hf_mlc.comparing import runs
from hf_mlc.comparing.arms.table_columns import TableColumns
from hf_mlc.comparing.claim import find_claim
from hf_mlc.comparing.data import TABLE_SETTINGS, Rows, prepare_rows, rows_as_json
from hf_mlc.comparing.runs import Plan
from hf_mlc.comparing.trials import trials_file
from tests.commands.conftest import read_jsonl


RECIPE = """\
model_type: msdn
hidden_size: 8
learning_rate: 0.02
lr_scheduler_type: constant
num_train_epochs: 1
per_device_train_batch_size: 16
threshold_kind: global
threshold_metric: f1_micro+subset_accuracy
refit: true
use_cpu: true
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A finished comparison of three arms, two of which try two settings, on a table of 80 rows with a sparse form, that has a
    features.json and a labels.json beside it."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    table = folder / "table"
    table.mkdir()
    for name, rows in (("train", 80), ("test", 30)):
        with (table / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
            for values in rng.integers(0, 2, (rows, 6)).tolist():
                held = {str(place): 1 for place, value in enumerate(values) if value}
                labels = [
                    label for label, value in zip("abcd", [*values[:3], values[0] ^ values[1]], strict=True) if value
                ]
                stream.write(json.dumps({"features": held, "labels": labels}) + "\n")
    types = {"feature_names": list("uvwxyz"), "feature_types": ["num"] * 6}
    (table / "features.json").write_text(json.dumps(types), encoding="utf-8")
    (table / "labels.json").write_text(json.dumps(list("abcde")), encoding="utf-8")  # no row has `e`
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    output = folder / "msdn.jsonl"
    arguments = [
        "msdn",
        "--dataset",
        str(table),
        "--recipe",
        str(folder / "recipe.yaml"),
        "--seeds",
        "1",
        "--trials",
        "2",
    ]
    arguments += ["--arms", "msdn,msdn-greedy,logistic-br", "--resamples", "100", "--output", str(output)]
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        patch.setattr(
            runs, "prepare_rows", lambda *args, **kwargs: drawn.append(kwargs) or prepare_rows(*args, **kwargs)
        )
        assert run(compare, arguments) == 0
    # of the trials once, for all arms; of the seed once
    assert [(each["seed"], each["split"]) for each in drawn] == [(0, "test"), (0, "validation")]
    return output, arguments


def test_trials_are_chosen_on_validation_rows_and_taken_over_by_ablations(compared):
    output, _ = compared
    trials, lines = read_jsonl(trials_file(output)), {line["arm"]: line for line in read_jsonl(output)}
    assert [(line["arm"], line["split"], line["documents"]) for line in trials] == [
        ("msdn", "validation", 8), ("msdn", "validation", 8),
        ("logistic-br", "validation", 8), ("logistic-br", "validation", 8),
    ]  # fmt: skip
    found = lines["msdn"]["trials"]
    assert found["values"] == [line["metrics"]["subset_accuracy"] for line in trials[:2]] and found["number"] == 2
    assert found["chosen"] == trials[int(np.argmax(found["values"]))]["trial"]
    assert lines["msdn-greedy"]["trials"] == found  # it tried nothing itself
    assert [line["trial"] for line in trials[2:]] == [{"C": 0.1}, {"C": 0.3}] and lines["logistic-br"]["trials"][
        "number"
    ] == 2
    assert [line["facts"]["rows"] for line in (*trials[2:], lines["logistic-br"])] == [
        72,
        72,
        80,
    ]  # fitted anew when chosen
    assert found["train_seconds"] == pytest.approx(sum(line["train_seconds"] for line in trials[:2]), abs=0.02)


def test_lines_of_a_table_say_how_parameters_divide_and_labels_depend(compared):
    for line in read_jsonl(compared[0]):
        assert line["label_dependence"] >= 0 and line["documents"] == 30 and line["train_documents"] == 72
        assert "--trials 2" in line["command"]
        if line["arm"] != "logistic-br":
            parts = line["parameter_parts"]
            assert sum(parts.values()) == line["parameters"]
            width = parts["encoder"] // (6 + 1)  # one of two trials is wide
            assert parts == {"encoder": 7 * width, "head": 5 * (width + 1), "relation": parts["relation"]}
            assert parts["relation"] > 0
            assert 0 < line["optimizer_cpu_seconds"] < line["train_cpu_seconds"]


def test_declared_categories_stay_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = tmp_path / "table"
    table.mkdir()
    rows = [{"features": [code, place], "labels": ["a"]} for place, code in enumerate(["0123", "123"] * 10)]
    for name in ("train", "test"):
        (table / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    types = {"feature_names": ["code", "place"], "feature_types": ["category", "num"]}
    (table / "features.json").write_text(json.dumps(types), encoding="utf-8")
    made = prepare_rows(find_claim("msdn").data(str(table)), table, tmp_path / "rows", train_size=None, seed=0)
    for read in (made.read("train"), made.read("validation"), made.read_measured()):
        assert {features[0] for features in read["features"]} == {"0123", "123"}
    assert {row["features"][0] for row in read_jsonl(Path(made.train))} == {"0123", "123"}


def test_label_ids_stay_ids_where_names_look_like_them(tmp_path, monkeypatch):
    """`1` is the id of the label that is called "2"."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = tmp_path / "table"
    table.mkdir()
    lists = [[0], [1, 2], [], [2]] * 10
    rows = [{"id": str(place), "features": [place], "labels": labels} for place, labels in enumerate(lists)]
    # a label that there isn't, nor is it "3"
    beyond = {"id": "40", "features": [40], "labels": [1, 3]}
    for name, some in (("train", rows), ("validation", [*rows, beyond]), ("test", rows)):
        (table / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
    (table / "features.json").write_text(json.dumps({"feature_names": ["place"]}), encoding="utf-8")
    (table / "labels.json").write_text(json.dumps(["1", "2", "3"]), encoding="utf-8")
    made = prepare_rows(find_claim("msdn").data(str(table)), table, tmp_path / "rows", train_size=None, seed=0)
    space = made.label_space()
    assert space.names == ["1", "2", "3"] and space.counts.tolist() == [10, 10, 20]
    for read in (made.read("train"), made.read("validation").select(range(40)), made.read_measured()):
        assert [space.encode_known(labels)[0].tolist() for labels in read["labels"]] == lists
    [found], [unknown] = made.known_labels([made.read("validation")[40]["labels"]], space)
    assert found.tolist() == [1] and unknown == 1


def test_what_a_recipe_says_of_features_goes_for_every_arm(tmp_path, monkeypatch):
    """Codes that look like numbers, and objects that don't hold every feature."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = tmp_path / "table"
    table.mkdir()
    held = [{"code": "0123", "size": 1}, {"code": "123"}] * 10
    rows = [{"features": features, "labels": ["a"]} for features in held]
    for name in ("train", "test"):
        (table / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    claim = find_claim("msdn")
    recipe = {"category_columns": "code", "absent_features": "missing", "missing_values": "mean", "hidden_size": 8}
    plan = Plan(
        claim=claim, data=claim.data(str(table)), arms=[], seeds=[0], train_sizes=[None], split="test", data_dir=tmp_path,
        output=tmp_path / "own.jsonl", train_settings=recipe, environments=tmp_path,
    )  # fmt: skip
    made = prepare_rows(
        plan.data, table, tmp_path / "rows", train_size=None, seed=0, table_settings=plan.table_settings
    )
    made = Rows(**json.loads(json.dumps(rows_as_json(made))))  # as a run gets them
    own, other = plan.settings_of(claim.arm("msdn")), plan.settings_of(claim.arm("logistic-br"))
    told = {name: other[name] for name in TABLE_SETTINGS if name in other}
    assert told == {**{name: own[name] for name in told}, "category_columns": ["code"]} and len(told) == 3
    assert "hidden_size" not in other
    for read in (made.read("train"), made.read("validation"), made.read_measured()):
        columns = TableColumns(read["features"][:], **told)
        assert columns.extractor.column_names == ["size", "code = 0123", "code = 123"]


def test_rows_of_a_comparison_are_not_left_in_the_cache_of_the_user(compared):
    """Of the data itself its splits are read once, by the parent process; nothing of what it has drawn from them."""
    cache = compared[0].parent / "cache"
    assert not list(cache.rglob("cache-*.arrow")) and len(list(cache.rglob("*.arrow"))) <= 2


def test_what_is_there_is_neither_tried_nor_run_again(compared, capsys):
    output, arguments = compared
    before = output.read_bytes(), trials_file(output).read_bytes()
    assert run(compare, arguments) == 0
    assert (output.read_bytes(), trials_file(output).read_bytes()) == before
    shown = capsys.readouterr().out
    assert "msdn - msdn-greedy" in shown and "hamming_loss" in shown
    head = next(row for row in shown.splitlines() if row.startswith("parameters"))
    assert head.split() == ["parameters", "encoder", "head", "relation", "all"]
