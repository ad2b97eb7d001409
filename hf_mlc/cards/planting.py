"""Sentences of the card about what a model was planted with before it was trained, and what that is worth knowing about."""

from __future__ import annotations

from hf_mlc.cards.facts import CardFacts


# by `planting_control`: what stands in the place of the statistics
CONTROLS = {
    "permuted_labels": "every label was planted with what was counted or fitted for another label",
    "idf": "every label was planted with the same ranking of tokens, the rarest first",
    "random_ranker": "the ranker that was planted has learned nothing",
}
NO_COMPARISON = "Results of the paper say nothing about this model, nor the other way round."


def planting_paragraph(facts: CardFacts) -> str | None:
    """What of PLANT's own idea is in the model, and from which rows; of another architecture, its linear machines; else `None`."""
    planting = getattr(facts.config, "planting", None)
    if planting is None:
        return _machines_of_sequences(facts) if facts.config.has_linear_readout else None
    if planting == "none":
        return (
            "It does **not** hold the paper's own idea: the attention is learned from a random start, not planted from "
            f"mutual information and learning to rank, and there is no inattention{_no_state(facts)}. {NO_COMPARISON}"
        )
    sentences = [_attention(facts) if planting == "attention" else _two_stages(facts), _counted(facts)]
    if planting == "attention":
        sentences += [_readout(facts), _window(facts)]
    sentences += [_control(facts), NO_COMPARISON]
    return " ".join(sentence for sentence in sentences if sentence)


def _attention(facts: CardFacts) -> str:
    """The planted parts."""
    config, parts = facts.config, []
    if config.mutual_information_attention:
        parts.append(
            f"the {config.mutual_information_topk} best places of the tokens with most mutual information with the label"
        )
    if config.ranked_attention:
        read = "that an AWD-LSTM expects next" if config.ranked_tokens == "expected" else "of the document"
        parts.append(
            f"the {config.ranked_topk} best of a ranker over the tokens {read}, learned offline and{_frozen(facts)} trained on"
        )
    beside = (
        "Beside a learned attention it has a planted one" if config.learned_attention else "Its attention is planted"
    )
    if not parts:
        return "Planting was asked for, and both planted attentions are switched off: the attention is learned alone."
    text = f"{beside}: {'; '.join(parts)}."
    if config.compat == "xcube":
        text += ' Its arithmetic is that of the authors\' code (`compat="xcube"`), for comparison with it.'
    return text


def _readout(facts: CardFacts) -> str:
    """The linear model beside the attentions, which the paper doesn't have."""
    config = facts.config
    if config.planted_readout is None:
        return ""
    number = config.readout_tokens or config.stored_tokens
    if config.readout_source == "linear_svm":
        text = f"Beside the attentions each label has {_machine(number)}"
    else:
        text = f"Beside the attentions each label reads the tf-idf weights of its {number:,} tokens directly, a linear model planted"
        text += " with their mutual information."
    text += " The paper has no such part."
    if config.shortlist_size is not None:
        text += f" Only the {config.shortlist_size:,} labels that it puts first attend to a document."
    return text


def _machine(most_tokens: int) -> str:
    text = f"a linear support vector machine over tf-idf weights, of {most_tokens:,} tokens at most; it was fitted before the rest was"
    return text + " trained, which met the training documents as machines answer them that were fitted without them."


def _machines_of_sequences(facts: CardFacts) -> str:
    """What every step of a decoder of label sequences adds."""
    text = f"Each step adds to the decoder's scores the log-odds of every label by {_machine(facts.config.readout_tokens)}"
    text += " The paper has no such part."
    return " ".join(sentence for sentence in (text, _counted(facts), _control(facts)) if sentence)


def _frozen(facts: CardFacts) -> str:
    return " not" if facts.results.get("recipe", {}).get("planting_freeze") else ""


def _two_stages(facts: CardFacts) -> str:
    """The form with a ranking stage."""
    found = facts.results.get("planting", {}).get("ranking") or {}
    text = "It is of the paper's two-stage form: encoder and label queries first learned to rank the documents' tokens by their "
    text += "mutual information with the labels, then to classify."
    before, after = found.get("ndcg@15_before"), found.get("ndcg@15_after")
    if before is not None and after is not None:
        text += f" On documents that the first stage was not trained on, its nDCG@15 went from {before:.3f} to {after:.3f}."
    return text


def _counted(facts: CardFacts) -> str:
    """Which rows the statistics are of."""
    fingerprint = facts.config.planting_fingerprint
    if not fingerprint:
        return "<!-- rows that the planted statistics are of: unknown -->"
    # else in an earlier training, whose weights this one began with
    was_planted_here = not facts.results.get("recipe", {}).get("model_name_or_path")
    trained_on = "it was trained on" if was_planted_here else "it was planted with, before this training,"
    noun = "machines are" if getattr(facts.config, "planting", None) is None else "statistics are"
    text = f"Its {noun} of the {fingerprint['num_documents']:,} documents that {trained_on} and of no others"
    if was_planted_here and facts.results.get("refit"):
        text += ", validation rows among them"
    return f"{text} (fingerprint `{fingerprint['rows']}`)."


def _window(facts: CardFacts) -> str:
    config = facts.config
    if config.window is None:
        return ""
    text = f"Labels read the last {config.window:,} tokens"
    return f"{text}, and the decoder hands on a state from what stands before them." if config.stateful else f"{text}."


def _control(facts: CardFacts) -> str:
    """Whether this is the real thing."""
    places = (facts.config.planting_fingerprint, facts.results.get("planting"))
    named = [place["control"] for place in places if place and "control" in place]
    control = next(iter(named), facts.results.get("recipe", {}).get("planting_control", "none"))
    if control == "none":
        return ""
    return f"**This model is a control, made to measure what planting is worth: {CONTROLS[control]} (`{control}`).**"


def _no_state(facts: CardFacts) -> str:
    return "" if facts.config.stateful else " and no stateful decoder"
