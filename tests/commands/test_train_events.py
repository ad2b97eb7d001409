"""Event sequences through `train` and `evaluate`: a long CSV or histories, to a model, its measures and its published folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_mlc.commands.evaluate import main as evaluate
from hf_mlc.commands.publish import main as publish
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data import Columns, fingerprint, load_splits
from hf_mlc.events.settings import EventSettings
from hf_mlc.events.targets import target_rows
from hf_mlc.inference import load_model, score_texts
from tests.commands.conftest import QUIET, read_jsonl
from tests.commands.event_runs import LONG, SMALL, TABLE, results_of, train_on


def measured(model: Path, source: Path, output: Path, *more: str) -> dict:
    assert run(evaluate, ["--model", str(model), "--dataset_name", str(source), "--output", str(output), *more]) == 0
    return json.loads(output.read_text(encoding="utf-8"))


# -- from a long table, split by time


def test_a_trained_folder_holds_what_histories_are_read_through(purchases, next_basket):
    loaded = load_model(str(next_basket))
    processor, config = loaded.processor, loaded.model.config
    assert loaded.kind.name == "event" and loaded.tokenizer is None
    assert processor.columns == {f"event_{name}": column for name, column in TABLE.items()}
    assert processor.label_names == loaded.label_space.names and not loaded.label_space.integers_are_ids
    assert (processor.time_kind, processor.look_back, processor.settings["max_history"]) == ("date", 3, 4)
    assert config.num_gaps == processor.num_gaps > 5 and config.num_amount_bins == processor.num_amount_bins > 2
    assert config.num_users == processor.num_users == 40
    assert processor.settings["split_by"] == "time"  # one file is all there is


def test_the_label_space_holds_histories_and_counts_training_targets(purchases, next_basket):
    sequences = load_splits(purchases, columns=Columns(**{f"event_{name}": column for name, column in TABLE.items()}))
    made = target_rows(sequences, EventSettings(split_by="time", max_history=4))
    space = load_model(str(next_basket)).label_space
    assert set(space.names) == {label for row in made["train"] for label in (*row["events"]["labels"], *row["labels"])}
    targets = [label for labels in made["train"]["labels"] for label in labels]
    assert space.counts.tolist() == [targets.count(name) for name in space.names]
    assert results_of(next_basket)["data"]["rows"] == {name: len(rows) for name, rows in made.items()}


def test_it_learns_something_and_says_what_it_left_out(next_basket):
    results = results_of(next_basket)
    assert results["test"]["auc_micro"] > 0.7 and results["test"]["f1_micro"] > 0.35
    assert results["events"]["counts"]["train"]["users"] == 40
    assert results["events"]["settings"]["merge"] == "none"
    assert results["recipe"]["learning_rate"] == 0.01  # the given one, not that of new models of events
    assert results["recipe"]["per_device_train_batch_size"] == 64


def test_evaluate_makes_the_test_part_of_the_same_file(purchases, next_basket, tmp_path):
    found = measured(next_basket, purchases, tmp_path / "m.json")
    results = results_of(next_basket)
    assert found["documents"] == results["data"]["rows"]["test"] > 20
    assert found["fingerprint"] == results["data"]["fingerprints"]["test"]
    for name in ("f1_micro", "auc_micro", "ap_macro", "hamming_loss"):
        assert found["metrics"][name] == pytest.approx(results["test"][name], abs=1e-6)
    validation = measured(next_basket, purchases, tmp_path / "v.json", "--split", "validation")
    assert validation["metrics"]["f1_micro"] == pytest.approx(results["validation"]["f1_micro"], abs=1e-6)


def test_the_last_events_change_nothing_but_test_rows_and_measures(purchases, next_basket, tmp_path):
    """Of every user the last visit is of the test part: other items there leave weights, thresholds and processor as they were."""
    last, lines = {}, purchases.read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        customer, day, *_ = line.split(",")
        last[customer] = max(day, last.get(customer, ""))
    changed = [lines[0]]
    for line in lines[1:]:
        customer, day, _, quantity = line.split(",")
        changed.append(f"{customer},{day},milk,{quantity}" if last[customer] == day else line)
    (tmp_path / "purchases.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    folder = train_on(tmp_path / "purchases.csv", tmp_path / "model", "--user_tokens", "true", *LONG)
    first, second = load_model(str(next_basket)), load_model(str(folder))
    assert second.kind.processor_state(second.processor) == first.kind.processor_state(first.processor)
    assert first.model.config.thresholds == second.model.config.thresholds
    weights = second.model.state_dict()
    assert all(torch.equal(values, weights[name]) for name, values in first.model.state_dict().items())
    before, after = results_of(next_basket), results_of(folder)
    took_time = ("runtime", "samples_per_second", "steps_per_second")
    for name, value in before["validation"].items():
        assert name in took_time or after["validation"][name] == value
    assert after["test"]["ap_micro"] != before["test"]["ap_micro"]


# -- from histories


def test_histories_of_split_files_are_trained_in_the_causal_form(histories, tmp_path):
    form = ["--causal", "true", "--look_back", "none", "--time_encoding", "sinusoid", "--max_history", "5"]
    folder = train_on(histories, tmp_path / "model", *form, "--merge_events", "week")
    loaded, results = load_model(str(folder)), results_of(folder)
    # no more is read in prediction than a row of training may have
    assert (loaded.processor.settings["rows"], loaded.processor.look_back) == ("sequence", 5)
    # labels are counted in every set that is predicted, one a prefix, not in one a row
    assert loaded.label_space.num_documents > 2 * results["data"]["rows"]["train"]
    # there is a validation file: no training user was set aside, nor is one later
    assert loaded.processor.settings["validation_fraction"] is None
    trained = measured(folder, histories, tmp_path / "t.json", "--split", "train")
    assert trained["fingerprint"] == results["data"]["fingerprints"]["train"]
    found = measured(folder, histories, tmp_path / "m.json")
    assert found["fingerprint"] == results["data"]["fingerprints"]["test"]
    assert found["metrics"]["auc_micro"] == pytest.approx(results["test"]["auc_micro"], abs=1e-6)
    # of test users every visit with one before it is predicted, in its own row
    assert found["documents"] > 2 * len(read_jsonl(histories / "test.jsonl"))


def test_validation_users_are_drawn_where_there_are_none(histories, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("train", "test"):
        (tmp_path / "data" / f"{name}.jsonl").write_bytes((histories / f"{name}.jsonl").read_bytes())
    folder = train_on(
        tmp_path / "data", tmp_path / "model", "--event_targets", "last", "--train_event_targets", "next"
    )
    results = results_of(folder)
    assert results["data"]["rows"]["validation"] == 2  # of 24 training users a tenth, of each the last visit
    assert results["data"]["rows"]["test"] == len(read_jsonl(histories / "test.jsonl"))
    for split in ("train", "validation", "test"):  # the same rows as in training, each split by itself
        found = measured(folder, tmp_path / "data", tmp_path / f"{split}.json", "--split", split)
        assert found["fingerprint"] == results["data"]["fingerprints"][split]
    assert found["metrics"]["f1_micro"] == pytest.approx(results["test"]["f1_micro"], abs=1e-6)
    # trained further on data with a validation file it says so
    command = ["--model_name_or_path", str(folder), "--dataset_name", str(histories), "--max_steps", "1", *QUIET]
    assert run(train, [*command, "--output_dir", str(tmp_path / "on")]) == 0
    found = measured(tmp_path / "on", histories, tmp_path / "on.json", "--split", "validation")
    assert found["documents"] == len(read_jsonl(histories / "validation.jsonl"))
    assert found["fingerprint"] == results_of(tmp_path / "on")["data"]["fingerprints"]["validation"]


def test_a_test_split_that_is_left_unread_is_remarked_on_and_one_file_has_none(purchases, tmp_path, capsys):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("train.csv", "test.csv"):
        (folder / name).write_bytes(purchases.read_bytes())
    for source, is_told in ((purchases, False), (folder, True)):
        words = ["--dataset_name", str(source), "--output_dir", str(tmp_path / "out"), "--overwrite_output", *LONG]
        assert run(train, [*SMALL, *words, "--split_by", "time", "--max_steps", "1", *QUIET]) == 0
        remark = f"the test split of {source} is not read: train alone is split by time"
        assert (remark in capsys.readouterr().err) is is_told
    assert results_of(tmp_path / "out")["test"] is not None  # the last part of the training rows


def test_rows_may_bring_their_next_set(tmp_path):
    rows = []
    for place in range(60):
        kind = place % 3
        events = [{"time": day, "labels": [f"a{(kind + day) % 3}"]} for day in range(3)]
        rows.append({"id": f"r{place}", "history": events, "next": [f"a{kind}", f"b{kind}"]})
    for split, part in (("train", rows[:40]), ("validation", rows[40:50]), ("test", rows[50:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    named = ["--labels_column", "next"]
    more = ["--event_targets", "column", "--num_train_epochs", "12", "--events_column", "history", *named]
    folder = train_on(tmp_path, tmp_path / "model", *more)
    results = results_of(folder)
    assert results["data"]["rows"] == {"train": 40, "validation": 10, "test": 10} and results["test"]["f1_micro"] > 0.9
    # the column of events is one that the processor knows
    found = measured(folder, tmp_path, tmp_path / "m.json", *named)
    assert found["fingerprint"] == results["data"]["fingerprints"]["test"]


def test_a_trained_model_goes_on_with_its_own_reading(purchases, next_basket, tmp_path, capsys):
    command = ["--model_name_or_path", str(next_basket), "--train_file", str(purchases), "--max_steps", "1", *QUIET]
    assert run(train, [*command, "--output_dir", str(tmp_path / "on"), "--learning_rate", "1e-6"]) == 0
    before, after = load_model(str(next_basket)), load_model(str(tmp_path / "on"))
    assert after.kind.processor_state(after.processor) == before.kind.processor_state(before.processor)
    assert (
        results_of(tmp_path / "on")["data"]["fingerprints"]["train"]
        == (results_of(next_basket)["data"]["fingerprints"]["train"])
    )
    assert run(train, [*command, "--output_dir", str(tmp_path / "no"), "--merge_events", "day"]) == 2
    assert "'merge_events': the trained model has its own event processor" in capsys.readouterr().err


def test_after_refit_labels_are_counted_on_both_parts(purchases, tmp_path):
    folder = train_on(purchases, tmp_path / "model", *LONG, "--refit", "true")
    rows = results_of(folder)["data"]["rows"]
    assert load_model(str(folder)).label_space.num_documents == rows["train"] + rows["validation"]


# -- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_type", "plant", *LONG], "'model_type': plant reads no histories; accepted: --model_type lanet"),
        (["--max_length", "9"], "'max_length': is of texts, and the model reads histories"),
        (["--num_users", "9", *LONG], "'num_users': is counted in the training rows; accepted: --user_tokens"),
        (["--look_back", "0", *LONG], "'look_back': found 0; accepted: 1 or more"),
        (["--split_fractions", ".5", ".6", ".1", *LONG], "'split_fractions': found [0.5, 0.6, 0.1]"),
        (["--time_cuts", "2024-05-01", "2024-01-01", *LONG], "'time_cuts': found"),
        (["--time_unit", "month", *LONG], "'time_unit': found 'month'; accepted: minute, hour, day, week"),
        (["--user_column", "customer"], "'time_column': a long table with user_column alone"),
        (["--user_column", "buyer", *LONG[2:]], "field 'buyer': no such column"),
        (["--num_amount_bins", "4", *LONG[:-2]], "'num_amount_bins': no event has an amount"),
        (["--num_heads", "5", *LONG], "`num_heads` must divide the width of a token"),
        (["--time_cuts", "20240301", "20240501", *LONG], "'time_cuts': the time is a number (20240301.0), and other"),
        (["--causal", "true", "--refit", "true", *LONG], "'refit': beside causal: "),
        (["--causal", "true", "--min_history", "2", *LONG], "'min_history': 2 beside rows sequence; accepted: 1"),
        (["--split_by", "time", "--test_file", "x.csv", *LONG], "'test_file': a file of its own beside split_by time"),
        (["--split_by", "given", "--validation_fraction", "0.99", *LONG], "40 users with targets cannot give"),
    ],
)
def test_arguments_that_do_not_go_together_are_one_line(purchases, tmp_path, capsys, arguments, message):
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    model_type = [] if "--model_type" in given else ["--model_type", "lanet"]
    data = ["--train_file", str(purchases), "--output_dir", str(tmp_path / "out"), *QUIET]
    assert run(train, [*model_type, *data, *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hf-mlc: error: ") and message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c1,yesterday,tea,1", "row 2, field 'day': the time is a string: yesterday; accepted: "),
        ("c1,7,tea,1", "row 2, field 'day': "),
        ("c1,2024-05-01,tea,-1", "row 2, field 'quantity': the amount is a float: -1.0; accepted: a number of 0 or more"),
        ("c1,2024-05-01,,1", "row 2, field 'item': the label is a string: ; accepted: "),
    ],
)  # fmt: skip
def test_a_line_of_the_table_that_cannot_be_read_is_one_line(tmp_path, capsys, line, message):
    file = tmp_path / "bought.csv"
    file.write_text(f"customer,day,item,quantity\nc0,2024-01-01,tea,1\n{line}\n", encoding="utf-8")
    data = ["--train_file", str(file), *LONG, "--output_dir", str(tmp_path / "out"), *QUIET]
    assert run(train, ["--model_type", "lanet", *data]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{file}, {message}" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [[], ["--time_cuts", "2020-01-01", "2020-02-01", "--do_predict", "true"]])
def test_no_data_set_is_the_error_of_other_architectures(tmp_path, capsys, more):
    words = ["--output_dir", str(tmp_path / "model"), *QUIET]
    errors = []
    for model in (["plant"], ["lanet", *more]):
        assert run(train, ["--model_type", *model, *words]) == 2
        errors.append(capsys.readouterr().err.strip().splitlines()[-1])
    assert errors[0] == errors[1] and "field 'dataset_name': no data set; accepted: either" in errors[0]


def test_validation_rows_alone_are_no_training_rows(histories, tmp_path, capsys):
    words = ["--validation_file", str(histories / "validation.jsonl"), "--output_dir", str(tmp_path / "model"), *QUIET]
    assert run(train, ["--model_type", "lanet", *words]) == 2
    assert "field 'dataset_name': no training rows; accepted: a data set" in capsys.readouterr().err


def test_users_that_nobody_names_are_no_tokens(tmp_path, capsys):
    events = [{"time": time, "labels": ["ab"[time % 2]]} for time in range(4)]
    (tmp_path / "d.jsonl").write_text((json.dumps({"events": events}) + "\n") * 9, encoding="utf-8")
    command = ["--model_type", "lanet", "--train_file", str(tmp_path / "d.jsonl"), "--user_tokens", "true", *QUIET]
    assert run(train, [*command, "--output_dir", str(tmp_path / "out")]) == 2
    assert "d.jsonl, field 'user_tokens': no row names its user" in capsys.readouterr().err


# -- times that are numbers


def test_numbers_count_days_where_they_are_merged_and_compact_dates_are_remarked_on(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    lines = [f"c{user},202405{day:02},{item}" for user in range(6) for day in range(1, 21) for item in ("tea", "jam")]
    for split in ("train", "test"):
        (data / f"{split}.csv").write_text("customer,day,item\n" + "\n".join(lines) + "\n", encoding="utf-8")
    more = ["--split_by", "time", "--merge_events", "week", "--num_train_epochs", "1", *LONG[:-2]]
    more += ["--split_fractions", ".34", ".33", ".33"]  # of three targets one each
    folder = train_on(data, tmp_path / "model", *more)
    said = capsys.readouterr().err
    assert "times look like dates written as 20240531" in said
    assert f"the test split of {data} is not read" in said
    # 20240501 to 20240520 as days touch four weeks
    assert results_of(folder)["events"]["counts"]["train"]["merged_periods"] == 6 * (20 - 4)


# -- published


def test_what_is_published_answers_without_the_package_and_its_users_are_told_of(next_basket, tmp_path, capsys):
    staged = tmp_path / "staged"
    command = ["--model", str(next_basket), "--repo_id", "me/next", "--dry_run", "--output", str(staged)]
    assert run(publish, command) == 0
    said = capsys.readouterr().err
    assert "preprocessor_config.json holds the names of 40 users of training rows" in said
    card = (staged / "README.md").read_text(encoding="utf-8")
    assert "gives histories the labels that come next, out of" in card and "Wrong Self-Attention" in card
    loaded = load_model(str(next_basket))
    history = {"user": "c0003", "events": [{"time": "2024-02-01", "labels": ["tent", "milk"], "amount": [1, 3]}]}
    code = (
        "import json, sys; from transformers import pipeline\n"
        "p = pipeline(model=sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "assert 'hf_mlc' not in sys.modules\n"
        "history = json.loads(sys.argv[2])\n"
        "print(json.dumps([p(history, return_all_scores=True), p(history, steps=2, top_k=2)]))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, str(staged), json.dumps(history)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "m")},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-1500:]
    every, steps = json.loads(ended.stdout.splitlines()[-1])
    expected = dict(zip(loaded.label_space.names, score_texts(loaded, [history])[0].tolist(), strict=True))
    assert {entry["label"]: entry["score"] for entry in every} == pytest.approx(expected, abs=1e-6)
    (own,) = loaded.model.predict_next([history], loaded.processor, steps=2, top_k=2)
    assert [[entry["label"] for entry in step] for step in steps] == [
        [entry["label"] for entry in step] for step in own
    ]


# -- real data

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online-retail"


@pytest.mark.skipif(not RETAIL.is_dir(), reason="Online Retail is not at hand")
def test_online_retail_goes_through(tmp_path):
    """Customers of the real file, a few of them: dates with times of day, codes that are numbers with letters, amounts an invoice."""
    folder = train_on(
        RETAIL, tmp_path / "model", "--merge_events", "day", "--max_train_samples", "60", "--num_popular_tokens", "20",
        "--num_train_epochs", "1", "--do_predict", "false",
    )  # fmt: skip
    loaded, results = load_model(str(folder)), results_of(folder)
    assert loaded.processor.num_amount_bins == 9 and "85123A" in loaded.label_space.names
    counts = results["events"]["counts"]["train"]
    assert counts["users"] == 60 and counts["merged_periods"] > 0
    sequences = load_splits(RETAIL, columns=Columns(events="events"), splits=["train"], max_samples={"train": 60})
    made = target_rows(sequences, EventSettings.from_dict(loaded.processor.settings))
    assert fingerprint(made["train"]) == results["data"]["fingerprints"]["train"]
