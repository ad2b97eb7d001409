"""Arguments of a training run: all of transformers' own, with defaults for many labels, and what we add."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from hf_mlc.cycles.arguments import LightDxmlArguments
from hf_mlc.errors import UserError
from hf_mlc.metrics.ranking_names import RANKINGS, check_rankings
from hf_mlc.thresholds import METRICS


# what is tried as `end_bias`, in nats off the logit of the end (`hf_mlc.training.end_bias`)
END_BIASES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
RANKING_KS = (1, 3, 5)
THRESHOLD_KINDS = ("auto", "global", "per_label", "none")


@dataclass
class MultiLabelTrainingArguments(LightDxmlArguments, TrainingArguments):
    """`transformers.TrainingArguments` with other defaults where many labels ask for it, and a few arguments more.

    Other defaults: evaluation and saving every epoch, the best checkpoint by `tuned_<threshold_metric>` (what one
    threshold could reach on the validation rows) kept and loaded at the end, rows of like length batched together, metrics
    accumulated batch by batch, four hours in which processes wait for one of them (`ddp_timeout`).

    Those of LightDXML's cycles are [`~hf_mlc.cycles.arguments.LightDxmlArguments`].

    The checkpoint may be chosen by another tuned metric than the thresholds are, `metric_for_best_model="tuned_f1_micro"`
    beside `threshold_metric="subset_accuracy"`, or by any other metric of the validation split.

    Args:
        ranking_ks (`list[int]`, *optional*, defaults to `[1, 3, 5]`): the `k` of `p@k`, `r@k`, `ndcg@k`, `psp@k`.
        threshold_kind (`str`, *optional*, defaults to `"auto"`):
            what is tuned on validation at the end: `"global"`, `"per_label"`, `"auto"` (the better by cross-validation
            inside the validation rows) or `"none"`.
        threshold_metric (`str`, *optional*, defaults to `"f1_micro"`): what the thresholds maximise.
        end_biases (`list[float]`, *optional*, defaults to `[-1, -0.5, 0, 0.5, 1, 1.5]`):
            of a model that writes label sequences: what is tried on validation at the end as `end_bias`, with and without empty
            sets; an empty list (or `--end_biases` without a number) keeps the configuration's, and its `min_labels`.
        early_stopping_patience (`int`, *optional*): evaluations without a better metric before training stops.
        overwrite_output (`bool`, *optional*, defaults to `False`): start anew in a folder that already holds a run.
        cpu_threads (`int`, *optional*):
            threads of torch. `accelerate launch` leaves one to each process; if not given, a run on CPU under it takes
            the machine's cores divided by the processes, and any other run what torch finds.
        score_budget_mb (`int`, *optional*, defaults to 512): memory for scores that exact curves and tuning may take.
        layer_learning_rate_decay (`float`, *optional*):
            the learning rate is the head's; each layer below learns at so much of the rate above it (`unfreezing`).
        planted_learning_rate_scale (`float`, *optional*, defaults to 0.1):
            what was planted (a ranker's factors) learns at so much of the head's rate; it knows more than the head at first.
        unfreeze_epochs (`list[float]`, *optional*):
            the head learns alone for the first number of epochs, with the layer below it for the second, ...
    """

    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate on the validation split."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept, the best among them."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best checkpoint's weights."})
    metric_for_best_model: str | None = field(
        default=None, metadata={"help": "The validation metric that picks the checkpoint; tuned_THRESHOLD_METRIC."}
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run remembers how long early stopping has waited."}
    )
    train_sampling_strategy: str = field(
        default="group_by_length", metadata={"help": "random, sequential, group_by_length or batch_rebalance."}
    )
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "Pin memory of batches; of use with a GPU only."}
    )
    ddp_timeout: int = field(
        default=14_400,
        metadata={
            "help": "Seconds that processes wait for each other; one plants and trains proxies while the others wait."
        },
    )
    batch_eval_metrics: bool = field(default=True, metadata={"help": "Accumulate metrics batch by batch."})

    ranking_ks: list[int] = field(
        default_factory=lambda: list(RANKING_KS), metadata={"help": "The k of ranking metrics."}
    )
    threshold_kind: str = field(default="auto", metadata={"help": "auto, global, per_label or none."})
    threshold_metric: str = field(default="f1_micro", metadata={"help": "The metric that thresholds maximise."})
    end_biases: list[float] = field(
        default_factory=lambda: list(END_BIASES),
        metadata={"help": "What is tried as end_bias of a model that writes label sequences; none keeps its own."},
    )
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Evaluations without a better metric before training stops."}
    )
    overwrite_output: bool = field(
        default=False, metadata={"help": "Start anew in an output_dir that already holds a run."}
    )
    cpu_threads: int | None = field(
        default=None, metadata={"help": "Threads of torch; under accelerate launch all cores if not given."}
    )
    score_budget_mb: int = field(default=512, metadata={"help": "Memory for the scores of exact curves and tuning."})
    layer_learning_rate_decay: float | None = field(
        default=None, metadata={"help": "Each layer below the head learns at so much of the rate above it (0.4)."}
    )
    planted_learning_rate_scale: float = field(
        default=0.1, metadata={"help": "What was planted learns at so much of the head's rate."}
    )
    unfreeze_epochs: list[float] | None = field(
        default=None,
        metadata={
            "help": "Epochs that the head learns alone, then with one layer more, ...; then all learns (1 1 1)."
        },
    )

    def __post_init__(self):
        for name, accepted in (("threshold_kind", THRESHOLD_KINDS), ("threshold_metric", METRICS)):
            if getattr(self, name) not in accepted:
                raise UserError(f"found '{getattr(self, name)}'", field=name, accepted=", ".join(accepted))
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"found {getattr(self, name)}", field=name, accepted="1 or more")
        if self.num_train_epochs < 0 and self.max_steps <= 0:
            raise UserError(f"found {self.num_train_epochs}", field="num_train_epochs", accepted="0 or more")
        if not all(math.isfinite(bias) for bias in self.end_biases):
            raise UserError(f"found {self.end_biases}", field="end_biases", accepted="finite numbers")
        if not self.ranking_ks or min(self.ranking_ks) < 1:
            raise UserError(f"found {self.ranking_ks}", field="ranking_ks", accepted="whole numbers from 1")
        decay = self.layer_learning_rate_decay
        if decay is not None and not 0 < decay <= 1:
            raise UserError(f"found {decay}", field="layer_learning_rate_decay", accepted="above 0, up to 1")
        if self.planted_learning_rate_scale < 0:
            raise UserError(
                f"found {self.planted_learning_rate_scale}", field="planted_learning_rate_scale", accepted="0 or more"
            )
        if self.unfreeze_epochs is not None and (not self.unfreeze_epochs or min(self.unfreeze_epochs) < 0):
            raise UserError(f"found {self.unfreeze_epochs}", field="unfreeze_epochs", accepted="numbers of epochs")
        self.check_cycles()
        if self.label_smoothing_factor:  # of one class a row
            raise UserError(
                f"found {self.label_smoothing_factor}", field="label_smoothing_factor", accepted="label_smoothing"
            )
        if (
            self.early_stopping_patience is not None
            and getattr(self.eval_strategy, "value", self.eval_strategy) == "no"
        ):
            raise UserError("found no", field="eval_strategy", accepted="epoch or steps, for early stopping")
        if self.metric_for_best_model is None and (
            self.load_best_model_at_end or self.early_stopping_patience is not None
        ):
            self.metric_for_best_model = f"tuned_{self.threshold_metric}"
        kind, *of_what = (self.metric_for_best_model or "").removeprefix("eval_").split("@")
        if kind in RANKINGS:
            check_rankings(["@".join([kind, *of_what[:1]])], self.ranking_ks, field="metric_for_best_model")
        if (self.bf16 or self.bf16_full_eval) and not torch.accelerator.is_available():
            self.use_cpu = True  # transformers refuses half precision without an accelerator unless it is told so
        super().__post_init__()
        self.follow_metric()
        launched = "ACCELERATE_MIXED_PRECISION" in os.environ  # set by `accelerate launch` and nothing else
        if self.cpu_threads is None and launched and self.device.type == "cpu":
            self.cpu_threads = max(1, (os.cpu_count() or 1) // max(1, self.world_size))
        if self.cpu_threads is not None:
            torch.set_num_threads(self.cpu_threads)

    def follow_metric(self, *, anew: bool = False) -> None:
        """Lets a learning rate that follows `metric_for_best_model` fall when that gets worse: left alone, it takes any for a loss.

        Args:
            anew (`bool`, *optional*, defaults to `False`):
                the metric was changed: which way it is better follows from its name, also for early stopping.
        """
        if anew:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")
        if self.lr_scheduler_type in ("reduce_lr_on_plateau", "greedy") and self.greater_is_better is not None:
            mode = "max" if self.greater_is_better else "min"
            self.lr_scheduler_kwargs = {**(self.lr_scheduler_kwargs or {}), "mode": mode}

    @property
    def tuned_metrics(self) -> tuple[str, ...]:
        """What evaluations tune one threshold for: the metric of the thresholds, and the checkpoint's if it is another."""
        chosen_by = (self.metric_for_best_model or "").removeprefix("eval_")
        by_tuning = (chosen_by.removeprefix("tuned_"),) if chosen_by.startswith("tuned_") else ()
        return tuple(dict.fromkeys((self.threshold_metric, *(name for name in by_tuning if name in METRICS))))
