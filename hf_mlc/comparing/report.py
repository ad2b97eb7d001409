"""The tables of a comparison: means and deviations of every arm, differences with their intervals, where a gain ends."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_mlc.comparing.bootstrap import Bootstrap, Interval
from hf_mlc.comparing.claim import Claim, ClaimData
from hf_mlc.comparing.costs_table import costs_table
from hf_mlc.comparing.lines import unmeasured_buckets
from hf_mlc.comparing.resampling import ResampledMetrics
from hf_mlc.comparing.runs import scores_name
from hf_mlc.comparing.scores import RunScores
from hf_mlc.errors import UserError
from hf_mlc.metrics import BUCKETS, LOWER_IS_BETTER


# of a model that relates labels: what makes a document's vector, what reads single labels off it, what tells a label of others.
# "Fewer parameters" can be made to mean anything without these
PARTS = ("encoder", "head", "relation")


def report(
    claim: Claim, data: ClaimData, lines: Sequence[dict[str, Any]], scores: Path, *, num_resamples: int = 2000
) -> str:
    """All tables of one data set, ready to print.

    Args:
        claim, data: what was compared.
        lines: of its runs.
        scores (`Path`): the folder of the runs' scores; differences whose scores are missing get no interval.
        num_resamples (`int`, *optional*, defaults to 2000): of the bootstrap.
    """
    parts, gains = [], {}
    for size, of_size in by_train_size(lines).items():
        parts += means_tables(claim, data, of_size)
        measured = _measured(data, of_size)
        rows = list(differences(claim, measured, of_size, scores, num_resamples))
        gains[size] = rows
        if rows and measured.end_points:
            parts.append(differences_table(rows, measured.end_points))
            parts.append(
                "every seed measured other rows: no intervals"
                if _rows_by_seed(of_size)
                else verdict(claim, measured, rows)
            )
        parts.append(statements(claim, rows))
        parts.append(bars(claim, data, of_size))
        if claim.all_at_once is not None:
            parts.append(claim.all_at_once.tables(data.name, of_size))
    if len(gains) > 1:
        parts.append(gain_ends(gains, data.end_points))
    return "\n\n".join(part for part in parts if part)


def by_train_size(lines: Sequence[dict[str, Any]]) -> dict[int | None, list[dict[str, Any]]]:
    """The lines of each training size, small ones first, those of all rows (`None`) last."""
    sizes = sorted({line["train_size"] for line in lines}, key=lambda size: (size is None, size))
    return {size: [line for line in lines if line["train_size"] == size] for size in sizes}


def means_tables(claim: Claim, data: ClaimData, lines: Sequence[dict[str, Any]]) -> list[str]:
    """What is said of one training size without a look at any scores: what was measured, means, costs and parameters; of what
    there is nothing to say, an empty one."""
    size, order = lines[0]["train_size"], [arm.name for arm in claim.arms]
    title = f"{data.name}: {lines[0]['documents']:,} {lines[0]['split']} documents"
    measured = _measured(data, lines)
    return [
        title
        + (f", {size} training documents" if size is not None else "")
        + _surviving(lines)
        + _missing(data, lines),
        means_table(claim, lines, [*measured.end_points, *measured.shown]),
        costs_table(order, lines),
        parameters_table(order, lines),
    ]


def _measured(data: ClaimData, lines: Sequence[dict[str, Any]]) -> ClaimData:
    """The data set without the metrics of labels that no measured document has: their 0 is no measurement."""
    left_out = {
        name for names in unmeasured_buckets((*data.end_points, *data.shown), lines).values() for name in names
    }
    kept = {
        what: tuple(name for name in getattr(data, what) if name not in left_out) for what in ("end_points", "shown")
    }
    return replace(data, **kept)


def _missing(data: ClaimData, lines: Sequence[dict[str, Any]]) -> str:
    """A line for each number of training documents that no measured label has, with the metrics that are left out for it."""
    return "".join(
        f"\nno {lines[0]['split']} label has {_reach(bucket)} training documents: left out are {', '.join(names)}"
        for bucket, names in unmeasured_buckets((*data.end_points, *data.shown), lines).items()
    )


def _reach(bucket: str) -> str:
    least, most = BUCKETS[bucket]
    if least == most:
        return str(least)
    return f"{least} to {most}" if most < float("inf") else f"{least} or more"


def _surviving(lines: Sequence[dict[str, Any]]) -> str:
    """Of data from elsewhere: how many labels both sides have, by seed where seeds differ."""
    found = dict.fromkeys(
        (line["shared_labels"], line["trained_labels"], line["measured_labels"], line["left_out_documents"])
        for line in lines
        if "shared_labels" in line
    )
    return "".join(
        f"\n{shared} labels survive, of {trained} that were trained and {measured} in the measured rows; documents without any "
        f"of them: {left_out}, left out"
        for shared, trained, measured, left_out in found
    )


def means_table(claim: Claim, lines: Sequence[dict[str, Any]], metrics: Sequence[str]) -> str:
    """One line an arm, in the claim's order: mean and standard deviation over seeds, then seconds and megabytes. Arms of
    a group stand together under its name, after those without one."""
    order = [arm.name for arm in claim.arms]
    by_arm = {name: [line for line in lines if line["arm"] == name] for name in order}
    by_arm = {name: found for name, found in by_arm.items() if found}
    width = max(len(name) for name in by_arm) + 2
    columns = [max(16, len(metric) + 2) for metric in metrics]
    head = "".join(f"{metric:>{column}}" for metric, column in zip(metrics, columns, strict=True))
    rows = [f"{'arm':<{width}}seeds{head}{'train s':>10}{'ms/doc':>9}{'MB':>8}"]
    groups = list(dict.fromkeys(["", *(claim.arm(name).group for name in by_arm)]))
    above = ""
    for name, found in sorted(by_arm.items(), key=lambda item: groups.index(claim.arm(item[0]).group)):
        if claim.arm(name).group != above:
            above = claim.arm(name).group
            rows.append(f"-- {above}")
        cells = ""
        for metric, column in zip(metrics, columns, strict=True):
            values = [line["metrics"][metric] for line in found if metric in line["metrics"]]
            cells += f"{_mean_and_deviation(values):>{column}}"
        seconds, ms, size = (
            statistics.mean(line[what] for line in found) for what in ("train_seconds", "predict_ms", "model_bytes")
        )
        rows.append(f"{name:<{width}}{len(found):>5}{cells}{seconds:>10.1f}{ms:>9.2f}{size / 1e6:>8.1f}")
    return "\n".join(rows)


def parameters_table(order: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    """One line an arm whose models say it, in the order of the claim; empty where none does. Seeds differ only where an order
    of labels or a matched size does: the mean.
    """
    rows = []
    for arm in order:
        found = [line["parameter_parts"] for line in lines if line["arm"] == arm and line.get("parameter_parts")]
        if found:
            means = [statistics.mean(parts[part] for parts in found) for part in PARTS]
            rows.append((arm, *(f"{round(mean):,}" for mean in [*means, sum(means)])))
    if not rows:
        return ""
    width = max(len(arm) for arm, *_ in rows) + 2
    head = f"{'parameters':<{width}}" + "".join(f"{name:>14}" for name in (*PARTS, "all"))
    return "\n".join([head, *(f"{arm:<{width}}" + "".join(f"{cell:>14}" for cell in cells) for arm, *cells in rows)])


def _mean_and_deviation(values: list[float]) -> str:
    if not values:
        return "-"
    deviation = f" ±{statistics.stdev(values):.4f}"[:7] if len(values) > 1 else " " * 7
    return f"{statistics.mean(values):.4f}{deviation}"


def differences(
    claim: Claim, data: ClaimData, lines: Sequence[dict[str, Any]], scores: Path, num_resamples: int
) -> Iterable[tuple[str, str, dict[str, Interval | float]]]:
    """The claim's pairs of arms, of which both were run: by end point an interval, or the bare difference."""
    _check_same_rows(lines, scores)
    resampled = not _rows_by_seed(lines)
    runs: dict[str, dict[int, ResampledMetrics]] = {}
    for line in lines:
        file = scores / scores_name(line)
        if resampled and file.exists():
            runs.setdefault(line["arm"], {})[line["seed"]] = ResampledMetrics(RunScores.load(file))
    seeds_of = {arm: {line["seed"] for line in lines if line["arm"] == arm} for arm in {line["arm"] for line in lines}}
    bootstraps: dict[tuple[int, ...], Bootstrap] = {}
    for first, second in claim.differences:
        shared = tuple(sorted(seeds_of.get(first, set()) & seeds_of.get(second, set())))
        if not shared:
            continue
        if shared not in bootstraps:
            bootstraps[shared] = Bootstrap(
                lines[0]["documents"], list(shared), num_resamples=num_resamples, together=_groups(runs)
            )
        found = {}
        for metric in data.end_points:
            interval = bootstraps[shared].interval(metric, runs.get(first, {}), runs.get(second, {}))
            if interval is None:
                interval = _bare_difference(lines, first, second, shared, metric)
            if interval is not None:
                found[metric] = interval
        yield first, second, found


