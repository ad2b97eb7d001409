"""The classifier's share of a score: chosen on validation rows, over a grid that is declared beforehand.

Shape legend: B documents, S shortlist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_mlc.errors import UserError
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.modeling_lightdxml import NOT_SCORED
from hf_mlc.modeling.score_mix import mixed_logits
from hf_mlc.thresholds import DIGITS


if TYPE_CHECKING:
    from hf_mlc.cycles.trainer import LightDxmlTrainer


@dataclass
class BetaChoice:
    """What was tried, and what it came to.

    Args:
        beta (`float`): the best of the grid.
        metric (`str`): which it maximises.
        value (`float`): what it reaches.
        num_documents (`int`): validation documents.
        tried (`list[dict]`): the rankings' metrics of each beta of the grid.
    """

    beta: float
    metric: str
    value: float
    num_documents: int
    tried: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


def tune_beta(trainer: LightDxmlTrainer, dataset=None, *, betas: Sequence[float], metric: str) -> BetaChoice | None:
    """Chooses `beta` and writes it to the model's configuration; of equals, the larger share of the classifier.

    Documents are encoded and their lists scored once: every beta mixes the same two scores.

    Args:
        trainer ([`~hf_mlc.cycles.trainer.LightDxmlTrainer`]): with the trained model and its index.
        dataset (`datasets.Dataset`, *optional*): validation rows, `eval_dataset` if not given. Never test rows.
        betas (`Sequence[float]`): the grid.
        metric (`str`): a metric of rankings that `ranking_ks` has, or the mean of several, `"p@5+psp@5"`.

    Returns:
        [`BetaChoice`], or `None` for a model without an index: no similarity has a share then.

    Raises:
        `UserError`: no validation rows, an unknown metric.
    """
    model, args = trainer.model, trainer.args
    dataset = trainer.eval_dataset if dataset is None else dataset
    if not model.has_index:
        return None
    if dataset is None:
        raise UserError("no validation rows to choose beta by", field="betas", accepted="an eval_dataset, or no betas")
    betas, space = list(dict.fromkeys(map(float, betas))), trainer.label_space
    counters = [
        MultiLabelMetrics(
            len(space),
            train_counts=space.counts,
            num_train_documents=space.num_documents,
            ks=args.ranking_ks,
            propensity=space.propensity,
            score_budget_mb=0,
        )
        for _ in betas
    ]
    for parts, targets in _scored(trainer, dataset):
        logits, cosines, *candidate_ids = parts
        candidate_ids = candidate_ids[0] if candidate_ids else None
        is_there = model.trained_labels.cpu().expand_as(logits) if candidate_ids is None else candidate_ids >= 0
        for beta, counter in zip(betas, counters, strict=True):
            mixed = mixed_logits(logits, cosines, beta, is_there_BS=is_there).masked_fill(~is_there, NOT_SCORED)
            counter.update(mixed.sigmoid(), candidate_ids=candidate_ids, **{trainer.target_name: targets})
    tried = []
    for beta, counter in zip(betas, counters, strict=True):
        found = {name: value for name, value in counter.compute().items() if _is_of_rankings(name)}
        tried.append({"beta": beta, **found})
    values = [metric_value(found, metric) for found in tried]
    best = max(range(len(betas)), key=lambda place: (round(values[place], DIGITS), betas[place]))
    model.config.beta = betas[best]
    return BetaChoice(betas[best], metric, values[best], counters[0].num_documents, tried)


def metric_value(found: dict[str, float], metric: str) -> float:
    """A metric's value, or the mean of those that `+` joins; `UserError` for one that there isn't."""
    parts = metric.split("+")
    for part in parts:
        if part not in found:
            accepted = ", ".join(name for name in found if name != "beta")
            raise UserError(f"'{part}' is no metric of rankings here", field="beta_metric", accepted=accepted)
    return float(np.mean([found[part] for part in parts]))


def _is_of_rankings(name: str) -> bool:
    """`p@5` and its like, not those of a bucket of labels."""
    return name.count("@") == 1 and name.split("@")[1].isdigit()


def _scored(trainer: LightDxmlTrainer, dataset):
    """Logits, cosines and, of shortlists, their labels, and the targets, on the CPU, the same on every process."""
    model, accelerator = trainer.model, trainer.accelerator
    was_training = model.training
    model.eval()
    try:
        for inputs in trainer.get_eval_dataloader(dataset):
            inputs = trainer._prepare_inputs(inputs)
            targets = inputs.pop(trainer.target_name)
            with torch.no_grad(), trainer.compute_loss_context_manager():
                parts = _parts(model, model.encode(**inputs))
            targets = accelerator.pad_across_processes(targets, dim=1, pad_index=-100)
            parts, targets = accelerator.gather_for_metrics((parts, targets))
            yield [one.cpu() for one in parts], targets.cpu()
    finally:
        model.train(was_training)


def _parts(model, documents_BD: torch.Tensor) -> list[torch.Tensor]:
    """The classifier's logits and the index's cosines, float32 `(B, S)`, and the ids of a shortlist, where one is scored."""
    if model.config.scoring == "shortlist":
        ids_BS, cosines_BS = model.shortlist(documents_BD)
        return [model.score(documents_BD, ids_BS).float(), cosines_BS, ids_BS]
    return [model.score(documents_BD, slice(None)).float(), model.similarities(documents_BD)]
