"""The picture of label relations: by offset and kernel above, the strongest pairs of labels below."""

from __future__ import annotations

import io
from typing import Any

from hf_mlc.errors import UserError


# the first and the second of the colour-blind safe palette of Okabe & Ito (2008) that are far apart in lightness too
MORE, LESS = "#0072B2", "#D55E00"
WIDTH, DOTS_PER_INCH = 6.4, 150
MOST_OFFSETS, MOST_PAIRS, MOST_LETTERS = 24, 12, 34
LEAST_CHANGE = 0.005


def draw_relations(relations: dict[str, Any]) -> bytes | None:
    """A PNG file of what `LabelRelations.to_dict` gives; `None` where no label changes anything.

    Raises:
        `UserError`: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed", accepted="pip install hf_mlc[cards]") from error
    pairs = [pair for pair in relations["pairs"][:MOST_PAIRS] if pair["size"] >= LEAST_CHANGE]
    if not pairs:
        return None
    rows = [(f"kernel {scale['kernel_size']}", scale["change"]) for scale in relations["scales"] if scale["change"]]
    rows.append(("all together", relations["change"]))
    above, below = 0.9 + 0.34 * len(rows), 0.8 + 0.27 * len(pairs)
    figure = Figure(figsize=(WIDTH, above + below), layout="constrained")
    FigureCanvasAgg(figure)
    by_offset, by_pair = figure.subplots(2, 1, height_ratios=(above, below))
    _by_offset(by_offset, rows, relations["offsets"])
    _by_pair(by_pair, pairs)
    image = io.BytesIO()
    # no version or date inside: the same relations give the same bytes
    figure.savefig(image, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return image.getvalue()


def _by_offset(axes: Any, rows: list[tuple[str, list[float]]], offsets: list[int]) -> None:
    places = list(range(len(offsets)))
    if len(places) > MOST_OFFSETS:
        together = rows[-1][1]
        places = sorted(sorted(places, key=lambda place: -together[place])[:MOST_OFFSETS])
    shown = [[changes[place] for place in places] for _, changes in rows]
    highest = max(map(max, shown))
    axes.imshow(shown, aspect="auto", cmap="Blues", vmin=0.0, vmax=highest, interpolation="nearest")
    size = 8 if len(places) <= 12 else 5
    for row, values in enumerate(shown):
        for column, value in enumerate(values):
            colour = "white" if value > 0.6 * highest else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=size, color=colour)
    axes.axhline(len(rows) - 1.5, color="white", linewidth=3)
    axes.set_xticks(range(len(places)), [str(offsets[place]) for place in places])
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("places from a label to the one whose logit changes", fontsize=9)
    axes.set_title("mean absolute change of a logit", fontsize=10, loc="left")


def _by_pair(axes: Any, pairs: list[dict[str, Any]]) -> None:
    changes = [pair["change"] for pair in pairs]
    sizes = [pair["size"] if pair["change"] >= 0 else -pair["size"] for pair in pairs]
    names = [f"{shortened(pair['given'])} → {shortened(pair['label'])}  ({pair['offset']})" for pair in pairs]
    colours = [MORE if change >= 0 else LESS for change in changes]
    axes.barh(range(len(pairs)), sizes, color=colours, height=0.7, alpha=0.3)
    axes.barh(range(len(pairs)), changes, color=colours, height=0.7)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("mean change of the second label's logit (pale: in absolute value)", fontsize=9)
    axes.set_title("strongest pairs (places apart)", fontsize=10, loc="left")


def shortened(name: str) -> str:
    """A label's name with room for it beside the plot, in which matplotlib sees no formula."""
    name = " ".join(name.split())
    return (name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…").replace("$", r"\$")
