"""The tables of docs/scale.md, made of what `benchmarks/label_scale.py` measured and of what `hf_mlc.scale.costs` counts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from hf_mlc.cards.markdown import table
from hf_mlc.scale.costs import A100, CycleSize, cycle_flops, document_bytes, gpu_plan, label_bytes, stated_peak


MEASURED = "claims/scale.jsonl"  # in model_cards/
COMMAND = "python benchmarks/label_scale.py --output model_cards/claims/scale.jsonl"
GB = 1e9
# three million labels: as many documents, features and pairs as AmazonTitles-3M and its published settings have, rounded
PLANNED = CycleSize(
    num_labels=3_000_000,
    num_documents=1_700_000,
    num_features=165_000,
    num_pairs=62_000_000,
    nonzeros=10,
    embed_dim=300,
    shortlist_size=400,
    proxy_epochs=4,
)
PROCESSES, BATCH_SIZE = (1, 8, 64), 256
_PHASES = ("encode", "labels", "shortlists", "classifier")


def scale_tables(model_cards: Path) -> str:
    """All tables, as Markdown.

    Args:
        model_cards (`Path`): the folder of recipes, in which `claims/scale.jsonl` is what the benchmark wrote; without it the tables
            of what was measured are left out.
    """
    lines = read_lines(model_cards / MEASURED)
    measured = [f"Measured by `{COMMAND}`", seconds_table(lines), memory_table(lines), answers_table(lines)]
    measured += [searches_table(lines)] if any(line.get("searches") for line in lines) else []
    measured += [work_table(line) for line in lines[-1:]]
    if not lines:
        measured = [f"Nothing is measured yet; `{COMMAND}` does it."]
    return "\n\n".join([*measured, "Counted", bytes_table(lines), plan_table(lines)])


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The newest line of each number of labels, in their order; none where there is no file."""
    if not file.is_file():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [{line["case"]: line for line in lines}[case] for case in sorted({line["case"] for line in lines})]


def seconds_table(lines: list[dict[str, Any]]) -> str:
    """Seconds of a cycle by phase: its first three, and the epochs of the classifier."""
    head = ["labels", "documents", *_PHASES, "the index again, at the end", "training in all"]
    rows = []
    for line in lines:
        first, *_, last = line["cycles"]
        again = sum(last[name]["seconds"] for name in ("encode", "labels"))
        rows.append(
            [
                f"{line['num_labels']:,}",
                f"{line['num_documents']:,}",
                *(f"{first[name]['seconds']:.0f} s" for name in _PHASES),
                f"{again:.0f} s",
                f"{line['seconds']['train'] / 60:.1f} min",
            ]
        )
    return table(head, rows, numbers=range(len(head)))


def memory_table(lines: list[dict[str, Any]]) -> str:
    """The peak beside what is counted, and by how much it grew a label since the row above."""
    head = ["labels", "peak", "counted", "files mapped to memory", "growth a label", "counted growth a label"]
    rows, before = [], None
    for line in lines:
        growth = counted = "–"
        peak = stated_peak(size_of(line), imported=line["imported_bytes"])
        if before is not None:
            more = line["num_labels"] - before["num_labels"]
            growth = f"{(line['peak_bytes'] - before['peak_bytes']) / more:,.0f} B"
            counted = f"{(peak - stated_peak(size_of(before), imported=line['imported_bytes'])) / more:,.0f} B"
        rows.append(
            [
                f"{line['num_labels']:,}",
                f"{line['peak_bytes'] / GB:.2f} GB",
                f"{peak / GB:.2f} GB",
                f"{line['mapped_bytes'] / GB:.2f} GB",
                growth,
                counted,
            ]
        )
        before = line
    return table(head, rows, numbers=range(len(head)))


def answers_table(lines: list[dict[str, Any]]) -> str:
    """Milliseconds of the five best labels, and what the index finds."""
    head = ["labels", "one document, exact", "by index", "one of 256, exact", "by index", "index finds of the nearest",
            "true labels in the shortlist", "P@1"]  # fmt: skip
    rows = []
    for line in lines:
        by_index = line["index"] != "exact"

        def shown(name: str, text: str, line=line, by_index=by_index) -> str:
            return text.format(line[name]) if by_index else "–"

        rows.append(
            [
                f"{line['num_labels']:,}",
                f"{line['ms_one_exact']:.2f} ms",
                shown("ms_one_hnsw", "{:.2f} ms"),
                f"{line['ms_of_256_exact'] / 256:.3f} ms",
                f"{line['ms_of_256_hnsw'] / 256:.3f} ms" if by_index else "–",
                shown("index_recall", "{:.3f}"),
                f"{line['shortlist_recall']:.3f}",
                f"{line['p@1']:.3f}",
            ]
        )
    return table(head, rows, numbers=range(len(head)))


