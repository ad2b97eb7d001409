"""What a model has learned of its labels' relations, for the card: the file that holds it, tables and sentences."""

from __future__ import annotations

from typing import Any

from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import escaped, table
from hf_mlc.explaining.label_relations import has_relations, label_relations
from hf_mlc.inference import LoadedModel, load_model
from hf_mlc.run_facts import weights_fingerprint


SHOWN_PAIRS, SHOWN_OFFSETS = 12, 16
LEAST_CHANGE = 0.005  # in logits: what is 0.00 in a table
# of `label_order`, in a sentence that says which order it is
ORDERS = {
    "frequency": "from the most to the least frequent label in training",
    "rare_first": "from the least to the most frequent label in training",
    "given": "as the labels are numbered",
    "alphabetical": "by the alphabet",
    "random": "drawn at random",
    "seriation": "that brings labels together that occur together in training",
}


def relations_of(loaded: LoadedModel, model_folder: str) -> dict[str, Any]:
    """What goes into label_relations.json."""
    return {"weights": weights_fingerprint(model_folder), **label_relations(loaded).to_dict()}


def fill_relations(facts: CardFacts) -> None:
    """Works the relations out where no file has them and the model's weights are at hand."""
    if not facts.relations and has_relations(facts.config) and weights_fingerprint(str(facts.model_folder)):
        facts.relations = relations_of(load_model(str(facts.model_folder), device="cpu"), str(facts.model_folder))


def relations_words(facts: CardFacts) -> str | None:
    """How the labels are related, and how a label set is found; `None` for an architecture without such relations."""
    config = facts.config
    if not has_relations(config):
        return None
    sizes = _listed([str(size) for size in sorted(set(config.effective_kernel_sizes))])
    if config.variant == "parallel":
        return (
            f"It is the parallel variant: guesses of all labels are refined together, {config.refinement_steps} times, by "
            f"convolutions over {sizes} labels, {_order_words(facts)}."
        )
    reading = " that read the document as well" if config.document_relations else ""
    text = (
        f"Each label's logit depends on the answers before it, through convolutions over {sizes} labels{reading}, "
        f"{_order_words(facts)}"
    )
    if config.dilations:
        text += (
            f", and further ones whose taps stand {_listed([str(value) for value in config.dilations])} labels apart"
        )
    text += "."
    if config.num_known_sets:
        text += (
            f" The model's file holds the {config.num_known_sets:,} label sets that training documents have, "
            "and of how many documents each is."
        )
    if config.num_forest_trees:
        text += (
            f" It also holds a random forest over them, grown on the training documents ({config.num_forest_nodes:,} nodes); the logarithm "
            f"of its votes counts {config.forest_weight:g} times as much as that of the chain's probability."
        )
    return text


def _order_words(facts: CardFacts) -> str:
    config = facts.config
    if config.num_orders == 1:
        return f"in one order of the labels, {ORDERS[config.label_order]}"
    first = ORDERS[config.label_order]
    return f"in {config.num_orders} orders of the labels (the first {first}, the others drawn at random), whose answers are averaged"


def relations_caption(facts: CardFacts) -> str:
    """What picture and table show, and what they don't."""
    found = facts.relations
    reads_document = found.get("reads_document", False)  # of a file that was written before there was such a thing
    drawn = (
        "each other label there as often as in training"
        if found["by_training_counts"]
        else "each other label there half of the time"
    )
    if found["variant"] == "parallel":
        text = (
            "How much a label's logit changes in the mean when another label is fixed as there and not as missing, by how many "
            f"places before it (or, with a minus, behind it) that one stands; {drawn}, and nothing known of the document."
        )
    else:
        how = "worked out exactly over all answers" if found["exact"] else "over 256 drawn answers"
        text = (
            "How much a label's logit changes in the mean when the label so many places before it is there and not missing: "
            f"{how}, {drawn}{', and nothing known of the document' if reads_document else ''}."
        )
    several = (
        " Means over the orders; a pair's distance is that in the first order that relates it."
        if found["num_orders"] > 1
        else ""
    )
    parts = found["parameters"]
    same = (
        "The relations differ from document to document"
        if reads_document
        else "The relations are the same for every document"
    )
    return (
        f"{text}{several} {same} and come on top of what the document says, so they are no "
        "correlations of the labels, and say nothing about causes. Of the model's parameters "
        f"{parts['relation']:,} are theirs, {parts['head']:,} those of the scores without relations, {parts['encoder']:,} the "
        "encoder's."
    )


def offset_table(facts: CardFacts) -> str:
    """The mean absolute change by offset, of each convolution and of all together, beside what its weights allow for."""
    found = facts.relations
    places = list(range(len(found["offsets"])))
    if len(places) > SHOWN_OFFSETS:
        places = sorted(sorted(places, key=lambda place: -found["change"][place])[:SHOWN_OFFSETS])
    head = ["places before", "all together"]
    head += [f"kernel {scale['kernel_size']}" for scale in found["scales"]]
    head += [f"kernel {scale['kernel_size']}, possible" for scale in found["scales"]]
    rows = [
        [
            str(found["offsets"][place]),
            f"{found['change'][place]:.2f}",
            *("–" if scale["change"] is None else f"{scale['change'][place]:.2f}" for scale in found["scales"]),
            *(f"{scale['possible'][place]:.2f}" for scale in found["scales"]),
        ]
        for place in places
    ]
    return table(head, rows, numbers=range(len(head)))


def pair_table(facts: CardFacts) -> str | None:
    """The pairs with the largest change; `None` where nothing changes anything."""
    pairs = [pair for pair in facts.relations["pairs"][:SHOWN_PAIRS] if pair["size"] >= LEAST_CHANGE]
    if not pairs:
        return None
    rows = [
        [
            escaped(pair["given"]),
            escaped(pair["label"]),
            str(pair["offset"]),
            f"{pair['change']:+.2f}",
            f"{pair['size']:.2f}",
        ]
        for pair in pairs
    ]
    head = ["if this label is there", "the logit of", "places behind it", "changes by", "absolutely"]
    return table(head, rows, numbers=(2, 3, 4))


def _listed(words: list[str]) -> str:
    """`2, 4 and 8`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
