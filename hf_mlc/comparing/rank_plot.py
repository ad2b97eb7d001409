"""The picture of average ranks: every arm on a line from 1 on, and bars over arms that Nemenyi's test does not tell apart."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping

import numpy as np

from hf_mlc.cards.plots import DOTS_PER_INCH, OURS, THEIRS
from hf_mlc.comparing.ranks import critical_difference, groups_not_told_apart
from hf_mlc.errors import UserError


WIDTH, LINE_HEIGHT = 8.0, 0.26  # inches


def draw_ranks(ranks: Mapping[str, float], num_datasets: int, *, ours: Collection[str], title: str) -> bytes:
    """The PNG of it; the same ranks give the same bytes.

    Args:
        ranks (`dict[str, float]`): average ranks by the arms' names, two or more.
        num_datasets (`int`): over which they are.
        ours (`Collection[str]`): arms that are drawn in our colour.
        title (`str`): what was ranked by.

    Raises:
        `UserError`: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed", accepted="pip install hf_mlc[cards]") from error
    names = sorted(ranks, key=lambda name: (ranks[name], name))
    values = np.array([ranks[name] for name in names])
    difference = critical_difference(len(names), num_datasets)
    groups = groups_not_told_apart(values, difference)
    half = math.ceil(len(names) / 2)  # the better half is named on the left, the other on the right
    bars_end = 1 + 0.7 * len(groups)
    depth = bars_end + max(half, len(names) - half) + 0.5

    figure = Figure(figsize=(WIDTH, LINE_HEIGHT * (depth + 4)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    left, right = 1.0, max(float(len(names)), 1 + difference)
    room = 0.55 * (right - left)
    axes.set(xlim=(left - room, right + room), ylim=(depth, -3.2), title=title)
    axes.axis("off")
    axes.plot((left, right), (0, 0), color="black", linewidth=1.2)
    for rank in range(1, int(right) + 1):
        axes.plot((rank, rank), (0, -0.25), color="black", linewidth=1.2)
        axes.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=8)
    axes.plot((left, left + difference), (-2.2, -2.2), color="black", linewidth=1.2, marker="|")
    axes.text(left + difference + 0.1, -2.2, f"critical difference {difference:.2f}", va="center", fontsize=8)
    for place, (name, rank) in enumerate(zip(names, values, strict=True)):
        colour = OURS if name in ours else THEIRS
        on_left = place < half
        depth_of = bars_end + (place if on_left else len(names) - 1 - place) + 0.3
        end, side = (left - 0.03 * room, "right") if on_left else (right + 0.03 * room, "left")
        axes.plot((rank, rank, end), (0, depth_of, depth_of), color=colour, linewidth=1.0)
        shown = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        axes.text(end - 0.02 * room if on_left else end + 0.02 * room, depth_of, shown.replace("$", r"\$"),
                  ha=side, va="center", fontsize=8, color=colour)  # fmt: skip
    margin = 0.01 * (right - left)
    for number, (first, last) in enumerate(groups):
        height = 0.6 + 0.7 * number
        axes.plot((values[first] - margin, values[last] + margin), (height, height), color="0.25", linewidth=3.2,
                  solid_capstyle="butt")  # fmt: skip
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return image.getvalue()
