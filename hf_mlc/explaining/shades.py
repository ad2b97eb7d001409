"""What a page and a picture of an explanation share: the pieces of the text, their shades and the words beside them.

A shade stands for a word's weight as a share of the heaviest word's; each is twice the share of the one before, since
attention and gradients fall off that fast. Orange speaks for the label, blue against it: a pair that every kind of
colour vision tells apart, all light enough for dark text (contrast with #1a1a1a at least 7 to 1).
"""

from __future__ import annotations

from typing import NamedTuple

from hf_mlc.explaining.explanation import Explanation


# A word gets the shade of the last edge that its share of the heaviest weight reaches; under the first one, none
EDGES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
FOR = ("#fff1dd", "#ffe2ba", "#ffd196", "#ffbe6b", "#ffa93a")
AGAINST = ("#e9f2fb", "#d3e5f7", "#bbd7f3", "#a1c8ee", "#84b8e8")
INK, FAINT_INK = "#1a1a1a", "#595959"

UNITS = {
    "attention": "share of the label's attention",
    "direct_logit_attribution": "part of the logit",
    "integrated_gradients": "part of the logit",
}


class Piece(NamedTuple):
    """A stretch of the text: `shade` is 0 for none, 1 to 5 for the label, -1 to -5 against it; `is_read` is false
    where the model never saw it."""

    text: str
    shade: int
    weight: float | None = None
    is_read: bool = True


def pieces_of(explanation: Explanation) -> list[Piece]:
    """The whole text in pieces, in order: joined they are the text."""
    words = explanation.words()
    heaviest = max((abs(word["weight"]) for word in words), default=0.0)
    words.sort(key=lambda word: word["start"])
    place = min([explanation.read_from, *(word["start"] for word in words[:1])])
    pieces = [Piece(explanation.text[:place], 0, is_read=False)]
    for word in words:
        if word["start"] > place:
            pieces.append(Piece(explanation.text[place : word["start"]], 0))
        pieces.append(Piece(word["text"], _shade(word["weight"], heaviest), word["weight"]))
        place = word["end"]
    read_to = max(place, explanation.read_to)
    pieces += [Piece(explanation.text[place:read_to], 0), Piece(explanation.text[read_to:], 0, is_read=False)]
    return [piece for piece in pieces if piece.text]


def colour_of(shade: int) -> str | None:
    """The background of a shade; `None` for no shade."""
    if shade == 0:
        return None
    return FOR[shade - 1] if shade > 0 else AGAINST[-shade - 1]


def heading(explanation: Explanation) -> str:
    """The label, with the text's id and the label's description where there are any."""
    document = "" if explanation.document is None else f"{explanation.document} · "
    description = "" if explanation.description is None else f": {explanation.description}"
    return f"{document}{explanation.label}{description}"


def facts(explanation: Explanation) -> str:
    """Score, threshold, method, how far integrated gradients are off and where the text was cut, in one line."""
    verdict = "predicted" if explanation.predicted else "not predicted"
    parts = [
        f"score {explanation.score:.3f} ({verdict}; threshold {explanation.threshold:.3f})",
        f"{explanation.method.replace('_', ' ')}: {UNITS[explanation.method]}",
    ]
    if explanation.convergence_delta is not None:
        parts.append(f"baseline {explanation.baseline_token}, convergence delta {explanation.convergence_delta:+.4f}")
    if explanation.read_to < len(explanation.text):
        parts.append(f"cut off at character {explanation.read_to:,}, from there on (in italics) not read")
    if explanation.read_from > 0:
        parts.append(f"cut off before character {explanation.read_from:,}, up to there (in italics) not read")
    return " · ".join(parts)


def legend(explanation: Explanation) -> list[tuple[int, str]]:
    """The shades that may occur, with what they stand for, weakest first; against the label only where signs occur."""
    percent = [f"{100 * edge:.0f} %" for edge in EDGES]
    names = [f"from {edge}" for edge in percent]
    found = [(place + 1, name) for place, name in enumerate(names)]
    if any(weight < 0 for weight in explanation.weights):
        found += [(-shade, name) for shade, name in found]
    return found


def _shade(weight: float, heaviest: float) -> int:
    if heaviest == 0:
        return 0
    number = sum(abs(weight) >= edge * heaviest for edge in EDGES)
    return number if weight > 0 else -number
