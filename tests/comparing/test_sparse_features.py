"""Features that outside systems are given, how answering is timed, and data sets that are generated."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import scipy.sparse

from hf_mlc.comparing import latency
from hf_mlc.comparing.arms import fit as fit_arm
from hf_mlc.comparing.arms import outside
from hf_mlc.comparing.arms.numeric_rows import NumericRows
from hf_mlc.comparing.arms.tfidf_terms import TfidfTerms
from hf_mlc.comparing.claim import ClaimData
from hf_mlc.comparing.data import folder_of, prepare_rows
from hf_mlc.comparing.generated import Generated
from hf_mlc.comparing.latency import Timing, latencies
from hf_mlc.errors import UserError
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from tests.comparing.test_arms import job


def numeric(meta_file=None) -> NumericRows:
    return NumericRows(SimpleNamespace(train="rows.jsonl", meta_file=meta_file))


def test_rows_of_numbers_are_scaled_to_length_1_whichever_way_they_are_written():
    sparse = [
        {"indices": [0, 3], "values": [3.0, 4.0]},
        {"indices": [], "values": []},
        {"indices": [1], "values": [2]},
    ]
    listed = [[3, 0, 0, 4], [0, 0, 0, 0], [0, 2, 0, 0]]
    expected = [[0.6, 0, 0, 0.8], [0, 0, 0, 0], [0, 1, 0, 0]]
    for rows in (sparse, listed):
        maker = numeric()
        found = maker.fit(datasets.Dataset.from_dict({"features": rows}))
        assert maker.num_features == 4 and found.dtype == np.float32
        np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
        np.testing.assert_allclose(maker.matrix(rows).toarray(), expected, rtol=1e-6)


def test_chosen_rows_are_those_that_are_read():
    rows = datasets.Dataset.from_dict({"features": [{"indices": [n], "values": [1.0]} for n in range(5)]})
    assert numeric().fit(rows.select([3, 1])).indices.tolist() == [3, 1]


def test_features_that_training_rows_do_not_have_are_left_out_and_declared_ones_are_there(tmp_path):
    maker = numeric()
    maker.fit(datasets.Dataset.from_dict({"features": [{"indices": [2], "values": [1.0]}]}))
    assert maker.matrix([{"indices": [2, 7], "values": [1.0, 5.0]}]).toarray().tolist() == [[0, 0, 1]]
    (tmp_path / "meta.json").write_text(json.dumps({"feature_names": list("abcdef")}), encoding="utf-8")
    assert numeric(tmp_path / "meta.json").matrix([{"indices": [0], "values": [1.0]}]).shape == (1, 6)


def test_features_of_trees_are_those_that_our_models_read():
    generated = Generated(30, 60, num_features=250)
    rows = [row["features"] for row in generated.rows.rows(60)]
    rows[3] = {"indices": [9, 2, 4], "values": [1e-30, 2e-30, 0.0]}  # in any order, as small as can be
    found = numeric()
    features = found.fit(datasets.Dataset.from_dict({"features": rows}))
    encoded = SparseFeatureExtractor(num_features=found.num_features).encode(rows)
    assert features.indices.tolist() == (encoded.input_ids - 1).tolist()
    assert features.data.tolist() == encoded.token_weights.tolist()
    assert features.indptr.tolist() == encoded.offsets.tolist()


@pytest.mark.parametrize("row", [{"age": 3}, ["red", "blue"], [1.0, None]])
def test_rows_that_are_no_numbers_are_one_line(row):
    maker = numeric()
    maker.fit(datasets.Dataset.from_dict({"features": [[1.0, 2.0]]}))
    with pytest.raises(UserError, match=r"rows\.jsonl.*row 1"):
        maker.matrix([row])


def test_terms_take_their_settings_and_leave_the_rest():
    pytest.importorskip("sklearn")
    settings = {"min_df": 1, "max_df": 1.0, "beam_size": 20}
    terms = TfidfTerms(settings)
    found = terms.fit(datasets.Dataset.from_dict({"text": ["oil oil ship", "oil gold"]}))
    assert settings == {"beam_size": 20} and terms.num_features == 3
    assert terms.num_bytes == sum(len(word) + 4 for word in ("oil", "ship", "gold"))
    idf = 1 + math.log(3 / 2)  # of gold; that of oil is 1
    assert found.toarray()[1].max() == pytest.approx(idf / math.hypot(1, idf))
    assert found.toarray()[0].max() == pytest.approx((1 + math.log(2)) / math.hypot(1 + math.log(2), idf))


def test_latencies_are_milliseconds_a_document_and_count_their_documents(monkeypatch):
    monkeypatch.setattr(latency, "FEWEST", 4)
    asked = []

    def timed(items, batch_size):
        asked.append((len(items), batch_size))
        return Timing(0.001 * len(items), 0.003 * len(items))

    found = latencies(timed, list(range(25)), [1, 2, 256])["latency"]
    assert asked == [(10, 1), (20, 2), (25, 256)]
    assert found["2"] == {"ms": 4.0, "prepare_ms": 1.0, "documents": 20}
    assert latencies(None, [1], [1]) == {} == latencies(timed, [1], [])


PROGRAM = """
import json, pathlib, sys
import numpy as np, scipy.sparse
request = json.loads(pathlib.Path(sys.argv[1]).read_text())
features = scipy.sparse.load_npz(request["features"])
answer = {"parameters": 1, "bytes": 7, "versions": {}, "seconds": 0.5, "beside": {"seconds": 1.0, "cpu_seconds": 2.5}, "facts": {"seen": request["settings"]}}
if request["verb"] == "predict":
    ids = np.tile(np.arange(request["top_k"], dtype=np.int32), (features.shape[0], 1))
    np.savez(request["output"], ids=ids, scores=np.full(ids.shape, 0.25, np.float32))
