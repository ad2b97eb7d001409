"""What a run was made with and what it cost: versions, parameters, seconds, peak memory."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_mlc.version import __version__


PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those it stands on."""
    found = {"python": platform.python_version(), "hf_mlc": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def num_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def peak_memory_bytes() -> int:
    """The largest resident memory this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


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
