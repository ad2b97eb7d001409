"""What a run was made with and what it cost: versions, parameters, seconds, peak memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from hf_mlc.modeling.label_tables import StoredTable
from hf_mlc.version import __version__


PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those it stands on."""
    found = {"python": platform.python_version(), "hf_mlc": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def num_parameters(model: nn.Module) -> int:
    """Numbers in a model's parameters, also in those that a compressed model holds as tables of few bytes a number."""
    index = getattr(model, "index_vectors", None)  # no parameter in full precision either
    tables = (part for part in model.modules() if isinstance(part, StoredTable) and part is not index)
    return sum(parameter.numel() for parameter in model.parameters()) + sum(part.values.numel() for part in tables)


def weights_fingerprint(name_or_path: str, *, revision: str | None = None) -> str | None:
    """`"sha256:..."` of a saved model's weights file, or of all its parts in their order; `None` where there is none.

    Of a folder that `export` wrote it is that of the graph, which holds the weights: other numbers, another fingerprint.

    Args:
        name_or_path (`str`): a folder or a Hub id, whose files are in the cache once the model was loaded.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
    """

    def find(name: str) -> str | None:
        return cached_file(
            name_or_path,
            name,
            revision=revision,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )

    files = [find(SAFE_WEIGHTS_NAME)]
    if files == [None]:
        index = find(SAFE_WEIGHTS_INDEX_NAME)
        if index is None:
            files = sorted(Path(name_or_path).glob("model.onnx*"))
        else:
            parts = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
            files = [find(part) for part in sorted(set(parts))]
    if not files or None in files:
        return None
    digest = hashlib.sha256()
    for file in files:
        with Path(file).open("rb") as stream:
            while block := stream.read(2**24):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def peak_memory() -> dict[str, int]:
    """The largest resident memory this process ever had, and the largest its GPU tensors took, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024}  # Linux counts in KiB
    if torch.cuda.is_available():
        found["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
    return found


@dataclass
class Stopwatch:
    """Wall and processor seconds since it was made (all threads of this process)."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def read(self) -> dict[str, Any]:
        """`{"seconds", "cpu_seconds"}` so far."""
        return {
            "seconds": round(time.perf_counter() - self.wall, 2),
            "cpu_seconds": round(time.process_time() - self.cpu, 2),
        }


def sum_of_costs(*costs: dict[str, float] | None) -> dict[str, float] | None:
    """Of what several parts cost, their sum by name; `None` are none."""
    known = [cost for cost in costs if cost is not None]
    return {name: sum(cost[name] for cost in known) for name in known[0]} if known else None


def seconds_before_resuming(*trainings: Mapping[str, Any] | None) -> dict[str, float] | None:
    """What was trained before the checkpoints that these trainings, by their facts in results.json, were resumed from; `None` where
    none was."""
    return sum_of_costs(*(one.get("before_resuming") for one in trainings if one is not None))
