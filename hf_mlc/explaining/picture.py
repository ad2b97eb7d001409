"""Explanations as a picture: the same text, shades and legend as the page, for slides and model cards."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hf_mlc.errors import UserError
from hf_mlc.explaining.explanation import Explanation
from hf_mlc.explaining.shades import FAINT_INK, INK, Piece, colour_of, facts, heading, legend, pieces_of


DPI = 150
WIDTH, MARGIN = 1500, 45  # pixels
LINE = 31  # pixels from line to line of 10 point text
MAX_HEIGHT = 2**16 - 1  # pixels: what matplotlib can draw

Run = tuple[float, float, str, Piece]  # left and right edge in pixels, what stands there, and the piece it is of


def to_png(explanations: Sequence[Explanation]) -> bytes:
    """A PNG with each text shaded by what its words weigh for the label, long texts wrapped.

    Args:
        explanations (sequence of [`Explanation`]): from top to bottom.

    Raises:
        `UserError`: matplotlib is not installed; nothing to draw, or more than fits into a picture.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("matplotlib is not installed", accepted="pip install hf_mlc[explain]") from None
    if not explanations:
        raise UserError(
            "no label was predicted: nothing to draw", accepted="a label of your choice, or .html or .jsonl"
        )
    lines_of = [_lines(explanation) for explanation in explanations]
    wrapped = [(_wrapped(heading(e), bold=True), _wrapped(facts(e))) for e in explanations]
    heights = [
        (len(top[0]) + len(top[1]) + len(lines) + 1.4 + bool(_has_against(e))) * LINE + 2 * MARGIN
        for e, lines, top in zip(explanations, lines_of, wrapped, strict=True)
    ]
    height = sum(heights)
    if height > MAX_HEIGHT:
        raise UserError(
            f"a picture of {len(explanations)} explanations would be {height:,.0f} pixels tall",
            accepted=f"fewer labels or texts ({MAX_HEIGHT:,} pixels), or a file that ends in .html",
        )
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    pen = _Pen(figure, height)
    for explanation, lines, top, tall in zip(explanations, lines_of, wrapped, heights, strict=True):
        end = pen.y + tall
        pen.y += MARGIN
        for line in top[0]:
            pen.write(MARGIN, line, weight="bold")
            pen.y += LINE
        for line in top[1]:
            pen.write(MARGIN, line, color=FAINT_INK)
            pen.y += LINE
        pen.legend(explanation)
        for line in lines:
            for left, right, text, piece in line:
                pen.piece(left, right, text, piece)
            pen.y += LINE
        pen.y = end
        if explanation is not explanations[-1]:
            pen.rule()
    stream = io.BytesIO()
    canvas.print_png(stream)
    return stream.getvalue()


class _Pen:
    """Draws at `y` pixels under the top of the figure."""

    def __init__(self, figure: Any, height: float):
        self.figure, self.height, self.y = figure, height, 0.0

    def write(self, left: float, text: str, **style) -> None:
        self.figure.text(
            left / WIDTH,
            1 - (self.y + 0.72 * LINE) / self.height,
            text,
            va="baseline",
            fontsize=10,
            parse_math=False,  # a dollar sign is a dollar sign
            **{"color": INK, **style},
        )

    def piece(self, left: float, right: float, text: str, piece: Piece) -> None:
        if piece.shade:
            self.box(left - 2, right + 2, colour_of(piece.shade))
        if piece.shade < 0:
            self.dots(left, right)
        style = {} if piece.is_read else {"color": FAINT_INK, "style": "italic"}
        self.write(left, text, **style)

    def box(self, left: float, right: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        corner = (left / WIDTH, 1 - (self.y + 0.98 * LINE) / self.height)
        size = ((right - left) / WIDTH, 0.92 * LINE / self.height)
        self.figure.add_artist(Rectangle(corner, *size, facecolor=colour, edgecolor="none", zorder=0))

    def dots(self, left: float, right: float) -> None:
        self._line(left, right, 0.9, linestyle=":", color=INK, linewidth=1.2)

    def rule(self) -> None:
        self._line(MARGIN, WIDTH - MARGIN, 0, color="#bbbbbb", linewidth=1)

    def _line(self, left: float, right: float, down: float, **style) -> None:
        from matplotlib.lines import Line2D

        y = 1 - (self.y + down * LINE) / self.height
        self.figure.add_artist(Line2D([left / WIDTH, right / WIDTH], [y, y], **style))

    def legend(self, explanation: Explanation) -> None:
        for words, sign in (("of the heaviest word's weight, for the label:", 1), ("against it:", -1)):
            entries = [(shade, name) for shade, name in legend(explanation) if shade * sign > 0]
            if not entries:
                continue
            self.write(MARGIN, words, color=FAINT_INK)
            left = MARGIN + _width("of the heaviest word's weight, for the label:") + 16
            for shade, name in entries:
                right = left + _width(name)
                self.piece(left, right, name, Piece(name, shade))
                left = right + 22
            self.y += LINE
        self.y += 0.4 * LINE


def _has_against(explanation: Explanation) -> bool:
    return any(shade < 0 for shade, _ in legend(explanation))


def _lines(explanation: Explanation) -> list[list[Run]]:
    """The pieces of the text set in lines of the picture's width; a word too long for a line is broken."""
    lines: list[list[Run]] = [[]]
    left = float(MARGIN)
    for piece in pieces_of(explanation):
        for part in re.findall(r"\n|[^\S\n]+|\S+", piece.text):
            if part == "\n":
                lines.append([])
                left = float(MARGIN)
                continue
            if part.isspace():
                left += _width(" ") * len(part.expandtabs(4)) if lines[-1] else 0
                continue
            for chunk in _fitting(part, WIDTH - 2 * MARGIN):
                width = _width(chunk, italic=not piece.is_read)
                if left + width > WIDTH - MARGIN:
                    lines.append([])
                    left = float(MARGIN)
                lines[-1].append((left, left + width, chunk, piece))
                left += width
    return lines


def _wrapped(text: str, *, bold: bool = False) -> list[str]:
    """A line of text in as many as it needs."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _width(longer, bold) > WIDTH - 2 * MARGIN and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fitting(word: str, most: float) -> list[str]:
    """The word, or parts of it that fit into a line each."""
    parts = [word]
    while _width(parts[-1]) > most and len(parts[-1]) > 1:
        keep = max(1, int(len(parts[-1]) * most / _width(parts[-1])) - 1)
        parts[-1:] = [parts[-1][:keep], parts[-1][keep:]]
    return parts


@lru_cache(maxsize=20_000)
def _width(text: str, bold: bool = False, italic: bool = False) -> float:
    """Pixels that the text takes."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=10, weight="bold" if bold else "normal", style="italic" if italic else "normal")
    return RendererAgg(1, 1, DPI).get_text_width_height_descent(text, font, ismath=False)[0]