if request["verb"] == "time":
    answer["seconds"] = request["batch_size"] * features.shape[0] + request["top_k"] / 100
pathlib.Path(request["folder"], "answer.json").write_text(json.dumps(answer))
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """In place of every outside system, one that this Python can run."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("run_xr_linear.py", "run_napkinxc.py", "run_omikuji.py"):
        (folder / name).write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setattr(outside, "PROGRAMS", folder)
    monkeypatch.setattr(outside, "python_of", lambda runner, environments: Path(sys.executable))


TABLE = ClaimData(name="table", folder="", end_points=("p@1",), features_column="features", validation_fraction=0.25)


def table_rows(folder: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split, number in (("train", 40), ("test", 8)):
        rows = [
            {"features": {str(n % 5): 1.0, "7": 2.0}, "labels": [f"l{n % 3}", *(["l3"] if rng.random() < 0.5 else [])]}
            for n in range(number)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return prepare_rows(TABLE, folder, tmp_path / "rows", train_size=None, seed=0)


@pytest.mark.parametrize("runner", ["xr-linear", "napkinxc", "omikuji"])
def test_trees_take_the_rows_of_a_table_and_are_timed(runner, program, tmp_path):
    rows = table_rows(tmp_path / "table", tmp_path)
    fitted = fit_arm(job(rows, runner, {"threshold_kind": "global"}), tmp_path / "model")
    items = rows.read_measured()["features"][:]
    seen = [place for places, *_ in fitted.score(items) for place in places]
    assert seen == list(range(8)) and fitted.facts["features"] == 8 and fitted.model_bytes == 7
    assert fitted.beside == {"seconds": 2.0, "cpu_seconds": 5.0}  # of fitting, and of answering the validation rows
    assert "min_df" not in fitted.facts["seen"]
    features = scipy.sparse.load_npz(tmp_path / "model" / "measured.npz")
    np.testing.assert_allclose(np.sqrt(features.multiply(features).sum(axis=1)), 1, rtol=1e-6)
    preparing, answering = fitted.timed(items, 4)
    assert preparing > 0 and answering == pytest.approx(4 * 8 + 4 / 100)  # four labels in all, so four are asked for


def test_a_program_says_what_starting_and_importing_took(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(outside.PROGRAMS)
    exchange = importlib.import_module("exchange")
    request = {"verb": "fit", "folder": str(tmp_path), "started": time.time() - 100}
    (tmp_path / "fit.json").write_text(json.dumps(request))
    monkeypatch.setattr(sys, "argv", ["program", str(tmp_path / "fit.json")])
    before = time.process_time()
    exchange.answer_request({"fit": lambda request: {"beside": {"seconds": 1000.0, "cpu_seconds": 500.0}}}, ["numpy"])
    beside = json.loads((tmp_path / "answer.json").read_text())["beside"]
    assert 1100 <= beside["seconds"] < 1200 and 500 + before <= beside["cpu_seconds"] <= 500 + time.process_time()


def test_omikuji_gets_rows_that_it_can_read_and_says_what_writing_them_took(tmp_path, monkeypatch):
    saved = SimpleNamespace(save=lambda folder: None)
    model = SimpleNamespace(default_hyper_param=SimpleNamespace, train_on_data=lambda *arguments: saved)
    monkeypatch.setitem(sys.modules, "omikuji", SimpleNamespace(Model=model))
    monkeypatch.syspath_prepend(outside.PROGRAMS)
    program = importlib.import_module("run_omikuji")
    files = {name: str(tmp_path / f"{name}.npz") for name in ("features", "labels")}
    scipy.sparse.save_npz(files["features"], scipy.sparse.csr_matrix(np.diag(np.arange(500) / 500)))
    scipy.sparse.save_npz(files["labels"], scipy.sparse.csr_matrix(np.eye(500, dtype=np.float32)))
    answer = program.fit({"folder": str(tmp_path), "settings": {"beam_size": 10}, **files})
    lines = (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()
    assert (len(lines), lines[1], lines[-1]) == (501, "0", "499 499:0.998")  # it refuses "0 "
    assert answer["beside"]["seconds"] > 0 and answer["beside"]["cpu_seconds"] > 0


def test_the_parabel_arm_tells_its_program_that_there_are_three_trees():
    from hf_mlc.comparing.claims.lightdxml import CLAIM

    arm = CLAIM.arm("parabel")
    assert arm.runner == "napkinxc" and arm.settings == {"loss": "l2", "liblinear_c": 1, "ensemble": 3}


SMALL = Generated(num_labels=30, num_train=60, num_validation=20, num_test=10, num_features=250)
POWER = ClaimData(name="power", folder="power", end_points=("p@1",), features_column="features", generated=SMALL)


def test_generated_rows_are_written_once_and_read_as_any_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = folder_of(POWER, tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in source.iterdir()}
    assert folder_of(POWER, tmp_path) == source
    assert {file.name: file.stat().st_mtime_ns for file in source.iterdir()} == before
    assert capsys.readouterr().err.count("generating") == 3
    rows = prepare_rows(POWER, source, tmp_path / "unused", train_size=None, seed=3)
    space = rows.label_space()
    assert (len(space), space.num_documents, rows.num_train) == (30, 60, 60)
    assert len(rows.read("validation")) == 20 and len(rows.read_measured()) == 10
    first = next(rows_of(SMALL, "test"))
    assert rows.read_measured()[0]["features"]["indices"] == first["features"]["indices"]
    assert space.encode(rows.read_measured()[0]["labels"]).tolist() == sorted(first["labels"])
    assert numeric().fit(rows.read("train")).shape[0] == 60


def rows_of(generated: Generated, split: str):
    return generated.rows.rows(generated.num_test, split=split)


def test_other_rows_have_other_files_and_nothing_is_drawn_of_them(tmp_path, monkeypatch):
    others = [dataclasses.replace(SMALL, **change) for change in ({"seed": 1}, {"num_train": 61}, {"num_test": 11})]
    assert len({one.fingerprint for one in (SMALL, *others)}) == 4
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source, before = folder_of(POWER, tmp_path), SMALL.fingerprint
    with pytest.raises(UserError, match="train_sizes"):
        prepare_rows(POWER, source, tmp_path / "rows", train_size=10, seed=0)
    monkeypatch.setattr("hf_mlc.xmc.power_law._VERSION", 1000)  # the same settings, code that makes other rows
    assert SMALL.fingerprint != before


def test_generated_rows_never_lie_among_the_data_of_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data_dir = tmp_path / "data"
    (data_dir / "power").mkdir(parents=True)
    assert folder_of(POWER, data_dir).is_relative_to(tmp_path / "cache")
    assert not any((data_dir / "power").iterdir())
