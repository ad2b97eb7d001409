"""Which labels look at which others, for the card of a model whose labels attend to each other: a table and its sentences."""

from __future__ import annotations

from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import escaped, table


SHOWN_PAIRS = 12
HEAD = (
    "this label",
    "looks at",
    "share",
    "others give",
    "when it was there",
    "by sharing events",
    "by the event before",
)


def attention_table(facts: CardFacts) -> str | None:
    """The strongest pairs; `None` where no label gives another more than others do."""
    pairs = facts.attention["pairs"][:SHOWN_PAIRS]
    if not pairs:
        return None
    shares = ("attention", "usual", "when_there", "together", "before")
    rows = [
        [escaped(pair["label"]), escaped(pair["looks_at"]), *(percent(pair[name]) for name in shares)]
        for pair in pairs
    ]
    return table(list(HEAD), rows, numbers=range(2, len(HEAD)))


def percent(share: float | None) -> str:
    """`2.5 %`; a dash for what nobody knows."""
    if share is None:
        return "–"
    if share < 1e-6:
        return "0 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def attention_caption(facts: CardFacts) -> str:
    """What picture and table show, and what they don't."""
    found = facts.attention
    shown = len(found["labels"])
    which = "all labels" if shown == found["num_labels"] else f"{shown} of {found['num_labels']:,} labels"
    layers = "the layer" if len(found["layers"]) == 1 else f"all {len(found['layers'])} layers"
    text = (
        f"How much of its attention a label gives to another before it is scored, through {layers} (attention rollout), as a mean over "
        f"heads and {found['num_histories']:,} histories. The picture shows {which}, in times what the other labels give; the table, of "
        "the pairs in which a label gives most beyond that, the share, what the others give, the share in histories that held the label "
        "looked at, and two shares that need no network: the same attention dealt out by which labels stood in one event, and by which stood in "
        "the event before."
    )
    along = [
        f"{value:+.2f} with {name}"
        for name, value in (
            ("sharing events", found["correlation"]["together"]),
            ("standing in the event before", found["correlation"]["before"]),
        )
        if value is not None
    ]
    if along:
        text += f" Over all pairs, what a label gives beyond the others correlates {' and '.join(along)}."
    return text + " Attention says where a label looks, not whether what it finds there counts for or against it."
