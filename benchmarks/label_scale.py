"""Seconds, peak memory and recall of LightDXML from ten thousand to a million labels, on generated documents.

    python benchmarks/label_scale.py [--labels 10000 100000 1000000] [--documents N] [--output model_cards/claims/scale.jsonl]
    python scripts/update_readme.py          makes the tables of docs/scale.md of it

Every number of labels runs in a process of its own, with as many documents as labels unless `--documents` says otherwise: the
documents are written to a file, one epoch trained (a cycle, then the classifier on its lists, then the index made anew), and
documents that weren't trained on are asked for. A line of JSON a case is printed and appended to `--output`.

The peak is that of memory that is the process's own; files that are mapped to memory (documents, their vectors, their
shortlists) are counted beside it, since they make room when something else needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import set_seed

from hf_mlc.auto import architecture_of
from hf_mlc.cycles.folder import read_cycle_facts
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.processing_sparse import SparseFeatureExtractor
from hf_mlc.run_facts import versions
from hf_mlc.scale.costs import CycleSize, label_bytes
from hf_mlc.sparse.collating import SparseCollator
from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.xmc.power_law import PowerLawSet


TEST_DOCUMENTS = 2048
TIMED_DOCUMENTS = 50  # one by one, after five that warm up
ENOUGH = 0.95  # of the nearest labels, for a search of the index
# two sums of the same products differ by so much; labels that share all their documents have the same vector and are equally near
ROUNDING = 1e-6
MB = 2**20


class MemoryWatch:
    """The largest memory of this process, looked at twenty times a second (Linux): its own, and that of mapped files."""

    def __init__(self):
        self.own = self.mapped = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self.look()

    def look(self) -> None:
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        )
        self.own = max(self.own, int(status["RssAnon"].split()[0]) * 1024)
        self.mapped = max(self.mapped, int(status["RssFile"].split()[0]) * 1024)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self.look()


class Laps:
    """Seconds between one call and the next, by name, also on standard error as they pass."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self.last, 2)
        print(f"{name:<28}{now - self.last:>10.1f} s", file=sys.stderr, flush=True)
        self.last = now


