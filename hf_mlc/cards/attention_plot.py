"""The heat map of attention between labels: through all layers above, of each layer by itself below."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from hf_mlc.cards.relation_plot import DOTS_PER_INCH, shortened
from hf_mlc.errors import UserError


CELL, LEAST_WIDTH = 0.17, 4.0  # inches: of a label's row, and of the map
MOST_TIMES = 8.0  # what others give; beyond, a colour says no more
MOST_LAYERS = 4  # drawn by themselves


def draw_attention(found: dict[str, Any]) -> bytes | None:
    """A PNG file of what `LabelAttentionMap.to_dict` gives; `None` where no two labels were tokens together.

    A cell's colour says how many times what the other labels give to the label above it is given by the label beside it: white is as
    much, and a label's attention to itself is grey, as is what nobody knows.

    Raises:
        `UserError`: matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed", accepted="pip install hf_mlc[cards]") from error
    whole_SS = _times_usual(found["rolled_out"])
    if not np.isfinite(whole_SS).any():
        return None
    layers = [_times_usual(layer) for layer in found["layers"][:MOST_LAYERS]]
    colours = colormaps["PuOr_r"].with_extremes(bad="0.85")  # a pair that every kind of colour vision tells apart
    style = {
        "cmap": colours,
        "norm": LogNorm(1 / MOST_TIMES, MOST_TIMES),
        "interpolation": "nearest",
        "aspect": "auto",
    }
    names = [shortened(name) for name in found["labels"]]
    side = max(LEAST_WIDTH, CELL * len(names))
    below = side / len(layers) if len(layers) > 1 else 0
    # beside the map the names and a scale, above it the names again
    figure = Figure(figsize=(side + 3.2, side + below + 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    if below:
        above, under = figure.subfigures(2, 1, height_ratios=(side + 2.0, below + 0.4))
    else:
        above, under = figure, None
    axes = above.subplots()
    image = axes.imshow(whole_SS, **style)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.tick_params(length=0, labelsize=7, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("label that looks", fontsize=8)
    axes.set_xlabel("label that is looked at, through all layers", fontsize=8)
    ticks = [1 / MOST_TIMES, 1 / 4, 1 / 2, 1, 2, 4, MOST_TIMES]
    bar = above.colorbar(image, ax=axes, shrink=0.5, ticks=ticks, format=lambda value, _: f"{value:g} ×")
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    bar.set_label("attention, in times what the other labels give", fontsize=8)
    if under is not None:
        for number, (part, layer_SS) in enumerate(
            zip(np.atleast_1d(under.subplots(1, len(layers))), layers, strict=True), start=1
        ):
            part.imshow(layer_SS, **style)
            part.set(xticks=[], yticks=[])
            part.spines[:].set_visible(False)
            part.set_title(f"layer {number}", fontsize=8, loc="left")
    drawn = io.BytesIO()
    # no version or date inside: the same map gives the same bytes
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return drawn.getvalue()


def _times_usual(shares: dict[str, list[Any]]) -> np.ndarray:
    """Shares as multiples of what the other labels give to the same one; NaN for a label itself."""
    shares_SS, usual_S = (np.array(shares[name], dtype=float) for name in ("attention", "usual"))
    shares_SS[np.eye(len(shares_SS), dtype=bool)] = np.nan
    return np.divide(shares_SS, usual_S, out=np.full_like(shares_SS, np.nan), where=usual_S > 0)