def _groups(runs: Mapping[str, Mapping[int, ResampledMetrics]]) -> np.ndarray | None:
    """Which documents belong together; of all runs the same."""
    return next((run.scores.groups for by_seed in runs.values() for run in by_seed.values()), None)


def _check_same_rows(lines: Sequence[dict[str, Any]], scores: Path) -> None:
    rows_of: dict[int, set[str]] = {}
    for line in lines:
        rows_of.setdefault(line["seed"], set()).add(line["fingerprint"])
    for seed, rows in rows_of.items():
        if len(rows) > 1:
            raise UserError(
                f"runs of seed {seed} on different rows: the data have changed since",
                file=scores.with_suffix(".jsonl"),
                field="fingerprint",
                accepted="lines on the same rows; delete the older ones",
            )


def _rows_by_seed(lines: Sequence[dict[str, Any]]) -> bool:
    """Whether each seed measured rows of its own, as `--split unused` does: nothing then to draw for all seeds at once."""
    return len({line["fingerprint"] for line in lines}) > 1


def _bare_difference(lines, first: str, second: str, seeds, metric: str) -> float | None:
    values = {(line["arm"], line["seed"]): line["metrics"].get(metric) for line in lines}
    pairs = [(values[first, seed], values[second, seed]) for seed in seeds]
    if any(value is None for pair in pairs for value in pair):
        return None
    return statistics.mean(one - other for one, other in pairs)


