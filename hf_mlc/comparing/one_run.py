"""The process of one run: `python -m hf_mlc.comparing.one_run JOB.json`. It fits an arm, then reads the measured rows once.

A process of its own, so that peak memory is the arm's alone and no run finds what another left behind.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from hf_mlc.commands.running import run, write_json
from hf_mlc.comparing.arms import Fitted, Job, fit
from hf_mlc.comparing.data import Rows
from hf_mlc.comparing.scores import ScoreCollector
from hf_mlc.comparing.tuning import padded
from hf_mlc.data import fingerprint
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.run_facts import Stopwatch, peak_memory, versions


RANKING_KS = (1, 3, 5)


def main(arguments: list[str]) -> None:
    """Does the job in the file named by the one argument; writes its scores and then its result, where the job says."""
    content = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    where = content.pop("where")
    job = Job(**{**content, "rows": Rows(**content["rows"])})
    set_seed(job.seed)
    stopwatch = Stopwatch()
    fitted = fit(job, Path(where["model"]))
    cost, children = stopwatch.read(), resource.getrusage(resource.RUSAGE_CHILDREN)
    spared = fitted.spared or {"seconds": 0.0, "cpu_seconds": 0.0}
    result = measure(fitted, job, where["scores"])
    peaks = peak_memory()
    peak_bytes = max(peaks["peak_memory_bytes"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    if "peak_gpu_memory_bytes" in peaks:
        result["peak_gpu_bytes"] = peaks["peak_gpu_memory_bytes"]
    result |= {
        "parameters": fitted.parameters,
        "train_seconds": round(cost["seconds"] + spared["seconds"], 2),
        "train_cpu_seconds": round(
            cost["cpu_seconds"] + children.ru_utime + children.ru_stime + spared["cpu_seconds"], 2
        ),
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
    known = [space.encode_known(labels) for labels in rows["labels"]]
    true_ids = [ids for ids, _ in known]
    targets, texts = padded(true_ids), rows["text"][:]
    rule = {"thresholds": fitted.thresholds, "min_labels": fitted.min_labels}
    metrics = MultiLabelMetrics(
        len(space), train_counts=space.counts, num_train_documents=space.num_documents, ks=RANKING_KS, **rule
    )
    collector = ScoreCollector(len(rows), len(space), **rule)
    seconds, clock = 0.0, time.perf_counter()
    for places, scores_BS, candidate_ids_BS in fitted.score(texts):
        seconds += time.perf_counter() - clock
        scores_BS = torch.as_tensor(scores_BS)
        metrics.update(scores_BS, label_ids=targets[places], candidate_ids=candidate_ids_BS)
        collector.add(places, scores_BS, candidate_ids_BS)
        clock = time.perf_counter()
    if fitted.predict_seconds is not None:
        seconds = fitted.predict_seconds()
    collector.done(true_ids, space.counts).save(scores_file)
    return {
        "metrics": {name: round(value, 6) for name, value in metrics.compute().items()},
        "documents": len(rows),
        "unknown_labels": sum(number for _, number in known),
        "fingerprint": fingerprint(rows),
        "predict_ms": round(1000 * seconds / len(rows), 4),
    }


def _shown(thresholds) -> float | str:
    return thresholds if isinstance(thresholds, float) else "one a label"


if __name__ == "__main__":
    sys.exit(run(main))
