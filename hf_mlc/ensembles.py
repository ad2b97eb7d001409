"""Several trained models put together into one (`hf_mlc.modeling.modeling_ensemble`), and its decision tuned anew.

Shape legend: B texts of one batch, L labels, P label ids a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from transformers.utils import logging

from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, scored_batches
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_ensemble import MEMBER_CONFIGS, EnsembleConfig
from hf_mlc.modeling.modeling_ensemble import EnsembleForMultiLabelClassification
from hf_mlc.thresholds import ThresholdChoice, ThresholdTuner


logger = logging.get_logger(__name__)

DECISIONS = ("thresholds", "sequence", "expected_f1", "sets")
# how a second model gets the processor of the first, by kind of input
_SAME_PROCESSOR = {
    "text": "with --tokenizer_name of the first",
    "image": "with --image_processor_name of the first",
    **dict.fromkeys(("table", "event", "features"), "on the same rows"),
}
TEXTS_AT_ONCE = 1024  # documents that are sorted by length together


def make_ensemble(
    members: Sequence[LoadedModel],
    *,
    names: Sequence[str],
    weights: Sequence[float] | None = None,
    decision: str | None = None,
) -> LoadedModel:
    """One model whose scores are the mean of the members'.

    Until [`tune_ensemble`] chooses others its thresholds are the mean of the members', and its smallest label set is the
    smallest of theirs.

    Args:
        members (`Sequence[LoadedModel]`): two or more, with the same labels in the same order and the same tokenizer.
        names (`Sequence[str]`): what error messages call them.
        weights (`Sequence[float]`, *optional*): how much each counts; all alike if not given.
        decision (`str`, *optional*): `"thresholds"`, `"sequence"`, `"expected_f1"` or `"sets"` (`EnsembleConfig`); the members' if
            they have the same one and it can be averaged, `"thresholds"` otherwise.

    Returns:
        `LoadedModel`: in evaluation mode on the CPU, with the first member's label space and tokenizer.

    Raises:
        `UserError`: fewer than two members, or members that don't go together.
    """
    if len(members) < 2:
        raise UserError(f"found {len(members)}", field="models", accepted="two models or more")
    first = members[0]
    for name, member in zip(names, members, strict=True):
        config = member.model.config
        if config.model_type not in MEMBER_CONFIGS:
            accepted = f"a model of the type {' or '.join(MEMBER_CONFIGS)}"
            raise UserError(f"is of the type '{config.model_type}'", file=name, field="models", accepted=accepted)
        check_labels(first.label_space.names, member.label_space.names, file=name, first=names[0])
        if member.kind is not first.kind:
            raise UserError(
                f"reads {member.kind.noun}, and {names[0]} reads {first.kind.noun}",
                file=name,
                field="models",
                accepted="models that read the same",
            )
        if first.kind.processor_state(member.processor) != first.kind.processor_state(first.processor):
            what = first.kind.processor_noun
            raise UserError(
                f"has another {what} than {names[0]}", file=name, field="models",
                accepted=f"models with the same {what}: train the second one {_SAME_PROCESSOR[first.kind.name]}",
            )  # fmt: skip
    configs = [member.model.config for member in members]
    if decision is None:
        decisions = {getattr(config, "decision", "thresholds") for config in configs}
        decision = decisions.pop() if len(decisions) == 1 else "thresholds"
        if any(config.model_type == "msdn" and not _votes(config, decision) for config in configs):
            logger.warning(
                "Of msdn models the most probable sets of chains are averaged, others aren't: the ensemble decides by thresholds."
            )
            decision = "thresholds"
    if decision not in DECISIONS:
        raise UserError(f"found '{decision}'", field="decision", accepted=", ".join(DECISIONS))
    fields: dict[str, Any] = {"decision": decision, "member_weights": None if weights is None else list(weights)}
    try:
        config = EnsembleConfig.of(configs, **fields, **decision_rule(configs, weights))
    except StrictDataclassError as error:
        raise UserError(str(error.__cause__ or error), field="models") from None
    model = EnsembleForMultiLabelClassification(config)
    for part, member in zip(model.members, members, strict=True):
        part.load_state_dict(member.model.state_dict())
    return LoadedModel(model.eval(), first.processor, first.label_space)


def _votes(config: Any, decision: str) -> bool:
    """Whether an msdn model with this configuration can take part in such a decision."""
    return decision == "thresholds" or (decision == "sets" and config.variant == "causal")


def check_labels(expected: Sequence[str], found: Sequence[str], *, file: str, first: str) -> None:
    """`UserError` where two models have other labels, or the same in another order."""
    if list(expected) == list(found):
        return
    accepted = f"the {len(expected)} labels of {first}, in their order"
    if len(expected) != len(found):
        raise UserError(f"has {len(found)} labels", file=file, field="models", accepted=accepted)
    place = next(number for number, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1])
    raise UserError(
        f"label {place} is '{found[place]}', of {first} '{expected[place]}'",
        file=file,
        field="models",
        accepted=accepted,
    )


def decision_rule(configs: Sequence[Any], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """The mean of the thresholds as the models' scores are averaged, a number a label where one of them has that, and the smallest
    `min_labels`, of the models that have any weight."""
    shares = [1.0] * len(configs) if weights is None else list(weights)
    counted = [(config, share) for config, share in zip(configs, shares, strict=False) if share > 0]
    if not counted:  # which the configuration refuses, in its own words
        counted = [(config, 1.0) for config in configs]
    total = sum(share for _, share in counted)
    mean = sum(torch.as_tensor(config.thresholds, dtype=torch.float64) * (share / total) for config, share in counted)
    thresholds = mean.tolist() if mean.ndim else float(mean)
    return {"thresholds": thresholds, "min_labels": min(config.min_labels for config, _ in counted)}


def tune_ensemble(
    loaded: LoadedModel,
    rows: Dataset,
    *,
    kind: str = "auto",
    metric: str = "f1_micro",
    batch_size: int = 32,
    seed: int = 0,
    score_budget_mb: float = 512,
) -> tuple[ThresholdChoice, dict[str, float]]:
    """Chooses thresholds and the smallest label set on validation rows and writes them into the configuration.

    Args:
        loaded (`LoadedModel`): from [`make_ensemble`].
        rows (`datasets.Dataset`): VALIDATION rows, of which no member was trained on any.
        kind, metric, seed, score_budget_mb: as in [`~hf_mlc.thresholds.ThresholdTuner`].
        batch_size (`int`, *optional*, defaults to 32): documents a forward pass.

    Returns:
        What was chosen, and of an ensemble that decides on sets the metrics of these sets on the rows, empty otherwise.
    """
    space, config = loaded.label_space, loaded.model.config
    tuner = ThresholdTuner(
        len(space), kind=kind, metric=metric, train_counts=space.counts, row_budget_mb=score_budget_mb, seed=seed
    )
    if loaded.model.decides_on_sets:  # it is a rule of the sets, which thresholds must not change
        tuner.min_label_choices = (config.min_labels,)
    of_sets = MultiLabelMetrics(len(space), ks=[1], thresholds=0.5, min_labels=0, score_budget_mb=score_budget_mb)
    column = loaded.kind.content.column
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        part = rows[start : start + TEXTS_AT_ONCE]
        label_ids = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(space.encode_known(names)[0]) for names in part["labels"]],
            batch_first=True,
            padding_value=-100,
        )
        for batch in scored_batches(loaded, part[column], batch_size=batch_size):
            ids_BP = label_ids[batch.places]
            tuner.update(batch.scores_BS, label_ids=ids_BP)
            if batch.chosen_BS is not None:
                of_sets.update(batch.scores_BS, label_ids=ids_BP, chosen=batch.chosen_BS)
    choice = tuner.tune()
    config.thresholds, config.min_labels = choice.thresholds, choice.min_labels
    return choice, of_sets.compute() if loaded.model.decides_on_sets else {}
