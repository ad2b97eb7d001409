"""Whether a model that decides on label sets may answer with none: chosen on validation rows.

Where labels are many and each is rare, the most probable set of a document is often the empty one, though nearly every document has a
label. Thresholds are chosen together with such a smallest number of labels (`hf_mlc.thresholds`); a search for sets is given the same
choice here. One search tells both, since small sets are filled up by scores; but a model that answers with known sets alone looks for the best
of those large enough, and is asked for each number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.set_scores import with_fewest
from hf_mlc.thresholds import SMALLEST_SETS, value_of
from hf_mlc.training.end_bias import DIGITS
from hf_mlc.training.evaluation import scores_of


if TYPE_CHECKING:
    from hf_mlc.training.trainer import MultiLabelTrainer


@dataclass
class SmallestSetChoice:
    """What was chosen, and what it was worth on the validation rows.

    Args:
        min_labels (`int`): the smallest set that a document may get.
        value (`float`): the metric, of the rows that chose: somewhat optimistic.
        metric (`str`): its name.
        num_documents (`int`): validation rows.
        tried (`list[dict]`): every number with its value.
    """

    min_labels: int
    value: float
    metric: str
    num_documents: int
    tried: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


def tune_smallest_set(trainer: MultiLabelTrainer, dataset) -> SmallestSetChoice | None:
    """Chooses `min_labels` of a model's sets by the run's `threshold_metric`, and writes it to the model's configuration.

    Of equals the smaller number; one that the model can't keep to, having no known set so large, is not chosen.

    Args:
        trainer ([`~hf_mlc.training.trainer.MultiLabelTrainer`]): with the trained model.
        dataset (`datasets.Dataset`): validation rows. Never test rows.

    Returns:
        [`SmallestSetChoice`], or `None` for a model that decides by thresholds, of label sequences (`tune_search`
        chooses it together with the search's end), or that has a `min_labels` above 0 already.
    """
    config = trainer.model.config
    if not getattr(trainer.model, "decides_on_sets", False) or hasattr(config, "end_bias") or config.min_labels:
        return None
    meters = {size: MultiLabelMetrics(len(trainer.label_space), ks=(1,), score_budget_mb=0) for size in SMALLEST_SETS}
    if getattr(config, "known_sets", "off") == "restrict":
        try:
            for size, meter in meters.items():
                config.min_labels = size
                if size <= _largest_known(trainer.model):
                    _measure(trainer, dataset, {size: meter})
        finally:
            config.min_labels = 0
    else:
        _measure(trainer, dataset, meters)
    metric = trainer.args.threshold_metric
    tried = [
        {"min_labels": size, "value": value_of(meter.compute(), metric)}
        for size, meter in meters.items()
        if meter.num_documents
    ]
    best = min(tried, key=lambda one: (-round(one["value"], DIGITS), one["min_labels"]))
    config.min_labels = best["min_labels"]
    return SmallestSetChoice(**best, metric=metric, num_documents=meters[0].num_documents, tried=tried)


def _measure(trainer: MultiLabelTrainer, dataset, meters: dict[int, MultiLabelMetrics]) -> None:
    """Searches once, and counts the sets, filled up to each number of labels."""
    for predictions, targets in trainer.iterate_predictions(dataset):
        scores, candidate_ids, chosen = scores_of(predictions)
        for size, meter in meters.items():
            filled = with_fewest(chosen, scores, size)
            meter.update(scores, candidate_ids=candidate_ids, chosen=filled, **{trainer.target_name: targets})


def _largest_known(model) -> int:
    return int(model.known_sets.sets_SL.sum(dim=1).max())


__all__ = ["SmallestSetChoice", "tune_smallest_set"]
