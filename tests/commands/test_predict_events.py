"""Next label sets through `predict`: a line a user, from a long table, from histories and from standard input, several sets ahead."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from hf_mlc.commands.predict import main as predict
from hf_mlc.commands.running import run
from hf_mlc.events.demo import generate_customers
from hf_mlc.inference import load_model, predict_steps, score_texts
from tests.commands.conftest import read_jsonl


@pytest.fixture(scope="module")
def customers() -> list[dict]:
    return list(generate_customers(40))


@pytest.fixture(scope="module")
def loaded(next_basket):
    return load_model(str(next_basket))


def answered(model: Path, source: Path, output: Path, *more: str) -> list[dict]:
    assert run(predict, ["--model", str(model), "--input", str(source), "--output", str(output), *more]) == 0
    return read_jsonl(output)


def scores_of(answer: list[dict]) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in answer}


def test_every_user_of_a_long_table_gets_a_line(purchases, next_basket, customers, loaded, tmp_path):
    answers = answered(next_basket, purchases, tmp_path / "next.jsonl", "--top_k", "43", "--pool_size", "7")
    assert [answer["id"] for answer in answers] == [customer["id"] for customer in customers]
    assert all(set(answer) == {"id", "labels"} for answer in answers)
    histories = [{"user": customer["id"], "events": customer["events"]} for customer in customers]
    for answer, row in zip(answers, score_texts(loaded, histories).tolist(), strict=True):
        expected = dict(zip(loaded.label_space.names, row, strict=True))
        assert scores_of(answer["labels"]) == pytest.approx(expected, abs=2e-6)
    # which form they come in makes no difference
    folder = purchases.parent
    assert answered(next_basket, folder / "histories.jsonl", tmp_path / "of_lists.jsonl", "--top_k", "43") == answers


def test_rows_of_a_long_table_may_come_mixed_and_from_parquet(purchases, next_basket, tmp_path):
    rows = list(csv.DictReader(purchases.open(encoding="utf-8")))
    mixed = sorted(rows[:120], key=lambda row: (row["day"], row["item"], row["customer"]))
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(mixed).astype({"quantity": int}).rename(columns={"customer": "buyer"})
    table["day"] = pandas.to_datetime(table["day"])
    table.to_parquet(tmp_path / "mixed.parquet")
    renamed = [
        "--user_column",
        "buyer",
        "--time_column",
        "day",
        "--label_column",
        "item",
        "--amount_column",
        "quantity",
    ]
    found = answered(next_basket, tmp_path / "mixed.parquet", tmp_path / "mixed.jsonl", *renamed)
    with (tmp_path / "first.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows[:120])
    expected = {row["id"]: row for row in answered(next_basket, tmp_path / "first.csv", tmp_path / "first.jsonl")}
    assert len(found) == len(expected) > 3
    for row in found:
        assert scores_of(row["labels"]) == pytest.approx(scores_of(expected[row["id"]]["labels"]), abs=2e-6)


def test_several_steps_ahead_are_those_of_the_model(purchases, next_basket, customers, loaded, tmp_path):
    answers = answered(next_basket, purchases, tmp_path / "steps.jsonl", "--steps", "3", "--top_k", "2")
    histories = [{"user": customer["id"], "events": customer["events"]} for customer in customers]
    expected = loaded.model.predict_next(histories, loaded.processor, steps=3, top_k=2)
    plain = answered(next_basket, purchases, tmp_path / "one.jsonl", "--top_k", "2")
    for answer, steps, first in zip(answers, expected, plain, strict=True):
        assert set(answer) == {"id", "labels", "steps"} and len(answer["steps"]) == 3
        assert answer["labels"] == answer["steps"][0] == first["labels"]
        for step, own in zip(answer["steps"], steps, strict=True):
            assert [entry["label"] for entry in step] == [entry["label"] for entry in own]
            assert scores_of(step) == pytest.approx(scores_of(own), abs=1e-6)
    # the steps differ: what was answered is read before the next answer
    assert any(answer["steps"][0] != answer["steps"][1] for answer in answers)


def test_a_threshold_decides_in_every_step(purchases, next_basket, tmp_path):
    answers = answered(next_basket, purchases, tmp_path / "all.jsonl", "--steps", "2", "--threshold", "0.2")
    scores = [entry["score"] for answer in answers for step in answer["steps"] for entry in step]
    assert min(scores) >= 0.2 and len({len(step) for answer in answers for step in answer["steps"]}) > 1


def test_histories_typed_one_by_one_are_answered(next_basket, monkeypatch, capsys, tmp_path):
    events = [{"time": "2024-03-01", "labels": ["milk", "jam"]}, {"time": "2024-03-05", "labels": ["tent"]}]
    lines = [
        json.dumps({"id": "nobody", "events": events}),
        json.dumps({"id": "c0003", "events": events}),
        '{"events": []}',
    ]
    stdin = tmp_path / "stdin"
    stdin.write_text("\n".join(lines) + "\n")
    with stdin.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(predict, ["--model", str(next_basket), "--top_k", "3", "--steps", "2"]) == 0
    printed = capsys.readouterr()
    answers = [json.loads(line) for line in io.StringIO(printed.out)]
    assert [answer["id"] for answer in answers] == ["nobody", "c0003", "3"]
    assert all(len(step) == 3 for answer in answers for step in answer["steps"])
    # the user is known, and read: the same history, other scores
    assert scores_of(answers[0]["labels"]) != scores_of(answers[1]["labels"])
    assert "labels in histories that the model doesn't know are left out ('jam': " in printed.err


def test_what_a_model_does_not_know_is_counted_once_a_history(next_basket, capsys, tmp_path):
    events = [{"time": "2024-03-01", "labels": ["milk", "jam", "honey"]}]
    (tmp_path / "new.jsonl").write_text(json.dumps({"id": "new", "events": events}) + "\n")
    answered(next_basket, tmp_path / "new.jsonl", tmp_path / "out.jsonl")
    said = capsys.readouterr().err
    assert "2 labels in histories that the model doesn't know are left out" in said
    assert "1 histories of users that training didn't have" in said


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([{"time": "soon", "labels": ["tea"]}], "row 2, field 'events[0].time': the time is a string: soon; accepted: "),
        ([{"time": 7, "labels": ["tea"]}], "row 2, field 'events[0].time': the time is a number (7), and other times are dates"),
        ([{"time": "2024-01-01", "labels": []}], "row 2, field 'events[0].labels': "),
        ([{"time": "2024-01-01", "labels": ["tea"], "amount": -1}], "row 2, field 'events[0].amount': the amount is"),
        ("tea", "row 2, field 'events': "),
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_read_is_one_line(next_basket, capsys, tmp_path, history, message):
    good = json.dumps({"events": [{"time": "2024-03-01", "labels": ["milk"]}]})
    (tmp_path / "new.jsonl").write_text(f"{good}\n{json.dumps({'events': history})}\n")
    for more in ([], ["--steps", "2"]):
        assert run(predict, ["--model", str(next_basket), "--input", str(tmp_path / "new.jsonl"), *more]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("hf-mlc: error: ") and f"new.jsonl, {message}" in error


def test_steps_of_a_model_that_reads_no_events_are_refused(trained, capsys, tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n')
    arguments = ["--model", str(trained), "--input", str(tmp_path / "texts.jsonl"), "--steps", "2"]
    assert run(predict, arguments) == 2
    assert "'steps': a model of the kind 'plant' doesn't predict events" in capsys.readouterr().err
    arguments[-1] = "0"
    assert run(predict, arguments) == 2
    assert "'steps': found 0; accepted: 1 or more" in capsys.readouterr().err


def test_the_library_says_which_history_is_wrong(loaded):
    from hf_mlc.errors import UserError

    with pytest.raises(UserError, match=r"row 2, field 'events\[0\].time'"):
        predict_steps(loaded, [[], [{"time": "soon", "labels": ["tea"]}]], 2)


def test_events_of_one_period_are_one_in_prediction_too(histories, tmp_path):
    """What training merged, prediction merges: two visits of a week answered as one."""
    from tests.commands.event_runs import train_on

    folder = train_on(histories, tmp_path / "model", "--merge_events", "week", "--num_train_epochs", "1")
    monday, tuesday = {"time": "2024-03-04", "labels": ["milk"]}, {"time": "2024-03-05T10:00", "labels": ["tent"]}
    apart = [{**monday, "amount": 2}, {**tuesday, "amount": 1}]
    together = [{"time": "2024-03-04", "labels": ["milk", "tent"], "amount": [2, 1]}]
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": "x", "events": one}) + "\n" for one in (apart, together))
    )
    first, second = answered(folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--top_k", "5")
    assert first == second
    assert Counter(load_model(str(folder)).processor.flat(apart)["sizes"]) == {2: 1}