def measured(arguments: argparse.Namespace) -> dict[str, object]:
    """One case: everything that is known of it."""
    torch.set_num_threads(arguments.threads)
    set_seed(arguments.seed)
    num_labels = arguments.case
    documents = arguments.documents or num_labels
    watch, laps = MemoryWatch(), Laps()
    watch.look()
    imported = watch.own
    if arguments.folder:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        generated = PowerLawSet(
            num_labels, num_features=arguments.features, nonzeros=arguments.nonzeros, seed=arguments.seed
        )
        train = generated.encoded(documents, folder)
        test = generated.encoded(TEST_DOCUMENTS, folder, split="test")
        laps("write the documents")

        counts = np.zeros(num_labels, np.int64)
        for batch in train.with_format("numpy").select_columns("label_ids").iter(batch_size=10_000):
            np.add.at(counts, np.concatenate(list(batch["label_ids"])), 1)
        space = LabelSpace.from_names(
            [f"label {number}" for number in range(num_labels)], counts=counts, num_documents=documents
        )
        laps("label space")

        config = LightDxmlConfig(
            num_labels=num_labels,
            encoder="features",
            vocab_size=arguments.features + 1,
            embed_dim=arguments.embed_dim,
            shortlist_size=arguments.shortlist_size,
            shared_shortlist=arguments.shared_shortlist,
            cycle_epochs=arguments.epochs,
            proxy=arguments.proxy,
            proxy_epochs=arguments.proxy_epochs,
            proxy_batch_size=arguments.proxy_batch_size,
            index=arguments.index,
            hnsw_m=arguments.hnsw_m,
            hnsw_ef_construction=arguments.hnsw_ef_construction,
            hnsw_ef=arguments.hnsw_ef[0],
            hnsw_threads=arguments.hnsw_threads or arguments.threads,
        )
        store_label_space(config, space)
        architecture = architecture_of("lightdxml")
        model = architecture.model(config)
        model.set_training_statistics(torch.from_numpy(counts), documents)
        laps("model")

        size = CycleSize(
            num_labels=num_labels,
            num_documents=documents,
            num_features=arguments.features,
            num_pairs=int(counts.sum()),
            nonzeros=arguments.nonzeros,
            embed_dim=arguments.embed_dim,
            shortlist_size=arguments.shortlist_size,
            hnsw_m=arguments.hnsw_m if arguments.index == "hnsw" else None,
            proxy_epochs=arguments.proxy_epochs,
        )
        extractor = SparseFeatureExtractor(num_features=arguments.features)
        args = MultiLabelTrainingArguments(
            output_dir=folder,
            num_train_epochs=arguments.epochs,
            per_device_train_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            lr_scheduler_type="constant",
            seed=arguments.seed,
            betas=[],
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            report_to="none",
            disable_tqdm=not arguments.progress,
        )
        trainer = architecture.trainer(
            model,
            args,
            label_space=space,
            train_dataset=train,
            data_collator=SparseCollator(extractor, num_labels),
            processing_class=extractor,
        )
        trainer.train()
        laps("train")
        cycles = read_cycle_facts(folder)
        peak_of_training = watch.own
        model.eval()
        del trainer
        answers = asked(model, test, SparseCollator(extractor, num_labels), space, arguments.hnsw_ef)
        laps("ask")
    watch.end()
    stated = label_bytes(size)
    return {
        "case": num_labels,
        **asdict(size),
        "batch_size": arguments.batch_size,
        "shared_shortlist": arguments.shared_shortlist,
        "index": arguments.index,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "seconds": laps.seconds,
        "cycles": cycles,
        "imported_bytes": imported,
        "peak_bytes": peak_of_training,
        "peak_bytes_with_asking": watch.own,
        "mapped_bytes": watch.mapped,
        "stated_bytes_per_label": sum(stated.values()),
        **answers,
        "cores": os.cpu_count(),
        "versions": versions(),
    }


@torch.no_grad()
def asked(model, test, collator: SparseCollator, space: LabelSpace, efs: list[int]) -> dict[str, object]:
    """Milliseconds of an answer, what the index finds of what it should, and how good the answers are.

    A graph is searched with each of `efs`; what is printed as the index's is the first search that finds `ENOUGH` of the nearest.
    """
    rows = [test[number] for number in range(len(test))]
    single = [_inputs(collator([row])) for row in rows[: TIMED_DOCUMENTS + 5]]
    batches = [collator(rows[start : start + 256]) for start in range(0, len(rows), 256)]
    config, chosen = model.config, model.config.index
    config.index = "exact"
    result: dict[str, object] = {f"{name}_exact": value for name, value in _timed(model, single, batches).items()}
    found = exact = _answered(model, batches)
    config.index = chosen
    if chosen != "exact":
        model.shortlist(model.encode(**single[0]), config.shortlist_size)  # a graph is made when it is first asked
        searches = []
        for ef in efs:
            config.hnsw_ef = ef
            found = _answered(model, batches)
            recalls = {
                "index_recall": _as_good(found.cosines, exact.cosines),
                "index_recall_by_id": _shared(found.shortlists, exact.shortlists),
            }
            searches.append({"hnsw_ef": ef, **_timed(model, single, batches), **recalls})
            if recalls["index_recall"] >= ENOUGH:
                break
        last = searches[-1]
        result |= {f"{name}_{chosen}": last[name] for name in ("ms_one", "ms_of_256")}
        names = ("index_recall", "index_recall_by_id")
        result |= {name: last[name] for name in names} | {"searches": searches}
    true = [row["label_ids"] for row in rows]
    listed = [set(ids.tolist()) for ids in found.shortlists]
    pairs = [(label in near) for labels, near in zip(true, listed, strict=True) for label in labels]
    result["shortlist_recall"] = float(np.mean(pairs))
    metrics = MultiLabelMetrics(len(space), train_counts=space.counts, num_train_documents=space.num_documents)
    for batch in batches:
        output = model(**_inputs(batch))
        metrics.update(output.logits.sigmoid(), candidate_ids=output.candidate_ids, label_ids=batch["label_ids"])
    values = metrics.compute()
    return result | {name: values[name] for name in ("p@1", "p@5", "psp@5")}


