"""Time and peak memory of the metrics and of threshold tuning, each case in a process of its own.

python benchmarks/metrics.py             all cases
python benchmarks/metrics.py shortlist   one of them
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from functools import partial

import numpy as np
import torch

from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.thresholds import ThresholdTuner


def make_batch(generator: np.random.Generator, num_documents: int, num_labels: int, labels_per_document: float):
    """Scores as a fair model gives them, float32 [B, L], and multi-hot targets, int8 [B, L]."""
    truth = (generator.random((num_documents, num_labels), np.float32) < labels_per_document / num_labels).view(
        np.int8
    )
    logits = generator.standard_normal((num_documents, num_labels), np.float32) - 5 + 5 * truth
    return 1 / (1 + np.exp(-logits)), truth


def dense(num_labels: int, num_documents: int, labels_per_document: float) -> None:
    """A whole evaluation, everything exact."""
    generator = np.random.default_rng(0)
    batches = [
        make_batch(generator, min(256, num_documents - start), num_labels, labels_per_document)
        for start in range(0, num_documents, 256)
    ]
    before = peak_mb()
    start = time.perf_counter()
    metrics = MultiLabelMetrics(num_labels, train_counts=np.arange(num_labels), num_train_documents=50_000)
    for scores, truth in batches:
        metrics.update(scores, truth)
    updated = time.perf_counter()
    result = metrics.compute()
    computed = time.perf_counter()
    after = peak_mb()
    print(f"  update {updated - start:.1f} s, compute {computed - updated:.1f} s ({metrics.facts()['curves']} areas)")
    print(f"  peak {after:.0f} MB, of which {after - before:.0f} MB above the data; ap_macro {result['ap_macro']:.4f}")


def tuning(num_labels: int, num_documents: int, labels_per_document: float, kind: str, metric: str) -> None:
    """Thresholds from batches made one by one, so that the peak is what the tuner keeps and works with."""
    generator = np.random.default_rng(0)
    tuner = ThresholdTuner(num_labels, kind=kind, metric=metric)
    before = peak_mb()
    for start in range(0, num_documents, 64):
        tuner.update(*make_batch(generator, min(64, num_documents - start), num_labels, labels_per_document))
    kept = peak_mb()
    start = time.perf_counter()
    choice = tuner.tune()
    seconds = time.perf_counter() - start
    cells_mb = num_documents * num_labels * 5 / 2**20
    print(f"  {seconds:.1f} s, {metric} {choice.value:.4f}; 5 bytes a cell are {cells_mb:.0f} MB")
    print(f"  peak {kept - before:.0f} MB while collecting, {peak_mb() - before:.0f} MB in all")


def shortlist() -> None:
    """100,000 labels, 10,000 documents, 100 scored candidates each, targets as ids: nothing of size B x L."""
    num_labels, num_documents, num_candidates = 100_000, 10_000, 100
    generator = np.random.default_rng(0)
    metrics = MultiLabelMetrics(
        num_labels, train_counts=generator.integers(0, 100, num_labels), num_train_documents=500_000
    )
    tuner = ThresholdTuner(num_labels)
    seconds = {"metrics": 0.0, "tuner": 0.0}
    before = peak_mb()
    for _ in range(0, num_documents, 500):
        # distinct candidates, the first five of them true, and one true label that was not shortlisted
        steps = generator.integers(1, num_labels // num_candidates, (500, num_candidates))
        candidates = steps.cumsum(axis=1) - 1
        label_ids = np.concatenate([candidates[:, :5], np.full((500, 1), num_labels - 1)], axis=1)
        scores = generator.random((500, num_candidates), np.float32)
        scores[:, :5] = np.sqrt(scores[:, :5])
        for name, taker in (("metrics", metrics), ("tuner", tuner)):
            start = time.perf_counter()
            taker.update(scores, candidate_ids=candidates, label_ids=label_ids)
            seconds[name] += time.perf_counter() - start
    start = time.perf_counter()
    result = metrics.compute()
    computed = time.perf_counter() - start
    start = time.perf_counter()
    choice = tuner.tune()
    tuned = time.perf_counter() - start
    print(f"  metrics: update {seconds['metrics']:.1f} s, compute {computed:.1f} s; psp@5 {result['psp@5']:.4f}")
    print(f"  threshold: update {seconds['tuner']:.1f} s, tune {tuned:.1f} s; f1_micro {choice.value:.4f}")
    print(f"  peak {peak_mb():.0f} MB, of which {peak_mb() - before:.0f} MB above the imports")


def peak_mb() -> float:
    """Peak resident memory of this process (Linux counts it in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CASES = {
    "reuters": ("90 labels x 3,019 documents, dense", lambda: dense(90, 3_019, 1.2)),
    "eurlex": ("4,271 labels x 6,000 documents, dense", lambda: dense(4_271, 6_000, 5.0)),
    **{
        f"tune_{kind}_{metric}": (
            f"thresholds, {kind}, {metric}, 4,271 labels x 6,000 documents",
            partial(tuning, 4_271, 6_000, 5.0, kind, metric),
        )
        for kind, metric in (
            ("global", "f1_micro"),
            ("global", "f1_macro"),
            ("global", "balanced"),
            ("per_label", "f1_micro"),
        )
    },
    "shortlist": ("100,000 labels x 10,000 documents, 100 candidates, label_ids", shortlist),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=CASES)
    case = parser.parse_args().case
    if case is None:  # peak memory never falls within a process
        for name in CASES:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    title, run = CASES[case]
    torch.set_num_threads(1)  # the figures then hold on a busy machine, too
    print(f"{title}, one thread:", flush=True)
    run()


if __name__ == "__main__":
    main()
