"""When a search over label sequences should end: a bias of the end's logit and the fewest labels, chosen on validation rows.

A decoder taught to write exactly the true labels ends too early where it is unsure: every further label costs probability
(precision is high, recall low). One number taken off the end's logit in search mends it, and it is chosen as thresholds
are: after training, on validation rows only, for the metric that the run is about.

*The fewest labels.* Whether a document may be left without a label is chosen together with it, as it is chosen together with thresholds for models
without a search (`hf_mlc.thresholds`): of a model whose rows all have labels, an empty answer is wrong for certain.

*What is searched again.* The bias changes every step's distribution, so it changes which beams survive: at a bias of 1 the
search meets label sets that it had dropped at 0. Weighing the beams of one search anew would compare only sets that this
search had liked enough to keep, short ones; so each bias is decoded once with each smallest set, on all validation rows.
The weight of logistic rescoring changes only the order of what was found: its grid costs no further search.

Shape legend: B documents of a batch, L labels, C candidates (weights of rescoring; one where nothing is rescored).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.set_scores import answered_set, beam_marginals, merge_sets, rescore
from hf_mlc.thresholds import SMALLEST_SETS, ThresholdTuner, value_of
from hf_mlc.training.arguments import END_BIASES


if TYPE_CHECKING:
    from hf_mlc.training.trainer import MultiLabelTrainer


logger = logging.get_logger(__name__)

RESCORING_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)
DIGITS = 9  # values that differ only beyond are equal


@dataclass
class SearchChoice:
    """What was chosen, and what it was worth on the validation rows.

    Args:
        end_bias (`float`): taken off the end's logit.
        min_labels (`int`): the smallest set that a document may get.
        rescoring_weight (`float`, *optional*): of the auxiliary head; `None` where nothing is rescored.
        value (`float`): the metric, of the rows that chose: somewhat optimistic.
        metric (`str`): its name.
        decision (`str`): whose value it is: of label sets ("sequence", "expected_f1"), or of the best threshold.
        num_documents (`int`): validation rows.
        tried (`list[dict]`): every candidate with its value.
    """

    end_bias: float
    min_labels: int
    rescoring_weight: float | None
    value: float
    metric: str
    decision: str
    num_documents: int
    tried: list[dict[str, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


def can_be_tuned(config) -> bool:
    """Whether a bias of the end changes any answer of a model with this configuration."""
    if not hasattr(config, "end_bias") or not getattr(config, "searches", True):
        return False
    return config.decision != "thresholds" or config.scores != "auxiliary"


def tune_search(
    trainer: MultiLabelTrainer,
    dataset=None,
    *,
    end_biases: Sequence[float] = END_BIASES,
    rescoring_weights: Sequence[float] = RESCORING_WEIGHTS,
) -> SearchChoice | None:
    """Chooses `end_bias` and `min_labels`, and `rescoring_weight` where scores are rescored, and writes them to the model's configuration.

    The metric is the run's `threshold_metric`: of the label sets, for a model that decides on sets; otherwise the best
    value that one threshold for all labels reaches on the marginals. Of equal candidates the smaller `min_labels`, then the bias
    nearest to 0, then the smaller weight: the plainer search. A `min_labels` above 0 was asked for, and is kept; so is any with
    `threshold_kind="none"`.

    Args:
        trainer ([`~hf_mlc.training.trainer.MultiLabelTrainer`]): with the trained model.
        dataset (`datasets.Dataset`, *optional*): validation rows, `eval_dataset` if not given. Never test rows.
        end_biases (`Sequence[float]`, *optional*): the grid, to which the configuration's own is added; each is decoded once with
            each smallest set.
        rescoring_weights (`Sequence[float]`, *optional*): of these, and the configuration's own, every one is tried with every bias.

    Returns:
        [`SearchChoice`], or `None` for a model that has no such bias or on whose answers it has no effect.

    Raises:
        `UserError`: an empty grid, no validation row.
    """
    config = trainer.model.config
    if not can_be_tuned(config):
        return None
    for name, grid in (("end_biases", end_biases), ("rescoring_weights", rescoring_weights)):
        if not grid:
            raise UserError("an empty grid", field=name, accepted="one number or more")
    dataset = trainer.eval_dataset if dataset is None else dataset
    if dataset is None:
        raise UserError("no validation rows to choose the search by", field="eval_dataset")
    before, tried, num_documents = (config.end_bias, config.min_labels), [], 0
    # what was asked for, or chosen by an earlier training, is tried as well
    end_biases = list(dict.fromkeys([*map(float, end_biases), float(config.end_bias)]))
    is_free = (
        config.min_labels == 0 and trainer.args.threshold_kind != "none"
    )  # without a rule to be tuned none is changed
    sizes = SMALLEST_SETS if is_free else (config.min_labels,)
    weights = [None]
    if config.scores == "rescored":
        weights = list(dict.fromkeys([*map(float, rescoring_weights), float(config.rescoring_weight)]))
    try:
        for size, bias in itertools.product(sizes, end_biases):
            config.min_labels, config.end_bias = size, bias
            meters = [_Meter(trainer, len(weights)) for _ in weights]
            for answers_BCL, targets in _answers(trainer, dataset, weights):
                for candidate, meter in enumerate(meters):
                    meter.update(answers_BCL[:, candidate], targets)
            num_documents = meters[0].num_documents
            for weight, meter in zip(weights, meters, strict=True):
                tried.append(
                    {"end_bias": bias, "min_labels": size, "rescoring_weight": weight, "value": meter.value()}
                )
    finally:
        config.end_bias, config.min_labels = before
    best = min(tried, key=_from_best_and_plainest)
    config.end_bias, config.min_labels = best["end_bias"], best["min_labels"]
    if best["rescoring_weight"] is not None:
        config.rescoring_weight = best["rescoring_weight"]
    if best["end_bias"] in (min(end_biases), max(end_biases)) and len(end_biases) > 1:
        logger.warning(
            f"The best end_bias, {best['end_bias']}, is the outermost of those that were tried: a wider grid may do better."
        )
    return SearchChoice(
        **best,
        metric=trainer.args.threshold_metric,
        decision=config.decision,
        num_documents=num_documents,
        tried=tried,
    )


def _from_best_and_plainest(candidate: dict[str, float | None]) -> tuple[float, ...]:
    """What candidates are sorted by."""
    value, weight = round(candidate["value"], DIGITS), candidate["rescoring_weight"] or 0.0
    return -value, candidate["min_labels"], abs(candidate["end_bias"]), weight


class _Meter:
    """The value of one candidate's answers: of its sets, or of the best threshold on its scores."""

    def __init__(self, trainer: MultiLabelTrainer, num_meters: int):
        self.metric, self.target_name = trainer.args.threshold_metric, trainer.target_name
        self.of_sets = trainer.model.decides_on_sets
        num_labels = len(trainer.label_space)
        if self.of_sets:
            self.counter = MultiLabelMetrics(num_labels, ks=(1,), score_budget_mb=0)
        else:
            budget = trainer.args.score_budget_mb / num_meters
            self.counter = ThresholdTuner(num_labels, kind="global", metric=self.metric, row_budget_mb=budget)
            # the rule of the search is in force here, too
            self.counter.min_label_choices = (trainer.model.config.min_labels,)

    @property
    def num_documents(self) -> int:
        return self.counter.num_documents

    def update(self, answers_BL: torch.Tensor, targets: torch.Tensor) -> None:
        targets = {self.target_name: targets}
        if self.of_sets:
            self.counter.update(answers_BL, chosen=answers_BL > 0.5, **targets)
        else:
            self.counter.update(answers_BL, **targets)

    def value(self) -> float:
        if not self.of_sets:
            return float(self.counter.tune().value)
        return value_of(self.counter.compute(), self.metric)


