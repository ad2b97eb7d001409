"""What a run was made with and what it cost: versions, parameters, seconds, peak memory."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hf_mlc.version import __version__


PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those it stands on."""
    found = {"python": platform.python_version(), "hf_mlc": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def num_parameters(model: nn.Module) -> int:
    """Numbers in a model's parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


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
