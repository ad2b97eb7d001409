"""What a resumed run needs beside its checkpoint, to end as the unbroken one does."""

from __future__ import annotations

from pathlib import Path

from transformers import EarlyStoppingCallback, TrainerCallback

from hf_mlc.errors import UserError
from hf_mlc.training.sampling import LengthGroupedEpochSampler


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
    """Finds the best checkpoint so far in the run's folder, should that have been moved since the last one was written."""

    def on_train_begin(self, args, state, control, **kwargs):
        if not (args.load_best_model_at_end and state.best_global_step) or state.best_model_checkpoint is not None:
            return
        folder = Path(args.output_dir, f"checkpoint-{state.best_global_step}")
        if not folder.is_dir():
            raise UserError(
                "not there, and the best checkpoint so far",
                file=folder,
                accepted="the run's whole folder, or another one",
            )
        state.best_model_checkpoint = str(folder)


class EarlyStopping(EarlyStoppingCallback):
    """As `transformers.EarlyStoppingCallback`; the evaluation that stops a training saves no checkpoint.

    It is never the best one. A run that went on from it would not know that training had ended there.
    """

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        super().on_evaluate(args, state, control, metrics, **kwargs)
        if control.should_training_stop:
            control.should_save = False


__all__ = ["BestCheckpoint", "EarlyStopping", "SamplerEpochs"]