def differences_table(rows: Sequence[tuple[str, str, dict]], metrics: Sequence[str]) -> str:
    """One line a pair; a star where the 95 % interval is clear of 0."""
    title = "difference [95 % interval]"
    width = max(len(title), *(len(f"{first} - {second}") + 2 for first, second, _ in rows))
    columns = [max(28, len(metric) + 2) for metric in metrics]
    head = "".join(f"{metric:>{column}}" for metric, column in zip(metrics, columns, strict=True))
    lines = [f"{title:<{width}}{head}"]
    for first, second, found in rows:
        cells = "".join(
            f"{_shown(found.get(metric)):>{column}}" for metric, column in zip(metrics, columns, strict=True)
        )
        lines.append(f"{first + ' - ' + second:<{width}}{cells}")
    return "\n".join(lines)


def verdict(claim: Claim, data: ClaimData, rows: Sequence[tuple[str, str, dict]]) -> str:
    """Of each arm that the claim is about: in which end points it is ahead of all that it must be ahead of, the intervals
    clear of 0; and in which that is open, since some difference has no interval and no other speaks against it. Nothing of an
    arm that was not compared with all of them."""
    found = {(first, second): values for first, second, values in rows}
    sentences = []
    for arm, others in claim.must_be_ahead.items():
        if not all((arm, other) in found for other in others):
            continue
        held, not_held, unknown = [], [], []
        for metric in data.end_points:
            answers = {_is_ahead(found[arm, other].get(metric), metric) for other in others}
            (not_held if False in answers else unknown if None in answers else held).append(metric)
        said = [f"in {', '.join(held)}"] * bool(held) + [f"not in {', '.join(not_held)}"] * bool(not_held)
        said += [f"open, without an interval, in {', '.join(unknown)}"] * bool(unknown)
        sentences.append(f"{arm} is ahead of {' and '.join(others)}, intervals clear of 0: {'; '.join(said)}")
    return "\n".join(sentences)


