"""The card of a model with shortlists: what these hold, what each phase took, the choice of beta, the tables' sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.utils import SAFE_WEIGHTS_NAME

from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import code, table
from hf_mlc.cards.metric_names import metric_name
from hf_mlc.inputs import input_kind_of


LAST = "last"  # the cycle after the last epoch, which makes the index and nothing else
# by their names in results.json
PHASES = {
    "encode": "documents encoded",
    "labels": "label embeddings",
    "shortlists": "shortlists",
    "classifier": "classifier",
}
# of a tensor's name, its first part; what isn't among them is the encoder's
TABLES = {
    "classifier": "classifier: a row for each label",
    "classifier_bias": "classifier: a row for each label",
    "index_vectors": "index: a vector for each label",
    "trained_labels": "index: a vector for each label",
    "proxy": "what label embeddings were made by; prediction has no use for it",
}
_ENCODER = "encoder"


def scored_labels(config: Any) -> str:
    """Which labels the scores are of that a model itself gives."""
    return "the labels that `candidate_ids` of its output names" if gives_shortlists(config) else "all labels"


def gives_shortlists(config: Any) -> bool:
    """Whether a model's logits have a column a place in the document's shortlist, in place of a column a label."""
    return getattr(config, "scoring", None) == "shortlist"


def wrong_pipeline(config: Any) -> str | None:
    """That transformers' own pipeline of texts names wrong labels; `None` of a model of which it names the right ones."""
    if not gives_shortlists(config) or input_kind_of(config).hub_task != "text-classification":
        return None
    return (
        'transformers\' own `pipeline("text-classification")` is not for it: that takes column i of the scores for label i, '
        "and gives them the names of other labels."
    )


def cycles_section(facts: CardFacts) -> dict[str, str | None] | None:
    """The section's parts as Markdown, by the template's names for them; `None` for a model without shortlists."""
    if not hasattr(facts.config, "cycle_epochs"):
        return None
    return {
        "recall": _recall(facts),
        "costs": _cost_table(facts),
        "processor_time": _processor_time(facts),
        "beta": _beta(facts),
        "betas": _beta_table(facts.results.get("beta", {}).get("tried", [])),
        "sizes": _size_table(facts),
    }


def _recall(facts: CardFacts) -> str:
    if facts.config.scoring == "all":
        return "Every label is scored; shortlists were made for training alone."
    text = f"A document is scored against the {_list_size(facts):,} labels nearest to it, and can be given no other."
    found = _recall_of(facts, facts.results["cycles"][-1], "validation") if facts.results.get("cycles") else None
    if found is None:
        return f"{text} <!-- recall of the shortlists: unknown -->"
    held = f"The lists hold {found:.1%} of the labels of validation documents, and no ranking can find more"
    return f"{text} {held}{_of_first(facts)}."


def _of_first(facts: CardFacts) -> str:
    """Whose lists they are, where the model was trained twice."""
    if not facts.results.get("refit"):
        return ""
    return " (those of the first training, before the validation rows were trained on)"


def _list_size(facts: CardFacts) -> int:
    """How many labels a list has: no more than there are with training rows, or found by features of their own."""
    counts = facts.label_space.counts
    trained = len(facts.label_space) if counts is None else max(1, int((counts > 0).sum()))
    cycles = facts.results.get("cycles") or [{}]
    return min(facts.config.shortlist_size, trained + cycles[-1].get("labels", {}).get("unseen_labels", 0))


def _recall_of(facts: CardFacts, cycle: dict[str, Any], phase: str) -> float | None:
    """That of the lists in a phase of a cycle: `shortlists` of training rows, `validation` of the others."""
    return cycle.get(phase, {}).get(f"recall@{_list_size(facts)}")


def _cost_table(facts: CardFacts) -> str | None:
    """A row a cycle: its epochs, what its lists hold, seconds of each phase."""
    cycles = facts.results.get("cycles")
    if not cycles:
        return None
    head = ["cycle", "epochs", "recall, training", "recall, validation", *(f"{phase}, s" for phase in PHASES.values())]
    rows = []
    for number, cycle in enumerate(cycles, start=1):
        recalls = tuple(_recall_of(facts, cycle, phase) for phase in ("shortlists", "validation"))
        rows.append(
            [
                "after the last epoch" if cycle["cycle"] == LAST else str(number),
                str(cycle.get("classifier", {}).get("epochs", "–")),
                *("–" if recall is None else f"{recall:.3f}" for recall in recalls),
                *(f"{cycle[phase]['seconds']:.1f}" if phase in cycle else "–" for phase in PHASES),
            ]
        )
    return table(head, rows, numbers=range(1, len(head)))


def _processor_time(facts: CardFacts) -> str | None:
    cycles = facts.results.get("cycles")
    if not cycles:
        return None
    sums = {
        name: sum(cycle[phase]["cpu_seconds"] for cycle in cycles if phase in cycle) for phase, name in PHASES.items()
    }
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sums.items())
    return f"Processor time of all cycles together{_of_first(facts)}: {parts}."


def _beta(facts: CardFacts) -> str:
    text = f"Of a label's score {facts.config.beta:g} is the classifier's (`beta`), the rest its nearness in the index"
    chosen = facts.results.get("beta")
    if not chosen:
        return text + "; not tuned."
    return f"{text}; chosen for {code(chosen['metric'])} on {chosen['num_documents']:,} validation documents."


def _beta_table(tried: list[dict[str, float]]) -> str | None:
    """What the rankings came to on validation rows by each beta that was tried."""
    if not tried:
        return None
    names = [name for name in tried[0] if name != "beta" and metric_name(name).k is not None]
    names = [name for family in ("p", "psp", "ndcg") for name in names if name.partition("@")[0] == family]
    rows = [[f"{one['beta']:g}", *(f"{one[name]:.{metric_name(name).digits()}f}" for name in names)] for one in tried]
    return table(["beta", *map(code, names)], rows, numbers=range(1 + len(names)))


def _size_table(facts: CardFacts) -> str | None:
    """What of the saved weights is which table's, in bytes; `None` where they lie in no file here."""
    file = facts.model_folder / SAFE_WEIGHTS_NAME
    if not file.is_file():
        return None
    sizes: dict[str, int] = {}
    for name, size in _tensor_bytes(file).items():
        part = TABLES.get(name.partition(".")[0], _ENCODER)
        sizes[part] = sizes.get(part, 0) + size
    order = [_ENCODER, *dict.fromkeys(TABLES.values())]
    rows = [[part, f"{sizes[part]:,}"] for part in order if part in sizes]
    return table(["part", "bytes"], [*rows, ["all", f"{sum(sizes.values()):,}"]], numbers=[1])


def _tensor_bytes(file: Path) -> dict[str, int]:
    """Bytes of each tensor, as the file's header says: a length of eight bytes, and so much JSON."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    places = {name: tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__"}
    return {name: end - start for name, (start, end) in places.items()}