def _answers(
    trainer: MultiLabelTrainer, dataset, weights: list[float | None]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Sets (as 0 and 1) or scores `(B, C, L)` for each weight, and targets, batch by batch, the same on every process."""
    model = trainer.model
    was_training = model.training
    model.eval()
    try:
        for inputs in trainer.get_eval_dataloader(dataset):
            inputs = trainer._prepare_inputs(inputs)
            targets = inputs.pop(trainer.target_name)
            with torch.no_grad(), trainer.compute_loss_context_manager():
                answers_BCL = _answers_of_batch(model, inputs, weights)
            targets = trainer.accelerator.pad_across_processes(targets, dim=1, pad_index=-100)
            answers_BCL, targets = trainer.accelerator.gather_for_metrics((answers_BCL, targets))
            yield answers_BCL.cpu(), targets.cpu()
    finally:
        model.train(was_training)


def _answers_of_batch(model, inputs: dict[str, torch.Tensor], weights: list[float | None]) -> torch.Tensor:
    if weights == [None]:
        output = model(**inputs)
        answers_BL = output.logits.float().sigmoid() if output.chosen is None else output.chosen.float()
        return answers_BL[:, None]
    output, num_labels = model(**inputs, output_sequences=True), model.config.num_labels
    found = merge_sets(output.sequences, output.sequence_scores)
    answers = []
    for weight in weights:
        sets = rescore(found, output.auxiliary_logits, weight)
        if model.decides_on_sets:
            answers.append(answered_set(sets, num_labels, model.config.decision).float())
        else:
            answers.append(beam_marginals(sets, num_labels))
    return torch.stack(answers, dim=1)


__all__ = ["END_BIASES", "RESCORING_WEIGHTS", "SearchChoice", "can_be_tuned", "tune_search"]
