"""Training anew on training and validation rows, once the validation rows have said how long and with which thresholds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import TrainerCallback, set_seed
from transformers.trainer_utils import IntervalStrategy

from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.trainer import MultiLabelTrainer, last_complete_checkpoint


REFIT_FOLDER = "refit"  # in the output folder: the checkpoints of the second training


class StopAtShare(TrainerCallback):
    """Ends training after a share of its planned steps, the learning rate following the whole plan.

    Args:
        share (`float`): of the planned steps, in (0, 1].
    """

    def __init__(self, share: float):
        self.share = share

    def _is_over(self, state) -> bool:
        return state.global_step >= max(1, round(self.share * state.max_steps))

    def on_step_end(self, args, state, control, **kwargs):
        if self._is_over(state):
            control.should_training_stop = True
            control.should_save = False  # a checkpoint of the end would be trained on by the run that resumes from it

    def on_epoch_end(self, args, state, control, **kwargs):
        if self._is_over(state):
            control.should_save = False


def refit(
    trainer: MultiLabelTrainer, model: MultiLabelPreTrainedModel, label_space: LabelSpace, rows: list[Dataset]
) -> tuple[MultiLabelTrainer, dict[str, Any]]:
    """Trains `model` on all `rows` for the share of the plan after which `trainer` was best, with its thresholds.

    Choosing needs rows that the model has not seen; afterwards they are too good to be left out, most of all where a
    label has few. What was chosen on them stays chosen, so nothing is measured on them after this.

    Args:
        trainer (`MultiLabelTrainer`): done training and tuning.
        model (`MultiLabelPreTrainedModel`): a new model, initialised as the first was.
        label_space (`LabelSpace`): with the counts of all `rows`.
        rows (`list[Dataset]`): tokenised training and validation rows.

    Returns:
        The trainer of the new model, its output folder that of the first, and facts for results.json.
    """
    first = trainer.args
    args = copy.deepcopy(first)
    args.output_dir = str(Path(first.output_dir) / REFIT_FOLDER)
    args.eval_strategy, args.load_best_model_at_end = IntervalStrategy.NO, False
    args.early_stopping_patience, args.push_to_hub, args.resume_from_checkpoint = None, False, None
    best = trainer.state.best_global_step
    share = best / trainer.state.max_steps if best else trainer.state.global_step / trainer.state.max_steps
    model.config.thresholds = trainer.model.config.thresholds
    model.config.min_labels = trainer.model.config.min_labels

    set_seed(args.seed)
    again = type(trainer)(
        model,
        args,
        label_space=label_space,
        train_dataset=concatenate_datasets(rows),
        data_collator=trainer.data_collator,
        processing_class=trainer.processing_class,
        callbacks=[StopAtShare(share)],
    )
    checkpoint = last_complete_checkpoint(args.output_dir, num_processes=args.world_size)
    stopwatch = Stopwatch()
    outcome = again.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    args.output_dir, args.push_to_hub = first.output_dir, first.push_to_hub
    facts = {
        "rows": len(again.train_dataset),
        "epochs": again.state.epoch,
        "steps": again.state.global_step,
        "loss": outcome.training_loss,
        **stopwatch.read(),
    }
    return again, facts
