"""The compare command end to end: lines, tables, going on after a cut, a user's mistakes."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from dataclasses import replace

import pytest

from hf_mlc.commands.compare import CompareArguments
from hf_mlc.commands.compare import main as compare
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import run
from hf_mlc.comparing.claim import find_claim
from hf_mlc.comparing.scores import RunScores
from tests.commands.conftest import read_jsonl


FIELDS = {
    "claim", "dataset", "arm", "seed", "split", "metrics", "parameters", "train_seconds", "train_cpu_seconds",
    "predict_ms", "model_bytes", "peak_bytes", "command", "versions",
}  # fmt: skip


def test_every_run_leaves_a_line_with_all_its_fields_and_its_scores(finished):
    lines = read_jsonl(finished.output)
    assert [(line["seed"], line["arm"]) for line in lines] == [
        (0, "plant-plain"), (0, "tfidf-svm"), (1, "plant-plain"), (1, "tfidf-svm"),
    ]  # fmt: skip
    for line in lines:
        assert line.keys() >= FIELDS
        assert (line["claim"], line["split"], line["documents"], line["train_documents"]) == ("plant", "test", 40, 108)
        assert all(
            line[name] > 0 for name in ("parameters", "train_seconds", "predict_ms", "model_bytes", "peak_bytes")
        )
        assert {"f1_micro", "f1_macro@1-5", "p@5"} <= line["metrics"].keys()
        assert line["unknown_labels"] == 2  # labels of test notes that no training note has
    scores = sorted(finished.output.with_name("claims.scores").glob("*.npz"))
    assert len(scores) == 4 and RunScores.load(scores[0]).num_documents == 40


def test_both_arms_and_both_seeds_are_measured_on_the_same_rows(finished):
    lines = read_jsonl(finished.output)
    assert len({line["fingerprint"] for line in lines}) == 1
    # another seed is another draw of validation rows, so the same arm has other settings
    assert len({line["settings"] for line in lines}) == 4


def test_the_command_of_a_line_is_one_that_compare_takes(finished):
    for line in read_jsonl(finished.output):
        words = shlex.split(line["command"])
        assert words[:3] == ["python", "scripts/compare.py", "plant"]
        (args,), _, _ = parse_arguments(CompareArguments, words[3:])
        assert (args.arms, args.first_seed, args.seeds) == (line["arm"], line["seed"], 1)


def test_what_is_there_is_not_run_again_and_the_tables_are_printed(compared, capsys):
    before = compared.output.read_bytes()
    assert run(compare, compared.arguments) == 0
    assert compared.output.read_bytes() == before
    out = capsys.readouterr().out
    assert "40 test documents" in out
    assert "plant-plain      2" in out and "tfidf-svm        2" in out
    assert "plant-plain - tfidf-svm" in out and "±" in out and "[" in out


def test_a_run_cut_short_goes_on_where_it_was(compared):
    *kept, last = compared.output.read_text(encoding="utf-8").splitlines(keepends=True)
    compared.output.write_text("".join(kept) + last[: len(last) // 2], encoding="utf-8")
    assert run(compare, compared.arguments) == 0
    lines, original = read_jsonl(compared.output), json.loads(last)
    assert len(lines) == 4 and compared.output.read_text(encoding="utf-8").startswith("".join(kept))
    assert lines[-1]["metrics"] == original["metrics"] and lines[-1]["settings"] == original["settings"]


def test_without_the_scores_the_differences_stand_without_intervals(compared, capsys):
    for file in compared.output.with_name("claims.scores").glob("*.npz"):
        file.unlink()
    assert run(compare, [*compared.arguments, "--report_only"]) == 0
    difference = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("plant-plain - tfidf"))
    assert "[" not in difference


def test_own_data_are_read_by_the_columns_of_the_recipe(notes, finished, tmp_path, capsys):
    """The same notes under other names, as CSV: the same metrics to the digit."""
    folder, other = tmp_path / "named", tmp_path / "elsewhere"
    for place in (folder, other):
        place.mkdir()
    for split in ("train", "test"):
        rows = read_jsonl(notes / f"{split}.jsonl")
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["nr", "subject", "body", "tags"])
            # joined by the line end that the text is cut at
            texts = [row["text"].split("\n", 1) if "\n" in row["text"] else [row["text"], ""] for row in rows]
            writer.writerows(
                [f"n{place}", *text, " | ".join(row["labels"])]
                for place, (text, row) in enumerate(zip(texts, rows, strict=True))
            )
    shutil.copy(folder / "test.csv", other)
    recipe = (finished.output.parent / "recipe.yaml").read_text(encoding="utf-8")
    recipe += "text_column: [subject, body]\nlabels_column: tags\nlabels_separator: '|'\nid_column: nr\n"
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    output = tmp_path / "own.jsonl"
    arguments = ["plant", "--dataset", str(folder), "--recipe", str(tmp_path / "recipe.yaml"), "--seeds", "1"]
    arguments += ["--resamples", "20", "--output", str(output)]
    assert run(compare, [*arguments, "--arms", "plant-plain,tfidf-svm"]) == 0
    assert run(compare, [*arguments, "--arms", "tfidf-svm", "--measured_dataset", str(other)]) == 0
    ours, svm, across = read_jsonl(output)
    usual = {line["arm"]: line for line in read_jsonl(finished.output) if line["seed"] == 0}
    assert ours["documents"] == svm["documents"] == across["documents"] == 40
    assert ours["settings"] != usual["plant-plain"]["settings"]
    assert svm["metrics"] == usual["tfidf-svm"]["metrics"]


def test_columns_of_a_recipe_are_those_of_ones_own_data_alone(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "text_column: body\nlabel_columns: [a, b]\nmax_length: 8\n", encoding="utf-8"
    )
    (args,), _, _ = parse_arguments(CompareArguments, ["--recipe", str(tmp_path / "recipe.yaml")])
    claim = find_claim("plant")
    assert args.chosen_datasets(claim) == [claim.datasets[0]]
    [own] = replace(args, dataset=str(tmp_path)).chosen_datasets(claim)
    assert (own.text_column, own.columns) == (("body",), {"label_columns": ("a", "b")})
    # of sequences rows are made first, and their columns have names of their own
    [own] = replace(args, dataset=str(tmp_path)).chosen_datasets(find_claim("lanet"))
    assert own == replace(find_claim("lanet").own_data, name=own.name, folder=own.folder)


def test_a_failed_run_does_not_stop_the_others(compared, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("model_type: plant\nthreshold_kind: global\nhidden_sise: 16\n", encoding="utf-8")
    arguments = [word if word != compared.arguments[4] else str(bad) for word in compared.arguments]
    assert run(compare, [*arguments, "--seeds", "1"]) == 2
    shown = capsys.readouterr()
    assert "plant-plain, seed 0" in shown.err and "hidden_sise" in shown.err.splitlines()[-1]
    assert "tfidf-svm" in shown.out
    assert len(read_jsonl(compared.output)) == 4  # no line of the failed run


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"--arms": "plant-plain,plant-plane"}, ("'arms'", "plant-plane", "plant-plain")),
        ({"--dataset": "/no/such/folder"}, ("'dataset'", "codiesp")),
        ({"--dataset": "codiesp", "--data_dir": "/no/data"}, ("/no/data/codiesp", "no such folder")),
        ({"--train_sizes": "ten"}, ("'train_sizes'", "ten")),
        ({"--train_sizes": "100000"}, ("'train_sizes'", "2 to 120")),
        ({"--split": "train"}, ("'split'", "unused")),
        ({"--output": "claims.csv"}, ("'output'", "*.jsonl")),
        ({"--seeds": "0"}, ("'seeds'",)),
    ],
)
def test_a_users_mistake_is_one_line(change, expected, compared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = list(compared.arguments)
    for name, value in change.items():
        if name in arguments:
            arguments[arguments.index(name) + 1] = value
        else:
            arguments += [name, value]
    assert run(compare, arguments) == 2
    error = capsys.readouterr().err.strip()
    last = error.splitlines()[-1]
    assert last.startswith("hf-mlc: error: ") and all(part in last for part in expected), last
    assert "Traceback" not in error


@pytest.mark.parametrize(("arguments", "expected"), [([], "no claim"), (["plantt"], "unknown claim 'plantt'")])
def test_a_claim_must_be_named(arguments, expected, capsys):
    assert run(compare, arguments) == 2
    assert expected in capsys.readouterr().err


def test_tables_of_a_file_from_elsewhere_need_neither_data_nor_the_same_settings(compared, notes, capsys):
    lines = read_jsonl(compared.output)
    older = {**lines[0], "settings": "0" * 12, "fingerprint": "another"}
    compared.output.write_text("".join(json.dumps(line) + "\n" for line in [older, *lines]), encoding="utf-8")
    empty = compared.output.parent / "elsewhere" / notes.name  # of the data nothing but the name
    empty.mkdir(parents=True)
    arguments = [str(empty) if word == str(notes) else word for word in compared.arguments]
    assert run(compare, [*arguments, "--report_only"]) == 0
    shown = capsys.readouterr()
    assert "plant-plain      2" in shown.out and "[" in shown.out
    assert "1 lines with other settings" in shown.err


def test_a_line_or_scores_that_are_broken_are_one_line(compared, capsys):
    [scores, *_] = sorted(compared.output.with_name("claims.scores").glob("*.npz"))
    scores.write_bytes(scores.read_bytes()[:-50])
    assert run(compare, [*compared.arguments, "--report_only"]) == 2
    assert f"{scores}: no scores of a run" in capsys.readouterr().err
    lines = read_jsonl(compared.output)
    del lines[1]["metrics"]
    compared.output.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert run(compare, [*compared.arguments, "--report_only"]) == 2
    assert "row 2: no line of a comparison" in capsys.readouterr().err


def test_a_size_asked_for_twice_is_one_size():
    (args,), _, _ = parse_arguments(CompareArguments, ["--train_sizes", "50, 50,all,100,all"])
    assert args.sizes() == [50, None, 100]


def test_every_seed_of_unused_rows_is_measured_on_rows_of_its_own(compared, capsys):
    arguments = [word.replace("plant-plain,tfidf-svm", "tfidf-svm") for word in compared.arguments]
    assert run(compare, [*arguments, "--split", "unused", "--train_sizes", "60"]) == 0
    assert "60 unused documents, 60 training documents" in capsys.readouterr().out