def statements(claim: Claim, rows: Sequence[tuple[str, str, dict]]) -> str:
    """Each statement of the claim, of each of its arms that was run: whether it holds, and where it does not, why.

    It holds where the arm is above all the others in all end points, every interval clear of 0. It is open where another was
    not run, or a difference has no interval, and no other speaks against it.
    """
    found = {(first, second): values for first, second, values in rows}
    run = {arm for pair in found for arm in pair}
    sentences = []
    for statement in claim.statements:
        for arm in statement.ours:
            if arm not in run:
                continue
            missing = [other for other in statement.others if (arm, other) not in found]
            failing, unknown = [], []
            for other in statement.others:
                for metric in statement.end_points:
                    value = found.get((arm, other), {}).get(metric)
                    is_ahead = _is_ahead(value, metric)
                    if (arm, other) in found and not is_ahead:
                        (unknown if is_ahead is None else failing).append(
                            f"{metric} less {other}'s {_shown(value).strip()}"
                        )
            answer = "DOES NOT HOLD" if failing else "OPEN" if missing or unknown else "HOLDS"
            reasons = ["; ".join(failing)] * bool(failing) + [f"no interval: {'; '.join(unknown)}"] * bool(unknown)
            reasons += [f"not run: {', '.join(missing)}"] * bool(missing)
            sentences.append(
                f"{arm} {statement.about}, in {' and '.join(statement.end_points)}: {answer}"
                + (f" ({'; '.join(reasons)})" if reasons else "")
            )
    return "\n".join(sentences)


def _is_ahead(value: Interval | float | None, metric: str) -> bool | None:
    """Whether a difference is on the better side of 0 with its whole interval; `None` where it has no interval, and so says neither."""
    if not isinstance(value, Interval):
        return None
    return value.high < 0 if metric in LOWER_IS_BETTER else value.low > 0


def bars(claim: Claim, data: ClaimData, lines: Sequence[dict[str, Any]]) -> str:
    """The means of the arms beside the numbers that they are to pass at once; of an arm that was not run nothing."""
    sentences = []
    for bar in claim.bars:
        if bar.dataset != data.name:
            continue
        for arm in bar.ours:
            of_arm = [line for line in lines if line["arm"] == arm]
            if not of_arm:
                continue
            means = {metric: statistics.mean(line["metrics"][metric] for line in of_arm) for metric in bar.values}
            passed = all(means[metric] > least for metric, least in bar.values.items())
            shown = ", ".join(
                f"{metric} {means[metric]:.4f} ({'above' if means[metric] > least else 'not above'} {least:g})"
                for metric, least in bar.values.items()
            )
            seeds = f"mean of {len(of_arm)} seeds" if len(of_arm) > 1 else "one seed"
            sentences.append(f"{arm}, {bar.about}: {'HOLDS' if passed else 'DOES NOT HOLD'}: {shown}, {seeds}")
    return "\n".join(sentences)


def _shown(value: Interval | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:+.4f}"
    return f"{value.difference:+.4f} [{value.low:+.4f}, {value.high:+.4f}]" + ("*" if value.clear_of_zero else " ")


def gain_ends(gains: dict[int | None, list], metrics: Sequence[str]) -> str:
    """Of each pair and end point: the training sizes at which the first arm is ahead with the interval clear of 0; the gain
    ends after the last of them."""
    sentences = []
    pairs = list(dict.fromkeys((first, second) for rows in gains.values() for first, second, _ in rows))
    for first, second in pairs:
        for metric in metrics:
            found = {
                size: values[metric]
                for size, rows in gains.items()
                for one, other, values in rows
                if (one, other) == (first, second) and isinstance(values.get(metric), Interval)
            }
            if len(found) < 2:
                continue
            ahead = [size for size, interval in found.items() if _is_ahead(interval, metric)]
            sizes = ", ".join(_size(size) for size in ahead) if ahead else "none of the sizes"
            sentences.append(f"{first} is ahead of {second} in {metric}, the interval clear of 0, at: {sizes}")
    return "\n".join(sentences)


def _size(size: int | None) -> str:
    return "all documents" if size is None else str(size)
