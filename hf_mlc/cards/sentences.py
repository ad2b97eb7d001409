"""Sentences of the card about what was measured, each worked out from the numbers."""

from __future__ import annotations

from typing import Any

from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import code, escaped
from hf_mlc.cards.metadata import threshold_rule
from hf_mlc.cards.metric_names import metric_name
from hf_mlc.cards.tables import BUCKET_METRICS, ahead, bucket_systems
from hf_mlc.inputs import input_kind_of
from hf_mlc.metrics.buckets import BUCKETS, is_measured


def measured_on(facts: CardFacts) -> str:
    """Which rows, and how many."""
    evaluation = facts.evaluation
    documents = f"{evaluation['documents']:,} documents" if evaluation.get("documents") else "documents"
    text = f"Measured on the {escaped(evaluation['split'])} split, {documents}"
    missed = evaluation.get("unknown_labels_skipped")
    if missed:
        text += f" ({missed:,} labels that the model doesn't know were skipped)"
    text += "."
    if evaluation["split"] != "test":
        text += " **These are no test rows: training or tuning has seen them, and the numbers are too good.**"
    return text


def rule_sentence(facts: CardFacts) -> str:
    """How labels are chosen from scores."""
    rule, used = threshold_rule(facts), facts.evaluation.get("decision")
    if "decision" in rule:
        return _sets_sentence(facts, rule)
    if isinstance(rule["threshold"], str):
        text = "A label is predicted where its score reaches its own threshold"
    else:
        text = f"A label is predicted where its score reaches {rule['threshold']:.3f}"
    if rule["min_labels"]:
        text += f", and a document gets at least {counted(rule['min_labels'], 'label')}"
    if "threshold_tuned_on" in rule:
        chosen = facts.results["thresholds"]
        text += f"; tuned for {code(chosen['metric'])} on {chosen['num_documents']:,} validation documents"
        if facts.results.get("refit"):
            text += " with the scores of a first model, before this one was trained on them as well"
    elif used and not used["tuned"]:
        text += "; a threshold given by hand, not the tuned one"
    return text + "."


def _sets_sentence(facts: CardFacts, rule: dict[str, Any]) -> str:
    """How a model decides on sets."""
    text = (
        _chain_words(facts.config) if hasattr(facts.config, "decoding") else _SETS.get(rule["decision"], _AS_A_WHOLE)
    )
    search, smallest = facts.results.get("search"), facts.results.get("smallest_set")
    if search and len({one.get("min_labels") for one in search.get("tried", ())}) > 1:
        smallest = search  # chosen together with the end
    if smallest and smallest["min_labels"] != rule["min_labels"]:  # another number was given since
        smallest = None
    if smallest:
        may = "must not" if rule["min_labels"] else "may"
        text += f"; the set {may} be empty, chosen for {code(smallest['metric'])} on {smallest['num_documents']:,} validation documents"
    elif rule["min_labels"]:
        text += f", of at least {counted(rule['min_labels'], 'label')}"
    if search:
        text += (
            f"; {search['end_bias']:g} is taken off the logit of ending, tuned for {code(search['metric'])} on "
            f"{search['num_documents']:,} validation documents"
        )
    if (search or smallest) and facts.results.get("refit"):
        text += " with a first model, before this one was trained on them as well"
    return text + "."


# what a document gets, by the decision rule of a model of label sequences
_SETS = {
    "sequence": "A document gets the label set that the search found most probable, all the orders of its labels together",
    "expected_f1": "A document gets that of the label sets found by the search whose expected F1 is highest",
    # of an ensemble of models of label relations, which has no decoding of its own
    "sets": "A document gets the label set that all members together find most probable, among those that each of them names",
}
_AS_A_WHOLE = "A document gets the label set that the model chooses as a whole"
# by `MsdnConfig.decoding`
_DECODING = {
    "greedy": "the label set that is found label by label, each decided given the answers before it",
    "viterbi": "the most probable of all label sets, found exactly by the Viterbi algorithm",
    "beam": "the most probable label set that a beam search found",
    "sample": "the most probable of the label sets that were drawn from the model",
}


