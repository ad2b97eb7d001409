"""Time and peak memory of a label space of a million labels: build, save, load.

    python benchmarks/label_space.py [--labels 1000000] [--documents 1000000] [--labels_a_document 5]

Every step runs in a process of its own, so that its peak resident size is its own; the size of a process that has only
imported the package is printed first. Building reads label lists that a generator makes, as it would from a file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from hf_mlc.labels import LabelSpace


def label_lists(num_labels: int, num_documents: int, labels_a_document: int):
    """Every label at least once, the rest drawn with a long tail."""
    rng = np.random.default_rng(0)
    for n in range(num_documents):
        ids = (rng.random(labels_a_document) ** 3 * num_labels).astype(np.int64)
        ids[0] = n % num_labels
        yield [f"label {i:07d}" for i in ids.tolist()]


def idle(arguments, path: Path) -> tuple[float, int]:
    return 0.0, 0


def build(arguments, path: Path) -> tuple[float, int]:
    lists = label_lists(arguments.labels, arguments.documents, arguments.labels_a_document)
    start = time.perf_counter()
    space = LabelSpace.from_label_lists(lists)
    seconds = time.perf_counter() - start
    space.save(path)
    return seconds, len(space)


def generate(arguments, path: Path) -> tuple[float, int]:
    """The generator alone, which is part of the time of `build`."""
    start = time.perf_counter()
    count = sum(1 for _ in label_lists(arguments.labels, arguments.documents, arguments.labels_a_document))
    return time.perf_counter() - start, count


def from_names(arguments, path: Path) -> tuple[float, int]:
    names = [f"label {i:07d}" for i in range(arguments.labels)]
    start = time.perf_counter()
    space = LabelSpace.from_names(names)
    return time.perf_counter() - start, len(space)


def save(arguments, path: Path) -> tuple[float, int]:
    space = LabelSpace.load(path)
    start = time.perf_counter()
    space.save(path)
    return time.perf_counter() - start, path.stat().st_size


def load(arguments, path: Path) -> tuple[float, int]:
    start = time.perf_counter()
    space = LabelSpace.load(path)
    return time.perf_counter() - start, len(space)


def load_and_encode(arguments, path: Path) -> tuple[float, int]:
    start = time.perf_counter()
    space = LabelSpace.load(path)
    return time.perf_counter() - start, len(space.encode(space.names[::1000]))


def measured(step, arguments, path: Path, results) -> None:
    seconds, count = step(arguments, path)
    results.put((seconds, count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--labels_a_document", type=int, default=5)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'step':<16} {'seconds':>8} {'peak MB':>8} {'result':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for step in (idle, generate, build, from_names, save, load, load_and_encode):
            results = context.Queue()
            process = context.Process(target=measured, args=(step, arguments, Path(folder) / "labels.json", results))
            process.start()
            seconds, count, peak = results.get()
            process.join()
            print(f"{step.__name__:<16} {seconds:>8.2f} {peak:>8.0f} {count:>12,}")


if __name__ == "__main__":
    main()
