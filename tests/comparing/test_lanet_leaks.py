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
from hf_mlc.comparing.claims.lanet import LAST_OF_NEW_USERS
from hf_mlc.comparing.data import Rows, prepare_rows
from hf_mlc.comparing.one_run import measure
from hf_mlc.comparing.scores import RunScores
from tests.commands.conftest import read_jsonl


USERS, EVENTS, LABELS, RARE, KEPT = 500, 6, "abcdefghijklmn", "mn", 12
# long enough to find an answer that can be read: `test_who_reads_the_answer_is_found_out`
TINY = {
    "model_type": "lanet", "embed_dim": 4, "num_layers": 1, "num_heads": 2, "look_back": 3, "time_encoding": "log_bucket",
    "time_reference": "last", "num_amount_bins": 3, "user_tokens": True, "dropout": 0.0, "head_dropout": 0.0,
    "num_train_epochs": 4, "learning_rate": 0.03, "per_device_train_batch_size": 50, "per_device_eval_batch_size": 500,
    "metric_for_best_model": "auc_micro", "threshold_kind": "global", "use_cpu": True,
}  # fmt: skip
OF_RUNNER = {
    "train": TINY,
    "event-transformer": {**TINY, "hidden_size": 16, "intermediate_size": 16},
    "tifu-knn": {"num_groups": 3, "within_decays": [0.7, 1.0], "neighbours": 30},  # of its grid, for the time it takes
}
# five targets a user: one trains, one validates, and three are measured
BY_TIME = ClaimData(
    "random", "random", ("auc_macro",),
    sequences=Sequences({"split_by": "time", "fractions": (0.2, 0.2, 0.6), "merge": "day"}, one_source=True, most_frequent=KEPT),
)  # fmt: skip
OF_NEW_USERS = replace(BY_TIME, sequences=Sequences(LAST_OF_NEW_USERS))
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
        sets = [[label for label in LABELS if rng.random() < (0.2 if label in RARE else 0.3)] or ["a"] for _ in days]
        events = [
            {"time": day, "labels": labels, "amount": float(rng.integers(1, 100))}
            for day, labels in zip(days, sets, strict=True)
        ]
        rows.append({"id": f"u{user}", "events": events})
    return rows


def write(folder: Path, **parts: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, sequences in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sequences), encoding="utf-8")
    return folder


def with_other_last_sets(sequences: list[dict], seed: int = 1) -> list[dict]:
    """The same users, the last set of each the rare labels and one that it did not hold: who counted them would count so many more
    that the rare ones were among the frequent."""
    rng, changed = np.random.default_rng(seed), []
    for row in sequences:
        last = row["events"][-1]
        new = rng.choice([label for label in LABELS if label not in {*last["labels"], *RARE}] or ["a"])
        changed.append({**row, "events": [*row["events"][:-1], {**last, "labels": [str(new), *RARE]}]})
    return changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("random")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        yield folder


def prepared(folder: Path, sequences: list[dict], name: str) -> Rows:
    return prepare_rows(
        BY_TIME, write(folder / f"{name}-data", train=sequences), folder / name, train_size=None, seed=0
    )


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


def check_same_training(rows: Rows, others: Rows) -> None:
    for name in ("train", "validation", "labels", "train_sequences"):
        assert Path(getattr(rows, name)).read_bytes() == Path(getattr(others, name)).read_bytes(), name
    assert rows.fingerprints == others.fingerprints


def test_labels_of_measured_sets_change_nothing_that_is_trained_on(rows, others):
    check_same_training(rows, others)
    assert not set(RARE) & set(rows.label_space().names)
    measured, changed = ({row["id"]: row for row in read_jsonl(Path(each.measured))} for each in (rows, others))
    shared = measured.keys() & changed.keys()  # of few a set has nothing left once the rare labels are gone
    assert len(shared) > 0.95 * 3 * USERS
    assert all(measured[row]["events"] == changed[row]["events"] for row in shared)
    others_labels = {row for row in shared if measured[row]["labels"] != changed[row]["labels"]}
    assert {row.partition("@")[2] for row in others_labels} == {"5"} and len(others_labels) > 0.9 * USERS


def test_last_sets_of_new_users_change_nothing_that_is_trained_on(folder):
    users = random_sequences()[:100]
    known, new = users[:80], users[80:]
    rows, others = (
        prepare_rows(
            OF_NEW_USERS,
            write(folder / f"{name}-data", train=known, test=test),
            folder / name,
            train_size=None,
            seed=0,
        )
        for name, test in (("new", new), ("new-others", with_other_last_sets(new)))
    )
    check_same_training(rows, others)
    measured, changed = rows.read_measured(), others.read_measured()
    assert measured["id"] == changed["id"] == [f"{row['id']}@5" for row in new]
    assert measured["events"][:] == changed["events"][:]
    assert all(one != other for one, other in zip(measured["labels"], changed["labels"], strict=True))


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
        "amounts": history["amounts"][:end],
    }


@pytest.mark.parametrize("name", ARMS)
def test_sets_that_nobody_can_know_are_ranked_by_chance(name, runs, tmp_path):
    run = runs(name)
    metrics = measure(run.fitted, run.job, str(tmp_path / "scores.npz"))["metrics"]
    assert metrics["auc_macro"] == pytest.approx(0.5, abs=0.02)
    assert metrics["auc_weighted"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", [name for name in ARMS if name != "popularity"])  # which reads no history
def test_who_reads_the_answer_is_found_out(name, rows, tmp_path):
    """Each target is also the last event of its history: what the tests above would see, trained as they train."""

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
                read |= {"amounts": [*history["amounts"], *[1.0] * len(row["labels"])]}
                stream.write(json.dumps({**row, "events": {**history, **read}}) + "\n")
        return str(written)

    files = ("train", "train_sequences", "validation", "measured")
    seen = replace(rows, **{file: leaked(getattr(rows, file)) for file in files})
    run = run_of(find_claim("lanet").arm(name), seen, tmp_path / "models")
    assert measure(run.fitted, run.job, str(tmp_path / "scores.npz"))["metrics"]["auc_macro"] > 0.9


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