def _chain_words(config: Any) -> str:
    """How a model of label relations decides on sets."""
    decoding = config.decoding
    if config.variant == "parallel":
        if config.label_mask_rate == 1:
            return "A document gets every label that is likelier than not after the last refinement"
        text = (
            "the label set that is found by fixing labels one after another, those first that the model is surest of"
        )
    elif config.known_sets == "restrict":
        text = "of the label sets of training documents the " + (
            "one whose expected F1 is highest" if config.decision == "expected_f1" else "most probable one"
        )
        if config.has_forest:
            text += f", by the model and a random forest of {config.num_forest_trees} trees over these sets together"
    elif config.decision == "expected_f1":
        text = "the label set whose expected F1 is highest, by label sets drawn from the model"
    elif decoding == "viterbi" and not config.is_exact:
        text = _DECODING["beam"]
    else:
        text = _DECODING[decoding]
    if config.known_sets == "favour":
        text += "; label sets of training documents are favoured"
    return f"A document gets {text}"


def propensity_sentence(facts: CardFacts) -> str | None:
    """The constants by which `psp@k` weighs labels; `None` where it was not measured."""
    if not any(metric_name(name).depends_on_propensity for name in facts.metrics):
        return None
    a, b = facts.propensity
    text = f"`psp@k` weighs labels by inverse propensities with A = {a:g} and B = {b:g}"
    return f"{text}; with other constants it is another measure."


def comparison(facts: CardFacts) -> str | None:
    """Who is ahead, counted."""
    if not facts.baseline_metrics:
        return None
    found, system = ahead(facts), escaped(facts.baseline["system"])
    total = sum(map(len, found.values()))
    if not total:
        return None
    parts = []
    if found["baseline"]:
        names = ", ".join(map(code, found["baseline"]))
        all_of_them = "all" if len(found["baseline"]) == total else len(found["baseline"])
        parts.append(f"**The baseline ({system}) is ahead on {all_of_them} of these {total} measures**: {names}.")
    else:
        parts.append(f"The baseline ({system}) is ahead on none of these {total} measures.")
    if found["model"] and found["baseline"]:
        parts.append(f"This model is ahead on {len(found['model'])}.")
    if found["equal"]:
        parts.append(f"Equal: {', '.join(map(code, found['equal']))}.")
    refit = facts.results.get("refit")
    rows = (
        "The same test rows for both; this model was trained on the validation rows as well"
        if refit
        else "The same rows for both"
    )
    seeds = {facts.results.get("seed"), facts.baseline.get("seed")} - {None}
    runs = f", one run each (seed {' and '.join(map(str, sorted(seeds)))})" if seeds else ""
    parts.append(f"{rows}{runs}.")
    return " ".join(parts)


def curve_caption(facts: CardFacts) -> str:
    """What the precision-recall plot shows."""
    curve = facts.evaluation["curve"]
    text = (
        f"One threshold for all labels, moved from high to low: {len(curve['threshold'])} points of the curve, each exact. "
        "The dot is the tuned decision rule"
    )
    rule = threshold_rule(facts)
    if "decision" in rule:
        text = text.replace("The dot is the tuned decision rule", "The dot is the model's own choice of sets")
        return f"{text}; since it decides on sets as a whole, it need not lie on the curve."
    beside = [
        *(["every label has a threshold of its own"] if isinstance(rule["threshold"], str) else []),
        *([f"a document gets at least {counted(rule['min_labels'], 'label')}"] if rule["min_labels"] else []),
    ]
    text += f"; since {' and '.join(beside)}, it need not lie on the curve." if beside else "."
    if facts.baseline_metrics and not facts.baseline.get("curve"):
        text += " Of the baseline only the dot is known."
    return text


def bucket_caption(facts: CardFacts) -> str:
    """How to read the table by training documents."""
    both = "This model / the baseline. " if "baseline" in bucket_systems(facts) else ""
    text = f"{both}`f1_macro_present` is the mean over the labels with a {facts.evaluation['split']} document."
    behind = []
    for bucket in BUCKETS:
        found = ahead(facts, [f"{base}@{bucket}" for base in BUCKET_METRICS])
        if len(found["baseline"]) > len(found["model"]):
            behind.append(f"{escaped(bucket)} ({len(found['baseline'])} of {sum(map(len, found.values()))} measures)")
    if facts.baseline_metrics and not both and facts.results.get("refit"):
        text += " The baseline counts training rows alone, so its buckets hold other labels and are not shown."
    if behind:
        text += f" **The baseline is ahead for labels with these numbers of training documents: {', '.join(behind)}.**"
    return text


