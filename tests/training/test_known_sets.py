"""The label sets of training rows in the model: counted, in order, within the memory, and through `train` and `--refit`."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from datasets import Dataset

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data.demo_notes import write_demo_corpus
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets
from hf_mlc.training.known_sets import fill_known_sets, known_sets_for_training


QUIET = ["--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true"]
ROWS = [[3, 1], [], [1, 3], [9], [0, 2, 9], [1, 3, 3], [9], [5], []]


def msdn(**settings) -> MsdnForMultiLabelClassification:
    return MsdnForMultiLabelClassification(MsdnConfig(num_labels=10, input_size=3, hidden_size=4, **settings))


def kept(model) -> list[tuple[list[int], int]]:
    known = model.known_sets
    return [(row.nonzero().flatten().tolist(), int(n)) for row, n in zip(known.sets_SL, known.counts, strict=True)]


def test_sets_are_kept_by_frequency_then_size_then_ids():
    model = msdn(known_sets="favour")
    facts = known_sets_for_training(model, Dataset.from_dict({"label_ids": ROWS}))
    assert kept(model) == [([1, 3], 3), ([], 2), ([9], 2), ([5], 1), ([0, 2, 9], 1)]
    assert model.config.num_known_sets == 5
    assert facts == {"rows": 9, "sets": 5, "kept": 5, "seen_once": 2 / 9}


def test_a_smallest_set_that_no_known_set_reaches_is_an_error_before_training():
    rows = Dataset.from_dict({"label_ids": ROWS})  # the largest has three labels
    with pytest.raises(
        UserError, match=r"^field 'min_labels': found 4, and no label set .* more than 3; accepted: 0 to 3"
    ):
        known_sets_for_training(msdn(known_sets="restrict", min_labels=4), rows)
    assert known_sets_for_training(msdn(known_sets="restrict", min_labels=3), rows)["sets"] == 5
    assert known_sets_for_training(msdn(known_sets="favour", min_labels=4), rows)["sets"] == 5  # filled up by scores
    by_scores = msdn(known_sets="restrict", min_labels=4, decision="thresholds")
    assert known_sets_for_training(by_scores, rows)["sets"] == 5


def test_ids_are_packed_as_sets_are():
    model = msdn()
    fill_known_sets(model, ROWS)
    assert torch.equal(model.known_sets.packed, pack_sets(model.known_sets.sets_SL))


def test_more_sets_than_the_memory_allows_leave_the_most_frequent_ones(caplog):
    model = msdn()
    facts = fill_known_sets(model, ROWS, most_bytes=7)  # two bytes a set
    assert kept(model) == [([1, 3], 3), ([], 2), ([9], 2)]
    assert (facts["sets"], facts["kept"], model.config.num_known_sets) == (5, 3, 3)


def test_sets_are_kept_only_where_they_are_asked_for_and_taken_out_of_a_model_that_goes_on_without():
    rows = Dataset.from_dict({"label_ids": ROWS})
    model = msdn()
    assert known_sets_for_training(model, rows) is None and len(model.known_sets) == 0
    fill_known_sets(model, ROWS)
    assert len(model.known_sets) == 5
    assert known_sets_for_training(model, rows) is None
    assert len(model.known_sets) == 0 and model.config.num_known_sets == 0
    assert model.known_sets.packed.shape == (0, 2)


def test_models_that_answer_with_no_such_list_are_left_alone():
    rows = Dataset.from_dict({"label_ids": ROWS})
    parallel = msdn(variant="parallel")
    assert known_sets_for_training(parallel, rows) is None and parallel.config.num_known_sets == 0
    assert known_sets_for_training(torch.nn.Linear(1, 1), rows) is None


@pytest.mark.parametrize("refit", [False, True])
def test_training_keeps_the_sets_of_its_training_rows(tmp_path, refit):
    write_demo_corpus(tmp_path / "data", num_train=60, num_validation=20, num_test=20)
    arguments = ["--dataset_name", str(tmp_path / "data"), "--output_dir", str(tmp_path / "out"), *QUIET]
    arguments += ["--model_type", "msdn", "--encoder", "bag_of_words", "--hidden_size", "16", "--max_steps", "2"]
    arguments += ["--max_length", "48", "--known_sets", "restrict", "--refit", str(refit).lower()]
    assert run(train, arguments) == 0
    loaded = load_model(str(tmp_path / "out"))
    splits = ["train", "validation"] if refit else ["train"]
    rows = [
        json.loads(line)
        for split in splits
        for line in (tmp_path / "data" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    names = set(loaded.label_space.names)
    expected = Counter(frozenset(names.intersection(row["labels"])) for row in rows)
    found = {frozenset(loaded.label_space.decode(ids)): count for ids, count in kept(loaded.model)}
    assert found == expected
    facts = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["known_sets"]
    assert facts["rows"] == len(rows) and facts["sets"] == facts["kept"] == len(expected)
    # and its answers are among them
    batch = loaded.tokenizer(["pain in the chest", "a cough"], padding=True, return_tensors="pt")
    with torch.no_grad():
        chosen = loaded.model(**batch).chosen
    assert all((loaded.model.known_sets.sets_SL == row).all(dim=1).any() for row in chosen)
