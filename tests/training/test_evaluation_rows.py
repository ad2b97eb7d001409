"""Which rows an evaluation measures, and that it leaves the weights as they are, whatever the loader's and precision's options."""

from __future__ import annotations

import pytest
import torch

from .test_trainer import trainer_of


def test_test_rows_are_measured_though_the_loader_of_validation_rows_is_kept(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, dataloader_num_workers=1, dataloader_persistent_workers=True)
    trainer.evaluate()
    one = parts[2].select([4])
    loader = trainer.get_eval_dataloader(one)
    assert sum(len(batch["labels"]) for batch in loader) == 1
    assert trainer.get_eval_dataloader() is trainer.get_eval_dataloader(trainer.eval_dataset)
    assert trainer.args.dataloader_persistent_workers


@pytest.mark.parametrize("batch_size", [3, 50])
def test_rows_of_a_short_last_batch_are_measured_where_training_drops_theirs(parts, tmp_path, batch_size):
    trainer = trainer_of(parts, tmp_path, dataloader_drop_last=True, per_device_eval_batch_size=batch_size)
    assert sum(len(targets) for _, targets in trainer.iterate_predictions(parts[2])) == 7
    assert len(trainer.predict(parts[2]).label_ids) == 7
    assert trainer.args.dataloader_drop_last


def test_an_evaluation_in_half_precision_keeps_the_weights(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, bf16_full_eval=True)
    model = trainer.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    seen = []
    hook = model.register_forward_hook(lambda *parts: seen.append(next(model.parameters()).dtype))
    trainer.evaluate()
    hook.remove()
    assert torch.bfloat16 in seen
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name]), name
    for name, value in model.named_buffers():
        assert torch.equal(value, buffers[name]) and value.dtype == buffers[name].dtype, name
