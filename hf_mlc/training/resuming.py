"""What a resumed run needs beside its checkpoint, to end as the unbroken one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState

from hf_mlc.errors import UserError
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.sampling import LengthGroupedEpochSampler


def all_steps_done(state: TrainerState) -> bool:
    """Whether a run that is resumed, perhaps in the middle of an epoch, has no step left. transformers asks only behind a step."""
    return state.global_step >= state.max_steps


class SamplerEpochs(TrainerCallback):
    """Tells the sampler of training which epoch it is.

    accelerate does so too, but where several processes go on inside an epoch it doesn't reach the sampler below the batches
    that it skips, which would then repeat the first epoch's order.
    """

    def __init__(self):
        self.sampler: LengthGroupedEpochSampler | None = None

    def on_epoch_begin(self, args, state, control, **kwargs):
        if self.sampler is not None:
            self.sampler.set_epoch(int(state.epoch + 1e-6))  # a fraction has been trained before


class BestCheckpoint(TrainerCallback):
    """Finds the best checkpoint so far in the run's folder, should that have been moved since the last one was written.

    `named` is what the checkpoint that is resumed calls it, if anything: transformers forgets a folder that isn't there.
    """

    def __init__(self):
        self.named: str | None = None

    def read(self, checkpoint: str | Path) -> None:
        """Keeps what `checkpoint` says."""
        file = Path(checkpoint, TRAINER_STATE_NAME)
        if file.is_file():
            self.named = json.loads(file.read_text(encoding="utf-8")).get("best_model_checkpoint")

    def on_train_begin(self, args, state, control, **kwargs):
        if not args.load_best_model_at_end or self.named is None or state.best_model_checkpoint is not None:
            return
        folder = Path(args.output_dir, Path(self.named).name)
        if not folder.is_dir():
            raise UserError(
                "not there, and the best checkpoint so far",
                file=folder,
                accepted="the run's whole folder, or another one",
            )
        state.best_model_checkpoint = str(folder)


class SecondsBefore(TrainerCallback, ExportableState):
    """Has every checkpoint say what training took up to it, so that a run in several parts knows what all of them did.

    Neither what was trained after the checkpoint and lost is in it, nor what was done before training (planting, a language model).

    Args:
        seconds, cpu_seconds (`float`, *optional*, defaults to 0): of the parts before this one.
    """

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0):
        self.before = {"seconds": seconds, "cpu_seconds": cpu_seconds}
        self.this_part = Stopwatch()

    def on_train_begin(self, args, state, control, **kwargs):
        self.this_part = Stopwatch()

    def added_to(self, part: dict[str, float]) -> dict[str, float]:
        """The seconds of `part` and of the parts before it."""
        return {name: round(self.before[name] + value, 2) for name, value in part.items()}

    def state(self) -> dict[str, Any]:
        return {"args": self.added_to(self.this_part.read()), "attributes": {}}


class EarlyStoppingCallback(transformers.EarlyStoppingCallback):
    """As transformers'; the evaluation that stops a training for want of patience saves no checkpoint.

    It is never the best one. A run that went on from it would not know that training had ended there. (Checkpoints hold the
    patience under the name of the class, which therefore is transformers'.)
    """

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        super().on_evaluate(args, state, control, metrics, **kwargs)
        # training may be over as well because all its steps are done; that evaluation is kept
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_save = False


__all__ = ["BestCheckpoint", "EarlyStoppingCallback", "SamplerEpochs", "SecondsBefore", "all_steps_done"]
