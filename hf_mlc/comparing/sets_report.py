"""The tables of all data sets together: average ranks, tests against one arm, the claim's statements over sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_mlc.comparing.claim import Claim
from hf_mlc.comparing.rank_plot import draw_ranks
from hf_mlc.comparing.ranks import ALPHA, critical_difference, friedman_p, holm, smallest_wilcoxon_p, wilcoxon
from hf_mlc.comparing.set_statements import SetMeans, of_seeds
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.metrics import LOWER_IS_BETTER


def sets_report(claim: Claim, lines: Sequence[Mapping[str, Any]], *, picture: Path | None = None) -> str:
    """Everything that is said of several data sets together; empty of a claim that says nothing of them, or of fewer than two.

    Args:
        claim: with `over_sets`.
        lines: of the runs of all data sets, of one split; those of drawn training sizes have no part in it.
        picture (`Path`, *optional*): where to draw the average ranks.
    """
    over = claim.over_sets
    if over is None:
        return ""
    lines = [line for line in lines if line["train_size"] is None]
    means = SetMeans(lines, [data.name for data in claim.datasets], over.ranked)
    if len(means.datasets) < 2:
        return ""
    parts = [f"{len(means.datasets)} data sets: {', '.join(means.datasets)}"]
    parts.append(values_table(means, over.metrics[0]))
    parts.append(ranks_table(means, over.metrics))
    baselines = [arm for arm in means.ranked if arm not in over.ours]
    parts.append(tests_table(means, [arm.name for arm in claim.arms], over.reference, over.metrics[0], baselines))
    parts.append("\n".join(said for said in (statement.answer(means) for statement in over.statements) if said))
    ranks = means.average_ranks(over.metrics[0])
    if picture is not None and len(ranks) > 1:
        title = f"average rank in {over.metrics[0]} over {len(means.datasets)} data sets"
        try:
            drawn = draw_ranks(ranks, len(means.datasets), ours=over.ours, title=title)
        except UserError as error:  # without matplotlib the tables are no worse
            return "\n\n".join(part for part in [*parts, f"no picture of the ranks: {error}"] if part)
        with written_whole(picture, binary=True) as stream:
            stream.write(drawn)
        parts.append(f"average ranks drawn in {picture}")
    return "\n\n".join(part for part in parts if part)


def values_table(means: SetMeans, metric: str) -> str:
    """The mean of every ranked arm on every data set, over the seeds that all of them have on it; a star where it is the best."""
    values_AD = means.table(metric)
    if not values_AD.size:
        return ""
    without = [name for name, seeds in means.ranked_seeds.items() if not seeds]
    if without:
        return f"no seed with which all of these ran on {', '.join(without)}: {', '.join(means.ranked)}"
    width = max(len(metric), *(len(arm) for arm in means.ranked)) + 2
    columns = [max(10, len(name) + 2) for name in means.datasets]
    best_D = values_AD.min(axis=0) if metric in LOWER_IS_BETTER else values_AD.max(axis=0)
    rows = [
        f"{metric:<{width}}" + "".join(f"{name:>{size}}" for name, size in zip(means.datasets, columns, strict=True))
    ]
    for arm, values_D in zip(means.ranked, values_AD, strict=True):
        cells = [f"{value:.4f}{'*' if value == best else ' '}" for value, best in zip(values_D, best_D, strict=True)]
        rows.append(f"{arm:<{width}}" + "".join(f"{cell:>{size}}" for cell, size in zip(cells, columns, strict=True)))
    return "\n".join(rows)


def ranks_table(means: SetMeans, metrics: Sequence[str]) -> str:
    """Average ranks, best first by the first metric; below them what the tests over all arms say."""
    ranks = {metric: means.average_ranks(metric, lower_is_better=metric in LOWER_IS_BETTER) for metric in metrics}
    ranks = {metric: found for metric, found in ranks.items() if len(found) > 1}
    if not ranks:
        return ""
    first = next(iter(ranks))
    width = max(len("average rank"), *(len(arm) for arm in means.ranked)) + 2
    columns = {metric: max(10, len(metric) + 2) for metric in ranks}
    rows = [f"{'average rank':<{width}}" + "".join(f"{metric:>{size}}" for metric, size in columns.items())]
    for arm in sorted(means.ranked, key=ranks[first].__getitem__):
        rows.append(
            f"{arm:<{width}}" + "".join(f"{ranks[metric][arm]:>{size}.2f}" for metric, size in columns.items())
        )
    num_arms, num_datasets = len(means.ranked), len(means.datasets)
    rows.append(
        f"two average ranks of {num_arms} systems on {num_datasets} data sets differ from {critical_difference(num_arms, num_datasets):.2f} on "
        f"(Nemenyi, .05); that all are alike in {first} has p = {friedman_p(means.table(first)):.2g} (Friedman); over {of_seeds(means.ranked_seeds)}"
    )
    if means.unranked:
        rows.append(f"not run on every set, and so without a rank: {', '.join(means.unranked)}")
    return "\n".join(rows)


def tests_table(
    means: SetMeans, arms: Sequence[str], reference: str, metric: str, baselines: Sequence[str]
) -> str:  # fmt: skip
    """Every arm against one, by Wilcoxon's signed-rank test over the data sets that both ran on. Corrected for the number of
    tests are the ranked baselines alone: an ablation is no system that the reference has to be told apart from, and near copies
    of it would make the correction as large as one likes.
    """
    found = {}
    for arm in arms:
        pair = means.paired(arm, reference, metric)
        if arm != reference and len(pair.values) > 1:
            found[arm] = pair, wilcoxon(*zip(*pair.values.values(), strict=True))
    if not found:
        return ""
    family = [arm for arm in baselines if arm in found]
    adjusted = dict(zip(family, holm([found[arm][1].p for arm in family]), strict=True))
    title = f"less {reference}, {metric}"
    width = max(len(title), *map(len, found)) + 2
    rows = [f"{title:<{width}}{'mean':>9}{'sets':>6}{'runs':>7}{'above':>7}{'below':>7}{'p':>9}{'Holm':>9}"]
    for arm, (pair, test) in found.items():
        cells = f"{test.difference:>+9.4f}{len(pair.values):>6}{sum(map(len, pair.seeds.values())):>7}{test.wins:>7}{test.losses:>7}{test.p:>9.4f}"
        rows.append(f"{arm:<{width}}{cells}" + (f"{adjusted[arm]:>9.4f}" if arm in adjusted else f"{'-':>9}"))
    rows.append(
        "p: Wilcoxon's signed-rank test over data sets, two-sided; Holm: for the ranked baselines, all at once"
    )
    if family:
        smallest = smallest_wilcoxon_p(len(means.datasets))
        rows.append(
            f"on {len(means.datasets)} data sets p is {smallest:.4f} at the least, and for {len(family)} at once {min(1.0, len(family) * smallest):.4f}"
        )
        if len(family) * smallest > ALPHA:
            rows.append(f"so no pair can be told apart at {ALPHA:g} here, whatever the values")
    return "\n".join(rows)
