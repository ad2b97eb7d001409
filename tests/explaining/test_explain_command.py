from __future__ import annotations

import io
import json
import sys

import pytest

from hf_mlc.commands.explain import main as explain
from hf_mlc.commands.running import run


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "notes.jsonl"
    rows = [
        {"id": "a", "text": "Fever fever!"},
        {"id": "b", "text": "cough"},
        {"id": "c", "text": "well <fever> fever"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_every_row_is_answered_in_order_with_its_predicted_labels(planted_folder, notes, tmp_path, capsys):
    arguments = ["--model", str(planted_folder), "--input", str(notes)]
    assert run(explain, [*arguments, "--top_words", "1"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(answer["id"], [row["label"] for row in answer["explanations"]]) for answer in answers] == [
        ("a", ["B", "A"]), ("b", []), ("c", ["A", "B"]),
    ]  # fmt: skip
    # label A attends to either "fever" by 3 of 3 + 3 + 1
    assert answers[0]["explanations"][1]["words"] == [{"start": 0, "end": 5, "text": "Fever", "weight": 0.428571}]

    file = tmp_path / "out.jsonl"
    assert run(explain, [*arguments, "--top_words", "1", "--output", str(file)]) == 0
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == answers


def test_the_labels_and_the_method_may_be_chosen(planted_folder, notes, capsys):
    arguments = ["--model", str(planted_folder), "--input", str(notes), "--label", "A"]
    assert run(explain, [*arguments, "--method", "integrated_gradients", "--baseline", "pad"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[row["label"] for row in answer["explanations"]] for answer in answers] == [["A"]] * 3
    assert abs(answers[1]["explanations"][0]["convergence_delta"]) < 1e-3


def test_pages_and_pictures_go_by_the_files_ending(planted_folder, notes, tmp_path):
    arguments = ["--model", str(planted_folder), "--input", str(notes), "--label", "A", "B"]
    page, picture = tmp_path / "out.html", tmp_path / "out.png"
    assert run(explain, [*arguments, "--output", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == 6 and "c · A: &lt;a&gt; &amp; co" in text and "&lt;" in text
    assert run(explain, [*arguments, "--output", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_standard_input_is_answered_line_by_line(planted_folder, monkeypatch, capsys):
    content = io.BytesIO(b'{"text": "fever"}\n\n{"id": 7, "text": ""}\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content, encoding="utf-8"))
    assert run(explain, ["--model", str(planted_folder), "--label", "B"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "7"]
    assert answers[1]["explanations"][0]["words"] == []


def test_rows_may_be_named_by_another_column(planted_folder, tmp_path, capsys):
    file = tmp_path / "notes.csv"
    file.write_text("id,note,text\n1,x7,fever\n2,x8,cough\n", encoding="utf-8")
    asked = ["--model", str(planted_folder), "--input", str(file), "--label", "A"]
    assert run(explain, [*asked, "--id_column", "note"]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["x7", "x8"]
    assert run(explain, [*asked, "--id_column", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "out.pdf"], ["output", "out.pdf", ".jsonl, .html, .png"]),
        (["--output", "out.png", "--label", "C"], ["'C' is not in the label space"]),
        (
            ["--method", "saliency"],
            ["method", "saliency", "attention, direct_logit_attribution, integrated_gradients"],
        ),
        (["--baseline", "zero"], ["baseline", "zero", "unk, pad, mask"]),
        (["--top_words", "0"], ["top_words", "1 or more"]),
        (["--top_words", "3", "--output", "out.png"], ["'top_words': a picture shades every word", ".jsonl or .html"]),
        (["--steps", "9"], ["'steps': is of integrated_gradients, and the method is attention"]),
        (
            ["--baseline", "pad", "--method", "direct_logit_attribution"],
            ["'baseline': is of integrated_gradients, and the method is direct_logit_attribution"],
        ),
        (["--input", "missing.jsonl"], ["missing.jsonl"]),
        (["--text_column", "body", "--output", "out.html"], ["row 1", "body"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(
    planted_folder, notes, tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert run(explain, ["--model", str(planted_folder), "--input", str(notes), *arguments]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("hf-mlc: error: ") and all(part in line for part in said), line
    assert sorted(tmp_path.iterdir()) == before
