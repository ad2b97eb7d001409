"""A forest beside a chain of labels through `train`: of which rows it is, what is saved, and what takes it out again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.inference import load_model
from hf_mlc.labels import LabelSpace
from tests.commands.conftest import QUIET, read_jsonl
from tests.commands.test_tables import ARGUMENTS, FEATURES, LABELS, results_of, write_rows


TREES = 15
FOREST = ["--known_sets", "restrict", "--forest_weight", "2", "--forest_trees", str(TREES), "--seed", "7"]
SAVED = ["--save_strategy", "steps", "--save_steps", "5", "--eval_strategy", "no", "--load_best_model_at_end", "false"]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for number, (split, rows) in enumerate({"train": 120, "validation": 40, "test": 30}.items()):
        write_rows(folder / f"{split}.csv", rows, seed=number)
    return folder


def words(table: Path, folder: Path, *more: str) -> list[str]:
    data = ["--dataset_name", str(table), "--feature_columns", "*", *LABELS, "--output_dir", str(folder)]
    return [*ARGUMENTS, *data, *QUIET, *more]


def trained(table: Path, folder: Path, *more: str) -> Path:
    assert run(train, words(table, folder, *more)) == 0
    return folder


def read(table: Path, loaded, *splits: str) -> tuple[torch.Tensor, np.ndarray]:
    """Features as the model reads them, and truth in its order of labels."""
    rows = [row for split in splits for row in csv.DictReader((table / f"{split}.csv").open(encoding="utf-8"))]
    space: LabelSpace = loaded.label_space
    features = loaded.processor([{name: row[name] for name in FEATURES} for row in rows], return_tensors="pt")
    return features["input_features"], np.array([[int(row[name]) for name in space.names] for row in rows])


@pytest.mark.parametrize("refit", [False, True])
def test_the_forest_is_scikit_learn_s_of_the_rows_that_are_trained_on(table, tmp_path, refit):
    folder = trained(table, tmp_path / "out", *FOREST, "--refit", str(refit).lower())
    loaded, splits = load_model(str(folder)), ["train", "validation"] if refit else ["train"]
    features, truth = read(table, loaded, *splits)
    facts = results_of(folder)["set_forest"]
    assert facts["rows"] == len(truth) == (160 if refit else 120) and facts["trees"] == TREES
    known = loaded.model.known_sets.sets_SL.numpy().astype(int)
    number_of = {tuple(row): number for number, row in enumerate(known)}
    theirs = RandomForestClassifier(n_estimators=TREES, random_state=7)
    theirs.fit(features.numpy(), [number_of[tuple(row)] for row in truth])
    asked = read(table, loaded, "test")[0]
    expected = torch.from_numpy(theirs.predict_proba(asked.numpy()))
    votes = loaded.model.set_forest(asked, len(known)).double()
    torch.testing.assert_close(votes[:, theirs.classes_], expected, atol=1e-6, rtol=0)
    assert facts["nodes"] == sum(tree.tree_.node_count for tree in theirs.estimators_)
    output = tmp_path / "answers.jsonl"
    arguments = ["--model", str(folder), "--input", str(table / "test.csv"), "--output", str(output)]
    assert run(predict, arguments) == 0
    given = [{item["label"] for item in row["labels"]} for row in read_jsonl(output)]
    answered = {tuple(int(name in labels) for name in loaded.label_space.names) for labels in given}
    assert answered <= set(number_of) and len(answered) > 1


def test_a_training_that_goes_on_without_takes_the_forest_out(table, tmp_path, capsys):
    first = trained(table, tmp_path / "first", *FOREST)
    goes_on = ["--model_name_or_path", str(first), "--dataset_name", str(table), "--feature_columns", "*", *LABELS]
    goes_on += ["--max_steps", "1", *QUIET]
    assert run(train, [*goes_on, "--output_dir", str(tmp_path / "without"), "--forest_weight", "0"]) == 0
    without = load_model(str(tmp_path / "without")).model
    assert without.set_forest is None and without.config.num_forest_trees == without.config.num_forest_nodes == 0
    assert results_of(tmp_path / "without")["set_forest"] is None
    again = [*goes_on[:1], str(tmp_path / "without"), *goes_on[2:], "--output_dir", str(tmp_path / "again")]
    assert run(train, [*again, "--forest_weight", "1", "--forest_trees", "3", "--forest_min_rows", "4"]) == 0
    model = load_model(str(tmp_path / "again")).model
    assert len(model.set_forest) == 3 and model.config.forest_min_rows == 4
    capsys.readouterr()
    assert run(train, [*goes_on, "--output_dir", str(tmp_path / "off"), "--known_sets", "off"]) == 2
    assert "`forest_weight` needs `known_sets` 'restrict', found 'off'" in capsys.readouterr().err


def test_a_run_that_goes_on_from_a_checkpoint_grows_the_same_trees(table, tmp_path):
    whole = trained(table, tmp_path / "whole", *FOREST, *SAVED)
    part = tmp_path / "part"
    trained(table, part, *FOREST, *SAVED, "--max_steps", "5", "--num_train_epochs", "4")
    assert (part / "checkpoint-5").is_dir()
    trained(table, part, *FOREST, *SAVED, "--resume_from_checkpoint", str(part / "checkpoint-5"))
    one, other = (load_model(str(folder)).model.set_forest for folder in (whole, part))
    for (name, expected), (_, found) in zip(one.named_buffers(), other.named_buffers(), strict=True):
        assert torch.equal(expected, found), name


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (["--forest_trees", "9"], "a forest"),
        (["--seed", "8"], "a forest"),
        (["--validation_fraction", "0.4"], "label sets"),
    ],
)
def test_a_checkpoint_of_other_sets_or_another_forest_is_one_line(table, tmp_path, capsys, changed, found):
    """Asked for by name, which is how a run goes on with other arguments."""
    part, data = tmp_path / "part", tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):  # validation rows are drawn
        (data / f"{split}.csv").write_bytes((table / f"{split}.csv").read_bytes())
    trained(data, part, *FOREST, *SAVED, "--max_steps", "5")
    again = [*FOREST, *SAVED, *changed, "--resume_from_checkpoint", str(part / "checkpoint-5")]
    assert run(train, words(data, part, *again)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"holds {found} of other training rows or arguments" in error and "checkpoint-5" in error
