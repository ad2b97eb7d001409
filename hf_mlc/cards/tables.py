"""The card's tables, as Markdown; every cell is a value of a file or worked out from some."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import code, escaped, table
from hf_mlc.cards.metric_names import metric_name
from hf_mlc.commands.config_arguments import config_names
from hf_mlc.commands.train_steps import ARGUMENTS
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics.buckets import BUCKETS, is_measured
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig


MOST_LABELS = 100  # rows of the label table; the others are counted below it
HEADLINE = (
    "f1_micro", "f1_macro", "f1_macro_present", "f1_samples", "precision_micro", "recall_micro", "subset_accuracy",
    "hamming_loss", "auc_macro", "ap_micro", "ap_macro", "p@1", "r@5", "ndcg@5",
)  # fmt: skip
BUCKET_METRICS = ("f1_micro", "f1_macro_present", "precision_micro", "recall_micro", "r@5")
# fields of a configuration that training fills in
_FOUND_IN_TRAINING = {
    "thresholds", "min_labels", "max_position_embeddings", "text_config", "backbone_config", "vision_config",
    "label_ranks", "label_parents", "label_exclusions", "input_size", "numeric_size", "num_known_sets", "beta",
    "num_forest_trees", "num_forest_nodes", "num_forest_entries",
}  # fmt: skip
# of label sequences; `hf_mlc.metrics.sequences` defines them
_SEQUENCE_METRICS = {
    "sequence_cardinality": "labels that the model gives a document, on average",
    "true_cardinality": "labels that a document has",
    "unseen_sets": "share of the documents given a label set that no training document has",
    "unseen_sets_true": "share of the documents that have such a set",
    "coverage": "share of the true labels that are given; the measures of order are about these",
    "position_deviation": "places between where a label stands and where it is due; lower is better",
    "position_deviation_normalised": "the same by the most that it could be",
    "kendall_tau_b": "agreement of the order with the reference: 1 the same, -1 the reverse",
    "exact_order": "share of the documents with two given true labels or more in which these are in order",
    "exact_sequence": "share of the documents whose labels and their order are exactly right",
    "deletion_drop@1": "score that a given label loses with the word that its step looked at most",
    "random_drop@1": "score that it loses with a word drawn at random",
    "deletion_drop@5": "score that it loses with the five words that its step looked at most",
    "random_drop@5": "score that it loses with five words drawn at random",
}
# said elsewhere in the card
_NOT_SHOWN = {
    "model_type",
    "dataset_name",
    "train_file",
    "validation_file",
    "test_file",
    "hub_model_id",
    "push_to_hub",
}


def results_table(facts: CardFacts, *, headline: bool) -> str | None:
    """Metrics over all labels, the model's beside the baseline's, the better one bold.

    Args:
        facts (`CardFacts`): of the model.
        headline (`bool`): the usual ones, or all the others.
    """
    over_all = [name for name in facts.metrics if metric_name(name).bucket is None]
    names = [name for name in HEADLINE if name in over_all] if headline else [n for n in over_all if n not in HEADLINE]
    if not names:
        return None
    head = [
        "metric",
        "this model",
        *([escaped(facts.baseline["system"])] if facts.baseline_metrics else []),
        "what it says",
    ]
    rows = [
        [code(name), *(_number(facts, name, system) for system in systems(facts)), metric_name(name).meaning]
        for name in names
    ]
    return table(head, rows, numbers=range(1, len(head) - 1))


def bucket_table(facts: CardFacts) -> str | None:
    """The same by how many training documents a label has; of labels without a measured document there are dashes."""
    counts = facts.label_space.counts
    if counts is None:
        return None
    shown = [(f"{base}@{bucket}", bucket) for bucket in BUCKETS for base in BUCKET_METRICS]
    shown = [(name, bucket) for name, bucket in shown if name in facts.metrics]
    if not shown:
        return None
    head = ["training documents", "labels", *(code(base) for base in BUCKET_METRICS)]
    rows, shown_systems = [], bucket_systems(facts)
    for bucket, (least, most) in BUCKETS.items():
        inside = int(((counts >= least) & (counts <= most)).sum())
        if not inside or not any(found == bucket for _, found in shown):
            continue
        cells = ["–"] * len(BUCKET_METRICS)
        if is_measured(bucket, facts.metrics):
            cells = [
                " / ".join(_number(facts, f"{base}@{bucket}", system) for system in shown_systems)
                for base in BUCKET_METRICS
            ]
        rows.append([escaped(bucket), f"{inside:,}", *cells])
    return table(head, rows, numbers=range(1, len(head)))


def sequence_table(facts: CardFacts) -> str | None:
    """What was measured of label sequences; `None` for a model that writes none."""
    measured = (facts.evaluation.get("sequences") or {}).get("metrics", {})
    rows = [
        [code(name), f"{measured[name]:.3f}", meaning]
        for name, meaning in _SEQUENCE_METRICS.items()
        if name in measured
    ]
    by_step = [name for name in measured if name.startswith("attention_entropy_share@")]
    rows += [[code(name), f"{measured[name]:.3f}", _entropy_meaning(name.partition("@")[2])] for name in by_step]
    return table(["measure", "this model", "what it says"], rows, numbers=[1]) if rows else None


def _entropy_meaning(step: str) -> str:
    which = "that ends the sequence" if step == "end" else f"that gives label {step}"
    return f"how evenly the step {which} looks at what it reads: 0 one place, 1 all alike"


def ahead(facts: CardFacts, names: Sequence[str] = HEADLINE) -> dict[str, list[str]]:
    """Which of these metrics the model, the baseline, or neither is better in, at the digits shown."""
    found: dict[str, list[str]] = {"model": [], "baseline": [], "equal": []}
    for name in names:
        if name in facts.metrics and name in facts.baseline_metrics:
            found[_better(facts, name)].append(name)
    return found


def label_table(facts: CardFacts) -> tuple[str, int]:
    """The labels with most training documents (in the label space's order where counts are unknown), each with what is
    known of it; and how many labels are left out."""
    space, counts = facts.label_space, facts.label_space.counts
    ids = listed_labels(space)
    measured = facts.evaluation.get("labels") or {}
    place = {name: row for row, name in enumerate(measured.get("name", []))}
    columns: list[tuple[str, dict[int, str]]] = [("label", {i: code(space.names[i]) for i in ids})]
    if space.descriptions is not None:
        columns.append(("meaning", {i: escaped(space.descriptions[i] or "") for i in ids}))
    if counts is not None:
        columns.append(("training documents", {i: f"{counts[i]:,}" for i in ids}))
    if place:
        rows = {i: place[space.names[i]] for i in ids if space.names[i] in place}
        split = facts.evaluation["split"]
        columns.append((f"{split} documents", {i: f"{measured['support'][row]:,}" for i, row in rows.items()}))
        # without a prediction there is no precision, and without a true document no recall
        for key, of in (("precision", "predicted"), ("recall", "support"), ("f1", "support")):
            cells = {i: f"{measured[key][row]:.2f}" if measured[of][row] else "–" for i, row in rows.items()}
            columns.append((key, cells))
    numbers = [number for number, (head, _) in enumerate(columns) if head not in ("label", "meaning")]
    if facts.examples:
        columns.append(("example", {i: escaped(facts.examples.get(space.names[i], "")) for i in ids}))
    rows = [[cells.get(i, "") for _, cells in columns] for i in ids]
    return table([head for head, _ in columns], rows, numbers=numbers), len(space) - len(ids)


def listed_labels(space: LabelSpace, most: int = MOST_LABELS) -> np.ndarray:
    """The ids of the labels that a card lists: those with most training documents, or, where these are unknown, the
    first ones."""
    if space.counts is None:
        return np.arange(min(most, len(space)))
    return np.argsort(-space.counts, kind="stable")[:most]


def argument_table(facts: CardFacts) -> str | None:
    """The run's arguments, and fields of the model's configuration, that differ from the defaults."""
    changed = changed_arguments(facts.results.get("recipe"), facts.config)
    if not changed:
        return None
    rows = [[code(name), code(_shown(value)), code(_shown(default))] for name, value, default in changed]
    return table(["argument", "value", "default"], rows)


def changed_arguments(recipe: dict[str, Any] | None, config: MultiLabelConfig) -> list[tuple[str, Any, Any]]:
    """(name, value, default) of every value that is not the default of the class it belongs to: of a recipe's arguments,
    and of the configuration, which also knows the defaults that were in force when the model was made."""
    of_config = {name: getattr(config, name) for name in config_names(type(config)) if name not in _FOUND_IN_TRAINING}
    values = {**(recipe or {}), **of_config}
    defaults = {}
    for owner in (type(config), *ARGUMENTS):
        for item in dataclasses.fields(owner):
            if item.default is not dataclasses.MISSING:
                defaults[item.name] = item.default
            elif item.default_factory is not dataclasses.MISSING:
                defaults[item.name] = item.default_factory()
    if "encoder" in of_config:
        # some defaults are the encoder's own, and no number in the class
        usual = type(config)(encoder=config.encoder)
        defaults |= {name: getattr(usual, name) for name in of_config if defaults.get(name) is None}
    return [
        (name, value, defaults.get(name))
        for name, value in values.items()
        if name not in _NOT_SHOWN and (name not in defaults or value != defaults[name])
    ]


def systems(facts: CardFacts) -> list[str]:
    """Whose numbers are shown: the model's, and the baseline's where there is one."""
    return ["model", "baseline"] if facts.baseline_metrics else ["model"]


def bucket_systems(facts: CardFacts) -> list[str]:
    """Whose numbers by training documents are shown: the baseline's too where its buckets hold the same labels."""
    return [
        system
        for system in systems(facts)
        if system == "model" or any(metric_name(name).bucket for name in facts.baseline_metrics)
    ]


def _number(facts: CardFacts, name: str, system: str) -> str:
    metrics = facts.metrics if system == "model" else facts.baseline_metrics
    if name not in metrics:
        return "–"
    text = f"{metrics[name]:.{metric_name(name).digits()}f}"
    both = name in facts.metrics and name in facts.baseline_metrics
    return f"**{text}**" if both and _better(facts, name) == system else text


def _better(facts: CardFacts, name: str) -> str:
    parts = metric_name(name)
    ours, theirs = (round(metrics[name], parts.digits()) for metrics in (facts.metrics, facts.baseline_metrics))
    if ours == theirs:
        return "equal"
    return "model" if (ours < theirs) == parts.lower_is_better else "baseline"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
