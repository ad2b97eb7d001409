"""A card from its facts, through one Jinja template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import yaml

from hf_mlc.cards import attention_steps, label_attention, label_relations, making, sentences, tables
from hf_mlc.cards.cycles import cycles_section, scored_labels, wrong_pipeline
from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.markdown import escaped, fenced, prose
from hf_mlc.cards.merge import BEGIN, END, metadata_record
from hf_mlc.cards.metadata import card_data
from hf_mlc.cards.papers import PAPERS
from hf_mlc.cards.planting import planting_paragraph
from hf_mlc.cards.snippet import usage_snippet
from hf_mlc.errors import UserError
from hf_mlc.inputs import input_kind_of


TEMPLATE = "template.md.jinja"


def render_card(facts: CardFacts, *, printed: str | None, plots: Sequence[str] = ()) -> str:
    """The whole README.md.

    Args:
        facts (`CardFacts`): what is known.
        printed (`str`, *optional*): what the usage snippet printed; `None` where it was not run.
        plots (`list[str]`, *optional*): names of the PNG files beside the card.

    Raises:
        `UserError`: jinja2 is not installed.
    """
    jinja2 = _jinja2()
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    template = environment.from_string(files("hf_mlc.cards").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    metadata = card_data(facts).to_yaml()
    paper, words = PAPERS.get(facts.config.model_type), facts.words
    label_table, labels_left_out = tables.label_table(facts)
    return template.render(
        metadata=metadata,
        record=metadata_record(yaml.safe_load(metadata)),
        begin=BEGIN,
        end=END,
        title=escaped(words.pretty_name or facts.name),
        summary=prose(words.summary),
        model_class=(facts.config.architectures or [f"A model of type {facts.config.model_type}"])[0],
        num_labels=len(facts.label_space),
        version=facts.results.get("versions", {}).get("hf_mlc"),
        paper=paper,
        inside=planting_paragraph(facts) or label_relations.relations_words(facts),
        items=input_kind_of(facts.config).noun,
        answers=input_kind_of(facts.config).answers,
        citation=fenced(paper.bibtex, "bibtex") if paper else None,
        model_id=facts.model_id,
        on_hub="/" in facts.model_id,
        snippet=fenced(usage_snippet(facts), "python"),
        printed=None if printed is None else fenced(printed),
        evaluation=bool(facts.metrics),
        plots=list(plots),
        sequences=tables.sequence_table(facts),
        sequence_intro=sentences.sequence_intro(facts),
        steps_caption=attention_steps.steps_caption(facts) if facts.steps else None,
        shortlists=cycles_section(facts),
        scored_labels=scored_labels(facts.config),
        wrong_pipeline=wrong_pipeline(facts.config),
        **_relations(facts),
        attention=label_attention.attention_table(facts) if facts.attention else None,
        attention_caption=label_attention.attention_caption(facts) if facts.attention else None,
        label_intro=sentences.label_intro(facts, left_out=labels_left_out),
        labels=label_table,
        labels_left_out=labels_left_out,
        data=making.data_sentence(facts),
        arguments=tables.argument_table(facts),
        cost=making.cost_sentence(facts),
        commands=making.commands(facts),
        limits=sentences.limits(facts, _max_length(facts), part=_part_read(facts)),
        intended_use=prose(words.intended_use),
        risks=prose(words.risks),
        known_issues=prose(words.known_issues),
        **(_measured(facts, plots) if facts.metrics else {}),
    )


def check_installed() -> None:
    """`UserError` where what a card is made with is not installed; to be asked before long work that ends in a card."""
    _jinja2()


def _jinja2():
    try:
        import jinja2
    except ImportError as error:
        raise UserError("jinja2 is not installed", accepted="pip install hf_mlc[cards]") from error
    return jinja2


def _measured(facts: CardFacts, plots: Sequence[str]) -> dict[str, object]:
    return {
        "measured_on": sentences.measured_on(facts),
        "rule": sentences.rule_sentence(facts),
        "results": tables.results_table(facts, headline=True),
        "other_results": tables.results_table(facts, headline=False),
        "propensity": sentences.propensity_sentence(facts),
        "comparison": sentences.comparison(facts),
        "buckets": tables.bucket_table(facts),
        "bucket_caption": sentences.bucket_caption(facts),
        "curve_caption": sentences.curve_caption(facts) if plots and facts.evaluation.get("curve") else None,
        "frequency_caption": sentences.frequency_caption(facts),
    }


def _relations(facts: CardFacts) -> dict[str, object]:
    pairs = label_relations.pair_table(facts) if facts.relations else None
    if pairs is None:
        return {"relations": None, "no_relations": bool(facts.relations)}
    return {
        "relations": pairs,
        "relations_caption": label_relations.relations_caption(facts),
        "relation_offsets": label_relations.offset_table(facts),
    }


def _part_read(facts: CardFacts) -> str:
    """Which of a long text's tokens the saved tokenizer keeps: "first" or "last"."""
    side = _saved(facts, "tokenizer_config.json").get("truncation_side")
    if side is None:  # where transformers looks next
        side = (_saved(facts, "tokenizer.json").get("truncation") or {}).get("direction", "right")
    return "last" if str(side).lower() == "left" else "first"


def _saved(facts: CardFacts, name: str) -> dict[str, Any]:
    """One of the saved tokenizer's files; empty where there is none that can be read."""
    try:
        content = json.loads((facts.model_folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _max_length(facts: CardFacts) -> int | None:
    """How many tokens of a text the saved tokenizer keeps."""
    length = _saved(facts, "tokenizer_config.json").get("model_max_length")
    # transformers writes an absurdly large number where there is no limit
    return length if isinstance(length, int) and length < 10**9 else None
