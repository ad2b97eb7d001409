"""Whether sets may be empty: chosen on validation rows by what it is worth there."""

from __future__ import annotations

import datasets
import pytest
import torch

from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets
from hf_mlc.modeling.processing_table import TableFeatureExtractor
from hf_mlc.tabular.collating import TableCollator
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.smallest_set import tune_smallest_set
from hf_mlc.training.trainer import MultiLabelTrainer


def trainer_of(labels: list[list[str]], folder, *, known_sets: str = "off", **fields) -> MultiLabelTrainer:
    """Of a model that finds every label unlikely, "a" the least so, whatever the row is."""
    space = LabelSpace(["a", "b", "c"], counts=[5, 3, 2])
    rows = datasets.Dataset.from_dict(
        {"input_features": [[1.0, 0.0]] * len(labels), "label_ids": [space.encode(names).tolist() for names in labels]}
    )
    torch.manual_seed(0)
    known = [[0, 0, 0], [0, 1, 0], [0, 1, 1]] if known_sets != "off" else []
    config = MsdnConfig(
        input_size=2, num_labels=3, hidden_size=4, known_sets=known_sets, num_known_sets=len(known), **fields
    )
    store_label_space(config, space)
    model = MsdnForMultiLabelClassification(config)
    if known:
        model.known_sets.fill(pack_sets(torch.tensor(known)), torch.tensor([4, 2, 1]))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([-1.0, -2.0, -3.0]))
    return MultiLabelTrainer(
        model,
        MultiLabelTrainingArguments(
            output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, per_device_eval_batch_size=2,
            train_sampling_strategy="random",
            eval_strategy="no", save_strategy="no", load_best_model_at_end=False, threshold_metric="subset_accuracy",
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=TableCollator(TableFeatureExtractor(["x", "y"]), 3),
        label_space=space,
    )  # fmt: skip


def test_rows_that_have_labels_get_some(tmp_path):
    trainer = trainer_of([["a"], ["a"], ["b"], []], tmp_path)
    choice = trainer.tune_thresholds()
    found, config = trainer.smallest_set, trainer.model.config
    assert found.tried == [{"min_labels": 0, "value": 0.25}, {"min_labels": 1, "value": 0.5}]
    assert (found.min_labels, found.value, found.num_documents) == (1, 0.5, 4)
    # thresholds are chosen under the same rule
    assert config.min_labels == choice.min_labels == 1
    assert trainer.evaluate()["eval_subset_accuracy"] == 0.5


@pytest.mark.parametrize("labels", [[["a"], [], [], ["b"]], [["a"], []]], ids=["fewer", "level"])
def test_rows_without_labels_stay_without(labels, tmp_path):
    trainer = trainer_of(labels, tmp_path)
    assert tune_smallest_set(trainer, trainer.eval_dataset).min_labels == trainer.model.config.min_labels == 0


def test_of_known_sets_the_best_that_is_large_enough_is_meant(tmp_path):
    trainer = trainer_of([["b"], ["b"], ["a"]], tmp_path, known_sets="restrict")
    found = tune_smallest_set(trainer, trainer.eval_dataset)
    # "a" alone, which the empty set would be filled up with, nobody has seen
    assert found.tried[1] == {"min_labels": 1, "value": pytest.approx(2 / 3)}


def test_where_only_the_empty_set_is_known_it_stays(tmp_path):
    trainer = trainer_of([["b"], ["b"]], tmp_path, known_sets="restrict")
    trainer.model.known_sets.fill(pack_sets(torch.zeros(3, 3)), torch.tensor([4, 0, 0]))
    found = tune_smallest_set(trainer, trainer.eval_dataset)
    assert found.tried == [{"min_labels": 0, "value": 0.0}] and trainer.model.config.min_labels == 0


@pytest.mark.parametrize("fields", [{"decision": "thresholds"}, {"min_labels": 2}])
def test_nothing_is_chosen_where_thresholds_decide_or_the_user_did(fields, tmp_path):
    trainer = trainer_of([["a"], ["a"]], tmp_path, **fields)
    assert tune_smallest_set(trainer, trainer.eval_dataset) is None
    assert trainer.model.config.min_labels == fields.get("min_labels", 0)
    trainer.args.threshold_kind = "none"
    assert trainer.tune_thresholds() is None and trainer.smallest_set is None