def searches_table(lines: list[dict[str, Any]]) -> str:
    """What more candidates of the graph cost, and what they find."""
    head = [
        "labels",
        "neighbours",
        "candidates",
        "one document",
        "one of 256",
        "finds of the nearest",
        "the same labels as the exact search",
    ]
    rows = [
        [
            f"{line['num_labels']:,}",
            f"{line['hnsw_m']}",
            f"{search['hnsw_ef']:,}",
            f"{search['ms_one']:.2f} ms",
            f"{search['ms_of_256'] / 256:.3f} ms",
            f"{search['index_recall']:.3f}",
            f"{search['index_recall_by_id']:.3f}",
        ]
        for line in lines
        for search in line.get("searches", ())
    ]
    return table(head, rows, numbers=range(len(head)))


def work_table(line: dict[str, Any]) -> str:
    """What a machine did a second in each phase, of the work counted."""
    rows = []
    for phase, rate in rates_of(line).items():
        cost = line["cycles"][0][phase]
        took = f"{1000 * cost['seconds'] / line['num_documents'] / cost.get('epochs', 1):.2f} ms a document"
        rows.append([phase, took, "by index" if rate is None else f"{rate / 1e9:.2f}"])
    head = ["phase", f"{line['num_labels']:,} labels, {line['threads']} threads", "10^9 operations a second"]
    return table(head, rows, numbers=range(1, 3))


def rates_of(line: dict[str, Any]) -> dict[str, float | None]:
    """Multiplications and additions a second of each phase; `None` of shortlists by a graph, which compares with few labels."""
    work, cycle = _work(size_of(line)), line["cycles"][0]
    rates = {phase: cycle[phase].get("epochs", 1) * work[phase] / cycle[phase]["seconds"] for phase in _PHASES}
    return rates if line["index"] == "exact" else rates | {"shortlists": None}


def _work(size: CycleSize) -> dict[str, float]:
    """The counted work by the phases that are measured."""
    flops = cycle_flops(size)
    return {
        "encode": flops["encode"],
        "labels": flops["centroids"] + flops["proxy"],
        "shortlists": flops["shortlists, exact"],
        "classifier": flops["classifier"],
    }


def bytes_table(lines: list[dict[str, Any]]) -> str:
    """Bytes a label and a document, of the largest case that was measured and of the plan."""
    sizes = [size_of(line) for line in lines[-1:]] + [PLANNED]
    head = ["", *(f"{size.num_labels:,} labels, width {size.embed_dim}" for size in sizes)]
    parts = [label_bytes(size) for size in sizes]
    names = list(dict.fromkeys(name for part in parts for name in part))
    rows = [[f"a label: {name}", *(_bytes(part.get(name)) for part in parts)] for name in names]
    rows.append(["a label, in all", *(_bytes(sum(part.values())) for part in parts)])
    documents = [document_bytes(size) for size in sizes]
    rows += [[f"a document: {name}", *(_bytes(part[name]) for part in documents)] for name in documents[0]]
    return table(head, rows, numbers=range(1, len(head)))


def plan_table(lines: list[dict[str, Any]]) -> str:
    """What three million labels ask of 1, 8 and 64 GPUs, and how long the machine of the largest measured case would take."""
    plans = [gpu_plan(PLANNED, processes=processes, batch_size=BATCH_SIZE) for processes in PROCESSES]
    head = [f"at least, on {A100.name}", *(f"{number} GPUs" if number > 1 else "1 GPU" for number in PROCESSES)]
    measured: dict[str, str] = {}
    for line in lines[-1:]:
        head.append(f"at the rate measured here, {line['threads']} threads, {line['num_labels']:,} labels")
        rates, work = rates_of(line), _work(PLANNED)
        measured = {phase: f"{work[phase] / rate / 3600:.1f} h" for phase, rate in rates.items() if rate is not None}
        # what is measured of an epoch is all of it
        measured["classifier"] += ", with its rows"
    rows = [
        [
            meaning,
            *(f"{plan[name]:.{digits}f} {unit}" for plan in plans),
            *([measured.get(phase, "–")] * bool(measured)),
        ]
        for name, meaning, digits, unit, phase in (
            ("memory_gb", "memory of each", 1, "GB", None),
            ("memory_gb_split", "memory of each, were label tables split by rows", 1, "GB", None),
            ("encode_seconds", "a cycle: vectors of the documents", 3, "s", "encode"),
            ("proxy_seconds", "a cycle: label embeddings, on one", 2, "s", "labels"),
            ("shortlist_seconds", "a cycle: shortlists, exact", 2, "s", "shortlists"),
            ("product_seconds", "an epoch: products", 3, "s", "classifier"),
            ("row_seconds", "an epoch: rows read and written", 2, "s", None),
            ("link_seconds", "an epoch: what travels", 2, "s", None),
            ("link_seconds_split", "an epoch: what travels, were label tables split", 2, "s", None),
        )
    ]
    return table(head, rows, numbers=range(1, len(head)))


def size_of(line: dict[str, Any]) -> CycleSize:
    """What was measured, as `hf_mlc.scale.costs` counts it."""
    return CycleSize(**{field.name: line[field.name] for field in dataclasses.fields(CycleSize)})


def _bytes(number: int | None) -> str:
    return "–" if number is None else f"{number:,} B"


__all__ = ["MEASURED", "PLANNED", "scale_tables"]
