"""Training here, measuring there: dates, label maps, and the labels that both sides have."""

from __future__ import annotations

import json
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.running import run
from hf_mlc.comparing import one_run
from hf_mlc.comparing.arms import Fitted
from hf_mlc.comparing.claim import ClaimData, Dates
from hf_mlc.comparing.data import prepare_rows
from hf_mlc.comparing.report import report
from hf_mlc.comparing.scores import RunScores
from hf_mlc.errors import UserError
from tests.comparing.test_report import CLAIM, DATA, measured


EARLY = [("1-MAR-1987 9:00", ["grain"]), ("28-FEB-1987 9:00", ["oil", "ship"]), ("1987-03-02", ["gold"])] * 4
LATE = [
    ("1987-06-01 00:10", ["grain", "rice"]),
    ("2-JUN-1987", ["rice"]),
    ("19-OCT-1987", ["ship"]),
    ("1987-05-31", ["oil"]),
]


def write(folder, split: str, rows) -> None:
    folder.mkdir(exist_ok=True)
    lines = [
        json.dumps({"id": f"{split}{n}", "date": date, "text": f"words of {split} {n}", "labels": labels})
        for n, (date, labels) in enumerate(rows)
    ]
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def news(tmp_path):
    write(tmp_path / "news", "train", [*EARLY, ("9-APR-1987", ["rice"])])
    write(tmp_path / "news", "test", LATE)
    return tmp_path / "news"


DATES = Dates("date", train_until="1987-03-31", measured_from="1987-06-01")


def test_early_rows_are_trained_on_and_late_ones_measured(news, tmp_path):
    data = ClaimData(name="news", folder="news", end_points=("f1_micro",), dates=DATES, validation_fraction=0.25)
    rows = prepare_rows(data, news, tmp_path / "rows", train_size=None, seed=0)
    trained = [*rows.read("train"), *rows.read("validation")]
    assert len(trained) == 12 and rows.label_space().names == ["gold", "grain", "oil", "ship"]  # rice came in April
    assert rows.read_measured()["id"][:] == ["test0", "test1", "test2"]
    assert rows.across and rows.fingerprints["across"]
    other = ClaimData(name="news", folder="news", end_points=("f1_micro",), validation_fraction=0.25)
    assert not prepare_rows(other, news, tmp_path / "whole", train_size=None, seed=0).across


def test_a_date_that_is_none_is_one_line(news, tmp_path):
    write(news, "train", [*EARLY, ("yesterday", ["rice"])])
    data = ClaimData(name="news", folder="news", end_points=("f1_micro",), dates=DATES)
    with pytest.raises(UserError, match=r"news, row 13, field 'date': found 'yesterday'"):
        prepare_rows(data, news, tmp_path / "rows", train_size=None, seed=0)


def test_labels_that_both_sides_have_are_measured(news, tmp_path):
    (tmp_path / "map.json").write_text(json.dumps({"rice": "grain", "ship": None}), encoding="utf-8")
    settings = {"dates": DATES, "validation_fraction": 0.25}
    plain = ClaimData(name="news", folder="news", end_points=("f1_micro",), **settings)
    mapped = ClaimData(
        name="news", folder="news", end_points=("f1_micro",), label_map=str(tmp_path / "map.json"), **settings
    )
    found = {}
    for name, data in (("plain", plain), ("mapped", mapped)):
        rows = prepare_rows(data, news, tmp_path / name, train_size=None, seed=0)

        def score(texts):
            # gold, which nobody measures, is always best; of the others grain
            scores = torch.tensor([[0.9, 0.8, 0.1, 0.2]]).repeat(len(texts), 1)
            yield list(range(len(texts))), scores, None, scores > 0.85

        fitted = Fitted(score, [0.5, 0.5, 0.5, 0.5], 1, 1, 1)
        found[name] = one_run.measure(
            fitted, SimpleNamespace(rows=rows, batch_sizes=()), str(tmp_path / f"{name}.npz")
        )
    # plain: grain and ship survive; the document of rice alone has no answer and is left out
    facts = ("shared_labels", "trained_labels", "measured_labels", "left_out_documents", "documents", "unknown_labels")
    assert [found["plain"][fact] for fact in facts] == [2, 4, 3, 1, 2, 2]
    # gold is chosen and does not survive: what is best of those that do stands in for it
    assert found["plain"]["metrics"]["subset_accuracy"] == 0.5
    assert RunScores.load(tmp_path / "plain.npz").true.tolist() == [[0, 1], [0, 1]]
    # validation rows, on which settings are chosen, are training's: the map is for the measured ones alone
    chosen_on = prepare_rows(mapped, news, tmp_path / "chosen", train_size=None, seed=0, split="validation")
    assert chosen_on.label_map is None and rows.label_map == {"rice": "grain", "ship": None}
    # mapped: rice is grain, ship is left out, and with it its document
    assert [found["mapped"][fact] for fact in facts] == [1, 4, 3, 0, 3, 0]
    assert found["mapped"]["metrics"]["recall_micro"] == 1.0


