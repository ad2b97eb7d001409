"""Nothing of a measured set is in what it is predicted from, for every arm of LANET's comparison.

The published evaluation of the causal form scores sets that the model has read: .99 that way, .69 honestly, on DC. The sets here are
drawn independently of everything: who knows nothing of the answer cannot be above chance, and who has read it is far above.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pytest
import torch

from hf_mlc.comparing.arms import Fitted, Job, fit
from hf_mlc.comparing.claim import Arm, ClaimData, Sequences, find_claim
from hf_mlc.comparing.data import Rows, prepare_rows
from hf_mlc.comparing.one_run import measure
from hf_mlc.comparing.scores import RunScores
from tests.commands.conftest import read_jsonl


USERS, EVENTS, LABELS, KEPT = 500, 6, "abcdefghijklmn", 12
TINY = {
    "model_type": "lanet", "embed_dim": 4, "num_layers": 1, "num_heads": 2, "look_back": 3, "time_encoding": "log_bucket",
    "num_train_epochs": 1, "learning_rate": 0.01, "per_device_train_batch_size": 50, "per_device_eval_batch_size": 500,
    "metric_for_best_model": "auc_micro", "threshold_kind": "global", "use_cpu": True,
}  # fmt: skip
OF_RUNNER = {"train": TINY, "event-transformer": {**TINY, "hidden_size": 8, "intermediate_size": 8}}
# five targets a user: one trains, one validates, and three are measured
DATA = ClaimData(
    "random", "random", ("auc_macro",),
    sequences=Sequences({"split_by": "time", "fractions": (0.2, 0.2, 0.6), "merge": "day"}, one_source=True, most_frequent=KEPT),
)  # fmt: skip
# one network of each kind: other arms read the same rows by the same code
ARMS = (
    "lanet", "lanet-causal", "event-transformer", "popularity", "personal-frequency", "frequency-mix", "tifu-knn",
)  # fmt: skip


class Run(NamedTuple):
    fitted: Fitted
    job: Job


def random_sequences() -> list[dict]:
    """Users whose sets are drawn label by label, independently of each other, of the time and of who it is."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        days = np.cumsum(rng.integers(1, 9, EVENTS)).tolist()
        sets = [[label for label in LABELS if rng.random() < 0.3] or ["a"] for _ in days]
        events = [{"time": day, "labels": labels} for day, labels in zip(days, sets, strict=True)]
        rows.append({"id": f"u{user}", "events": events})
    return rows


def write(folder: Path, sequences: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sequences), encoding="utf-8")
    return folder


def with_other_last_sets(sequences: list[dict], seed: int = 1) -> list[dict]:
    """The same users, each with another's last set."""
    order = np.random.default_rng(seed).permutation(len(sequences))
    changed = []
    for row, other in zip(sequences, order, strict=True):
        last = {**row["events"][-1], "labels": sequences[other]["events"][-1]["labels"]}
        changed.append({**row, "events": [*row["events"][:-1], last]})
    return changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("random")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        yield folder


def prepared(folder: Path, sequences: list[dict], name: str) -> Rows:
    return prepare_rows(DATA, write(folder / f"{name}-data", sequences), folder / name, train_size=None, seed=0)


@pytest.fixture(scope="module")
def rows(folder) -> Rows:
    return prepared(folder, random_sequences(), "rows")


@pytest.fixture(scope="module")
def others(folder) -> Rows:
    """The rows of the same users with other last sets."""
    return prepared(folder, with_other_last_sets(random_sequences()), "others")


@pytest.fixture(scope="module")
def both(rows, others) -> tuple[list, list]:
    """The histories of the measured rows that both have, in one order."""
    found = [
        dict(zip(each["id"], each["events"], strict=True)) for each in (rows.read_measured(), others.read_measured())
    ]
    shared = sorted(found[0].keys() & found[1].keys())
    return tuple([histories[row] for row in shared] for histories in found)


def run_of(arm: Arm, rows: Rows, folder: Path) -> Run:
    job = Job(arm.runner, {**OF_RUNNER.get(arm.runner, {}), **arm.settings}, rows, 0, "")
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    return Run(fit(job, folder / arm.name), job)


@pytest.fixture(scope="module")
def runs(rows, folder):
    """Trains an arm when it is first asked for."""
    trained: dict[str, Run] = {}

    def trained_one(name: str) -> Run:
        if name not in trained:
            trained[name] = run_of(find_claim("lanet").arm(name), rows, folder / "models")
        return trained[name]

    return trained_one


