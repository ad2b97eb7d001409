"""transformers' Trainer for label sets: streaming metrics, documents as the unit of loss, thresholds from validation."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback
from transformers.trainer_callback import ExportableState
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.label_storage import read_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.run_facts import Stopwatch
from hf_mlc.thresholds import ThresholdChoice, ThresholdTuner
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.collating import usual_collator
from hf_mlc.training.end_bias import SearchChoice, can_be_tuned, tune_search
from hf_mlc.training.evaluation import ComputeMetrics, StreamingEvaluation, scores_of
from hf_mlc.training.precision import kept_precision
from hf_mlc.training.progress import HeadlineProgressCallback, OverallPrinterCallback
from hf_mlc.training.pushing import PushingTrainer
from hf_mlc.training.resuming import (
    BestCheckpoint,
    EarlyStoppingCallback,
    SamplerEpochs,
    SecondsBefore,
    all_steps_done,
)
from hf_mlc.training.sampling import LengthGroupedEpochSampler
from hf_mlc.training.smallest_set import SmallestSetChoice, tune_smallest_set
from hf_mlc.training.unfreezing import GradualUnfreezing, optimizer_groups


logger = logging.get_logger(__name__)


class MultiLabelTrainer(PushingTrainer):
    """`transformers.Trainer`, all of it, and what label sets need beyond.

    - Metrics are accumulated batch by batch (`hf_mlc.metrics`); nothing of size documents x labels is gathered.
    - The loss is a mean over the DOCUMENTS of an optimiser step, however they are spread over accumulation steps and
      processes; transformers counts target cells.
    - Batches of like length in an order that a resumed run repeats.
    - [`~MultiLabelTrainer.tune_search`] and [`~MultiLabelTrainer.tune_thresholds`] write the decision rule into the model's configuration.
    - Layers may learn at rates of their own, and begin one after the other (`hf_mlc.training.unfreezing`).
    - A push to the Hub publishes the model with its card, and nothing else (`PushingTrainer`).

    Args:
        model (`MultiLabelPreTrainedModel`): the model; its configuration must hold the label space.
        args (`MultiLabelTrainingArguments`): the arguments.
        label_space (`LabelSpace`, *optional*): names and training counts; read from the configuration if not given.
        kwargs: as `transformers.Trainer`. `processing_class` is the tokenizer or processor saved with the model; the
            `data_collator`, where none is given, is the one for what the model reads through it, with targets in the form that
            `args.label_names` says, or else the architecture's own (`label_ids` of LightDXML, `labels` of the others).

    Raises:
        `UserError`: a `processing_class` that is none of what the model reads, where there is no `data_collator`; no validation
            rows to choose the best checkpoint by.
    """

    def __init__(self, model, args: MultiLabelTrainingArguments, *, label_space: LabelSpace | None = None, **kwargs):
        if args.n_gpu > 1 and not getattr(model, "has_data_parallel", True):
            raise UserError(
                f"found {args.n_gpu} GPUs in one process",
                field="n_gpu",
                accepted="`accelerate launch`, a process for each",
            )
        self.label_space = label_space if label_space is not None else read_label_space(model.config)
        if kwargs.get("data_collator") is None:
            kwargs["data_collator"] = usual_collator(
                model.config,
                kwargs.get("processing_class"),
                targets=args.label_names[0] if args.label_names else _targets_of(model.config),
            )
        if args.label_names is None:
            # both target forms are in the signature; an evaluation loss needs every named one in the batch
            args.label_names = [getattr(kwargs["data_collator"], "targets", "labels")]
        if args.load_best_model_at_end and kwargs.get("eval_dataset") is None:
            raise UserError(
                "no validation rows to choose the best checkpoint by",
                field="load_best_model_at_end",
                accepted="an eval_dataset, or False",
            )
        if "compute_metrics" not in kwargs and args.batch_eval_metrics:
            kwargs["compute_metrics"] = ComputeMetrics(self._start_evaluation)
        self.reports_tuned_threshold = True
        self.threshold_choice: ThresholdChoice | None = None
        self.search_choice: SearchChoice | None = None
        self.smallest_set: SmallestSetChoice | None = None
        super().__init__(model=model, args=args, **kwargs)
        # our forward takes `num_items_in_batch` and means documents by it; see `_get_num_items_in_batch`
        self.model_accepts_loss_kwargs = True
        plain, ours = (
            (PrinterCallback, OverallPrinterCallback)
            if args.disable_tqdm
            else (ProgressCallback, HeadlineProgressCallback)
        )
        self.remove_callback(plain)
        self.add_callback(ours)
        self.unfreezing = GradualUnfreezing(self.model, args) if args.unfreeze_epochs is not None else None
        if self.unfreezing is not None:
            self.add_callback(self.unfreezing)
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(args.early_stopping_patience))
        self.sampler_epochs, self.best_checkpoint = SamplerEpochs(), BestCheckpoint()
        self.add_callback(self.sampler_epochs)
        self.add_callback(self.best_checkpoint)
        self.add_callback(SecondsBefore())

    @property
    def target_name(self) -> str:
        """`"labels"` or `"label_ids"`: the form in which the collator gives the targets."""
        return self.label_names[0]

    def _start_evaluation(self) -> StreamingEvaluation:
        config = self.model.config
        return StreamingEvaluation(
            self.label_space,
            target_name=self.target_name,
            thresholds=config.thresholds,
            min_labels=config.min_labels,
            ks=self.args.ranking_ks,
            tuned_metrics=self.args.tuned_metrics if self.reports_tuned_threshold else (),
            score_budget_mb=self.args.score_budget_mb,
        )

    def train(self, resume_from_checkpoint=None, *args, **kwargs):
        """As `transformers.Trainer.train`; the best checkpoint so far is found in a folder that was moved too."""
        if isinstance(resume_from_checkpoint, (str, Path)):
            self.best_checkpoint.read(resume_from_checkpoint)
        readout = getattr(self.model, "linear_readout", None)
        if readout is not None and not resume_from_checkpoint and not bool((readout.tokens >= 0).any()):
            logger.warning(
                "the read-out holds no linear machines and says nothing: hf_mlc.planting.planting.plant puts them in"
            )
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _load_callback_state(self) -> None:
        """As transformers'; patience is that of this run's arguments. And what the checkpoint knows nothing of (patience that a resumed
        run asks for first, say) begins anew, and doesn't end the run with a `KeyError` where the next checkpoint is written."""
        super()._load_callback_state()
        for one in (*self.callback_handler.callbacks, self.control):
            if isinstance(one, EarlyStoppingCallback) and self.args.early_stopping_patience is not None:
                one.early_stopping_patience = self.args.early_stopping_patience
            if isinstance(one, ExportableState):
                self.state.stateful_callbacks.setdefault(type(one).__name__, one.state())

    def cost(self, this_part: Stopwatch) -> dict[str, Any]:
        """What training took: `seconds` and `cpu_seconds`, and where the checkpoint that it was resumed from says so, with the
        parts before, which are then in `before_resuming` as well.

        Args:
            this_part ([`~hf_mlc.run_facts.Stopwatch`]): started just before [`~MultiLabelTrainer.train`].
        """
        # found among the callbacks, since transformers puts another in its place when it resumes
        earlier = next(one for one in self.callback_handler.callbacks if isinstance(one, SecondsBefore))
        return earlier.added_to(this_part.read()) | (
            {"before_resuming": earlier.before} if any(earlier.before.values()) else {}
        )

    def get_eval_dataloader(self, eval_dataset=None):
        """As `transformers.Trainer.get_eval_dataloader`; every row counts, and only the loader of the validation rows is kept for
        the next time: what is kept comes back whichever rows are asked for."""
        with self._every_row(is_kept=eval_dataset is None or eval_dataset is self.eval_dataset):
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        """As `transformers.Trainer.get_test_dataloader`; every row counts."""
        with self._every_row(is_kept=False):
            return super().get_test_dataloader(test_dataset)

    @contextlib.contextmanager
    def _every_row(self, *, is_kept: bool):
        """While it lasts, loaders drop no rows; unless `is_kept`, they are made anew and their workers end with them."""
        args, changed = self.args, {"dataloader_drop_last": False}
        if not is_kept:
            changed["dataloader_persistent_workers"] = False
        given = {name: getattr(args, name) for name in changed}
        try:
            for name, value in changed.items():
                setattr(args, name, value)
            yield
        finally:
            for name, value in given.items():
                setattr(args, name, value)

    def evaluation_loop(self, *args, **kwargs):
        if isinstance(self.compute_metrics, ComputeMetrics):
            self.compute_metrics.forget()  # what an interrupted evaluation may have left
        halves = (self.args.bf16_full_eval or self.args.fp16_full_eval) and not self.is_in_train
        with kept_precision(self.model) if halves else contextlib.nullcontext():
            return super().evaluation_loop(*args, **kwargs)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor | int | None:
        """Documents in the optimiser step, over all processes; transformers counts target cells."""
        if not batch_samples or self.target_name not in batch_samples[0]:
            return None
        # one cell a document, for it to count
        documents = [
            {"labels": batch[self.target_name].new_zeros(len(batch[self.target_name]))} for batch in batch_samples
        ]
        return super()._get_num_items_in_batch(documents, device)

    def _get_train_sampler(self, train_dataset=None):
        args = self.args
        # the data set handed over here has lost the columns that `forward` doesn't take, and with them the lengths
        if args.train_sampling_strategy != "group_by_length" or args.length_column_name not in getattr(
            self.train_dataset, "column_names", ()
        ):
            return super()._get_train_sampler(train_dataset)
        self.sampler_epochs.sampler = LengthGroupedEpochSampler(
            self.train_dataset[args.length_column_name][:],
            args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
            seed=args.seed if args.data_seed is None else args.data_seed,
        )
        return self.sampler_epochs.sampler

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """As `transformers.Trainer.create_optimizer`, with learning rates of their own for layers and for what is planted."""
        model = self.model if model is None else model
        layer_decay, planted = self.args.layer_learning_rate_decay, getattr(self.model, "planted_parameters", ())
        if self.optimizer is None and (layer_decay is not None or planted):
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, model)
            groups = optimizer_groups(
                model,
                self.get_decay_parameter_names(model),
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                layer_decay=1.0 if layer_decay is None else layer_decay,
                planted_scale=self.args.planted_learning_rate_scale,
            )
            self.optimizer = kind(groups, **settings)
        return super().create_optimizer(model)

    def _run_epoch(self, *args, **kwargs) -> None:
        if all_steps_done(self.state):
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def training_step(self, *args, **kwargs) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if self.unfreezing is not None:
            self.unfreezing.drop_gradients()
        return loss

    def _determine_best_metric(self, metrics, trial):
        try:
            return super()._determine_best_metric(metrics, trial)
        except KeyError:
            raise UserError(
                f"'{self.args.metric_for_best_model}' is no metric of the validation split",
                field="metric_for_best_model",
                accepted=", ".join(name.removeprefix("eval_") for name in metrics),
            ) from None

    def tune_thresholds(self, dataset=None) -> ThresholdChoice | None:
        """Chooses the decision rule on validation rows and writes it to the model's configuration; of a model that decides on label sets
        also the smallest set (`tune_smallest_set`), which then holds for thresholds too.

        Args:
            dataset (`datasets.Dataset`, *optional*): validation rows, `eval_dataset` if not given. Never test rows.

        Returns:
            `ThresholdChoice`, or `None` with `threshold_kind="none"`.
        """
        if self.args.threshold_kind == "none":
            return None
        rows = self.eval_dataset if dataset is None else dataset
        self.smallest_set = tune_smallest_set(self, rows)
        tuner = ThresholdTuner(
            len(self.label_space),
            kind=self.args.threshold_kind,
            metric=self.args.threshold_metric,
            train_counts=self.label_space.counts,
            row_budget_mb=self.args.score_budget_mb,
            seed=self.args.seed,
        )
        if can_be_tuned(self.model.config) or getattr(self.model, "decides_on_sets", False):
            # of a search it is a rule: the scores that thresholds are chosen on were found under it
            tuner.min_label_choices = (self.model.config.min_labels,)
        for predictions, targets in self.iterate_predictions(rows):
            scores, candidate_ids, _ = scores_of(predictions)
            tuner.update(scores, candidate_ids=candidate_ids, **{self.target_name: targets})
        choice = tuner.tune()
        self.model.config.thresholds = choice.thresholds
        self.model.config.min_labels = choice.min_labels
        self.threshold_choice = choice
        return choice

    def tune_search(self, dataset=None) -> SearchChoice | None:
        """Chooses when a search over label sequences ends, and the smallest set, on validation rows, before thresholds are chosen on its scores.

        Args:
            dataset (`datasets.Dataset`, *optional*): validation rows, `eval_dataset` if not given. Never test rows.

        Returns:
            `SearchChoice`, or `None` with `end_biases=[]` and for a model without such a search.
        """
        if self.args.end_biases:
            self.search_choice = tune_search(self, dataset, end_biases=self.args.end_biases)
        return self.search_choice

    def own_inputs(self) -> dict[str, Any]:
        """Arguments of this class that a second training on the same data is to be given too; nothing here."""
        return {}

    def own_facts(self) -> dict[str, Any]:
        """What results.json says of an architecture's own way of training; nothing here."""
        return {}

    def iterate_predictions(self, dataset):
        """Yields `(logits, targets)` on the CPU, batch by batch over the whole data set, the same on every process."""
        dataloader = self.get_eval_dataloader(dataset)
        model = self._wrap_model(self.model, training=False, dataloader=dataloader)
        model.eval()
        for inputs in dataloader:
            _, logits, targets = self.prediction_step(
                model, inputs, prediction_loss_only=False, ignore_keys=self._ignored_outputs()
            )
            logits = self.accelerator.pad_across_processes(logits, dim=1, pad_index=-100)
            targets = self.accelerator.pad_across_processes(targets, dim=1, pad_index=-100)
            logits, targets = self.accelerator.gather_for_metrics((logits, targets))
            yield logits, targets.cpu()

    def _ignored_outputs(self) -> list[str]:
        return list(getattr(self.model.config, "keys_to_ignore_at_inference", ["hidden_states", "attentions"]))

    def _save(self, output_dir: str | None = None, state_dict=None):
        super()._save(output_dir, state_dict)
        # a pickle in a folder meant for others; the arguments are in run.json and results.json
        Path(output_dir or self.args.output_dir, "training_args.bin").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _nothing_tuned(self):
        """While it lasts, evaluations report no threshold tuned on their own rows."""
        self.reports_tuned_threshold = False
        try:
            yield
        finally:
            self.reports_tuned_threshold = True

    def predict(self, test_dataset, ignore_keys=None, metric_key_prefix: str = "test"):
        """As `transformers.Trainer.predict`; nothing is tuned on the rows it is given."""
        with self._nothing_tuned():
            return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def evaluate_test(self, dataset, metric_key_prefix: str = "test") -> dict[str, float]:
        """Metrics of the test split at the tuned thresholds; nothing is chosen on it, so no tuned values are reported."""
        stopping = self.pop_callback(EarlyStoppingCallback)  # it would look for one, and say that there is none
        try:
            with self._nothing_tuned():
                return self.evaluate(dataset, metric_key_prefix=metric_key_prefix)
        finally:
            if stopping is not None:
                self.add_callback(stopping)


def _targets_of(config: MultiLabelConfig) -> str:
    """The form of an architecture's targets."""
    from hf_mlc.auto import ARCHITECTURES  # the table names the trainers

    return ARCHITECTURES[config.model_type].targets if config.model_type in ARCHITECTURES else "labels"


def last_complete_checkpoint(output_dir: str | Path, *, num_processes: int = 1) -> Path | None:
    """The newest checkpoint that was written to its end, or `None`.

    A run killed while it saves leaves a folder that `transformers.trainer_utils.get_last_checkpoint` would pick and fail
    on. Each process writes its random state, and the first one `trainer_state.json` after all else of its own; a folder
    in which one of them is missing or no whole JSON is passed over.
    """
    found = []
    for folder in Path(output_dir).glob("checkpoint-*"):
        match = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if match and _is_complete(folder, num_processes):
            found.append((int(match.group(1)), folder))
    return max(found)[1] if found else None


def _is_complete(folder: Path, num_processes: int) -> bool:
    try:
        json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return len(list(folder.glob("rng_state*.pth"))) >= num_processes