def test_a_document_without_labels_stays_and_strange_labels_alone_are_an_error():
    space = SimpleNamespace(counts=np.array([3, 2, 0]), __len__=lambda self: 3)
    space = type("Space", (), {"counts": np.array([3, 2, 0]), "__len__": lambda self: 3})()
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "labels": [["x"], [], ["new"]]})
    ids = [np.array([1]), np.array([], int), np.array([], int)]
    columns, kept, true_ids, facts = one_run.shared_labels(rows, ids, [0, 0, 1], space)
    assert (
        columns.tolist() == [1] and kept["text"][:] == ["a", "b"] and [ids.tolist() for ids in true_ids] == [[0], []]
    )
    assert facts["left_out_documents"] == 1
    with pytest.raises(UserError, match="no label of the measured rows"):
        one_run.shared_labels(rows, [np.array([2]), *ids[1:]], [0, 0, 1], space)


@pytest.mark.parametrize(
    ("content", "expected"), [("[1]", "no names"), ('{"rice": "corn"}', "'rice' is mapped to 'corn'")]
)
def test_a_label_map_that_is_none_is_one_line(content, expected, news, tmp_path):
    (tmp_path / "map.json").write_text(content, encoding="utf-8")
    data = ClaimData(name="news", folder="news", end_points=("f1_micro",), label_map=str(tmp_path / "map.json"))
    with pytest.raises(UserError, match=expected):
        prepare_rows(data, news, tmp_path / "rows", train_size=None, seed=0)


def test_the_report_says_how_many_labels_survive(tmp_path):
    about = {"shared_labels": 2, "trained_labels": 4, "measured_labels": 3, "left_out_documents": 1}
    lines = [measured(arm, 0, 0.5, "a") | about for arm in ("toy", "toy-plain")]
    title = report(CLAIM, DATA, lines, tmp_path).splitlines()[1]
    assert title == (
        "2 labels survive, of 4 that were trained and 3 in the measured rows; documents without any of them: 1, left out"
    )


def test_another_data_set_is_measured_from_the_command_line(news, tmp_path, capsys):
    pytest.importorskip("sklearn")
    write(tmp_path / "elsewhere", "test", [("", ["wheat"]), ("", ["ship"])])
    (tmp_path / "map.json").write_text('{"wheat": "grain"}', encoding="utf-8")
    output = tmp_path / "claims.jsonl"
    arguments = [
        "sgm",
        "--dataset",
        str(news),
        "--measured_dataset",
        str(tmp_path / "elsewhere"),
        "--arms",
        "binary-relevance",
    ]
    arguments += ["--label_map", str(tmp_path / "map.json"), "--seeds", "1", "--output", str(output)]
    assert run(compare, arguments) == 0
    shown = capsys.readouterr().out
    assert "news-on-elsewhere-mapped: 2 test documents" in shown
    assert "2 labels survive, of 5 that were trained and 2 in the measured rows" in shown
    written = json.loads(output.read_text(encoding="utf-8"))
    assert written["dataset"] == "news-on-elsewhere-mapped" and "--label_map" in written["command"]


def test_arms_that_start_from_a_pretrained_encoder_need_its_path(news, tmp_path, capsys):
    arguments = ["sgm", "--dataset", str(news), "--arms", "sgm-pretrained", "--seeds", "1", "--output"]
    assert run(compare, [*arguments, str(tmp_path / "claims.jsonl")]) == 2
    assert "'encoder_path'" in capsys.readouterr().err
