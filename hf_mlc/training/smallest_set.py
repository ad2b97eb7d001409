"""Whether a model that decides on label sets may answer with none: chosen on validation rows.

Where labels are many and each is rare, the most probable set of a document is often the empty one, though nearly every document has a
label. Thresholds are chosen together with such a smallest number of labels (`hf_mlc.thresholds`); a search for sets is given the same
choice here. Each number is decoded once: of a model that answers with known sets alone, the best of those large enough is another
answer than the empty set filled up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import value_of
from hf_mlc.training.evaluation import scores_of


if TYPE_CHECKING:
    from hf_mlc.training.trainer import MultiLabelTrainer


SIZES = (0, 1)
DIGITS = 9  # values that differ only beyond are equal


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

    Of equals the smaller number.

    Args:
        trainer ([`~hf_mlc.training.trainer.MultiLabelTrainer`]): with the trained model.
        dataset (`datasets.Dataset`): validation rows. Never test rows.

    Returns:
        [`SmallestSetChoice`], or `None` for a model that decides by thresholds, whose search has rules of its own
        (`tune_search`), or that was given a `min_labels`.
    """
    config = trainer.model.config
    if not getattr(trainer.model, "decides_on_sets", False) or hasattr(config, "end_bias") or config.min_labels:
        return None
    metric, tried, num_documents = trainer.args.threshold_metric, [], 0
    for size in SIZES:
        config.min_labels = size
        counter = MultiLabelMetrics(len(trainer.label_space), ks=(1,), score_budget_mb=0)
        for predictions, targets in trainer.iterate_predictions(dataset):
            scores, candidate_ids, chosen = scores_of(predictions)
            counter.update(scores, candidate_ids=candidate_ids, chosen=chosen, **{trainer.target_name: targets})
        num_documents = counter.num_documents
        tried.append({"min_labels": size, "value": value_of(counter.compute(), metric)})
    best = min(tried, key=lambda one: (-round(one["value"], DIGITS), one["min_labels"]))
    config.min_labels = best["min_labels"]
    return SmallestSetChoice(**best, metric=metric, num_documents=num_documents, tried=tried)


__all__ = ["SIZES", "SmallestSetChoice", "tune_smallest_set"]