def frequency_caption(facts: CardFacts) -> str:
    """What the plot by training documents shows."""
    split = facts.evaluation["split"]
    text = f"Lines: mean F1 of the labels in a bucket that have a {split} document (`f1_macro_present`)."
    measured = facts.evaluation.get("labels")
    if measured:
        text += f" Dots: single labels with a {split} document"
        listed, num_labels = len(measured["name"]), len(facts.label_space)
        text += f", of the {listed:,} with most training documents." if listed < num_labels else "."
    return text


def sequence_intro(facts: CardFacts) -> str | None:
    """What the sequences are compared with, and over how many documents."""
    measured = facts.evaluation.get("sequences")
    if not measured:
        return None
    known = measured["facts"]
    text = (
        "The model writes the labels of a document one after another. "
        f"Reference order: {escaped(known['reference_order'])}."
    )
    if "kendall_tau_b" in measured["metrics"]:
        text += f" {counted(known['with_two_common_labels'], 'document')} of {known['documents']:,} have the two given true "
        text += "labels that an order needs."
    if "deletion_labels" in known:
        text += (
            f" Deletion: {counted(known['deletion_labels'], 'label')} of {known['deletion_documents']:,} documents."
        )
    return text


def label_intro(facts: CardFacts, *, left_out: int) -> str:
    """How many labels there are, and how often they were seen."""
    space = facts.label_space
    text = f"{len(space):,} labels"
    if space.counts is None:
        return text + ".\n\n<!-- training documents of the labels: unknown -->"
    if space.num_documents:
        mean = space.counts.sum() / space.num_documents
        text += f", {mean:.2f} a document on average over {space.num_documents:,} training documents"
        if facts.results.get("refit"):
            text += " (validation rows among them)"
    rare = int((space.counts <= 5).sum())
    text += f"; {rare:,} of them have 5 training documents or fewer."
    if left_out:
        text += f" The table has the {len(space) - left_out:,} with most training documents."
    if not facts.words.show_examples:
        text += f" {input_kind_of(facts.config).noun.capitalize()} of the data set are not shown."
    elif facts.examples:
        text += " The examples are extracts of training documents."
    return text


def limits(facts: CardFacts, max_length: int | None, *, part: str = "first") -> str:
    """What follows from how the model was made.

    Args:
        facts (`CardFacts`): of the model.
        max_length (`int`, *optional*): tokens of a text that are read.
        part (`str`, *optional*, defaults to `"first"`): which of them these are, the `"first"` or the `"last"`.
    """
    lines, counts = [], facts.label_space.counts
    lines.append(f"It knows its {len(facts.label_space):,} labels and no others.")
    if max_length:
        lines.append(f"Of a text it reads the {part} {max_length:,} tokens.")
    if counts is not None:
        never, rare = int((counts == 0).sum()), int(((counts > 0) & (counts <= 5)).sum())
        if never:
            lines.append(f"{counted(never, 'label')} without a training document.")
        if rare:
            share = facts.metrics.get("recall_micro@1-5") if is_measured("1-5", facts.metrics) else None
            found = "" if share is None else f"; it finds {share:.0%} of their {facts.evaluation['split']} documents"
            lines.append(f"{counted(rare, 'label')} with 1 to 5 training documents{found}.")
    behind = ahead(facts)["baseline"]
    if behind:
        system = escaped(facts.baseline["system"])
        lines.append(f"{system} is better by {', '.join(map(code, behind))}; see the table above.")
    if facts.results.get("seed") is not None:
        lines.append("The numbers are of one run; other seeds give others.")
    if facts.words.language is not None:
        languages = facts.words.language if isinstance(facts.words.language, list) else [facts.words.language]
        lines.append(f"Trained on texts in: {', '.join(map(code, languages))}.")
    return "\n".join(f"- {line}" for line in lines)


def counted(number: int, what: str) -> str:
    """`1 label`, `2 labels`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
