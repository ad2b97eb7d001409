"""The process of one run: `python -m hf_mlc.comparing.one_run JOB.json`. It fits an arm, then reads the measured rows once.

Usually a process of its own, so that peak memory is the arm's alone and no run finds what another left behind; small ones may share
one (`hf_mlc.comparing.processes`).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import set_seed

from hf_mlc.commands.running import run, write_json
from hf_mlc.comparing.arms import Fitted, Job, load_runner
from hf_mlc.comparing.data import Rows
from hf_mlc.comparing.latency import latencies
from hf_mlc.comparing.processes import end_with_starter
from hf_mlc.comparing.repeat_explore import repeat_and_explore
from hf_mlc.comparing.scores import ScoreCollector
from hf_mlc.comparing.tuning import padded
from hf_mlc.data import fingerprint
from hf_mlc.data.contents import content_in
from hf_mlc.data.own_cache import own_cache
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.decision import apply_thresholds
from hf_mlc.run_facts import Stopwatch, peak_memory, versions


RANKING_KS = (1, 3, 5, 10)


def main(arguments: list[str]) -> None:
    """Does the job in the file named by the one argument; writes its scores and then its result, where the job says."""
    content = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    where = content.pop("where")
    job = Job(**{**content, "rows": Rows(**content["rows"])})
    runner = load_runner(job.runner)  # what importing takes is no training
    if hasattr(runner, "load_libraries"):
        runner.load_libraries(job)
    with own_cache():
        job.rows.read("validation")  # nor what is imported when rows are first read
    set_seed(job.seed)
    with own_cache():  # a run costs none less because another came before
        earlier, stopwatch = resource.getrusage(resource.RUSAGE_CHILDREN), Stopwatch()
        fitted = runner.fit(job, Path(where["model"]))
        cost, children = stopwatch.read(), resource.getrusage(resource.RUSAGE_CHILDREN)
        children_seconds = children.ru_utime + children.ru_stime - earlier.ru_utime - earlier.ru_stime
        nothing = {"seconds": 0.0, "cpu_seconds": 0.0}
        spared, beside = fitted.spared or nothing, fitted.beside or nothing
        result = measure(fitted, job, where["scores"])
    peaks = peak_memory()
    peak_bytes = max(peaks["peak_memory_bytes"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    if "peak_gpu_memory_bytes" in peaks:
        result["peak_gpu_bytes"] = peaks["peak_gpu_memory_bytes"]
    result |= {
        "parameters": fitted.parameters,
        **({"parameter_parts": fitted.parameter_parts} if fitted.parameter_parts else {}),
        "train_seconds": round(cost["seconds"] + spared["seconds"] - beside["seconds"], 2),
        "train_cpu_seconds": round(
            cost["cpu_seconds"] + children_seconds + spared["cpu_seconds"] - beside["cpu_seconds"], 2
        ),
        **({} if fitted.optimizer_cpu_seconds is None else {"optimizer_cpu_seconds": fitted.optimizer_cpu_seconds}),
        "model_bytes": fitted.model_bytes,
        "peak_bytes": peak_bytes,
        "facts": {"min_labels": fitted.min_labels, "thresholds": _shown(fitted.thresholds), **fitted.facts},
        "versions": versions() | fitted.versions,
    }
    write_json(where["result"], result)


def measure(fitted: Fitted, job: Job, scores_file: str) -> dict[str, Any]:
    """Scores the measured rows; keeps the scores and returns the metrics."""
    space: LabelSpace = job.rows.label_space()
    rows = job.rows.read_measured()
    true_ids, unknown = job.rows.known_labels(rows["labels"], space)
    rule = {"thresholds": fitted.thresholds, "min_labels": fitted.min_labels}
    counts_L, columns, facts = space.counts, None, {}
    if job.rows.across:
        columns, rows, true_ids, facts = shared_labels(rows, true_ids, unknown, space)
        counts_L = counts_L[columns]
        if not isinstance(rule["thresholds"], float):
            rule["thresholds"] = np.asarray(rule["thresholds"])[columns].tolist()
    targets, items = padded(true_ids), rows[content_in(rows.column_names).column][:]
    metrics = MultiLabelMetrics(
        len(counts_L),
        train_counts=counts_L,
        num_train_documents=space.num_documents,
        ks=RANKING_KS,
        propensity=space.propensity,
        **rule,
    )
    collector = ScoreCollector(len(rows), len(counts_L), **rule)
    listed = listed_true = 0
    seconds, clock = 0.0, time.perf_counter()
    for places, scores_BS, candidate_ids_BS, *rest in fitted.score(items):
        seconds += time.perf_counter() - clock
        scores_BS, chosen_BS = torch.as_tensor(scores_BS), rest[0] if rest else None
        if columns is not None:
            if candidate_ids_BS is not None:
                raise UserError("shortlists of labels", field="arms", accepted="arms that score every label")
            scores_BS, chosen_BS = scores_BS[:, columns], None if chosen_BS is None else chosen_BS[:, columns]
            if chosen_BS is not None and fitted.min_labels:  # the fallback that thresholds have
                left_BS = apply_thresholds(scores_BS, 1.0, min_labels=fitted.min_labels)
                chosen_BS = torch.where(chosen_BS.any(dim=1, keepdim=True), chosen_BS, left_BS)
        metrics.update(scores_BS, label_ids=targets[places], candidate_ids=candidate_ids_BS, chosen=chosen_BS)
        collector.add(places, scores_BS, candidate_ids_BS, chosen_BS)
        if candidate_ids_BS is not None:
            listed += int((candidate_ids_BS >= 0).sum())
            rows_BS = zip(places, candidate_ids_BS.numpy(), strict=True)
            listed_true += sum(int(np.isin(true_ids[place], ids).sum()) for place, ids in rows_BS)
        clock = time.perf_counter()
    if fitted.predict_seconds is not None:
        seconds = fitted.predict_seconds()
    scores, values = collector.done(true_ids, counts_L), metrics.compute()
    scores.label_weights = metrics.weights_L
    if job.rows.is_events:
        scores.groups = np.unique([str(history["user"]) for history in items], return_inverse=True)[1].astype(np.int32)
        values |= repeat_and_explore(scores, [np.unique(space.encode_known(row["labels"])[0]) for row in items])
    scores.save(scores_file)
    if listed:
        facts["shortlist"] = {
            "size": round(listed / len(rows), 1),
            "recall": round(listed_true / max(1, sum(map(len, true_ids))), 6),
        }
    return {
        "metrics": {name: round(value, 6) for name, value in values.items()},
        "documents": len(rows),
        "unknown_labels": sum(unknown),
        **facts,
        "fingerprint": fingerprint(rows),
        "predict_ms": round(1000 * seconds / len(rows), 4),
        **latencies(fitted.timed, items, job.batch_sizes),
    }


def shared_labels(
    rows: datasets.Dataset, true_ids: list[np.ndarray], unknown: list[int], space: LabelSpace
) -> tuple[np.ndarray, datasets.Dataset, list[np.ndarray], dict[str, int]]:
    """What is left of rows from elsewhere: the labels that both sides have, and the documents with one of these.

    A document all of whose labels are strange to the training rows has no right answer among the shared ones; it is left
    out, and counted. One without any label stays.

    Args:
        rows (`datasets.Dataset`): the measured rows.
        true_ids (`list[np.ndarray]`): their labels as ids of the training labels.
        unknown (`list[int]`): how many labels of each row are none of these.
        space ([`~hf_mlc.labels.LabelSpace`]): the training labels; of those, the ones without a training row are not shared.

    Returns:
        The ids of the shared labels, the rows, their labels as places among the shared ones, and the facts of it.

    Raises:
        `UserError`: no shared label.
    """
    trained_L, found_L = space.counts > 0, np.zeros(len(space), bool)
    found_L[np.concatenate([*true_ids, np.zeros(0, np.int64)]).astype(np.int64)] = True
    columns = np.flatnonzero(trained_L & found_L)
    if not len(columns):
        raise UserError("no label of the measured rows is one of the training rows", field="label_map")
    place_L = np.full(len(space), -1)
    place_L[columns] = np.arange(len(columns))
    shared = [place_L[ids][place_L[ids] >= 0] for ids in true_ids]
    kept = [
        row
        for row, (ids, all_ids, number) in enumerate(zip(shared, true_ids, unknown, strict=True))
        if len(ids) or not (len(all_ids) or number)
    ]
    facts = {
        "shared_labels": len(columns),
        "trained_labels": int(trained_L.sum()),
        "measured_labels": len({label for labels in rows["labels"] for label in labels}),
        "left_out_documents": len(rows) - len(kept),
    }
    return columns, rows.select(kept), [shared[row] for row in kept], facts


def _shown(thresholds) -> float | str:
    return thresholds if isinstance(thresholds, float) else "one a label"


if __name__ == "__main__":
    end_with_starter()
    sys.exit(run(main))