def scored(run: Run, items: list) -> np.ndarray:
    scores_NL = np.zeros((len(items), KEPT), np.float32)
    for places, scores_BL, *_ in run.fitted.score(items):
        scores_NL[places] = torch.as_tensor(scores_BL).numpy()
    return scores_NL


def test_labels_of_measured_sets_change_nothing_that_is_trained_on(rows, others):
    for name in ("train", "validation", "labels", "train_sequences"):
        assert Path(getattr(rows, name)).read_bytes() == Path(getattr(others, name)).read_bytes(), name
    assert rows.fingerprints == others.fingerprints
    measured, changed = ({row["id"]: row for row in read_jsonl(Path(each.measured))} for each in (rows, others))
    shared = measured.keys() & changed.keys()  # of few a set has nothing left once the rare labels are gone
    assert len(shared) > 0.95 * 3 * USERS
    assert all(measured[row]["events"] == changed[row]["events"] for row in shared)
    others_labels = {row for row in shared if measured[row]["labels"] != changed[row]["labels"]}
    assert {row.partition("@")[2] for row in others_labels} == {"5"} and len(others_labels) > 0.9 * USERS


@pytest.mark.parametrize("name", ARMS)
def test_no_score_of_an_event_moves_when_its_own_labels_change(name, runs, both):
    run = runs(name)
    before, after = (scored(run, items) for items in both)
    assert np.array_equal(before, after)
    if name != "popularity":  # but it does read histories: one event less, and scores move
        shorter = [one_event_less(history) for history in both[0][:50]]
        assert not np.allclose(scored(run, shorter), before[:50], atol=1e-4)


def one_event_less(history: dict) -> dict:
    end = len(history["labels"]) - history["sizes"][-1]
    return {
        **history,
        "times": history["times"][:-1],
        "sizes": history["sizes"][:-1],
        "labels": history["labels"][:end],
    }


@pytest.mark.parametrize("name", ARMS)
def test_sets_that_nobody_can_know_are_ranked_by_chance(name, runs, tmp_path):
    run = runs(name)
    metrics = measure(run.fitted, run.job, str(tmp_path / "scores.npz"))["metrics"]
    assert metrics["auc_macro"] == pytest.approx(0.5, abs=0.02)
    assert metrics["auc_weighted"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["lanet", "personal-frequency"])
def test_who_reads_the_answer_is_found_out(name, rows, folder, tmp_path):
    """Each target is also the last event of its history: what the tests above would see."""

    def leaked(path: str) -> str:
        written = tmp_path / Path(path).name
        with written.open("w", encoding="utf-8") as stream:
            for row in read_jsonl(Path(path)):
                history = row["events"]
                read = {
                    "times": [*history["times"], history["target_time"]],
                    "sizes": [*history["sizes"], len(row["labels"])],
                }
                read |= {"labels": [*history["labels"], *row["labels"]], "target_time": None}
                stream.write(json.dumps({**row, "events": {**history, **read}}) + "\n")
        return str(written)

    seen = replace(rows, **{name: leaked(getattr(rows, name)) for name in ("train", "validation", "measured")})
    arm = find_claim("lanet").arm(name)
    if arm.runner == "train":  # some steps more, until it has seen what it is given
        arm = replace(arm, settings={**arm.settings, "num_train_epochs": 12})
    run = run_of(arm, seen, tmp_path / "models")
    assert measure(run.fitted, run.job, str(tmp_path / "scores.npz"))["metrics"]["auc_macro"] > 0.6


@pytest.mark.parametrize("name", ["lanet", "frequency-mix"])
def test_permuted_test_labels_change_nothing_but_test_metrics(name, runs, rows, tmp_path):
    run = runs(name)
    measured = read_jsonl(Path(rows.measured))
    order = np.random.default_rng(2).permutation(len(measured))
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({**row, "labels": measured[other]["labels"]}) + "\n" for row, other in zip(measured, order, strict=True)),
        encoding="utf-8",
    )  # fmt: skip
    permuted = replace(run.job, rows=replace(rows, measured=str(tmp_path / "test.jsonl")))
    results = [measure(run.fitted, job, str(tmp_path / f"{at}.npz")) for at, job in enumerate((run.job, permuted))]
    scores = [RunScores.load(tmp_path / f"{at}.npz") for at in range(2)]
    for what in ("scores_NK", "chosen", "train_counts", "groups"):
        assert np.array_equal(getattr(scores[0], what), getattr(scores[1], what)), what
    assert not np.array_equal(scores[0].true, scores[1].true)
    assert results[0]["metrics"] != results[1]["metrics"]
    assert len(set(scores[0].groups.tolist())) == len({row["id"].partition("@")[0] for row in measured})