class Answered(NamedTuple):
    """Of all documents: labels of their shortlists `(N, S)`, and the cosines; best first."""

    shortlists: np.ndarray
    cosines: np.ndarray


def _answered(model, batches: list[dict[str, torch.Tensor]]) -> Answered:
    size = model.config.shortlist_size
    parts = [model.shortlist(model.encode(**_inputs(batch)), size) for batch in batches]
    return Answered(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))


def _timed(model, single: list[dict[str, torch.Tensor]], batches: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Milliseconds of the best five of one document, and of 256 at a time."""

    def answer(inputs: dict[str, torch.Tensor]):
        return model.predict_topk(inputs, k=5)

    return {
        "ms_one": _milliseconds(answer, single),
        "ms_of_256": _milliseconds(answer, [_inputs(batch) for batch in batches], warm=1),
    }


def _inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in batch.items() if name != "label_ids"}


def _milliseconds(answer, inputs: list[dict[str, torch.Tensor]], *, warm: int = 5) -> float:
    """The median over the inputs, the first few of which don't count."""
    seconds = []
    for one in inputs:
        start = time.perf_counter()
        answer(one)
        seconds.append(time.perf_counter() - start)
    return round(1000 * float(np.median(seconds[warm:])), 3)


def _shared(found_NK: np.ndarray, expected_NK: np.ndarray) -> float:
    """Which share of the expected ids is among the found ones, over all rows."""
    hits = [np.isin(expected, found).sum() for found, expected in zip(found_NK, expected_NK, strict=True)]
    return float(np.sum(hits) / expected_NK.size)


def _as_good(found_NK: np.ndarray, expected_NK: np.ndarray) -> float:
    """Which share of the places holds something as good as the last of the expected ones, over all rows.

    Which of several equals stands there is chance: an exact search takes the first of them, a graph any.
    """
    return float(np.mean(found_NK >= expected_NK[:, -1:] - ROUNDING))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--documents", type=int, help="as many as labels if not given")
    parser.add_argument("--features", type=int, default=100_000)
    parser.add_argument("--nonzeros", type=int, default=100)
    parser.add_argument("--embed_dim", type=int, default=64)
    parser.add_argument("--shortlist_size", type=int, default=100)
    parser.add_argument("--shared_shortlist", action="store_true", help="one list a batch in training")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--learning_rate", type=float, default=5e-3)
    parser.add_argument("--proxy", choices=["affine", "two_layer", "none"], default="affine")
    parser.add_argument("--proxy_epochs", type=int, default=2)
    parser.add_argument("--proxy_batch_size", type=int, default=4096)
    parser.add_argument("--index", choices=["exact", "hnsw"], default="hnsw")
    parser.add_argument("--hnsw_m", type=int, default=32)
    parser.add_argument("--hnsw_ef_construction", type=int, default=100)
    parser.add_argument(
        "--hnsw_ef",
        type=int,
        nargs="+",
        default=[200, 400, 800, 1600],
        help="candidates of a search: the first is trained with; of a trained one the first that finds enough is shown",
    )
    parser.add_argument("--hnsw_threads", type=int, help="that make the graph; all if not given")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the documents are written while a case runs")
    parser.add_argument("--output", type=Path, help="JSON Lines that the cases are appended to")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    if arguments.case is not None:
        print(json.dumps(measured(arguments)))
        return
    for num_labels in arguments.labels:
        print(f"-- {num_labels:,} labels", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--case", str(num_labels)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        line = done.stdout.strip().splitlines()[-1]
        print(line)
        if arguments.output:
            with arguments.output.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")


if __name__ == "__main__":
    main()
