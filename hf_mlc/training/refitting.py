"""Training anew on training and validation rows, once the validation rows have said how long and with which thresholds."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import TrainerCallback, set_seed
from transformers.trainer_utils import IntervalStrategy

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.trainer import MultiLabelTrainer, last_complete_checkpoint


REFIT_FOLDER = "refit"  # in the output folder: the checkpoints of the second training
SHARE_FILE = "share.json"  # in it: the share of the plan that they are on the way to
_LED_BY_METRICS = ("reduce_lr_on_plateau", "greedy")  # learning rates that wait for the next validation metric


def check_refit(args: MultiLabelTrainingArguments) -> None:
    """`UserError` where the second training would need validation rows to be measured on: it is trained on them."""
    if args.lr_scheduler_type.value in _LED_BY_METRICS:
        raise UserError(
            f"found {args.lr_scheduler_type.value}, which a second training without validation rows can't follow",
            field="lr_scheduler_type",
            accepted="a plan that is known beforehand (linear, cosine, ...), or no refit",
        )


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

    A second training that was cut short goes on from its own checkpoints in `refit/` of the output folder, if the first
    one chose the same share; the folder is the caller's to delete.

    Args:
        trainer (`MultiLabelTrainer`): done training and tuning. It loses its optimizer, to make room for another.
        model (`MultiLabelPreTrainedModel`): a new model, initialised as the first was.
        label_space (`LabelSpace`): with the counts of all `rows`.
        rows (`list[Dataset]`): tokenised training and validation rows.

    Returns:
        The trainer of the new model, its output folder that of the first, and facts for results.json.
    """
    first, share = trainer.args, _share_of_plan(trainer)
    args = copy.deepcopy(first)
    args.output_dir = str(Path(first.output_dir) / REFIT_FOLDER)
    args.eval_strategy, args.eval_on_start, args.load_best_model_at_end = IntervalStrategy.NO, False, False
    args.early_stopping_patience, args.push_to_hub, args.resume_from_checkpoint = None, False, None
    model.config.thresholds = trainer.model.config.thresholds
    model.config.min_labels = trainer.model.config.min_labels
    if hasattr(model.config, "beta"):  # of LightDXML's scores, chosen on validation rows as thresholds are
        model.config.beta = trainer.model.config.beta
    if trainer.search_choice is not None:
        model.config.end_bias = trainer.model.config.end_bias
        model.config.rescoring_weight = trainer.model.config.rescoring_weight
    with args.main_process_first(desc="preparing the second training"):
        if args.process_index == 0:
            _prepare(Path(args.output_dir), share)
    checkpoint = last_complete_checkpoint(args.output_dir, num_processes=args.world_size)
    _release_optimizer(trainer)

    set_seed(args.seed)
    again = type(trainer)(
        model,
        args,
        label_space=label_space,
        train_dataset=concatenate_datasets(rows),
        data_collator=trainer.data_collator,
        processing_class=trainer.processing_class,
        callbacks=[StopAtShare(share)],
        **trainer.own_inputs(),
    )
    stopwatch = Stopwatch()
    outcome = again.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    args.output_dir, args.push_to_hub = first.output_dir, first.push_to_hub
    facts = {
        "rows": len(again.train_dataset),
        "epochs": again.state.epoch,
        "steps": again.state.global_step,
        "loss": outcome.training_loss,
        **again.cost(stopwatch),
        "resumed": checkpoint is not None,
    }
    return again, facts


def _share_of_plan(trainer: MultiLabelTrainer) -> float:
    """How much of the planned steps the kept weights took: to the best checkpoint, where that was loaded at the end."""
    state = trainer.state
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    return (best or state.global_step) / state.max_steps if state.max_steps else 1.0


def _prepare(folder: Path, share: float) -> None:
    """Empties the folder of checkpoints on the way to another share: they may lie beyond this one."""
    file = folder / SHARE_FILE
    if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != share:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with written_whole(file) as stream:
            json.dump(share, stream)


def _release_optimizer(trainer: MultiLabelTrainer) -> None:
    """Optimizer states and gradients go, three quarters of what training with Adam holds."""
    for holder in (trainer, trainer.callback_handler):
        holder.optimizer, holder.lr_scheduler = None, None
    trainer.model.zero_grad(set_to_none=True)
    trainer.accelerator.free_memory()
