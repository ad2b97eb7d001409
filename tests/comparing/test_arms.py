"""What fits the arms: none sees the measured rows, but the one that is there to show what that would do."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import scipy.sparse
import torch
import yaml

from hf_mlc.comparing import environments, one_run
from hf_mlc.comparing.arms import Fitted, Job, fit
from hf_mlc.comparing.arms.mutual_information import planted_sums
from hf_mlc.comparing.arms.ours import bytes_of_model
from hf_mlc.comparing.arms.outside import TopLabels
from hf_mlc.comparing.claim import ClaimData
from hf_mlc.comparing.data import Rows, prepare_rows, rows_as_json
from hf_mlc.comparing.environments import Environment, python_of
from hf_mlc.errors import UserError
from hf_mlc.planting.statistics import TokenLabelStore
from tests.comparing.conftest import RECIPE


TINY = yaml.safe_load(RECIPE) | {"num_train_epochs": 1}
PLANTED = TINY | {"planting": "attention", "ranked_attention": False}
DATA = ClaimData(name="notes", folder="", end_points=("f1_micro",))


@pytest.fixture(scope="module")
def rows(notes, tmp_path_factory) -> Rows:
    return prepare_rows(DATA, notes, tmp_path_factory.mktemp("rows"), train_size=60, seed=0)


def job(rows: Rows, runner: str, settings: dict) -> Job:
    return Job(runner, settings, rows, 0, "/nowhere")


def test_the_same_seed_draws_the_same_rows_and_the_labels_are_those_of_all_training_rows(rows, notes, tmp_path):
    again = prepare_rows(DATA, notes, tmp_path / "again", train_size=60, seed=0)
    other = prepare_rows(DATA, notes, tmp_path / "other", train_size=60, seed=1)
    whole = prepare_rows(DATA, notes, tmp_path / "whole", train_size=None, seed=0)
    assert again.fingerprints == rows.fingerprints != other.fingerprints
    assert (rows.num_train, whole.num_train) == (54, 108)
    assert rows.label_space().names == whole.label_space().names
    assert rows.label_space().num_documents == 54 and (rows.label_space().counts == 0).any()
    drawn, validation = set(rows.read("train")["id"]), set(rows.read("validation")["id"])
    assert not drawn & validation
    unused = prepare_rows(DATA, notes, tmp_path / "unused", train_size=60, seed=0, split="unused")
    assert not set(unused.read_measured()["id"]) & (drawn | validation) and len(unused.read_measured()) == 60


@pytest.mark.parametrize(
    ("runner", "settings"),
    [("train", TINY), ("tfidf", {"Cs": [1.0], "refit": True}), ("mutual-information", {"refit": True})],
)
def test_fitting_does_not_open_the_measured_rows(runner, settings, rows, tmp_path):
    blind = dataclasses.replace(rows, measured="/no/such/folder")
    fitted = fit(job(blind, runner, settings), tmp_path / "model")
    assert fitted.parameters > 0 and fitted.model_bytes > 0
    seen = np.zeros(len(rows.read_measured()), int)
    for places, scores_BS, *_ in fitted.score(rows.read_measured()["text"][:]):
        seen[places] += 1
        assert scores_BS.shape == (len(places), len(rows.label_space()))
        assert float(scores_BS.min()) >= 0 and float(scores_BS.max()) <= 1
    assert (seen == 1).all()


def test_the_leak_counts_the_measured_rows_and_nothing_else_does(rows, tmp_path):
    documents = {}
    for runner in ("train", "leaked"):
        fit(job(rows, runner, PLANTED), tmp_path / runner)
        results = json.loads((tmp_path / runner / "results.json").read_text(encoding="utf-8"))
        documents[runner] = results["planting"]["documents"]
    assert documents == {"train": 54, "leaked": 54 + 40}
    # arms of one seed share a planting cache: neither may be given the other's statistics
    assert len(list((tmp_path / "planting").glob("*.safetensors"))) == 2
    config = json.loads((tmp_path / "leaked" / "config.json").read_text(encoding="utf-8"))
    assert config["planting_fingerprint"]["num_documents"] == 54 + 40


def test_what_an_earlier_arm_planted_is_part_of_what_a_later_one_costs(rows, tmp_path):
    first, second = (fit(job(rows, "train", PLANTED), tmp_path / name) for name in ("first", "second"))
    assert first.spared is None
    assert set(second.spared) == {"seconds", "cpu_seconds"}


def test_spared_seconds_are_added_to_those_of_training_and_those_beside_it_taken_off(rows, tmp_path, monkeypatch):
    def scored(texts):
        yield list(range(len(texts))), torch.full((len(texts), len(rows.label_space())), 0.5), None

    spared, beside = {"seconds": 1000.0, "cpu_seconds": 500.0}, {"seconds": 400.0, "cpu_seconds": 200.0}
    fake = SimpleNamespace(fit=lambda job, folder: Fitted(scored, 0.5, 1, 1, 1, spared=spared, beside=beside))
    monkeypatch.setattr(one_run, "load_runner", lambda name: fake)
    where = {name: str(tmp_path / name) for name in ("model", "scores", "result")}
    content = {
        "runner": "train",
        "settings": {},
        "rows": rows_as_json(rows),
        "seed": 0,
        "environments": "",
        "where": where,
    }
    (tmp_path / "job.json").write_text(json.dumps(content), encoding="utf-8")
    one_run.main([str(tmp_path / "job.json")])
    result = json.loads((tmp_path / "result").read_text(encoding="utf-8"))
    assert 600 <= result["train_seconds"] < 700 and 300 <= result["train_cpu_seconds"] < 400


def test_the_bytes_of_a_model_are_those_of_the_files_that_loading_reads(tmp_path):
    read = ("model.safetensors", "config.json", "tokenizer.json", "preprocessor_config.json", "label_index.hnsw")
    for place, name in enumerate((*read, "results.json", "training_args.bin")):
        (tmp_path / name).write_bytes(b"0" * 10**place)
    assert bytes_of_model(tmp_path) == 11111


def test_every_run_reads_its_rows_anew_and_leaves_none_of_them(rows):
    places = []
    for _ in range(2):
        with one_run.own_cache():
            places.append(Path(rows.read("train").cache_files[0]["filename"]))
            assert places[-1].is_relative_to(datasets.config.HF_DATASETS_CACHE)
    assert places[0] != places[1] and not any(place.exists() for place in places)
    assert not places[0].is_relative_to(datasets.config.HF_DATASETS_CACHE)


def test_planted_values_are_summed_best_first():
    store = TokenLabelStore(
        np.array([[2, 0, 1], [3, -1, -1]], np.int32),
        np.array([[0.5, 0.25, 0.125], [1, 0, 0]], np.float32),
        9,
        4,
        "raw",
    )
    presence = scipy.sparse.csr_array(np.array([[1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]]))
    assert planted_sums(store, presence, 2).tolist() == [[0.75, 0], [0.375, 1], [0, 0]]


def test_scores_of_every_label_are_dense_and_shortlists_stay_short(tmp_path):
    np.savez(tmp_path / "all.npz", ids=[[2, 0, -1], [1, -1, -1]], scores=[[0.9, 0.5, 0], [0.25, 0, 0]])
    dense = TopLabels(tmp_path / "all.npz", 3)
    assert dense.dense_NL.tolist() == [[0.5, 0, pytest.approx(0.9)], [0, 0.25, 0]]
    short = TopLabels(tmp_path / "all.npz", 4)
    [(places, _, ids_BS)] = short.batches()
    assert short.dense_NL is None and places == [0, 1] and ids_BS.tolist() == [[2, 0, -1], [1, -1, -1]]


def test_what_pip_cannot_install_is_one_line_and_leaves_no_finished_environment(tmp_path, monkeypatch):
    monkeypatch.setitem(environments.ENVIRONMENTS, "xr-linear", lambda: Environment("pecos", ("no-such-package",)))
    monkeypatch.setattr(environments.venv, "create", lambda place, with_pip: Path(place).mkdir(parents=True))
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: slow\nERROR: No matching distribution found\n")
    monkeypatch.setattr(environments.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError, match=r"pecos: ERROR: No matching distribution found; accepted: no-such-package"):
        python_of("xr-linear", tmp_path)
    assert not list(tmp_path.rglob(environments.READY))


def test_a_build_that_pypi_has_not_got_is_looked_for_at_its_own_index(tmp_path, monkeypatch):
    def pip(words, **kwargs):
        return subprocess.CompletedProcess(words, 0 if words[-1] == "https://index" else 1, "", "ERROR: none such")

    monkeypatch.setattr(environments.venv, "create", lambda place, with_pip: Path(place).mkdir(parents=True))
    monkeypatch.setattr(environments.subprocess, "run", pip)
    wanted = Environment("lml", ("torch==2+cpu",), index="https://index")
    monkeypatch.setitem(environments.ENVIRONMENTS, "bigru-lwan", lambda: wanted)
    python = python_of("bigru-lwan", tmp_path)
    assert (python.parents[1] / environments.READY).exists()
    # where to look is no part of what an environment is
    assert repr(wanted) == repr(Environment("lml", ("torch==2+cpu",)))


def test_a_python_that_makes_no_environments_is_one_line(tmp_path, monkeypatch):
    def fail(place, with_pip):
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(environments.venv, "create", fail)
    with pytest.raises(UserError, match=r"field 'environments': no environment .*; accepted: .*python3-venv"):
        python_of("xr-linear", tmp_path)
