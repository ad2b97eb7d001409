"""The card's plots, PNG files beside it: the precision-recall curve, scores by how often a label was trained on; of a model
that writes label sequences, where its steps looked in one document; of one that relates labels, or lets them look at each other,
which of them."""

from __future__ import annotations

import io
from typing import Any

from hf_mlc.cards.attention_plot import draw_attention
from hf_mlc.cards.facts import CardFacts
from hf_mlc.cards.relation_plot import draw_relations
from hf_mlc.errors import UserError
from hf_mlc.metrics.buckets import BUCKETS


CURVE_FILE, FREQUENCY_FILE = "precision_recall.png", "f1_by_frequency.png"
STEPS_FILE, RELATIONS_FILE, ATTENTION_FILE = "attention_by_step.png", "label_relations.png", "label_attention.png"
PLOTS = (CURVE_FILE, FREQUENCY_FILE, STEPS_FILE, RELATIONS_FILE, ATTENTION_FILE)
# the first and the second of the colour-blind safe palette of Okabe & Ito (2008) that are far apart in lightness too
OURS, THEIRS = "#0072B2", "#D55E00"
SIZE, DOTS_PER_INCH = (6.4, 4.2), 150
LEAST_SHARE = 0.05  # of a step's attention that is worth a number in the picture


def draw_plots(facts: CardFacts) -> dict[str, bytes]:
    """The plots that the measurements allow for, by the names of their files.

    Raises:
        `UserError`: matplotlib is not installed.
    """
    drawn = {}
    for name, draw in ((CURVE_FILE, _precision_recall), (FREQUENCY_FILE, _by_frequency), (STEPS_FILE, _by_step)):
        figure = draw(facts)
        if figure is not None:
            image = io.BytesIO()
            # no version or date inside: the same facts give the same bytes
            figure.savefig(image, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
            drawn[name] = image.getvalue()
    for name, of_labels, draw in (
        (RELATIONS_FILE, facts.relations, draw_relations),
        (ATTENTION_FILE, facts.attention, draw_attention),
    ):
        picture = draw(of_labels) if of_labels else None
        if picture is not None:
            drawn[name] = picture
    return drawn


def _axes() -> tuple[Any, Any]:
    """A figure with one plot, made without the state that pyplot keeps for a whole process."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed", accepted="pip install hf_mlc[cards]") from error
    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _precision_recall(facts: CardFacts) -> Any | None:
    ours, theirs = facts.evaluation.get("curve"), facts.baseline.get("curve")
    if not ours:
        return None
    figure, axes = _axes()
    systems = [(_plain(facts.name), OURS, "-", ours, facts.metrics)]
    if facts.baseline_metrics:
        systems.append((_plain(facts.baseline["system"]), THEIRS, "--", theirs, facts.baseline_metrics))
    for name, colour, line, curve, metrics in systems:
        if curve:
            axes.plot(curve["recall"], curve["precision"], line, color=colour, linewidth=1.8, label=name)
        axes.plot(
            metrics["recall_micro"],
            metrics["precision_micro"],
            "o",
            color=colour,
            markersize=9,
            markeredgecolor="white",
            markeredgewidth=1.2,
            clip_on=False,
            zorder=3,
            label=f"{name}, at its tuned thresholds",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall (micro)", ylabel="precision (micro)")
    _add_legend(figure)
    return figure


def _by_frequency(facts: CardFacts) -> Any | None:
    counts = facts.label_space.counts
    # labels that were never trained on have no place on a logarithmic axis; the card's table has them
    buckets = {name: reach for name, reach in BUCKETS.items() if reach[1] > 0}
    if counts is None or not any(f"f1_macro_present@{name}" in facts.metrics for name in buckets):
        return None
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = _axes()
    measured = facts.evaluation.get("labels") or {}
    dots = [
        (count, f1)
        for count, f1, support in zip(
            *(measured.get(key, []) for key in ("train_count", "f1", "support")), strict=True
        )
        if support and count
    ]
    if dots:
        style = {"s": 22, "color": OURS, "alpha": 0.4, "linewidths": 0}
        axes.scatter(*zip(*dots, strict=True), **style, label=f"{_plain(facts.name)}, one label")
    systems = [(f"{_plain(facts.name)}, mean of the labels in between", OURS, "-", facts.metrics)]
    if facts.baseline_metrics:
        systems.append((f"{_plain(facts.baseline['system'])}, likewise", THEIRS, "--", facts.baseline_metrics))
    for name, colour, line, metrics in systems:
        for bucket, (least, most) in buckets.items():
            value = metrics.get(f"f1_macro_present@{bucket}")
            if value is None:
                continue
            left, right = max(least - 0.5, 0.85), min(most + 0.5, counts.max() * 1.15)
            style = {"color": colour, "linewidth": 2.4, "solid_capstyle": "butt", "dash_capstyle": "butt"}
            axes.plot((left, right), (value, value), line, **style, label=name)
            name = None  # one entry in the legend
    axes.set_xscale("log")
    # over more than three decades the numbers would run into one another
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if counts.max() < 1000 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(ylim=(-0.03, 1.03), xlabel="training documents of the label", ylabel="F1")
    _add_legend(figure)
    return figure


def _by_step(facts: CardFacts) -> Any | None:
    if not facts.steps:
        return None
    figure, axes = _axes()
    from matplotlib.colors import PowerNorm

    words, gaps, steps = facts.steps["words"], facts.steps["gaps"], facts.steps["steps"]
    figure.set_size_inches(SIZE[0], 1.2 + 0.22 * len(words))
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    shares = [[step["weights"][place] for step in steps] for place in range(len(words))]
    # all shares to one scale, on which a step that looks at one word is dark there and one that looks around is pale;
    # of square roots, since steps spread over tens of words
    axes.imshow(shares, aspect="auto", cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0), interpolation="nearest")
    for row, values in enumerate(shares):
        for column, share in enumerate(values):
            if share >= LEAST_SHARE:
                colour = "white" if share > 0.4 else "black"
                axes.text(column, row, f"{share:.2f}".lstrip("0"), ha="center", va="center", fontsize=7, color=colour)
    marks = {True: "", False: " ✗", None: ""}
    names = ["(end)" if step["label"] is None else _short(step["label"]) + marks[step["true"]] for step in steps]
    axes.set_xticks(range(len(steps)), [f"{place}. {name}" for place, name in enumerate(names, start=1)])
    axes.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_yticks(
        range(len(words)), [("… " if gap else "") + _short(word) for word, gap in zip(words, gaps, strict=True)]
    )
    axes.tick_params(axis="y", length=0, labelsize=8)
    for label in axes.get_xticklabels():
        label.set(rotation=30, ha="left", fontsize=8)
    return figure


def _short(name: str, most: int = 28) -> str:
    """A word or a name with room for it beside the plot, in which matplotlib sees no formula."""
    name = " ".join(name.split())
    return _plain(name if len(name) <= most else name[: most - 1] + "…")


def _add_legend(figure: Any) -> None:
    """Above the plot, where it hides nothing."""
    figure.legend(loc="outside upper left", frameon=False, fontsize=9)


def _plain(name: str) -> str:
    """A name in which matplotlib sees no formula."""
    return name.replace("$", r"\$")
