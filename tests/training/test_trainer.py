"""The trainer's own promises, on a model small enough to count along."""

from __future__ import annotations

import pytest
import torch
from transformers import EvalPrediction

from hf_mlc.data import MultiLabelCollator
from hf_mlc.errors import UserError
from hf_mlc.label_storage import read_label_space
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.sampling import LengthGroupedEpochSampler
from hf_mlc.training.trainer import MultiLabelTrainer, last_complete_checkpoint


def trainer_of(parts, folder, targets="labels", **arguments):
    model, tokenizer, rows, space = parts
    arguments = {"max_steps": 1, **arguments}
    args = MultiLabelTrainingArguments(
        output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **arguments
    )
    return MultiLabelTrainer(
        model,
        args,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=MultiLabelCollator(tokenizer, len(space), targets=targets),
        processing_class=tokenizer,
    )


def test_printed_evaluations_leave_out_what_is_by_training_documents(parts, tmp_path, capsys):
    found = trainer_of(parts, tmp_path).evaluate()
    printed = capsys.readouterr().out
    assert "eval_p@1@1-5" in found and "'eval_p@1':" in printed and "@1-5" not in printed


@pytest.mark.parametrize("targets", ["labels", "label_ids"])
def test_both_target_forms_give_the_same_metrics_and_loss(parts, tmp_path, targets):
    model, tokenizer, rows, space = parts
    trainer = trainer_of(parts, tmp_path, targets=targets)
    found = trainer.evaluate()
    batch = MultiLabelCollator(tokenizer, len(space))([dict(row) for row in rows])
    with torch.no_grad():
        expected = model.eval()(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")})
    assert found["eval_loss"] == pytest.approx(expected.loss.item(), rel=1e-5)
    # p@1 by hand: the share of documents whose best-scored label is among theirs
    best = expected.logits.argmax(1)
    assert found["eval_p@1"] == pytest.approx(batch["labels"].gather(1, best[:, None]).mean().item())


def test_documents_are_counted_not_target_cells(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path)
    batches = [{"labels": torch.zeros(4, 3)}, {"labels": torch.zeros(3, 3)}]
    assert trainer._get_num_items_in_batch(batches, torch.device("cpu")) == 7


def test_integer_targets_are_multi_hot_too(parts, tmp_path):
    found = trainer_of(parts, tmp_path).evaluate()
    trainer = trainer_of(parts, tmp_path)
    collator = trainer.data_collator
    trainer.data_collator = lambda features: {**(batch := collator(features)), "labels": batch["labels"].long()}
    again = trainer.evaluate()
    for name in ("eval_loss", "eval_p@1", "eval_tuned_f1_micro"):
        assert again[name] == pytest.approx(found[name])


def test_rows_of_like_length_are_batched_by_seed_and_epoch(parts, tmp_path):
    loader = trainer_of(parts, tmp_path, per_device_train_batch_size=2).get_train_dataloader()
    assert isinstance(loader.batch_sampler.sampler, LengthGroupedEpochSampler)
    # the data set handed to the sampler has no lengths any more; they are those of the whole one
    assert loader.batch_sampler.sampler.lengths.tolist() == [1, 2, 1, 2, 1, 2, 2]
    orders = set()
    for epoch in range(4):
        loader.set_epoch(epoch)
        orders.add(tuple(tuple(batch["input_ids"].flatten().tolist()) for batch in loader))
    assert len(orders) > 1


def test_an_interrupted_evaluation_leaves_nothing_behind(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path)
    found = trainer.evaluate()
    batch = trainer.data_collator([dict(row) for row in parts[2]])
    trainer.compute_metrics(EvalPrediction(torch.zeros(7, 3), batch["labels"]), compute_result=False)
    assert trainer.evaluate()["eval_p@1"] == found["eval_p@1"]


def test_an_unknown_metric_for_the_best_model_is_named(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, metric_for_best_model="f1_mikro", eval_strategy="steps", eval_steps=1,
                         save_strategy="steps", save_steps=1)  # fmt: skip
    with pytest.raises(UserError, match=r"f1_mikro.*accepted: .*f1_micro"):
        trainer.train()


def test_tuned_thresholds_are_written_to_the_configuration(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, threshold_kind="global")
    choice = trainer.tune_thresholds()
    assert trainer.model.config.thresholds == choice.thresholds != 0.5
    # measured with the rule it chose, the validation rows give the value it promised
    assert trainer.evaluate()["eval_f1_micro"] == pytest.approx(choice.value)
    assert trainer.evaluate()["eval_tuned_f1_micro"] == pytest.approx(choice.value)


def test_one_metric_may_pick_the_checkpoint_and_another_the_thresholds(parts, tmp_path):
    trainer = trainer_of(
        parts, tmp_path, threshold_kind="global", threshold_metric="subset_accuracy", metric_for_best_model="tuned_f1_micro",
        eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1,
    )  # fmt: skip
    trainer.train()
    found = trainer.evaluate()
    assert trainer.state.best_metric == pytest.approx(found["eval_tuned_f1_micro"])
    choice = trainer.tune_thresholds()
    assert choice.metric == "subset_accuracy"
    assert choice.value == pytest.approx(found["eval_tuned_subset_accuracy"])
    assert choice.thresholds == pytest.approx(found["eval_tuned_threshold"])  # of the metric that the thresholds serve


def test_no_thresholds_are_tuned_when_told_not_to(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, threshold_kind="none")
    assert trainer.tune_thresholds() is None
    assert trainer.model.config.thresholds == 0.5


def test_a_test_split_is_measured_without_choosing_anything(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path)
    found = trainer.evaluate_test(parts[2])
    assert not [name for name in trainer.predict(parts[2]).metrics if "tuned" in name]
    assert "test_f1_micro" in found and not [name for name in found if "tuned" in name]
    assert "eval_tuned_f1_micro" in trainer.evaluate()  # and validation goes on as before


def test_the_best_checkpoint_needs_validation_rows(parts, tmp_path):
    model, tokenizer, rows, space = parts
    args = MultiLabelTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(UserError, match="no validation rows"):
        MultiLabelTrainer(model, args, train_dataset=rows, data_collator=MultiLabelCollator(tokenizer, len(space)))


def test_early_stopping_ends_a_run_that_no_longer_gets_better(parts, tmp_path):
    trainer = trainer_of(
        parts, tmp_path, early_stopping_patience=2, eval_strategy="steps", eval_steps=1, save_strategy="steps",
        save_steps=1, learning_rate=0.0,
    )  # fmt: skip
    trainer.args.max_steps = 50
    trainer.train()
    # the first evaluation is the best; two more without a gain, and it ends
    assert trainer.state.global_step == 3


def test_the_label_space_travels_with_the_configuration(parts):
    model, _, _, space = parts
    found = read_label_space(model.config)
    assert found == space and found.counts.tolist() == [4, 2, 4]


def test_starting_bias_is_the_log_odds_of_the_training_counts(parts):
    model, _, _, space = parts
    model.set_training_statistics(torch.from_numpy(space.counts), space.num_documents)
    # crude is in 4 of 7 documents: (4 + 0.5) / (3 + 0.5) = 1.2857, its logarithm 0.2513; earn in 2: log(2.5/5.5)
    assert model.decoder.bias.tolist() == pytest.approx([0.2513, -0.7885, 0.2513], abs=1e-4)


def test_the_last_whole_checkpoint_is_found(tmp_path):
    assert last_complete_checkpoint(tmp_path) is None
    for number, state in ((9, "{}"), (100, '{"a": {}}'), (110, '{"a": {}'), (120, None), (130, "{}")):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        if number != 130:  # the random state of its process is missing there
            (folder / "rng_state.pth").touch()
        if state is not None:
            (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    assert last_complete_checkpoint(tmp_path).name == "checkpoint-100"
    assert last_complete_checkpoint(tmp_path, num_processes=2) is None


def test_several_gpus_in_one_process_are_refused_where_a_model_cannot_be_copied(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(MultiLabelTrainingArguments, "n_gpu", 2)
    monkeypatch.setattr(type(parts[0]), "has_data_parallel", False)
    with pytest.raises(UserError, match=r"'n_gpu': found 2 GPUs in one process; accepted: `accelerate launch`"):
        trainer_of(parts, tmp_path)


@pytest.mark.parametrize("model_class", [MsdnForMultiLabelClassification, LightDxmlForMultiLabelClassification])
def test_models_that_keep_what_was_made_of_their_weights_are_not_copied(model_class):
    assert not model_class.has_data_parallel
