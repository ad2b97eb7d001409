"""LightDXML's trainer: before every few epochs of the classifier a cycle's first phases, after the last one the index again."""

from __future__ import annotations

import math
import sys
from typing import Any

import datasets
import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from tqdm.auto import tqdm

from hf_mlc.cycles.beta import BetaChoice, tune_beta
from hf_mlc.cycles.callback import CycleCallback, epoch_of
from hf_mlc.cycles.collating import CandidateLists
from hf_mlc.cycles.cycle import CycleMaker
from hf_mlc.cycles.optimizers import JointOptimizer, RowAdam, gradient_norm, sparse_parameters
from hf_mlc.cycles.rows import ROW_NUMBERS, NumberedRows, NumberingCollator
from hf_mlc.cycles.schedule import halving
from hf_mlc.errors import UserError
from hf_mlc.metrics.ranking_names import check_rankings
from hf_mlc.training.trainer import MultiLabelTrainer


class LightDxmlTrainer(MultiLabelTrainer):
    """[`~hf_mlc.training.trainer.MultiLabelTrainer`] in cycles (`config.cycle_epochs` R, and what else the configuration says of them).

    - Before the epochs 0, R, 2R, ... the training rows are encoded, labels embedded and each row's nearest labels written down; the
      classifier is then trained on these. After the last epoch the index is made again, of the weights that are kept.
    - What a phase has made lies in `cycle/` of the output folder; a run that was cut short goes on behind it, and comes to the
      weights that the unbroken one would have come to.
    - Large tables have sparse gradients and an Adam of their rows (`RowAdam`), all else the optimizer of `args.optim`.
    - [`~LightDxmlTrainer.tune_thresholds`] chooses `beta` before it chooses thresholds.
    - Several processes (`accelerate launch`) score what one would: where lists are shared, all share one.

    Args:
        model (`LightDxmlForMultiLabelClassification`): the model.
        args ([`~hf_mlc.training.arguments.MultiLabelTrainingArguments`]): those of `hf_mlc.cycles.arguments` among them.
        label_features (`datasets.Dataset`, *optional*):
            what labels say of themselves: encoded rows as `train_dataset` has them, with the label's id alone in `label_ids`; `train`
            makes them of the file `args.label_features`.
        kwargs: as of the base class; `train_dataset` holds encoded rows with `label_ids`.
    """

    def __init__(self, model, args, *, label_features: datasets.Dataset | None = None, **kwargs):
        if args.ddp_broadcast_buffers is None:
            args.ddp_broadcast_buffers = False  # the index is one, as large as the labels, and the same everywhere
        if args.negatives == "all" and not model.config.shared_shortlist:
            raise UserError(
                "found 'all' beside a list for each document",
                field="negatives",
                accepted="shortlist or random, or shared_shortlist true",
            )
        if args.label_features is not None and label_features is None:
            accepted = "its rows, encoded, as the trainer's own argument of this name; or none"
            raise UserError("a trainer reads no files", field="label_features", accepted=accepted)
        self.label_features = label_features
        if args.betas:
            check_rankings(args.beta_metric.split("+"), args.ranking_ks, field="beta_metric")
        if args.world_size > 1 and torch.distributed.is_initialized():
            check_exchange(model, torch.distributed.get_backend())
        super().__init__(model, args, **kwargs)
        self.beta_choice: BetaChoice | None = None
        self.lists: CandidateLists | None = None
        self._cycles: CycleMaker | None = None
        self.add_callback(CycleCallback(self))

    def tell(self, text: str) -> None:
        """A line for the user, on standard error, beside progress bars."""
        if self.args.process_index == 0:
            tqdm.write(text, file=sys.stderr)

    # -- rows and their lists

    @property
    def read_columns(self) -> list[str]:
        """The columns of encoded rows that become batches."""
        self._set_signature_columns_if_needed()
        return self._signature_columns

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        if ROW_NUMBERS not in self._signature_columns:
            self._signature_columns.append(ROW_NUMBERS)

    @property
    def cycles(self) -> CycleMaker:
        """What makes the cycles of this training."""
        if self._cycles is None:
            self._cycles = CycleMaker(self)
        return self._cycles

    def get_train_dataloader(self):
        if self.train_dataset is None or not hasattr(self.train_dataset, "__len__"):
            raise UserError(
                "training rows without a number", field="train_dataset", accepted="rows that can be read again"
            )
        inner = self.data_collator
        self.data_collator = NumberingCollator(inner)
        try:
            return self._get_dataloader(
                dataset=NumberedRows(self.train_dataset, self.read_columns),
                description="Training",
                batch_size=self._train_batch_size,
                sampler_fn=self._get_train_sampler,
                is_training=True,
            )
        finally:
            self.data_collator = inner

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        rows = [batch.pop(ROW_NUMBERS).cpu().numpy() for batch in batches]
        if rows:
            candidates = self.lists.of_step(
                rows, epoch=epoch_of(self.state), step=self.state.global_step, united=self._united
            )
            for batch, candidate_ids in zip(batches, candidates, strict=True):
                batch["candidate_ids"] = candidate_ids.to(self.args.device)
        return batches, num_items

    def _united(self, is_marked_L: np.ndarray) -> np.ndarray:
        """The labels that any process has marked."""
        if self.args.world_size == 1:
            return is_marked_L
        marks_L = torch.from_numpy(is_marked_L.astype(np.uint8)).to(self.args.device)
        torch.distributed.all_reduce(marks_L, op=torch.distributed.ReduceOp.MAX)
        return marks_L.cpu().numpy() > 0

    def use_shortlists(self, shortlists_NS: np.ndarray | None) -> None:
        """From now on, steps score these lists; with `negatives` "all" there are none."""
        config, args, cycles = self.model.config, self.args, self.cycles
        self.lists = CandidateLists(
            shortlists_NS,
            cycles.labels_NL,
            cycles.trained_L,
            shared=config.shared_shortlist,
            max_positives=config.max_positives,
            random_negatives=args.random_negatives,
            negatives=args.negatives,
            width=cycles.num_near,
            seed=args.seed,
        )

    # -- optimizer

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        model = self.model if model is None else model
        sparse, tokens = sparse_parameters(model), self._token_vectors(model)
        apart = [*sparse, *(table for table in tokens if all(table is not other for other in sparse))]
        if self.optimizer is not None or not apart:
            return super().create_optimizer(model)
        for table in apart:
            table.requires_grad_(False)  # for as long as the others' optimizer is made
        try:
            parts = [super().create_optimizer(model)]
        finally:
            for table in apart:
                table.requires_grad_(True)
        args = self.args
        scaled = {id(table): args.learning_rate * args.token_learning_rate_scale for table in tokens}
        groups = [{"params": [table], "lr": scaled.get(id(table), args.learning_rate)} for table in apart]
        of_rows, of_all = groups[: len(sparse)], groups[len(sparse) :]
        if of_rows:
            parts.append(RowAdam(of_rows, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon))
        if of_all:
            kind, settings = self.get_optimizer_cls_and_kwargs(args, model)
            parts.append(kind(of_all, **{"weight_decay": args.weight_decay, **settings}))
        self.optimizer = JointOptimizer(parts)
        return self.optimizer

    def _token_vectors(self, model) -> list[torch.nn.Parameter]:
        """The table of token vectors, where it learns at a rate of its own."""
        if self.args.token_learning_rate_scale == 1.0:
            return []
        tables = [model.get_input_embeddings().weight] if model.reads_token_ids else []
        return [table for table in tables if table.requires_grad]

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.args.halving_step is None or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        of_step = self._train_batch_size * self.args.world_size * self.args.gradient_accumulation_steps
        steps_of_epoch = max(1, math.ceil(len(self.train_dataset) / of_step))
        factor = halving(self.args.halving_step, steps_of_epoch, num_training_steps)
        self.lr_scheduler = LambdaLR(self.optimizer if optimizer is None else optimizer, factor)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _clip_grad_norm(self, model):
        if not sparse_parameters(model):
            return super()._clip_grad_norm(model)
        self.accelerator.unscale_gradients()  # of half precision: the length to cut is that of the loss as it is
        return gradient_norm(list(model.parameters()), clip_to=self.args.max_grad_norm)

    def _get_grad_norm(self, model, grad_norm=None):
        # where nothing is clipped nobody needs it, and it takes a pass over every table
        return None if grad_norm is None else super()._get_grad_norm(model, grad_norm)

    # -- after training

    def tune_beta(self, dataset=None) -> BetaChoice | None:
        """Chooses the classifier's share of a score on validation rows and writes it to the configuration.

        Args:
            dataset (`datasets.Dataset`, *optional*): validation rows, `eval_dataset` if not given. Never test rows.

        Returns:
            [`~hf_mlc.cycles.beta.BetaChoice`], or `None` with `betas=[]` and before any cycle.
        """
        if not self.args.betas:
            return None
        choice = tune_beta(self, dataset, betas=self.args.betas, metric=self.args.beta_metric)
        if choice is not None:
            self.beta_choice = choice
            self.tell(f"beta from validation: {choice.beta:g} ({choice.metric} {choice.value:.4f})")
        return choice

    def tune_thresholds(self, dataset=None):
        """As of the base class, on scores mixed by the `beta` that is chosen before."""
        self.tune_beta(dataset)
        return super().tune_thresholds(dataset)

    def own_inputs(self) -> dict[str, Any]:
        return {"label_features": self.label_features}

    def own_facts(self) -> dict[str, Any]:
        """What results.json says of the cycles and of beta."""
        return {
            "cycles": self.cycle_facts,
            "beta": self.beta_choice.to_dict() if self.beta_choice else None,
        }

    @property
    def cycle_facts(self) -> list[dict[str, Any]]:
        """Facts of the cycles of this run so far."""
        return self._callback.cycle_facts

    @property
    def _callback(self) -> CycleCallback:
        return next(one for one in self.callback_handler.callbacks if isinstance(one, CycleCallback))


def check_exchange(model: torch.nn.Module, backend: str) -> None:
    """`UserError` where processes would have to exchange gradients of a few rows by what knows none.

    Args:
        model (`LightDxmlForMultiLabelClassification`): the model.
        backend (`str`): of `torch.distributed`.
    """
    if backend != "gloo" and sparse_parameters(model):
        raise UserError(
            f"tables with gradients of a few rows, which processes can't exchange by the backend '{backend}'",
            field="sparse_gradients",
            accepted="--sparse_gradients false, or --ddp_backend gloo",
        )
