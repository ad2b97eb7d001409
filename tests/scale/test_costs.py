from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification
from hf_mlc.readme import with_results
from hf_mlc.scale.costs import CycleSize, cycle_flops, gpu_plan, label_bytes, stated_peak
from hf_mlc.scale.tables import PLANNED, plan_table, scale_tables, size_of, work_table


ROOT = Path(__file__).parents[2]
SIZE = CycleSize(
    num_labels=1000,
    num_documents=500,
    num_features=200,
    num_pairs=1500,
    nonzeros=10,
    embed_dim=16,
    shortlist_size=20,
    hnsw_m=8,
    proxy_epochs=3,
)


def test_the_stated_bytes_are_those_of_the_tables_and_of_adam():
    config = LightDxmlConfig(num_labels=1000, encoder="features", vocab_size=201, embed_dim=16, sparse_gradients=True)
    model = LightDxmlForMultiLabelClassification(config)
    tables = [model.classifier.weight, model.classifier_bias.weight]
    optimizer = torch.optim.SparseAdam(tables, lr=0.1)
    ids = torch.arange(3)
    (model.classifier(ids).sum() + model.classifier_bias(ids).sum()).backward()
    optimizer.step()
    moments = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value) and value.ndim
    ]
    stated = label_bytes(SIZE)
    held = sum(value.numel() * value.element_size() for value in [*tables, *moments])
    assert held == 1000 * stated["classifier row and bias, with Adam's two moments"]
    index = model.index_vectors
    assert index.numel() * index.element_size() == 1000 * stated["vector of the index"]


def test_the_stated_graph_is_no_smaller_than_the_one_that_is_saved():
    hnswlib = pytest.importorskip("hnswlib")
    graph = hnswlib.Index(space="cosine", dim=16)
    graph.init_index(max_elements=1000, ef_construction=50, M=8)
    graph.add_items(np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32), num_threads=1)
    saved, stated = graph.index_file_size(), 1000 * label_bytes(SIZE)["graph of the index"]
    assert saved < stated < 2 * saved


def test_memory_grows_with_labels_and_documents_and_with_nothing_of_both():
    def peak(**changes):
        return stated_peak(dataclasses.replace(SIZE, **changes), imported=0)

    more_labels, more_documents = {"num_labels": 2000}, {"num_documents": 1000, "num_pairs": 3000}
    both = peak(**more_labels, **more_documents) - peak(**more_documents)
    assert both == peak(**more_labels) - peak() > 0
    assert peak(**more_documents) > peak()


def test_the_work_of_a_cycle_by_hand():
    flops = cycle_flops(SIZE)
    assert flops["encode"] == 2 * 500 * (10 * 16 + 16 * 16)
    assert flops["proxy"] == 6 * 1500 * 256 * 3
    assert flops["shortlists, exact"] == 2 * 500 * 1000 * 16
    assert flops["classifier"] == 3 * (flops["encode"] + 2 * 500 * 20 * 16)


def test_more_gpus_need_less_time_and_split_tables_less_room():
    one, eight = (gpu_plan(SIZE, processes=number, batch_size=10) for number in (1, 8))
    assert eight["shortlist_seconds"] == pytest.approx(one["shortlist_seconds"] / 8)
    assert eight["memory_gb"] == one["memory_gb"] == one["memory_gb_split"] > eight["memory_gb_split"]
    assert one["link_seconds"] == one["link_seconds_split"] == 0 < eight["link_seconds"]


def line_of(num_labels: int, peak: int) -> dict:
    phases = {name: {"seconds": 2.0} for name in ("encode", "labels", "shortlists", "classifier")}
    return {
        "case": num_labels,
        **dataclasses.asdict(dataclasses.replace(SIZE, num_labels=num_labels)),
        "index": "hnsw",
        "threads": 2,
        "seconds": {"train": 120.0},
        "cycles": [phases, {"cycle": "last", "encode": {"seconds": 3.0}, "labels": {"seconds": 4.0}}],
        "imported_bytes": 10**8,
        "peak_bytes": peak,
        "mapped_bytes": 10**7,
        "ms_one_exact": 1.25,
        "ms_of_256_exact": 256.0,
        "ms_one_hnsw": 0.5,
        "ms_of_256_hnsw": 128.0,
        "index_recall": 0.97,
        "shortlist_recall": 0.8,
        "p@1": 0.6,
    }


def test_tables_are_made_of_the_newest_line_of_each_case(tmp_path):
    lines = [line_of(2000, 5), line_of(1000, 10**9), line_of(2000, 10**9 + 10**6)]
    file = tmp_path / "claims" / "scale.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    tables = scale_tables(tmp_path)
    assert "| 1,000 | 500 | 2 s | 2 s | 2 s | 2 s | 7 s | 2.0 min |" in tables
    grown = sum(label_bytes(size_of(lines[0])).values())
    assert f"| 2,000 | 1.00 GB | 0.10 GB | 0.01 GB | 1,000 B | {grown:,} B |" in tables
    assert "| 1,000 | 1.25 ms | 0.50 ms | 1.000 ms | 0.500 ms | 0.970 | 0.800 | 0.600 |" in tables


def test_searches_of_a_graph_are_shown_where_there_were_some(tmp_path):
    file = tmp_path / "claims" / "scale.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps(line_of(1000, 10**9)) + "\n", encoding="utf-8")
    assert "candidates" not in scale_tables(tmp_path)
    search = {
        "hnsw_ef": 1600,
        "ms_one": 3.5,
        "ms_of_256": 512.0,
        "index_recall": 0.9,
        "index_recall@5": 0.8,
        "index_recall_by_id": 0.7,
    }
    line = {**line_of(1000, 10**9), "hnsw_m": 32, "searches": [search]}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert "| 1,000 | 32 | 1,600 | 3.50 ms | 2.000 ms | 0.900 | 0.700 |" in scale_tables(tmp_path)


def test_the_plan_says_how_long_the_measured_machine_would_take(tmp_path):
    assert "measured" not in plan_table([])
    exact = {**line_of(2000, 10**9), "index": "exact"}
    exact["cycles"][0]["classifier"]["epochs"] = 4
    plan, size = plan_table([exact]), size_of(exact)
    assert plan.splitlines()[0].endswith("| at the rate measured here, 2 threads, 2,000 labels |")
    hours = {name: work / cycle_flops(size)[name] * 2.0 / 3600 for name, work in cycle_flops(PLANNED).items()}
    cells = {row.split(" | ")[0].strip("| "): row.split(" | ")[-1].strip("| ") for row in plan.splitlines()}
    assert cells["a cycle: vectors of the documents"] == f"{hours['encode']:.1f} h"
    assert cells["a cycle: shortlists, exact"] == f"{hours['shortlists, exact']:.1f} h"
    # four epochs took the two seconds
    assert cells["an epoch: products"] == f"{hours['classifier'] / 4:.1f} h, with its rows"
    assert cells["memory of each"] == cells["an epoch: what travels"] == "–"
    # a graph's time says nothing of exact lists
    by_graph = [row for row in plan_table([{**exact, "index": "hnsw"}]).splitlines() if "shortlists, exact" in row]
    assert by_graph[0].endswith("| – |")
    # without the plan's hours, which stand beside the data sheet's
    assert "| encode | 4.00 ms a document |" in work_table(exact)


def test_the_page_shows_what_was_measured_and_counted():
    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    assert with_results(page, scale_tables(ROOT / "model_cards")) == page, "run scripts/update_readme.py"
