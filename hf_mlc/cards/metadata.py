"""The card's metadata: what the Hub filters by, and `model-index` with the measured metrics."""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from hf_mlc.cards.cycles import wrong_pipeline
from hf_mlc.cards.facts import CardFacts, is_tuned
from hf_mlc.cards.metric_names import HUB_METRICS, metric_name
from hf_mlc.cards.tables import BUCKET_METRICS
from hf_mlc.inputs import input_kind_of
from hf_mlc.metrics.buckets import is_measured


# the Hub refuses a data set's type that doesn't look like an id
_ID = re.compile(r"[\w-]+(/[\w.-]+)?")


def card_data(facts: CardFacts) -> ModelCardData:
    """The metadata of a card; what is unknown is left out."""
    words, dataset = facts.words, facts.words.dataset
    task = input_kind_of(facts.config).hub_task
    tags = ["hf_mlc", facts.config.model_type, "multi-label-classification", *words.tags]
    results = eval_results(facts, task=task)
    families = {result.metric_type for result in results}
    optional: dict[str, Any] = {}
    if words.widget:
        optional["widget"] = [
            {"text": entry["text"]} | ({"example_title": entry["title"]} if "title" in entry else {})
            for entry in words.widget
        ]
    return ModelCardData(
        language=words.language,
        license=words.license,
        license_name=words.license_name,
        license_link=words.license_link,
        library_name="transformers",
        # by the tag the Hub would offer a pipeline that names wrong labels
        pipeline_tag=None if wrong_pipeline(facts.config) else task,
        tags=tags,
        base_model=words.base_model,
        datasets=[dataset["id"]] if "id" in dataset else None,
        metrics=[family for family in HUB_METRICS if family in families] or None,
        model_name=facts.name if results else None,
        eval_results=results or None,
        **optional,
    )


def eval_results(facts: CardFacts, *, task: str) -> list[EvalResult]:
    """One entry a test metric: its name, value, split, and the decision rule it was measured at.

    By training documents of a label only what the card's table shows. Metrics of another split stay out: thresholds were tuned
    on validation rows, and training rows were learned.
    """
    if facts.evaluation.get("split") != "test":
        return []
    dataset = facts.words.dataset
    source = str(facts.results.get("data", {}).get("source") or facts.name)
    kind = dataset.get("id") or dataset.get("name") or source
    if not _ID.fullmatch(kind):
        kind = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-") or "unknown"
    results = []
    for name, value in facts.metrics.items():
        parts = metric_name(name)
        if parts.bucket is not None and (
            name.removesuffix(f"@{parts.bucket}") not in BUCKET_METRICS or not is_measured(parts.bucket, facts.metrics)
        ):
            continue
        arguments: dict[str, Any] = {}
        if parts.average is not None:
            arguments["average"] = parts.average
        if parts.k is not None:
            arguments["k"] = parts.k
        if parts.bucket is not None:
            arguments["training_documents_of_a_label"] = parts.bucket
        if parts.depends_on_propensity:
            arguments |= dict(zip(("propensity_a", "propensity_b"), facts.propensity, strict=True))
        if parts.needs_threshold:
            arguments |= threshold_rule(facts)
        results.append(
            EvalResult(
                task_type=task,
                task_name="Multi-label classification",
                dataset_type=kind,
                dataset_name=dataset.get("name") or source,
                dataset_split=facts.evaluation["split"],
                dataset_revision=None,
                metric_type=parts.type,
                metric_name=name,
                metric_value=value,
                metric_args=arguments or None,
            )
        )
    return results


def threshold_rule(facts: CardFacts) -> dict[str, Any]:
    """How labels were chosen when the metrics were taken, in a few keys; of a model that decides on sets no threshold."""
    used = facts.evaluation.get("decision")
    sets = used.get("sets", "thresholds") if used else getattr(facts.config, "decision", "thresholds")
    if sets != "thresholds":
        search = facts.results.get("search")
        tuned = {"search_tuned_on": "validation", "search_tuned_for": search["metric"]} if search else {}
        return {"decision": sets, "min_labels": facts.config.min_labels, **tuned}
    thresholds = used["thresholds"] if used else facts.config.thresholds
    rule: dict[str, Any] = {"threshold": "one a label" if isinstance(thresholds, (list, dict)) else thresholds}
    rule["min_labels"] = used["min_labels"] if used else facts.config.min_labels
    chosen = facts.results.get("thresholds")
    if is_tuned(facts.results, facts.config) and (used is None or used["tuned"]):
        rule["threshold_tuned_on"] = "validation"
        rule["threshold_tuned_for"] = chosen["metric"]
    return rule
